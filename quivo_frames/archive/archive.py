"""The archive: runs begin and finish in it, answers are recorded, responses are read."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from quivo_frames.archive import ledger, maintenance, responses
from quivo_frames.archive.database import (
    RENEW_SEAL,
    format_instant,
    open_for_reading,
    read_format_version,
    refuse_damaged_values,
)
from quivo_frames.archive.erasures import hold_off_erasures
from quivo_frames.archive.ledger import IS_LAST_IN_RUN
from quivo_frames.archive.responses import MAX_BODY_BYTES, MAX_INT64
from quivo_frames.archive.run_survey import RunSurvey, begin_run, pending_ids, stage_ids, survey_ids
from quivo_frames.archive.service import read_service, require_service
from quivo_frames.archive.verification import find_flaws
from quivo_frames.archive.writer import ArchiveWriter
from quivo_frames.display.html import html_table
from quivo_frames.display.text import terminal_text
from quivo_frames.errors import ArchiveError, ConfigError, is_caused_by_full_disk
from quivo_frames.model.records import Outcome
from quivo_frames.storage.compressed import compress_frame
from quivo_frames.storage.path_names import check_path

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    import polars as pl

    from quivo_frames.archive.maintenance import ErasedCounts
    from quivo_frames.archive.raw_export.writer import RawExport, SegmentSizes
    from quivo_frames.archive.verification import ArchiveFlaw
    from quivo_frames.model.records import Answer, RawOrder
    from quivo_frames.storage.output_register import OutputRegister, RegisterContent


_OUTPUTS_SUFFIX = ".outputs.json"
_OUTPUTS_REMEDY = (
    "It lists what was saved from the archive, so that `forget` can name it. Take it from a backup; or delete it, and "
    "save again what there is."
)
SECRET_HEADERS = ("authorization", "cookie", "token", "api-key")

_INSERT_ATTEMPT = """
INSERT INTO attempts (order_id, run, at, tries, throttled, seconds, latency, outcome, http_status, message, seal)
VALUES (:order_id, :run, :at, :tries, :throttled, :seconds, :latency, :outcome, :status, :message,
    row_seal(:order_id, :run, :at, :tries, :throttled, :seconds, :latency, :outcome, :status, :message))
"""
_INSERT_RESPONSE = """
INSERT INTO responses (order_id, run, fetched_at, http_status, headers, good, size, sha256, body, seal)
VALUES (:order_id, :run, :fetched_at, :http_status, :headers, :good, :size, :sha256, :body,
    row_seal(:order_id, :run, :fetched_at, :http_status, :headers, :good, :size, :sha256))
"""


class Archive:
    """Every answer as received, and the ledger of all attempts, in one file of SQLite.

    The first write creates the file, readable by its owner alone. Any number of processes read it; one writes.

    Raises:
        ConfigError: the file is no archive, or its folder does not exist.
        ArchiveError: from any method: the disk refuses, or another process is writing.
    """

    _segment_sizes: SegmentSizes | None = None
    """How large the segments of an export are; None: as they are by default."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = check_path(path)
        self._writer = ArchiveWriter(self.path)
        if not self.path.parent.is_dir():
            raise ConfigError(f"The folder {self.path.parent} does not exist: create it, or name another archive.")
        read_format_version(self.path)

    def close(self) -> None:
        """Finish writing, and let another process write. Reading stays possible."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def outputs(self) -> OutputRegister[RegisterContent]:
        """The raw exports and files of changes that were saved from the archive, in a file beside it."""
        from quivo_frames.storage.output_register import OutputRegister, RegisterContent
        from quivo_frames.storage.place import open_place

        folder, name = self.path.absolute().parent, f"{self.path.name}{_OUTPUTS_SUFFIX}"
        return OutputRegister(open_place(folder), name, RegisterContent, _OUTPUTS_REMEDY, ArchiveError)

    # Writing

    def begin(
        self,
        order_ids: Iterable[int],
        *,
        fresh_since: datetime | None = None,
        new_run: bool = False,
        again: bool = False,
        service: str | None = None,
        service_moved: bool = False,
    ) -> tuple[int, RunSurvey]:
        """Resume the unfinished run of the same ids, unless `new_run`, or begin a new one; the run, and its survey.

        Orders with a good response since `fresh_since` are recorded as skipped. Orders that were erased are left out,
        unless they are to be fetched `again`. All ids are read before that. `service` names where the answers will come
        from; it is recorded if none is yet, or if it has moved to another address.

        Raises:
            ConfigError: the answers in the archive came from another service; nothing was written.
        """
        given = stage_ids(order_ids, self._writer.commit_job)

        def begin(db: sqlite3.Connection) -> tuple[int, RunSurvey]:
            if service:
                require_service(db, self.path, service, has_moved=service_moved)
            return begin_run(db, given, fresh_since, new_run=new_run, again=again)

        return self._writer.commit_job(begin)

    def record(self, run: int, answer: Answer) -> None:
        """Write an answer and its attempt in the ledger; when this returns, they are on the disk.

        Raises:
            ConfigError: the answer is larger than any that the client lets through.
        """
        if len(answer.body) > MAX_BODY_BYTES:
            raise ConfigError(f"The answer about order {answer.order_id} is too large: {len(answer.body):,} bytes.")
        at = format_instant(answer.answered_at)
        latency = None if answer.latency is None else float(answer.latency)
        attempt = {**answer._asdict(), "run": run, "at": at, "seconds": float(answer.seconds), "latency": latency}
        response = _response_values(run, at, answer) if answer.body else None

        def insert(db: sqlite3.Connection) -> None:
            db.execute(_INSERT_ATTEMPT, attempt)
            if response:
                db.execute(_INSERT_RESPONSE, response)

        self._writer.commit_job(insert)

    def finish(self, run: int) -> None:
        """Record that every order of the run was asked for."""
        now = format_instant(datetime.now(UTC))

        def update(db: sqlite3.Connection) -> None:
            db.execute("UPDATE runs SET finished_at = ? WHERE run = ?", (now, run))
            db.execute(f"{RENEW_SEAL['runs']} WHERE run = ?", (run,))

        self._writer.commit_job(update)

    def erase(self, order_ids: Iterable[int]) -> ErasedCounts:
        """Erase all answers of some orders and their attempts in the ledger; none of their bytes stay in the file.

        The ids stay in the record of erasures, so that builds and exports that are under way leave the orders out.

        Raises:
            ArchiveError: also if another process is reading: then they are deleted, but their bytes are still there.
        """
        return self._change_and_compact(order_ids, maintenance.erase_orders)

    def remove_personal_values(self, order_ids: Iterable[int]) -> int:
        """Remove personal values from all but the newest good answer of some orders, and count the changed answers.

        Raises:
            ArchiveError: as for `erase`.
        """
        job = partial(maintenance.remove_personal_values, path=self.path)
        return self._change_and_compact(order_ids, job).responses

    def _change_and_compact(
        self, order_ids: Iterable[int], job: Callable[[sqlite3.Connection], ErasedCounts]
    ) -> ErasedCounts:
        with open_for_reading(self.path):  # raises for a missing archive, instead of creating one
            pass
        try:
            stage_ids(order_ids, self._writer.commit_job)
            with hold_off_erasures(self.path):  # until those that publish have ended
                done = self._writer.commit_job(job)
        except ArchiveError as error:
            if is_caused_by_full_disk(error):
                problem = f"The disk is full, so nothing was erased from {self.path}."
                raise ArchiveError(f"{problem} Make room, and do the same again.") from error
            raise
        try:
            self._writer.run_exclusively(lambda db: maintenance.compact_database(db, self.path))
        except ArchiveError as error:
            if is_caused_by_full_disk(error):
                problem = "The disk is full, so the bytes of what was erased may still be in the file."
                raise maintenance.UnfinishedErasure(f"{problem} Make room, and do the same again.", done) from error
            raise maintenance.UnfinishedErasure(str(error), done) from error
        return done

    # Reading

    @property
    def service(self) -> str | None:
        """The address that the answers came from, or the stand-in; None: an earlier version has not recorded it."""
        with open_for_reading(self.path, missing_ok=True) as db:
            return read_service(db)

    def find_flaws(self) -> Iterator[ArchiveFlaw]:
        """Damage to the file, to the body of a response, or to the ledger.

        Raises:
            ConfigError: there is no such file.
            ArchiveError: the file is too damaged to be read to its end.
        """
        yield from find_flaws(self.path)

    def survey(
        self,
        order_ids: Iterable[int],
        *,
        fresh_since: datetime | None = None,
        new_run: bool = False,
        again: bool = False,
    ) -> RunSurvey:
        """What `begin` would find out about these ids; nothing is written."""
        with open_for_reading(self.path, missing_ok=True) as db:
            given = stage_ids(order_ids, lambda job: job(db))
            return survey_ids(db, given, fresh_since, new_run=new_run, again=again)

    def pending(self, run: int) -> Iterator[int]:
        """The orders of a run that are neither fetched nor skipped, by id, in flat memory; safe while others write."""
        return pending_ids(self.path, run)

    def outcomes(self, run: int) -> dict[Outcome, int]:
        """How many orders of a run had which outcome; the last attempt of each order counts."""
        sql = f"SELECT outcome, count(*) FROM attempts t WHERE run = ? AND {IS_LAST_IN_RUN} GROUP BY outcome"  # noqa: S608
        with open_for_reading(self.path) as db, refuse_damaged_values():
            return {Outcome(outcome): count for outcome, count in db.execute(sql, (run,))}

    def last_response(self) -> int:
        """The number of the last response, with which `newest` and `index_newest` leave out what comes later."""
        return responses.last_response(self.path)

    def read_state(self, last: int) -> responses.ReadPosition:
        """Up to where it is read by those who read it up to its response `last`."""
        with open_for_reading(self.path) as db:
            return responses.read_state(db, last)

    def index_newest(
        self, as_of: datetime | None = None, *, last: int = MAX_INT64, after: int = 0
    ) -> Iterator[pl.DataFrame]:
        """What `newest` yields, but without bodies, in frames; only orders with a good response `after` a number.

        Columns: order_id, fetched_at, size in bytes, fingerprint, and clock_ran_backwards: whether an earlier response
        of the order has a later time.
        """
        with open_for_reading(self.path) as db:
            yield from responses.index_newest(db, self.path, as_of, last, after)

    def newest(
        self,
        as_of: datetime | None = None,
        *,
        last: int = MAX_INT64,
        first_order: int | None = None,
        order_ids: Iterable[int] | None = None,
    ) -> Iterator[RawOrder]:
        """The newest good response of each order, which is the last that was recorded, by order id, in flat memory.

        `as_of` leaves out responses that were fetched later, by their times, `last` those with a higher number,
        `first_order` orders with a lower id; `order_ids` are the only orders wanted.

        Raises:
            ConfigError: there is no such file.
            ArchiveError: a response is damaged.
        """
        with self._reading(order_ids) as db:
            yield from responses.read_newest(db, self.path, as_of, last, first_order, of_ids=order_ids is not None)

    def responses(self, order_ids: Iterable[int] | None = None, since: datetime | None = None) -> Iterator[RawOrder]:
        """All good responses of some orders (None: of all), by order id, as they were recorded, in flat memory.

        With `since`, an order has its responses from the first one since then, and before it the one to compare with.

        Raises:
            ConfigError: there is no such file.
            ArchiveError: a response is damaged.
        """
        with self._reading(order_ids) as db:
            yield from responses.read_since(db, self.path, since, of_ids=order_ids is not None)

    @contextmanager
    def _reading(self, order_ids: Iterable[int] | None) -> Iterator[sqlite3.Connection]:
        with open_for_reading(self.path) as db:
            if order_ids is not None:
                stage_ids(order_ids, lambda job: job(db))
            yield db

    def export(self, address: str | os.PathLike[str], *, progress: bool | None = None) -> RawExport:
        """Write all answers that have a body, good or not, as parquet to a folder or an address of an object store.

        A build on any machine reads them there as it reads the archive. They replace an earlier export of this archive;
        segments that stay the same are not written again. Answers that arrive meanwhile are left to the next export;
        orders that are erased meanwhile are left out. Headers, runs and the ledger are not exported. What is erased
        from the archive later stays in an export until the next one. `progress` shows a bar on stderr; None: on a
        terminal and in a notebook. The place is remembered in `outputs`.

        Raises:
            ConfigError: there is no such file, or the place holds something else.
            ArchiveError: a response is damaged, or another export to the place was completed first.
            ExportError: the place cannot be written.
        """
        from quivo_frames.archive.raw_export.export import export_archive
        from quivo_frames.archive.raw_export.writer import DEFAULT_SIZES

        return export_archive(self.path, address, self.outputs, self._segment_sizes or DEFAULT_SIZES, progress)

    def attempts(self, order_id: int | None = None) -> pl.DataFrame:
        """The ledger: one row per attempt (one order asked for in one run, with all its tries), of all orders or one.

        order_id, run, at (UTC), tries, throttled (tries answered with 429), seconds (all tries and the waits between),
        latency (seconds from the last request to the end of its answer; null: no answer), outcome, http_status,
        message.
        """
        with open_for_reading(self.path) as db:
            return ledger.read_attempts(db, None, failed=False, order_id=order_id)

    def failures(self, run: int | None = None) -> pl.DataFrame:
        """The orders of a run, or of all runs, whose last attempt got no good answer: that attempt of each.

        The columns are those of `attempts`.
        """
        with open_for_reading(self.path) as db:
            return ledger.read_attempts(db, run, failed=True)

    def runs(self) -> pl.DataFrame:
        """One row per run: how many orders had which outcome, and at which rate they were asked for.

        run, started_at, finished_at (UTC; null: not finished), asked, fetched, skipped, failed, left (orders),
        requests, throttled (requests answered with 429), rate (requests per second; pauses of more than a minute do
        not count), latency_p50, latency_p90, latency_p99 (seconds).
        """
        with open_for_reading(self.path) as db:
            return ledger.read_runs(db)

    def recent_rate(self) -> float | None:
        """The requests per second of the last thousand attempts, without pauses; None if there are too few to tell."""
        with open_for_reading(self.path, missing_ok=True) as db:
            return ledger.recent_rate(db)

    def counts(self) -> dict[str, int]:
        """The number of orders with a good response, of good responses, of runs, and of unfinished runs."""
        sql = """SELECT (SELECT count(DISTINCT order_id) FROM responses WHERE good),
                        (SELECT count(*) FROM responses WHERE good),
                        (SELECT count(*) FROM runs), (SELECT count(*) FROM runs WHERE finished_at IS NULL)"""
        with open_for_reading(self.path, missing_ok=True) as db:
            return dict(zip(("orders", "responses", "runs", "unfinished"), db.execute(sql).fetchone(), strict=True))

    def __repr__(self) -> str:
        """The path and the counts."""
        counts = ", ".join(f"{count} {name}" for name, count in self.counts().items())
        return terminal_text(f"<Archive {self.path}: {counts}>")

    def _repr_html_(self) -> str:
        return html_table(f"Archive {self.path}", self.counts().items())


def _response_values(run: int, at: str, answer: Answer) -> dict[str, Any]:
    """The row of an answer in the table of responses, without headers that hold credentials."""
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
        "body": compress_frame(answer.body),
    }
