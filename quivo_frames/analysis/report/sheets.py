"""Tables for the page: frames with headings in words and formatted numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl

UNKNOWN = "–"
"""The sign for an unknown value."""


class ColumnHeading(NamedTuple):
    """The heading of a column, and whether the column holds numbers."""

    words: str
    is_number: bool


class Sheet(NamedTuple):
    """A table for the page; the first cell of a row is its heading."""

    caption: str
    heads: list[ColumnHeading]
    rows: list[list[str]]
    note: str = ""
    links: list[str] = []  # noqa: RUF012 - never changed
    """Where the headings of the rows lead to; empty if they are no links."""


def format_integer(number: int | None) -> str:
    """An integer with thousands separators: 12,345."""
    return UNKNOWN if number is None else f"{number:,}"


def format_percent(share: float | None) -> str:
    """A share as 97.4 %, without a line break; 0.0 % and 100.0 % only if it is exactly 0 or 1."""
    if share is None:
        return UNKNOWN
    if 0 < share < 0.0005:
        return "<\u00a00.1\u00a0%"
    if 0.9995 <= share < 1:
        return ">\u00a099.9\u00a0%"
    return f"{100 * share:,.1f}\u00a0%"


def format_days(number: float | None) -> str:
    """A number with one decimal: 3.4."""
    return UNKNOWN if number is None else f"{number:,.1f}"


def format_amount(amount: Decimal | None) -> str:
    """An amount of money with two decimals: 1,234.50."""
    return UNKNOWN if amount is None else f"{amount:,.2f}"


def format_minute(instant: datetime | None) -> str:
    """An instant to the minute: 2026-06-01 12:00 UTC."""
    return UNKNOWN if instant is None else f"{instant:%Y-%m-%d %H:%M} UTC"


def join_words(words: Iterable[str], most: int = 3, of: str = "others") -> str:
    """Words as a list in a sentence: A, B, C and 4 others."""
    found = list(words)
    if len(found) > most + 1:
        return f"{', '.join(found[:most])} and {len(found) - most} {of}"
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def _cell_formatter(name: str, dtype: pl.DataType) -> Callable[[Any], str]:
    if name.endswith(("rate", "share")):
        return format_percent
    if dtype.is_float():
        return format_days
    if dtype.is_decimal():
        return format_amount
    return format_integer if dtype.is_integer() else lambda value: UNKNOWN if value is None else str(value)


def make_sheet(frame: pl.DataFrame, caption: str, heads: Mapping[str, str] | None = None, note: str = "") -> Sheet:
    """A frame as a table: columns named ...rate or ...share in percent, fractions with one decimal, money with two.

    `heads` are the headings of columns, where they are not the name of the column in words.
    """
    named = heads or {}
    formatters = [_cell_formatter(name, dtype) for name, dtype in frame.schema.items()]
    return Sheet(
        caption,
        [ColumnHeading(named.get(name, name.replace("_", " ").capitalize()), dtype.is_numeric())
         for name, dtype in frame.schema.items()],
        [[formatted(value) for formatted, value in zip(formatters, row, strict=True)] for row in frame.iter_rows()],
        note,
    )  # fmt: skip
