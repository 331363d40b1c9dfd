"""What figures can be told by: the month of an order, its seller and country, its warehouses and carriers."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.text_columns import format_columns

GROUPS = ("month", "seller", "warehouse", "carrier", "country")
"""Names of the groups."""

_CARRIER = pl.coalesce("provider", "provider_name").alias("carrier")


def order_attributes(books: OrderView, zone: str) -> pl.LazyFrame:
    """One row an order: its month (of placing), seller and country, and the number of its own warehouse."""
    orders = books.milestones
    sellers = _with_display_name(orders, "seller_id", "seller_name", "seller")
    return orders.join(sellers, on="seller_id", how="left").select(
        "order_id", "warehouse_id", "country",
        month=pl.col("placed").dt.convert_time_zone(zone).dt.strftime("%Y-%m"),
        seller=pl.coalesce("seller", "seller_name"),
    )  # fmt: skip


def shipment_attributes(books: OrderView, zone: str) -> pl.LazyFrame:
    """One row a shipment that counts: all its groups, and the number of its warehouse."""
    holders = books["fulfillment_orders"].select("fulfillment_order_key", holder="warehouse_id")
    shipments = books.valid_shipments.select("order_id", "shipment_key", "fulfillment_order_key", _CARRIER)
    joined = shipments.join(holders, on="fulfillment_order_key", how="left")
    return _with_warehouse(joined.join(order_attributes(books, zone), on="order_id"), books).drop(
        "fulfillment_order_key"
    )


def assign_orders_to_groups(books: OrderView, by: tuple[str, ...], zone: str) -> pl.LazyFrame:
    """The orders, each once in each of its groups: order_id and the columns of `by`.

    The warehouses of an order are those of its fulfillment orders that were not cancelled or that shipped, else its
    own; its carriers are those of its shipments.
    """
    orders = order_attributes(books, zone)
    shipped = books.valid_shipments.select("order_id", "fulfillment_order_key", _CARRIER)
    if "warehouse" in by:
        holders = books["fulfillment_orders"].select(
            "order_id", "fulfillment_order_key", "cancelled", holder="warehouse_id"
        )
        served = holders.join(shipped.with_columns(ships=True).drop("order_id"), on="fulfillment_order_key", how="left")
        served = served.filter(pl.col("ships") | pl.col("cancelled").ne_missing(other=True))
        orders = _with_warehouse(orders.join(served, on="order_id", how="left"), books)
    elif "carrier" in by:
        orders = orders.join(shipped, on="order_id", how="left")
    return orders.select("order_id", *by).unique()


def _with_warehouse(rows: pl.LazyFrame, books: OrderView) -> pl.LazyFrame:
    """The rows with the warehouse of their fulfillment order, else of their order."""
    names = _with_display_name(books["fulfillment_orders"], "warehouse_id", "warehouse_name", "warehouse")
    found = rows.with_columns(warehouse_id=pl.coalesce("holder", "warehouse_id")).drop("holder")
    named = found.join(names, on="warehouse_id", how="left")
    return named.with_columns(warehouse=pl.coalesce("warehouse", pl.col("warehouse_id").cast(pl.String)))


def _with_display_name(rows: pl.LazyFrame, number: str, name: str, called: str) -> pl.LazyFrame:
    """What the numbers are called: their name, with the number where two have one name, else the number."""
    names = rows.filter(pl.col(number).is_not_null()).group_by(number).agg(pl.col(name).drop_nulls().max())
    digits = pl.col(number).cast(pl.String)
    whole = pl.when(pl.col(name).is_duplicated()).then(format_columns("{} ({})", name, digits)).otherwise(name)
    return names.select(number, pl.coalesce(whole, digits).alias(called))
