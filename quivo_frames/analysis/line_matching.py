"""Which line of its order each planned, shipped and packed row belongs to.

A row belongs to the ordered line

1. with its `position_identifier`, if one line of the order has it,
2. else with its SKU, if one line has it,
3. else with its SKU and lot, if one line has both,

and never to a guess: several candidates are taken together (see `_pool_lines`), and a row without candidates gets a
line of its own, one per SKU, with nothing ordered. A substitute counts for the line of its `ordered_sku`, and the
plan of the order tells which SKU the warehouse's own SKU stands for. Where no line has an identifier as it is written,
the only one counts that is written alike: but for case, outer white space, invisible characters and the way in which
letters with marks are encoded.

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

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.identifiers import comparison_form
from quivo_frames.analysis.line_sources import (
    ORDER_AND_SKU,
    ReadTable,
    ordered_rows,
    orders_with_unlisted_rows,
    packed_rows,
    planned_rows,
    shipped_rows,
)

LineIndexes = Mapping[tuple[str, ...], pl.DataFrame]
"""For each choice of columns, the line that alone has a combination of their values."""

_BY_IDENTIFIER, _BY_SKU, _BY_LOT, _BY_BUNDLE, _BY_PLAN, _BY_WAREHOUSE = range(6)
_NORMALIZED, _POOLED = 8, 16
_RULE_NAMES = ("position_identifier", "sku", "sku+lot", "bundle", "planned_for", "warehouse_sku")
MATCHING_RULES: Mapping[int, str] = {
    **dict(enumerate(_RULE_NAMES)),
    **{_NORMALIZED + code: f"{name}, normalized" for code, name in enumerate(_RULE_NAMES)},
    _POOLED: "pool",
}
"""The rules by which a row finds its line, by code; the larger the code, the less strict the rule."""
_RULE_OF_STEP = {("position_identifier",): _BY_IDENTIFIER, ("sku",): _BY_SKU, ("sku", "lot"): _BY_LOT}

MATCHED = ("planned", "shipped", "packed", "reversed")


class LineMatches(NamedTuple):
    """The lines of orders, and the rows that belong to each."""

    lines: pl.DataFrame
    """One row per line: `line` (its number), order_id, sku, lot, unit_weight."""
    rows: Mapping[str, pl.DataFrame]
    """Ordered, planned, shipped, packed and reversed rows: order_id, key, quantity, `line`, the line that they belong
    to, and `rule`, the code of the rule that decided; null for ordered rows, and where no line was ordered."""
    unknown: Mapping[str, pl.DataFrame]
    """Orders (order_id) whose ordered, planned, shipped or packed quantities are not known."""
    left_out: pl.DataFrame
    """Ordered rows that are not compared: key, and is_part, false for bundles that are compared by their parts."""
    bundles: pl.DataFrame
    """SKUs of bundles: order_id, sku."""


def match_lines(read: ReadTable) -> LineMatches:
    """Finds the line of every ordered, planned, shipped, packed and reversed row."""
    planned, shipped, packed, returned, every, *unlisted = pl.collect_all([
        planned_rows(read), shipped_rows(read), packed_rows(read), shipped_rows(read, reversed_ones=True),
        ordered_rows(read), *orders_with_unlisted_rows(read),
    ])  # fmt: skip
    ordered, left_out, bundles = _lines_to_compare(every, planned, shipped)
    indexes = {by: _index_unique_lines(ordered, by) for by in _RULE_OF_STEP}
    identifier, sku, lot = _RULE_OF_STEP
    sources = [_with_rule(rows) for rows in (planned, shipped, packed, returned)]
    first = [match_lines_in_steps(rows, indexes, identifier, sku) for rows in sources]
    # Few orders are left, so what other names their SKUs have is worked out for these alone.
    unresolved = pl.concat(rest.select("order_id") for _, rest in first).unique()
    aliases = _SkuAliases(*(rows.join(unresolved, on="order_id", how="semi") for rows in (every, ordered, planned)))
    second = [
        match_lines_in_steps(aliases.resolve_aliases(aliases.respell_identifiers(rest)), indexes, identifier, sku, lot)
        for _, rest in first
    ]
    matched = [pl.concat([found, more]) for (found, _), (more, _) in zip(first, second, strict=True)]
    unmatched = [rest for _, rest in second]

    lost = pl.concat(rest.select(ORDER_AND_SKU) for rest in unmatched[:-1]).unique(maintain_order=True)
    every_lost = pl.concat([lost, unmatched[-1].select(ORDER_AND_SKU)]).unique(maintain_order=True)
    strangers = every_lost.join(aliases.ordered, on=ORDER_AND_SKU, how="anti").with_row_index("line", ordered.height)
    pools = _pool_lines(ordered, lost)
    by_sku = _lines_by_sku(ordered, unmatched[-1], pools, strangers)
    rows = [
        _assign_lines(found, rest, pools, by_sku)
        for found, rest in zip([_with_rule(ordered), *matched], [_no_rows(ordered), *unmatched], strict=True)
    ]
    without_lines = strangers.join(aliases.every, on="order_id", how="anti").select("order_id")
    unknown = [pl.concat([aliases.orders_in_doubt(rest), o]) for rest, o in zip(unmatched[:-1], unlisted, strict=True)]
    as_one = planned.drop_nulls("bundle").select("order_id", sku="bundle").join(ordered, on=ORDER_AND_SKU, how="semi")
    unknown[0].extend(as_one.select("order_id"))  # the bundle is planned, and so are its parts
    return LineMatches(
        pl.concat([ordered, strangers], how="diagonal"),
        dict(zip(("ordered", *MATCHED), rows, strict=True)),
        dict(zip(("ordered", *MATCHED[:-1]), (without_lines, *unknown), strict=True)),
        left_out,
        bundles,
    )


def _with_rule(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the rule by which they have their SKU: their own, or the one that the plan has it for."""
    rule = pl.lit(_BY_SKU, pl.Int8)
    if "goods" in rows.columns:
        other = pl.when(pl.col("goods").ne_missing(pl.col("sku"))).then(pl.lit(_BY_PLAN, pl.Int8)).otherwise(rule)
        rule = pl.when(pl.col("bundle").is_not_null()).then(pl.lit(_BY_BUNDLE, pl.Int8)).otherwise(other)
    return rows.with_columns(rule=rule)


def _no_rows(ordered: pl.DataFrame) -> pl.DataFrame:
    return _with_rule(ordered.clear().drop("line"))


def _lines_to_compare(
    every: pl.DataFrame, planned: pl.DataFrame, shipped: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The ordered rows to compare with, numbered: of a bundle its own row, or those of its parts; and the others.

    The third frame has the SKUs of bundles.
    """
    heads = _find_bundle_heads(every)
    hidden = planned.filter(pl.col("bundle").is_not_null())
    stated = hidden.filter(pl.col("bundle_sku").is_not_null()).select("order_id", sku="bundle")
    stated = pl.concat([heads.select("order_id", sku="head_sku"), stated])
    goods = pl.concat([planned.select("order_id", sku="goods"), shipped.select(ORDER_AND_SKU)])
    as_one = stated.join(
        goods, on=ORDER_AND_SKU, how="semi"
    ).unique()  # packed as a bundle before it was ordered, for example
    parts_of_one = heads.join(as_one, left_on=["order_id", "head_sku"], right_on=ORDER_AND_SKU, how="semi")
    bundles = pl.concat([stated, hidden.select("order_id", sku="bundle")]).drop_nulls().unique()
    in_parts = bundles.join(as_one, on=ORDER_AND_SKU, how="anti")
    kept = every.join(parts_of_one.select("key"), on="key", how="anti", maintain_order="left")
    kept = kept.join(in_parts, on=ORDER_AND_SKU, how="anti", maintain_order="left").with_row_index("line")
    left_out = every.join(kept, on="key", how="anti")
    return kept, left_out.select("key", is_part=pl.col("key").is_in(parts_of_one["key"].implode())), bundles


def _find_bundle_heads(every: pl.DataFrame) -> pl.DataFrame:
    """Each line that names a bundle (order_id, key), with the SKU of another line that it may mean (head_sku)."""
    parts = every.filter(pl.col("bundled_by").is_not_null()).select("order_id", "key", name="bundled_by")
    others = every.join(parts.select("order_id"), on="order_id", how="semi")
    heads = [
        # Counted before they are joined: thousands of kits and their parts would meet each other.
        others.group_by("order_id", pl.col(by).alias("name"), head_sku="sku").agg(pl.len(), head=pl.col("key").first())
        for by in ("sku", "position_identifier")
    ]
    found = pl.concat(parts.join(head, on=["order_id", "name"]) for head in heads)
    return found.filter((pl.col("len") > 1) | (pl.col("key") != pl.col("head")))


def _index_unique_lines(ordered: pl.DataFrame, by: tuple[str, ...]) -> pl.DataFrame:
    """The lines that are the only ones of their order with their values in these columns."""
    lines = ordered.drop_nulls(by).group_by("order_id", *by).agg(pl.len(), pl.col("line").first())
    return lines.filter(pl.col("len") == 1).drop("len")


def match_lines_in_steps(
    rows: pl.DataFrame, indexes: LineIndexes, *steps: tuple[str, ...]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that match one line by the columns of a step, each with its `line`, and the rows that match none.

    Each step looks only at the rows that the steps before it did not match. The rule of a row is that of the step, or
    the one by which it has its SKU, if that is less strict.
    """
    found = []
    for by in steps:
        rows = rows.join(indexes[by], on=["order_id", *by], how="left", maintain_order="left")
        step = pl.lit(_RULE_OF_STEP[by], pl.Int8)
        normalized = pl.col("rule") // _NORMALIZED * _NORMALIZED
        rule = normalized if by == ("position_identifier",) else pl.max_horizontal("rule", step + normalized)
        found.append(rows.filter(pl.col("line").is_not_null()).with_columns(rule=rule.cast(pl.Int8)))
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
        others = others.join(ordered, left_on=["order_id", "name"], right_on=ORDER_AND_SKU, how="anti")
        clear = pl.struct("order_id", "name").is_unique()
        own = ordered.select("order_id", "sku", name="sku").drop_nulls().unique()
        self.meant = pl.concat([others.filter(clear), own])
        self.unclear = others.filter(~clear).select("order_id", sku="name")

    def respell_identifiers(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with identifiers as a line or the plan of their order writes them, where only one is alike."""
        for column in ("position_identifier", "sku", "warehouse_sku", "lot"):
            if "sku" in column:
                names = pl.concat([self.meant, self.unclear.select("order_id", "sku", name="sku")])
                known = names.select("order_id", pl.col("name").alias(column))
            else:
                known = self.ordered.select("order_id", column)
            strange = rows.drop_nulls(column).join(known, on=["order_id", column], how="anti")
            if strange.is_empty():
                continue
            known = known.drop_nulls().unique().join(strange, on="order_id", how="semi")
            form = known.with_columns(form=comparison_form(pl.col(column))).rename({column: "written"})
            only = form.filter(pl.struct("order_id", "form").is_unique())
            alike = strange.select("key", "order_id", form=comparison_form(pl.col(column)))
            alike = alike.join(only, on=["order_id", "form"]).select("key", "written")
            rows = rows.join(alike, on="key", how="left", maintain_order="left").with_columns(
                pl.coalesce("written", column).alias(column),
                rule=pl.when(pl.col("written").is_not_null() & (pl.col("rule") < _NORMALIZED))
                .then(pl.col("rule") + _NORMALIZED)
                .otherwise("rule")
                .cast(pl.Int8),
            ).drop("written")  # fmt: skip
        return rows

    def resolve_aliases(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with the ordered SKU that their SKU, else the warehouse's SKU, stands for."""
        for name in ("sku", "warehouse_sku"):
            meant = self.meant.select("order_id", pl.col("name").alias(name), pl.col("sku").alias(f"meant_by_{name}"))
            rows = rows.join(meant, on=["order_id", name], how="left", maintain_order="left")
        own, theirs = pl.col("meant_by_sku"), pl.col("meant_by_warehouse_sku")
        by_name = pl.when(own.is_not_null() & (own != pl.col("sku"))).then(pl.lit(_BY_PLAN, pl.Int8))
        other = pl.when(own.is_null() & theirs.is_not_null()).then(pl.lit(_BY_WAREHOUSE, pl.Int8)).otherwise(by_name)
        normalized = pl.col("rule") // _NORMALIZED * _NORMALIZED
        return rows.with_columns(
            sku=pl.coalesce(own, theirs, "sku"), rule=pl.max_horizontal("rule", (other + normalized).cast(pl.Int8))
        ).drop("^meant_by_.*$")

    def orders_in_doubt(self, unmatched: pl.DataFrame) -> pl.DataFrame:
        """The orders of unmatched rows that may belong to an ordered line after all."""
        left_out = self.every.join(self.ordered, on=ORDER_AND_SKU, how="anti").select(ORDER_AND_SKU)
        nameless = self.every.filter(pl.col("sku").is_null())
        return pl.concat([
            unmatched.filter(pl.col("sku").is_null()),
            unmatched.join(nameless, on="order_id", how="semi"),
            unmatched.join(pl.concat([self.unclear, left_out]), on=ORDER_AND_SKU, how="semi"),
        ]).select("order_id")  # fmt: skip


def _pool_lines(ordered: pl.DataFrame, lost: pl.DataFrame) -> pl.DataFrame:
    """The lines that are taken together as one: `line`, and `pool`, the first line of its pool.

    An order may list an SKU twice, say 3 pieces and 4 pieces. A shipped row of 5 pieces that names neither line by its
    `position_identifier` nor by a lot can belong to either, so no split of it is right. What is right is the sum: 7
    ordered, 5 shipped. So if any row of an SKU (in `lost`) fits several lines, all lines of that SKU in the order form
    a pool, also for the rows that do name their line: counted apart, these would leave the wrong remainder.
    """
    return ordered.join(lost, on=ORDER_AND_SKU, how="semi").select(
        *ORDER_AND_SKU, "line", pool=pl.col("line").min().over(ORDER_AND_SKU)
    )


def _lines_by_sku(
    ordered: pl.DataFrame, returned: pl.DataFrame, pools: pl.DataFrame, strangers: pl.DataFrame
) -> pl.DataFrame:
    """The line of rows that match none by themselves: a pool or a stranger by SKU; order_id, sku, line, is_ordered.

    A reversed row that fits several lines makes no pool of them: it goes to the first.
    """
    several = ordered.join(returned, on=ORDER_AND_SKU, how="semi").join(pools, on=ORDER_AND_SKU, how="anti")
    first = several.group_by(ORDER_AND_SKU).agg(pl.col("line").min())
    pooled = pools.select(*ORDER_AND_SKU, line="pool").unique()
    found = pl.concat([pooled, first.select(pooled.columns)]).with_columns(is_ordered=True)
    return pl.concat([strangers.with_columns(is_ordered=False).select(found.columns), found])


def _assign_lines(
    matched: pl.DataFrame, unmatched: pl.DataFrame, pools: pl.DataFrame, by_sku: pl.DataFrame
) -> pl.DataFrame:
    """All rows with their final `line`: the one they match or the first of its pool; else a pool or a stranger."""
    pooled = matched.join(pools.select("line", "pool"), on="line", how="left", maintain_order="left")
    rest = unmatched.join(by_sku, on=ORDER_AND_SKU, how="left", nulls_equal=True, maintain_order="left")
    is_pooled = pl.lit(_POOLED, pl.Int8)
    assigned = pooled.with_columns(
        line=pl.coalesce("pool", "line"), rule=pl.when(pl.col("pool").is_null()).then("rule").otherwise(is_pooled)
    ).drop("pool")
    rest = rest.with_columns(rule=pl.when("is_ordered").then(is_pooled))
    return pl.concat([assigned, rest.select(assigned.columns)])
