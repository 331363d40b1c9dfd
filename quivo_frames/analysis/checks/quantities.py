"""Checks of quantities: pieces of a line that were ordered, planned, shipped and packed (see `line_matching`)."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.checks.check import Severity, define_check, report_rows, with_milestones
from quivo_frames.analysis.checks.goods import lines_of_goods, lines_to_ship
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.identifiers import comparison_form, sscc_digits, stated_value
from quivo_frames.analysis.line_sources import planned_rows
from quivo_frames.analysis.milestones import OrderView, is_settled

_IN_FULL = "SCOR RL.2.1, orders delivered in full"
_ORDERED = "what the order asks for"
_PLANNED = "what the fulfillment orders ask for"
_PACKED = "what the handling units hold"
AS_DIGITS = sscc_digits(pl.col("sscc")).alias("sscc")
"""An SSCC as it is compared."""
_SKUS = ("warehouse_sku", "seller_sku")


def _settled_lines(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The matched lines of orders of which nothing more is on its way, with the milestones that the checks ask for."""
    names = ("completed_at", "known_at", "shipped_last", "shipments", "fulfillment_orders", "called_off")
    return with_milestones(lines_to_ship(view, limits), view, *names).filter(is_settled(limits.settled_days))


def orders_wholly_packed(view: OrderView) -> pl.LazyFrame:
    """The orders (order_id) whose handling units hold everything that was shipped.

    The API does not say so. It is concluded where each shipment bears the SSCC of a unit, or there is only one
    shipment.
    """
    units = view["handling_units"].select("order_id", AS_DIGITS).unique()
    alone = view["shipments"].group_by("order_id").len().filter(pl.col("len") == 1)
    elsewhere = (
        view.valid_shipments.with_columns(AS_DIGITS)
        .join(units, on=["order_id", "sscc"], how="anti")
        .join(alone, on="order_id", how="anti")
    )
    return units.select("order_id").unique().join(elsewhere, on="order_id", how="anti")


def orders_with_reversals(view: OrderView) -> pl.LazyFrame:
    """The ids of orders with a reversed shipment."""
    return view["shipments"].filter("reversed").select("order_id")


def _orders_with_unclear_flag(view: OrderView, holders: str, flag: str) -> pl.LazyFrame:
    """The orders with several rows in a table, of which at least one leaves `flag` (reversed, cancelled) open."""
    each = view[holders].group_by("order_id").agg(pl.len(), unsaid=pl.col(flag).is_null().any())
    return each.filter(pl.col("unsaid"), pl.col("len") > 1)


@define_check(
    Severity.ERROR, "order_positions", _IN_FULL, needs=("order_positions.quantity", "shipment_positions.quantity")
)
def short_shipped(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Fewer pieces of an ordered line were shipped than ordered, and nothing more is on its way.

    The order is completed, or its last shipment left `settled_days` ago; some pieces of the line were shipped. Goods
    that came back (a quantity below zero) were shipped before. Of `packs`, the pieces count.

    Limits: orders that were called off are left out, and lines whose ordered or shipped quantity is not known.
    """
    short = (pl.col("shipped") < pl.col("ordered")) & (pl.col("shipped") > 0)
    return report_rows(
        _settled_lines(view, limits).filter(short, ~pl.col("called_off")), "order_position_key",
        "{} of {} pieces of {} were shipped.", "shipped", "ordered", "sku",
        evidence=("ordered", "shipped"), sku="sku", expected="ordered", actual="shipped",
    )  # fmt: skip


@define_check(
    Severity.ERROR, "order_positions", _IN_FULL, needs=("order_positions.quantity", "shipment_positions.quantity")
)
def never_shipped(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Nothing of an ordered line was shipped, although the order shipped something and nothing more is on its way.

    The order is completed, or its last shipment left `settled_days` ago. Lines that ask for no goods are left out:
    those of the `services`, such as gift cards and fees, those with a quantity of 0 or less, and those with a price or
    an amount below zero, such as a discount.

    Limits: orders that were called off or shipped nothing at all are left out, and lines whose ordered or shipped
    quantity is not known, such as those without SKU. That an SKU is a service cannot be told from an order: name it in
    `services`.
    """
    never = (pl.col("shipped") == 0) & (pl.col("ordered") > 0) & (pl.col("shipments") > 0)
    return report_rows(
        _settled_lines(view, limits).filter(never, ~pl.col("called_off")), "order_position_key",
        "{} was never shipped (ordered: {}), while other lines were.", "sku", "ordered",
        evidence=("ordered", "shipped"), sku="sku", expected="ordered", actual="shipped",
    )  # fmt: skip


def _over_shipped_lines(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Lines of which more was shipped than ordered, and whether that is so because they were sent `again`."""
    over = (pl.col("shipped") > pl.col("ordered")) & pl.col("order_position_key").is_not_null()
    lines = lines_of_goods(view, limits).filter(over).join(
        _orders_with_unclear_flag(view, "shipments", "reversed"), on="order_id", how="anti"
    )  # fmt: skip
    came, left = pl.col("delivery_date").is_not_null(), pl.col("ship_date")
    sent = view["shipment_positions"].join(lines.select("order_id"), on="order_id", how="semi").with_columns(
        sku=pl.coalesce("sku", "seller_sku")
    ).join(view.valid_shipments.select("shipment_key", "ship_date", "delivery_date"), on="shipment_key")  # fmt: skip
    arrived = sent.group_by("order_id", "sku").agg(
        arrived=pl.col("quantity").clip(0).filter(came).sum(),
        replaced=left.filter(~came).min() < left.filter(came).max(),
    )
    again = pl.col("replaced") & pl.col("arrived").is_between(1, pl.col("ordered"))
    return lines.join(arrived, on=["order_id", "sku"], how="left").with_columns(again=again.fill_null(value=False))


@define_check(
    Severity.ERROR, "order_positions", _IN_FULL, needs=("order_positions.quantity", "shipment_positions.quantity")
)
def over_shipped(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """More pieces of an ordered line were shipped than ordered.

    All shipments that were not reversed count, and a quantity below zero asks for nothing. `not_ordered` finds goods
    that were not ordered at all, `sent_again` what took the place of a lost parcel. A line with a price or an amount
    below zero is left out. Of `packs`, the pieces count.

    Limits: lines whose ordered or shipped quantity is not known are left out, and orders of several shipments of which
    one does not say whether it was reversed. A pack whose pieces are shipped looks the same: name it in `packs`.
    """
    return report_rows(
        _over_shipped_lines(view, limits).filter(~pl.col("again")), "order_position_key",
        "more of {} was shipped than ordered: {} instead of {}.", "sku", "shipped", "ordered",
        evidence=("ordered", "shipped"), sku="sku", expected="ordered", actual="shipped",
    )  # fmt: skip


@define_check(Severity.WARNING, "order_positions", _IN_FULL, needs=("shipments.delivery_date", "shipments.ship_date"))
def sent_again(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Pieces were sent again, after a parcel with them did not arrive.

    More pieces of a line were shipped than ordered, but no more were delivered: a shipment without `delivery_date` left
    before one that was delivered. The customer has what was ordered; the stock is gone twice, and the carrier may owe
    for the first parcel. It is a warning, and no error of `over_shipped`.

    Limits: if the first parcel arrives after all, too much was shipped; who paid for it is not known.
    """
    return report_rows(
        _over_shipped_lines(view, limits).filter("again"), "order_position_key",
        "{} was sent again: {} pieces were shipped, {} delivered, {} ordered.", "sku", "shipped", "arrived", "ordered",
        evidence=("ordered", "shipped", "arrived"), sku="sku", expected="ordered", actual="shipped",
    )  # fmt: skip


@define_check(Severity.INFO, "shipment_positions", _ORDERED, needs=("shipment_positions.quantity",))
def goods_returned(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """A shipment lists goods that came back.

    The quantity of a shipped line is below zero. That is how some warehouses book a return; what was shipped before
    stays shipped, so that other checks count the line as no pieces.

    Limits: reversed shipments are left out; a slip of the pen looks the same.
    """
    rows = view["shipment_positions"].filter(pl.col("quantity") < 0)
    reversed_ones = view["shipments"].filter("reversed")
    return report_rows(
        rows.join(reversed_ones, on="shipment_key", how="anti"), "shipment_position_key",
        "{} pieces of {} are listed as shipped: they came back.", "quantity", "sku",
        evidence=("quantity",), sku="sku", actual="quantity",
    )  # fmt: skip


@define_check(
    Severity.ERROR, "shipment_positions", _ORDERED, needs=("order_positions.sku", "shipment_positions.quantity")
)
def not_ordered(view: OrderView, _: Limits) -> pl.LazyFrame:
    """Something was shipped that no line of the order asks for, and no fulfillment order either.

    It matches no line by its identifier, its SKU, or another name that the plan has for a SKU.

    Limits: what the warehouse was told to add is no finding. Orders that list no lines are left out, and those where
    it may be one of them, as a line or what was shipped has no SKU.
    """
    stranger = (pl.col("ordered") == 0) & (pl.col("planned") == 0) & pl.col("order_position_key").is_null()
    return report_rows(
        view.matched_lines.filter(stranger, pl.col("shipped") > 0), "shipment_position_key",
        "{} was shipped (pieces: {}), but the order does not ask for it.", "sku", "shipped",
        evidence=("ordered", "planned", "shipped"), sku="sku", expected="ordered", actual="shipped",
    )  # fmt: skip


@define_check(
    Severity.WARNING, "order_positions", _ORDERED, needs=("order_positions.quantity", "fulfillment_positions.quantity")
)
def short_planned(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The fulfillment orders ask for fewer pieces of a line than ordered, and nothing more is on its way.

    The order is completed, or its last shipment left `settled_days` ago; cancelled fulfillment orders do not count.
    Lines that ask for no goods are left out, as in `never_shipped`. Of `packs`, the plan may name packs or pieces.

    Limits: orders that were called off or have no fulfillment order are left out, and lines whose ordered or planned
    quantity is not known.
    """
    short = (pl.col("planned") * pl.col("pack") < pl.col("ordered")) & (pl.col("fulfillment_orders") > 0)
    return report_rows(
        _settled_lines(view, limits).filter(short, ~pl.col("called_off")), "order_position_key",
        "less of {} is in fulfillment orders than was ordered: {} instead of {}.", "sku", "planned", "ordered",
        evidence=("ordered", "planned"), sku="sku", expected="ordered", actual="planned",
    )  # fmt: skip


@define_check(
    Severity.WARNING, "order_positions", _ORDERED, needs=("order_positions.quantity", "fulfillment_positions.quantity")
)
def over_planned(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The fulfillment orders ask for more pieces of a line than ordered.

    All fulfillment orders that were not cancelled count. A line with a price or an amount below zero is left out.

    Limits: lines whose ordered or planned quantity is not known are left out, such as parts of a bundle that the order
    does not list; so are orders of several fulfillment orders of which one does not say whether it was cancelled.
    """
    over = (pl.col("planned") > pl.col("ordered")) & pl.col("order_position_key").is_not_null()
    certain = lines_of_goods(view, limits).join(
        _orders_with_unclear_flag(view, "fulfillment_orders", "cancelled"), on="order_id", how="anti"
    )
    return report_rows(
        certain.filter(over), "order_position_key",
        "more of {} is in fulfillment orders than was ordered: {} instead of {}.", "sku", "planned", "ordered",
        evidence=("ordered", "planned"), sku="sku", expected="ordered", actual="planned",
    )  # fmt: skip


@define_check(
    Severity.INFO,
    "fulfillment_positions",
    _ORDERED,
    needs=("fulfillment_positions.ordered_sku", "fulfillment_positions.sku"),
)
def substituted(view: OrderView, _: Limits) -> pl.LazyFrame:
    """A fulfillment order asks for another SKU than the customer ordered.

    `ordered_sku` differs from `sku`, and the line is not part of a bundle.

    Limits: cancelled fulfillment orders are left out; so is what may be part of a bundle: several SKUs in place of one,
    or one that is ordered itself.
    """
    other = pl.col("bundle").is_null() & (pl.col("goods") != pl.col("sku"))
    unlike = comparison_form(pl.col("goods")) != comparison_form(pl.col("sku"))
    return report_rows(
        planned_rows(view.__getitem__).filter(other).filter(unlike), "key",
        "{} is to be shipped in place of {}.", "goods", "sku",
        evidence={"ordered_sku": "sku", "sku": "goods", "quantity": "quantity"}, sku="sku",
    )  # fmt: skip


def pairs_of_lots(view: OrderView) -> pl.LazyFrame:
    """Shipped lines with a `lot`, the one that their ordered line asks for (`asked_lot`), and whether it is `same_lot`.

    The ordered line is the only one of its order with the identifier of the shipped one, and has its SKU; of a shipped
    line without identifier, it is the only one with its SKU.
    """
    sku, name = comparison_form(pl.col("sku")), comparison_form(pl.col("position_identifier"))
    lot = comparison_form(stated_value(pl.col("lot")))
    lines = view["order_positions"]
    asking = lines.drop_nulls("lot").select("order_id")
    asked = lines.join(asking, on="order_id", how="semi").select(
        "order_id", sku_form=sku, name_form=name, asked_lot="lot", asked_form=lot
    )
    sent = view["shipment_positions"].join(asking, on="order_id", how="semi").join(
        view.valid_shipments.select("shipment_key"), on="shipment_key", how="semi"
    ).filter(pl.col("quantity").fill_null(1) > 0).with_columns(sku=pl.coalesce("sku", "seller_sku")).select(
        "order_id", "shipment_position_key", "sku", "lot", sku_form=sku, name_form=name, form=lot
    )  # fmt: skip
    by_name = sent.join(_only_rows(asked, "name_form"), on=["order_id", "name_form"])
    by_sku = sent.filter(pl.col("name_form").is_null()).join(_only_rows(asked, "sku_form"), on=["order_id", "sku_form"])
    of_name = by_name.filter(pl.col("sku_form") == pl.col("sku_form_right"))
    pairs = pl.concat([frame.select(*sent.collect_schema(), "asked_lot", "asked_form") for frame in (of_name, by_sku)])
    return pairs.with_columns(same_lot=pl.col("form") == pl.col("asked_form"))


def _only_rows(lines: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """The lines that are the only ones of their order with their value in a column."""
    return lines.drop_nulls(name).filter(pl.struct("order_id", name).is_unique())


@define_check(
    Severity.WARNING, "shipment_positions", _ORDERED, needs=("order_positions.lot", "shipment_positions.lot")
)  # fmt: skip
def other_lot_shipped(view: OrderView, _: Limits) -> pl.LazyFrame:
    """Another lot was shipped than the ordered line asks for.

    The shipped line has the identifier and the SKU of the ordered one; without identifier, its SKU is ordered once.
    Upper and lower case, and characters that nobody sees, make no difference (see `written_differently`); N/A, zeros
    and the like are no lot.

    Limits: substitutes are left out, and lines whose lot is missing, in the order or in the shipment. Reversed
    shipments do not count.
    """
    return report_rows(
        pairs_of_lots(view).filter(~pl.col("same_lot")), "shipment_position_key",
        "lot {} of {} was shipped, lot {} was asked for.", "lot", "sku", "asked_lot",
        evidence={"lot": "lot", "asked_for": "asked_lot"}, sku="sku",
    )  # fmt: skip


@define_check(
    Severity.WARNING,
    "handling_positions",
    _PACKED,
    needs=("handling_positions.quantity", "shipment_positions.quantity"),
)
def packed_not_shipped(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """More pieces of a line were packed than shipped, although nothing more is on its way.

    The order shipped something, and it is completed or its last shipment left `settled_days` ago.

    Limits: handling units do not say which shipment they belong to, so orders with a reversed shipment are left out;
    so are lines whose packed or shipped quantity is not known.
    """
    more = (pl.col("packed") > pl.col("shipped")) & (pl.col("shipments") > 0)
    lines = _settled_lines(view, limits).filter(more)
    return report_rows(
        lines.join(orders_with_reversals(view), on="order_id", how="anti"), "handling_position_key",
        "more of {} was packed than shipped: {} against {}.", "sku", "packed", "shipped",
        evidence=("packed", "shipped"), sku="sku", expected="shipped", actual="packed",
    )  # fmt: skip


@define_check(
    Severity.WARNING, "order_positions", _PACKED, needs=("handling_positions.quantity", "shipment_positions.quantity")
)
def shipped_not_packed(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Some pieces of a line were packed, but fewer than shipped.

    Each shipment bears the SSCC of a handling unit of the order, or the order has one shipment and handling units.

    Limits: not everything is packed in handling units, so other orders are left out, and lines of which nothing is
    packed (see `unpacked_line`). The units of a reversed shipment count as packed.
    """
    less = pl.col("packed") * pl.col("pack") < pl.col("shipped")
    fewer = (pl.col("packed") > 0) & less & pl.col("order_position_key").is_not_null()
    return report_rows(
        lines_to_ship(view, limits).filter(fewer).join(orders_wholly_packed(view), on="order_id", how="semi"),
        "order_position_key", "more of {} was shipped than packed: {} against {}.", "sku", "shipped", "packed",
        evidence=("shipped", "packed"), sku="sku", expected="shipped", actual="packed",
    )  # fmt: skip


@define_check(
    Severity.WARNING,
    "grouped_positions",
    "the same pieces, listed twice",
    needs=("grouped_positions.quantity", "shipment_positions.quantity"),
)
def grouped_differs(view: OrderView, _: Limits) -> pl.LazyFrame:
    """The grouped lines of a shipment are not the sum of its lines.

    Pieces are added up by the warehouse's SKU, where a line lacks it by the seller's, and by lot where all lines of
    the SKU have one or none has. Upper and lower case make no difference. Reversed shipments are compared, too.

    Limits: shipments without lines or without grouped lines are left out, and SKUs with an unknown quantity.
    """
    lines, groups = (
        view[table].select(
            "order_id", "shipment_key", "warehouse_sku", "seller_sku", "lot", "quantity", key=f"{table[:-1]}_key"
        )
        for table in ("shipment_positions", "grouped_positions")
    )
    both = pl.concat([
        lines.join(groups, on="shipment_key", how="semi", maintain_order="left").with_columns(grouped=False),
        groups.join(lines, on="shipment_key", how="semi", maintain_order="left").with_columns(grouped=True),
    ])  # fmt: skip
    more = pl.when("grouped").then(pl.col("quantity")).otherwise(-pl.col("quantity"))
    unlike = both.group_by("shipment_key", *_SKUS, "lot").agg(more.sum().alias("more")).filter(pl.col("more") != 0)
    known = [pl.when(pl.col(sku).null_count().over("shipment_key") == 0).then(sku) for sku in _SKUS]
    rows = both.join(unlike, on="shipment_key", how="semi", maintain_order="left")
    rows = rows.with_columns(comparison_form(pl.col(name)) for name in (*_SKUS, "lot"))
    rows = rows.with_columns(sku=pl.coalesce(known)).drop_nulls("sku")
    lots = pl.col("lot").null_count().over("shipment_key", "sku")
    sides = {"grouped": pl.col("grouped"), "listed": ~pl.col("grouped")}
    rows = rows.with_columns(lot=pl.when(lots == 0).then("lot"))
    sums = rows.group_by("order_id", "shipment_key", "sku", "lot", maintain_order=True).agg(
        *(pl.col("quantity").filter(there).sum().alias(side) for side, there in sides.items()),
        *(pl.col("key").filter(there).first().alias(f"{side}_key") for side, there in sides.items()),
        unknown=pl.col("quantity").null_count(),
    )  # fmt: skip
    differing = sums.filter(pl.col("grouped") != pl.col("listed"), pl.col("unknown") == 0)
    return pl.concat(
        report_rows(
            differing.filter(pl.col("grouped_key").is_null() == (key == "listed_key")), key,
            "of {}, the grouped lines of a shipment have {}, its lines {}.", "sku", "grouped", "listed",
            evidence=("grouped", "listed", "lot"), table=table, sku="sku", expected="listed", actual="grouped",
        )
        for table, key in (("grouped_positions", "grouped_key"), ("shipment_positions", "listed_key"))
    )  # fmt: skip
