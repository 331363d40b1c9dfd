"""A sample of orders is counted twice: its values in the JSON and its values in the tables."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from quivo_frames.errors import Fault
from quivo_frames.flattening.flatten import flatten
from quivo_frames.flattening.reconcile import compare_value_counts, sample_orders, sampling_rate
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import TABLES
from tests.support.hostile_attributes import hostile_order_json

BODIES = {n: hostile_order_json(n) for n in range(100_001, 100_061)}
FRAMES = flatten(list(BODIES.values()))


def count_leaves(value: Any, name: str = "") -> int:
    """The number of values in a JSON document, counted plainly; a free-form object is one."""
    if name == "customAttributes":
        return value is not None
    if isinstance(value, dict):
        return sum(count_leaves(inner, key) for key, inner in value.items())
    if isinstance(value, list):
        return sum(count_leaves(inner) for inner in value)
    return value is not None


def test_values_of_the_json_are_those_of_the_tables() -> None:
    counts = compare_value_counts(BODIES, FRAMES)
    assert counts.orders == len(BODIES)
    assert (
        counts.values_in_json
        == counts.values_in_tables
        == sum(count_leaves(json.loads(body)) for body in BODIES.values())
    )


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if table.value_columns])
def test_a_value_that_is_lost_or_invented_in_any_table_is_a_fault_that_names_the_place(name: str) -> None:
    frame = FRAMES[name]
    column = next(
        column for column in TABLES[name].value_columns if frame[column.name].count() and column.name != "order_id"
    )
    path = TABLES[name].json_path(column)
    row = pl.Series(frame[column.name].is_not_null().arg_true().to_list()[:1])
    order_id = frame["order_id"][row[0]]
    for tables in (
        {**FRAMES, name: frame.with_columns(frame[column.name].scatter(row, None))},
        {**FRAMES, name: pl.concat([frame, frame[row]])},
    ):
        with pytest.raises(Fault) as fault:
            compare_value_counts(BODIES, tables)
        assert str(fault.value).startswith(f"Order {order_id} has ")
        assert f"at {path} but" in str(fault.value)


def test_orders_that_failed_are_not_counted() -> None:
    bodies = {1: b'{"orderId":1,"created":"soon"}', 2: b'{"orderId":2,"unknown":5,"completedAt":"","tags":[null,"a"]}'}
    assert compare_value_counts(bodies, flatten(list(bodies.values()))) == (1, 2, 2)


def test_one_order_in_500_is_sampled_and_twenty_at_least_however_the_build_is_cut() -> None:
    raws = [RawOrder(b'{"orderId":%d}' % n, None, None, "", "") for n in range(100_000, 130_000)]
    for count, expected in (
        (0, 0),
        (1, 1),
        (19, 19),
        (20, 20),
        (39, 39),
        (40, 20),
        (9_999, 20),
        (10_500, 21),
        (30_000, 60),
    ):
        one_in = sampling_rate(count)
        whole = sample_orders(raws[:count], 0, one_in)
        assert len(whole) == expected, count
        for size in (1, 7, 999) if count < 10_000 else (999,):
            cut = {}
            for start in range(0, count, size):
                cut |= sample_orders(raws[start : min(start + size, count)], start, one_in)
            assert cut == whole
    places = [number % 500 for number in whole]
    assert len(set(places)) > 30  # not every 500th, which could be the orders of one kind
    assert sample_orders([RawOrder(b"not JSON", None, None, "", "")], 0, 1) == {}
