"""Verification of an archive: whatever in it is not as it was written, row by row, however damaged the file is."""

from __future__ import annotations

import hashlib
import sqlite3
from bisect import bisect_right
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from quivo_frames.archive.database import (
    FORMAT_VERSION,
    SEALED_COLUMNS,
    format_instant,
    is_damage,
    open_for_reading,
    row_seal,
)
from quivo_frames.archive.responses import (
    MAX_INT64,
    RESPONSE_COLUMNS,
    ResponseFlaw,
    ResponseReader,
    good_responses_by_order,
    parse_fetched_at,
)
from quivo_frames.archive.service import read_service
from quivo_frames.errors import ArchiveError
from quivo_frames.model.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OUTCOMES = ", ".join(f"'{outcome}'" for outcome in Outcome)
_LOST_ANSWERS = """
SELECT DISTINCT order_id FROM attempts t WHERE outcome = 'fetched'
AND NOT EXISTS (SELECT 1 FROM responses r WHERE r.good AND r.order_id = t.order_id AND r.run = t.run)
"""


class ArchiveFlaw(NamedTuple):
    """What is not as it was written: `kind` is file, response, ledger or clock; the order that it is about, if any."""

    kind: str
    order_id: int | None
    message: str


class _StoredRow(NamedTuple):
    """A row of the responses as it is stored: `values` of RESPONSE_COLUMNS; None if it cannot be read."""

    response: int
    order_id: int | None
    values: tuple[Any, ...] | None
    run: Any = None
    headers: Any = None
    seal: int | None = None

    def has_changed(self) -> bool:
        """Whether a value that no digest covers is another than when the row was written."""
        _, order_id, fetched_at, good, http_status, size, sha256, _ = self.values or (None,) * 8
        sealed = row_seal(order_id, self.run, fetched_at, http_status, self.headers, good, size, sha256)
        return self.seal not in (None, sealed)


def find_flaws(path: Path) -> Iterator[ArchiveFlaw]:
    """Flaws of the file, of its responses, of its ledger, and of the clock of the machine that fetched.

    What cannot be read is a flaw, and everything else is looked at nevertheless.

    Raises:
        ConfigError: there is no such archive.
    """
    problems = set()
    for find in (_flaws_of_file, _flaws_of_responses, _flaws_of_rows, _flaws_of_runs, _lost_answers, _flaws_of_clock):
        try:
            with open_for_reading(path) as db:
                yield from find(db)
        except ArchiveError as error:
            cause = error.__cause__
            is_unreadable = cause is None or isinstance(cause, UnicodeDecodeError)
            if (problem := str(error if is_unreadable else cause)) not in problems:
                problems.add(problem)
                yield ArchiveFlaw("file", None, f"A part of the file cannot be read ({problem}).")


def _flaws_of_file(db: sqlite3.Connection) -> Iterator[ArchiveFlaw]:
    """What SQLite itself finds, and a format that does not fit the tables."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    has_erasures = db.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'erasures'").fetchone() is not None
    if has_erasures != (version == FORMAT_VERSION):
        yield ArchiveFlaw("file", None, f"The file is damaged: it says format {version}, and has tables of another.")
    for (result,) in db.execute("PRAGMA integrity_check"):
        if result != "ok":
            yield ArchiveFlaw("file", None, f"The file is damaged: {result}.")


def _flaws_of_responses(db: sqlite3.Connection) -> Iterator[ArchiveFlaw]:
    """Responses that are not what was received, or that are about another order."""
    from quivo_frames.flattening.decode import scan_identity  # imported here because it loads polars

    reader = ResponseReader(db)
    for stored in _stored_rows(db):
        try:
            if stored.values is None:
                raise ResponseFlaw("it cannot be read")
            found = reader.decode_row(stored.values)
            if stored.has_changed():
                raise ResponseFlaw("its run, its status or its headers have changed")
        except ResponseFlaw as flaw:
            message = f"Response {stored.response} is not what was received: {flaw}."
            yield ArchiveFlaw("response", stored.order_id, message)
        else:
            if found.good and scan_identity(found.body).order_id not in (found.order_id, None):
                yield ArchiveFlaw("response", found.order_id, f"Response {found.response} is about another order.")


def _stored_rows(db: sqlite3.Connection) -> Iterator[_StoredRow]:
    """All rows of the responses, by number; where some cannot be read, the index says which good ones are missing."""
    has_seal = any(row[1] == "seal" for row in db.execute("PRAGMA table_info(responses)"))
    select = f"SELECT {RESPONSE_COLUMNS}, run, headers, {'seal' if has_seal else 'NULL'} FROM responses"  # noqa: S608
    after, indexed = 0, None
    while True:
        try:
            for row in db.execute(f"{select} WHERE response > ? ORDER BY response", (after,)):
                after = row[0]
                yield _stored_row(row)
            return
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            indexed = indexed or sorted(
                (number, order_id) for group in good_responses_by_order(db) for order_id, number, _ in group
            )
            if (place := bisect_right(indexed, (after, MAX_INT64))) == len(indexed):
                raise
        after, order_id = indexed[place]
        yield _read_stored_row(db, select, after) or _StoredRow(after, order_id, None)


def _stored_row(row: tuple[Any, ...]) -> _StoredRow:
    *values, run, headers, seal = row
    return _StoredRow(row[0], row[1] if type(row[1]) is int else None, tuple(values), run, headers, seal)


def _read_stored_row(db: sqlite3.Connection, select: str, response: int) -> _StoredRow | None:
    try:
        row = db.execute(f"{select} WHERE response = ?", (response,)).fetchone()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return None
    return row and _stored_row(row)


def _flaws_of_rows(db: sqlite3.Connection) -> Iterator[ArchiveFlaw]:
    """Rows of the ledger and of the record of erasures whose values have changed."""
    for table, columns in SEALED_COLUMNS.items():
        if table == "responses" or (table == "services" and read_service(db) is None):
            continue
        for number, (seal, *values) in enumerate(db.execute(f"SELECT seal, {', '.join(columns)} FROM {table}"), 1):  # noqa: S608
            if seal not in (None, row_seal(*values)):
                order_id = values[0] if columns[0] == "order_id" and type(values[0]) is int else None
                yield ArchiveFlaw("ledger", order_id, f"Row {number:,} of its {table} is not as it was written.")
    for order_id, outcome in db.execute(f"SELECT order_id, outcome FROM attempts WHERE outcome NOT IN ({_OUTCOMES})"):  # noqa: S608
        known = order_id if type(order_id) is int else None
        yield ArchiveFlaw("ledger", known, f"The ledger says {outcome!r} of it, which is no outcome.")


def _flaws_of_runs(db: sqlite3.Connection) -> Iterator[ArchiveFlaw]:
    """Runs whose list of orders is not the one that they began with."""
    (erased,) = db.execute("SELECT count(*) FROM erasures").fetchone()
    runs = {
        run: (asked, digest, seal)
        for run, asked, digest, seal in db.execute("SELECT run, asked, digest, seal FROM runs")
    }
    lists = groupby(db.execute("SELECT run, order_id FROM asked ORDER BY run, order_id"), key=itemgetter(0))
    found = {run: _digest_of_ids(rows) for run, rows in lists}
    for run, (asked, digest, seal) in runs.items():
        count, digest_now = found.pop(run, (0, hashlib.sha256().hexdigest()))
        is_comparable = seal is not None and not erased  # the digest of a run stays when orders of it are erased
        if count != asked or (is_comparable and digest_now != digest):
            those = f"the {asked:,} in its list" if type(asked) is int else "its list says"  # the number is damaged
            yield ArchiveFlaw("ledger", None, f"Run {run} asked for other orders than {those}.")
    for run in found:
        yield ArchiveFlaw("ledger", None, f"There is a list of orders of a run {run}, and no such run.")


def _digest_of_ids(rows: Iterator[tuple[int, int]]) -> tuple[int, str]:
    digest, count = hashlib.sha256(), 0
    for _, order_id in rows:
        digest.update(f"{order_id}\n".encode())
        count += 1
    return count, digest.hexdigest()


def _lost_answers(db: sqlite3.Connection) -> Iterator[ArchiveFlaw]:
    """Fetched orders of the ledger without a response."""
    for (order_id,) in db.execute(_LOST_ANSWERS):
        message = "The ledger says that it was fetched, and there is no answer of that run."
        yield ArchiveFlaw("ledger", order_id if type(order_id) is int else None, message)


def _flaws_of_clock(db: sqlite3.Connection) -> Iterator[ArchiveFlaw]:
    """Good responses with a time that lies in the future, or before that of an earlier one."""
    now = format_instant(datetime.now(UTC))
    for group in good_responses_by_order(db):
        latest, latest_time = 0, ""
        for order_id, response, stamp in group:
            if parse_fetched_at(stamp) is None:
                continue
            if stamp > now:
                message = f"Response {response} is of {stamp}, which lies in the future."
                yield ArchiveFlaw("clock", order_id, message)
            if stamp < latest_time:
                message = (
                    f"Response {response} was recorded after response {latest}, and has an earlier time ({stamp})."
                )
                yield ArchiveFlaw("clock", order_id, message)
            latest, latest_time = max((latest, latest_time), (response, stamp), key=itemgetter(1))
