"""Erasure of orders, or of personal values, from an archive."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from quivo_frames.archive.database import RENEW_SEAL
from quivo_frames.archive.erasures import BLANKED, ERASED, record_erasures
from quivo_frames.archive.responses import ResponseFlaw, ResponseReader, damaged_response_error
from quivo_frames.errors import ArchiveError
from quivo_frames.storage.compressed import compress_frame

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_IN_STAGED_IDS = "order_id IN (SELECT order_id FROM temp.ids)"
_IS_NOT_NEWEST_GOOD = """
NOT good OR response != (SELECT max(response) FROM responses n WHERE n.good AND n.order_id = r.order_id)
"""


class ErasedCounts(NamedTuple):
    """How many responses and attempts were erased."""

    responses: int = 0
    attempts: int = 0


class UnfinishedErasure(ArchiveError):
    """Rows were erased (`counts`), but their bytes may still be in the files of the archive."""

    def __init__(self, message: str, counts: ErasedCounts) -> None:
        super().__init__(message)
        self.counts = counts


def erase_orders(db: sqlite3.Connection) -> ErasedCounts:
    """Erase all rows of the orders in temp.ids, and record it. Their bytes stay in the file until it is compacted."""
    record_erasures(db, db.execute("SELECT order_id FROM temp.ids ORDER BY order_id").fetchall(), ERASED)
    gone = db.execute(f"SELECT count(*), run FROM asked WHERE {_IN_STAGED_IDS} GROUP BY run").fetchall()  # noqa: S608
    db.executemany("UPDATE runs SET asked = asked - ? WHERE run = ?", gone)
    db.executemany(f"{RENEW_SEAL['runs']} WHERE run = ?", [(run,) for _, run in gone])
    db.execute(f"DELETE FROM asked WHERE {_IN_STAGED_IDS}")  # noqa: S608
    counts = (db.execute(f"DELETE FROM {table} WHERE {_IN_STAGED_IDS}").rowcount for table in ("responses", "attempts"))  # noqa: S608
    return ErasedCounts(*counts)


def remove_personal_values(db: sqlite3.Connection, path: Path) -> ErasedCounts:
    """Remove personal values from all but the newest good answers of the orders in temp.ids, and count the changed.

    Raises:
        ArchiveError: a response is damaged; nothing is changed.
    """
    from quivo_frames.flattening.order_text import find_order_text
    from quivo_frames.model.privacy import remove_personal_fields  # imported here because it loads polars

    reader, changed = ResponseReader(db), []
    blanked: set[tuple[int]] = set()
    sql = f"SELECT order_id, response FROM responses r WHERE {_IN_STAGED_IDS} AND ({_IS_NOT_NEWEST_GOOD})"  # noqa: S608
    for order_id, response in db.execute(sql).fetchall():
        try:
            before = reader.read(response, order_id)
        except ResponseFlaw as flaw:
            raise damaged_response_error(path, response, order_id, flaw) from None
        after = remove_personal_fields(find_order_text(before.body).text) if before.good else b""
        if after != before.body:
            blanked.add((order_id,))
            changed.append((len(after), hashlib.sha256(after).digest(), compress_frame(after), response))
    db.executemany("UPDATE responses SET size = ?, sha256 = ?, body = ? WHERE response = ?", changed)
    db.executemany(f"{RENEW_SEAL['responses']} WHERE response = ?", [values[-1:] for values in changed])
    record_erasures(db, sorted(blanked), BLANKED)
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
