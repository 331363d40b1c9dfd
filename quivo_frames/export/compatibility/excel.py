"""Limits of Excel: the size of sheets and cells, 15 digits, its calendar."""

from __future__ import annotations

import polars as pl

from quivo_frames.export.compatibility.limit import (
    DATES,
    NUMBERS,
    TEXTS,
    Effect,
    ReaderLimit,
    SourceDocument,
    before_year,
    columns_of_kind,
    more_digits_than,
    rows_violating,
    values_violating,
)
from quivo_frames.model.order import Kind

_SPECIFICATIONS = SourceDocument(
    "Excel specifications and limits",
    "https://support.microsoft.com/en-us/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3",
)
_TIMES = SourceDocument("openpyxl: Dates and Times", "https://openpyxl.readthedocs.io/en/3.1/datetime.html")
_MAX_ROWS = 1_048_576
_MAX_CHARACTERS = 32_767
_MAX_LINE_FEEDS = 253

LIMITS = (
    ReaderLimit(
        "rows", Effect.REFUSES, f"A sheet has {_MAX_ROWS:,} rows, the header among them.",
        "Export fewer orders, or to parquet or DuckDB, and load them into the data model.", _SPECIFICATIONS,
        rows_violating(lambda _: pl.int_range(pl.len()) >= _MAX_ROWS - 1),
    ),
    ReaderLimit(
        "cell_length", Effect.REFUSES, f"A cell holds {_MAX_CHARACTERS:,} characters.",
        "Read these values from another export.", _SPECIFICATIONS,
        values_violating(TEXTS, lambda value: value.str.len_chars() > _MAX_CHARACTERS),
    ),
    ReaderLimit(
        "cell_lines", Effect.REFUSES, f"A cell holds {_MAX_LINE_FEEDS} line feeds.",
        "Read these values from another export.", _SPECIFICATIONS,
        values_violating(TEXTS, lambda value: value.str.count_matches("\n", literal=True) > _MAX_LINE_FEEDS),
    ),
    ReaderLimit(
        "first_year", Effect.REFUSES, "The calendar begins on 1 January 1900.",
        "Take these dates as text.", _SPECIFICATIONS, values_violating(DATES, before_year(1900)),
    ),
    ReaderLimit(
        "digits", Effect.CHANGES, "A number keeps 15 digits.",
        "Take ids as text, as export --to excel writes them; read other numbers from another export.",
        _SPECIFICATIONS, values_violating(NUMBERS, more_digits_than(15)),
    ),
    ReaderLimit(
        "milliseconds", Effect.CHANGES, "A time has milliseconds; microseconds are lost.",
        "Nothing, unless the order of events within a millisecond matters.", _TIMES,
        values_violating((Kind.INSTANT,), lambda value: value.dt.timestamp("us") % 1_000 != 0),
    ),
    ReaderLimit(
        "time_zones", Effect.CHANGES, "A time has no time zone.",
        "Read them as UTC.", _TIMES, columns_of_kind(Kind.INSTANT),
    ),
)  # fmt: skip
