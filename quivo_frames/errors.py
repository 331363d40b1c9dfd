"""The errors that end a run, and the exit status of each. A failure of one order is a `Failure`, and the run goes on.

QuivoError
├── ConfigError          a wrong argument, file, folder or setting                exit 2
├── LoginError           Quivo refused the credentials                            exit 3
├── Unreachable          no answer from the API                                   exit 3
├── UnexpectedResponse   an answer that is not documented                         exit 3
├── ArchiveError         the archive cannot be written or read (disk, lock)       exit 3
├── DatasetError         the dataset cannot be written or read (disk, half-built) exit 3
├── ExportError          the target of an export cannot be written (disk, rights) exit 3
├── OutputError          stdout cannot be written (disk, closed)                  exit 3
├── LostWorker           a worker process was ended from outside                  exit 3
└── Fault                a fault of quivo_frames itself                           exit 3
"""

from __future__ import annotations

import errno
from typing import ClassVar

_DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_DISK_FULL_TEXTS = (
    "No space left",
    "disk is full",
    "Disk quota exceeded",
    "not enough space on the disk",
    "Invalid thrift: transport error",  # polars, when the end of a parquet file cannot be written
)
"""What the system, and every library, says when the disk is full."""


class QuivoError(Exception):
    """Base class of all errors: `str(error)` is a message for the user that names the cure."""

    exit_status: ClassVar[int] = 3


class ConfigError(QuivoError):
    """An argument, file, folder or setting is wrong; nothing was done."""

    exit_status = 2


class LoginError(QuivoError):
    """Quivo refused the API key, the username or the password."""


class Unreachable(QuivoError):
    """The API did not answer: there is no network, the address is wrong, or the API is down."""


class UnexpectedResponse(QuivoError):
    """The API answered in a way that is not documented."""


class ArchiveError(QuivoError):
    """The archive cannot be written or read."""


class DatasetError(QuivoError):
    """The dataset cannot be written or read."""


class ExportError(QuivoError):
    """The target of an export cannot be written or read."""


class OutputError(QuivoError):
    """The standard output cannot be written."""


class LostWorker(QuivoError):
    """A worker process was ended from outside."""


class Fault(QuivoError):
    """A fault of quivo_frames itself: the tables would have been wrong, and were not written."""


FAULT_CURE = (
    "The orders are not to blame: this is a fault of quivo_frames, and nothing was changed. Please report this message "
    "with the version (quivo-frames --version); it holds no value of an order."
)
"""The advice at the end of the message of a `Fault`."""


def is_caused_by_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that the disk is full."""
    return error is not None and (is_disk_full(error) or is_caused_by_full_disk(error.__cause__))


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of the system or of a library says that the disk is full, or a quota used up."""
    return getattr(error, "errno", None) in _DISK_FULL or any(text in str(error) for text in _DISK_FULL_TEXTS)


def is_panic(error: BaseException) -> bool:
    """Whether a library in Rust broke off. Such an error is no `Exception`."""
    return type(error).__name__ == "PanicException"
