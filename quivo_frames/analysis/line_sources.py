"""The rows of orders that line matching compares: ordered, planned, shipped and packed ones."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from quivo_frames.analysis.identifiers import comparison_form

ReadTable = Callable[[str], pl.LazyFrame]
"""Returns a table by its name, with null for empty texts."""

ORDER_AND_SKU = ["order_id", "sku"]


def ordered_rows(read: ReadTable) -> pl.LazyFrame:
    """The ordered rows. Columns: order_id, key, position_identifier, sku, lot, quantity, unit_weight, bundled_by.

    `asks_goods` is false where a row asks for nothing that could be shipped: it has no positive quantity, or a price or
    an amount below zero, as a discount has.
    """
    return read("order_positions").select(
        "order_id", "position_identifier", "sku", "lot", "quantity", "unit_weight", "bundled_by",
        key="order_position_key",
        asks_goods=~is_deduction() & (pl.col("quantity") > 0).fill_null(value=True),
    )  # fmt: skip


def is_deduction() -> pl.Expr:
    """On ordered lines: whether the line takes money off, as a discount does; it asks for no goods."""
    amounts = ("unit_net_price", "unit_gross_price", "total_net_amount", "total_gross_amount")
    return pl.any_horizontal((pl.col(name) < 0).fill_null(value=False) for name in amounts)


def planned_rows(read: ReadTable) -> pl.LazyFrame:
    """The rows of fulfillment orders that are not cancelled, with the SKU of the ordered line that each is for.

    Columns: order_id, key, holder (key of the fulfillment order), sku (of the ordered line), goods (SKU to be shipped),
    warehouse_sku, lot, quantity, bundle_sku; bundle: SKU of the bundle that it is a part of, stated (bundle_sku) or
    concluded.
    """
    rows = _rows_of_holders(read, "fulfillment_positions", "fulfillment_orders", "cancelled", gone=False)
    other = pl.col("ordered_sku") != pl.col("sku")
    unlike = rows.filter(other).select("fulfillment_position_key", "ordered_sku", "sku").collect()
    unlike = unlike.filter(comparison_form(pl.col("ordered_sku")) != comparison_form(pl.col("sku")))
    another = pl.col("fulfillment_position_key").is_in(unlike["fulfillment_position_key"].implode())
    in_place = rows.filter(another, pl.col("bundle_sku").is_null()).select("order_id", "ordered_sku", "sku")
    of_several = in_place.group_by("order_id", "ordered_sku").agg(pl.col("sku").n_unique()).filter(pl.col("sku") > 1)
    ordered_too = in_place.join(read("order_positions"), on=ORDER_AND_SKU, how="semi")
    bundles = pl.concat(frame.select("order_id", "ordered_sku") for frame in (of_several, ordered_too)).unique()
    of_bundle = pl.col("bundle").is_not_null() & pl.col("ordered_sku").eq_missing(pl.col("bundle"))
    return (
        rows.join(
            bundles.with_columns(perhaps="ordered_sku"),
            on=["order_id", "ordered_sku"], how="left", maintain_order="left",
        )
        .with_columns(bundle=pl.coalesce("bundle_sku", pl.when(another).then("perhaps")))
        .with_columns(bundle=pl.when(pl.col("bundle").ne_missing(pl.col("sku"))).then("bundle"))
        .select(
            "order_id", "lot", "quantity", "warehouse_sku", "bundle_sku", "bundle", key="fulfillment_position_key",
            holder="fulfillment_order_key",
            sku=pl.when(of_bundle).then("sku").otherwise(pl.coalesce("ordered_sku", "sku")), goods="sku",
            position_identifier=pl.lit(None, pl.String),
        )
    )  # fmt: skip


def _rows_of_holders(read: ReadTable, table: str, holder: str, flag: str, *, gone: bool) -> pl.LazyFrame:
    """The rows of a table whose fulfillment order is cancelled or not, or whose shipment is reversed or not."""
    key = f"{holder.removesuffix('s')}_key"
    of = read(holder).filter(flag).select(key)
    return read(table).join(of, on=key, how="semi" if gone else "anti", maintain_order="left")


def shipped_rows(read: ReadTable, *, reversed_ones: bool = False) -> pl.LazyFrame:
    """The rows of shipments that were not reversed, or of those that were."""
    return _rows_of_holders(read, "shipment_positions", "shipments", "reversed", gone=reversed_ones).select(
        "order_id", "position_identifier", "lot", "quantity", "warehouse_sku", key="shipment_position_key",
        holder="shipment_key", sku=pl.coalesce("sku", "seller_sku"), bundle=pl.lit(None, pl.String),
    )  # fmt: skip


def packed_rows(read: ReadTable) -> pl.LazyFrame:
    """The content of handling units."""
    return read("handling_positions").select(
        "order_id", "position_identifier", "quantity", "warehouse_sku", "sku", key="handling_position_key",
        holder="handling_unit_key", lot=pl.lit(None, pl.String), bundle=pl.lit(None, pl.String),
    )  # fmt: skip


def orders_with_unlisted_rows(read: ReadTable) -> list[pl.LazyFrame]:
    """The orders with a fulfillment order, with a shipment, and with an innermost handling unit that lists no rows."""
    planned = read("fulfillment_orders").filter(pl.col("cancelled").ne_missing(other=True))
    shipped = read("shipments").filter(pl.col("reversed").ne_missing(other=True))
    units = read("handling_units")
    outer = units.select(handling_unit_key="parent_handling_unit_key").drop_nulls()
    packed = units.join(outer, on="handling_unit_key", how="anti")
    lists = {"fulfillment_order": (planned, "fulfillment_positions"), "shipment": (shipped, "shipment_positions"),
             "handling_unit": (packed, "handling_positions")}  # fmt: skip
    return [
        holders.join(read(rows), on=f"{holder}_key", how="anti").select("order_id")
        for holder, (holders, rows) in lists.items()
    ]
