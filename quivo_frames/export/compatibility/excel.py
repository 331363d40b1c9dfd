"""What Excel changes or refuses: the sheet, the cell, its 15 digits, its calendar."""

from __future__ import annotations

import polars as pl

from quivo_frames.export.compatibility.limit import (
    DATES,
    NUMBERS,
    TEXTS,
    Effect,
    Limit,
    Source,
    before,
    each,
    more_digits_than,
    rows,
    typed,
)
from quivo_frames.model.order import Kind

_SPECIFICATIONS = Source(
    "Excel specifications and limits",
    "https://support.microsoft.com/en-us/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3",
)
_TIMES = Source("openpyxl: Dates and Times", "https://openpyxl.readthedocs.io/en/3.1/datetime.html")
_ROWS = 1_048_576
_CHARACTERS = 32_767
_LINE_FEEDS = 253

LIMITS = (
    Limit(
        "rows", Effect.REFUSES, f"A sheet has {_ROWS:,} rows, the header among them.",
        "Export fewer orders, or to parquet or DuckDB, and load them into the data model.", _SPECIFICATIONS,
        rows(lambda _: pl.int_range(pl.len()) >= _ROWS - 1),
    ),
    Limit(
        "cell_length", Effect.REFUSES, f"A cell holds {_CHARACTERS:,} characters.",
        "Read these values from another export.", _SPECIFICATIONS,
        each(TEXTS, lambda value: value.str.len_chars() > _CHARACTERS),
    ),
    Limit(
        "cell_lines", Effect.REFUSES, f"A cell holds {_LINE_FEEDS} line feeds.",
        "Read these values from another export.", _SPECIFICATIONS,
        each(TEXTS, lambda value: value.str.count_matches("\n", literal=True) > _LINE_FEEDS),
    ),
    Limit(
        "first_year", Effect.REFUSES, "The calendar begins on 1 January 1900.",
        "Take these dates as text.", _SPECIFICATIONS, each(DATES, before(1900)),
    ),
    Limit(
        "digits", Effect.CHANGES, "A number keeps 15 digits.",
        "Take ids as text, as export --to excel writes them; read other numbers from another export.",
        _SPECIFICATIONS, each(NUMBERS, more_digits_than(15)),
    ),
    Limit(
        "milliseconds", Effect.CHANGES, "A time has milliseconds; microseconds are lost.",
        "Nothing, unless the order of events within a millisecond matters.", _TIMES,
        each((Kind.INSTANT,), lambda value: value.dt.timestamp("us") % 1_000 != 0),
    ),
    Limit(
        "time_zones", Effect.CHANGES, "A time has no time zone.",
        "Read them as UTC.", _TIMES, typed(Kind.INSTANT),
    ),
)  # fmt: skip
