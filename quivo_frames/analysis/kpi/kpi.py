"""What a KPI is: a small function from a query to a frame, with its definition as its docstring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.definition import parse_docstring
from quivo_frames.analysis.kpi.query import KpiQuery


class Definition(NamedTuple):
    """How a KPI is defined: its title, the definition, the standard it follows, and what it cannot see."""

    title: str
    text: str
    reference: str
    limits: str


KpiFunction = Callable[[KpiQuery], pl.DataFrame]
"""Computes the frame of a KPI from a query."""


@dataclass(frozen=True, slots=True)
class Kpi:
    """One KPI: its name, the standard it follows, the orders it is about, and the function that computes it."""

    name: str
    reference: str
    relevant_orders: pl.Expr
    compute: KpiFunction

    @property
    def definition(self) -> Definition:
        """The definition, read from the docstring of the function."""
        title, text, limits = parse_docstring(self.compute)
        return Definition(title.removesuffix("."), text, self.reference, limits)


def define_kpi(reference: str, relevant_orders: pl.Expr) -> Callable[[KpiFunction], Kpi]:
    """Makes a function a KPI. Its docstring holds a title, the definition, and `Limits:`, what it cannot see."""
    return lambda function: Kpi(function.__name__, reference, relevant_orders, function)


def share_of_whole(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """The share of a part in a whole, 0 to 1; null if the whole is 0."""
    return pl.when(whole > 0).then(part / whole)


def days_between(earlier: str, later: str) -> pl.Expr:
    """Days from one instant to another, as a fraction; null if they are in the wrong order."""
    days = (pl.col(later) - pl.col(earlier)).dt.total_microseconds() / 86_400_000_000
    return pl.when(days >= 0).then(days)
