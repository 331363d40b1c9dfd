"""Limits of readers: what a program changes or refuses, and the document that says so."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
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
    """What a reader does beyond a limit: it refuses the data, or changes it; worst first."""

    REFUSES = "refuses"
    CHANGES = "changes"


class SourceDocument(NamedTuple):
    """The document that states a limit."""

    title: str
    url: str


class LimitTarget(NamedTuple):
    """What a limit applies to in a table: a column, or the row or table as a whole (`column` is None).

    `violation` is true for rows beyond the limit. `read_as` is what the reader makes of the value: rows whose values
    differ although this is equal are beyond the limit. With neither, the name or the type alone decides.
    """

    column: str | None
    violation: pl.Expr | None = None
    read_as: pl.Expr | None = None

    @property
    def is_decided_by_schema(self) -> bool:
        """Whether the limit is exceeded whatever the rows contain."""
        return self.violation is None and self.read_as is None


TargetFinder = Callable[[Table], Iterator[LimitTarget]]
"""Finds what a limit applies to in a table."""


@dataclass(frozen=True, slots=True)
class ReaderLimit:
    """One limit: its name, what happens beyond it, the cure, its source, and what it applies to."""

    name: str
    effect: Effect
    happens: str
    cure: str
    source: SourceDocument
    find_targets: TargetFinder


def values_violating(kinds: tuple[Kind, ...], violates: Callable[[pl.Expr], pl.Expr]) -> TargetFinder:
    """Values that violate a rule, in columns of these kinds."""
    return lambda table: (
        LimitTarget(name, violation=violates(pl.col(name))) for name in _columns_of_kinds(table, kinds)
    )


def texts_longer_than(characters: int) -> TargetFinder:
    """Texts of more characters."""
    return values_violating(TEXTS, lambda value: value.str.len_chars() > characters)


def values_read_as(kinds: tuple[Kind, ...], read_as: Callable[[pl.Expr], pl.Expr]) -> TargetFinder:
    """Different values that a reader takes for the same, in columns of these kinds."""
    return lambda table: (LimitTarget(name, read_as=read_as(pl.col(name))) for name in _columns_of_kinds(table, kinds))


def columns_of_kind(*kinds: Kind) -> TargetFinder:
    """Columns of these kinds, whatever they contain."""
    return lambda table: map(LimitTarget, _columns_of_kinds(table, kinds))


def _columns_of_kinds(table: Table, kinds: tuple[Kind, ...]) -> Iterator[str]:
    return (column.name for column in table.columns if column.kind in kinds)


def rows_violating(violates: Callable[[Table], pl.Expr]) -> TargetFinder:
    """Rows that violate a rule as a whole."""
    return lambda table: iter([LimitTarget(None, violation=violates(table))])


def names_violating(violates: Callable[[str], bool]) -> TargetFinder:
    """Tables and columns whose names violate a rule."""

    def find_targets(table: Table) -> Iterator[LimitTarget]:
        if violates(table.name):
            yield LimitTarget(None)
        yield from (LimitTarget(column.name) for column in table.columns if violates(column.name))

    return find_targets


def reserved_names(keywords: Container[str]) -> TargetFinder:
    """Tables and columns that have the name of a keyword."""
    return names_violating(lambda name: name.lower() in keywords)


def names_differing_in_case(table: Table) -> Iterator[LimitTarget]:
    """Columns whose name differs from that of an earlier column only in case."""
    seen: set[str] = set()
    for column in table.columns:
        if column.name.lower() in seen:
            yield LimitTarget(column.name)
        seen.add(column.name.lower())


def more_digits_than(maximum: int) -> Callable[[pl.Expr], pl.Expr]:
    """Whether a number has more significant decimal digits."""

    def violates(value: pl.Expr) -> pl.Expr:
        digits = value.cast(pl.String).str.replace("[eE].*", "").str.replace(".", "", literal=True)
        return digits.str.strip_chars("-0").str.len_chars() > maximum

    return violates


def before_year(year: int) -> Callable[[pl.Expr], pl.Expr]:
    """Whether a day or an instant (UTC) is before a year."""
    return lambda value: value.dt.year() < year
