"""Verb: ordered, planned, shipped and packed rows -> lines that can be compared. Floor 3.

A line is what an order asks for once. Rows of other tables find their line

1. by `position_identifier`, if one line of the order has it,
2. else by SKU, if one line has it,
3. else by SKU and lot, if one line has both.

Where lines of one SKU cannot be told apart so, they are taken together: nothing is guessed. A row that leads to no
line is on a line of its own, with nothing ordered. A substitute counts for the line of its `ordered_sku`, and the
warehouse's own SKU is understood by the plan of the order.

A bundle stands for its parts. Where the parts are planned or shipped, the bundle's own line is left out; where the
bundle itself is, those of its parts are. The API does not say what `bundled_by` holds: the SKU and the
`position_identifier` of the bundle are understood. Parts that only the plan knows (`bundle_sku`) have no ordered
quantity.

Cancelled fulfillment orders plan nothing, reversed shipments ship nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

Read = Callable[[str], pl.LazyFrame]
"""A table by name, its empty texts null."""

Ways = Mapping[tuple[str, ...], pl.DataFrame]
"""By which columns a row finds its line, and the line of each of their values."""

_KEYS = {
    "ordered": "order_position_key",
    "planned": "fulfillment_position_key",
    "shipped": "shipment_position_key",
    "packed": "handling_position_key",
}
_SKU = ["order_id", "sku"]


def lines(read: Read) -> pl.DataFrame:
    """One row a line of an order: how much of it was ordered, planned, shipped and packed.

    Columns: order_id, sku, lot (asked for), unit_weight; the first row of each, null where none is:
    order_position_key, fulfillment_position_key, shipment_position_key, handling_position_key; ordered, planned,
    shipped, packed: pieces, 0 where no row is, null where a row does not say how many, or where the plan adds parts of
    a bundle that nobody ordered as such.
    """
    planned, shipped, packed = pl.collect_all([_planned(read), _shipped(read), _packed(read)])
    ordered = _ordered(read, planned, shipped)
    names = _names(ordered, planned)
    ways: Ways = {by: _only_lines(ordered, by) for by in (("position_identifier",), ("sku",), ("sku", "lot"))}
    placed = [_placed(rows, ways, names) for rows in (planned, shipped, packed)]
    lost = pl.concat(rows.filter(pl.col("line").is_null()).select(_SKU) for rows in placed).unique(maintain_order=True)
    pools = ordered.join(lost, on=_SKU, how="semi").select(*_SKU, "line", pool=pl.col("line").min().over(_SKU))
    strangers = lost.join(ordered, on=_SKU, how="anti", nulls_equal=True).with_row_index("line", ordered.height)
    homes = pl.concat([strangers, pools.select(pl.col("pool").alias("line"), *_SKU).unique()])
    at_home = [_at_home(rows, pools, homes) for rows in (ordered, *placed)]
    counted = [_counted(rows, what) for what, rows in zip(_KEYS, at_home, strict=True)]
    return _side_by_side(pl.concat([ordered, strangers], how="diagonal"), counted)


def _live(read: Read, table: str, holder: str, gone: str) -> pl.LazyFrame:
    """The rows of a table without those of cancelled or reversed holders."""
    key = f"{holder.removesuffix('s')}_key"
    return read(table).join(read(holder).filter(gone).select(key), on=key, how="anti")


def _planned(read: Read) -> pl.LazyFrame:
    is_part = pl.col("bundle_sku").is_not_null() & pl.col("bundle_sku").ne_missing(pl.col("sku"))
    wanted = pl.when(is_part).then(pl.coalesce("sku", "ordered_sku")).otherwise(pl.coalesce("ordered_sku", "sku"))
    return _live(read, "fulfillment_positions", "fulfillment_orders", "cancelled").select(
        "order_id", "lot", "quantity", "warehouse_sku", key="fulfillment_position_key", sku=wanted, goods="sku",
        bundle=pl.when(is_part).then("bundle_sku"), position_identifier=pl.lit(None, pl.String),
    )  # fmt: skip


def _shipped(read: Read) -> pl.LazyFrame:
    return _live(read, "shipment_positions", "shipments", "reversed").select(
        "order_id", "position_identifier", "lot", "quantity", "warehouse_sku", key="shipment_position_key",
        sku=pl.coalesce("sku", "seller_sku"), bundle=pl.lit(None, pl.String),
    )  # fmt: skip


def _packed(read: Read) -> pl.LazyFrame:
    return read("handling_positions").select(
        "order_id", "position_identifier", "quantity", "warehouse_sku", "sku", key="handling_position_key",
        lot=pl.lit(None, pl.String), bundle=pl.lit(None, pl.String),
    )  # fmt: skip


def _ordered(read: Read, planned: pl.DataFrame, shipped: pl.DataFrame) -> pl.DataFrame:
    """The lines that goods are compared with, numbered: of a bundle either its own line, or those of its parts."""
    every = read("order_positions").select(
        "order_id", "position_identifier", "sku", "lot", "quantity", "unit_weight", "bundled_by",
        key="order_position_key",
    ).collect()  # fmt: skip
    parts = every.filter(pl.col("bundled_by").is_not_null()).select("order_id", "key", name="bundled_by")
    heads = pl.concat(
        parts.join(every.select("order_id", name=name, head="key", head_sku="sku"), on=["order_id", "name"])
        for name in ("sku", "position_identifier")
    ).filter(pl.col("key") != pl.col("head"))
    hidden = planned.filter(pl.col("bundle").is_not_null()).select("order_id", sku="bundle")
    bundles = pl.concat([heads.select("order_id", sku="head_sku"), hidden]).unique()
    goods = pl.concat([planned.select("order_id", sku="goods"), shipped.select(_SKU)])
    as_one = bundles.join(goods, on=_SKU, how="semi")  # packed before it was ordered, say
    parts_of_one = heads.join(as_one, left_on=["order_id", "head_sku"], right_on=_SKU, how="semi").select("key")
    left_out = every.join(bundles.join(as_one, on=_SKU, how="anti"), on=_SKU, how="semi").select("key")
    kept = every.join(pl.concat([parts_of_one, left_out]), on="key", how="anti", maintain_order="left")
    return kept.with_row_index("line")


def _names(ordered: pl.DataFrame, planned: pl.DataFrame) -> pl.DataFrame:
    """What else the plan of an order calls a SKU: order_id, name, sku; names of more than one are left out."""
    others = pl.concat(planned.select("order_id", "sku", name=name) for name in ("goods", "warehouse_sku"))
    others = others.filter(pl.col("name").ne_missing(pl.col("sku"))).drop_nulls().unique()
    others = others.join(ordered, left_on=["order_id", "name"], right_on=_SKU, how="anti")
    return others.filter(pl.struct("order_id", "name").is_unique())


def _only_lines(ordered: pl.DataFrame, by: tuple[str, ...]) -> pl.DataFrame:
    """The lines that alone have their values in these columns, in their order."""
    lines = ordered.filter(pl.col(by[0]).is_not_null()).group_by("order_id", *by).agg(pl.len(), pl.col("line").first())
    return lines.filter(pl.col("len") == 1).drop("len")


def _placed(rows: pl.DataFrame, ways: Ways, names: pl.DataFrame) -> pl.DataFrame:
    """The rows with the line they lead to, null where none does or several do.

    What has its line is not looked at again: after two steps hardly a row is left.
    """
    by_identifier, rest = _led(rows, ways, ("position_identifier",))
    by_sku, rest = _led(rest, ways, ("sku",))
    by_other_name, rest = _led(_renamed(rest, names), ways, ("sku",))
    by_lot, rest = _led(rest, ways, ("sku", "lot"))
    return pl.concat([by_identifier, by_sku, by_other_name, by_lot, rest.with_columns(line=pl.lit(None, pl.UInt32))])


def _led(rows: pl.DataFrame, ways: Ways, by: tuple[str, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that a way leads to a line, and the others."""
    found = rows.join(ways[by], on=["order_id", *by], how="left", nulls_equal=True)
    led = pl.col("line").is_not_null()
    return found.filter(led), found.filter(~led).drop("line")


def _renamed(rows: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """The rows with what the order calls their SKU, or the warehouse's."""
    own = pl.coalesce("sku", "warehouse_sku")
    known = names.rename({"sku": "meant"})
    for name in ("sku", "warehouse_sku"):
        rows = rows.join(known.rename({"name": name, "meant": f"meant_by_{name}"}), on=["order_id", name], how="left")
    return rows.with_columns(sku=pl.coalesce("meant_by_sku", "meant_by_warehouse_sku", own)).drop("^meant_by_.*$")


def _at_home(rows: pl.DataFrame, pools: pl.DataFrame, homes: pl.DataFrame) -> pl.DataFrame:
    """The rows, each on its line: on the first of those that are taken together, or on one of its own."""
    pooled = rows.join(pools.select("line", "pool"), on="line", how="left").with_columns(
        line=pl.coalesce("pool", "line")
    )
    there = pl.col("line").is_not_null()
    moved = pooled.filter(~there).drop("line").join(homes, on=_SKU, how="left", nulls_equal=True)
    return pl.concat([pooled.filter(there), moved.select(pooled.columns)])


def _counted(rows: pl.DataFrame, what: str) -> pl.DataFrame:
    """One row a line: how many pieces, null if a row does not say it, and the first row's key."""
    quantity = pl.col("quantity")
    more = {"ordered": [pl.col("bundled_by").is_not_null().any().alias("as_part")],
            "planned": [pl.col("bundle").is_not_null().any().alias("adds_parts")]}  # fmt: skip
    return rows.group_by("line").agg(
        pl.when(quantity.null_count() == 0).then(quantity.sum()).alias(what),
        pl.col("key").first().alias(_KEYS[what]),
        *more.get(what, []),
    )


def _side_by_side(lines: pl.DataFrame, counted: list[pl.DataFrame]) -> pl.DataFrame:
    for counts in counted:
        lines = lines.join(counts, on="line", how="left", maintain_order="left")
    there = pl.any_horizontal(pl.col(key).is_not_null() for key in _KEYS.values())  # of a pool only the first is
    pieces = {what: pl.when(pl.col(key).is_null()).then(0).otherwise(what) for what, key in _KEYS.items()}
    unordered_parts = pl.col("adds_parts").fill_null(value=False) & ~pl.col("as_part").fill_null(value=False)
    pieces["ordered"] = pl.when(~unordered_parts).then(pieces["ordered"])
    return lines.filter(there).select("order_id", "sku", "lot", "unit_weight", *_KEYS.values(), **pieces)
