"""How many pieces each line of an order has: ordered, planned, shipped, packed, reversed."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.line_matching import LineMatches

KEY_COLUMNS = {
    "ordered": "order_position_key",
    "planned": "fulfillment_position_key",
    "shipped": "shipment_position_key",
    "packed": "handling_position_key",
}
"""The kinds of quantity that are compared, and the key of the rows that state them."""


def count_pieces_by_line(matches: LineMatches) -> pl.DataFrame:
    """One row per line of an order: how many of its pieces were ordered, planned, shipped and packed.

    Columns: line, order_id, sku, lot (of the order), unit_weight; the key of its first row in each table, null if it
    has none: order_position_key, fulfillment_position_key, shipment_position_key, handling_position_key; ordered,
    planned, shipped, packed: pieces, 0 if it has no row, null if a row does not state its quantity or if the quantity
    is not known.
    """
    lines = matches.lines
    for what in KEY_COLUMNS:
        lines = lines.join(_count_pieces(matches.rows[what], what), on="line", how="left", maintain_order="left")
    has_rows = pl.any_horizontal(pl.col(key).is_not_null() for key in KEY_COLUMNS.values())  # one line of each pool
    pieces = {}
    for what, key in KEY_COLUMNS.items():
        # A line without SKU may have rows that do not say so.
        has_none = pl.col(key).is_null() & pl.col("sku").is_not_null()
        is_unknown = pl.col("order_id").is_in(matches.unknown[what]["order_id"].implode())
        pieces[what] = pl.when(~is_unknown).then(pl.when(has_none).then(0).otherwise(what))
    unordered_parts = pl.col("adds_parts").fill_null(value=False) & ~pl.col("as_part").fill_null(value=False)
    pieces["ordered"] = pl.when(~unordered_parts).then(pieces["ordered"])
    return lines.filter(has_rows).select(
        "line", "order_id", "sku", "lot", "unit_weight", *KEY_COLUMNS.values(), **pieces
    )


def _count_pieces(rows: pl.DataFrame, what: str) -> pl.DataFrame:
    """One row per line: its pieces, null if a row does not state its quantity, and the key of its first row.

    A quantity below zero asks for nothing. Where it was shipped, it is of goods that came back: they stay shipped.
    """
    quantity = pl.col("quantity").clip(0)
    if what == "ordered":
        quantity = pl.when("asks_goods").then(quantity).otherwise(0)
    flags = {
        "ordered": [pl.col("bundled_by").is_not_null().any().alias("as_part")],
        "planned": [pl.col("bundle").is_not_null().any().alias("adds_parts")],
    }
    return rows.group_by("line").agg(
        pl.when(quantity.null_count() == 0).then(quantity.sum()).alias(what),
        pl.col("key").first().alias(KEY_COLUMNS[what]),
        *flags.get(what, []),
    )
