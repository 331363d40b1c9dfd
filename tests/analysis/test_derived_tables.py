"""The derived tables: each piece of the orders is in one line, and what happened is there, once, when it happened.

Compared with an independent implementation of line matching, and with plain walks of the JSON.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis import derived_lines
from quivo_frames.analysis.derived_tables import derive_tables
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.standin.orders import order_json
from tests.support.fair_order import changed_order, fair_order
from tests.support.independent_line_matching import all_units, expected_groups, expected_lines, list_entries
from tests.support.sketched_orders import (
    COUNTS,
    SKETCHED_ORDERS,
    SKETCHES,
    OrderSketch,
    Row,
    damage_order,
    order_from_sketch,
    vary_order,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from quivo_frames.model.frames import Frames


def flatten_orders(orders: Iterable[Row]) -> Frames:
    tables = qf.flatten([json.dumps(order).encode() for order in orders])
    assert tables.failures.is_empty()
    return tables


@cache
def stand_in_orders(count: int, seed: int) -> list[Row]:
    return [json.loads(order_json(600_000 + number, seed=seed)) for number in range(count)]


def damaged_orders(count: int) -> list[Row]:
    dice = random.Random(12)
    return [damage_order(json.loads(order_json(800_000 + number, seed=5)), dice) for number in range(count)]


def lines_of_sketch(sketch: OrderSketch) -> list[Row]:
    return qf.lines(flatten_orders([order_from_sketch(sketch, 1)])).to_dicts()


def test_derived_tables_have_the_columns_that_are_described() -> None:
    for tables in (flatten_orders(stand_in_orders(300, 3)), qf.flatten([])):
        for name, frame in derive_tables(tables).items():
            table = DERIVED_TABLES[name]
            assert dict(frame.schema) == table.schema
            assert not frame[table.key].is_duplicated().any()
            for column in table.columns:
                assert not (column.required and frame[column.name].null_count()), f"{name}.{column.name}"


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param(lambda: [*SKETCHED_ORDERS.values()], id="sketched"),
        pytest.param(lambda: stand_in_orders(1500, 3), id="ordinary"),
        pytest.param(lambda: varied_orders(500), id="varied"),
        pytest.param(lambda: damaged_orders(3000), id="damaged", marks=pytest.mark.long),
    ],
)
def test_lines_have_the_pieces_that_an_independent_implementation_finds(orders: Any) -> None:
    """Of lines that cannot be told apart, their sums; where it finds that pieces are not known, none is certain."""
    given = orders()
    lines = qf.lines(flatten_orders(given)).filter(
        pl.col("counted_by").is_null() | (pl.col("counted_by") == "no goods"),
        pl.col("order_position_key").is_not_null()
        | (pl.sum_horizontal("planned", "shipped", "packed") != 0)
        | pl.col("matched_by").is_null(),
    )
    found: dict[int, Counter[tuple[Any, ...]]] = {order["orderId"]: Counter() for order in given}
    for _, rows in lines.group_by("order_id", pl.coalesce("pool_key", "line_key"), maintain_order=True):
        first = rows.row(0, named=True)
        pieces = (rows["listed"].sum(), *(rows[what].sum() for what in COUNTS[1:]))
        certain = rows["certain"].all() or rows.height > 1
        found[first["order_id"]][(first["sku"], first["lot"], *pieces, certain)] += 1
    for order in given:
        expected = expected_lines(order)
        for (sku, lot, *pieces), count in expected.items():
            assert count <= sum(
                number
                for (other, its_lot, *its_pieces, certain), number in found[order["orderId"]].items()
                if (other, its_lot) == (sku, lot)
                and all(piece in (None, its) for piece, its in zip(pieces, its_pieces, strict=True))
                and not (certain and None in pieces and len(its_pieces) == 1)
            ), (order["orderId"], sku, lot, pieces, found[order["orderId"]])


def varied_orders(count: int) -> list[Row]:
    dice = random.Random(14)
    orders = (json.loads(order_json(700_000 + number, seed=8)) for number in range(count))
    return [vary_order(damage_order(one, dice) if dice.random() < 0.2 else one, dice) for one in orders]


def assert_rows_are_in_their_lines(orders: Iterable[Row], line_rows: pl.DataFrame) -> None:
    """Every row of the JSON is in the line that an independent implementation finds, and there is no other."""
    found: dict[int, dict[str, list[str]]] = {}
    for order_id, line, row in line_rows.select("order_id", "line_key", "line_row_key").iter_rows():
        found.setdefault(order_id, {}).setdefault(line, []).append(row)
    for order in orders:
        of_order = found.pop(order["orderId"], {})
        assert set(map(frozenset, of_order.values())) == expected_groups(order) - {frozenset()}, order["orderId"]
        for line, rows in of_order.items():
            ordered = [row for row in rows if row.startswith("ordered:")]
            assert not ordered or ordered[0] == f"ordered:{line}"
    assert not found


@pytest.mark.long
@pytest.mark.parametrize(
    "orders",
    [
        pytest.param(lambda: [*SKETCHED_ORDERS.values()], id="sketched"),
        pytest.param(lambda: stand_in_orders(1500, 3), id="ordinary"),
        pytest.param(lambda: varied_orders(500), id="varied"),
        pytest.param(lambda: varied_orders(6000), id="more varied", marks=pytest.mark.long),
        pytest.param(lambda: damaged_orders(3000), id="damaged", marks=pytest.mark.long),
    ],
)
def test_every_row_is_in_the_line_that_an_independent_implementation_finds(orders: Any) -> None:
    given = orders()
    assert_rows_are_in_their_lines(given, derive_tables(flatten_orders(given))["line_rows"])


@pytest.mark.long
@pytest.mark.alone
def test_so_is_every_row_of_20_000_orders() -> None:
    for first in range(0, 20_000, 2_500):
        orders = [json.loads(order_json(600_000 + first + number, seed=9)) for number in range(2_500)]
        assert_rows_are_in_their_lines(orders, derive_tables(flatten_orders(orders))["line_rows"])


def stated_pieces(order: Row) -> dict[str, int]:
    """The pieces of an order by a walk of its JSON."""
    planned = [one for one in list_entries(order, "fulfillmentOrders") if not one.get("cancelled")]
    shipments = [one for held in list_entries(order, "fulfillmentOrders") for one in list_entries(held, "shipments")]
    units = all_units(list_entries(order, "handlingUnits"))
    holders = {
        "listed": [order], "planned": planned, "packed": units,
        "shipped": [one for one in shipments if not one.get("reversed")],
        "reversed": [one for one in shipments if one.get("reversed")],
    }  # fmt: skip
    return {
        what: sum(
            row.get("quantity") or 0
            for one in held
            for row in list_entries(one, "handlingPositions" if what == "packed" else "positions")
        )
        for what, held in holders.items()
    }


@pytest.mark.long
@pytest.mark.parametrize(
    "orders", [lambda: stand_in_orders(1500, 3), lambda: damaged_orders(500), lambda: varied_orders(500)]
)
def test_every_piece_is_in_one_line(orders: Any) -> None:
    given = orders()
    names = ("listed", "planned", "packed", "shipped", "reversed")
    sums = qf.lines(flatten_orders(given)).group_by("order_id").agg(pl.col(names).sum())
    found = {row.pop("order_id"): row for row in sums.to_dicts()}
    for order in given:
        assert found.get(order["orderId"], dict.fromkeys(names, 0)) == stated_pieces(order)


def test_a_lost_piece_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = derived_lines.sort_by_order

    def without_the_last(rows: pl.DataFrame, view: OrderView, table: str) -> pl.DataFrame:
        return whole(rows, view, table).head(-1)

    monkeypatch.setattr(derived_lines, "sort_by_order", without_the_last)
    with pytest.raises(qf.Fault, match=r"^Order 1001 has 3 pieces listed, but its lines have 2\."):
        qf.lines(flatten_orders([fair_order()]))


LINES = {
    "a short line": (
        OrderSketch("5 A #L0, 1 B #L1", "", planned="5 A, 1 B", shipped="3 A #L0, 1 B #L1"),
        {"A": (5, 5, 3, 0, 2), "B": (1, 1, 1, 0, 0)},
    ),
    "a bundle is counted by its parts": (
        OrderSketch("1 S #L0, 2 A /S, 1 B /S", "", planned="2 A <S /S, 1 B <S /S", shipped="2 A, 1 B"),
        {"S": (0, 0, 0, 0, 0), "A": (2, 2, 2, 0, 0), "B": (1, 1, 1, 0, 0)},
    ),
    "or as one": (
        OrderSketch("1 S #L0, 2 A /S", "", planned="1 S", shipped="1 S", packed="1 S"),
        {"S": (1, 1, 1, 1, 0), "A": (0, 0, 0, 0, 0)},
    ),
    "a pool is filled line by line": (
        OrderSketch("3 A #L0, 4 A #L1, 2 A #L2", "", planned="9 A", shipped="5 A"),
        {"A": (9, 9, 5, 0, 4)},
    ),
    "too many of a pool are on its last line": (OrderSketch("3 A, 4 A", "", shipped="9 A"), {"A": (7, 0, 9, 0, 0)}),
    "what nobody ordered": (
        OrderSketch("1 A", "", planned="1 A, 1 G", shipped="1 A, 2 G"), {"A": (1, 1, 1, 0, 0), "G": (0, 1, 2, 0, 0)}
    ),
    "a discount asks for no goods": (
        OrderSketch("1 A, -1 DISCOUNT", "", shipped="1 A"), {"A": (1, 0, 1, 0, 0), "DISCOUNT": (0, 0, 0, 0, 0)}
    ),
    "other spellings": (
        OrderSketch("1 Ä-1, 2 b", "", planned="1 A\u0308-1, 2 B", shipped="1 ä-1\u200b, 2 b\u00ad"),
        {"Ä-1": (1, 1, 1, 0, 0), "b": (2, 2, 2, 0, 0)},
    ),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", LINES)
def test_sums_by_sku_are_right(name: str) -> None:
    sketch, expected = LINES[name]
    found: dict[str, tuple[int, ...]] = {}
    for row in lines_of_sketch(sketch):
        pieces = tuple(row[what] for what in ("ordered", "planned", "shipped", "packed", "open"))
        found[row["sku"]] = tuple(map(sum, zip(found.get(row["sku"], (0,) * 5), pieces, strict=True)))
    assert found == expected


def test_lines_of_a_pool_share_its_key_and_are_not_certain() -> None:
    first, second, third = lines_of_sketch(LINES["a pool is filled line by line"][0])
    assert [line["shipped"] for line in (first, second, third)] == [3, 2, 0]
    assert {line["pool_key"] for line in (first, second, third)} == {first["order_position_key"]}
    assert {line["matched_by"] for line in (first, second, third)} == {"pool"}
    assert not any(line["certain"] for line in (first, second, third))


RULES = {
    "position_identifier": (OrderSketch("1 A #L0", "", shipped="1 A #L0"), "position_identifier"),
    "sku": (OrderSketch("1 A", "", shipped="1 A"), "sku"),
    "lot": (OrderSketch("1 A @X, 1 A @Y", "", shipped="1 A @X, 1 A @Y"), "sku+lot"),
    "substitute": (OrderSketch("1 A", "", planned="1 B <A", shipped="1 B"), "planned_for"),
    "part of a bundle": (OrderSketch("1 S, 2 A /S", "", planned="2 A <S /S"), "bundle"),
    "the warehouse's SKU": (OrderSketch("1 A", "", planned="1 A ~W", shipped="1 - ~W"), "warehouse_sku"),
    "case": (OrderSketch("1 Ab", "", shipped="1 aB"), "sku, normalized"),
    "invisible characters": (OrderSketch("1 A #L0, 1 B #L1", "", shipped="2 X #L0\u200b"), "position_identifier, normalized"),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", RULES)
def test_the_rule_that_decided_is_told(name: str) -> None:
    sketch, rule = RULES[name]
    tables = flatten_orders([order_from_sketch(sketch, 1)])
    rows = derive_tables(tables)["line_rows"].filter(pl.col("states") != "ordered")
    assert rows.filter(matched_by=rule, certain=True).height
    assert qf.lines(tables).filter(matched_by=rule).height


def test_two_lines_that_are_written_alike_are_not_guessed() -> None:
    lines = lines_of_sketch(OrderSketch("1 ab, 1 AB", "", shipped="1 aB"))
    assert [(line["sku"], line["ordered"], line["shipped"]) for line in lines] == [
        ("ab", 1, 0),
        ("AB", 1, 0),
        ("aB", 0, 1),
    ]


def test_reversed_pieces_stand_beside_those_that_count() -> None:
    (line,) = lines_of_sketch(OrderSketch("5 A", "", planned="5 A", shipped="gone 5 A | 4 A"))
    assert (line["shipped"], line["reversed"], line["open"]) == (4, 5, 1)


def test_what_is_open_is_not_known_where_a_shipment_lists_no_lines() -> None:
    (line,) = lines_of_sketch(OrderSketch("5 A", "", planned="5 A", shipped="2 A |"))
    assert (line["shipped"], line["open"], line["certain"]) == (2, None, False)


def test_nothing_is_open_in_an_order_that_was_called_off() -> None:
    (line,) = lines_of_sketch(OrderSketch("5 A", "", planned="gone 5 A"))
    assert (line["open"], line["planned"]) == (0, 0)


def test_the_value_of_what_is_open_is_exact() -> None:
    prices = {"positions.0.quantity": 3, "positions.0.unitNetPrice": None, "positions.0.totalNetAmount": 10.0,
              "fulfillmentOrders.0.shipments.0.positions.0.quantity": 2}  # fmt: skip
    line = qf.lines(flatten_orders([changed_order(prices)])).row(0, named=True)
    assert (line["open"], line["value"], line["open_value"]) == (1, Decimal(10), Decimal("3.3333"))


@pytest.mark.long
def test_an_order_has_one_row_with_its_sums_and_its_days() -> None:
    late = {"latestDeliveryDate": "2026-09-02", "fulfillmentOrders.0.shipments.0.deliveryDate": "2026-09-05T23:30:00Z"}
    tables = flatten_orders([changed_order(late), fair_order(1002)])
    first, second = qf.overview(tables).to_dicts()
    assert (first["days_late"], second["days_late"]) == (3, 0)
    assert first["stage"] == "completed"
    assert (first["lines"], first["ordered"], first["shipped"], first["open"]) == (2, 3, 3, 0)
    found = qf.overview(tables, findings=qf.audit(tables))
    assert found["errors"].to_list() == [1, 0]


def test_an_order_whose_fulfillment_names_no_warehouse_has_its_own() -> None:
    nameless = {"fulfillmentOrders.0.warehouseName": None, "fulfillmentOrders.0.warehouseId": None, "warehouseId": 9}
    assert qf.overview(flatten_orders([changed_order(nameless)]))["warehouse"].to_list() == ["9"]


@pytest.mark.long
def test_the_overview_agrees_with_a_walk_of_the_orders() -> None:
    orders = stand_in_orders(800, 3)
    rows = {row["order_id"]: row for row in qf.overview(flatten_orders(orders)).to_dicts()}
    for order in orders:
        row, pieces = rows[order["orderId"]], stated_pieces(order)
        sent = [
            one for held in order.get("fulfillmentOrders") or [] for one in held.get("shipments") or []
            if not one.get("reversed")
        ]  # fmt: skip
        assert (row["shipments"], row["shipped"], row["planned"]) == (len(sent), pieces["shipped"], pieces["planned"])
        delivered = [one.get("deliveryDate") for one in sent]
        last = max(map(datetime.fromisoformat, delivered)) if delivered and all(delivered) else None
        assert row["delivered_last"] == (last.replace(tzinfo=UTC) if last and not last.tzinfo else last)


EVENTS = {
    "orderDate": "ordered", "created": "created", "exportedAt": "exported",
    "cancelRequestedAt": "cancellation requested", "completedAt": "completed", "fulfillmentOrderCreated": "planned",
    "shipDate": "shipped", "carrierPickUpDate": "picked up", "deliveryDate": "delivered", "podDate": "proven",
}  # fmt: skip


def walked_events(order: Row) -> Counter[tuple[int, str, datetime]]:
    found: Counter[tuple[int, str, datetime]] = Counter()
    held = order.get("fulfillmentOrders") or []
    sent = [one for each in held for one in each.get("shipments") or []]
    for one in (order, *held, *sent):
        for field, event in EVENTS.items():
            if one.get(field):
                prefix = "reversed: " if one.get("reversed") else ""
                at = datetime.fromisoformat(one[field])
                found[order["orderId"], f"{prefix}{event}", at if at.tzinfo else at.replace(tzinfo=UTC)] += 1
    return found


@pytest.mark.long
def test_events_are_those_of_the_orders_in_order_of_time() -> None:
    orders = stand_in_orders(800, 3)
    events = qf.events(flatten_orders(orders))
    assert Counter(events.select("order_id", "event", "at").rows()) == sum(map(walked_events, orders), Counter())
    assert events.select((pl.col("at").diff().over("order_id") >= pl.duration()).all()).item()


def test_a_midnight_is_a_day() -> None:
    day = {"fulfillmentOrders.0.shipments.0.deliveryDate": "2026-09-03"}
    events = qf.events(flatten_orders([changed_order(day)]))
    assert dict(events.select("event", "precision").rows())["delivered"] == "day"
    assert set(events.filter(pl.col("event") != "delivered")["precision"]) == {"instant"}


def test_milestones_have_the_days_between() -> None:
    row = qf.milestones(flatten_orders([fair_order()])).row(0, named=True)
    assert row["placed"] == datetime(2026, 9, 1, 8, tzinfo=UTC)
    assert row["days_to_ship"] == round((row["shipped_last"] - row["placed"]).total_seconds() / 86_400, 9)


def test_derived_rows_depend_on_their_order_alone() -> None:
    """So that orders can be derived in any parts, as a build does."""
    orders = [*stand_in_orders(200, 3), *SKETCHED_ORDERS.values()]
    whole = derive_tables(flatten_orders(orders))
    halves = [derive_tables(flatten_orders(orders[start::2])) for start in (0, 1)]
    for name, frame in whole.items():
        key = DERIVED_TABLES[name].key
        assert pl.concat([half[name] for half in halves]).sort(key).equals(frame.sort(key)), name


def test_every_sketch_is_a_case_of_lines() -> None:
    assert len(qf.lines(flatten_orders(SKETCHED_ORDERS.values()))["order_id"].unique()) == len(SKETCHES)


def test_a_shipment_without_a_carrier_has_the_usual_one_of_its_name(tmp_path: Path) -> None:
    """In frames, in a dataset, in its exports; a name that never goes with a carrier is unknown."""
    unnamed = {"fulfillmentOrders.0.shipments.0.provider": None}
    stranger = unnamed | {"fulfillmentOrders.0.shipments.0.providerName": "A friend"}
    orders = [changed_order(changes, 1001 + place) for place, changes in enumerate([{}, unnamed, stranger])]
    (tmp_path / "orders.ndjson").write_text("\n".join(map(json.dumps, orders)))
    dataset = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1)
    dataset.export("parquet", tmp_path / "export")
    carriers = {1001: "DHL", 1002: "DHL", 1003: "unknown"}
    for lines in (
        qf.lines(flatten_orders(orders)),
        qf.lines(dataset),
        pl.read_parquet(tmp_path / "export" / "lines.parquet"),
    ):
        assert dict(lines.select("order_id", "carrier").unique().rows()) == carriers
    for overview in (qf.overview(flatten_orders(orders)), qf.overview(dataset), dataset.scan.overview.collect()):
        assert dict(overview.select("order_id", "carrier").rows()) == carriers


@pytest.mark.long
def test_lines_of_a_dataset_are_those_of_its_tables(tmp_path: Path) -> None:
    orders = stand_in_orders(100, 3)
    (tmp_path / "orders.ndjson").write_text("\n".join(map(json.dumps, orders)))
    tables = flatten_orders(orders)
    for derived in (True, False):
        dataset = qf.build(tmp_path / "orders.ndjson", tmp_path / f"tables-{derived}", jobs=1, derived=derived)
        for function in (qf.lines, qf.overview, qf.milestones, qf.events):
            assert function(dataset).equals(function(tables))
