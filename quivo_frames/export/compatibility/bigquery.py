"""Limits of BigQuery when it loads parquet: rows and names. All types fit: DECIMAL(18, 4) is a NUMERIC."""

from __future__ import annotations

import re

import polars as pl

from quivo_frames.export.compatibility.limit import (
    TEXTS,
    Effect,
    ReaderLimit,
    SourceDocument,
    names_differing_in_case,
    names_violating,
    reserved_names,
    rows_violating,
)
from quivo_frames.model.tables import Table

_PARQUET = SourceDocument(
    "Loading Parquet data from Cloud Storage",
    "https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet",
)
_KEYWORDS = SourceDocument(
    "GoogleSQL: Lexical structure", "https://github.com/google/zetasql/blob/master/docs/lexical.md"
)
_MAX_ROW_BYTES = 50_000_000
_BYTES_PER_VALUE = 8
"""Maximum bytes of a value that is not text."""
_NAME = re.compile(
    "(?i)(?!_TABLE_|_FILE_|_PARTITION|_ROW_TIMESTAMP|__ROOT__|_COLIDENTIFIER"
    "|_CHANGE_SEQUENCE_NUMBER|_CHANGE_TYPE|_CHANGE_TIMESTAMP)[a-z_][a-z0-9_]{0,299}"
)

RESERVED = frozenset({
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
    return pl.sum_horizontal(*sizes, pl.lit(_BYTES_PER_VALUE * others, pl.Int64)) > _MAX_ROW_BYTES


LIMITS = (
    ReaderLimit(
        "row_size", Effect.REFUSES, "Rows of more than 50 MB may exceed the resources of a load.",
        "Load these orders without their longest texts.", _PARQUET, rows_violating(_exceeds_row_size),
    ),
    ReaderLimit(
        "names", Effect.REFUSES, "A column name has up to 300 letters, digits and _, and no prefix of BigQuery's own.",
        "Rename the column before loading.", _PARQUET, names_violating(lambda name: not _NAME.fullmatch(name)),
    ),
    ReaderLimit(
        "same_names", Effect.REFUSES, "Column names that differ in case alone are duplicates.",
        "Rename the column before loading.", _PARQUET, names_differing_in_case,
    ),
    ReaderLimit(
        "reserved_names", Effect.REFUSES, "The name is a keyword.", "Write it in backticks: `name`.", _KEYWORDS,
        reserved_names(RESERVED),
    ),
)  # fmt: skip
