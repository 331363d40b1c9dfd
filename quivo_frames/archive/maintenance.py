"""Verification of an archive, and erasure of orders or of personal values from it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from quivo_frames.errors import ArchiveError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_IN_STAGED_IDS = "order_id IN (SELECT order_id FROM temp.ids)"
_IS_NOT_NEWEST_GOOD = """
NOT good OR response != (
    SELECT response FROM responses n WHERE n.good AND n.order_id = r.order_id
    ORDER BY fetched_at DESC, response DESC LIMIT 1)
"""


class ArchiveFlaw(NamedTuple):
    """Damage to an archive: to the file, a response or the ledger (`kind`), and the order that it is about, if any."""

    kind: str
    order_id: int | None
    message: str


class ErasedCounts(NamedTuple):
    """How many responses and attempts were erased."""

    responses: int = 0
    attempts: int = 0


class UnfinishedErasure(ArchiveError):
    """Rows were erased (`counts`), but their bytes may still be in the files of the archive."""

    def __init__(self, message: str, counts: ErasedCounts) -> None:
        super().__init__(message)
        self.counts = counts


def find_flaws(db: sqlite3.Connection) -> Iterator[ArchiveFlaw]:
    """Damage to the file, to the bodies of all responses, and fetched orders of the ledger without a response."""
    for (result,) in db.execute("PRAGMA integrity_check"):
        if result != "ok":
            yield ArchiveFlaw("file", None, f"The file is damaged: {result}.")
    decompressor = zstandard.ZstdDecompressor()
    rows = db.execute("SELECT response, order_id, size, sha256, body FROM responses ORDER BY response")
    for response, order_id, size, sha256, packed in rows:
        try:
            body = decompressor.decompress(packed, max_output_size=size) if size else b""
        except zstandard.ZstdError:
            body = b""
        if len(body) != size or hashlib.sha256(body).digest() != sha256:
            yield ArchiveFlaw("response", order_id, f"Response {response} is not what was received.")
    missing = """
        SELECT DISTINCT order_id FROM attempts t WHERE outcome = 'fetched'
        AND NOT EXISTS (SELECT 1 FROM responses r WHERE r.good AND r.order_id = t.order_id AND r.run = t.run)"""
    for (order_id,) in db.execute(missing):
        yield ArchiveFlaw(
            "ledger", order_id, "The ledger says that it was fetched, and there is no answer of that run."
        )


def erase_orders(db: sqlite3.Connection) -> ErasedCounts:
    """Erase all rows of the orders in temp.ids. Their bytes stay in the file until it is compacted."""
    db.execute(
        f"UPDATE runs SET asked = asked - (SELECT count(*) FROM asked a WHERE a.run = runs.run AND a.{_IN_STAGED_IDS})"  # noqa: S608
    )
    db.execute(f"DELETE FROM asked WHERE {_IN_STAGED_IDS}")  # noqa: S608
    counts = (db.execute(f"DELETE FROM {table} WHERE {_IN_STAGED_IDS}").rowcount for table in ("responses", "attempts"))  # noqa: S608
    return ErasedCounts(*counts)


def remove_personal_values(db: sqlite3.Connection) -> ErasedCounts:
    """Remove personal values from all but the newest good answers of the orders in temp.ids, and count the changed."""
    from quivo_frames.model.privacy import remove_personal_fields  # imported here because it loads polars

    decompressor = zstandard.ZstdDecompressor()
    where = f"{_IN_STAGED_IDS} AND ({_IS_NOT_NEWEST_GOOD})"
    rows = db.execute(f"SELECT response, good, size, body FROM responses r WHERE {where}")  # noqa: S608
    changed = []
    for response, good, size, packed in rows:
        before = decompressor.decompress(packed, max_output_size=size) if size else b""
        after = remove_personal_fields(before) if good else b""
        if after != before:
            changed.append((len(after), hashlib.sha256(after).digest(), zstandard.compress(after), response))
    db.executemany("UPDATE responses SET size = ?, sha256 = ?, body = ? WHERE response = ?", changed)
    return ErasedCounts(len(changed))


def compact_database(db: sqlite3.Connection, path: Path) -> None:
    """Rewrite the file, so that no bytes of what was erased are left in it.

    Raises:
        ArchiveError: another process is reading, which keeps the old pages in the write-ahead log.
    """
    db.execute("VACUUM")
    busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise ArchiveError(
            f"{path} is being read by another process, so what was erased may still be found in its files. "
            "End that process, and do the same again."
        )
