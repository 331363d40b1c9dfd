"""The groups that KPIs are computed by: the time of an order, its seller and country, its warehouses and carriers."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.milestones import OrderView

GROUPS = ("month", "week", "day", "seller", "warehouse", "carrier", "country")
"""Names of the groups."""
_CALENDAR = {"month": "%Y-%m", "week": "%G-W%V", "day": "%Y-%m-%d"}
"""How the groups of time are written; weeks as ISO 8601 has them, with the year that their Thursday is in."""


def order_attributes(view: OrderView, zone: str) -> pl.LazyFrame:
    """One row per order: month, week and day of placing, its seller and country, and the id of its own warehouse."""
    orders = view.milestones
    sellers = view.whole.seller_names
    placed = pl.col("placed").dt.convert_time_zone(zone)
    return orders.join(sellers, on="seller_id", how="left").select(
        "order_id", "warehouse_id", "country",
        seller=pl.coalesce("seller", "seller_name"),
        **{name: placed.dt.strftime(written) for name, written in _CALENDAR.items()},
    )  # fmt: skip


def shipment_attributes(view: OrderView, zone: str) -> pl.LazyFrame:
    """One row per shipment that was not reversed: all its groups, and the id of its warehouse."""
    holders = view["fulfillment_orders"].select("fulfillment_order_key", holder="warehouse_id")
    shipments = view.valid_shipments.select("order_id", "shipment_key", "fulfillment_order_key", "carrier")
    joined = shipments.join(holders, on="fulfillment_order_key", how="left")
    return _with_warehouse(joined.join(order_attributes(view, zone), on="order_id"), view).drop("fulfillment_order_key")


def assign_orders_to_groups(view: OrderView, by: tuple[str, ...], zone: str) -> pl.LazyFrame:
    """The orders, each once in each of its groups: order_id and the columns of `by`.

    The warehouses of an order are those of its fulfillment orders that were not cancelled or that shipped, otherwise
    its own; its carriers are those of its shipments.
    """
    orders = order_attributes(view, zone)
    shipped = view.valid_shipments.select("order_id", "fulfillment_order_key", "carrier")
    if "warehouse" in by:
        holders = view["fulfillment_orders"].select(
            "order_id", "fulfillment_order_key", "cancelled", holder="warehouse_id"
        )
        served = holders.join(shipped.with_columns(ships=True).drop("order_id"), on="fulfillment_order_key", how="left")
        served = served.filter(pl.col("ships") | pl.col("cancelled").ne_missing(other=True))
        orders = _with_warehouse(orders.join(served, on="order_id", how="left"), view)
    elif "carrier" in by:
        orders = orders.join(shipped, on="order_id", how="left")
    return orders.select("order_id", *by).unique()


def first_warehouses(view: OrderView) -> pl.LazyFrame:
    """One row per order: the number and name of the first warehouse that plans it, otherwise of its own."""
    plans = view["fulfillment_orders"].filter(pl.col("cancelled").ne_missing(other=True)).sort("order_id", "ordinal")
    first = plans.group_by("order_id").agg(holder=pl.col("warehouse_id").drop_nulls().first())
    return _with_warehouse(
        view.milestones.select("order_id", "warehouse_id").join(first, on="order_id", how="left"), view
    )


def _with_warehouse(rows: pl.LazyFrame, view: OrderView) -> pl.LazyFrame:
    """The rows with the warehouse of their fulfillment order, otherwise of their order."""
    names = view.whole.warehouse_names
    found = rows.with_columns(warehouse_id=pl.coalesce("holder", "warehouse_id")).drop("holder")
    named = found.join(names, on="warehouse_id", how="left")
    return named.with_columns(warehouse=pl.coalesce("warehouse", pl.col("warehouse_id").cast(pl.String)))
