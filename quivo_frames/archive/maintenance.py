"""Verb: an archive that is looked after: its responses verified, erased, or without their personal values."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from quivo_frames.errors import ArchiveError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_OF_IDS = "order_id IN (SELECT order_id FROM temp.ids)"
_NOT_NEWEST = """
NOT good OR response != (
    SELECT response FROM responses n WHERE n.good AND n.order_id = r.order_id
    ORDER BY fetched_at DESC, response DESC LIMIT 1)
"""


class Flaw(NamedTuple):
    """Something in an archive that is not as it was written: a word for it, the order if it is one's, and what."""

    what: str
    order_id: int | None
    told: str


class Erased(NamedTuple):
    """How much was erased: responses, and attempts of the ledger."""

    responses: int
    attempts: int


def flaws(db: sqlite3.Connection) -> Iterator[Flaw]:
    """What is wrong with the file, with the bodies of all responses, and with the ledger beside them."""
    for (told,) in db.execute("PRAGMA integrity_check"):
        if told != "ok":
            yield Flaw("file", None, f"The file is damaged: {told}.")
    decompressor = zstandard.ZstdDecompressor()
    rows = db.execute("SELECT response, order_id, size, sha256, body FROM responses ORDER BY response")
    for response, order_id, size, sha256, packed in rows:
        try:
            body = decompressor.decompress(packed, max_output_size=size) if size else b""
        except zstandard.ZstdError:
            body = b""
        if len(body) != size or hashlib.sha256(body).digest() != sha256:
            yield Flaw("response", order_id, f"Response {response} is not what was received.")
    lost = """
        SELECT DISTINCT order_id FROM attempts t WHERE outcome = 'fetched'
        AND NOT EXISTS (SELECT 1 FROM responses r WHERE r.good AND r.order_id = t.order_id AND r.run = t.run)"""
    for (order_id,) in db.execute(lost):
        yield Flaw("ledger", order_id, "The ledger says that it was fetched, and there is no answer of that run.")


def erase(db: sqlite3.Connection) -> Erased:
    """Erases all that there is of the orders in temp.ids. Their bytes stay in the file until it is compacted."""
    db.execute(
        f"UPDATE runs SET asked = asked - (SELECT count(*) FROM asked a WHERE a.run = runs.run AND a.{_OF_IDS})"  # noqa: S608
    )
    db.execute(f"DELETE FROM asked WHERE {_OF_IDS}")  # noqa: S608
    counts = (db.execute(f"DELETE FROM {table} WHERE {_OF_IDS}").rowcount for table in ("responses", "attempts"))  # noqa: S608
    return Erased(*counts)


def blank(db: sqlite3.Connection) -> int:
    """Takes the personal values out of all but the newest good answers of the orders in temp.ids; how many had any."""
    from quivo_frames.model.blanking import blanked  # late: it loads polars

    decompressor = zstandard.ZstdDecompressor()
    rows = db.execute(f"SELECT response, good, size, body FROM responses r WHERE {_OF_IDS} AND ({_NOT_NEWEST})")  # noqa: S608
    changed = []
    for response, good, size, packed in rows:
        before = decompressor.decompress(packed, max_output_size=size) if size else b""
        after = blanked(before) if good else b""
        if after != before:
            changed.append((len(after), hashlib.sha256(after).digest(), zstandard.compress(after), response))
    db.executemany("UPDATE responses SET size = ?, sha256 = ?, body = ? WHERE response = ?", changed)
    return len(changed)


def compact(db: sqlite3.Connection, path: Path) -> None:
    """Writes the file anew, so that nothing is left in it of what was erased.

    Raises:
        ArchiveError: another process reads it, and keeps the old pages.
    """
    db.execute("VACUUM")
    busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise ArchiveError(
            f"{path} is being read by another process, so what was erased may still be found in its files. "
            "End that process, and do the same again."
        )
