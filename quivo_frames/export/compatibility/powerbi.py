"""Limits of Power BI: the types of its model, and its engine, which ignores case."""

from __future__ import annotations

from quivo_frames.export.compatibility.limit import (
    DATES,
    TEXTS,
    WHOLE,
    Effect,
    ReaderLimit,
    SourceDocument,
    before_year,
    columns_of_kind,
    more_digits_than,
    values_read_as,
    values_violating,
)
from quivo_frames.model.order import Kind

_TYPES = SourceDocument(
    "Data types in Power BI Desktop", "https://learn.microsoft.com/en-us/power-bi/connect-data/desktop-data-types"
)
_MAX_CHARACTERS = 32_000
_LEAST, _MOST = -(2**63) + 1, 2**63 - 2
_MAX_EXACT_IN_VISUALS = 2**53 - 1
_TIME_STEP = 10_000
"""Microseconds: Power BI counts in 1/300 s, and three of these are 10,000 microseconds."""

LIMITS = (
    ReaderLimit(
        "text_length", Effect.REFUSES,
        f"Texts of more than about {_MAX_CHARACTERS:,} characters are likely to be errors.",
        "Leave the column out, or cut it in Power Query.", _TYPES,
        values_violating(TEXTS, lambda value: value.str.len_chars() > _MAX_CHARACTERS),
    ),
    ReaderLimit(
        "whole_numbers", Effect.REFUSES, "Whole numbers go from -2^63 + 1 to 2^63 - 2.",
        "Load the column as text.", _TYPES, values_violating(WHOLE, lambda value: ~value.is_between(_LEAST, _MOST)),
    ),
    ReaderLimit(
        "first_year", Effect.REFUSES, "Dates are of the years 1900 to 9999.",
        "Load the column as text, or replace these dates in Power Query.", _TYPES,
        values_violating(DATES, before_year(1900)),
    ),
    ReaderLimit(
        "case", Effect.CHANGES, "Texts that differ in case alone become one, spelled as the first of them.",
        "Count and relate by keys and ids; where case matters, make it a column of its own in Power Query.", _TYPES,
        values_read_as(TEXTS, lambda value: value.str.to_lowercase()),
    ),
    ReaderLimit(
        "trailing_spaces", Effect.CHANGES, "Spaces at the end of a text are cut off.",
        "Trim the column in Power Query, so that what is counted is what is seen.", _TYPES,
        values_violating(TEXTS, lambda value: value.str.ends_with(" ")),
    ),
    ReaderLimit(
        "money_digits", Effect.CHANGES, "As decimal number, an amount keeps 15 digits.",
        "Set the column to fixed decimal number: 19 digits, 4 of them decimals.", _TYPES,
        values_violating((Kind.MONEY,), more_digits_than(15)),
    ),
    ReaderLimit(
        "shown_numbers", Effect.CHANGES, "Visuals show whole numbers exactly up to 2^53 - 1.",
        "Load the column as text where it is an id.", _TYPES,
        values_violating(WHOLE, lambda value: ~value.is_between(-_MAX_EXACT_IN_VISUALS, _MAX_EXACT_IN_VISUALS)),
    ),
    ReaderLimit(
        "time_steps", Effect.CHANGES, "Times are kept in steps of 1/300 second.",
        "Nothing, unless the order of events within 4 milliseconds matters.", _TYPES,
        values_violating((Kind.INSTANT,), lambda value: value.dt.timestamp("us") % _TIME_STEP != 0),
    ),
    ReaderLimit(
        "time_zones", Effect.CHANGES, "The model keeps no time zone, and shifts no times.",
        "Take them as UTC and name them so, or shift them in Power Query.", _TYPES, columns_of_kind(Kind.INSTANT),
    ),
)  # fmt: skip
