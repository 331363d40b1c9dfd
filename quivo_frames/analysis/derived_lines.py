"""The derived tables `lines` and `line_rows`: each line of an order with its pieces, and the rows that it has."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.line_matching import MATCHED, MATCHING_RULES, LineMatches
from quivo_frames.analysis.line_quantities import count_pieces_by_line
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.text_columns import name_or_number
from quivo_frames.errors import FAULT_CURE, Fault
from quivo_frames.model.carriers import stated_carrier
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.tables import cast_to_schema

SOURCE_TABLES = {
    "ordered": "order_positions",
    "planned": "fulfillment_positions",
    "shipped": "shipment_positions",
    "reversed": "shipment_positions",
    "packed": "handling_positions",
}
"""What the quantity of a row states, and the table of such rows."""
_EXACT = pl.Decimal(38, 4)
_POOLED = max(MATCHING_RULES)
_CODES = pl.DataFrame(
    {"rule": list(MATCHING_RULES), "matched_by": list(MATCHING_RULES.values())}, schema_overrides={"rule": pl.Int8}
)


def derive_lines(view: OrderView) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables `lines` and `line_rows`.

    Raises:
        Fault: pieces of the tables are missing, or counted twice.
    """
    matches = view.line_matches
    keys = _line_keys(matches)
    ordered, strangers = _ordered_lines(view, matches), _lines_of_nobody(matches)
    sums = _sums_by_line(matches)
    rows = pl.concat([ordered, strangers], how="diagonal").join(sums, on="line", how="left", maintain_order="left")
    rows = rows.join(count_known(matches), on="line", how="left", maintain_order="left")
    rows = _allocate_to_pools(rows.with_columns(pl.col(MATCHED).fill_null(0)))
    rows = rows.join(keys, on="line", how="left", maintain_order="left")
    rows = rows.join(_CODES, on="rule", how="left", maintain_order="left")
    rows = _with_context(rows, view)
    lines = sort_by_order(_with_open_pieces(rows).sort("nobody", maintain_order=True), view, "lines")
    _refuse_lost_pieces(lines, view)
    return lines, _line_rows(matches, keys, view)


def _line_keys(matches: LineMatches) -> pl.DataFrame:
    """The key of each line: that of its ordered row, or a number of its own among those that nobody ordered."""
    number = pl.int_range(pl.len()).over("order_id", pl.col("key").is_null())
    own = pl.concat_str(pl.col("order_id").cast(pl.String), pl.lit("/+"), number.cast(pl.String))
    return matches.lines.select("line", line_key=pl.coalesce("key", own))


def _ordered_lines(view: OrderView, matches: LineMatches) -> pl.DataFrame:
    """The ordered rows with the number of their line; null for those that are not compared."""
    place = matches.rows["ordered"].select("key", "line", "asks_goods")
    pooled = pl.col("line").is_not_null() & (pl.len().over("line") > 1)
    first = pl.col("order_position_key").first().over("line")
    bundles = matches.bundles.with_columns(is_bundle=True)
    rows = view["order_positions"].select(
        "order_id", "order_position_key", "position_identifier", "sku", "name", "lot", "unit_net_price",
        listed=pl.col("quantity").fill_null(0), quantity="quantity",
        value=pl.coalesce("total_net_amount", _price_of_pieces("unit_net_price", pl.col("quantity"))),
    ).collect()  # fmt: skip
    rows = rows.join(place, left_on="order_position_key", right_on="key", how="left", maintain_order="left")
    rows = rows.join(matches.left_out, left_on="order_position_key", right_on="key", how="left", maintain_order="left")
    rows = rows.join(bundles, on=["order_id", "sku"], how="left", maintain_order="left")
    counted_by = pl.when("is_part").then(pl.lit("bundle")).otherwise(pl.when(~pl.col("is_part")).then(pl.lit("parts")))
    return rows.with_columns(
        pool_key=pl.when(pooled).then(first),
        counted_by=pl.coalesce(counted_by, pl.when(~pl.col("asks_goods")).then(pl.lit("no goods"))),
        is_bundle=pl.col("is_bundle").fill_null(value=False), nobody=pl.lit(value=False),
    ).with_columns(ordered=pl.when(pl.col("counted_by").is_null()).then("listed").otherwise(0))  # fmt: skip


def _lines_of_nobody(matches: LineMatches) -> pl.DataFrame:
    """The lines that no ordered row asks for."""
    return matches.lines.filter(pl.col("key").is_null()).select(
        "order_id", "line", "sku", listed=pl.lit(0, pl.Int64), ordered=pl.lit(0, pl.Int64),
        is_bundle=pl.lit(value=False), nobody=pl.lit(value=True),
    )  # fmt: skip


def _sums_by_line(matches: LineMatches) -> pl.DataFrame:
    """One row per line with matched rows: their sums, the least strict rule, and the first holders of them."""
    sums = matches.lines.select("line")
    for what in MATCHED:
        quantity, holder = pl.col("quantity"), pl.col("holder").first()
        more = {
            "planned": {"fulfillment_order_key": holder},
            "shipped": {"shipment_key": holder, "came_back": -quantity.filter(quantity < 0).sum()},
        }
        found = (
            matches.rows[what]
            .group_by("line")
            .agg(quantity.sum().alias(what), pl.col("rule").max().alias(f"{what}_rule"), **more.get(what, {}))
        )
        sums = sums.join(found, on="line", how="left", maintain_order="left")
    return sums.with_columns(rule=pl.max_horizontal(f"{what}_rule" for what in MATCHED))


def count_known(matches: LineMatches) -> pl.DataFrame:
    """For each line with rows: whether all its pieces are known (all_known), and those ordered and shipped."""
    counted = count_pieces_by_line(matches)
    both = pl.all_horizontal(pl.col("ordered", "shipped").is_not_null())
    return counted.select(
        "line", both_known=both, all_known=both & pl.all_horizontal(pl.col("planned", "packed").is_not_null())
    )


def _allocate_to_pools(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, with the pieces of a pool on its lines: each in turn gets what it asks for, the last one the rest."""
    pooled = pl.col("pool_key").is_not_null()
    if not rows["pool_key"].null_count() < rows.height:
        return rows
    asked = pl.col("ordered").clip(0)
    before = asked.cum_sum().over("line") - asked
    is_last = pl.int_range(pl.len()).over("line") == pl.len().over("line") - 1
    shares = {
        what: pl.when(is_last).then(pl.col(what) - pl.min_horizontal(pl.col(what).clip(0), before))
        .otherwise(pl.max_horizontal(pl.min_horizontal(pl.col(what) - before, asked), 0))
        for what in MATCHED
    }  # fmt: skip
    shared = rows.filter(pooled).with_columns(**shares)
    return pl.concat([rows.filter(~pooled), shared.select(rows.columns)])


def _with_context(rows: pl.DataFrame, view: OrderView) -> pl.DataFrame:
    """The lines with the seller, currency and place of their order, and their first warehouse and carrier."""
    orders = view.milestones.select("order_id", "called_off").join(
        view["orders"].select(
            "order_id", "currency", "warehouse_id",
            seller=name_or_number("seller_name", "seller_id"),
        ), on="order_id",
    )  # fmt: skip
    holders = view["fulfillment_orders"].select(
        "fulfillment_order_key", planned_at=name_or_number("warehouse_name", "warehouse_id")
    )
    names = view["fulfillment_orders"].drop_nulls("warehouse_id").group_by("order_id", "warehouse_id").agg(
        named=pl.col("warehouse_name").drop_nulls().first()
    )  # fmt: skip
    shipments = view["shipments"].select("shipment_key", carrier=stated_carrier(), carrier_name="provider_name")
    joined = rows.lazy().join(orders, on="order_id", how="left", maintain_order="left")
    joined = joined.join(holders, on="fulfillment_order_key", how="left", maintain_order="left")
    joined = joined.join(names, on=["order_id", "warehouse_id"], how="left", maintain_order="left")
    joined = joined.join(shipments, on="shipment_key", how="left", maintain_order="left")
    warehouse = pl.coalesce("planned_at", "named", pl.col("warehouse_id").cast(pl.String))
    return joined.with_columns(warehouse=warehouse).collect()


def _with_open_pieces(rows: pl.DataFrame) -> pl.DataFrame:
    """The lines with what is open, what it is worth, and whether all is certain."""
    came_back = pl.when(pl.col("pool_key").is_null()).then("came_back").fill_null(0)  # it was shipped before
    rest = (pl.col("ordered") - pl.col("shipped") - came_back).clip(0)
    compared = pl.col("counted_by").is_null()
    known = pl.col("both_known").fill_null(value=True)
    rows = rows.with_columns(
        line_key=pl.coalesce("order_position_key", "line_key"),
        open=pl.when("called_off").then(0).when(~compared).then(0).when(known).then(rest),
        certain=pl.col("pool_key").is_null() & pl.col("all_known").fill_null(value=True),
        carrier=pl.when(pl.col("shipment_key").is_not_null()).then("carrier"),
    )  # fmt: skip
    part = _price_of_pieces("unit_net_price", pl.col("open"))
    share = (pl.col("value").cast(_EXACT) * pl.col("open").cast(_EXACT) / pl.col("ordered").cast(_EXACT)).cast(
        pl.Decimal(18, 4), strict=False
    )
    return rows.with_columns(
        open_value=pl.when(pl.col("open") == 0).then(pl.lit(0).cast(pl.Decimal(18, 4)))
        .when(pl.col("open") == pl.col("ordered")).then("value")
        .otherwise(pl.coalesce(part, pl.when(pl.col("ordered") > 0).then(share)))
    )  # fmt: skip


def _price_of_pieces(price: str, pieces: pl.Expr) -> pl.Expr:
    """Pieces times the price of one; null where a column cannot hold it."""
    return (pl.col(price).cast(_EXACT) * pieces.cast(_EXACT)).cast(pl.Decimal(18, 4), strict=False)


def _line_rows(matches: LineMatches, keys: pl.DataFrame, view: OrderView) -> pl.DataFrame:
    """The table `line_rows`."""
    found = []
    for states, table in SOURCE_TABLES.items():
        rows = matches.rows[states].select(
            "order_id", "key", "quantity", "line", "rule", states=pl.lit(states), found_in=pl.lit(table)
        )
        if states == "ordered":
            found.append(rows.with_columns(certain=pl.len().over("line") == 1, rule=pl.lit(None, pl.Int8)))
        else:
            doubtful = matches.unknown.get(states, matches.unknown["shipped"])["order_id"].implode()
            in_doubt = pl.col("rule").is_null() & pl.col("order_id").is_in(doubtful)
            found.append(rows.with_columns(certain=pl.col("rule").ne_missing(_POOLED) & ~in_doubt))
    left_out = view["order_positions"].select("order_id", "quantity", key="order_position_key").collect()
    left_out = left_out.join(matches.left_out, on="key", how="semi").with_columns(
        line_key="key", states=pl.lit("ordered"), found_in=pl.lit("order_positions"), certain=pl.lit(value=True)
    )
    rows = pl.concat(found).join(keys, on="line", how="left", maintain_order="left")
    rows = pl.concat([rows, left_out], how="diagonal").join(_CODES, on="rule", how="left", maintain_order="left")
    rows = rows.with_columns(line_row_key=pl.concat_str("states", pl.lit(":"), "key"), found_key="key")
    return sort_by_order(rows, view, "line_rows")


def sort_by_order(rows: pl.DataFrame, view: OrderView, table: str) -> pl.DataFrame:
    """The rows as a derived table, in the order of the orders."""
    places = view["orders"].select("order_id").with_row_index("place").collect()
    in_order = rows.join(places, on="order_id", how="left", maintain_order="left").sort("place", maintain_order=True)
    return in_order.select(cast_to_schema(DERIVED_TABLES[table].schema))


def _refuse_lost_pieces(lines: pl.DataFrame, view: OrderView) -> None:
    """Compares the pieces in `lines` with those in the tables, for every order.

    Raises:
        Fault: they differ.
    """
    held = view["fulfillment_positions"].join(
        view["fulfillment_orders"].filter("cancelled"), on="fulfillment_order_key", how="anti"
    )
    stated = {"listed": view["order_positions"], "planned": held, "moved": view["shipment_positions"],
              "packed": view["handling_positions"]}  # fmt: skip
    parts = [
        rows.group_by("order_id").agg(pl.col("quantity").sum().alias(what)) for what, rows in stated.items()
    ]  # fmt: skip
    counted = lines.lazy().with_columns(moved=pl.col("shipped") + pl.col("reversed")).group_by("order_id").agg(
        pl.col(list(stated)).sum()
    )  # fmt: skip
    for what, tables in zip(stated, parts, strict=True):
        both = counted.select("order_id", found=what).join(tables, on="order_id", how="full", coalesce=True)
        wrong = both.filter(pl.col("found").fill_null(0) != pl.col(what).fill_null(0)).head(1).collect()
        for order_id, found, there in wrong.iter_rows():
            words = "shipped or reversed" if what == "moved" else what
            raise Fault(f"Order {order_id} has {there} pieces {words}, but its lines have {found}. {FAULT_CURE}")
