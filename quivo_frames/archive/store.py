"""Every answer as it was received, and the ledger of what was asked. Floor 3. Only here: sqlite3.

One SQLite file. Nothing in it is ever overwritten: a second refetch of an order is a second response. One thread
writes, in groups, and `record` returns only when the group is committed to the disk. Readers have connections of their
own and may read at any time.
"""

from __future__ import annotations

import hashlib
import html
import json
import logging
import os
import queue
import sqlite3
import threading
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import zstandard
from filelock import FileLock, Timeout

from quivo_frames.errors import ArchiveError, ConfigError
from quivo_frames.response import Outcome, RawOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    import polars as pl

    from quivo_frames.response import Answer

    T = TypeVar("T")
    Job = tuple[Callable[[sqlite3.Connection], Any], Future[Any]]

logger = logging.getLogger(__name__)

APPLICATION_ID = 0x51764672  # "QvFr"
FORMAT = 1
PAGE_BYTES = 16384  # an answer takes 2-3 KB compressed: pages of 4 KB would be half empty
GROUP = 256  # most writes of one commit
LARGEST = 2**63 - 1
CHUNK = 1000  # ids read or written at a time
SECRET_HEADERS = ("authorization", "cookie", "token", "api-key")

SCHEMA = f"""
BEGIN;
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, digest TEXT NOT NULL, asked INTEGER NOT NULL, started_at TEXT NOT NULL, finished_at TEXT
);
CREATE INDEX runs_digest ON runs (digest, run);
CREATE TABLE asked (run INTEGER NOT NULL, order_id INTEGER NOT NULL, PRIMARY KEY (run, order_id)) WITHOUT ROWID;
CREATE TABLE responses (
    response INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, run INTEGER NOT NULL, fetched_at TEXT NOT NULL,
    http_status INTEGER, headers TEXT NOT NULL, good INTEGER NOT NULL, size INTEGER NOT NULL, sha256 BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX responses_good ON responses (order_id, fetched_at) WHERE good;
CREATE TABLE attempts (
    attempt INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, run INTEGER NOT NULL, at TEXT NOT NULL,
    tries INTEGER NOT NULL, seconds REAL NOT NULL, outcome TEXT NOT NULL, http_status INTEGER, message TEXT NOT NULL
);
CREATE INDEX attempts_run ON attempts (run, order_id);
CREATE INDEX attempts_order ON attempts (order_id);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
COMMIT;
"""

_DONE = f"outcome IN ('{Outcome.FETCHED}', '{Outcome.SKIPPED}')"
_HANDLED = f"SELECT 1 FROM attempts t WHERE t.run = :run AND t.order_id = i.order_id AND {_DONE}"  # noqa: S608
_PENDING = f"NOT EXISTS ({_HANDLED})"
_FRESH = "EXISTS (SELECT 1 FROM responses r WHERE r.good AND r.order_id = i.order_id AND r.fetched_at >= :fresh_since)"
_LAST_OF_ALL = "NOT EXISTS (SELECT 1 FROM attempts n WHERE n.order_id = t.order_id AND n.attempt > t.attempt)"
_LAST_OF_RUN = _LAST_OF_ALL.replace("WHERE ", "WHERE n.run = t.run AND ")
_SKIP_FRESH = f"""
INSERT INTO attempts (order_id, run, at, tries, seconds, outcome, message)
SELECT order_id, :run, :now, 0, 0.0, '{Outcome.SKIPPED}', 'fetched recently' FROM temp.ids i
WHERE {_PENDING} AND {_FRESH}
"""  # noqa: S608
_INSERT_ATTEMPT = """
INSERT INTO attempts (order_id, run, at, tries, seconds, outcome, http_status, message)
VALUES (:order_id, :run, :at, :tries, :seconds, :outcome, :status, :message)
"""
_INSERT_RESPONSE = """
INSERT INTO responses (order_id, run, fetched_at, http_status, headers, good, size, sha256, body)
VALUES (:order_id, :run, :fetched_at, :http_status, :headers, :good, :size, :sha256, :body)
"""
_NEWEST = """
FROM responses r
WHERE good AND order_id >= :first_order AND response = (
    SELECT response FROM responses n
    WHERE n.good AND n.order_id = r.order_id AND n.fetched_at <= :as_of AND n.response <= :last
    ORDER BY fetched_at DESC, response DESC LIMIT 1)
ORDER BY order_id
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
        self._guard = threading.Lock()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._lock = FileLock(f"{self.path}.lock", timeout=0, mode=0o600, thread_local=False)
        if not self.path.parent.is_dir():
            raise ConfigError(f"The folder {self.path.parent} does not exist: create it, or name another archive.")
        self._exists()

    def close(self) -> None:
        """Finish what is being written, and let another process write. Reading stays possible."""
        with self._guard:
            if self._writer:
                self._jobs.put(None)
                self._writer.join()
                self._writer = None
                self._lock.release()

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
        given = _stage(order_ids, self._write)

        def begin(db: sqlite3.Connection) -> tuple[int, Batch]:
            batch = _survey(db, given, fresh_since, new_run=new_run)
            now, run = _text(datetime.now(UTC)), batch.resumed
            if run is None:
                sql = "INSERT INTO runs (digest, asked, started_at) VALUES (?, ?, ?)"
                run = int(db.execute(sql, (batch.digest, batch.asked, now)).lastrowid or 0)
                db.execute("INSERT INTO asked SELECT ?, order_id FROM temp.ids", (run,))
            db.execute(_SKIP_FRESH, {"run": run, "now": now, "fresh_since": _since(fresh_since)})
            db.execute("DELETE FROM temp.ids")
            return run, batch

        return self._write(begin)

    def record(self, run: int, answer: Answer) -> None:
        """Keep an answer and its line in the ledger; when this returns, they are on the disk."""
        at = _text(answer.answered_at)
        attempt = {**answer._asdict(), "run": run, "at": at}
        response = _packed(run, at, answer) if answer.body else None

        def insert(db: sqlite3.Connection) -> None:
            db.execute(_INSERT_ATTEMPT, attempt)
            if response:
                db.execute(_INSERT_RESPONSE, response)

        self._write(insert)

    def finish(self, run: int) -> None:
        """Note that every order of the run had its turn."""
        now = _text(datetime.now(UTC))
        self._write(lambda db: db.execute("UPDATE runs SET finished_at = ? WHERE run = ?", (now, run)).rowcount)

    # Reading

    def survey(self, order_ids: Iterable[int], *, fresh_since: datetime | None = None, new_run: bool = False) -> Batch:
        """The batch as `begin` would find it; nothing is written."""
        with self._reading(missing_ok=True) as db:
            db.execute("BEGIN")
            given = _stage(order_ids, lambda job: job(db))
            return _survey(db, given, fresh_since, new_run=new_run)

    def pending(self, run: int) -> Iterator[int]:
        """The orders of the run neither fetched nor skipped, by id, in flat memory; safe while others write."""
        sql = f"SELECT order_id FROM asked i WHERE run = :run AND order_id > :last AND {_PENDING} LIMIT {CHUNK}"  # noqa: S608
        last = 0
        while True:
            # a new look for each chunk: one long look would keep the write-ahead log from being emptied
            with self._reading() as db:
                chunk = [order_id for (order_id,) in db.execute(sql, {"run": run, "last": last})]
            if not chunk:
                return
            yield from chunk
            last = chunk[-1]

    def outcomes(self, run: int) -> dict[Outcome, int]:
        """How many orders of the run ended how, the last attempt of each counting."""
        sql = f"SELECT outcome, count(*) FROM attempts t WHERE run = ? AND {_LAST_OF_RUN} GROUP BY outcome"  # noqa: S608
        with self._reading() as db:
            return {Outcome(outcome): count for outcome, count in db.execute(sql, (run,))}

    def last(self) -> int:
        """Number of the last response: what comes later is left out by `newest` and `index` if they are told so.

        Raises:
            ConfigError: there is no such file.
        """
        with self._reading() as db:
            (last,) = db.execute("SELECT ifnull(max(response), 0) FROM responses").fetchone()
            return int(last)

    def index(self, *, last: int = LARGEST) -> Iterator[tuple[int, datetime, int]]:
        """Order id, fetched_at and size in bytes of what `newest` yields, without reading the bodies."""
        limits = {"as_of": "9999", "last": last, "first_order": -LARGEST}
        with self._reading() as db:
            found = db.execute(f"SELECT order_id, fetched_at, size {_NEWEST}", limits)
            yield from ((order_id, datetime.fromisoformat(at), size) for order_id, at, size in found)

    def newest(
        self, as_of: datetime | None = None, *, last: int = LARGEST, first_order: int = -LARGEST
    ) -> Iterator[RawOrder]:
        """The newest good response of each order, by order id, in flat memory.

        `as_of` leaves out responses that were fetched later, `last` those with a higher number; `first_order` is the id
        to begin with.

        Raises:
            ConfigError: there is no such file.
            ArchiveError: a response is not what was once written.
        """
        decompressor = zstandard.ZstdDecompressor()
        with self._reading() as db:
            limits = {"as_of": _text(as_of) if as_of else "9999", "last": last, "first_order": first_order}
            rows = db.execute(f"SELECT response, order_id, fetched_at, size, sha256, body {_NEWEST}", limits)
            for response, order_id, fetched_at, size, sha256, packed in rows:
                try:
                    body = decompressor.decompress(packed, max_output_size=size)
                except zstandard.ZstdError:
                    body = b""
                if hashlib.sha256(body).digest() != sha256:
                    raise ArchiveError(
                        f"{self.path}: response {response} (order {order_id}) was damaged on the disk. Take the "
                        f"archive from a backup, or fetch the order again with `quivo-frames refetch {order_id}`."
                    )
                at = datetime.fromisoformat(fetched_at)
                yield RawOrder(body, order_id, at, self.path.name, f"response {response}")

    def attempts(self) -> pl.DataFrame:
        """The ledger: order_id, run, at (UTC), tries, seconds, outcome, http_status, message; a row an attempt."""
        return self._ledger("")

    def failures(self, run: int | None = None) -> pl.DataFrame:
        """The attempts that left an order without a good answer, of a run or of all; an order's last one counts."""
        last = _LAST_OF_ALL if run is None else f"run = {run:d} AND {_LAST_OF_RUN}"
        return self._ledger(f"WHERE NOT {_DONE} AND {last}")

    def runs(self) -> pl.DataFrame:
        """The runs: run, started_at, finished_at (UTC; null: not finished), asked, fetched, skipped, failed."""
        import polars as pl

        counted = ", ".join(
            f"count(*) FILTER (WHERE {rule}) AS {name}"
            for name, rule in {
                "fetched": f"outcome = '{Outcome.FETCHED}'",
                "skipped": f"outcome = '{Outcome.SKIPPED}'",
                "failed": f"NOT {_DONE}",
            }.items()
        )
        sql = f"""
            SELECT run, started_at, finished_at, asked, ifnull(fetched, 0), ifnull(skipped, 0), ifnull(failed, 0)
            FROM runs LEFT JOIN (SELECT run, {counted} FROM attempts t WHERE {_LAST_OF_RUN} GROUP BY run) USING (run)
            ORDER BY run"""  # noqa: S608
        counts = dict.fromkeys(("asked", "fetched", "skipped", "failed"), pl.Int64)
        return self._frame(sql, {"run": pl.Int64, "started_at": pl.String, "finished_at": pl.String, **counts})

    def counts(self) -> dict[str, int]:
        """The archive at a glance: orders with a good response, good responses, runs, and unfinished ones."""
        sql = """SELECT (SELECT count(DISTINCT order_id) FROM responses WHERE good),
                        (SELECT count(*) FROM responses WHERE good),
                        (SELECT count(*) FROM runs), (SELECT count(*) FROM runs WHERE finished_at IS NULL)"""
        with self._reading(missing_ok=True) as db:
            return dict(zip(("orders", "responses", "runs", "unfinished"), db.execute(sql).fetchone(), strict=True))

    def __repr__(self) -> str:
        """The counts in a line."""
        told = ", ".join(f"{count} {name}" for name, count in self.counts().items())
        return f"<Archive {self.path}: {told}>"

    def _repr_html_(self) -> str:
        cells = "".join(f"<tr><th>{name}</th><td>{count:,}</td></tr>" for name, count in self.counts().items())
        return f"<table><caption>Archive {html.escape(str(self.path))}</caption>{cells}</table>"

    # Inside

    def _exists(self) -> bool:
        """Whether there is an archive; raises ConfigError for a file that is something else."""
        if not self.path.exists():
            return False
        if not self.path.is_file():
            raise _foreign(self.path)
        try:
            with closing(_connect(self.path, "ro")) as db:
                (application,) = db.execute("PRAGMA application_id").fetchone()
                (found,) = db.execute("PRAGMA user_version").fetchone()
                blank = application == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            if _is(error, "NOTADB"):
                raise _foreign(self.path) from error
            raise self._trouble(error) from error
        if application != APPLICATION_ID and not blank:
            raise _foreign(self.path)
        if found > FORMAT:
            raise ConfigError(f"{self.path} was written by a newer quivo_frames: update this one to read it.")
        return not blank

    @contextmanager
    def _reading(self, *, missing_ok: bool = False) -> Iterator[sqlite3.Connection]:
        exists = self._exists()
        if not exists and not missing_ok:
            raise ConfigError(f"There is no archive {self.path} yet: check the name, or refetch orders into it first.")
        try:
            with closing(_connect(self.path, "ro") if exists else sqlite3.connect("", isolation_level=None)) as db:
                if not exists:
                    db.executescript(SCHEMA)
                yield db
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def _ledger(self, where: str) -> pl.DataFrame:
        import polars as pl

        sql = f"""SELECT order_id, run, at, tries, seconds, outcome, http_status, message
                  FROM attempts t {where} ORDER BY attempt"""  # noqa: S608
        schema = {"order_id": pl.Int64, "run": pl.Int64, "at": pl.String, "tries": pl.Int64, "seconds": pl.Float64}
        return self._frame(sql, {**schema, "outcome": pl.String, "http_status": pl.Int64, "message": pl.String})

    def _frame(self, sql: str, schema: Mapping[str, Any]) -> pl.DataFrame:
        import polars as pl

        with self._reading() as db:
            frame = pl.DataFrame(db.execute(sql).fetchall(), schema=schema, orient="row")
        instants = pl.col("^(at|started_at|finished_at)$")
        return frame.with_columns(instants.str.to_datetime(time_unit="us", time_zone="UTC"))

    def _write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """What the job returns, once its group is committed."""
        future: Future[T] = Future()
        with self._guard:
            if not self._writer:
                self._writer = threading.Thread(target=self._serve, args=(self._open(),), name="archive", daemon=True)
                self._writer.start()
            self._jobs.put((job, future))
        return future.result()

    def _open(self) -> sqlite3.Connection:
        """The connection that writes, when no other process does."""
        try:
            self._lock.acquire()
        except Timeout as error:
            raise ArchiveError(
                f"{self.path} is being written by another run: wait until it ends, or stop it. "
                "Reading (status, build) is possible meanwhile."
            ) from error
        except OSError as error:
            raise self._trouble(error) from error
        try:
            exists = self._exists()
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            db = _connect(self.path, "rw")
            for pragma in (f"page_size = {PAGE_BYTES}", "journal_mode = WAL", "synchronous = FULL"):
                db.execute(f"PRAGMA {pragma}")
            if not exists:
                db.executescript(SCHEMA)
                _sync_folder(self.path.parent)
        except BaseException as error:
            self._lock.release()
            raise (self._trouble(error) if isinstance(error, (OSError, sqlite3.Error)) else error) from error
        return db

    def _serve(self, db: sqlite3.Connection) -> None:
        """The thread that writes: whatever waits is one group."""
        with closing(db):
            while job := self._jobs.get():
                group = [job]
                while len(group) < GROUP and not self._jobs.empty() and (job := self._jobs.get()):
                    group.append(job)
                self._commit(db, group)
                if job is None:
                    return

    def _commit(self, db: sqlite3.Connection, group: list[Job]) -> None:
        try:
            db.execute("BEGIN IMMEDIATE")
            results = [job(db) for job, _ in group]
            db.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for this write
            if db.in_transaction:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            for _, future in group:
                future.set_exception(self._trouble(error) if isinstance(error, sqlite3.Error) else error)
        else:
            for (_, future), result in zip(group, results, strict=True):
                future.set_result(result)

    def _trouble(self, error: Exception) -> ArchiveError:
        if _is(error, "FULL"):
            return ArchiveError(
                f"The disk is full, {self.path} cannot grow: free some space and do the same again, "
                "it goes on where it stopped. Nothing that was kept is lost."
            )
        return ArchiveError(
            f"{self.path} cannot be read or written ({error}): check the disk and the permissions, "
            "then do the same again."
        )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)


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


def _text(moment: datetime) -> str:
    """UTC with microseconds: as text in order of time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _since(moment: datetime | None) -> str:
    return _text(moment) if moment else "9999"  # later than anything: nothing is fresh


def _sync_folder(folder: Path) -> None:
    """A new file survives a power failure only when its folder is on the disk too."""
    if os.name == "posix":
        entry = os.open(folder, os.O_RDONLY)
        os.fsync(entry)
        os.close(entry)


def _foreign(path: Path) -> ConfigError:
    return ConfigError(f"{path} is not an archive of quivo_frames: name another file.")


def _is(error: Exception, name: str) -> bool:
    return str(getattr(error, "sqlite_errorname", "")).startswith(f"SQLITE_{name}")
