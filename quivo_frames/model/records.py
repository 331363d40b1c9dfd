"""The records that rooms hand to each other: answers, raw orders, failures, notes and lineage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, NamedTuple


class Outcome(StrEnum):
    """The result of the refetch of one order."""

    FETCHED = "fetched"
    UNKNOWN = "unknown order"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNUSABLE = "unusable answer"
    SKIPPED = "skipped"


class Answer(NamedTuple):
    """The result of one refetch, good or not, as the client returns it and the archive keeps it.

    `answered_at` is in UTC. `status`, `headers` and `body` are those of the last attempt, or None, {} and b"" if no
    answer came. `body` is kept as received, before anything parses it; of an answer that is not good, the first 64 KiB
    are kept without the secrets that it may repeat. `throttled` counts the attempts that were answered with 429.
    `seconds` covers all attempts and the waits between them, `latency` only the last attempt, None if no answer came.
    """

    order_id: int
    outcome: Outcome
    answered_at: datetime
    status: int | None
    headers: Mapping[str, str]
    body: bytes
    tries: int
    throttled: int
    seconds: float
    latency: float | None
    message: str


class ReadProblem(NamedTuple):
    """Why the text of an order was not read: the rule that it breaks, what is expected, and what was found."""

    rule: str
    expected: str = ""
    got: str = ""


class RawOrder(NamedTuple):
    """The JSON of one order as a build reads it, and where it came from.

    `fetched_at` is in UTC, None for files that do not state it; `source` and `place` are as in `Failure`. If there is a
    `problem`, the body is empty.
    """

    body: bytes
    order_id: int | None
    fetched_at: datetime | None
    source: str
    place: str
    problem: ReadProblem | None = None

    @property
    def is_answer(self) -> bool:
        """Whether it is an answer of the API, which knows its order; else it is from a file, or given in memory."""
        return self.order_id is not None


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
    """The answer that one order of a dataset was built from: one row of the lineage table `answers`."""

    order_id: Annotated[int, "The order."]
    fetched_at: Annotated[datetime, "When the answer arrived."]
    fingerprint: Annotated[int, "The first 8 bytes of the sha256 of its body."]
    source: Annotated[int, "The archive that has it, by its place among the inputs, counted from 0."]
    size: Annotated[int, "Bytes of its JSON.", "bytes"]


class PartRecord(NamedTuple):
    """A part of a dataset: one row of the lineage table `parts`."""

    part: Annotated[int, "The part, counted from 0 in the order of rows."]
    writer: Annotated[str, "The version of polars that wrote its files."]
    record: Annotated[str, "What is known of it, as JSON: its pieces by table, its profile, its notes."]


class Note(NamedTuple):
    """A value that needed a decision, or an unknown field: one row of `notes`."""

    kind: Annotated[str, "What was noticed, a fixed word to count by."]
    path: Annotated[str, "JSON path inside the orders; [] is any place of a list."]
    count: Annotated[int, "How many values."]  # type: ignore[assignment]  # hides tuple.count
    order_id: Annotated[int | None, "One order as an example."]
    message: Annotated[str, "What was decided, in plain words."]
