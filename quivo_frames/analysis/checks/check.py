"""What a check is: a small function that says which rows break one rule, with its definition as its docstring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.definition import parse_docstring
from quivo_frames.analysis.milestones import OrderView


class Severity(StrEnum):
    """How much a finding matters: something went wrong, may have gone wrong, or is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


CheckFunction = Callable[[OrderView, Limits], pl.LazyFrame]
"""Books and limits -> what `told` makes of the rows that break the rule."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: its name, how much it matters, the table whose rows break it, and where it comes from."""

    name: str
    severity: Severity
    table: str
    reference: str
    function: CheckFunction

    @property
    def title(self) -> str:
        """What it finds, in a sentence."""
        return parse_docstring(self.function).title

    @property
    def definition(self) -> str:
        """How exactly it is defined."""
        return parse_docstring(self.function).text

    @property
    def limits(self) -> str:
        """What it cannot see."""
        return parse_docstring(self.function).limits

    def find_violations(self, view: OrderView, limits: Limits) -> pl.LazyFrame:
        """The rows that break the rule, as findings (with the column `personal` beside)."""
        return self.function(view, limits).with_columns(
            check=pl.lit(self.name), severity=pl.lit(str(self.severity)), reference=pl.lit(self.reference),
            table=pl.coalesce("table", pl.lit(self.table)),
        )  # fmt: skip


def define_check(severity: Severity, table: str, reference: str) -> Callable[[CheckFunction], Check]:
    """Makes a check of a function; its docstring: what is found, the definition, and `Limits:` what it cannot see."""
    return lambda run: Check(run.__name__, severity, table, reference, run)


def report_rows(
    rows: pl.LazyFrame, key: str, message: str, *words: str | pl.Expr,
    evidence: dict[str, str | pl.Expr] | None = None, personal: dict[str, str | pl.Expr] | None = None,
    table: str | None = None,
) -> pl.LazyFrame:  # fmt: skip
    """The rows as findings: `key` names their key column, `{}` in the message stand for the words, in their order.

    `evidence` are the values that were compared, by name; `personal` those that are shown only when they are asked for.
    `table` is that of the rows, if it is not the check's own.
    """
    return rows.select(
        "order_id",
        row_key=pl.col(key).cast(pl.String),
        message=pl.format(f"Order {{}}: {message}", "order_id", *map(value_text, words)),
        evidence=_format_evidence(evidence or {}),
        personal=_format_evidence(personal or {}),
        table=pl.lit(table, pl.String),
    )


def _format_evidence(values: dict[str, str | pl.Expr]) -> pl.Expr:
    if not values:
        return pl.lit(None, pl.String)
    return pl.concat_str(
        [pl.format(f"{name}={{}}", value_text(value)) for name, value in values.items()], separator=", "
    )


def value_text(value: str | pl.Expr) -> pl.Expr:
    """A value (a column by name) as text; "?" where it is not known."""
    return (pl.col(value) if isinstance(value, str) else value).cast(pl.String).fill_null("?")


def instant_text(value: str | pl.Expr) -> pl.Expr:
    """An instant as text, to the minute: 2026-06-01 12:00 UTC."""
    return (pl.col(value) if isinstance(value, str) else value).dt.strftime("%Y-%m-%d %H:%M UTC")


def amount_text(value: str | pl.Expr) -> pl.Expr:
    """Money or a measure as text, without trailing zeros."""
    text = value_text(value)
    return pl.when(text.str.contains(r"\.\d*0+$")).then(text.str.replace(r"\.?0+$", "")).otherwise(text)


def days_text(value: pl.Expr) -> pl.Expr:
    """A duration as text, in days to one decimal."""
    return (value.dt.total_minutes() / 1440).round(1).cast(pl.String)


def local_day(value: str | pl.Expr, limits: Limits) -> pl.Expr:
    """The day of an instant in the zone in which the days of the orders are meant."""
    instant = pl.col(value) if isinstance(value, str) else value
    return instant.dt.convert_time_zone(limits.time_zone).dt.date()


def with_milestones(rows: pl.LazyFrame, view: OrderView, *columns: str) -> pl.LazyFrame:
    """The rows, with these columns of their order's milestones beside."""
    return rows.join(view.milestones.select("order_id", *columns), on="order_id", how="left")
