"""What Quivo answered for one order. Floor 0: imports nothing of the house.

An `Answer` is what the client brings from one refetch; the archive keeps it. A `RawOrder` is one order's JSON as a
build reads it, from an archive or from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """How the refetch of one order ended."""

    FETCHED = "fetched"
    UNKNOWN = "unknown order"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNUSABLE = "unusable answer"
    SKIPPED = "skipped"


class Answer(NamedTuple):
    """The end of one refetch, good or not.

    `answered_at` is UTC; `status`, `headers` and `body` are those of the last try, None, {} and b"" where no answer
    came; `body` is the entity as received, before anything read it (of an answer that is not good, without the secrets
    that it may repeat); `throttled` counts the tries that Quivo answered with 429; `seconds` spans all tries with their
    waits, `latency` the last one alone, None where no answer came.
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


class RawOrder(NamedTuple):
    """One order's JSON, and where it came from.

    `fetched_at` is UTC, None for files that do not say; `source` and `place` are as in `Failure`.
    """

    body: bytes
    order_id: int | None
    fetched_at: datetime | None
    source: str
    place: str
