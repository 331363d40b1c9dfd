"""The order ids of a run: what the archive knows of them before the first request, and which are still pending.

The ids of a call stand in the temporary table temp.ids of its connection, so that millions of them take no memory here.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from quivo_frames.archive.database import format_instant, open_for_reading
from quivo_frames.archive.erasures import ERASED
from quivo_frames.archive.ledger import IS_DONE
from quivo_frames.model.records import Outcome

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

ID_CHUNK = 1000
"""Order ids read or written at a time."""
_IS_PENDING = f"""
NOT EXISTS (SELECT 1 FROM attempts t WHERE t.run = :run AND t.order_id = i.order_id AND {IS_DONE})
"""  # noqa: S608
_LEAVE_OUT_FORGOTTEN = f"""
DELETE FROM temp.ids AS i
WHERE EXISTS (SELECT 1 FROM erasures e WHERE e.order_id = i.order_id AND e.reason = '{ERASED}')
AND NOT EXISTS (SELECT 1 FROM responses r WHERE r.order_id = i.order_id)
"""  # noqa: S608
"""Forgotten is an order that was erased, and that nobody has fetched on purpose since."""
_IS_FRESH = """
EXISTS (
    SELECT 1 FROM responses r WHERE r.good AND r.order_id = i.order_id AND r.fetched_at BETWEEN :fresh_since AND :now)
"""
_RECORD_FRESH_AS_SKIPPED = f"""
INSERT INTO attempts (order_id, run, at, tries, seconds, outcome, message, seal)
SELECT order_id, :run, :now, 0, 0.0, '{Outcome.SKIPPED}', 'fetched recently',
    row_seal(order_id, :run, :now, 0, 0, 0.0, NULL, '{Outcome.SKIPPED}', NULL, 'fetched recently') FROM temp.ids i
WHERE {_IS_PENDING} AND {_IS_FRESH}
"""  # noqa: S608
_INSERT_RUN = """
INSERT INTO runs (digest, asked, started_at, seal) VALUES (:digest, :asked, :now, row_seal(:digest, :asked, :now, NULL))
"""


class RunSurvey(NamedTuple):
    """What is known of a set of order ids before the first request.

    `resumed` is the unfinished run of the same ids that is continued, None for a new run. `asked` counts the distinct
    ids, `done` those that the run has already, `fresh` those of the others that were fetched recently enough. `digest`
    identifies the set of ids. `forgotten` ids are left out and in none of these counts: `forget` erased the orders.
    """

    resumed: int | None
    asked: int
    duplicates: int
    done: int
    fresh: int
    digest: str
    forgotten: int = 0

    @property
    def requests(self) -> int:
        """How many orders are still to be asked for."""
        return self.asked - self.done - self.fresh


def stage_ids(order_ids: Iterable[int], run_job: Callable[[Callable[[sqlite3.Connection], Any]], Any]) -> int:
    """Put the distinct ids into temp.ids, in flat memory, and return how many ids were given.

    `run_job` calls a job with the connection, as `ArchiveWriter.commit_job` does.
    """
    run_job(lambda db: db.execute("CREATE TEMP TABLE IF NOT EXISTS ids (order_id INTEGER PRIMARY KEY)").rowcount)
    run_job(lambda db: db.execute("DELETE FROM temp.ids").rowcount)
    given, remaining = 0, iter(order_ids)
    while chunk := [(order_id,) for order_id in islice(remaining, ID_CHUNK)]:
        run_job(partial(_insert_ids, chunk))
        given += len(chunk)
    return given


def _insert_ids(chunk: list[tuple[int]], db: sqlite3.Connection) -> None:
    db.executemany("INSERT OR IGNORE INTO temp.ids VALUES (?)", chunk)


def survey_ids(
    db: sqlite3.Connection, given: int, fresh_since: datetime | None, *, new_run: bool, again: bool
) -> RunSurvey:
    """What is known of the ids in temp.ids; `given` is their number with duplicates.

    Ids of forgotten orders are taken out of temp.ids, unless they are to be fetched `again`.
    """
    digest, distinct = hashlib.sha256(), 0
    for (order_id,) in db.execute("SELECT order_id FROM temp.ids ORDER BY order_id"):
        digest.update(b"%d\n" % order_id)
        distinct += 1
    forgotten = 0 if again else db.execute(_LEAVE_OUT_FORGOTTEN).rowcount
    asked = distinct - forgotten
    sql = "SELECT run, finished_at FROM runs WHERE digest = ? ORDER BY run DESC LIMIT 1"
    run, finished_at = db.execute(sql, (digest.hexdigest(),)).fetchone() or (None, None)
    run = None if new_run or finished_at else run
    values = {"run": run, "fresh_since": format_instant(fresh_since), "now": format_instant(datetime.now(UTC))}
    (pending,) = db.execute(f"SELECT count(*) FROM temp.ids i WHERE {_IS_PENDING}", values).fetchone()  # noqa: S608
    (fresh,) = db.execute(f"SELECT count(*) FROM temp.ids i WHERE {_IS_PENDING} AND {_IS_FRESH}", values).fetchone()  # noqa: S608
    return RunSurvey(run, asked, given - distinct, asked - pending, fresh, digest.hexdigest(), forgotten)


def begin_run(
    db: sqlite3.Connection, given: int, fresh_since: datetime | None, *, new_run: bool, again: bool
) -> tuple[int, RunSurvey]:
    """Begin or resume the run of the ids in temp.ids, and record those that are fresh as skipped."""
    survey = survey_ids(db, given, fresh_since, new_run=new_run, again=again)
    now, run = format_instant(datetime.now(UTC)), survey.resumed
    if run is None:
        begun = {"digest": survey.digest, "asked": survey.asked, "now": now}
        run = int(db.execute(_INSERT_RUN, begun).lastrowid or 0)
        db.execute("INSERT INTO asked SELECT ?, order_id FROM temp.ids", (run,))
    db.execute(_RECORD_FRESH_AS_SKIPPED, {"run": run, "now": now, "fresh_since": format_instant(fresh_since)})
    db.execute("DELETE FROM temp.ids")
    return run, survey


def pending_ids(path: Path, run: int, chunk_size: int = ID_CHUNK) -> Iterator[int]:
    """The orders of a run that are neither fetched nor skipped, by id, in flat memory; safe while others write."""
    sql = f"SELECT order_id FROM asked i WHERE run = :run AND order_id > :last AND {_IS_PENDING} LIMIT :chunk_size"  # noqa: S608
    last = 0
    while True:
        # a connection for each chunk: one long read would keep the write-ahead log from being emptied
        with open_for_reading(path) as db:
            values = {"run": run, "last": last, "chunk_size": chunk_size}
            chunk = [order_id for (order_id,) in db.execute(sql, values)]
        if not chunk:
            return
        yield from chunk
        last = chunk[-1]
