"""Noun: the archive itself: runs are begun and finished in it, answers recorded, responses read."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import zstandard

from quivo_frames.archive import ledger, maintenance, responses
from quivo_frames.archive.database import found_format, instant, to_read
from quivo_frames.archive.ledger import DONE, LAST_OF_RUN
from quivo_frames.archive.responses import LARGEST
from quivo_frames.archive.writer import Writer
from quivo_frames.display.html import face
from quivo_frames.display.progress import bar
from quivo_frames.errors import ConfigError
from quivo_frames.model.records import Outcome

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Callable, Generator, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    import polars as pl

    from quivo_frames.archive.maintenance import Erased, Flaw
    from quivo_frames.archive.raw_export.index import Row
    from quivo_frames.archive.raw_export.writer import RawExport
    from quivo_frames.model.records import Answer, RawOrder

T = TypeVar("T")

CHUNK = 1000  # ids read or written at a time
SECRET_HEADERS = ("authorization", "cookie", "token", "api-key")

_HANDLED = f"SELECT 1 FROM attempts t WHERE t.run = :run AND t.order_id = i.order_id AND {DONE}"  # noqa: S608
_PENDING = f"NOT EXISTS ({_HANDLED})"
_FRESH = "EXISTS (SELECT 1 FROM responses r WHERE r.good AND r.order_id = i.order_id AND r.fetched_at >= :fresh_since)"
_SKIP_FRESH = f"""
INSERT INTO attempts (order_id, run, at, tries, seconds, outcome, message)
SELECT order_id, :run, :now, 0, 0.0, '{Outcome.SKIPPED}', 'fetched recently' FROM temp.ids i
WHERE {_PENDING} AND {_FRESH}
"""  # noqa: S608
_INSERT_ATTEMPT = """
INSERT INTO attempts (order_id, run, at, tries, throttled, seconds, latency, outcome, http_status, message)
VALUES (:order_id, :run, :at, :tries, :throttled, :seconds, :latency, :outcome, :status, :message)
"""
_INSERT_RESPONSE = """
INSERT INTO responses (order_id, run, fetched_at, http_status, headers, good, size, sha256, body)
VALUES (:order_id, :run, :fetched_at, :http_status, :headers, :good, :size, :sha256, :body)
"""


class Batch(NamedTuple):
    """What is known of a set of order ids before the first request.

    `resumed` is the unfinished run of the same ids that goes on, None for a new run. `asked` counts the ids, each once;
    `done` those that the run already has; `fresh` those of the others that were fetched recently enough.
    """

    resumed: int | None
    asked: int
    duplicates: int
    done: int
    fresh: int
    digest: str

    @property
    def requests(self) -> int:
        """How many orders are still to be asked for."""
        return self.asked - self.done - self.fresh


class Archive:
    """The archive in a file, which the first write creates, readable by its owner alone.

    Raises:
        ConfigError: the file is something else, or its folder does not exist.
        ArchiveError: from any method, when the disk or another writer is in the way.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._writer = Writer(self.path)
        if not self.path.parent.is_dir():
            raise ConfigError(f"The folder {self.path.parent} does not exist: create it, or name another archive.")
        found_format(self.path)

    def close(self) -> None:
        """Finish what is being written, and let another process write. Reading stays possible."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Writing

    def begin(
        self, order_ids: Iterable[int], *, fresh_since: datetime | None = None, new_run: bool = False
    ) -> tuple[int, Batch]:
        """The run, and the batch as it was found: the unfinished run of the same ids unless `new_run`, else a new one.

        Orders with a good response since `fresh_since` are noted as skipped. The ids are read to their end first.
        """
        given = _stage(order_ids, self._writer.write)

        def begin(db: sqlite3.Connection) -> tuple[int, Batch]:
            batch = _survey(db, given, fresh_since, new_run=new_run)
            now, run = instant(datetime.now(UTC)), batch.resumed
            if run is None:
                sql = "INSERT INTO runs (digest, asked, started_at) VALUES (?, ?, ?)"
                run = int(db.execute(sql, (batch.digest, batch.asked, now)).lastrowid or 0)
                db.execute("INSERT INTO asked SELECT ?, order_id FROM temp.ids", (run,))
            db.execute(_SKIP_FRESH, {"run": run, "now": now, "fresh_since": _since(fresh_since)})
            db.execute("DELETE FROM temp.ids")
            return run, batch

        return self._writer.write(begin)

    def record(self, run: int, answer: Answer) -> None:
        """Keep an answer and its line in the ledger; when this returns, they are on the disk."""
        at = instant(answer.answered_at)
        attempt = {**answer._asdict(), "run": run, "at": at}
        response = _packed(run, at, answer) if answer.body else None

        def insert(db: sqlite3.Connection) -> None:
            db.execute(_INSERT_ATTEMPT, attempt)
            if response:
                db.execute(_INSERT_RESPONSE, response)

        self._writer.write(insert)

    def finish(self, run: int) -> None:
        """Note that every order of the run had its turn."""
        now = instant(datetime.now(UTC))
        self._writer.write(lambda db: db.execute("UPDATE runs SET finished_at = ? WHERE run = ?", (now, run)).rowcount)

    def erase(self, order_ids: Iterable[int]) -> Erased:
        """Erase all answers of some orders and their lines in the ledger; nothing of them stays in the file.

        Raises:
            ArchiveError: also when another process is reading: then they are erased, but not yet from the file.
        """
        return self._cleared(order_ids, maintenance.erase)

    def blank(self, order_ids: Iterable[int]) -> int:
        """Take the personal values out of all but the newest good answer of some orders; how many answers had any.

        Raises:
            ArchiveError: as for `erase`.
        """
        return self._cleared(order_ids, maintenance.blank)

    def _cleared(self, order_ids: Iterable[int], job: Callable[[sqlite3.Connection], T]) -> T:
        with to_read(self.path):  # an archive that is not there is not made for this
            _stage(order_ids, self._writer.write)
        done = self._writer.write(job)
        self._writer.alone(lambda db: maintenance.compact(db, self.path))
        return done

    # Reading

    def flaws(self) -> Iterator[Flaw]:
        """What is not as it was written: in the file, in the body of a response, in the ledger.

        Raises:
            ConfigError: there is no such file.
            ArchiveError: the file is damaged so that it cannot be read to its end.
        """
        with to_read(self.path) as db:
            yield from maintenance.flaws(db)

    def survey(self, order_ids: Iterable[int], *, fresh_since: datetime | None = None, new_run: bool = False) -> Batch:
        """The batch as `begin` would find it; nothing is written."""
        with to_read(self.path, missing_ok=True) as db:
            db.execute("BEGIN")
            given = _stage(order_ids, lambda job: job(db))
            return _survey(db, given, fresh_since, new_run=new_run)

    def pending(self, run: int) -> Iterator[int]:
        """The orders of the run neither fetched nor skipped, by id, in flat memory; safe while others write."""
        sql = f"SELECT order_id FROM asked i WHERE run = :run AND order_id > :last AND {_PENDING} LIMIT {CHUNK}"  # noqa: S608
        last = 0
        while True:
            # a new look for each chunk: one long look would keep the write-ahead log from being emptied
            with to_read(self.path) as db:
                chunk = [order_id for (order_id,) in db.execute(sql, {"run": run, "last": last})]
            if not chunk:
                return
            yield from chunk
            last = chunk[-1]

    def outcomes(self, run: int) -> dict[Outcome, int]:
        """How many orders of the run ended how, the last attempt of each counting."""
        sql = f"SELECT outcome, count(*) FROM attempts t WHERE run = ? AND {LAST_OF_RUN} GROUP BY outcome"  # noqa: S608
        with to_read(self.path) as db:
            return {Outcome(outcome): count for outcome, count in db.execute(sql, (run,))}

    def last(self) -> int:
        """Number of the last response: what comes later is left out by `newest` and `index` if they are told so.

        Raises:
            ConfigError: there is no such file.
        """
        with to_read(self.path) as db:
            (last,) = db.execute("SELECT ifnull(max(response), 0) FROM responses").fetchone()
            return int(last)

    def index(self, as_of: datetime | None = None, *, last: int = LARGEST) -> Iterator[pl.DataFrame]:
        """What `newest` yields, without the bodies, in frames: order_id, fetched_at, size in bytes, fingerprint."""
        with to_read(self.path) as db:
            yield from responses.index(db, as_of, last)

    def newest(
        self,
        as_of: datetime | None = None,
        *,
        last: int = LARGEST,
        first_order: int = -LARGEST,
        order_ids: Iterable[int] | None = None,
    ) -> Iterator[RawOrder]:
        """The newest good response of each order, by order id, in flat memory.

        `as_of` leaves out responses that were fetched later, `last` those with a higher number; `first_order` is the id
        to begin with; `order_ids` are the only orders wanted.

        Raises:
            ConfigError: there is no such file.
            ArchiveError: a response is not what was once written.
        """
        with to_read(self.path) as db:
            if order_ids is not None:
                _stage(order_ids, lambda job: job(db))
            yield from responses.newest(db, self.path, as_of, last, first_order, of_ids=order_ids is not None)

    def responses(self, order_ids: Iterable[int] | None = None, since: datetime | None = None) -> Iterator[RawOrder]:
        """All good responses of some orders, None: of all, by order id and time, in flat memory.

        `since` leaves out those that arrived before it, but for the last one of each order that has a later one: what
        arrived can be compared with it.

        Raises:
            ConfigError: there is no such file.
            ArchiveError: a response is not what was once written.
        """
        with to_read(self.path) as db:
            if order_ids is not None:
                _stage(order_ids, lambda job: job(db))
            yield from responses.since(db, self.path, since, of_ids=order_ids is not None)

    def export(self, address: str | os.PathLike[str], *, progress: bool | None = None) -> RawExport:
        """Write all answers that have a body, good or not, as parquet to a folder or an address (s3://, gs://, az://).

        A build reads them there as it reads the archive, on any machine. They replace what an earlier export of this
        archive left there; what is the same is not written again. Answers that come meanwhile wait for the next export.
        Headers, runs and the ledger stay in the archive alone, and what is erased from the archive later stays in an
        export until the next one. `progress` shows a bar on stderr; None: on a terminal and in a notebook.

        Raises:
            ConfigError: there is no such file, or the place holds something else.
            ArchiveError: a response is not what was once written, or another export to the place was first.
            ExportError: the place cannot be written.
        """
        from quivo_frames.archive.raw_export import writer
        from quivo_frames.storage.place import place

        last = self.last()
        with bar("export", last, progress) as shown, closing(self._every(last)) as rows:
            return writer.write(place(address), rows, self.path.name, last, shown.update)

    def _every(self, last: int) -> Generator[Row]:
        with to_read(self.path) as db:
            yield from responses.every(db, self.path, last)

    def attempts(self) -> pl.DataFrame:
        """The ledger, a row an attempt, which is one order asked for in one run, with all its tries.

        order_id, run, at (UTC), tries, throttled (tries answered with 429), seconds (all tries with their waits),
        latency (seconds from the last request to the end of its answer; null: no answer), outcome, http_status,
        message.
        """
        with to_read(self.path) as db:
            return ledger.attempts(db, None, failed=False)

    def failures(self, run: int | None = None) -> pl.DataFrame:
        """The attempts that left an order without a good answer, of a run or of all; an order's last one counts.

        The columns are those of `attempts`.
        """
        with to_read(self.path) as db:
            return ledger.attempts(db, run, failed=True)

    def runs(self) -> pl.DataFrame:
        """The runs: how many orders ended how, and how fast and how gently it went.

        run, started_at, finished_at (UTC; null: not finished), asked, fetched, skipped, failed, left (orders),
        requests, throttled (requests answered with 429), rate (requests per second; pauses of more than a minute do
        not count), latency_p50, latency_p90, latency_p99 (seconds).
        """
        with to_read(self.path) as db:
            return ledger.runs(db)

    def recent_rate(self) -> float | None:
        """The requests per second that the last thousand attempts reached; None where there are too few to tell."""
        with to_read(self.path, missing_ok=True) as db:
            return ledger.recent_rate(db)

    def counts(self) -> dict[str, int]:
        """The archive at a glance: orders with a good response, good responses, runs, and unfinished ones."""
        sql = """SELECT (SELECT count(DISTINCT order_id) FROM responses WHERE good),
                        (SELECT count(*) FROM responses WHERE good),
                        (SELECT count(*) FROM runs), (SELECT count(*) FROM runs WHERE finished_at IS NULL)"""
        with to_read(self.path, missing_ok=True) as db:
            return dict(zip(("orders", "responses", "runs", "unfinished"), db.execute(sql).fetchone(), strict=True))

    def __repr__(self) -> str:
        """The counts in a line."""
        told = ", ".join(f"{count} {name}" for name, count in self.counts().items())
        return f"<Archive {self.path}: {told}>"

    def _repr_html_(self) -> str:
        return face(f"Archive {self.path}", self.counts().items())


def _stage(order_ids: Iterable[int], do: Callable[[Callable[[sqlite3.Connection], Any]], Any]) -> int:
    """Put the ids, each once, into the table temp.ids, in flat memory; returns how many were given."""
    do(lambda db: db.execute("CREATE TEMP TABLE IF NOT EXISTS ids (order_id INTEGER PRIMARY KEY)").rowcount)
    do(lambda db: db.execute("DELETE FROM temp.ids").rowcount)
    given, rest = 0, iter(order_ids)
    while chunk := [(order_id,) for order_id in islice(rest, CHUNK)]:
        do(partial(_add_ids, chunk))
        given += len(chunk)
    return given


def _add_ids(chunk: list[tuple[int]], db: sqlite3.Connection) -> None:
    db.executemany("INSERT OR IGNORE INTO temp.ids VALUES (?)", chunk)


def _survey(db: sqlite3.Connection, given: int, fresh_since: datetime | None, *, new_run: bool) -> Batch:
    digest, asked = hashlib.sha256(), 0
    for (order_id,) in db.execute("SELECT order_id FROM temp.ids ORDER BY order_id"):
        digest.update(b"%d\n" % order_id)
        asked += 1
    sql = "SELECT run, finished_at FROM runs WHERE digest = ? ORDER BY run DESC LIMIT 1"
    run, finished_at = db.execute(sql, (digest.hexdigest(),)).fetchone() or (None, None)
    run = None if new_run or finished_at else run
    values = {"run": run, "fresh_since": _since(fresh_since)}
    (left,) = db.execute(f"SELECT count(*) FROM temp.ids i WHERE {_PENDING}", values).fetchone()  # noqa: S608
    (fresh,) = db.execute(f"SELECT count(*) FROM temp.ids i WHERE {_PENDING} AND {_FRESH}", values).fetchone()  # noqa: S608
    return Batch(run, asked, given - asked, asked - left, fresh, digest.hexdigest())


def _packed(run: int, at: str, answer: Answer) -> dict[str, Any]:
    headers = {
        name: value
        for name, value in answer.headers.items()
        if not any(part in name.lower() for part in SECRET_HEADERS)
    }
    return {
        "order_id": answer.order_id,
        "run": run,
        "fetched_at": at,
        "http_status": answer.status,
        "headers": json.dumps(headers, ensure_ascii=False),
        "good": answer.outcome is Outcome.FETCHED,
        "size": len(answer.body),
        "sha256": hashlib.sha256(answer.body).digest(),
        "body": zstandard.compress(answer.body),
    }


def _since(moment: datetime | None) -> str:
    return instant(moment) if moment else "9999"  # later than anything: nothing is fresh
