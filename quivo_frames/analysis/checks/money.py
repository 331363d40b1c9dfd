"""Checks of amounts and their currencies."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.checks.check import (
    Severity,
    amount_text,
    amount_texts,
    count_text,
    define_check,
    report_rows,
)
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.identifiers import comparison_form
from quivo_frames.analysis.milestones import OrderView

_ARITHMETIC = "arithmetic of the order's own amounts"
_EXACT = pl.Decimal(38, 4)
_FLOAT_ERROR = 1e-9


_PAIRS = {"net": ("unit_net_price", "total_net_amount"), "gross": ("unit_gross_price", "total_gross_amount")}
"""The price of a piece and the amount of the line."""


def _with_worth(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Ordered lines, of net and gross: price times quantity, the tolerance, and whether the amount is less.

    An amount of 0 was not filled in, or all of it was taken off; a quantity that is not above 0 has no price to
    compare.
    """
    lines = view["order_positions"].filter(pl.col("quantity") > 0)
    worth = {
        f"{kind}_worth": pl.col("quantity").cast(_EXACT) * pl.col(price).cast(_EXACT)
        for kind, (price, _) in _PAIRS.items()
    }
    lines = lines.with_columns(**worth, tolerance=pl.col("quantity") * limits.money + _FLOAT_ERROR)
    above = {
        f"{kind}_above": pl.when(pl.col(total) != 0).then((pl.col(total) - pl.col(f"{kind}_worth")).cast(pl.Float64))
        for kind, (_, total) in _PAIRS.items()
    }
    shares = [pl.col(total).cast(pl.Float64) / pl.col(f"{kind}_worth").cast(pl.Float64) for kind, (_, total) in
              _PAIRS.items()]  # fmt: skip
    below = [pl.col(f"{kind}_above") < -pl.col("tolerance") for kind in _PAIRS]
    as_much = (shares[0] - shares[1]).abs() * pl.col("gross_worth").cast(pl.Float64) <= 2 * pl.col("tolerance")
    positive = pl.all_horizontal((pl.col(total) >= 0).fill_null(value=True) for _, total in _PAIRS.values())
    one_unknown = pl.any_horizontal(pl.col(f"{kind}_above").is_null() for kind in _PAIRS)
    discounted = pl.any_horizontal(below) & positive & (one_unknown | (pl.all_horizontal(below) & as_much))
    return lines.with_columns(**above).with_columns(discounted=discounted.fill_null(value=False))


def _report_differing_totals(view: OrderView, limits: Limits, kind: str) -> pl.LazyFrame:
    """Lines whose total is not price times quantity, and that no discount explains."""
    price, total = _PAIRS[kind]
    off = pl.col(f"{kind}_above").abs() > pl.col("tolerance")
    return report_rows(
        _with_worth(view, limits).filter(off, ~pl.col("discounted")), "order_position_key", "{} times {} is not {}.",
        "quantity", amount_text(price), amount_text(total),
        evidence={"quantity": "quantity", price: amount_text(price), total: amount_text(total)},
        sku="sku", expected=f"{kind}_worth", actual=total,
    )  # fmt: skip


@define_check(
    Severity.WARNING, "order_positions", _ARITHMETIC,
    needs=("order_positions.quantity", "order_positions.unit_net_price", "order_positions.total_net_amount"),
)  # fmt: skip
def net_total_differs(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The net amount of a line is not its quantity times its net price.

    They differ by more than `money` a piece, the most that rounding a price to cents can bring about.

    Limits: an amount that is less may be a discount, which `line_discount` notes: it is found here only if net and
    gross are not less by the same share. An amount of 0 counts as not filled in; a quantity of 0 or less asks for
    nothing.
    """
    return _report_differing_totals(view, limits, "net")


@define_check(
    Severity.WARNING, "order_positions", _ARITHMETIC,
    needs=("order_positions.quantity", "order_positions.unit_gross_price", "order_positions.total_gross_amount"),
)  # fmt: skip
def gross_total_differs(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The gross amount of a line is not its quantity times its gross price.

    They differ by more than `money` a piece, the most that rounding a price to cents can bring about.

    Limits: an amount that is less may be a discount, which `line_discount` notes: it is found here only if net and
    gross are not less by the same share. An amount of 0 counts as not filled in; a quantity of 0 or less asks for
    nothing.
    """
    return _report_differing_totals(view, limits, "gross")


@define_check(Severity.INFO, "order_positions", _ARITHMETIC, needs=("order_positions.quantity",))
def line_discount(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A line costs less than its pieces, as after a discount.

    Its net or gross amount is below quantity times price by more than `money` a piece; if both are known, both are less
    by the same share. Most shops take a discount off the line and leave the price: that is worth knowing for who adds
    up prices, but no fault.

    Limits: a wrong amount that is too low looks the same, if net and gross are wrong alike.
    """
    lines = _with_worth(view, limits).filter("discounted")
    kinds = [pl.col("net_above") < 0, pl.col("gross_above") < 0]
    worth, total = (
        pl.when(kinds[0]).then(pl.col(net).cast(_EXACT)).when(kinds[1]).then(pl.col(gross).cast(_EXACT))
        for net, gross in (("net_worth", "gross_worth"), ("total_net_amount", "total_gross_amount"))
    )
    return report_rows(
        lines, "order_position_key", "{} of {} at {} together instead of {}.", count_text("quantity", "piece"), "sku",
        amount_text(total), amount_text(worth),
        evidence=amount_texts("total_net_amount", "total_gross_amount"), sku="sku", expected=worth, actual=total,
    )  # fmt: skip


@define_check(Severity.ERROR, "order_positions", "gross is net and tax")
def gross_below_net(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A gross price or amount is below the net one.

    The prices of one piece are compared, and the amounts of the line, each with the tolerance `money` for rounding to
    cents. A gross one of 0 was not filled in, and one below zero takes money off: both are left out.

    Limits: gross and net that are equal are fine: there may be no tax.
    """
    pairs = [("unit_net_price", "unit_gross_price"), ("total_net_amount", "total_gross_amount")]
    tolerance = limits.money + _FLOAT_ERROR
    less = [(pl.col(net) - pl.col(gross)).cast(pl.Float64) for net, gross in pairs]
    below = [(by > tolerance) & (pl.col(gross) > 0) for by, (_, gross) in zip(less, pairs, strict=True)]
    expected, actual = (
        pl.when(below[0]).then(pl.col(prices).cast(_EXACT)).otherwise(pl.col(totals).cast(_EXACT))
        for prices, totals in zip(*pairs, strict=True)
    )
    return report_rows(
        view["order_positions"].filter(pl.any_horizontal(below)), "order_position_key",
        "gross is below net: {} and {} a piece, {} and {} for the line.",
        *(amount_text(name) for net, gross in pairs for name in (gross, net)),
        evidence={name: amount_text(name) for pair in pairs for name in pair},
        sku="sku", expected=expected, actual=actual,
    )  # fmt: skip


@define_check(
    Severity.ERROR, "orders", "an amount is nothing without its currency", needs=("orders.cash_on_delivery_amount",)
)
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
        actual="cash_on_delivery_amount",
    )  # fmt: skip


@define_check(
    Severity.WARNING, "orders", "one order, one currency", needs=("orders.currency", "orders.cash_on_delivery_currency")
)
def mixed_currencies(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """Cash is collected on delivery in another currency than the order's.

    `cash_on_delivery_currency` and `currency` are both known, and differ in more than upper and lower case.

    Limits: the other amounts of an order have no currency of their own, so that theirs cannot be compared.
    """
    names = ("currency", "cash_on_delivery_currency")
    own, cash = (comparison_form(pl.col(name)) for name in names)
    orders = view["orders"].filter(own != cash, pl.col("cash_on_delivery_amount") > 0)
    return report_rows(
        orders, "order_id", "it is priced in {}, but cash is collected in {}.", *names,
        evidence=names,
    )  # fmt: skip
