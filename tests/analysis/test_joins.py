"""A join adds to each row the row that it belongs to, and never multiplies rows."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import quivo_frames as qf
from quivo_frames.model.tables import TABLES
from quivo_frames.standin import orders
from tests.support.fair_order import changed_order

if TYPE_CHECKING:
    from quivo_frames.model.frames import Frames


@pytest.fixture(scope="module")
def tables() -> Frames:
    return qf.flatten(list(orders.ndjson_lines(100, seed=5)))


def ancestor_tables(name: str) -> set[str]:
    """The tables that a row belongs to, from the catalogue's parents alone."""
    found = {TABLES[name].parent} - {None}
    return found.union(*(ancestor_tables(above) for above in found)) | ({"orders"} - {name})


ALLOWED = {(first, other) for first in TABLES for other in ancestor_tables(first)}
ALLOWED |= {("handling_units", "handling_units"), ("custom_attributes", "order_positions")}
PAIRS = list(itertools.product(TABLES, TABLES))


@pytest.mark.parametrize(("first", "other"), PAIRS, ids=repr)
def test_a_pair_of_tables_is_joined_or_refused(tables: Frames, first: str, other: str) -> None:
    if (first, other) in ALLOWED:
        joined = qf.join(tables, first, other)
        assert_frame_equal(joined.select(tables[first].columns), tables[first])
        return
    with pytest.raises(qf.ConfigError) as refused:
        qf.join(tables, first, other)
    why, counted, cure = str(refused.value).split("\n")
    assert ("Begin with the finer table" in why) == ((other, first) in ALLOWED)
    names = {"tables": tables, "qf": qf, "pl": pl}
    exec(counted.strip(), names)
    told = eval(cure.strip(), names)
    assert_frame_equal(told.select(tables[first].columns), tables[first])
    if first == "orders":
        assert told["rows"].sum() == tables[other].height


@pytest.mark.parametrize(("first", "other"), sorted(ALLOWED), ids=repr)
def test_every_row_gets_the_values_of_the_row_that_it_belongs_to(tables: Frames, first: str, other: str) -> None:
    joined = qf.join(tables, first, other)
    rows = {row[TABLES[other].key]: row for row in tables[other].iter_rows(named=True)}
    parents = {name: {row[TABLES[name].key]: row for row in tables[name].iter_rows(named=True)} for name in TABLES}

    def belongs(row: dict[str, object], name: str) -> str | int | None:
        if first == other == "handling_units":
            return row["parent_handling_unit_key"]  # type: ignore[return-value]
        if TABLES[other].key in row:
            return row[TABLES[other].key]  # type: ignore[return-value]
        above = TABLES[name].parent or ""
        return belongs(parents[above][row[TABLES[above].key]], above)

    suffix = "_of_parent_handling_unit" if first == other else f"_of_{other.removesuffix('s')}"
    values = [column.name for column in TABLES[other].value_columns if column.name != "order_id"]
    inherited = set(TABLES[first].schema) - {column.name for column in TABLES[first].value_columns}
    for own, told in zip(tables[first].iter_rows(named=True), joined.iter_rows(named=True), strict=True):
        origin = rows.get(belongs(own, first), dict.fromkeys(TABLES[other].schema))
        for name in values:
            taken = name in tables[first].columns and not (name in inherited and first != other)
            assert told[name + suffix if taken else name] == origin[name]


def test_three_tables() -> None:
    tables = qf.flatten([json.dumps(changed_order({}, number)).encode() for number in (1, 2)])
    joined = qf.join(tables, "shipment_positions", "shipments", "fulfillment_orders", "orders")
    assert joined.height == 4
    assert joined.select("order_id", "sku", "provider", "warehouse_name", "seller_name").rows() == [
        (number, sku, "DHL", "Wien", "Seller") for number in (1, 2) for sku in "AB"
    ]
    assert joined["warehouse_id"].to_list() == [4] * 4  # of the fulfillment order
    assert joined["warehouse_id_of_order"].to_list() == [4] * 4
    assert {"ordinal", "ordinal_of_shipment", "ordinal_of_fulfillment_order"} <= set(joined.columns)
    assert [name for name in joined.columns if name.startswith(("order_id_", "shipment_id_"))] == []


def test_an_empty_table_is_joined() -> None:
    tables = qf.flatten([])
    assert qf.join(tables, "shipment_positions", "shipments", "orders").height == 0


def test_a_dataset_is_joined_as_frames_are(tmp_path: Path, tables: Frames) -> None:
    source = tmp_path / "orders.ndjson"
    source.write_bytes(b"".join(orders.ndjson_lines(30, seed=5)))
    dataset = qf.build(source, tmp_path / "tables", jobs=1)
    frames = {name: dataset[name] for name in dataset}
    joined = qf.join(dataset, "shipments", "orders")
    assert_frame_equal(joined, qf.join(frames, "shipments", "orders"))
    assert_frame_equal(joined, qf.join(tmp_path / "tables", "shipments", "orders"))
    assert_frame_equal(joined, qf.join(str(tmp_path / "tables"), "shipments", "orders"))
    assert joined.height == frames["shipments"].height


def test_a_table_that_does_not_exist_or_was_not_given(tables: Frames) -> None:
    with pytest.raises(qf.ConfigError, match=r"There is no table 'parcels'\. The tables are: orders"):
        qf.join(tables, "parcels", "orders")
    with pytest.raises(qf.ConfigError, match=r"There is no table 'parcels'\. The tables are: orders"):
        qf.join(tables, "shipments", "parcels")
    with pytest.raises(qf.ConfigError, match="There is no orders among the frames that were given: shipments"):
        qf.join({"shipments": tables["shipments"]}, "shipments", "orders")


def test_frames_with_a_key_twice_are_refused(tables: Frames) -> None:
    twice = {**tables, "orders": pl.concat([tables["orders"], tables["orders"]])}
    with pytest.raises(qf.ConfigError, match="The same order_id stands in several rows of orders"):
        qf.join(twice, "shipments", "orders")
