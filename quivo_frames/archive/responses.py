"""The responses of an archive, each verified against its digest, in flat memory; read only."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

import zstandard

from quivo_frames.archive.database import format_instant
from quivo_frames.errors import ArchiveError
from quivo_frames.model.records import RawOrder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import polars as pl

    from quivo_frames.archive.raw_export.index import ResponseRow

MAX_INT64 = 2**63 - 1
ROWS_PER_FRAME = 10_000  # rows held as Python objects at a time

_WHERE_NEWEST = """
WHERE r.good AND r.order_id >= :first_order AND r.response = (
    SELECT response FROM responses n
    WHERE n.good AND n.order_id = r.order_id AND n.fetched_at <= :as_of AND n.response <= :last
    ORDER BY fetched_at DESC, response DESC LIMIT 1)
"""
_WHERE_SINCE = """
WHERE r.good AND (r.fetched_at >= :since OR (
    EXISTS (SELECT 1 FROM responses n WHERE n.good AND n.order_id = r.order_id AND n.fetched_at >= :since)
    AND r.response = (
        SELECT response FROM responses b
        WHERE b.good AND b.order_id = r.order_id AND b.fetched_at < :since
        ORDER BY fetched_at DESC, response DESC LIMIT 1)))
"""
_FROM_ALL, _FROM_STAGED_IDS = "FROM responses r", "FROM temp.ids i CROSS JOIN responses r ON r.order_id = i.order_id"
_ORDER_BY_ID = "ORDER BY r.order_id, r.fetched_at, r.response"
_SELECT_EXPORTED = "SELECT response, order_id, fetched_at, good, http_status, size, sha256, body FROM responses"
_SELECT_ALL_EXPORTED = f"""
{_SELECT_EXPORTED} WHERE good AND response <= :last UNION ALL
{_SELECT_EXPORTED} WHERE NOT good AND size > 0 AND response <= :last ORDER BY order_id, fetched_at, response
"""  # good responses come sorted from their index, without sorting their bodies; the others are few


def index_newest(db: sqlite3.Connection, as_of: datetime | None, last: int) -> Iterator[pl.DataFrame]:
    """What `read_newest` yields, but without bodies: order_id, fetched_at, size in bytes, fingerprint of the body.

    The fingerprint is the first 8 bytes of the sha256, which suffice to tell the few answers of one order apart.
    """
    import polars as pl

    limits = {"as_of": format_instant(as_of), "last": last, "first_order": -MAX_INT64}
    columns = "r.order_id, r.fetched_at, r.size, substr(r.sha256, 1, 8) AS fingerprint"
    rows = db.execute(f"SELECT {columns} {_FROM_ALL} {_WHERE_NEWEST} {_ORDER_BY_ID}", limits)
    schema = {"order_id": pl.Int64, "fetched_at": pl.String, "size": pl.Int64, "fingerprint": pl.Binary}
    while chunk := rows.fetchmany(ROWS_PER_FRAME):
        yield pl.DataFrame(chunk, schema=schema, orient="row").with_columns(
            pl.col("fetched_at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC"),
            pl.col("fingerprint").bin.reinterpret(dtype=pl.Int64, endianness="big"),
        )


def read_newest(
    db: sqlite3.Connection, path: Path, as_of: datetime | None, last: int, first_order: int, *, of_ids: bool
) -> Iterator[RawOrder]:
    """The newest good response of each order (of the ids in temp.ids, or of all), by id; `path` is for messages."""
    limits: dict[str, object] = {"as_of": format_instant(as_of), "last": last, "first_order": first_order}
    return _verified_orders(db, path, _WHERE_NEWEST, limits, of_ids=of_ids)


def read_since(db: sqlite3.Connection, path: Path, moment: datetime | None, *, of_ids: bool) -> Iterator[RawOrder]:
    """The good responses since a moment, and the one before the first of each order, by id and time."""
    limits: dict[str, object] = {"since": format_instant(moment) if moment else ""}
    return _verified_orders(db, path, _WHERE_SINCE, limits, of_ids=of_ids)


def read_all(db: sqlite3.Connection, path: Path, last: int) -> Iterator[ResponseRow]:
    """All responses with a body, good or not, by id and time, in flat memory; `path` is for messages."""
    from quivo_frames.archive.raw_export.index import ResponseRow

    decompress = zstandard.ZstdDecompressor().decompress
    for response, order_id, fetched_at, good, http_status, size, sha256, packed in db.execute(
        _SELECT_ALL_EXPORTED, {"last": last}
    ):
        if (body := _decompress_verified(decompress, packed, size, sha256)) is None:
            raise _damaged_response(path, response, order_id)
        moment = datetime.fromisoformat(fetched_at)
        yield ResponseRow(order_id, moment, response, bool(good), http_status, size, sha256, body)


def _verified_orders(
    db: sqlite3.Connection, path: Path, where: str, limits: dict[str, object], *, of_ids: bool
) -> Iterator[RawOrder]:
    """The responses that meet a condition, each compared with the digest of what was received.

    Raises:
        ArchiveError: a response is damaged.
    """
    decompress = zstandard.ZstdDecompressor().decompress
    columns = "r.response, r.order_id, r.fetched_at, r.size, r.sha256, r.body"
    sql = f"SELECT {columns} {_FROM_STAGED_IDS if of_ids else _FROM_ALL} {where} {_ORDER_BY_ID}"
    for response, order_id, fetched_at, size, sha256, packed in db.execute(sql, limits):
        if (body := _decompress_verified(decompress, packed, size, sha256)) is None:
            raise _damaged_response(path, response, order_id)
        yield RawOrder(body, order_id, datetime.fromisoformat(fetched_at), path.name, f"response {response}")


def _decompress_verified(decompress: Callable[..., bytes], packed: bytes, size: int, sha256: bytes) -> bytes | None:
    """The body; None if it is not what was received."""
    try:
        body = decompress(packed, max_output_size=size)
    except zstandard.ZstdError:
        return None
    return body if hashlib.sha256(body).digest() == sha256 else None


def _damaged_response(path: Path, response: int, order_id: int) -> ArchiveError:
    return ArchiveError(
        f"{path}: response {response} (order {order_id}) was damaged on the disk. Take the archive from a backup, or "
        f"fetch the order again with `quivo-frames refetch {order_id}`."
    )
