"""Checks tables against the limits of a reader.

Each limit is stated by a document of the reader, or of a library that writes for it; `page.UNDOCUMENTED` lists what no
document states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.export.compatibility.limit import Effect, LimitTarget, ReaderLimit
from quivo_frames.export.compatibility.readers import LIMITS
from quivo_frames.model.frames import lazy_table
from quivo_frames.model.tables import TABLES, Table

FINDINGS_SCHEMA = pl.Schema({
    "reader": pl.String(), "effect": pl.String(), "limit": pl.String(), "table": pl.String(), "column": pl.String(),
    "rows": pl.Int64(), "key": pl.String(), "happens": pl.String(), "cure": pl.String(),
    "source": pl.String(), "url": pl.String(),
})  # fmt: skip
"""The columns of the result of `check_for`."""
Finding = tuple[Any, ...]
"""A row of that result."""


def check_for(tables: Mapping[str, pl.DataFrame], reader: str) -> pl.DataFrame:
    """What powerbi, tableau, excel, snowflake, bigquery or spark would change or refuse, worst first.

    One row per limit and column that exceeds it: the table, the number of rows (null where the type or the name is the
    reason), the key of one of them, what happens, the cure, and the document that says so. `column` is null where the
    row or the table as a whole is meant. No values are shown. Tables of a dataset are streamed.

    Raises:
        ConfigError: the reader is not one of these.
    """
    if reader not in LIMITS:
        raise ConfigError(f"There is no reader {reader!r}. The readers are: {', '.join(LIMITS)}.")
    found = [
        *_schema_findings(reader),
        *(
            _finding(reader, limit, name, target, count, key)
            for name, table in TABLES.items()
            for limit, target, count, key in find_exceeded_limits(LIMITS[reader], table, lazy_table(tables, name))
        ),
    ]
    frame = pl.DataFrame(found, FINDINGS_SCHEMA, orient="row")
    order = {limit.name: index for index, limit in enumerate(LIMITS[reader])}
    return frame.sort(
        pl.col("effect") != Effect.REFUSES, pl.col("rows").is_null(),
        pl.col("limit").replace_strict(order, return_dtype=pl.Int64), -pl.col("rows"), maintain_order=True,
    )  # fmt: skip


@cache
def _schema_findings(reader: str) -> tuple[Finding, ...]:
    """What names and types alone decide: the same for all data, as the schema is fixed."""
    return tuple(
        _finding(reader, limit, table.name, target, None, None)
        for table in TABLES.values()
        for limit, target in find_schema_limits(LIMITS[reader], table)
    )


def _finding(
    reader: str, limit: ReaderLimit, table: str, target: LimitTarget, count: int | None, key: str | None
) -> Finding:
    about = limit.happens, limit.cure, *limit.source
    return (reader, limit.effect, limit.name, table, target.column, count, key, *about)


def find_schema_limits(limits: Sequence[ReaderLimit], table: Table) -> Iterator[tuple[ReaderLimit, LimitTarget]]:
    """The limits that a table exceeds by its names and types, whatever its rows."""
    for limit in limits:
        yield from ((limit, target) for target in limit.find_targets(table) if target.is_decided_by_schema)


def find_exceeded_limits(
    limits: Sequence[ReaderLimit], table: Table, rows: pl.LazyFrame
) -> Iterator[tuple[ReaderLimit, LimitTarget, int, str]]:
    """The limits that rows of a table exceed: what is affected, how many rows, and the key of one of them."""
    key = pl.col(table.key).cast(pl.String)
    for limit in limits:  # one pass per limit: only its columns are in memory, a batch at a time
        targets = [target for target in limit.find_targets(table) if not target.is_decided_by_schema]
        violations = [target.violation for target in targets if target.violation is not None]
        counts = _count_violations(violations, key, rows)
        for target in targets:
            if target.read_as is None or target.column is None:
                count, example = next(counts)
            else:
                count, example = _count_values_read_alike(target.column, target.read_as, key, rows)
            if count:
                yield limit, target, count, example


def _count_violations(violations: Sequence[pl.Expr], key: pl.Expr, rows: pl.LazyFrame) -> Iterator[tuple[int, str]]:
    """The number of rows of each violation, and the first key of them, in one pass."""
    if not violations:
        return
    counts = [violation.sum().alias(f"count {index}") for index, violation in enumerate(violations)]
    keys = [pl.when(violation).then(key).min().alias(f"key {index}") for index, violation in enumerate(violations)]
    found = rows.select(*counts, *keys).collect(engine="streaming").row(0)
    yield from zip(found[: len(violations)], found[len(violations) :], strict=True)


def _count_values_read_alike(column: str, read_as: pl.Expr, key: pl.Expr, rows: pl.LazyFrame) -> tuple[int, str]:
    """The number of rows whose values differ although a reader takes them for the same, and the first key of them."""
    value = pl.col(column)
    groups = (
        rows.filter(value.str.to_uppercase() != value.str.to_lowercase())  # most keys and ids have no letters
        .group_by(read_as.alias("read_as"))
        .agg(pl.len().alias("count"), key.min().alias("key"), value.min().alias("first"), value.max().alias("last"))
        .filter(pl.col("first") != pl.col("last"))
    )
    count, one = groups.select(pl.col("count").sum(), pl.col("key").min()).collect(engine="streaming").row(0)
    return count, one
