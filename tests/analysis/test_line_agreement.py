"""`show`, the audit and the SQL view line_matches tell the same of every line of an order.

The three agree on all cases here. They differ only in what they show beside the matches: the page lists ordered lines
that a bundle hides (with nothing planned or shipped), the audit leaves these out, and the view has no rows for what
nobody ordered. The view's rows have their quantities as stated; page and audit count one below zero, which is of goods
that came back, as 0.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.derived_tables import derive_tables
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.order_lines import QUANTITY_TABLES, read_order_lines
from quivo_frames.export.views import views_sql
from quivo_frames.model.tables import primary_key_of
from quivo_frames.standin.orders import order_json
from tests.support.sketched_orders import SKETCHES, OrderSketch, damage_order, order_from_sketch, vary_order

if TYPE_CHECKING:
    from collections.abc import Mapping

Quantities = dict[tuple[int, str], tuple[int | None, ...]]
"""Planned, shipped and packed pieces by order and line; by several identifiers, if lines cannot be told apart."""
MATCHED = [kind for kind in QUANTITY_TABLES if kind != "ordered"]

AGREED = {
    "warehouse SKU": (
        OrderSketch(
            ordered="2 A #L0, 1 B #L1", planned="2 A ~W1, 1 B ~W2", shipped="2 - ~W1, 1 W2", packed="2 - ~W1",
            lines="A 2 2 2 2, B 1 1 1 0",
        ),
        {"L0": (2, 2, 2), "L1": (1, 1, 0)},
    ),
    "two lots of one SKU": (
        OrderSketch(
            ordered="2 A @X #L0, 1 A @Y #L1", planned="2 A @X, 1 A @Y", shipped="1 A @X | 1 A @X, 1 A @Y",
            lines="A 2 2 2 0, A 1 1 1 0",
        ),
        {"L0": (2, 2, 0), "L1": (1, 1, 0)},
    ),
    "two lots of one SKU, and another one was shipped": (
        OrderSketch(
            ordered="2 A @X #L0, 1 A @Y #L1", planned="2 A @X, 1 A @Y", shipped="2 A @X, 1 A @Z", lines="A 3 3 3 0"
        ),
        {"L0 L1": (3, 3, 0)},
    ),
    "bundle": (
        OrderSketch(
            ordered="1 S #L0, 2 A #L1 /S, 1 B #L2 /S", planned="2 A <S /S, 1 B <S /S", shipped="2 A #L0, 1 B",
            lines="A 2 2 2 0, B 1 1 1 0",
        ),
        {"L0": (0, 0, 0), "L1": (2, 2, 0), "L2": (1, 1, 0)},
    ),
    "bundle that is shipped as one": (
        OrderSketch(ordered="1 S #L0, 2 A #L1 /S", planned="1 S", shipped="1 S", packed="1 S", lines="S 1 1 1 1"),
        {"L0": (1, 1, 1), "L1": (0, 0, 0)},
    ),
    "split shipment": (
        OrderSketch(ordered="5 A #L0", planned="3 A | 2 A", shipped="2 A #L0 | 2 A | 1 A", lines="A 5 5 5 0"),
        {"L0": (5, 5, 0)},
    ),
    "several lines of one SKU": (
        OrderSketch(
            ordered="2 A #L0, 1 A #L1, 4 B #L2", planned="3 A, 4 B", shipped="2 A #L0, 1 A, 4 B",
            lines="A 3 3 3 0, B 4 4 4 0",
        ),
        {"L0 L1": (3, 3, 0), "L2": (4, 4, 0)},
    ),
    "several lines of one SKU, each named": (
        OrderSketch(ordered="2 A #L0, 1 A #L1", shipped="2 A #L0, 1 A #L1", lines="A 2 0 2 0, A 1 0 1 0"),
        {"L0": (0, 2, 0), "L1": (0, 1, 0)},
    ),
    "reversed shipment": (
        OrderSketch(ordered="2 A #L0", planned="2 A", shipped="gone 2 A | 1 A", lines="A 2 2 1 0"),
        {"L0": (2, 1, 0)},
    ),
    "cancelled fulfillment order": (
        OrderSketch(ordered="2 A #L0", planned="gone 2 A | 1 A", lines="A 2 1 0 0"),
        {"L0": (1, 0, 0)},
    ),
    "substitute": (
        OrderSketch(ordered="2 A #L0, 1 C #L1", planned="2 B <A, 1 C", shipped="2 B", lines="A 2 2 2 0, C 1 1 0 0"),
        {"L0": (2, 2, 0), "L1": (1, 0, 0)},
    ),
    "goods that nobody ordered": (
        OrderSketch(ordered="2 A #L0", planned="2 A", shipped="2 A, 1 G", lines="A 2 2 2 0, G 0 0 1 0"),
        {"L0": (2, 2, 0)},
    ),
    "other spellings": (
        OrderSketch(
            ordered="2 Ab #L0, 1 Ö-1 #L1", planned="2 aB, 1 O\u0308-1", shipped="2 AB\u200b, 1 ö-1", packed="2 ab",
            lines="",
        ),
        {"L0": (2, 2, 2), "L1": (1, 1, 0)},
    ),
    "lots of other spellings": (
        OrderSketch(
            ordered="2 A @Lot-X #L0, 1 A @Lot-Y #L1", planned="2 A @Lot-X, 1 A @Lot-Y",
            shipped="2 A @lot-x, 1 a @LOT-Y\u200b", lines="",
        ),
        {"L0": (2, 2, 0), "L1": (1, 1, 0)},
    ),
    "kit with a part that is ordered by itself, too": (
        OrderSketch(
            ordered="1 S #L0, 2 A #L1 /S, 1 A #L2, 1 B #L3", planned="2 A <S /S, 1 A, 1 B", shipped="3 A, 1 B", lines=""
        ),
        {"L0": (0, 0, 0), "L1 L2": (3, 3, 0), "L3": (1, 1, 0)},
    ),
    "goods that came back": (
        OrderSketch(ordered="3 A #L0", planned="3 A", shipped="3 A | -2 A", lines=""), {"L0": (3, 3, 0)}
    ),
    "a discount asks for nothing": (
        OrderSketch(ordered="2 A #L0, -1 DISCOUNT #L1", planned="2 A", shipped="2 A", lines=""),
        {"L0": (2, 2, 0), "L1": (0, 0, 0)},
    ),
}  # fmt: skip


def flatten_orders(orders: list[dict[str, Any]]) -> Mapping[str, pl.DataFrame]:
    """The tables of orders whose ordered lines have an identifier each: L0, L1, …"""
    for order in orders:
        for place, position in enumerate(order.get("positions") or ()):
            position["positionIdentifier"] = f"L{place}"
    tables = qf.flatten([json.dumps(order) for order in orders])
    assert tables.failures.is_empty()
    return tables


def shown_quantities(tables: Mapping[str, pl.DataFrame]) -> Quantities:
    """What the pages show of ordered lines; null for quantities that are not known."""
    shown = {}
    for order_id in tables["orders"]["order_id"]:
        of_order = {name: frame.filter(pl.col("order_id") == order_id) for name, frame in tables.items()}
        for line in read_order_lines(of_order).lines:
            if "(of no single ordered line)" not in line.article:
                texts = [line.quantities[kind].replace("–", "0") for kind in MATCHED]
                pieces = tuple(None if "?" in text else int(text) for text in texts)
                shown[order_id, " ".join(line.identifiers)] = pieces
    return shown


def audited_quantities(tables: Mapping[str, pl.DataFrame]) -> Quantities:
    """What the audit compares, by the first ordered line of each of its lines."""
    identifiers = dict(tables["order_positions"].select("order_position_key", "position_identifier").iter_rows())
    lines = OrderView(tables).matched_lines.collect().drop_nulls("order_position_key")
    return {
        (line["order_id"], identifiers[line["order_position_key"]]): tuple(line[kind] for kind in MATCHED)
        for line in lines.iter_rows(named=True)
    }


def viewed_quantities(tables: Mapping[str, pl.DataFrame]) -> Quantities:
    """What the rows of the view add up to, by ordered line."""
    sums = ", ".join(
        f"""coalesce((SELECT sum(greatest(quantity, 0)) FROM line_matches m JOIN {table} r ON r.{primary_key_of(table)} = m.found_key
        WHERE m.found_in = '{table}' AND m.order_position_key = l.order_position_key), 0)::BIGINT"""
        for table in (QUANTITY_TABLES[kind] for kind in MATCHED)
    )
    with duckdb.connect() as connection:
        for name, rows in {**tables, **derive_tables(tables)}.items():
            connection.register(name, rows.to_arrow())
        connection.execute(views_sql())
        rows = connection.sql(f"SELECT order_id, position_identifier, {sums} FROM order_positions l").fetchall()
    return {(order_id, identifier): tuple(pieces) for order_id, identifier, *pieces in rows}


def assert_three_agree(orders: list[dict[str, Any]]) -> Quantities:
    tables = flatten_orders(orders)
    shown, audited, viewed = shown_quantities(tables), audited_quantities(tables), viewed_quantities(tables)
    by_first = {(order_id, names.split()[0]): pieces for (order_id, names), pieces in shown.items()}
    hidden = by_first.keys() - audited.keys()
    assert {line: pieces for line, pieces in by_first.items() if line not in hidden} == audited
    assert all(by_first[line] == (0, 0, 0) for line in hidden)
    by_each = {(order_id, name): pieces for (order_id, names), pieces in shown.items() for name in names.split()}
    assert by_each.keys() == viewed.keys()
    for line, pieces in by_each.items():
        known = tuple(None if piece is None else seen for piece, seen in zip(pieces, viewed[line], strict=True))
        assert known == pieces, line
    return shown


@pytest.mark.parametrize("name", AGREED)
def test_page_audit_and_view_count_the_same_pieces(name: str) -> None:
    sketch, expected = AGREED[name]
    shown = assert_three_agree([order_from_sketch(sketch, 7)])
    assert shown == {(7, identifiers): pieces for identifiers, pieces in expected.items()}


@pytest.mark.long
def test_they_agree_about_all_sketched_orders() -> None:
    shown = assert_three_agree([order_from_sketch(sketch, 1 + n) for n, sketch in enumerate(SKETCHES.values())])
    assert len({order_id for order_id, _ in shown}) > 30


@pytest.mark.long
def test_they_agree_about_orders_that_lack_things_and_repeat_others() -> None:
    dice = random.Random(23)
    shown = assert_three_agree([
        damage_order(json.loads(order_json(800_000 + number, seed=6)), dice) for number in range(60)
    ])  # fmt: skip
    assert sum(" " in names for _, names in shown) > 10


@pytest.mark.parametrize("count", [8, pytest.param(150, marks=pytest.mark.long)])
def test_they_agree_about_orders_with_other_spellings_lots_kits_and_discounts(count: int) -> None:
    dice = random.Random(count)
    shown = assert_three_agree([
        vary_order(json.loads(order_json(700_000 + number, seed=8)), dice) for number in range(count)
    ])  # fmt: skip
    assert len(shown) > count
