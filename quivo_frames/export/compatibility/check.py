"""Verb: tables and the name of a reader -> what in them that reader would change or refuse. Floor 5.

A limit is only told if a document of its reader, or of a library that writes for it, tells it; `UNTOLD` says what was
looked for in vain. Its rooms: limit (what a limit is), powerbi, tableau, excel, snowflake, bigquery and spark (the
limits of each), telling (findings and limits as texts).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.export.compatibility import bigquery, excel, powerbi, snowflake, spark, tableau
from quivo_frames.export.compatibility.limit import Effect, LimitTarget, ReaderLimit
from quivo_frames.export.compatibility.page import format_findings, render_limits_page
from quivo_frames.model.frames import lazy_table
from quivo_frames.model.tables import TABLES, Table

__all__ = ["LIMITS", "FINDINGS_SCHEMA", "Effect", "ReaderLimit", "check_for", "render_limits_page", "format_findings"]

LIMITS: dict[str, tuple[ReaderLimit, ...]] = {
    "powerbi": powerbi.LIMITS,
    "tableau": tableau.LIMITS,
    "excel": excel.LIMITS,
    "snowflake": snowflake.LIMITS,
    "bigquery": bigquery.LIMITS,
    "spark": spark.LIMITS,
}
"""The limits of each reader, worst first."""
FINDINGS_SCHEMA = pl.Schema({
    "reader": pl.String(), "effect": pl.String(), "limit": pl.String(), "table": pl.String(), "column": pl.String(),
    "rows": pl.Int64(), "key": pl.String(), "happens": pl.String(), "cure": pl.String(),
    "source": pl.String(), "url": pl.String(),
})  # fmt: skip
"""The columns of what `check_for` finds."""


def check_for(tables: Mapping[str, pl.DataFrame], reader: str) -> pl.DataFrame:
    """What powerbi, tableau, excel, snowflake, bigquery or spark would change or refuse, worst first.

    One row a limit and column that meets it: its table, how many of its rows (null where the type or the name is the
    reason), the key of one of them, what happens, what to do, and the document that says so. `column` is null where
    the row or the table as a whole is meant. No value is shown. Tables of a dataset are read in a stream.

    Raises:
        ConfigError: there is no such reader.
    """
    if reader not in LIMITS:
        raise ConfigError(f"There is no reader {reader!r}. The readers are: {', '.join(LIMITS)}.")
    found = [
        (reader, limit.effect, limit.name, name, place.column, count, key, limit.happens, limit.cure, *limit.source)
        for name, table in TABLES.items()
        for limit, place, count, key in find_exceeded_limits(LIMITS[reader], table, lazy_table(tables, name))
    ]
    frame = pl.DataFrame(found, FINDINGS_SCHEMA, orient="row")
    order = {limit.name: place for place, limit in enumerate(LIMITS[reader])}
    return frame.sort(
        pl.col("effect") != Effect.REFUSES, pl.col("rows").is_null(),
        pl.col("limit").replace_strict(order, return_dtype=pl.Int64), -pl.col("rows"), maintain_order=True,
    )  # fmt: skip


def find_exceeded_limits(
    limits: Sequence[ReaderLimit], table: Table, rows: pl.LazyFrame
) -> Iterator[tuple[ReaderLimit, LimitTarget, int | None, str | None]]:
    """The limits that a table meets: where, how many rows, and the key of one of them."""
    key = pl.col(table.key).cast(pl.String)
    for limit in limits:  # a pass each: what is held then are the columns of one limit, and only while they stream
        places = list(limit.find_targets(table))
        counts = _count_violations([place.violation for place in places if place.violation is not None], key, rows)
        for place in places:
            if place.violation is not None:
                count, one = next(counts)
            elif place.read_as is not None and place.column is not None:
                count, one = _count_values_read_alike(place.column, place.read_as, key, rows)
            else:
                yield limit, place, None, None
                continue
            if count:
                yield limit, place, count, one


def _count_violations(tests: Sequence[pl.Expr], key: pl.Expr, rows: pl.LazyFrame) -> Iterator[tuple[int, str | None]]:
    """For each test, the rows that it is true for, and the first key of them; all in one pass."""
    if not tests:
        return
    counts = [test.sum().alias(f"count {place}") for place, test in enumerate(tests)]
    keys = [pl.when(test).then(key).min().alias(f"key {place}") for place, test in enumerate(tests)]
    found = rows.select(*counts, *keys).collect(engine="streaming").row(0)
    yield from zip(found[: len(tests)], found[len(tests) :], strict=True)


def _count_values_read_alike(column: str, alike: pl.Expr, key: pl.Expr, rows: pl.LazyFrame) -> tuple[int, str | None]:
    """The rows whose values differ though a reader takes them for the same, and the first key of them."""
    value = pl.col(column)
    groups = (
        rows.filter(value.str.to_uppercase() != value.str.to_lowercase())  # most keys and ids have no letters
        .group_by(alike.alias("alike"))
        .agg(pl.len().alias("count"), key.min().alias("key"), value.min().alias("first"), value.max().alias("last"))
        .filter(pl.col("first") != pl.col("last"))
    )
    count, one = groups.select(pl.col("count").sum(), pl.col("key").min()).collect(engine="streaming").row(0)
    return count, one
