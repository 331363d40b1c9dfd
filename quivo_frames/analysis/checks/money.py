"""Checks of amounts and their currencies."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.checks.check import Severity, amount_text, amount_texts, define_check, report_rows
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.milestones import OrderView

_ARITHMETIC = "arithmetic of the order's own amounts"
_EXACT = pl.Decimal(38, 4)


def _report_differing_totals(view: OrderView, limits: Limits, price: str, total: str) -> pl.LazyFrame:
    """Lines whose total is not price times quantity."""
    worth = pl.col("quantity").cast(_EXACT) * pl.col(price).cast(_EXACT)
    tolerance = pl.max_horizontal(pl.col("quantity").abs(), 1) * limits.money
    lines = view["order_positions"].filter((worth - pl.col(total)).cast(pl.Float64).abs() > tolerance + 1e-9)
    return report_rows(
        lines, "order_position_key", "{} times {} is not {}.", "quantity", amount_text(price), amount_text(total),
        evidence={"quantity": "quantity", price: amount_text(price), total: amount_text(total)},
    )  # fmt: skip


@define_check(Severity.WARNING, "order_positions", _ARITHMETIC)
def net_total_differs(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The net amount of a line is not its quantity times its net price.

    They differ by more than `money` a piece, the most that rounding a price to cents can bring about.

    Limits: a discount on the whole line shows as a difference, too.
    """
    return _report_differing_totals(view, limits, "unit_net_price", "total_net_amount")


@define_check(Severity.WARNING, "order_positions", _ARITHMETIC)
def gross_total_differs(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The gross amount of a line is not its quantity times its gross price.

    They differ by more than `money` a piece, the most that rounding a price to cents can bring about.

    Limits: a discount on the whole line shows as a difference, too.
    """
    return _report_differing_totals(view, limits, "unit_gross_price", "total_gross_amount")


@define_check(Severity.ERROR, "order_positions", "gross is net and tax")
def gross_below_net(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """A gross price or amount is below the net one.

    The prices of one piece are compared, and the amounts of the line; amounts below zero are left out.

    Limits: gross and net that are equal are fine: there may be no tax.
    """
    pairs = [("unit_net_price", "unit_gross_price"), ("total_net_amount", "total_gross_amount")]
    below = pl.any_horizontal((pl.col(gross) < pl.col(net)) & (pl.col(gross) >= 0) for net, gross in pairs)
    return report_rows(
        view["order_positions"].filter(below), "order_position_key",
        "gross is below net: {} and {} a piece, {} and {} for the line.",
        *(amount_text(name) for net, gross in pairs for name in (gross, net)),
        evidence={name: amount_text(name) for pair in pairs for name in pair},
    )  # fmt: skip


@define_check(Severity.ERROR, "orders", "an amount is nothing without its currency")
def cash_without_currency(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """Cash is to be collected on delivery, but no currency is given for it.

    The amount is above zero, and `cash_on_delivery_currency` is missing.

    Limits: the currency of the order may be meant; the API does not say so.
    """
    orders = view["orders"].filter(
        pl.col("cash_on_delivery_amount") > 0, pl.col("cash_on_delivery_currency").is_null()
    )  # fmt: skip
    return report_rows(
        orders, "order_id", "{} are to be collected on delivery, in no currency.",
        amount_text("cash_on_delivery_amount"),
        evidence={**amount_texts("cash_on_delivery_amount"), "currency": "currency"},
    )  # fmt: skip


@define_check(Severity.WARNING, "orders", "one order, one currency")
def mixed_currencies(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """Cash is collected on delivery in another currency than the order's.

    `cash_on_delivery_currency` and `currency` are both known, and differ in more than upper and lower case.

    Limits: the other amounts of an order have no currency of their own, so that theirs cannot be compared.
    """
    names = ("currency", "cash_on_delivery_currency")
    own, cash = (pl.col(name).str.to_uppercase() for name in names)
    orders = view["orders"].filter(own != cash, pl.col("cash_on_delivery_amount") > 0)
    return report_rows(
        orders, "order_id", "it is priced in {}, but cash is collected in {}.", *names,
        evidence=names,
    )  # fmt: skip
