"""The record of what was erased from an archive, so that nothing that is under way brings it back.

Each erased order gets the next number. Who reads answers notes the last number first, and looks again right before what
was made of them is published, in a block in which nothing is erased. The record holds order ids and times alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from quivo_frames.archive.database import BUSY_SECONDS, format_instant, open_for_reading
from quivo_frames.errors import ArchiveError
from quivo_frames.storage.atomic import hold_lock

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ATTEMPTS = 5
"""How often something is made of the answers while orders are erased, before it is given up."""
ERASED, BLANKED = "erased", "blanked"
"""Why an order stands in the record: its answers were erased, or personal values were removed from older ones."""


class ErasedMeanwhile(ArchiveError):
    """Orders were erased from an archive while its answers were read: what was made of them is not published."""


class ErasedOrder(NamedTuple):
    """An order that was erased: the number of the erasure, the order, when (UTC), and why."""

    number: int
    order_id: int
    at: str
    reason: str


def record_erasures(db: sqlite3.Connection, order_ids: Sequence[tuple[int]], reason: str) -> None:
    """Record that orders are erased, in place of what is recorded of them; `order_ids` are rows of one column."""
    at = format_instant(datetime.now(UTC))
    values = [{"order_id": order_id, "at": at, "reason": reason} for (order_id,) in order_ids]
    db.executemany("DELETE FROM erasures WHERE order_id = :order_id AND reason = :reason", values)
    db.executemany(
        "INSERT INTO erasures (order_id, at, reason, seal) "
        "VALUES (:order_id, :at, :reason, row_seal(:order_id, :at, :reason))",
        values,
    )


def last_erasure(path: Path) -> int:
    """The number of the last erasure; 0 if nothing was erased.

    Raises:
        ConfigError: there is no archive.
    """
    with open_for_reading(path) as db:
        (last,) = db.execute("SELECT ifnull(max(erasure), 0) FROM erasures").fetchone()
        return int(last)


def erased_orders(path: Path, after: int = 0) -> list[ErasedOrder]:
    """The orders that were erased after an erasure, in this order.

    Raises:
        ConfigError: there is no archive.
    """
    sql = "SELECT erasure, order_id, at, reason FROM erasures WHERE erasure > ? ORDER BY erasure"
    with open_for_reading(path) as db:
        return [ErasedOrder(*row) for row in db.execute(sql, (after,))]


@contextmanager
def hold_off_erasures(path: Path) -> Iterator[None]:
    """A block in which nothing is erased from an archive; it waits for an erasure that is under way.

    Raises:
        ArchiveError: another process holds erasures off, or erases, for too long.
    """
    busy = ArchiveError(
        f"{path} is held by another process, which erases orders from it or publishes what it read there. Wait until "
        "it has ended, then do the same again."
    )
    with hold_lock(path.with_name(f".lock.erasures.{path.name}"), busy, BUSY_SECONDS):
        yield


@contextmanager
def publish_unless_erased(path: Path, after: int) -> Iterator[None]:
    """A block that publishes what was made of answers that were read after an erasure, while nothing is erased.

    Raises:
        ErasedMeanwhile: orders were erased since; the block was not run.
        ArchiveError: as for `hold_off_erasures`.
    """
    with hold_off_erasures(path):
        if erased_orders(path, after):
            raise ErasedMeanwhile(
                f"Orders were erased from {path} again and again while its answers were read. Nothing was changed. Do "
                "the same again when no more are erased."
            )
        yield
