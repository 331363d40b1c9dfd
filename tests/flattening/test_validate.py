"""Rows that break a rule: the whole order leaves the tables, the others stay."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from pandera.errors import SchemaError, SchemaErrors

from quivo_frames.errors import ConfigError
from quivo_frames.flattening.flatten import Flattener
from quivo_frames.flattening.validate import find_violations, schema, validate_frames
from quivo_frames.model.frames import Frames
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json

ROW = 3  # the row of each table that is changed


def raw_order(number: int) -> RawOrder:
    return RawOrder(order_json(number), number, None, "orders.ndjson", f"line {number}")


ORIGINS: dict[int, RawOrder] = {}
GOOD = Flattener().flatten_batch([raw_order(number) for number in range(1, 61)], ORIGINS)


def change_cell(name: str, column: str, value: Any) -> Frames:
    """The good tables with another value in one cell."""
    changed = pl.when(pl.int_range(pl.len()) == ROW).then(value).otherwise(pl.col(column)).alias(column)
    return Frames.of({**GOOD, name: GOOD[name].with_columns(changed)})


@pytest.mark.parametrize("name", TABLES)
def test_good_tables_break_no_rule(name: str) -> None:
    assert GOOD[name].height > ROW  # or the tests below would prove nothing
    schema(name).validate(GOOD[name])


def test_good_tables_come_back_as_they_are() -> None:
    assert validate_frames(GOOD, ORIGINS) is GOOD


@pytest.mark.parametrize(
    ("name", "column", "value", "rule", "words"),
    [
        ("shipments", "shipment_key", None, "required", "must not be empty"),
        ("tracking_numbers", "tracking_number", None, "required", "must not be empty"),
        ("order_tags", "order_tag_key", pl.col("order_tag_key").first(), "unique", "must be unique"),
        ("shipments", "ordinal", -1, "allowed", "must be 0 or more, but is -1"),
        ("handling_units", "depth", -1, "allowed", "must be 0 or more, but is -1"),
        ("custom_attributes", "value_type", pl.lit("blob"), "allowed", "one of string, number, boolean, null, object"),
        ("shipments", "fulfillment_order_key", pl.lit("999/0"), "reference", "does not exist: 999/0"),
        ("handling_units", "parent_handling_unit_key", pl.lit("9/9"), "reference", "does not exist: 9/9"),
        ("handling_units", "root_handling_unit_key", pl.lit("9/9"), "reference", "does not exist: 9/9"),
        ("custom_attributes", "order_position_key", pl.lit("9/9"), "reference", "does not exist: 9/9"),
    ],
)
def test_each_rule_takes_the_whole_order_out_and_leaves_the_others(
    name: str, column: str, value: Any, rule: str, words: str
) -> None:
    frames = validate_frames(change_cell(name, column, value), ORIGINS)
    order_id = GOOD[name]["order_id"][ROW]
    failure = frames.failures.filter(pl.col("order_id") == order_id).row(0, named=True)
    assert (failure["stage"], failure["rule"]) == ("validate", rule)
    assert (failure["table"], failure["column"]) == (name, column)
    assert (failure["source"], failure["place"]) == ("orders.ndjson", f"line {order_id}")
    assert words in failure["message"]
    lost = set(frames.failures["order_id"])
    assert lost == {order_id} if rule != "unique" else order_id in lost
    for each in TABLES:
        assert frames[each].equals(GOOD[each].filter(~pl.col("order_id").is_in(list(lost))))


def test_rows_of_an_order_that_is_not_in_orders_are_refused() -> None:
    order_id = GOOD.orders["order_id"][ROW]
    frames = validate_frames(Frames.of({**GOOD, "orders": GOOD.orders.filter(pl.col("order_id") != order_id)}), ORIGINS)
    assert frames.failures.select("order_id", "column", "rule").rows() == [(order_id, "order_id", "reference")]
    assert order_id not in frames.order_positions["order_id"]


def test_an_order_that_is_there_twice_is_in_no_table() -> None:
    frames = validate_frames(Frames.of({**GOOD, "orders": pl.concat([GOOD.orders, GOOD.orders[:1]])}), ORIGINS)
    assert frames.failures.select("order_id", "rule").rows() == [(1, "unique")]
    assert frames.orders["order_id"].to_list() == list(range(2, 61))


@pytest.mark.parametrize("value", [None, 999])
def test_a_row_of_no_order_is_never_let_through(value: int | None) -> None:
    with pytest.raises(AssertionError, match="shipments has a row of order"):
        validate_frames(change_cell("shipments", "order_id", value), ORIGINS)


def test_failures_and_notes_of_before_are_kept() -> None:
    origins: dict[int, RawOrder] = {}
    broken = RawOrder(b"{", 70, None, "orders.ndjson", "line 70")
    noted = RawOrder(b'{"orderId":71,"created":"2026-01-01","tags":["a","b"]}', 71, None, "orders.ndjson", "line 71")
    frames = Flattener().flatten_batch([broken, noted], origins)
    tags = frames.order_tags.with_columns(ordinal=pl.lit(-1, pl.Int64))
    checked = validate_frames(Frames({**frames, "order_tags": tags}, frames.failures, frames.notes), origins)
    assert checked.failures["stage"].to_list() == ["decode", "validate"]
    assert checked.notes.equals(frames.notes)


def test_a_personal_value_that_breaks_a_rule_is_not_shown() -> None:
    frames = change_cell("tracking_numbers", "tracking_number", None)
    secret = frames["tracking_numbers"].with_columns(
        tracking_number_key=pl.lit("1/0/0/0"), tracking_number=pl.lit("JANE-DOE-1")
    )
    failures = validate_frames(Frames.of({**GOOD, "tracking_numbers": secret}), ORIGINS).failures
    assert failures.height
    assert not failures["message"].str.contains("JANE").any()


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.drop("provider"),
        lambda frame: frame.with_columns(extra=1),
        lambda frame: frame.select(reversed(frame.columns)),
        lambda frame: frame.with_columns(pl.col("ordinal").cast(pl.Int32)),
        lambda frame: frame.with_columns(pl.col("ship_date").dt.convert_time_zone("Europe/Vienna")),
    ],
    ids=["column gone", "column more", "other order", "other dtype", "other time zone"],
)
def test_a_frame_of_another_shape_is_an_error_and_nothing_is_converted(change: Any) -> None:
    other = change(GOOD.shipments)
    with pytest.raises(SchemaErrors):
        schema("shipments").validate(other, lazy=True)
    with pytest.raises(SchemaErrors):
        validate_frames(Frames.of({**GOOD, "shipments": other}), ORIGINS)


def test_the_schema_of_a_table_checks_ones_own_frames() -> None:
    own = GOOD.shipments.filter(pl.col("shipment_id").is_not_null())
    assert schema("shipments").validate(own).equals(own)
    with pytest.raises(SchemaError, match="shipment_key"):
        schema("shipments").validate(pl.concat([own, own[:1]]))
    assert schema("shipments") is schema("shipments")
    with pytest.raises(ConfigError, match="no table 'shipment'"):
        schema("shipment")


def change_second_row(frame: pl.DataFrame, column: str, value: Any) -> pl.DataFrame:
    """The frame with another value in its second row."""
    return frame.with_columns(frame[column].scatter(1, value))


@pytest.mark.long
@pytest.mark.parametrize("name", TABLES)
def test_no_rule_of_a_schema_is_left_out_by_the_quick_look(name: str) -> None:
    described, good = TABLES[name], GOOD[name]
    broken = {(column.name, "required"): None for column in described.columns if column.required}
    broken[described.key, "unique"] = good[described.key][0]
    broken |= {(column, "allowed"): -1 for column in ("ordinal", "depth") if column in described.schema}
    if name == "custom_attributes":
        broken["value_type", "allowed"] = "date"
    for (column, rule), value in broken.items():
        found = {
            (v.column.name, v.rule) for v in find_violations({**GOOD, name: change_second_row(good, column, value)})
        }
        assert (column, rule) in found, (column, rule)
