"""Which line of its order each planned, shipped and packed row belongs to, and how many pieces each line has.

A row belongs to the ordered line

1. with its `position_identifier`, if one line of the order has it,
2. else with its SKU, if one line has it,
3. else with its SKU and lot, if one line has both,

and never to a guess: several candidates are taken together (see `_pool_lines`), and a row without candidates gets a
line of its own, one per SKU, with nothing ordered. A substitute counts for the line of its `ordered_sku`, and the
plan of the order tells which SKU the warehouse's own SKU stands for.

A bundle is compared by its parts: its own line is left out. If the bundle itself is planned or shipped, the lines of
its parts are left out instead. The API does not document what `bundled_by` holds: the SKU and the
`position_identifier` of the bundle are both understood. Parts that only the plan knows (`bundle_sku`) have no ordered
quantity. An SKU that is planned in place of another may be a substitute or a part. It is taken for a part if it is
ordered itself, or if several SKUs are planned in place of the same one.

Cancelled fulfillment orders plan nothing, and reversed shipments ship nothing.

What is not known is null, for all lines of the order. The shipped quantity is unknown if a shipment lists no lines, or
if a shipped row matches no line and its SKU is missing, is that of a line that was left out, or may be what a line
without SKU asks for. The same holds for planned and packed quantities. The ordered quantity is unknown if the order
lists no lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import polars as pl

ReadTable = Callable[[str], pl.LazyFrame]
"""Returns a table by its name, with null for empty texts."""

LineIndexes = Mapping[tuple[str, ...], pl.DataFrame]
"""For each choice of columns, the line that alone has a combination of their values."""

_KEY_COLUMNS = {
    "ordered": "order_position_key",
    "planned": "fulfillment_position_key",
    "shipped": "shipment_position_key",
    "packed": "handling_position_key",
}
_ORDER_AND_SKU = ["order_id", "sku"]


class LineMatches(NamedTuple):
    """The lines of orders, and the rows that belong to each."""

    lines: pl.DataFrame
    """One row per line: `line` (its number), order_id, sku, lot, unit_weight."""
    rows: Mapping[str, pl.DataFrame]
    """Ordered, planned, shipped and packed rows: order_id, key, quantity, and `line`, the line that they belong to."""
    unknown: Mapping[str, pl.DataFrame]
    """Orders (order_id) whose ordered, planned, shipped or packed quantities are not known."""
    left_out: pl.DataFrame
    """Ordered rows that are not compared: key, and is_part, false for bundles that are compared by their parts."""


def match_lines(read: ReadTable) -> LineMatches:
    """Finds the line of every ordered, planned, shipped and packed row."""
    planned, shipped, packed, every, *unlisted = pl.collect_all([
        planned_rows(read), _shipped_rows(read), _packed_rows(read), _ordered_rows(read),
        *_orders_with_unlisted_rows(read),
    ])  # fmt: skip
    ordered, left_out = _lines_to_compare(every, planned, shipped)
    columns: tuple[tuple[str, ...], ...] = (("position_identifier",), ("sku",), ("sku", "lot"))
    indexes = {by: _index_unique_lines(ordered, by) for by in columns}
    first = [match_lines_in_steps(rows, indexes, *columns[:2]) for rows in (planned, shipped, packed)]
    # Few orders are left, so what other names their SKUs have is worked out for these alone.
    unresolved = pl.concat(rest.select("order_id") for _, rest in first).unique()
    aliases = _SkuAliases(*(rows.join(unresolved, on="order_id", how="semi") for rows in (every, ordered, planned)))
    second = [match_lines_in_steps(aliases.resolve_aliases(rest), indexes, *columns[1:]) for _, rest in first]
    matched = [pl.concat([found, more]) for (found, _), (more, _) in zip(first, second, strict=True)]
    unmatched = [rest for _, rest in second]

    lost = pl.concat(rest.select(_ORDER_AND_SKU) for rest in unmatched).unique(maintain_order=True)
    strangers = lost.join(aliases.ordered, on=_ORDER_AND_SKU, how="anti").with_row_index("line", ordered.height)
    pools = _pool_lines(ordered, lost)
    rows = [
        _assign_lines(found, rest, pools, strangers)
        for found, rest in zip([ordered, *matched], [ordered.clear().drop("line"), *unmatched], strict=True)
    ]
    without_lines = strangers.join(aliases.every, on="order_id", how="anti").select("order_id")
    unknown = [pl.concat([aliases.orders_in_doubt(rest), o]) for rest, o in zip(unmatched, unlisted, strict=True)]
    as_one = planned.drop_nulls("bundle").select("order_id", sku="bundle").join(ordered, on=_ORDER_AND_SKU, how="semi")
    unknown[0].extend(as_one.select("order_id"))  # the bundle is planned, and so are its parts
    return LineMatches(
        pl.concat([ordered, strangers], how="diagonal"),
        dict(zip(_KEY_COLUMNS, rows, strict=True)),
        dict(zip(_KEY_COLUMNS, (without_lines, *unknown), strict=True)),
        left_out,
    )


def count_pieces_by_line(matches: LineMatches) -> pl.DataFrame:
    """One row per line of an order: how many of its pieces were ordered, planned, shipped and packed.

    Columns: line, order_id, sku, lot (of the order), unit_weight; the key of its first row in each table, null if it
    has none: order_position_key, fulfillment_position_key, shipment_position_key, handling_position_key; ordered,
    planned, shipped, packed: pieces, 0 if it has no row, null if a row does not state its quantity or if the quantity
    is not known.
    """
    lines = matches.lines
    for what, rows in matches.rows.items():
        lines = lines.join(_count_pieces(rows, what), on="line", how="left", maintain_order="left")
    has_rows = pl.any_horizontal(pl.col(key).is_not_null() for key in _KEY_COLUMNS.values())  # one line of each pool
    pieces = {}
    for what, key in _KEY_COLUMNS.items():
        # A line without SKU may have rows that do not say so.
        has_none = pl.col(key).is_null() & pl.col("sku").is_not_null()
        is_unknown = pl.col("order_id").is_in(matches.unknown[what]["order_id"].implode())
        pieces[what] = pl.when(~is_unknown).then(pl.when(has_none).then(0).otherwise(what))
    unordered_parts = pl.col("adds_parts").fill_null(value=False) & ~pl.col("as_part").fill_null(value=False)
    pieces["ordered"] = pl.when(~unordered_parts).then(pieces["ordered"])
    return lines.filter(has_rows).select(
        "line", "order_id", "sku", "lot", "unit_weight", *_KEY_COLUMNS.values(), **pieces
    )


def planned_rows(read: ReadTable) -> pl.LazyFrame:
    """The rows of fulfillment orders that are not cancelled, with the SKU of the ordered line that each is for.

    Columns: order_id, key, sku (of the ordered line), goods (SKU to be shipped), warehouse_sku, lot, quantity,
    bundle_sku; bundle: SKU of the bundle that it is a part of, stated (bundle_sku) or concluded.
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
    """The rows of a table whose fulfillment order is not cancelled, or whose shipment is not reversed."""
    key = f"{holder.removesuffix('s')}_key"
    return read(table).join(read(holder).filter(gone).select(key), on=key, how="anti", maintain_order="left")


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


def _lines_to_compare(
    every: pl.DataFrame, planned: pl.DataFrame, shipped: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The ordered rows to compare with, numbered: of a bundle its own row, or those of its parts; and the others."""
    parts = every.filter(pl.col("bundled_by").is_not_null()).select("order_id", "key", name="bundled_by")
    heads = pl.concat(
        parts.join(every.select("order_id", name=name, head="key", head_sku="sku"), on=["order_id", "name"])
        for name in ("sku", "position_identifier")
    ).filter(pl.col("key") != pl.col("head"))
    hidden = planned.filter(pl.col("bundle").is_not_null())
    stated = hidden.filter(pl.col("bundle_sku").is_not_null()).select("order_id", sku="bundle")
    stated = pl.concat([heads.select("order_id", sku="head_sku"), stated])
    goods = pl.concat([planned.select("order_id", sku="goods"), shipped.select(_ORDER_AND_SKU)])
    as_one = stated.join(
        goods, on=_ORDER_AND_SKU, how="semi"
    ).unique()  # packed as a bundle before it was ordered, for example
    parts_of_one = heads.join(as_one, left_on=["order_id", "head_sku"], right_on=_ORDER_AND_SKU, how="semi")
    in_parts = pl.concat([stated, hidden.select("order_id", sku="bundle")]).join(as_one, on=_ORDER_AND_SKU, how="anti")
    kept = every.join(parts_of_one.select("key"), on="key", how="anti", maintain_order="left")
    kept = kept.join(in_parts, on=_ORDER_AND_SKU, how="anti", maintain_order="left").with_row_index("line")
    left_out = every.join(kept, on="key", how="anti")
    return kept, left_out.select("key", is_part=pl.col("key").is_in(parts_of_one["key"].implode()))


def _index_unique_lines(ordered: pl.DataFrame, by: tuple[str, ...]) -> pl.DataFrame:
    """The lines that are the only ones of their order with their values in these columns."""
    lines = ordered.drop_nulls(by).group_by("order_id", *by).agg(pl.len(), pl.col("line").first())
    return lines.filter(pl.col("len") == 1).drop("len")


def match_lines_in_steps(
    rows: pl.DataFrame, indexes: LineIndexes, *steps: tuple[str, ...]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that match one line by the columns of a step, each with its `line`, and the rows that match none.

    Each step looks only at the rows that the steps before it did not match.
    """
    found = []
    for by in steps:
        rows = rows.join(indexes[by], on=["order_id", *by], how="left", maintain_order="left")
        found.append(rows.filter(pl.col("line").is_not_null()))
        rows = rows.filter(pl.col("line").is_null()).drop("line")
    return pl.concat(found), rows


class _SkuAliases:
    """Other names of ordered SKUs: a row may have the SKU of a substitute or the warehouse's own SKU.

    The plan of an order tells which ordered SKU they stand for. A name that stands for several is unclear.
    """

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
        """The rows with the ordered SKU that their SKU, else the warehouse's SKU, stands for."""
        for name in ("sku", "warehouse_sku"):
            meant = self.meant.select("order_id", pl.col("name").alias(name), pl.col("sku").alias(f"meant_by_{name}"))
            rows = rows.join(meant, on=["order_id", name], how="left", maintain_order="left")
        return rows.with_columns(sku=pl.coalesce("meant_by_sku", "meant_by_warehouse_sku", "sku")).drop("^meant_by_.*$")

    def orders_in_doubt(self, unmatched: pl.DataFrame) -> pl.DataFrame:
        """The orders of unmatched rows that may belong to an ordered line after all."""
        left_out = self.every.join(self.ordered, on=_ORDER_AND_SKU, how="anti").select(_ORDER_AND_SKU)
        nameless = self.every.filter(pl.col("sku").is_null())
        return pl.concat([
            unmatched.filter(pl.col("sku").is_null()),
            unmatched.join(nameless, on="order_id", how="semi"),
            unmatched.join(pl.concat([self.unclear, left_out]), on=_ORDER_AND_SKU, how="semi"),
        ]).select("order_id")  # fmt: skip


def _pool_lines(ordered: pl.DataFrame, lost: pl.DataFrame) -> pl.DataFrame:
    """The lines that are taken together as one: `line`, and `pool`, the first line of its pool.

    An order may list an SKU twice, say 3 pieces and 4 pieces. A shipped row of 5 pieces that names neither line by its
    `position_identifier` nor by a lot can belong to either, so no split of it is right. What is right is the sum: 7
    ordered, 5 shipped. So if any row of an SKU (in `lost`) fits several lines, all lines of that SKU in the order form
    a pool, also for the rows that do name their line: counted apart, these would leave the wrong remainder.
    """
    return ordered.join(lost, on=_ORDER_AND_SKU, how="semi").select(
        *_ORDER_AND_SKU, "line", pool=pl.col("line").min().over(_ORDER_AND_SKU)
    )


def _assign_lines(
    matched: pl.DataFrame, unmatched: pl.DataFrame, pools: pl.DataFrame, strangers: pl.DataFrame
) -> pl.DataFrame:
    """All rows with their final `line`: the one they match or the first of its pool; else a pool or a stranger."""
    pooled = matched.join(pools.select("line", "pool"), on="line", how="left", maintain_order="left")
    by_sku = pl.concat([strangers, pools.select(pl.col("pool").alias("line"), *_ORDER_AND_SKU).unique()])
    rest = unmatched.join(by_sku, on=_ORDER_AND_SKU, how="left", nulls_equal=True, maintain_order="left")
    assigned = pooled.with_columns(line=pl.coalesce("pool", "line")).drop("pool")
    return pl.concat([assigned, rest.select(assigned.columns)])


def _count_pieces(rows: pl.DataFrame, what: str) -> pl.DataFrame:
    """One row per line: its pieces, null if a row does not state its quantity, and the key of its first row."""
    quantity = pl.col("quantity")
    flags = {
        "ordered": [pl.col("bundled_by").is_not_null().any().alias("as_part")],
        "planned": [pl.col("bundle").is_not_null().any().alias("adds_parts")],
    }
    return rows.group_by("line").agg(
        pl.when(quantity.null_count() == 0).then(quantity.sum()).alias(what),
        pl.col("key").first().alias(_KEY_COLUMNS[what]),
        *flags.get(what, []),
    )
