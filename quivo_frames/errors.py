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

from datetime import datetime
from typing import Annotated, ClassVar, NamedTuple


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


REPORT_IT = (
    "The orders are not to blame: this is a fault of quivo_frames, and nothing was changed. Please report this message "
    "with the version (quivo-frames --version); it holds no value of an order."
)
"""The cure of a Fault."""


class Failure(NamedTuple):
    """Why one order is in no table: one row of `failures`."""

    stage: Annotated[str, "Where it failed: decode, flatten or validate."]
    order_id: Annotated[int | None, "The order; null where the answer does not tell it."]
    source: Annotated[str, "The archive or file that the order was read from."]
    place: Annotated[str, "The place in it: response, line or element."]
    table: Annotated[str | None, "The table that could not take the order; null where it was not read so far."]
    column: Annotated[str | None, "The column that could not take the value."]
    path: Annotated[str, "JSON path inside the order."]
    rule: Annotated[str, "The rule that was broken, a fixed word to count by."]
    message: Annotated[str, "What happened and what to do, in plain words."]


class Lineage(NamedTuple):
    """The answer that one order of a dataset was made from: one row of the lineage."""

    order_id: Annotated[int, "The order."]
    fetched_at: Annotated[datetime, "When the answer arrived."]
    fingerprint: Annotated[int, "The first 8 bytes of the sha256 of its body."]
    source: Annotated[int, "The archive that has it, by its place among the inputs, counted from 0."]


class Note(NamedTuple):
    """A reading that needed a decision, or a field that nobody knows: one row of `notes`."""

    kind: Annotated[str, "What was noticed, a fixed word to count by."]
    path: Annotated[str, "JSON path inside the orders; [] is any place of a list."]
    count: Annotated[int, "How many values."]  # type: ignore[assignment]  # hides tuple.count
    order_id: Annotated[int | None, "One order as an example."]
    message: Annotated[str, "What was decided, in plain words."]
