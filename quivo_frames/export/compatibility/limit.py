"""What a limit is: what one reader does to some values, types or names, with the document that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import polars as pl

from quivo_frames.model.order import Kind
from quivo_frames.model.tables import Table

TEXTS = (Kind.TEXT, Kind.JSON)
WHOLE = (Kind.INT64, Kind.INT32)
NUMBERS = (*WHOLE, Kind.MONEY, Kind.MEASURE)
DATES = (Kind.INSTANT, Kind.DAY)


class Effect(StrEnum):
    """What a reader does beyond a limit: it does not take the data, or takes it for something else; worst first."""

    REFUSES = "refuses"
    CHANGES = "changes"


class SourceDocument(NamedTuple):
    """The document that tells a limit."""

    title: str
    url: str


class LimitTarget(NamedTuple):
    """Where in a table a limit may be met.

    `column` is None for the row or the table as a whole. `broken` is true for the rows that meet it. `alike` is what
    the reader takes for the value: rows meet the limit whose values differ while this does not. With neither, the
    limit is met by the type or the name as such.
    """

    column: str | None
    violation: pl.Expr | None = None
    read_as: pl.Expr | None = None


TargetFinder = Callable[[Table], Iterator[LimitTarget]]
"""A table -> where in it a limit may be met."""


@dataclass(frozen=True, slots=True)
class ReaderLimit:
    """One limit: its name, what happens beyond it, what to do about it, its source, and where it may be met."""

    name: str
    effect: Effect
    happens: str
    cure: str
    source: SourceDocument
    find_targets: TargetFinder


def values_violating(kinds: tuple[Kind, ...], broken: Callable[[pl.Expr], pl.Expr]) -> TargetFinder:
    """Values of columns of these kinds that break a rule."""

    def places(table: Table) -> Iterator[LimitTarget]:
        for column in table.columns:
            if column.kind in kinds:
                yield LimitTarget(column.name, violation=broken(pl.col(column.name)))

    return places


def values_read_as(kinds: tuple[Kind, ...], alike: Callable[[pl.Expr], pl.Expr]) -> TargetFinder:
    """Values of columns of these kinds that a reader takes for each other."""

    def places(table: Table) -> Iterator[LimitTarget]:
        for column in table.columns:
            if column.kind in kinds:
                yield LimitTarget(column.name, read_as=alike(pl.col(column.name)))

    return places


def columns_of_kind(*kinds: Kind) -> TargetFinder:
    """Columns of these kinds, whatever they hold."""

    def places(table: Table) -> Iterator[LimitTarget]:
        yield from (LimitTarget(column.name) for column in table.columns if column.kind in kinds)

    return places


def rows_violating(broken: Callable[[Table], pl.Expr]) -> TargetFinder:
    """Rows that break a rule as a whole."""

    def places(table: Table) -> Iterator[LimitTarget]:
        yield LimitTarget(None, violation=broken(table))

    return places


def names_violating(broken: Callable[[str], bool]) -> TargetFinder:
    """Tables and columns whose names break a rule."""

    def places(table: Table) -> Iterator[LimitTarget]:
        if broken(table.name):
            yield LimitTarget(None)
        yield from (LimitTarget(column.name) for column in table.columns if broken(column.name))

    return places


def names_differing_in_case(table: Table) -> Iterator[LimitTarget]:
    """Columns of a table whose names differ in case alone."""
    seen: set[str] = set()
    for column in table.columns:
        if column.name.lower() in seen:
            yield LimitTarget(column.name)
        seen.add(column.name.lower())


def more_digits_than(most: int) -> Callable[[pl.Expr], pl.Expr]:
    """Whether a number has more significant digits, as it is written in decimals."""

    def broken(value: pl.Expr) -> pl.Expr:
        digits = value.cast(pl.String).str.replace("[eE].*", "").str.replace(".", "", literal=True)
        return digits.str.strip_chars("-0").str.len_chars() > most

    return broken


def before_year(year: int) -> Callable[[pl.Expr], pl.Expr]:
    """Whether a day or an instant (UTC) is of an earlier year."""
    return lambda value: value.dt.year() < year
