"""Limits of Snowflake when it loads parquet: names, logical types, long texts, early dates."""

from __future__ import annotations

from collections.abc import Iterator

from quivo_frames.export.compatibility.limit import (
    DATES,
    TEXTS,
    Effect,
    LimitTarget,
    ReaderLimit,
    SourceDocument,
    before_year,
    columns_of_kind,
    reserved_names,
    values_violating,
)
from quivo_frames.model.tables import Table

_DOCUMENTS = "https://docs.snowflake.com/en/sql-reference"
_TEXTS = SourceDocument("String & binary data types", f"{_DOCUMENTS}/data-types-text")
_DATES = SourceDocument("Date & time data types", f"{_DOCUMENTS}/data-types-datetime")
_KEYWORDS = SourceDocument("Reserved & limited keywords", f"{_DOCUMENTS}/reserved-keywords")
_FORMATS = SourceDocument("CREATE FILE FORMAT", f"{_DOCUMENTS}/sql/create-file-format")
_NAMES = SourceDocument("INFER_SCHEMA", f"{_DOCUMENTS}/functions/infer_schema")
_MAX_CHARACTERS = 16_777_216

RESERVED = frozenset({
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


LIMITS = (
    ReaderLimit(
        "text_length", Effect.REFUSES, f"A VARCHAR without a length holds {_MAX_CHARACTERS:,} characters.",
        "Give the column a length, up to 134,217,728.", _TEXTS,
        values_violating(TEXTS, lambda value: value.str.len_chars() > _MAX_CHARACTERS),
    ),
    ReaderLimit(
        "reserved_names", Effect.REFUSES, "The name is a keyword.", 'Write it in quotes: "NAME".', _KEYWORDS,
        reserved_names(RESERVED),
    ),
    ReaderLimit(
        "first_year", Effect.CHANGES, "Years before 1582 should be avoided: the calendar is another one there.",
        "Look at the orders; these are hardly dates that somebody meant.", _DATES,
        values_violating(DATES, before_year(1582)),
    ),
    ReaderLimit(
        "logical_types", Effect.CHANGES, "By default, parquet's types of instants and days are not interpreted.",
        "Load with a file format that has USE_LOGICAL_TYPE = TRUE.", _FORMATS, columns_of_kind(*DATES),
    ),
    ReaderLimit(
        "lower_case", Effect.CHANGES, "INFER_SCHEMA keeps column names in lower case, which then need quotes.",
        "Call it with IGNORE_CASE => TRUE.", _NAMES, _tables_with_lower_case,
    ),
)  # fmt: skip
