"""The limits of each reader, as its documentation states them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

import polars as pl

from quivo_frames.export.compatibility.limit import (
    DATES,
    NUMBERS,
    TEXTS,
    WHOLE,
    Effect,
    LimitTarget,
    ReaderLimit,
    SourceDocument,
    before_year,
    columns_of_kind,
    more_digits_than,
    names_differing_in_case,
    names_violating,
    reserved_names,
    rows_violating,
    texts_longer_than,
    values_read_as,
    values_violating,
)
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import Table

_POWERBI_TYPES = SourceDocument(
    "Data types in Power BI Desktop", "https://learn.microsoft.com/en-us/power-bi/connect-data/desktop-data-types"
)
_POWERBI_TIME_STEP = 10_000
"""Microseconds: Power BI counts in 1/300 s, and three of these are 10,000 microseconds."""

_POWERBI = (
    ReaderLimit(
        "text_length", Effect.REFUSES,
        "Texts of more than about 32,000 characters are likely to be errors.",
        "Leave the column out, or cut it in Power Query.", _POWERBI_TYPES,
        texts_longer_than(32_000),
    ),
    ReaderLimit(
        "whole_numbers", Effect.REFUSES, "Whole numbers go from -2^63 + 1 to 2^63 - 2.",
        "Load the column as text.", _POWERBI_TYPES,
        values_violating(WHOLE, lambda value: ~value.is_between(-(2**63) + 1, 2**63 - 2)),
    ),
    ReaderLimit(
        "first_year", Effect.REFUSES, "Dates are of the years 1900 to 9999.",
        "Load the column as text, or replace these dates in Power Query.", _POWERBI_TYPES,
        values_violating(DATES, before_year(1900)),
    ),
    ReaderLimit(
        "case", Effect.CHANGES, "Texts that differ in case alone become one, spelled as the first of them.",
        "Count and relate by keys and ids; where case matters, make it a column of its own in Power Query.",
        _POWERBI_TYPES,
        values_read_as(TEXTS, lambda value: value.str.to_lowercase()),
    ),
    ReaderLimit(
        "trailing_spaces", Effect.CHANGES, "Spaces at the end of a text are cut off.",
        "Trim the column in Power Query, so that what is counted is what is seen.", _POWERBI_TYPES,
        values_violating(TEXTS, lambda value: value.str.ends_with(" ")),
    ),
    ReaderLimit(
        "money_digits", Effect.CHANGES, "As decimal number, an amount keeps 15 digits.",
        "Set the column to fixed decimal number: 19 digits, 4 of them decimals.", _POWERBI_TYPES,
        values_violating((Kind.MONEY,), more_digits_than(15)),
    ),
    ReaderLimit(
        "shown_numbers", Effect.CHANGES, "Visuals show whole numbers exactly up to 2^53 - 1.",
        "Load the column as text where it is an id.", _POWERBI_TYPES,
        values_violating(WHOLE, lambda value: ~value.is_between(-(2**53) + 1, 2**53 - 1)),
    ),
    ReaderLimit(
        "time_steps", Effect.CHANGES, "Times are kept in steps of 1/300 second.",
        "Nothing, unless the order of events within 4 milliseconds matters.", _POWERBI_TYPES,
        values_violating((Kind.INSTANT,), lambda value: value.dt.timestamp("us") % _POWERBI_TIME_STEP != 0),
    ),
    ReaderLimit(
        "time_zones", Effect.CHANGES, "The model keeps no time zone, and shifts no times.",
        "Take them as UTC and name them so, or shift them in Power Query.", _POWERBI_TYPES,
        columns_of_kind(Kind.INSTANT),
    ),
)  # fmt: skip

_TABLEAU_NUMBERS = SourceDocument(
    "Tableau Hyper: Numeric Types", "https://tableau.github.io/hyper-db/docs/sql/datatype/numeric"
)
_TABLEAU_TIMES = SourceDocument(
    "Tableau Hyper: Date/Time Types", "https://tableau.github.io/hyper-db/docs/sql/datatype/datetime"
)

_TABLEAU = (
    ReaderLimit(
        "money_digits", Effect.CHANGES, "An extract of a database that Tableau makes keeps 15 digits of an amount.",
        "Make the extract with the Hyper API, the column as NUMERIC(18, 4).", _TABLEAU_NUMBERS,
        values_violating((Kind.MONEY,), more_digits_than(15)),
    ),
    ReaderLimit(
        "time_zones", Effect.CHANGES, "Instants are shown in the time zone of the machine.",
        "Say of which zone they are, or load them as timestamps without one.", _TABLEAU_TIMES,
        columns_of_kind(Kind.INSTANT),
    ),
)  # fmt: skip

_EXCEL_SPECIFICATIONS = SourceDocument(
    "Excel specifications and limits",
    "https://support.microsoft.com/en-us/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3",
)
_EXCEL_TIMES = SourceDocument("openpyxl: Dates and Times", "https://openpyxl.readthedocs.io/en/3.1/datetime.html")

_EXCEL = (
    ReaderLimit(
        "rows", Effect.REFUSES, "A sheet has 1,048,576 rows, the header among them.",
        "Export fewer orders, or to parquet or DuckDB, and load them into the data model.", _EXCEL_SPECIFICATIONS,
        rows_violating(lambda _: pl.int_range(pl.len()) >= 1_048_575),
    ),
    ReaderLimit(
        "cell_length", Effect.REFUSES, "A cell holds 32,767 characters.",
        "Read these values from another export.", _EXCEL_SPECIFICATIONS,
        texts_longer_than(32_767),
    ),
    ReaderLimit(
        "cell_lines", Effect.REFUSES, "A cell holds 253 line feeds.",
        "Read these values from another export.", _EXCEL_SPECIFICATIONS,
        values_violating(TEXTS, lambda value: value.str.count_matches("\n", literal=True) > 253),
    ),
    ReaderLimit(
        "first_year", Effect.REFUSES, "The calendar begins on 1 January 1900.",
        "Take these dates as text.", _EXCEL_SPECIFICATIONS, values_violating(DATES, before_year(1900)),
    ),
    ReaderLimit(
        "digits", Effect.CHANGES, "A number keeps 15 digits.",
        "Take longer ids as text, as export --to excel writes them; read other numbers from another export.",
        _EXCEL_SPECIFICATIONS, values_violating(NUMBERS, more_digits_than(15)),
    ),
    ReaderLimit(
        "milliseconds", Effect.CHANGES, "A time has milliseconds; microseconds are lost.",
        "Nothing, unless the order of events within a millisecond matters.", _EXCEL_TIMES,
        values_violating((Kind.INSTANT,), lambda value: value.dt.timestamp("us") % 1_000 != 0),
    ),
    ReaderLimit(
        "time_zones", Effect.CHANGES, "A time has no time zone.",
        "Read them as UTC.", _EXCEL_TIMES, columns_of_kind(Kind.INSTANT),
    ),
)  # fmt: skip

_SNOWFLAKE_DOCUMENTATION = "https://docs.snowflake.com/en/sql-reference"
_SNOWFLAKE_TEXTS = SourceDocument("String & binary data types", f"{_SNOWFLAKE_DOCUMENTATION}/data-types-text")
_SNOWFLAKE_DATES = SourceDocument("Date & time data types", f"{_SNOWFLAKE_DOCUMENTATION}/data-types-datetime")
_SNOWFLAKE_KEYWORDS_SOURCE = SourceDocument(
    "Reserved & limited keywords", f"{_SNOWFLAKE_DOCUMENTATION}/reserved-keywords"
)
_SNOWFLAKE_FORMATS = SourceDocument("CREATE FILE FORMAT", f"{_SNOWFLAKE_DOCUMENTATION}/sql/create-file-format")
_SNOWFLAKE_NAMES = SourceDocument("INFER_SCHEMA", f"{_SNOWFLAKE_DOCUMENTATION}/functions/infer_schema")

_SNOWFLAKE_KEYWORDS = frozenset({
    "account", "all", "alter", "and", "any", "as", "between", "by", "case", "cast", "check", "column", "connect",
    "connection", "constraint", "create", "cross", "current", "current_date", "current_time", "current_timestamp",
    "current_user", "database", "delete", "distinct", "drop", "else", "exists", "false", "following", "for", "from",
    "full", "grant", "group", "gscluster", "having", "ilike", "in", "increment", "inner", "insert", "intersect",
    "into", "is", "issue", "join", "lateral", "left", "like", "localtime", "localtimestamp", "minus", "natural", "not",
    "null", "of", "on", "or", "order", "organization", "qualify", "regexp", "revoke", "right", "rlike", "row", "rows",
    "sample", "schema", "select", "set", "some", "start", "table", "tablesample", "then", "to", "trigger", "true",
    "try_cast", "union", "unique", "update", "using", "values", "view", "when", "whenever", "where", "window", "with",
})  # fmt: skip
"""Keywords that are not usable as names everywhere."""


def _tables_with_lower_case(table: Table) -> Iterator[LimitTarget]:
    if any(column.name != column.name.upper() for column in table.columns):
        yield LimitTarget(None)


_SNOWFLAKE = (
    ReaderLimit(
        "text_length", Effect.REFUSES, "A VARCHAR without a length holds 16,777,216 characters.",
        "Give the column a length, up to 134,217,728.", _SNOWFLAKE_TEXTS,
        texts_longer_than(16_777_216),
    ),
    ReaderLimit(
        "reserved_names", Effect.REFUSES, "The name is a keyword.", 'Write it in quotes: "NAME".',
        _SNOWFLAKE_KEYWORDS_SOURCE,
        reserved_names(_SNOWFLAKE_KEYWORDS),
    ),
    ReaderLimit(
        "first_year", Effect.CHANGES, "Years before 1582 should be avoided: the calendar is another one there.",
        "Look at the orders; these are hardly dates that somebody meant.", _SNOWFLAKE_DATES,
        values_violating(DATES, before_year(1582)),
    ),
    ReaderLimit(
        "logical_types", Effect.CHANGES, "By default, parquet's types of instants and days are not interpreted.",
        "Load with a file format that has USE_LOGICAL_TYPE = TRUE.", _SNOWFLAKE_FORMATS, columns_of_kind(*DATES),
    ),
    ReaderLimit(
        "lower_case", Effect.CHANGES, "INFER_SCHEMA keeps column names in lower case, which then need quotes.",
        "Call it with IGNORE_CASE => TRUE.", _SNOWFLAKE_NAMES, _tables_with_lower_case,
    ),
)  # fmt: skip

_BIGQUERY_PARQUET = SourceDocument(
    "Loading Parquet data from Cloud Storage",
    "https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet",
)
_BIGQUERY_KEYWORDS_SOURCE = SourceDocument(
    "GoogleSQL: Lexical structure", "https://github.com/google/zetasql/blob/master/docs/lexical.md"
)
_BIGQUERY_MAX_ROW_BYTES = 50_000_000
_BIGQUERY_BYTES_PER_VALUE = 8
"""Maximum bytes of a value that is not text."""
_BIGQUERY_NAME = re.compile(
    "(?i)(?!_TABLE_|_FILE_|_PARTITION|_ROW_TIMESTAMP|__ROOT__|_COLIDENTIFIER"
    "|_CHANGE_SEQUENCE_NUMBER|_CHANGE_TYPE|_CHANGE_TIMESTAMP)[a-z_][a-z0-9_]{0,299}"
)

_BIGQUERY_KEYWORDS = frozenset({
    "all", "and", "any", "array", "as", "asc", "assert_rows_modified", "at", "between", "by", "case", "cast",
    "collate", "contains", "create", "cross", "cube", "current", "default", "define", "desc", "distinct", "else",
    "end", "enum", "escape", "except", "exclude", "exists", "extract", "false", "fetch", "following", "for", "from",
    "full", "group", "grouping", "groups", "hash", "having", "if", "ignore", "in", "inner", "intersect", "interval",
    "into", "is", "join", "lateral", "left", "like", "limit", "lookup", "merge", "natural", "new", "no", "not", "null",
    "nulls", "of", "on", "or", "order", "outer", "over", "partition", "preceding", "proto", "qualify", "range",
    "recursive", "respect", "right", "rollup", "rows", "select", "set", "some", "struct", "tablesample", "then", "to",
    "treat", "true", "unbounded", "union", "unnest", "using", "when", "where", "window", "with", "within",
})  # fmt: skip
"""Keywords that need backticks as names."""


def _exceeds_row_size(table: Table) -> pl.Expr:
    texts = [column.name for column in table.columns if column.kind in TEXTS]
    others = len(table.columns) - len(texts)
    sizes = (pl.col(name).str.len_bytes().cast(pl.Int64).fill_null(0) for name in texts)
    return pl.sum_horizontal(*sizes, pl.lit(_BIGQUERY_BYTES_PER_VALUE * others, pl.Int64)) > _BIGQUERY_MAX_ROW_BYTES


_BIGQUERY = (
    ReaderLimit(
        "row_size", Effect.REFUSES, "Rows of more than 50 MB may exceed the resources of a load.",
        "Load these orders without their longest texts.", _BIGQUERY_PARQUET, rows_violating(_exceeds_row_size),
    ),
    ReaderLimit(
        "names", Effect.REFUSES, "A column name has up to 300 letters, digits and _, and no prefix of BigQuery's own.",
        "Rename the column before loading.", _BIGQUERY_PARQUET,
        names_violating(lambda name: not _BIGQUERY_NAME.fullmatch(name)),
    ),
    ReaderLimit(
        "same_names", Effect.REFUSES, "Column names that differ in case alone are duplicates.",
        "Rename the column before loading.", _BIGQUERY_PARQUET, names_differing_in_case,
    ),
    ReaderLimit(
        "reserved_names", Effect.REFUSES, "The name is a keyword.", "Write it in backticks: `name`.",
        _BIGQUERY_KEYWORDS_SOURCE,
        reserved_names(_BIGQUERY_KEYWORDS),
    ),
)  # fmt: skip

_SPARK_DOCUMENTATION = "https://spark.apache.org/docs/latest"
_SPARK_TYPES = SourceDocument("Spark SQL: Data Types", f"{_SPARK_DOCUMENTATION}/sql-ref-datatypes.html")
_SPARK_REBASE = SourceDocument(
    "Spark: INCONSISTENT_BEHAVIOR_CROSS_VERSION error class",
    f"{_SPARK_DOCUMENTATION}/sql-error-conditions-inconsistent-behavior-cross-version-error-class.html",
)
_SPARK_MIGRATION = SourceDocument("Spark SQL: Migration Guide", f"{_SPARK_DOCUMENTATION}/sql-migration-guide.html")
_SPARK_KEYWORDS_SOURCE = SourceDocument(
    "Spark SQL: ANSI Compliance", f"{_SPARK_DOCUMENTATION}/sql-ref-ansi-compliance.html"
)
_SPARK_FIRST_DAY = date(1582, 10, 15)
_SPARK_FIRST_INSTANT = datetime(1900, 1, 1, tzinfo=UTC)

_SPARK_KEYWORDS = frozenset({
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
    first = {Kind.DAY: pl.lit(_SPARK_FIRST_DAY), Kind.INSTANT: pl.lit(_SPARK_FIRST_INSTANT, pl.Datetime("us", "UTC"))}
    for column in table.columns:
        if column.kind in first:
            yield LimitTarget(column.name, violation=pl.col(column.name) < first[column.kind])


_SPARK = (
    ReaderLimit(
        "ancient_dates", Effect.REFUSES,
        "Spark 3 does not read days before 1582-10-15 or instants before 1900, unless it is told of which calendar.",
        "Set spark.sql.parquet.datetimeRebaseModeInRead to CORRECTED: they are read as they are.", _SPARK_REBASE,
        _dates_before_rebase,
    ),
    ReaderLimit(
        "same_names", Effect.REFUSES, "Column names that differ in case alone are ambiguous.",
        "Set spark.sql.caseSensitive to true.", _SPARK_MIGRATION, names_differing_in_case,
    ),
    ReaderLimit(
        "reserved_names", Effect.REFUSES,
        "The name is a keyword where spark.sql.ansi.enforceReservedKeywords is true (by default it is not).",
        "Write it in backticks: `name`.", _SPARK_KEYWORDS_SOURCE, reserved_names(_SPARK_KEYWORDS),
    ),
    ReaderLimit(
        "session_zone", Effect.CHANGES, "Instants are shown, and cut into days, in the time zone of the session.",
        "Set spark.sql.session.timeZone to UTC.", _SPARK_TYPES, columns_of_kind(Kind.INSTANT),
    ),
)  # fmt: skip

LIMITS: dict[str, tuple[ReaderLimit, ...]] = {
    "powerbi": _POWERBI,
    "tableau": _TABLEAU,
    "excel": _EXCEL,
    "snowflake": _SNOWFLAKE,
    "bigquery": _BIGQUERY,
    "spark": _SPARK,
}
"""The limits of each reader, worst first."""
