"""What can go wrong, and whose it is to mend. Floor 0: imports nothing of the house.

Errors end a run; failures describe one order, and the run goes on.

    QuivoError
    ├── ConfigError          yours: a wrong argument, file, folder or setting         exit 2
    ├── LoginError           Quivo refused the credentials                            exit 3
    ├── Unreachable          no answer from the API                                   exit 3
    ├── UnexpectedResponse   an answer that nobody documented                         exit 3
    ├── ArchiveError         the archive cannot be written or read (disk, lock)       exit 3
    ├── DatasetError         the dataset cannot be written or read (disk, half-built) exit 3
    ├── ExportError          the place of an export cannot be written (disk, rights)    exit 3
    ├── LostWorker           a process that worked beside this one was ended           exit 3
    └── Fault                quivo_frames itself is wrong, and says so                exit 3
"""

from __future__ import annotations

from typing import ClassVar


class QuivoError(Exception):
    """Base of all errors: `str(error)` is a sentence for the user, with the cure."""

    exit_status: ClassVar[int] = 3


class ConfigError(QuivoError):
    """A wrong argument, file, folder or setting; nothing was done."""

    exit_status = 2


class LoginError(QuivoError):
    """Quivo refused the API key, the username or the password."""


class Unreachable(QuivoError):
    """The API gave no answer: no network, wrong address, or it is down."""


class UnexpectedResponse(QuivoError):
    """The API answered in a way that its documentation does not know."""


class ArchiveError(QuivoError):
    """The archive cannot be written or read."""


class DatasetError(QuivoError):
    """The dataset cannot be written or read."""


class ExportError(QuivoError):
    """The place of an export cannot be written or read."""


class LostWorker(QuivoError):
    """A process that worked beside this one was ended from outside."""


class Fault(QuivoError):
    """A fault of quivo_frames itself: the tables would be wrong."""


FAULT_CURE = (
    "The orders are not to blame: this is a fault of quivo_frames, and nothing was changed. Please report this message "
    "with the version (quivo-frames --version); it holds no value of an order."
)
"""The cure of a Fault."""
