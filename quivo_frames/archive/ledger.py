"""Verb: the ledger of an archive -> frames of attempts and runs. No writing."""

from __future__ import annotations

from datetime import datetime
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

from quivo_frames.model.records import Outcome

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    import polars as pl

DONE = f"outcome IN ('{Outcome.FETCHED}', '{Outcome.SKIPPED}')"
"""How an attempt ended that leaves nothing to do."""
LAST_OF_ALL = "NOT EXISTS (SELECT 1 FROM attempts n WHERE n.order_id = t.order_id AND n.attempt > t.attempt)"
"""Of the attempts at an order, the last."""
LAST_OF_RUN = LAST_OF_ALL.replace("WHERE ", "WHERE n.run = t.run AND ")
CHUNK = 50_000  # rows that stand as Python objects at a time
PAUSE = 60.0  # seconds without an answer that count as a pause, not as slowness
PERCENTILES = (50, 90, 99)
RECENT, ENOUGH = 1000, 10  # attempts that tell a rate


def attempts(db: sqlite3.Connection, run: int | None, *, failed: bool) -> pl.DataFrame:
    """A row an attempt; of `run`, or of all. With `failed`, the last of each order, where it was not the good one."""
    import polars as pl

    last = f"{LAST_OF_ALL if run is None else LAST_OF_RUN} AND NOT {DONE}"
    rules = [rule for rule, asked in ((f"run = {run}", run is not None), (last, failed)) if asked]
    schema = {
        "order_id": pl.Int64,
        "run": pl.Int64,
        "at": pl.String,
        "tries": pl.Int64,
        "throttled": pl.Int64,
        "seconds": pl.Float64,
        "latency": pl.Float64,
        "outcome": pl.String,
        "http_status": pl.Int64,
        "message": pl.String,
    }
    where = f"WHERE {' AND '.join(rules)}" if rules else ""
    return _frame(db, f"SELECT {', '.join(schema)} FROM attempts t {where} ORDER BY attempt", schema)  # noqa: S608


def runs(db: sqlite3.Connection) -> pl.DataFrame:
    """A row a run: how many orders ended how, and how fast and how gently it went."""
    import polars as pl

    counted = ", ".join(
        f"count(*) FILTER (WHERE {rule}) AS {name}"
        for name, rule in {
            "fetched": f"outcome = '{Outcome.FETCHED}'",
            "skipped": f"outcome = '{Outcome.SKIPPED}'",
            "failed": f"NOT {DONE}",
        }.items()
    )
    sql = f"""
        SELECT run, started_at, finished_at, asked, ifnull(fetched, 0), ifnull(skipped, 0), ifnull(failed, 0)
        FROM runs LEFT JOIN (SELECT run, {counted} FROM attempts t WHERE {LAST_OF_RUN} GROUP BY run) USING (run)
        ORDER BY run"""  # noqa: S608
    counts = dict.fromkeys(("asked", "fetched", "skipped", "failed"), pl.Int64)
    found = _frame(db, sql, {"run": pl.Int64, "started_at": pl.String, "finished_at": pl.String, **counts})
    left = (pl.col("asked") - pl.col("fetched") - pl.col("skipped") - pl.col("failed")).alias("left")
    told = found.with_columns(left).join(_paces(db), on="run", how="left", maintain_order="left")
    return told.with_columns(pl.col("requests", "throttled").fill_null(0))


def recent_rate(db: sqlite3.Connection) -> float | None:
    """Requests per second of the last attempts, pauses left out; None where there are hardly any."""
    sql = f"SELECT at, tries FROM attempts WHERE tries > 0 ORDER BY attempt DESC LIMIT {RECENT}"  # noqa: S608
    rows = [(datetime.fromisoformat(at), tries) for at, tries in db.execute(sql)]
    gaps = [((later - earlier).total_seconds(), tries) for (later, tries), (earlier, _) in pairwise(rows)]
    timed = [(gap, tries) for gap, tries in gaps if 0 <= gap <= PAUSE]
    seconds = sum(gap for gap, _ in timed)
    return round(sum(tries for _, tries in timed) / seconds, 2) if len(timed) >= ENOUGH and seconds else None


def _paces(db: sqlite3.Connection) -> pl.DataFrame:
    import polars as pl

    schema = {"run": pl.Int64, "at": pl.String, "tries": pl.Int64, "throttled": pl.Int64, "latency": pl.Float64}
    found = _frame(db, "SELECT run, at, tries, throttled, latency FROM attempts WHERE tries > 0 ORDER BY at", schema)
    gap = pl.col("at").diff().over("run").dt.total_seconds(fractional=True)
    timed = pl.col("gap").is_not_null()
    return (
        found.with_columns(pl.when(gap <= PAUSE).then(gap).alias("gap"))
        .group_by("run")
        .agg(
            pl.col("tries").sum().alias("requests"),
            pl.col("throttled").sum(),
            (pl.col("tries").filter(timed).sum() / pl.col("gap").sum()).fill_nan(None).round(2).alias("rate"),
            *(pl.col("latency").quantile(share / 100).round(4).alias(f"latency_p{share}") for share in PERCENTILES),
        )
    )


def _frame(db: sqlite3.Connection, sql: str, schema: Mapping[str, Any]) -> pl.DataFrame:
    import polars as pl

    rows = db.execute(sql)
    instants = pl.col("^(at|started_at|finished_at)$").str.to_datetime(time_unit="us", time_zone="UTC")
    chunks = chain(iter(lambda: rows.fetchmany(CHUNK), []), ([],))
    return pl.concat([pl.DataFrame(chunk, schema=schema, orient="row").with_columns(instants) for chunk in chunks])
