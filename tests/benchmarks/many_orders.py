"""An archive of many orders, written fast: every fourth order is made by the stand-in, three others are copies of it.

A copy has ids, tracking numbers, serial numbers and SSCCs of its own, so that orders differ as they do in the stand-in.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from quivo_frames.archive import archive as archive_module
from quivo_frames.archive.archive import Archive
from quivo_frames.archive.database import format_instant
from quivo_frames.model.records import Answer, Outcome
from quivo_frames.standin.orders import order_json

FIRST_ID = 10_000_001
"""All ids have as many digits, up to 90 million orders."""
COPIES = 4
_CHUNK = 10_000
_AT = datetime(2026, 10, 12, tzinfo=UTC)
_OWN_NUMBER = re.compile(rb'"SN([0-9A-F]+)"|"34012345\d{6}(\d{3})(\d)"')
_IDS_PER_ORDER = 1000
_SERIALS_PER_ID = 100


def write_archive(file: Path, orders: int, processes: int) -> None:
    """Writes an archive with one good answer about each of so many orders."""
    starts = range(FIRST_ID, FIRST_ID + orders, _CHUNK)
    with Archive(file) as archive, ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        run, _ = archive.begin(range(FIRST_ID, FIRST_ID + orders), new_run=True)
        waiting: deque[Future[list[dict[str, Any]]]] = deque()
        for start in chain(starts, [None] * processes):
            if start is not None:
                count = min(_CHUNK, FIRST_ID + orders - start)
                waiting.append(pool.submit(_rows_of_archive, run, start, count))
            if waiting and (start is None or len(waiting) > processes):
                archive._writer.commit_job(partial(_insert, waiting.popleft().result()))
        archive.finish(run)


def many_orders(first_id: int, count: int) -> Iterator[tuple[int, bytes]]:
    """Order ids and orders: the first quarter is made, the others are copies."""
    made = -(-count // COPIES)
    pool = [order_json(first_id + number) for number in range(made)]
    for number in range(count):
        order_id, of = first_id + number, first_id + number % made
        yield order_id, pool[number % made] if of == order_id else copied(pool[number % made], of, order_id)


def copied(body: bytes, order_id: int, new_id: int) -> bytes:
    """The order under another id with as many digits."""
    shift = (new_id - order_id) * _IDS_PER_ORDER * _SERIALS_PER_ID

    def renumbered(found: re.Match[bytes]) -> bytes:
        if found[1]:
            return b'"SN%X"' % (int(found[1], 16) + shift)
        digits = f"3401{new_id:010d}{found[2].decode()}"
        check = _check_digit(digits)
        is_wrong = _check_digit(found[0][1:18].decode()) != int(found[3])  # on purpose, for an audit to find
        return f'"{digits}{(check + 5 * is_wrong) % 10}"'.encode()

    return _OWN_NUMBER.sub(renumbered, body).replace(str(order_id).encode(), str(new_id).encode())


def _check_digit(digits: str) -> int:
    """GS1's check digit of 17 digits."""
    return -(3 * sum(map(int, digits[::2])) + sum(map(int, digits[1::2]))) % 10


def _rows_of_archive(run: int, first_id: int, count: int) -> list[dict[str, Any]]:
    at = format_instant(_AT)
    rows = []
    for order_id, body in many_orders(first_id, count):
        answer = Answer(order_id, Outcome.FETCHED, _AT, 200, {}, body, 1, 0, 0.1, 0.1, "")
        attempt = answer._asdict() | {"run": run, "at": at}
        rows.append(attempt | archive_module._response_values(run, at, answer))
    return rows


def _insert(rows: list[dict[str, Any]], db: Any) -> None:
    db.executemany(archive_module._INSERT_ATTEMPT, rows)
    db.executemany(archive_module._INSERT_RESPONSE, rows)
