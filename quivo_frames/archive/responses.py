"""The responses of an archive, each verified against its digest, in flat memory; read only.

Of several responses of an order, the one that was recorded last is the newest: the archive numbers them, so that a
clock that was wrong for a while decides nothing.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from quivo_frames.archive.database import format_instant, is_damage, open_for_reading
from quivo_frames.errors import ArchiveError
from quivo_frames.model.records import RawOrder
from quivo_frames.storage.compressed import BrokenFrame, decompress_frame

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import polars as pl

MAX_INT64 = 2**63 - 1
MAX_BODY_BYTES = 256 * 2**20
"""More than any answer can have: the client refuses answers of a quarter of it."""
ROWS_PER_FRAME = 10_000  # rows held as Python objects at a time
RESPONSE_COLUMNS = "response, order_id, fetched_at, good, http_status, size, sha256, body"

_INSTANT_LENGTH = len("2026-03-05T12:00:00.000000Z")
_DIGITS = "[0-9]" * 2
_INSTANT_GLOB = f"{_DIGITS}{_DIGITS}-{_DIGITS}-{_DIGITS}T{_DIGITS}:{_DIGITS}:{_DIGITS}.{_DIGITS * 3}Z"
_HAS_NO_INSTANT = f"""
(r.fetched_at GLOB '{_INSTANT_GLOB}') IS NOT 1 OR date(substr(r.fetched_at, 1, 10)) IS NOT substr(r.fetched_at, 1, 10)
OR time(substr(r.fetched_at, 12, 8)) IS NOT substr(r.fetched_at, 12, 8)
"""
"""Condition: `fetched_at` is not as the archive writes it, or of no calendar."""
_FROM_ALL, _FROM_STAGED_IDS = "responses r", "temp.ids i CROSS JOIN responses r ON r.order_id = i.order_id"
_FROM_CHANGED_IDS = """
(SELECT DISTINCT order_id FROM responses WHERE good AND response > :after AND response <= :last ORDER BY order_id) i
CROSS JOIN responses r ON r.order_id = i.order_id"""
_SELECT_ONE = f"SELECT {RESPONSE_COLUMNS} FROM responses WHERE response = ?"  # noqa: S608
_SELECT_EXPORTED = """
SELECT order_id, response FROM responses WHERE good AND response <= :last UNION ALL
SELECT order_id, response FROM responses WHERE good IS NOT 1 AND size IS NOT 0 AND response <= :last ORDER BY 1, 2
"""


class ResponseRow(NamedTuple):
    """A verified response; `response` is its number in the archive, `size` the bytes of `body`, as received."""

    order_id: int
    fetched_at: datetime
    response: int
    good: bool
    http_status: int | None
    size: int
    sha256: bytes
    body: bytes


class ReadPosition(NamedTuple):
    """Up to where an archive was read; it goes on from there only if what was read is still there, and nothing else."""

    last_response: int
    good_responses: int
    last_erasure: int
    digest: str
    """Of the last response."""


class ResponseFlaw(Exception):
    """A stored response is not what was received; the text says in which way."""


class ResponseReader:
    """Reads single responses of an open archive, each verified."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._execute = db.cursor().execute

    def read(self, response: int, order_id: int | None = None) -> ResponseRow:
        """The response with a number; `order_id` is the order that it must be about, if known.

        Raises:
            ResponseFlaw: it cannot be read, or is not what was received.
        """
        try:
            row = self._execute(_SELECT_ONE, (response,)).fetchone()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            raise ResponseFlaw("it cannot be read") from error
        return self.decode_row(row or (None,) * 8, order_id)

    def decode_row(self, row: tuple[Any, ...], known_order_id: int | None = None) -> ResponseRow:
        """The response in a row of RESPONSE_COLUMNS; all of them are None if there is no such row.

        The body is decompressed only if it is of the recorded size, by what its frame claims: a damaged frame may claim
        any.

        Raises:
            ResponseFlaw: a value is none that the archive writes, or the body is not what was received.
        """
        response, order_id, stamp, good, http_status, size, sha256, packed = row
        if response is None:
            raise ResponseFlaw("it is missing")
        if type(order_id) is not int:
            raise ResponseFlaw("its order id cannot be read")
        if known_order_id is not None and order_id != known_order_id:
            raise ResponseFlaw("it is recorded for two orders")
        fetched_at = parse_fetched_at(stamp)
        if fetched_at is None:
            raise ResponseFlaw("its time cannot be read")
        if good not in (0, 1) or not (http_status is None or (type(http_status) is int and 0 <= http_status < 1000)):
            raise ResponseFlaw("its status cannot be read")
        if type(size) is not int or not 0 <= size <= MAX_BODY_BYTES:
            raise ResponseFlaw("its size cannot be right")
        if type(packed) is not bytes or type(sha256) is not bytes:
            raise ResponseFlaw("its body cannot be read")
        try:
            body = decompress_frame(packed, size)
        except BrokenFrame as flaw:
            raise ResponseFlaw(f"its body {flaw}") from None
        if hashlib.sha256(body).digest() != sha256:
            raise ResponseFlaw("its body has changed")
        return ResponseRow(order_id, fetched_at, response, good == 1, http_status, size, sha256, body)


def parse_fetched_at(stamp: object) -> datetime | None:
    """The time of a response from its text; None if it is not as the archive writes it."""
    # a pattern would take longer than all else
    if isinstance(stamp, str) and len(stamp) == _INSTANT_LENGTH and stamp[10] == "T" and stamp[-1] == "Z":
        with suppress(ValueError):
            return datetime.fromisoformat(stamp)
    return None


def index_newest(
    db: sqlite3.Connection, path: Path, as_of: datetime | None, last: int, after: int = 0
) -> Iterator[pl.DataFrame]:
    """What `read_newest` yields, but without bodies: order_id, fetched_at, size, fingerprint, clock_ran_backwards.

    With `after`, only of orders that have a good response with a higher number.

    The fingerprint is the first 8 bytes of the sha256, which suffice to tell the few answers of one order apart. The
    last column says whether an earlier response of the order has a later time.

    Raises:
        ArchiveError: a response is damaged.
    """
    import polars as pl

    newest, values = _newest_query(as_of, last, after=after)
    sql = f"""
        SELECT n.order_id, r.order_id = n.order_id AND r.good = 1 AND typeof(r.size) = 'integer',
        CAST(r.fetched_at AS BLOB), r.size, substr(r.sha256, 1, 8), n.latest > r.fetched_at
        FROM ({newest}) n LEFT JOIN responses r ON r.response = n.response"""  # noqa: S608
    names = ("order_id", "is_sound", "fetched_at", "size", "fingerprint", "clock_ran_backwards")
    # the time as bytes, because texts take a call of Python each
    schema = dict(zip(names, (pl.Int64, pl.Int64, pl.Binary, pl.Int64, pl.Binary, pl.Int64), strict=True))
    rows = db.execute(sql, values)
    try:
        while chunk := rows.fetchmany(ROWS_PER_FRAME):
            frame = pl.DataFrame(chunk, schema=schema, orient="row").with_columns(
                pl.col("fetched_at")
                .cast(pl.String)
                .str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC"),
                pl.col("fingerprint").bin.reinterpret(dtype=pl.Int64, endianness="big"),
                pl.col("clock_ran_backwards").cast(pl.Boolean),
            )
            if sum(frame.null_count().row(0)) or frame["is_sound"].min() != 1:
                raise ValueError("a row is damaged")
            yield frame.drop("is_sound")
    except (sqlite3.Error, pl.exceptions.PolarsError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise
        for _ in _read_by_number(db, path, _select_newest(db, as_of, last)):
            pass  # the first damaged response is named
        raise ArchiveError(f"{path} is damaged: take it from a backup.") from error


def read_newest(
    db: sqlite3.Connection, path: Path, as_of: datetime | None, last: int, first_order: int | None, *, of_ids: bool
) -> Iterator[RawOrder]:
    """The newest good response of each order (of the ids in temp.ids, or of all), by id; `path` is for messages."""
    sql, values = _newest_query(as_of, last, first_order, of_ids=of_ids)
    columns = ", ".join(f"r.{name}" for name in RESPONSE_COLUMNS.split(", "))
    joined = f"SELECT n.order_id, n.response, {columns} FROM ({sql}) n LEFT JOIN responses r ON r.response = n.response"  # noqa: S608
    decode_row, last_read, source = ResponseReader(db).decode_row, None, path.name
    try:
        for row in db.execute(joined, values):
            order_id, response = last_read = row[:2]
            try:
                found = decode_row(row[2:], order_id)
            except ResponseFlaw as flaw:
                raise damaged_response_error(path, response, order_id, flaw) from None
            yield RawOrder(found.body, order_id, found.fetched_at, source, f"response {response}")
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        after = first_order if last_read is None else last_read[0] + 1
        for _ in _read_by_number(db, path, _select_newest(db, as_of, last, after, of_ids=of_ids)):
            pass  # names the response that cannot be read
        raise


def read_since(db: sqlite3.Connection, path: Path, moment: datetime | None, *, of_ids: bool) -> Iterator[RawOrder]:
    """The good responses by id, as they were recorded; with a moment, from the last one before the first since then."""
    return _raw_orders(path, _read_by_number(db, path, _select_since(db, moment, of_ids=of_ids)))


def last_response(path: Path) -> int:
    """The number of the last response of an archive; 0 if it has none.

    Raises:
        ConfigError: there is no archive.
    """
    with open_for_reading(path) as db:
        (last,) = db.execute("SELECT ifnull(max(response), 0) FROM responses").fetchone()
        return int(last)


def read_state(db: sqlite3.Connection, last: int) -> ReadPosition:
    """Up to where an archive is read that is read up to its response `last`."""
    # The plus makes SQLite count in the small index of good responses instead of in the table.
    (good,) = db.execute("SELECT count(*) FROM responses WHERE good AND +response <= ?", (last,)).fetchone()
    (erasure,) = db.execute("SELECT ifnull(max(erasure), 0) FROM erasures").fetchone()
    (digest,) = db.execute("SELECT hex(sha256) FROM responses WHERE response = ?", (last,)).fetchone() or ("",)
    return ReadPosition(last, int(good), int(erasure), str(digest))


def read_all(db: sqlite3.Connection, path: Path, last: int) -> Iterator[ResponseRow]:
    """All responses with a body, good or not, by order id and number, in flat memory; `path` is for messages."""
    return _read_by_number(db, path, db.execute(_SELECT_EXPORTED, {"last": last}))


def good_responses_by_order(db: sqlite3.Connection, *, of_ids: bool = False) -> Iterator[list[tuple[int, int, Any]]]:
    """Of each order, its good responses in the order of their numbers: order id, number, time as it is stored."""
    rows = db.execute(
        f"SELECT r.order_id, r.response, r.fetched_at FROM {_FROM_STAGED_IDS if of_ids else _FROM_ALL} "  # noqa: S608
        f"WHERE r.good ORDER BY {'i' if of_ids else 'r'}.order_id"
    )
    return (sorted(group, key=itemgetter(1)) for _, group in groupby(rows, key=itemgetter(0)))


def damaged_response_error(path: Path, response: int, order_id: int, flaw: ResponseFlaw) -> ArchiveError:
    """The error for a response that is not what was received."""
    return ArchiveError(
        f"{path}: response {response} (order {order_id}) was damaged on the disk: {flaw}. Take the archive from a "
        f"backup, or fetch the order again with `quivo-frames refetch {order_id}`."
    )


def _newest_query(
    as_of: datetime | None, last: int, first_order: int | None = None, *, of_ids: bool = False, after: int = 0
) -> tuple[str, dict[str, object]]:
    """A query for the newest good response of each order, by order id, and its parameters.

    Its columns are order_id, response, and latest: the latest time of all its good responses. Only the index of good
    responses is read, which has the orders sorted.
    """
    source, group = (_FROM_STAGED_IDS, "i.order_id") if of_ids else (_FROM_ALL, "r.order_id")
    if after:
        source, group = _FROM_CHANGED_IDS, "i.order_id"
    rules = ["r.good", "r.response <= :last"]
    if first_order is not None:
        rules.append("r.order_id >= :first_order")
    if as_of is not None:  # a response whose time cannot be read may have arrived: its reader says that it is damaged
        rules.append(f"(r.fetched_at <= :as_of OR {_HAS_NO_INSTANT})")
    sql = f"""
        SELECT r.order_id, max(r.response) AS response, max(r.fetched_at) AS latest
        FROM {source} WHERE {" AND ".join(rules)} GROUP BY {group}"""  # noqa: S608
    return sql, {"as_of": format_instant(as_of), "last": last, "first_order": first_order, "after": after}


def _select_newest(
    db: sqlite3.Connection, as_of: datetime | None, last: int, first_order: int | None = None, *, of_ids: bool = False
) -> Iterator[tuple[int, int]]:
    sql, values = _newest_query(as_of, last, first_order, of_ids=of_ids)
    return ((order_id, response) for order_id, response, _ in db.execute(sql, values))


def _select_since(db: sqlite3.Connection, moment: datetime | None, *, of_ids: bool) -> Iterator[tuple[int, int]]:
    for group in good_responses_by_order(db, of_ids=of_ids):
        first: int | None = 0
        if moment is not None:
            times = [parse_fetched_at(stamp) for *_, stamp in group]
            first = next((place for place, at in enumerate(times) if at is None or at >= moment), None)
        if first is not None:
            yield from ((order_id, response) for order_id, response, _ in group[max(first - 1, 0) :])


def _read_by_number(db: sqlite3.Connection, path: Path, numbers: Iterable[tuple[int, int]]) -> Iterator[ResponseRow]:
    """The responses with some numbers, each given after its order id.

    Raises:
        ArchiveError: a response is damaged.
    """
    reader = ResponseReader(db)
    for order_id, response in numbers:
        try:
            yield reader.read(response, order_id)
        except ResponseFlaw as flaw:
            raise damaged_response_error(path, response, order_id, flaw) from None


def _raw_orders(path: Path, rows: Iterable[ResponseRow]) -> Iterator[RawOrder]:
    for row in rows:
        yield RawOrder(row.body, row.order_id, row.fetched_at, path.name, f"response {row.response}")
