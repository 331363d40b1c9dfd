"""What findings say of their orders: identifier, seller, warehouse, carrier, currency, and the value that is at risk.

It is joined once, to what was found, so that no check has to bring it along.
"""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.checks.check import Check, Severity
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.text_columns import name_or_number
from quivo_frames.model.carriers import carrier_of
from quivo_frames.model.tables import TABLES

_NET = pl.coalesce(
    pl.col("total_net_amount").cast(pl.Float64), pl.col("unit_net_price").cast(pl.Float64) * pl.col("quantity")
)
_MOST_MONEY = 10**14
"""What an amount of the tables is below: polars (2.1) refuses to cast a float above it, even if that is not strict."""
_WITHOUT_VALUE = ("data", "money", "packing")
"""Subjects of checks that put no goods at risk: labels and amounts are wrong, the goods are not."""
_WHOLE_ORDERS = ("orders", "fulfillment_orders", "shipments")
"""Tables whose findings put the order at risk, not one of its lines."""


def add_context(found: pl.DataFrame, view: OrderView, checks: list[Check]) -> pl.DataFrame:
    """The findings with the columns that only the whole order can tell, and `placed`, when the customer ordered.

    The warehouse is that of the row's fulfillment order, else the only one of the order, else the order's own. The
    carrier is that of the row's shipment, else the only one of the order.
    """
    keyed = found.with_columns(
        fulfillment_order_key=_key_of_holder("fulfillment_orders", 2), shipment_key=_key_of_holder("shipments", 3)
    )
    ids = found.lazy().select("order_id").unique()
    frames = [_of_orders(view, ids), _of_holders(view, ids), _of_shipments(view, ids), _of_lines(view, ids)]
    unique = ("order_id", "fulfillment_order_key", "shipment_key", "key")  # a row that is there twice is one here
    orders, holders, shipments, lines = (
        frame.unique(key, keep="first", maintain_order=True)
        for frame, key in zip(pl.collect_all(frames), unique, strict=True)
    )
    for keys, one, name in (
        (["order_id", "fulfillment_order_key"], holders, "warehouse"),
        (["order_id", "shipment_key"], shipments, "carrier"),
    ):
        of_order = one.group_by("order_id").agg(
            pl.when(pl.col(name).n_unique() == 1).then(pl.col(name).first()).alias(f"only_{name}")
        )
        keyed = keyed.join(one, on=keys, how="left").join(of_order, on="order_id", how="left")
    keyed = _with_value(keyed.join(orders, on="order_id", how="left"), _with_pools(lines, found, view), checks)
    return keyed.with_columns(
        warehouse=pl.coalesce("warehouse", "only_warehouse", "own_warehouse"),
        carrier=pl.coalesce("carrier", "only_carrier"),
    )


def _key_of_holder(holder: str, depth: int) -> pl.Expr:
    """The key of the fulfillment order or shipment that a row is, or is in: the first parts of its own, an address."""
    inside = [name for name in TABLES if holder in _with_parents(name)]
    parts = pl.col("key").str.split("/").list.head(depth).list.join("/")
    return pl.when(pl.col("table").is_in(inside)).then(parts)


def _with_parents(name: str | None) -> list[str]:
    return [name, *_with_parents(TABLES[name].parent)] if name else []


def _of_orders(view: OrderView, ids: pl.LazyFrame) -> pl.LazyFrame:
    orders = view["orders"].join(ids, on="order_id", how="semi")
    orders = orders.join(view.whole.warehouse_names, on="warehouse_id", how="left")
    own = pl.coalesce("warehouse", pl.col("warehouse_id").cast(pl.String))
    return orders.join(view.milestones.select("order_id", "placed"), on="order_id", how="left").select(
        "order_id", "order_identifier", "currency", "placed", own_warehouse=own,
        seller=name_or_number("seller_name", "seller_id"),
    )  # fmt: skip


def _of_holders(view: OrderView, ids: pl.LazyFrame) -> pl.LazyFrame:
    warehouse = name_or_number("warehouse_name", "warehouse_id")
    holders = view["fulfillment_orders"].join(ids, on="order_id", how="semi")
    return holders.select("order_id", "fulfillment_order_key", warehouse=warehouse)


def _of_shipments(view: OrderView, ids: pl.LazyFrame) -> pl.LazyFrame:
    shipments = view["shipments"].join(ids, on="order_id", how="semi")
    return shipments.select("order_id", "shipment_key", carrier=carrier_of(view.whole.usual_providers))


def _of_lines(view: OrderView, ids: pl.LazyFrame) -> pl.LazyFrame:
    lines = view["order_positions"].join(ids, on="order_id", how="semi")
    return lines.select("order_id", "sku", key="order_position_key", net=_NET)


def _with_pools(lines: pl.DataFrame, found: pl.DataFrame, view: OrderView) -> pl.DataFrame:
    """The lines with pool_net: the net amount of all lines that they are taken together with, as quantities are."""
    if not found["table"].is_in(["order_positions"]).any():
        return lines.with_columns(pool_net="net")
    place = view.line_matches.rows["ordered"].select("key", "line").unique("key")
    joined = lines.join(place, on="key", how="left", maintain_order="left")
    pooled = pl.when(pl.col("net").null_count() == 0).then(pl.col("net").sum()).over("line")
    return joined.with_columns(pool_net=pl.when(pl.col("line").is_not_null()).then(pooled).otherwise("net"))


def _with_value(found: pl.DataFrame, lines: pl.DataFrame, checks: list[Check]) -> pl.DataFrame:
    """The findings with the value at risk, as the docstring of `Finding` defines it."""
    of_order = lines.group_by("order_id").agg(order_net=pl.when(pl.col("net").null_count() == 0).then(pl.sum("net")))
    of_sku = lines.drop_nulls("sku").filter(pl.len().over("order_id", "sku") == 1)
    found = found.join(lines.select("key", "pool_net", line_net="net"), on="key", how="left")
    found = found.join(of_sku.select("order_id", "sku", sku_net="net"), on=["order_id", "sku"], how="left")
    found = found.join(of_order, on="order_id", how="left")
    subject = pl.col("check").replace_strict({check.name: check.subject for check in checks}, default=None)
    expected, actual = pl.col("expected"), pl.col("actual")
    share = pl.when(subject == "quantities", expected > 0).then((expected - actual).abs() / expected).fill_null(1)
    of_line = pl.when(subject == "quantities").then("pool_net").otherwise("line_net")
    net = pl.when(pl.col("table") == "order_positions").then(of_line).otherwise("sku_net")
    value = pl.when(pl.col("table").is_in(_WHOLE_ORDERS)).then("order_net").otherwise(net * share)
    is_at_risk = (pl.col("severity") != Severity.INFO.value) & ~subject.is_in(_WITHOUT_VALUE)
    return found.with_columns(value_at_risk=pl.when(is_at_risk, value.abs() < _MOST_MONEY).then(value.round(2)))
