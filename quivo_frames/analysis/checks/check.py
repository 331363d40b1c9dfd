"""A check: a small function that finds the rows that break one rule; its docstring is its definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.definition import parse_docstring
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.text_columns import format_columns


class Severity(StrEnum):
    """How much a finding matters: something went wrong, may have gone wrong, or is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


CheckFunction = Callable[[OrderView, Limits], pl.LazyFrame]
"""Takes the tables and the thresholds, and returns `report_rows` of the rows that break the rule."""

Values = Mapping[str, str | pl.Expr] | Sequence[str]
"""Values by the name that evidence gives them; names of columns stand for themselves."""
EVIDENCE = pl.List(pl.Struct({"name": pl.String, "value": pl.String}))
"""The type of evidence: the values that were compared, as texts, by name."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: its name, its severity, the table whose rows break it, and the standard that it follows."""

    name: str
    severity: Severity
    table: str
    reference: str
    function: CheckFunction
    needs: tuple[str, ...] = ()
    """The columns without which it can judge nothing, such as shipments.delivery_date."""
    crosses_orders: bool = False
    """Whether it compares rows of different orders; other checks can look at any part of the orders by itself."""
    misses_personal: bool = False
    """Whether it finds that a personal value is missing, so that it cannot judge tables that leave those out."""

    @property
    def subject(self) -> str:
        """What it is about: the name of its module, such as quantities."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def title(self) -> str:
        """What the check finds, in one sentence."""
        return parse_docstring(self.function).title

    @property
    def definition(self) -> str:
        """The exact definition."""
        return parse_docstring(self.function).text

    @property
    def limits(self) -> str:
        """What the check cannot see."""
        return parse_docstring(self.function).limits

    def find_violations(self, view: OrderView, limits: Limits) -> pl.LazyFrame:
        """The rows that break the rule: as `report_rows` has them, with what is said of the check.

        The name of a finding (`finding`) is the check and the key of the row; for rows of another table than the
        check's, whose keys may look the same, the name of that table stands between them.
        """
        elsewhere = pl.when(pl.col("table") != self.table).then(pl.col("table") + "/").otherwise(pl.lit(""))
        return self.function(view, limits).with_columns(
            check=pl.lit(self.name), severity=pl.lit(str(self.severity)), reference=pl.lit(self.reference),
            table=pl.coalesce("table", pl.lit(self.table)),
            finding=pl.concat_str(pl.lit(f"{self.name}:"), elsewhere, "key"),
        )  # fmt: skip


def define_check(
    severity: Severity,
    table: str,
    reference: str,
    needs: tuple[str, ...] = (),
    *,
    crosses_orders: bool = False,
    misses_personal: bool = False,
) -> Callable[[CheckFunction], Check]:
    """Decorates a check function; `needs` are the columns without which it can judge nothing.

    Its name is the name of the check. Its docstring has a title, the definition, and a paragraph `Limits:` about what
    the check cannot see.
    """
    return lambda function: Check(
        function.__name__, severity, table, reference, function, needs, crosses_orders, misses_personal
    )


def report_rows(
    rows: pl.LazyFrame, key: str, message: str, *words: str | pl.Expr,
    evidence: Values = (), personal: Values = (), table: str | None = None, sku: str | pl.Expr | None = None,
    expected: str | pl.Expr | None = None, actual: str | pl.Expr | None = None, days_late: pl.Expr | None = None,
) -> pl.LazyFrame:  # fmt: skip
    """The rows as findings: `key` names their key column, and each `{}` of the message stands for one of the words.

    `evidence` holds the values that were compared. Those of `personal` are shown only to users who ask for them.
    `table` is the table of the rows, if it is not that of the check. `sku`, and the numbers `expected` and `actual`
    (pieces, amounts, weights), are given where a check compares such; `days_late` where it compares instants or days.
    """
    return rows.select(
        "order_id",
        key=pl.col(key).cast(pl.String),
        message=format_columns(f"Order {{}}: {message}", "order_id", *map(value_text, words)),
        evidence=_list_evidence(evidence),
        personal=_list_evidence(personal),
        table=pl.lit(table, pl.String),
        sku=_value_or_null(sku, pl.String),
        expected=_value_or_null(expected, pl.Float64),
        actual=_value_or_null(actual, pl.Float64),
        days_late=_value_or_null(days_late, pl.Float64).round(6),  # the same for any part of the orders
    )


def _value_or_null(value: str | pl.Expr | None, dtype: type[pl.DataType]) -> pl.Expr:
    return pl.lit(None, dtype) if value is None else _as_expression(value).cast(dtype)


def days_of(duration: pl.Expr) -> pl.Expr:
    """A duration in days, as a number."""
    return duration.dt.total_microseconds() / 86_400_000_000


def _list_evidence(values: Values) -> pl.Expr:
    named = values if isinstance(values, Mapping) else {name: name for name in values}
    entries = [pl.struct(name=pl.lit(name), value=value_text(value)) for name, value in named.items()]
    return pl.concat_list(entries) if entries else pl.lit([], EVIDENCE)


def _as_expression(value: str | pl.Expr) -> pl.Expr:
    return pl.col(value) if isinstance(value, str) else value


def value_text(value: str | pl.Expr) -> pl.Expr:
    """A value (a column by name) as text; "?" where it is not known."""
    return _as_expression(value).cast(pl.String).fill_null("?")


def count_text(value: str | pl.Expr, noun: str) -> pl.Expr:
    """A number with its noun as text: 1 piece, 2 pieces."""
    ending = pl.when(_as_expression(value) == 1).then(pl.lit("")).otherwise(pl.lit("s"))
    return pl.concat_str(value_text(value), pl.lit(f" {noun}"), ending)


def instant_text(value: str | pl.Expr) -> pl.Expr:
    """An instant as text, to the minute: 2026-06-01 12:00 UTC."""
    return _as_expression(value).dt.strftime("%Y-%m-%d %H:%M UTC")


def instant_texts(*columns: str) -> dict[str, str | pl.Expr]:
    """Columns of instants as evidence."""
    return {column: instant_text(column) for column in columns}


def amount_text(value: str | pl.Expr) -> pl.Expr:
    """Money or a measure as text, without trailing zeros."""
    text = value_text(value)
    return pl.when(text.str.contains(r"\.\d*0+$")).then(text.str.replace(r"\.?0+$", "")).otherwise(text)


def amount_texts(*columns: str) -> dict[str, str | pl.Expr]:
    """Columns of money or measures as evidence."""
    return {column: amount_text(column) for column in columns}


def days_text(value: pl.Expr) -> pl.Expr:
    """A duration as text, in days to one decimal."""
    return (value.dt.total_minutes() / 1440).round(1).cast(pl.String)


def with_milestones(rows: pl.LazyFrame, view: OrderView, *columns: str) -> pl.LazyFrame:
    """The rows, each with these milestones of its order."""
    return rows.join(view.milestones.select("order_id", *columns), on="order_id", how="left")


def rows_with_repeated(rows: pl.LazyFrame, value: str, holder: str) -> pl.DataFrame:
    """The rows whose value, such as a serial number, stands in several holders, such as lines.

    All others are left out by numbers in place of texts, as most values stand once in millions of rows.
    """
    pairs = rows.drop_nulls(value).select(pl.col(value).hash(), pl.col(holder).hash().alias("holder")).unique()
    several = pairs.group_by(value).len().filter(pl.col("len") > 1).select(value).collect(engine="streaming")
    return rows.filter(pl.col(value).hash().is_in(several.to_series().implode())).collect(engine="streaming")
