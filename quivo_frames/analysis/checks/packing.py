"""Checks of handling units: their SSCCs, what they hold, how many they are, and what the shipments weigh."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.checks.check import Severity, Values, amount_text, define_check, report_rows, with_milestones
from quivo_frames.analysis.checks.goods import lines_to_ship
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.checks.quantities import AS_DIGITS, orders_wholly_packed, orders_with_reversals
from quivo_frames.analysis.milestones import OrderView, is_settled

_SSCC = "GS1 General Specifications, SSCC (AI 00)"
_CHECK_DIGIT = "GS1 General Specifications, check digit calculation"
_UNITS = "what the handling units hold"
_DECLARED = "what the shipments declare"
_SSCC_TABLES = {
    "handling_units": "handling_unit_key",
    "shipments": "shipment_key",
    "handling_positions": "handling_position_key",
}
"""The tables with an SSCC, and their keys."""


def gs1_check_digit(number: pl.Expr) -> pl.Expr:
    """The check digit of a GS1 number (SSCC, GTIN, GLN) that is given without it, as an integer.

    From the right, its digits are multiplied by 3 and 1 in turn; the check digit completes their sum to a multiple of
    ten.
    """
    digits = [number // 10**place % 10 for place in range(17)]
    total = pl.sum_horizontal(digit * (1 if place % 2 else 3) for place, digit in enumerate(digits))
    return (10 - total % 10) % 10


def has_18_digits(sscc: pl.Expr) -> pl.Expr:
    """Whether a text has the form of an SSCC."""
    return sscc.str.contains("^[0-9]{18}$")


def written_ssccs(view: OrderView) -> pl.LazyFrame:
    """Every SSCC with its place. Columns: order_id, sscc, written, bearer (the table), key (of the row)."""
    return pl.concat(
        view[bearer].select("order_id", AS_DIGITS, written="sscc", bearer=pl.lit(bearer), key=key).drop_nulls("sscc")
        for bearer, key in _SSCC_TABLES.items()
    )


def report_each_sscc_once(rows: pl.LazyFrame, message: str, *words: str, evidence: Values) -> pl.LazyFrame:
    """Reports each SSCC once per order: at its unit, else at the shipment, else at a content line."""
    once = rows.unique(["order_id", "sscc"], keep="first", maintain_order=True)
    return pl.concat(
        report_rows(once.filter(pl.col("bearer") == bearer), "key", message, *words, evidence=evidence, table=bearer)
        for bearer in _SSCC_TABLES
    )  # fmt: skip


@define_check(Severity.ERROR, "handling_units", _SSCC)
def sscc_malformed(view: OrderView, _: Limits) -> pl.LazyFrame:
    """An SSCC does not consist of exactly 18 digits.

    The SSCCs of handling units, their content lines and shipments are looked at; one that stands in several places of
    an order is reported once. Its application identifier, 00 or (00), and spaces are no part of it: a scanner reads
    them along, and the label is right (see `written_differently`).

    Limits: words and marks for "there is none", such as N/A or zeros, are no SSCC.
    """
    return report_each_sscc_once(
        written_ssccs(view).filter(~has_18_digits(pl.col("sscc"))), "the SSCC {} does not have exactly 18 digits.",
        "written", evidence={"sscc": "written"},
    )  # fmt: skip


@define_check(Severity.ERROR, "handling_units", _CHECK_DIGIT)
def sscc_check_digit(view: OrderView, _: Limits) -> pl.LazyFrame:
    """The last digit of an SSCC is not the check digit of the others.

    Of the 17 other digits every second one, from the first, is taken three times; with the check digit all of them
    add up to a multiple of ten. One that stands in several places of an order is reported once.

    Limits: one wrong digit is always noticed, of two neighbours that changed places not all.
    """
    well_formed = written_ssccs(view).filter(has_18_digits(pl.col("sscc")))
    number = pl.col("sscc").cast(pl.Int64)
    digits = well_formed.with_columns(given=number % 10, right=gs1_check_digit(number // 10))
    return report_each_sscc_once(
        digits.filter(pl.col("given") != pl.col("right")), "the SSCC {} ends with {}, but its check digit is {}.",
        "sscc", "given", "right", evidence={"sscc": "sscc", "check_digit": "right"},
    )  # fmt: skip


@define_check(Severity.ERROR, "handling_units", _SSCC, needs=("handling_units.sscc",))
def sscc_twice(view: OrderView, _: Limits) -> pl.LazyFrame:
    """Several handling units of one order bear the same SSCC.

    It is reported once, at the last of them.

    Limits: a unit that is listed twice, as if it were two, looks the same.
    """
    units = view["handling_units"].with_columns(AS_DIGITS).drop_nulls("sscc").group_by("order_id", "sscc")
    same = units.agg(pl.len().alias("units"), pl.col("handling_unit_key").last()).filter(pl.col("units") > 1)
    return report_rows(
        same, "handling_unit_key", "{} handling units bear the SSCC {}.", "units", "sscc",
        evidence=("sscc", "units"), expected=pl.lit(1), actual="units",
    )  # fmt: skip


@define_check(Severity.WARNING, "handling_units", _SSCC)
def sscc_on_two_orders(view: OrderView, _: Limits) -> pl.LazyFrame:
    """The same SSCC stands in several orders.

    The SSCCs of handling units and shipments are looked at; it is reported once, in the order with the highest id.

    Limits: a pallet that carries goods of several orders rightly does so.
    """
    ssccs = written_ssccs(view).filter(pl.col("bearer") != "handling_positions")
    orders = ssccs.group_by("sscc").agg(
        first=pl.col("order_id").min(), order_id=pl.col("order_id").max(), orders=pl.col("order_id").n_unique()
    ).filter(pl.col("orders") > 1)  # fmt: skip
    return report_each_sscc_once(
        ssccs.join(orders, on=["order_id", "sscc"], maintain_order="left"),
        "its SSCC {} stands in {} orders, as in {}.", "sscc", "orders", "first",
        evidence={"sscc": "sscc", "orders": "orders", "first_order": "first"},
    )  # fmt: skip


@define_check(Severity.WARNING, "handling_positions", _SSCC, needs=("handling_units.sscc", "handling_positions.sscc"))
def sscc_disagrees(view: OrderView, _: Limits) -> pl.LazyFrame:
    """A content line names another SSCC than the handling unit that it is in.

    Nor is it the SSCC of the unit around that one, or of the outermost. It is reported once per unit and SSCC.

    Limits: silent where the line or its unit has no SSCC.
    """
    units = view["handling_units"].select(
        "handling_unit_key", "parent_handling_unit_key", "root_handling_unit_key", unit_sscc=AS_DIGITS
    )
    around = {f"{level}_handling_unit_key": f"{level}_sscc" for level in ("parent", "root")}
    lines = view["handling_positions"].with_columns(AS_DIGITS).drop_nulls("sscc")
    lines = lines.join(units, on="handling_unit_key", maintain_order="left")
    lines = lines.filter(pl.col("sscc") != pl.col("unit_sscc"))
    for key, sscc in around.items():
        lines = lines.join(units.select(pl.col("handling_unit_key").alias(key), pl.col("unit_sscc").alias(sscc)),
                           on=key, how="left", maintain_order="left")  # fmt: skip
    others = [pl.col("sscc").ne_missing(pl.col(sscc)) for sscc in around.values()]
    return report_rows(
        lines.filter(others).unique(["handling_unit_key", "sscc"], keep="first", maintain_order=True),
        "handling_position_key", "a content line names the SSCC {}, its handling unit bears {}.", "sscc", "unit_sscc",
        evidence=("sscc", "unit_sscc"),
    )  # fmt: skip


@define_check(Severity.WARNING, "handling_units", _UNITS, needs=("handling_positions.handling_position_key",))
def empty_unit(view: OrderView, _: Limits) -> pl.LazyFrame:
    """A handling unit holds neither content nor another unit.

    Other units of the order list what they hold.

    Limits: a unit whose content the API leaves out looks empty.
    """
    units, content = view["handling_units"], view["handling_positions"]
    inner = units.select(handling_unit_key="parent_handling_unit_key")
    empty = units.join(content, on="handling_unit_key", how="anti").join(inner, on="handling_unit_key", how="anti")
    return report_rows(
        empty.join(content, on="order_id", how="semi"), "handling_unit_key",
        "a handling unit ({}, SSCC {}) is empty.", "type", "sscc", evidence=("type", "sscc"),
    )  # fmt: skip


@define_check(
    Severity.WARNING, "order_positions", _UNITS, needs=("shipment_positions.quantity", "handling_positions.quantity")
)
def unpacked_line(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A line was shipped but is in no handling unit, while other lines of the order are.

    Each shipment bears the SSCC of a handling unit of the order, or the order has one shipment and handling units.

    Limits: orders whose shipments are not known to be packed in units are left out, and lines whose packed or shipped
    quantity is not known.
    """
    unpacked = (pl.col("shipped") > 0) & (pl.col("packed") == 0) & pl.col("order_position_key").is_not_null()
    others = view.matched_lines.filter(pl.col("packed") > 0)
    return report_rows(
        lines_to_ship(view, limits).filter(unpacked).join(others, on="order_id", how="semi").join(
            orders_wholly_packed(view), on="order_id", how="semi"),
        "order_position_key", "{} was shipped (pieces: {}), but is in no handling unit.", "sku", "shipped",
        evidence=("shipped", "packed"), sku="sku", expected="shipped", actual="packed",
    )  # fmt: skip


@define_check(Severity.WARNING, "orders", _SSCC, needs=("orders.sscc_label",))
def sscc_missing(view: OrderView, _: Limits) -> pl.LazyFrame:
    """SSCC labels are wanted, but what was shipped bears no SSCC.

    `sscc_label` is true, and neither a shipment that was not reversed, nor a handling unit or its content has one.

    Limits: one SSCC suffices; whether each unit has one is not looked at. Where the API leaves out SSCCs that there
    are, it looks the same.
    """
    shipped = view.valid_shipments
    borne = pl.concat(
        rows.select("order_id", AS_DIGITS) for rows in (shipped, view["handling_units"], view["handling_positions"])
    ).drop_nulls()
    count = shipped.group_by("order_id").agg(pl.len().alias("shipments"))
    wanted = view["orders"].filter("sscc_label").join(count, on="order_id").join(borne, on="order_id", how="anti")
    return report_rows(
        wanted, "order_id", "SSCC labels are wanted, but what was shipped has no SSCC (shipments: {}).", "shipments",
        evidence=("sscc_label", "shipments"),
    )  # fmt: skip


def _declared_and_counted(view: OrderView, limits: Limits, declared: str) -> pl.LazyFrame:
    """Settled orders with the number that their shipments declare and the numbers of their outermost units."""
    number, kind = pl.when(pl.col(declared) > 0).then(declared), pl.col("type")
    all_pallets = view["handling_units"].filter(kind == "PALLET").select("order_id")
    outer = view["handling_units"].filter(pl.col("depth") == 0).group_by("order_id").agg(
        pallets=(kind == "PALLET").sum(), others=(kind != "PALLET").sum(), without_type=kind.null_count()
    ).filter(pl.col("without_type") == 0)  # fmt: skip
    told_by_all = view.valid_shipments.group_by("order_id").agg(
        pl.when(number.null_count() == 0).then(number.sum()).alias("declared")
    )
    orders = with_milestones(told_by_all.join(outer, on="order_id"), view, "completed_at", "known_at", "shipped_last")
    inner = orders.filter(is_settled(limits.settled_days)).join(orders_with_reversals(view), on="order_id", how="anti")
    return inner.join(orders_wholly_packed(view), on="order_id", how="semi").join(
        all_pallets.unique().with_columns(any_pallet=True), on="order_id", how="left"
    )


@define_check(Severity.WARNING, "orders", _DECLARED, needs=("shipments.number_of_pallets", "handling_units.type"))
def pallets_differ(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The shipments declare another number of pallets than there are among the handling units.

    Counted are the outermost units of type PALLET, once nothing more is on its way. All shipments state a number
    above 0 (0 was not filled in), and each bears the SSCC of a unit, or there is but one.

    Limits: other types of unit are not documented: a pallet by another name is not counted. Orders with a reversed
    shipment are left out, as units do not say which shipment they belong to; so are those with a unit without type.
    """
    rows = _declared_and_counted(view, limits, "number_of_pallets")
    return report_rows(
        rows.filter(pl.col("declared") != pl.col("pallets")), "order_id",
        "pallets: {} declared, {} among the handling units.", "declared", "pallets",
        evidence={"declared": "declared", "counted": "pallets"}, expected="declared", actual="pallets",
    )  # fmt: skip


@define_check(Severity.WARNING, "orders", _DECLARED, needs=("shipments.number_of_parcels", "handling_units.type"))
def parcels_differ(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The shipments declare another number of parcels than there are handling units.

    Counted are the outermost units of orders without pallets, once nothing more is on its way. All shipments state a
    number above 0 (0 was not filled in), and each bears the SSCC of a unit, or there is but one.

    Limits: types of unit are not documented, but for PALLET. Orders with a reversed shipment are left out, as units do
    not say which shipment they belong to; so are those with a unit without type.
    """
    rows = _declared_and_counted(view, limits, "number_of_parcels").filter(pl.col("any_pallet").is_null())
    return report_rows(
        rows.filter(pl.col("declared") != pl.col("others")), "order_id",
        "parcels: {} declared, {} among the handling units.", "declared", "others",
        evidence={"declared": "declared", "counted": "others"}, expected="declared", actual="others",
    )  # fmt: skip


def _with_goods_weight(view: OrderView) -> pl.LazyFrame:
    """Shipments with the weight of their pieces; null if that of a piece is unknown."""
    weight = pl.col("unit_weight")
    of_sku = view["order_positions"].group_by("order_id", "sku").agg(
        pl.when((weight.min() == weight.max()) & (weight.min() > 0)).then(weight.max())
    )  # fmt: skip
    pieces = view["shipment_positions"].with_columns(sku=pl.coalesce("sku", "seller_sku"))
    sent = pl.when(pl.col("quantity") >= 0).then("quantity")  # what came back has no place in the weight
    each = pieces.join(of_sku, on=["order_id", "sku"], how="left").with_columns(weight=weight * sent)
    goods = each.group_by("shipment_key").agg(
        goods=pl.when(pl.col("weight").null_count() == 0).then(pl.col("weight").sum())
    )
    return view.valid_shipments.join(goods, on="shipment_key")


def _compared_weights() -> dict[str, pl.Expr]:
    """The two weights of a shipment as texts, for message and evidence."""
    return {"gross_weight": amount_text("gross_weight"), "weight_of_pieces": amount_text(pl.col("goods").round(3))}


@define_check(
    Severity.WARNING,
    "shipments",
    _DECLARED,
    needs=("shipments.gross_weight", "order_positions.unit_weight", "shipment_positions.quantity"),
)
def too_light(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment weighs less than the pieces in it.

    Its gross weight is below the pieces' weight, by the unit weights of the ordered lines of their SKUs, by more than
    the share `weight_share`. A gross weight of 0 means that nobody weighed it.

    Limits: shipments with a piece of unknown weight are left out, and reversed ones. The API states no unit of weight:
    both are taken to have the same.
    """
    weights = _compared_weights()
    light = (pl.col("gross_weight") < pl.col("goods") * (1 - limits.weight_share)) & (pl.col("gross_weight") > 0)
    return report_rows(
        _with_goods_weight(view).filter(light), "shipment_key", "a shipment weighs {}, the pieces in it {}.",
        *weights.values(), evidence=weights,
        expected=pl.col("goods"), actual="gross_weight",
    )  # fmt: skip


@define_check(
    Severity.INFO,
    "shipments",
    _DECLARED,
    needs=("shipments.gross_weight", "order_positions.unit_weight", "shipment_positions.quantity"),
)
def too_heavy(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment weighs much more than the pieces in it.

    Its gross weight is above `weight_factor` times the pieces' weight, by the unit weights of the ordered lines of
    their SKUs, and `weight_packaging`.

    Limits: pallets are heavy: a light order on one may rightly be found. Shipments with a piece of unknown weight are
    left out, and reversed ones. The API states no unit of weight: both are taken to have the same.
    """
    weights = _compared_weights()
    heavy = pl.col("gross_weight") > pl.col("goods") * limits.weight_factor + limits.weight_packaging
    return report_rows(
        _with_goods_weight(view).filter(heavy), "shipment_key", "a shipment weighs {}, the pieces in it {}.",
        *weights.values(), evidence=weights,
        expected=pl.col("goods"), actual="gross_weight",
    )  # fmt: skip
