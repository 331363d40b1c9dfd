"""What a KPI is: a small function from a question to a frame, with its definition as its docstring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.definition import parse_docstring
from quivo_frames.analysis.kpi.question import KpiQuery


class Definition(NamedTuple):
    """How a KPI is defined: its title, the definition, where it comes from, and what it cannot see."""

    title: str
    text: str
    reference: str
    limits: str


KpiFunction = Callable[[KpiQuery], pl.DataFrame]
"""A question -> the frame that answers it."""


@dataclass(frozen=True, slots=True)
class Kpi:
    """One KPI: its name, the standard that it follows, which orders it looks at, and how it is computed."""

    name: str
    reference: str
    relevant_orders: pl.Expr
    compute: KpiFunction

    @property
    def definition(self) -> Definition:
        """Its definition, from the docstring of the function that computes it."""
        title, text, limits = parse_docstring(self.compute)
        return Definition(title.removesuffix("."), text, self.reference, limits)


def define_kpi(reference: str, about: pl.Expr) -> Callable[[KpiFunction], Kpi]:
    """Makes a KPI of a function; its docstring: a title, the definition, and `Limits:` what it cannot see."""
    return lambda run: Kpi(run.__name__, reference, about, run)


def share_of_whole(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """A part of a whole, 0 to 1; null of nothing."""
    return pl.when(whole > 0).then(part / whole)


def days_between(earlier: str, later: str) -> pl.Expr:
    """Days from one instant to another; null where they are out of order."""
    passed = (pl.col(later) - pl.col(earlier)).dt.total_microseconds() / 86_400_000_000
    return pl.when(passed >= 0).then(passed)
