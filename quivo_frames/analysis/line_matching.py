"""Verb: ordered, planned, shipped and packed rows -> lines that can be compared. Floor 3.

A line is what an order asks for once. Rows of other tables find their line

1. by `position_identifier`, if one line of the order has it,
2. else by SKU, if one line has it,
3. else by SKU and lot, if one line has both.

Where lines of one SKU cannot be told apart so, they are taken together: nothing is guessed. A row that leads to no
line is on a line of its own, one an SKU, with nothing ordered. A substitute counts for the line of its `ordered_sku`,
and the warehouse's own SKU is understood by the plan of the order.

A bundle stands for its parts. Its own line is left out, unless the bundle itself is planned or shipped: then those of
its parts are. The API does not say what `bundled_by` holds: the SKU and the `position_identifier` of the bundle are
understood. Parts that only the plan knows (`bundle_sku`) have no ordered quantity. Where one SKU is planned in place of
another and is ordered itself, or several are, it may be a substitute or a part: they are taken for parts.

Cancelled fulfillment orders plan nothing, reversed shipments ship nothing.

What is not known is null, for all lines of the order: how much was shipped if a shipment lists no lines, or if one that
leads nowhere has no SKU, or that of a line that was left out, or may be what a line without SKU asks for; so, too,
of what was planned and packed. Nothing is known to be ordered of an order that lists no lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

ReadTable = Callable[[str], pl.LazyFrame]
"""A table by name, its empty texts null."""

LineIndexes = Mapping[tuple[str, ...], pl.DataFrame]
"""By which columns a row finds its line, and the line of each of their values."""

_KEY_COLUMNS = {
    "ordered": "order_position_key",
    "planned": "fulfillment_position_key",
    "shipped": "shipment_position_key",
    "packed": "handling_position_key",
}
_ORDER_AND_SKU = ["order_id", "sku"]


def count_pieces_by_line(read: ReadTable) -> pl.DataFrame:
    """One row a line of an order: how much of it was ordered, planned, shipped and packed.

    Columns: order_id, sku, lot (asked for), unit_weight; the first row of each, null where none is:
    order_position_key, fulfillment_position_key, shipment_position_key, handling_position_key; ordered, planned,
    shipped, packed: pieces, 0 where no row is, null where a row does not say how many, or where it is not known.
    """
    planned, shipped, packed, every, *unlisted = pl.collect_all(
        [
            planned_rows(read),
            _shipped_rows(read),
            _packed_rows(read),
            _ordered_rows(read),
            *_orders_with_unlisted_rows(read),
        ]
    )
    ordered = _lines_to_compare(every, planned, shipped)
    ways: LineIndexes = {
        by: _index_unique_lines(ordered, by) for by in (("position_identifier",), ("sku",), ("sku", "lot"))
    }
    first = [
        match_lines_in_steps(rows, ways, ("position_identifier",), ("sku",)) for rows in (planned, shipped, packed)
    ]
    odd = pl.concat(rest.select("order_id") for _, rest in first).unique()
    here = _SkuAliases(*(frame.join(odd, on="order_id", how="semi") for frame in (every, ordered, planned)))
    then = [match_lines_in_steps(here.resolve_aliases(rest), ways, ("sku",), ("sku", "lot")) for _, rest in first]
    placed = [
        pl.concat([found, more, rest.with_columns(line=pl.lit(None, pl.UInt32))])
        for (found, _), (more, rest) in zip(first, then, strict=True)
    ]

    lost = pl.concat(rest.select(_ORDER_AND_SKU) for _, rest in then).unique(maintain_order=True)
    pools = ordered.join(lost, on=_ORDER_AND_SKU, how="semi").select(
        *_ORDER_AND_SKU, "line", pool=pl.col("line").min().over(_ORDER_AND_SKU)
    )
    strangers = lost.join(here.ordered, on=_ORDER_AND_SKU, how="anti").with_row_index("line", ordered.height)
    homes = pl.concat([strangers, pools.select(pl.col("pool").alias("line"), *_ORDER_AND_SKU).unique()])
    counted = [
        _count_pieces(_assign_to_pools(rows, pools, homes), what)
        for what, rows in zip(_KEY_COLUMNS, (ordered, *placed), strict=True)
    ]
    as_one = ordered.join(
        planned.drop_nulls("bundle"), left_on=_ORDER_AND_SKU, right_on=["order_id", "bundle"], how="semi"
    )
    nothing_asked_for = strangers.join(here.every, on="order_id", how="anti")
    in_doubt = [
        pl.concat([here.orders_in_doubt(rest), orders]) for (_, rest), orders in zip(then, unlisted, strict=True)
    ]
    in_doubt[0].extend(as_one.select("order_id"))  # it is planned, and so are its parts
    return _combine_counts(
        pl.concat([ordered, strangers], how="diagonal"), counted, [nothing_asked_for.select("order_id"), *in_doubt]
    )


def planned_rows(read: ReadTable) -> pl.LazyFrame:
    """What is planned: the lines of fulfillment orders that are not cancelled, and what they are for.

    Columns: order_id, key, sku (of the ordered line), goods (SKU that is to be shipped), warehouse_sku, lot, quantity;
    bundle: SKU of the bundle that it is a part of, surely where told (bundle_sku).
    """
    rows = _rows_of_valid_holders(read, "fulfillment_positions", "fulfillment_orders", "cancelled")
    another = pl.col("ordered_sku") != pl.col("sku")
    in_place = rows.filter(another, pl.col("bundle_sku").is_null()).select("order_id", "ordered_sku", "sku")
    of_several = in_place.group_by("order_id", "ordered_sku").agg(pl.col("sku").n_unique()).filter(pl.col("sku") > 1)
    ordered_too = in_place.join(read("order_positions"), on=_ORDER_AND_SKU, how="semi")
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
            sku=pl.when(of_bundle).then("sku").otherwise(pl.coalesce("ordered_sku", "sku")), goods="sku",
            position_identifier=pl.lit(None, pl.String),
        )
    )  # fmt: skip


def _rows_of_valid_holders(read: ReadTable, table: str, holder: str, gone: str) -> pl.LazyFrame:
    """The rows of a table without those of cancelled or reversed holders."""
    key = f"{holder.removesuffix('s')}_key"
    return read(table).join(read(holder).filter(gone).select(key), on=key, how="anti")


def _ordered_rows(read: ReadTable) -> pl.LazyFrame:
    return read("order_positions").select(
        "order_id", "position_identifier", "sku", "lot", "quantity", "unit_weight", "bundled_by",
        key="order_position_key",
    )  # fmt: skip


def _shipped_rows(read: ReadTable) -> pl.LazyFrame:
    return _rows_of_valid_holders(read, "shipment_positions", "shipments", "reversed").select(
        "order_id", "position_identifier", "lot", "quantity", "warehouse_sku", key="shipment_position_key",
        sku=pl.coalesce("sku", "seller_sku"), bundle=pl.lit(None, pl.String),
    )  # fmt: skip


def _packed_rows(read: ReadTable) -> pl.LazyFrame:
    return read("handling_positions").select(
        "order_id", "position_identifier", "quantity", "warehouse_sku", "sku", key="handling_position_key",
        lot=pl.lit(None, pl.String), bundle=pl.lit(None, pl.String),
    )  # fmt: skip


def _orders_with_unlisted_rows(read: ReadTable) -> list[pl.LazyFrame]:
    """The orders with a fulfillment order, a shipment, or an innermost handling unit that lists no lines."""
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


def _lines_to_compare(every: pl.DataFrame, planned: pl.DataFrame, shipped: pl.DataFrame) -> pl.DataFrame:
    """The lines that goods are compared with, numbered: of a bundle either its own line, or those of its parts."""
    parts = every.filter(pl.col("bundled_by").is_not_null()).select("order_id", "key", name="bundled_by")
    heads = pl.concat(
        parts.join(every.select("order_id", name=name, head="key", head_sku="sku"), on=["order_id", "name"])
        for name in ("sku", "position_identifier")
    ).filter(pl.col("key") != pl.col("head"))
    hidden = planned.filter(pl.col("bundle").is_not_null())
    told = pl.concat([heads.select("order_id", sku="head_sku"),
                      hidden.filter(pl.col("bundle_sku").is_not_null()).select("order_id", sku="bundle")])  # fmt: skip
    goods = pl.concat([planned.select("order_id", sku="goods"), shipped.select(_ORDER_AND_SKU)])
    as_one = told.join(goods, on=_ORDER_AND_SKU, how="semi").unique()  # packed before it was ordered, say
    parts_of_one = heads.join(as_one, left_on=["order_id", "head_sku"], right_on=_ORDER_AND_SKU, how="semi").select(
        "key"
    )
    in_parts = pl.concat([told, hidden.select("order_id", sku="bundle")]).join(as_one, on=_ORDER_AND_SKU, how="anti")
    kept = every.join(parts_of_one, on="key", how="anti", maintain_order="left")
    return kept.join(in_parts, on=_ORDER_AND_SKU, how="anti", maintain_order="left").with_row_index("line")


def _index_unique_lines(ordered: pl.DataFrame, by: tuple[str, ...]) -> pl.DataFrame:
    """The lines that alone have their values in these columns, in their order."""
    lines = ordered.drop_nulls(by).group_by("order_id", *by).agg(pl.len(), pl.col("line").first())
    return lines.filter(pl.col("len") == 1).drop("len")


def match_lines_in_steps(
    rows: pl.DataFrame, ways: LineIndexes, *steps: tuple[str, ...]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows with the line they lead to, step by step, and those that lead to none or to several."""
    found = []
    for by in steps:
        rows = rows.join(ways[by], on=["order_id", *by], how="left", maintain_order="left")
        found.append(rows.filter(pl.col("line").is_not_null()))
        rows = rows.filter(pl.col("line").is_null()).drop("line")
    return pl.concat(found), rows


class _SkuAliases:
    """What the few orders call a SKU in which identifiers and SKUs do not lead everywhere."""

    def __init__(self, every: pl.DataFrame, ordered: pl.DataFrame, planned: pl.DataFrame) -> None:
        self.every, self.ordered = every, ordered
        others = pl.concat(planned.select("order_id", "sku", name=name) for name in ("goods", "warehouse_sku"))
        others = others.filter(pl.col("name") != pl.col("sku")).unique()
        others = others.join(ordered, left_on=["order_id", "name"], right_on=_ORDER_AND_SKU, how="anti")
        clear = pl.struct("order_id", "name").is_unique()
        own = ordered.select("order_id", "sku", name="sku").drop_nulls().unique()
        self.meant = pl.concat([others.filter(clear), own])
        self.unclear = others.filter(~clear).select("order_id", sku="name")

    def resolve_aliases(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with what the order calls their SKU, or the warehouse's."""
        for name in ("sku", "warehouse_sku"):
            meant = self.meant.select("order_id", pl.col("name").alias(name), pl.col("sku").alias(f"meant_by_{name}"))
            rows = rows.join(meant, on=["order_id", name], how="left", maintain_order="left")
        return rows.with_columns(sku=pl.coalesce("meant_by_sku", "meant_by_warehouse_sku", "sku")).drop("^meant_by_.*$")

    def orders_in_doubt(self, lost: pl.DataFrame) -> pl.DataFrame:
        """The orders of rows without a line that may yet belong to one."""
        left_out = self.every.join(self.ordered, on=_ORDER_AND_SKU, how="anti").select(_ORDER_AND_SKU)
        nameless = self.every.filter(pl.col("sku").is_null())
        return pl.concat([
            lost.filter(pl.col("sku").is_null()),
            lost.join(nameless, on="order_id", how="semi"),
            lost.join(pl.concat([self.unclear, left_out]), on=_ORDER_AND_SKU, how="semi"),
        ]).select("order_id")  # fmt: skip


def _assign_to_pools(rows: pl.DataFrame, pools: pl.DataFrame, homes: pl.DataFrame) -> pl.DataFrame:
    """The rows, each on its line: on the first of those that are taken together, or on one of its own."""
    pooled = rows.join(pools.select("line", "pool"), on="line", how="left", maintain_order="left")
    pooled = pooled.with_columns(line=pl.coalesce("pool", "line"))
    there = pl.col("line").is_not_null()
    moved = pooled.filter(~there).drop("line")
    moved = moved.join(homes, on=_ORDER_AND_SKU, how="left", nulls_equal=True, maintain_order="left")
    return pl.concat([pooled.filter(there), moved.select(pooled.columns)])


def _count_pieces(rows: pl.DataFrame, what: str) -> pl.DataFrame:
    """One row a line: how many pieces, null if a row does not say it, and the first row's key."""
    quantity = pl.col("quantity")
    more = {"ordered": [pl.col("bundled_by").is_not_null().any().alias("as_part")],
            "planned": [pl.col("bundle").is_not_null().any().alias("adds_parts")]}  # fmt: skip
    return rows.group_by("line").agg(
        pl.when(quantity.null_count() == 0).then(quantity.sum()).alias(what),
        pl.col("key").first().alias(_KEY_COLUMNS[what]),
        *more.get(what, []),
    )


def _combine_counts(lines: pl.DataFrame, counted: list[pl.DataFrame], unknown: list[pl.DataFrame]) -> pl.DataFrame:
    for counts in counted:
        lines = lines.join(counts, on="line", how="left", maintain_order="left")
    there = pl.any_horizontal(pl.col(key).is_not_null() for key in _KEY_COLUMNS.values())  # of a pool only the first is
    pieces = {}
    for (what, key), orders in zip(_KEY_COLUMNS.items(), unknown, strict=True):
        # A line without SKU may have rows that do not say so.
        nothing = pl.col(key).is_null() & pl.col("sku").is_not_null()
        counted_here = pl.when(nothing).then(0).otherwise(what)
        pieces[what] = pl.when(~pl.col("order_id").is_in(orders["order_id"].implode())).then(counted_here)
    unordered_parts = pl.col("adds_parts").fill_null(value=False) & ~pl.col("as_part").fill_null(value=False)
    pieces["ordered"] = pl.when(~unordered_parts).then(pieces["ordered"])
    return lines.filter(there).select("order_id", "sku", "lot", "unit_weight", *_KEY_COLUMNS.values(), **pieces)
