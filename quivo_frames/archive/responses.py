"""Verb: the good responses of an archive -> raw orders, checked, in flat memory. No writing."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

import zstandard

from quivo_frames.archive.database import instant
from quivo_frames.errors import ArchiveError
from quivo_frames.model.records import RawOrder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import polars as pl

    from quivo_frames.archive.raw_export.index import Row

LARGEST = 2**63 - 1
CHUNK = 10_000  # rows that stand as Python objects at a time

_NEWEST = """
WHERE r.good AND r.order_id >= :first_order AND r.response = (
    SELECT response FROM responses n
    WHERE n.good AND n.order_id = r.order_id AND n.fetched_at <= :as_of AND n.response <= :last
    ORDER BY fetched_at DESC, response DESC LIMIT 1)
"""
_SINCE = """
WHERE r.good AND (r.fetched_at >= :since OR (
    EXISTS (SELECT 1 FROM responses n WHERE n.good AND n.order_id = r.order_id AND n.fetched_at >= :since)
    AND r.response = (
        SELECT response FROM responses b
        WHERE b.good AND b.order_id = r.order_id AND b.fetched_at < :since
        ORDER BY fetched_at DESC, response DESC LIMIT 1)))
"""
_ALL, _IDS = "FROM responses r", "FROM temp.ids i CROSS JOIN responses r ON r.order_id = i.order_id"
_BY_ID = "ORDER BY r.order_id, r.fetched_at, r.response"
_LEAVING = "SELECT response, order_id, fetched_at, good, http_status, size, sha256, body FROM responses"
_EVERY = f"""
{_LEAVING} WHERE good AND response <= :last UNION ALL
{_LEAVING} WHERE NOT good AND size > 0 AND response <= :last ORDER BY order_id, fetched_at, response
"""  # the good ones come sorted by their index, with their bodies; the others are few


def index(db: sqlite3.Connection, as_of: datetime | None, last: int) -> Iterator[pl.DataFrame]:
    """What `newest` yields, without the bodies: order_id, fetched_at, size in bytes, and a fingerprint of the body.

    The fingerprint is the first 8 bytes of the sha256: an order has few answers, and they are compared with each other
    alone.
    """
    import polars as pl

    limits = {"as_of": _until(as_of), "last": last, "first_order": -LARGEST}
    columns = "r.order_id, r.fetched_at, r.size, substr(r.sha256, 1, 8) AS fingerprint"
    rows = db.execute(f"SELECT {columns} {_ALL} {_NEWEST} {_BY_ID}", limits)
    schema = {"order_id": pl.Int64, "fetched_at": pl.String, "size": pl.Int64, "fingerprint": pl.Binary}
    while chunk := rows.fetchmany(CHUNK):
        yield pl.DataFrame(chunk, schema=schema, orient="row").with_columns(
            pl.col("fetched_at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC"),
            pl.col("fingerprint").bin.reinterpret(dtype=pl.Int64, endianness="big"),
        )


def newest(
    db: sqlite3.Connection, path: Path, as_of: datetime | None, last: int, first_order: int, *, of_ids: bool
) -> Iterator[RawOrder]:
    """The newest good response of each order, of the ids in temp.ids or of all, by id; `path` is for messages."""
    limits: dict[str, object] = {"as_of": _until(as_of), "last": last, "first_order": first_order}
    return _checked(db, path, f"{_IDS if of_ids else _ALL} {_NEWEST} {_BY_ID}", limits)


def since(db: sqlite3.Connection, path: Path, moment: datetime | None, *, of_ids: bool) -> Iterator[RawOrder]:
    """The good responses since a moment and the one before each, of the ids in temp.ids or of all, by id and time."""
    limits: dict[str, object] = {"since": instant(moment) if moment else ""}
    return _checked(db, path, f"{_IDS if of_ids else _ALL} {_SINCE} {_BY_ID}", limits)


def every(db: sqlite3.Connection, path: Path, last: int) -> Iterator[Row]:
    """All responses that have a body, good or not, by id and time, in flat memory; `path` is for messages."""
    from quivo_frames.archive.raw_export.index import Row

    unpack = zstandard.ZstdDecompressor().decompress
    rows = db.execute(_EVERY, {"last": last})
    for response, order_id, fetched_at, good, http_status, size, sha256, packed in rows:
        body = _unpacked(unpack, packed, size, sha256)
        if body is None:
            raise _damaged(path, response, order_id)
        moment = datetime.fromisoformat(fetched_at)
        yield Row(order_id, moment, response, bool(good), http_status, size, sha256, body)


def _until(moment: datetime | None) -> str:
    return instant(moment) if moment else "9999"  # later than anything


def _checked(db: sqlite3.Connection, path: Path, which: str, limits: dict[str, object]) -> Iterator[RawOrder]:
    """The responses that a query finds, each compared with the digest of what was once received.

    Raises:
        ArchiveError: one is not what was once written.
    """
    unpack = zstandard.ZstdDecompressor().decompress
    rows = db.execute(f"SELECT r.response, r.order_id, r.fetched_at, r.size, r.sha256, r.body {which}", limits)
    for response, order_id, fetched_at, size, sha256, packed in rows:
        body = _unpacked(unpack, packed, size, sha256)
        if body is None:
            raise _damaged(path, response, order_id)
        yield RawOrder(body, order_id, datetime.fromisoformat(fetched_at), path.name, f"response {response}")


def _unpacked(unpack: Callable[..., bytes], packed: bytes, size: int, sha256: bytes) -> bytes | None:
    """The body, if it is what was once received."""
    try:
        body = unpack(packed, max_output_size=size)
    except zstandard.ZstdError:
        return None
    return body if hashlib.sha256(body).digest() == sha256 else None


def _damaged(path: Path, response: int, order_id: int) -> ArchiveError:
    return ArchiveError(
        f"{path}: response {response} (order {order_id}) was damaged on the disk. Take the archive from a backup, or "
        f"fetch the order again with `quivo-frames refetch {order_id}`."
    )
