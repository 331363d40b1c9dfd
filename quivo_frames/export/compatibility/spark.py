"""Limits of Spark when it reads parquet: the time zone of the session, early dates, names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import polars as pl

from quivo_frames.export.compatibility.limit import (
    Effect,
    LimitTarget,
    ReaderLimit,
    SourceDocument,
    columns_of_kind,
    names_differing_in_case,
    reserved_names,
)
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import Table

_DOCUMENTS = "https://spark.apache.org/docs/latest"
_TYPES = SourceDocument("Spark SQL: Data Types", f"{_DOCUMENTS}/sql-ref-datatypes.html")
_ANCIENT = SourceDocument(
    "Spark: INCONSISTENT_BEHAVIOR_CROSS_VERSION error class",
    f"{_DOCUMENTS}/sql-error-conditions-inconsistent-behavior-cross-version-error-class.html",
)
_MIGRATION = SourceDocument("Spark SQL: Migration Guide", f"{_DOCUMENTS}/sql-migration-guide.html")
_KEYWORDS = SourceDocument("Spark SQL: ANSI Compliance", f"{_DOCUMENTS}/sql-ref-ansi-compliance.html")
_FIRST_DAY = date(1582, 10, 15)
_FIRST_INSTANT = datetime(1900, 1, 1, tzinfo=UTC)

RESERVED = frozenset({
    "all", "and", "any", "as", "authorization", "both", "case", "cast", "check", "collate", "column", "constraint",
    "create", "cross", "current_date", "current_time", "current_timestamp", "current_user", "distinct", "else", "end",
    "escape", "except", "false", "fetch", "filter", "for", "foreign", "from", "full", "grant", "group", "having", "in",
    "inner", "intersect", "into", "is", "join", "lateral", "leading", "left", "natural", "not", "null", "on", "only",
    "or", "order", "outer", "overlaps", "percentile_cont", "percentile_disc", "primary", "references", "right",
    "select", "session_user", "some", "table", "then", "time", "to", "trailing", "union", "unique", "unknown", "user",
    "using", "when", "where", "with", "within",
})  # fmt: skip
"""Keywords that ANSI mode can reserve."""


def _dates_before_rebase(table: Table) -> Iterator[LimitTarget]:
    first = {Kind.DAY: pl.lit(_FIRST_DAY), Kind.INSTANT: pl.lit(_FIRST_INSTANT, pl.Datetime("us", "UTC"))}
    for column in table.columns:
        if column.kind in first:
            yield LimitTarget(column.name, violation=pl.col(column.name) < first[column.kind])


LIMITS = (
    ReaderLimit(
        "ancient_dates", Effect.REFUSES,
        "Spark 3 does not read days before 1582-10-15 or instants before 1900, unless it is told of which calendar.",
        "Set spark.sql.parquet.datetimeRebaseModeInRead to CORRECTED: they are read as they are.", _ANCIENT,
        _dates_before_rebase,
    ),
    ReaderLimit(
        "same_names", Effect.REFUSES, "Column names that differ in case alone are ambiguous.",
        "Set spark.sql.caseSensitive to true.", _MIGRATION, names_differing_in_case,
    ),
    ReaderLimit(
        "reserved_names", Effect.REFUSES,
        "The name is a keyword where spark.sql.ansi.enforceReservedKeywords is true (by default it is not).",
        "Write it in backticks: `name`.", _KEYWORDS, reserved_names(RESERVED),
    ),
    ReaderLimit(
        "session_zone", Effect.CHANGES, "Instants are shown, and cut into days, in the time zone of the session.",
        "Set spark.sql.session.timeZone to UTC.", _TYPES, columns_of_kind(Kind.INSTANT),
    ),
)  # fmt: skip
