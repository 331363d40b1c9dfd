"""Reads an archive without quivo_frames: with SQL, zstandard and SHA-256 alone."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import zstandard

if TYPE_CHECKING:
    from pathlib import Path


class StoredResponse(NamedTuple):
    """A stored answer; `sha256` is computed from the body, not read."""

    order_id: int
    run: int
    good: bool
    status: int | None
    body: bytes
    sha256: str


class LedgerLine(NamedTuple):
    """A line of the ledger."""

    order_id: int
    run: int
    tries: int
    outcome: str
    status: int | None
    message: str


def stored_responses(path: Path) -> list[StoredResponse]:
    """All stored answers, after a check that the stored hash of each is that of its body."""
    found = []
    unpack = zstandard.ZstdDecompressor().decompress
    sql = "SELECT order_id, run, good, http_status, size, sha256, body FROM responses ORDER BY response"
    for order_id, run, good, status, size, stored_hash, packed in _query_rows(path, sql):
        body = unpack(packed, max_output_size=size)
        assert hashlib.sha256(body).digest() == stored_hash, f"order {order_id}: the hash is not that of the body"
        found.append(StoredResponse(order_id, run, bool(good), status, body, stored_hash.hex()))
    return found


def ledger_lines(path: Path) -> list[LedgerLine]:
    """All lines of the ledger."""
    sql = "SELECT order_id, run, tries, outcome, http_status, message FROM attempts ORDER BY attempt"
    return [LedgerLine(*row) for row in _query_rows(path, sql)]


def is_sound(path: Path) -> bool:
    """Whether SQLite finds nothing wrong with the file."""
    return _query_rows(path, "PRAGMA integrity_check") == [("ok",)]


def _query_rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()
