"""The ledger of an archive as frames of attempts and runs; read only."""

from __future__ import annotations

from datetime import datetime
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

from quivo_frames.archive.database import refuse_damaged_values
from quivo_frames.model.records import Outcome

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    import polars as pl

IS_DONE = f"outcome IN ('{Outcome.FETCHED}', '{Outcome.SKIPPED}')"
"""Condition: the attempt left nothing to do for its order."""
IS_LAST_OF_ORDER = "NOT EXISTS (SELECT 1 FROM attempts n WHERE n.order_id = t.order_id AND n.attempt > t.attempt)"
"""Condition: no later attempt asked for the order, in any run."""
IS_LAST_IN_RUN = IS_LAST_OF_ORDER.replace("WHERE ", "WHERE n.run = t.run AND ")
ROWS_PER_FRAME = 50_000  # rows held as Python objects at a time
PAUSE_SECONDS = 60.0  # a longer time without an answer counts as a pause, not as slowness
PERCENTILES = (50, 90, 99)
RECENT_ATTEMPTS, MIN_TIMED_ATTEMPTS = 1000, 10  # how many attempts to look at for a rate, and how many make one


def read_attempts(
    db: sqlite3.Connection, run: int | None, *, failed: bool, order_id: int | None = None
) -> pl.DataFrame:  # fmt: skip
    """The attempts of a run (None: of all runs); `failed`: only the last one of each order, if it did not succeed.

    With an `order_id`, only those of this order.
    """
    import polars as pl

    last = f"{IS_LAST_OF_ORDER if run is None else IS_LAST_IN_RUN} AND NOT {IS_DONE}"
    rules = [
        rule
        for rule, asked in (
            (f"run = {run}", run is not None),
            (f"order_id = {order_id}", order_id is not None),
            (last, failed),
        )
        if asked
    ]
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
    return _query_frame(db, f"SELECT {', '.join(schema)} FROM attempts t {where} ORDER BY attempt", schema)  # noqa: S608


def read_runs(db: sqlite3.Connection) -> pl.DataFrame:
    """One row per run: how many orders had which outcome, and at which rate they were asked for."""
    import polars as pl

    counted = ", ".join(
        f"count(*) FILTER (WHERE {rule}) AS {name}"
        for name, rule in {
            "fetched": f"outcome = '{Outcome.FETCHED}'",
            "skipped": f"outcome = '{Outcome.SKIPPED}'",
            "failed": f"NOT {IS_DONE}",
        }.items()
    )
    sql = f"""
        SELECT run, started_at, finished_at, asked, ifnull(fetched, 0), ifnull(skipped, 0), ifnull(failed, 0)
        FROM runs LEFT JOIN (SELECT run, {counted} FROM attempts t WHERE {IS_LAST_IN_RUN} GROUP BY run) USING (run)
        ORDER BY run"""  # noqa: S608
    counts = dict.fromkeys(("asked", "fetched", "skipped", "failed"), pl.Int64)
    found = _query_frame(db, sql, {"run": pl.Int64, "started_at": pl.String, "finished_at": pl.String, **counts})
    left = (pl.col("asked") - pl.col("fetched") - pl.col("skipped") - pl.col("failed")).alias("left")
    with_rates = found.with_columns(left).join(_rates_of_runs(db), on="run", how="left", maintain_order="left")
    return with_rates.with_columns(pl.col("requests", "throttled").fill_null(0))


def recent_rate(db: sqlite3.Connection) -> float | None:
    """Requests per second of the last attempts, without pauses; None if there are too few to tell."""
    sql = f"SELECT at, tries FROM attempts WHERE tries > 0 ORDER BY attempt DESC LIMIT {RECENT_ATTEMPTS}"  # noqa: S608
    with refuse_damaged_values():
        rows = [(datetime.fromisoformat(at), int(tries)) for at, tries in db.execute(sql)]
        gaps = [((later - earlier).total_seconds(), tries) for (later, tries), (earlier, _) in pairwise(rows)]
    timed = [(gap, tries) for gap, tries in gaps if 0 <= gap <= PAUSE_SECONDS]
    seconds = sum(gap for gap, _ in timed)
    return (
        round(sum(tries for _, tries in timed) / seconds, 2) if len(timed) >= MIN_TIMED_ATTEMPTS and seconds else None
    )


def _rates_of_runs(db: sqlite3.Connection) -> pl.DataFrame:
    """One row per run that made requests: their number, rate, and the percentiles of the time to an answer."""
    import polars as pl

    schema = {"run": pl.Int64, "at": pl.String, "tries": pl.Int64, "throttled": pl.Int64, "latency": pl.Float64}
    found = _query_frame(
        db, "SELECT run, at, tries, throttled, latency FROM attempts WHERE tries > 0 ORDER BY at", schema
    )
    gap = pl.col("at").diff().over("run").dt.total_seconds(fractional=True)
    timed = pl.col("gap").is_not_null()
    return (
        found.with_columns(pl.when(gap <= PAUSE_SECONDS).then(gap).alias("gap"))
        .group_by("run")
        .agg(
            pl.col("tries").sum().alias("requests"),
            pl.col("throttled").sum(),
            (pl.col("tries").filter(timed).sum() / pl.col("gap").sum()).fill_nan(None).round(2).alias("rate"),
            *(pl.col("latency").quantile(share / 100).round(4).alias(f"latency_p{share}") for share in PERCENTILES),
        )
    )


def _query_frame(db: sqlite3.Connection, sql: str, schema: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of a query as a frame, also if there are none; instants are parsed."""
    import polars as pl

    rows = db.execute(sql)
    instants = pl.col("^(at|started_at|finished_at)$").str.to_datetime(time_unit="us", time_zone="UTC")
    chunks = chain(iter(lambda: rows.fetchmany(ROWS_PER_FRAME), []), ([],))
    with refuse_damaged_values():
        try:
            return pl.concat(
                [pl.DataFrame(chunk, schema=schema, orient="row").with_columns(instants) for chunk in chunks]
            )
        except pl.exceptions.PolarsError as error:
            raise ValueError from error
