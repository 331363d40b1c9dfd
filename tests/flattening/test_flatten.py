"""Orders become tables: nothing is lost or changed silently, and a bad order costs no other order."""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from quivo_frames.errors import ConfigError
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import TABLES
from tests.support.hostile_attributes import hostile_order_json
from tests.support.independent_flattener import MEASURES, MONEY, to_snake_case
from tests.support.independent_flattener import TABLES as TABLE_OF_LIST
from tests.support.paths import DOCUMENTED_ORDER

DOCUMENTED = json.loads(DOCUMENTED_ORDER.read_text())

DECIMALS = MEASURES | MONEY
NATURAL_IDS = {  # repeated in the tables below these
    "order_id": "orders",
    "fulfillment_order_id": "fulfillment_orders",
    "shipment_id": "shipments",
    "shipment_position_id": "shipment_positions",
}

LeafPath = tuple[str | int, ...]


def make_order(**fields: Any) -> bytes:
    return json.dumps({"orderId": 1, **fields}).encode()


def leaves_of(value: Any, path: LeafPath = ()) -> list[tuple[LeafPath, Any]]:
    """Every plain value of a JSON document, with its path; a free-form object is one value."""
    if path and path[-1] == "customAttributes":
        return [(path, value)]
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves_of(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for place, inner in enumerate(value) for leaf in leaves_of(inner, (*path, place))]
    return [(path, value)]


def place_of(path: LeafPath) -> tuple[str, str]:
    """Table and column of a leaf by its path: the lists lead to the table, the rest is the name of the column."""
    lists: list[str] = []
    rest: list[str] = []
    for step in path:
        if isinstance(step, int):
            lists, rest = [*lists, *rest], []
        elif step != "childHandlingUnits":  # inner units are in the table of the outer ones
            rest.append(step)
        else:
            lists.pop()
            rest.append("handlingUnits")
    table = TABLE_OF_LIST[".".join(lists)]
    return table, "_".join(map(to_snake_case, rest)) or table.removesuffix("s").removeprefix("order_").removeprefix(
        "grouped_"
    )


def is_value(table: str, column: str) -> bool:
    """Whether a column holds values of its own: no key, no place and no repeated id."""
    if column in ("ordinal", "depth", "fetched_at") or (column.endswith("_key") and column != "file_key"):
        return False
    return NATURAL_IDS.get(column, table) == table


def value_cells(frames: Any) -> list[tuple[str, str, int, Any]]:
    return [
        (table, column, row, value)
        for table, frame in frames.items()
        if table != "custom_attributes"  # repeats what the JSON column says
        for column in frame.columns
        if is_value(table, column)
        for row, value in enumerate(frame[column])
        if value is not None
    ]


def make_values_distinct(value: Any, numbers: Any, copies: int, name: str = "") -> Any:
    """The documented example with a different value in each leaf and lists `copies` times as long."""
    number = next(numbers)
    if name == "customAttributes":
        return {"free": number}
    if isinstance(value, dict):
        return {key: make_values_distinct(inner, numbers, copies, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [make_values_distinct(inner, numbers, copies, name) for inner in value * copies]
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return number + 0.37 if name in DECIMALS else number
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return str(date(2020, 1, 1) + timedelta(days=number))
    if value.endswith("Z"):
        return (datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"text {number}"


def expected_cell(value: Any, cell: Any) -> Any:
    """The JSON value in the Python type of its cell."""
    if isinstance(cell, datetime):
        return datetime.fromisoformat(value)
    if isinstance(cell, date):
        return date.fromisoformat(value)
    if isinstance(cell, Decimal):
        return Decimal(str(value))
    if isinstance(cell, float):
        return float(value)
    return json.dumps(value) if isinstance(value, dict) else value


@pytest.mark.parametrize("copies", [1, 2])
def test_each_leaf_of_the_documented_order_stands_in_exactly_one_cell(copies: int) -> None:
    order = make_values_distinct(DOCUMENTED, count(1001), copies)
    frames = flatten([json.dumps(order)])
    assert frames.failures.is_empty()
    assert frames.notes.is_empty()
    found = value_cells(frames)
    of_json = leaves_of(order)
    assert len(found) == len(of_json)  # so that no cell holds what no leaf said

    for path, value in of_json:
        if isinstance(value, bool):
            continue
        hits = [(t, c) for t, c, _, cell in found if type(cell) is not bool and equals_cell(value, cell)]
        assert hits == [place_of(path)], path
    flags = Counter((*place_of(path), value) for path, value in of_json if isinstance(value, bool))
    assert flags == Counter((t, c, cell) for t, c, _, cell in found if isinstance(cell, bool))


def equals_cell(value: Any, cell: Any) -> bool:
    try:
        return bool(expected_cell(value, cell) == cell)
    except (ValueError, TypeError, ArithmeticError):
        return False  # a text is no instant


def test_no_value_of_500_orders_is_lost_or_invented() -> None:
    orders = [hostile_order_json(number, 5) for number in range(1, 501)]
    frames = flatten(orders)
    assert frames.failures.is_empty()
    wanted = Counter(
        place_of(path) for order in orders for path, value in leaves_of(json.loads(order)) if value is not None
    )
    assert Counter((table, column) for table, column, *_ in value_cells(frames)) == wanted


def test_every_table_and_column_exists_with_its_dtype_without_any_row() -> None:
    for frames in (flatten([]), flatten([b"{"]), flatten([b'{"orderId": 1}'])):
        assert list(frames) == list(TABLES)
        assert len(frames) == 18
        for name, frame in frames.items():
            assert frame.schema == pl.Schema(TABLES[name].schema)
            assert frame.height == (name == "orders" and bool(frames.orders.height))


# Keys


def value_at_path(document: Any, path: str) -> Any:
    """The value at a JSON path such as `$.positions[0].url.link`; None if a part of the path is missing."""
    for name, place in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        if document is None:
            return None
        document = document[int(place)] if place else document.get(name)
    return document


def test_the_key_of_a_row_leads_back_to_the_raw_json() -> None:
    dice = random.Random(3)
    orders = {number: json.loads(hostile_order_json(number, 8)) for number in range(1, 201)}
    frames = flatten([json.dumps(order) for order in orders.values()])
    seen = set()
    for name, table in TABLES.items():
        frame = frames[name]
        columns = [column for column in table.columns if column.json_path or column is table.columns[-1]]
        for row in dice.sample(range(frame.height), min(40, frame.height)):
            key, order = frame[table.key][row], orders[frame["order_id"][row]]
            for column in columns if name not in ("orders", "custom_attributes") else columns[:-1]:
                value, cell = value_at_path(order, table.json_path(column, key)), frame[column.name][row]
                assert (cell is None) == (value is None), (name, column.name, key)
                assert cell is None or equals_cell(value, cell) or column.kind == "json", (name, column.name, key)
            seen.add(name)
    assert seen == set(TABLES)


def test_a_free_form_attribute_is_found_by_its_key_too() -> None:
    order = {"orderId": 7, "positions": [None, {"customAttributes": {"colour": "red"}}], "customAttributes": {"a": "b"}}
    table = TABLES["custom_attributes"]
    rows = flatten([json.dumps(order)]).custom_attributes
    for row in rows.iter_rows(named=True):
        where = table.json_path(table.column("value"), row["custom_attribute_key"])
        assert value_at_path(order, where)[row["key"]] == row["value"]
    assert rows["custom_attribute_key"].to_list() == ["7/0", "7/1/0"]
    assert rows["order_position_key"].to_list() == [None, "7/1"]


def test_missing_null_empty_list_and_empty_object_are_the_same() -> None:
    names = ["positions", "fulfillmentOrders", "handlingUnits", "tags", "entityErrors"]
    objects = ["deliveryAddress", "invoiceAddress"]
    nulls = dict.fromkeys((*names, *objects, "currency", "created", "shopId", "customAttributes"))
    empties = {**{key: [] for key in names}, **{key: {} for key in objects}}
    plain = flatten([make_order()])
    for frames in (flatten([make_order(**nulls)]), flatten([make_order(**empties)])):
        assert frames.notes.is_empty()
        for name in TABLES:
            assert frames[name].equals(plain[name])


def test_null_entries_make_no_row_and_leave_a_gap_in_the_ordinals() -> None:
    frames = flatten(
        [
            make_order(tags=[None, "a", None, "b"], positions=[{"sku": "x"}, None, {"sku": "y"}]),
            json.dumps({"orderId": 2, "tags": [None], "fulfillmentOrders": [None, {"shipments": [None, {}]}]}),
        ]
    )
    assert frames.order_tags.select("order_tag_key", "ordinal", "tag").rows() == [("1/1", 1, "a"), ("1/3", 3, "b")]
    assert frames.order_positions.select("order_position_key", "sku").rows() == [("1/0", "x"), ("1/2", "y")]
    assert frames.fulfillment_orders["fulfillment_order_key"].to_list() == ["2/1"]
    assert frames.shipments.select("shipment_key", "fulfillment_order_key").rows() == [("2/1/1", "2/1")]


def test_natural_ids_of_the_ancestors_stand_beside_the_keys() -> None:
    order = make_order(
        fulfillmentOrders=[{"fulfillmentOrderId": 5, "shipments": [{"shipmentId": 6, "positions": [{"sku": "x"}]}]}]
    )
    row = flatten([order]).shipment_positions.row(0, named=True)
    assert (row["fulfillment_order_id"], row["shipment_id"], row["shipment_key"]) == (5, 6, "1/0/0")


def nested_units(*shape: Any) -> list[Any]:
    """Handling units from (sscc, inner units…); None for null."""
    return [unit and {"sscc": unit[0], "childHandlingUnits": nested_units(*unit[1:])} for unit in shape]


def test_handling_units_stand_in_the_order_of_the_document_with_their_parents() -> None:
    five_deep = ("a", ("b", None, ("c", ("d", ("e",)))), ("f",))
    many = ("g", *[(f"g{n}",) for n in range(11)])
    frame = flatten(
        [
            make_order(handlingUnits=nested_units(None, five_deep, many)),
            make_order(orderId=2, handlingUnits=nested_units(("z",))),
        ]
    )
    rows = frame.handling_units.select(
        "sscc", "handling_unit_key", "parent_handling_unit_key", "root_handling_unit_key", "depth", "ordinal"
    ).rows()
    assert rows[:7] == [
        ("a", "1/1", None, "1/1", 0, 1),
        ("b", "1/1.0", "1/1", "1/1", 1, 0),
        ("c", "1/1.0.1", "1/1.0", "1/1", 2, 1),
        ("d", "1/1.0.1.0", "1/1.0.1", "1/1", 3, 0),
        ("e", "1/1.0.1.0.0", "1/1.0.1.0", "1/1", 4, 0),
        ("f", "1/1.1", "1/1", "1/1", 1, 1),
        ("g", "1/2", None, "1/2", 0, 2),
    ]
    assert [row[1] for row in rows[7:18]] == [f"1/2.{n}" for n in range(11)]  # 10 behind 9, not behind 1
    assert rows[18:] == [("z", "2/0", None, "2/0", 0, 0)]


def test_handling_positions_refer_to_their_own_unit() -> None:
    inner = {"handlingPositions": [None, {"quantity": 3}]}
    frames = flatten([make_order(handlingUnits=[{"childHandlingUnits": [{}, inner]}])])
    row = frames.handling_positions.row(0, named=True)
    assert (row["handling_position_key"], row["handling_unit_key"], row["ordinal"]) == ("1/0.1/1", "1/0.1", 1)


# Orders that the tables cannot hold


def units_in_each_other(levels: int) -> bytes:
    return b'{"orderId":1,"handlingUnits":[' + b'{"childHandlingUnits":[' * levels + b"]}" * levels + b"]}"


BROKEN = {
    "lone surrogate": (b'{"orderId":1,"comment":"\\ud800x"}', "lone_surrogate"),
    "lone surrogate in a free-form object": (b'{"orderId":1,"customAttributes":{"a":"\\udc00"}}', "lone_surrogate"),
    "invalid UTF-8": (b'{"orderId":1,"comment":"\xff"}', "not_utf8"),
    "invalid UTF-8 in a free-form object": (b'{"orderId":1,"customAttributes":{"a":"\xff"}}', "not_utf8"),
    "surrogate as UTF-8": (b'{"orderId":1,"comment":"\xed\xa0\x80"}', "not_utf8"),
    "5,000 units in each other": (units_in_each_other(5000), "too_deep"),
    "5,000 levels in a free-form object": (
        b'{"orderId":1,"customAttributes":' + b"[" * 5000 + b"]" * 5000 + b"}",
        "too_deep",
    ),
    "5,000 levels in an unknown field": (b'{"orderId":1,"new":' + b"[" * 5000 + b"]" * 5000 + b"}", "too_deep"),
    "empty body": (b"", "empty"),
    "blanks": (b" \n", "empty"),
    "web page": (b"<!doctype html><html>", "html"),
    "no orderId": (b"{}", "no_order_id"),
    "null orderId": (b'{"orderId":null}', "no_order_id"),
    "orderId as text": (b'{"orderId":"1"}', "wrong_type"),
    "orderId true": (b'{"orderId":true}', "wrong_type"),
    "orderId 1.5": (b'{"orderId":1.5}', "not_whole"),
    "orderId above 2^63": (b'{"orderId":9223372036854775808}', "out_of_range"),
    "list": (b'[{"orderId":1},{"orderId":2}]', "not_an_object"),
    "null": (b"null", "not_an_object"),
    "cut off": (b'{"orderId":1,"comment":"x', "broken_json"),
    "stray comma": (b'{"orderId":1,,}', "broken_json"),
    "NaN": (b'{"orderId":1,"transportInsuranceAmount":NaN}', "broken_json"),
    "raw control character": (b'{"orderId":1,"customAttributes":{"a":"x\x1ey"}}', "broken_json"),
    "two orders in one": (b'{"orderId":1}{"orderId":2}', "broken_json"),
    "object for a list": (b'{"orderId":1,"positions":{}}', "wrong_type"),
    "list for an object": (b'{"orderId":1,"deliveryAddress":[]}', "wrong_type"),
    "number in a list of objects": (b'{"orderId":1,"positions":[1]}', "wrong_type"),
    "number in a list of texts": (b'{"orderId":1,"tags":[1]}', "wrong_type"),
}


@pytest.mark.parametrize(("body", "rule"), BROKEN.values(), ids=BROKEN)
def test_a_broken_order_is_one_failure_and_costs_no_other(body: bytes, rule: str) -> None:
    frames = flatten([b'{"orderId":76}', body, b'{"orderId":77,"tags":["x"]}'])
    assert frames.failures.height == 1
    failure = frames.failures.row(0, named=True)
    assert failure["rule"] == rule
    assert (failure["source"], failure["place"], failure["stage"]) == ("memory", "item 1", "decode")
    assert frames.orders["order_id"].to_list() == [76, 77]
    assert frames.order_tags["order_id"].to_list() == [77]


def test_a_broken_text_as_str_is_a_failure_like_any_other() -> None:
    frames = flatten(['{"orderId":1,"comment":"\ud800"}', '{"orderId":2,"comment":"ü"}'])
    assert frames.failures["rule"].to_list() == ["not_utf8"]
    assert frames.orders["comment"].to_list() == ["ü"]


def test_a_failure_names_the_order_even_if_its_text_is_cut_off() -> None:
    cut = flatten([b'{"orderId": 1001, "comment": "Ring tw']).failures.row(0, named=True)
    assert cut["order_id"] == 1001
    unknown = flatten([RawOrder(b"", 1002, None, "orders.sqlite", "response 7")]).failures.row(0, named=True)
    assert (unknown["order_id"], unknown["source"], unknown["place"]) == (1002, "orders.sqlite", "response 7")


# Each row: field of the order, JSON text, what its cell holds.
HELD = {
    "2.0 as id": ("sellerId", "2.0", 2),
    "1e3 as id": ("sellerId", "1e3", 1000),
    "largest id": ("sellerId", "9223372036854775807", 2**63 - 1),
    "smallest id": ("sellerId", "-9223372036854775808", -(2**63)),
    "id past 2^53": ("sellerId", "9007199254740993", 9007199254740993),
    "id past 2^53 with a fraction of 0": ("sellerId", "9007199254740993.0", 9007199254740993),
    "id with an exponent": ("sellerId", "9007199254740993e1", 90071992547409930),
    "largest int32": ("orderPriority", "2147483647", 2**31 - 1),
    "18 digits of money": ("cashOnDeliveryAmount", "12345678901234.5678", Decimal("12345678901234.5678")),
    "largest money": ("cashOnDeliveryAmount", "-99999999999999.9999", Decimal("-99999999999999.9999")),
    "integer money": ("cashOnDeliveryAmount", "5", Decimal(5)),
    "money as power": ("cashOnDeliveryAmount", "1.25e2", Decimal(125)),
    "money with zeros": ("cashOnDeliveryAmount", "1.10000000", Decimal("1.1")),
    "instant": ("created", '"2026-03-05T14:48:12Z"', datetime(2026, 3, 5, 14, 48, 12, tzinfo=UTC)),
    "offset": ("created", '"2026-03-05T14:48:12+02:00"', datetime(2026, 3, 5, 12, 48, 12, tzinfo=UTC)),
    "offset without colon": ("created", '"2026-03-05T14:48:12-0230"', datetime(2026, 3, 5, 17, 18, 12, tzinfo=UTC)),
    "fraction": ("created", '"2026-03-05T14:48:12.5Z"', datetime(2026, 3, 5, 14, 48, 12, 500000, tzinfo=UTC)),
    "microseconds": ("created", '"2026-03-05T14:48:12.123456Z"', datetime(2026, 3, 5, 14, 48, 12, 123456, tzinfo=UTC)),
    "day": ("latestShipDate", '"2024-02-29"', date(2024, 2, 29)),
    "flag": ("shopActive", "false", False),
    "text": ("comment", r'"a\u00e9\ud83d\ude00\u0000\n"', "aé😀\0\n"),
    "text like null": ("comment", '"null"', "null"),
    "empty text": ("comment", '""', ""),
}


@pytest.mark.parametrize(("field", "text", "cell"), HELD.values(), ids=HELD)
def test_a_value_is_read_exactly_and_without_a_note(field: str, text: str, cell: Any) -> None:
    frames = flatten([f'{{"orderId":1,"{field}":{text}}}', b'{"orderId":2}'])
    assert frames.failures.is_empty()
    assert frames.notes.is_empty()
    column = re.sub(r"(?=[A-Z])", "_", field).lower()
    assert frames.orders[column].to_list() == [cell, None]


NOTED = {
    "half to even, down": ("cashOnDeliveryAmount", "1.00005", Decimal("1.0000"), "rounded_money"),
    "half to even, up": ("cashOnDeliveryAmount", "1.00015", Decimal("1.0002"), "rounded_money"),
    "more than half": ("cashOnDeliveryAmount", "-1.000050001", Decimal("-1.0001"), "rounded_money"),
    "too small": ("cashOnDeliveryAmount", "1e-400", Decimal(0), "rounded_money"),
    "naive": ("created", '"2026-03-05T14:48:12"', datetime(2026, 3, 5, 14, 48, 12, tzinfo=UTC), "no_time_zone"),
    "bare day": ("created", '"2026-03-05"', datetime(2026, 3, 5, tzinfo=UTC), "day_for_instant"),
    "nanoseconds": (
        "created",
        '"2026-03-05T14:48:12.123456999Z"',
        datetime(2026, 3, 5, 14, 48, 12, 123456, tzinfo=UTC),
        "digits_past_microseconds",
    ),
    "no instant": ("created", '""', None, "empty_text"),
    "instant for a day": ("latestShipDate", '"2026-03-05T23:30:00-02:00"', date(2026, 3, 5), "instant_for_day"),
    "no day": ("latestShipDate", '""', None, "empty_text"),
    "free-form list": ("customAttributes", "[1]", "[1]", "not_free_form"),
}


@pytest.mark.parametrize(("field", "text", "cell", "kind"), NOTED.values(), ids=NOTED)
def test_a_reading_that_needed_a_decision_is_noted(field: str, text: str, cell: Any, kind: str) -> None:
    frames = flatten([f'{{"orderId":{number},"{field}":{text}}}' for number in (1, 2)])
    assert frames.failures.is_empty()
    assert frames.orders[re.sub(r"(?=[A-Z])", "_", field).lower()].to_list() == [cell, cell]
    assert frames.notes.select("kind", "path", "count", "order_id").rows() == [(kind, f"$.{field}", 2, 1)]


REFUSED = {
    "true as count": ("sellerId", "true", "wrong_type"),
    "text as count": ("sellerId", '"1"', "wrong_type"),
    "1.5 as count": ("sellerId", "1.5", "not_whole"),
    "a fraction that a float loses": ("sellerId", "4503599627370497.5", "not_whole"),
    "1e-400 as count": ("sellerId", "1e-400", "not_whole"),
    "an exponent of 20 digits": ("sellerId", "5e-99999999999999999999", "not_whole"),
    "2^63 as count": ("sellerId", "9223372036854775808", "out_of_range"),
    "1e400 as count": ("sellerId", "1e400", "out_of_range"),
    "2^31 as int32": ("orderPriority", "2147483648", "out_of_range"),
    "money of 19 digits": ("cashOnDeliveryAmount", "100000000000000", "out_of_range"),
    "money that rounds to 19 digits": ("cashOnDeliveryAmount", "99999999999999.99995", "out_of_range"),
    "money of 30 digits": ("cashOnDeliveryAmount", "1" * 30, "out_of_range"),
    "money 1e17": ("cashOnDeliveryAmount", "1e17", "out_of_range"),
    "money 1e25": ("cashOnDeliveryAmount", "1e25", "out_of_range"),
    "money of absurd exponent": ("cashOnDeliveryAmount", "1e99999999999999999999", "out_of_range"),
    "money as text": ("cashOnDeliveryAmount", '"1.10"', "wrong_type"),
    "money true": ("cashOnDeliveryAmount", "true", "wrong_type"),
    "money as object": ("cashOnDeliveryAmount", '{"amount":1}', "wrong_type"),
    "31 February": ("created", '"2026-02-31T00:00:00Z"', "not_an_instant"),
    "month 13": ("created", '"2026-13-01T00:00:00Z"', "not_an_instant"),
    "hour 24": ("created", '"2026-03-05T24:00:00Z"', "not_an_instant"),
    "leap second": ("created", '"2026-06-30T23:59:60Z"', "not_an_instant"),
    "day first": ("created", '"05.03.2026"', "not_an_instant"),
    "blank before": ("created", '" 2026-03-05T14:48:12Z"', "not_an_instant"),
    "line end behind": ("created", '"2026-03-05T14:48:12Z\\n"', "not_an_instant"),
    "digit missing": ("created", '"2026-3-5T1:2:3Z"', "not_an_instant"),
    "year 0": ("created", '"0000-01-01T00:00:00Z"', "not_an_instant"),
    "year 10000 in UTC": ("created", '"9999-12-31T23:59:59-02:00"', "not_an_instant"),
    "offset of 99 hours": ("created", '"2026-03-05T14:48:12+99:00"', "not_an_instant"),
    "epoch": ("created", "1772722092", "wrong_type"),
    "no leap year": ("latestShipDate", '"2026-02-29"', "not_a_day"),
    "month first": ("latestShipDate", '"03/05/2026"', "not_a_day"),
    "flag as text": ("shopActive", '"true"', "wrong_type"),
    "flag as number": ("shopActive", "1", "wrong_type"),
    "number as text": ("comment", "5", "wrong_type"),
}


@pytest.mark.parametrize(("field", "text", "rule"), REFUSED.values(), ids=REFUSED)
def test_a_value_that_its_column_cannot_hold_fails_the_whole_order(field: str, text: str, rule: str) -> None:
    frames = flatten([f'{{"orderId":1,"{field}":{text},"tags":["x"]}}', f'{{"orderId":2,"{field}":null,"tags":["y"]}}'])
    assert frames.orders["order_id"].to_list() == [2]
    assert frames.order_tags["order_id"].to_list() == [2]
    assert frames.notes.is_empty()
    failure = frames.failures.row(0, named=True)
    column = re.sub(r"(?=[A-Z])", "_", field).lower()
    assert (failure["order_id"], failure["rule"]) == (1, rule)
    assert (failure["table"], failure["column"], failure["path"]) == ("orders", column, f"$.{field}")
    assert column in failure["message"]
    assert "order 1 " in failure["message"].lower()


def test_a_failure_deep_in_an_order_tells_the_path_in_the_raw_json() -> None:
    shipped = {"fulfillmentOrders": [{}, {"shipments": [None, {"positions": [{}, {"quantity": 1.5}]}]}]}
    packed = {"handlingUnits": [{}, {"childHandlingUnits": [{"handlingPositions": [{"quantity": 0.5}]}]}]}
    measured = {"fulfillmentOrders": [{"shipments": [{"width": {"value": "1"}}]}]}
    failures = flatten(
        [make_order(**shipped), make_order(**packed | {"orderId": 2}), make_order(**measured | {"orderId": 3})]
    ).failures
    assert sorted(failures.select("order_id", "table", "column", "path").rows()) == [
        (1, "shipment_positions", "quantity", "$.fulfillmentOrders[1].shipments[1].positions[1].quantity"),
        (
            2,
            "handling_positions",
            "quantity",
            "$.handlingUnits[1].childHandlingUnits[0].handlingPositions[0].quantity",
        ),
        (3, "shipments", "width_value", "$.fulfillmentOrders[0].shipments[0].width.value"),
    ]


def test_an_order_with_two_faults_is_one_failure() -> None:
    frames = flatten([make_order(sellerId=1.5, created="soon", positions=[{"quantity": 0.5}])])
    assert frames.failures.height == 1


def test_notes_tell_nothing_of_orders_that_failed() -> None:
    frames = flatten([make_order(sellerId=1.5, orderDate="2026-01-01", newField=1)])
    assert frames.notes.is_empty()


# Unknown fields


def unknown_field_notes(frames: Any) -> dict[str, tuple[int, int]]:
    notes = frames.notes.filter(pl.col("kind") == "unknown_field")
    return {path: (number, example) for path, number, example in notes.select("path", "count", "order_id").iter_rows()}


def test_unknown_fields_are_noted_where_they_stand_and_disturb_no_other() -> None:
    extended = make_order(
        newField=1,
        deliveryAddress={"city": "Graz", "floor": 3},
        positions=[{"colour": "red", "sku": "a"}, {"colour": None, "sku": "b"}, {"colour": {"x": 1}, "sku": "c"}],
        handlingUnits=[{"w": 1, "sscc": "o", "childHandlingUnits": [{"w": 2, "sscc": "i"}]}],
        fulfillmentOrders=[{"shipments": [{"width": {"value": 2, "z": 1}, "podDocuments": [{"url": {"y": 2}}]}]}],
    )
    known = make_order(
        deliveryAddress={"city": "Graz"},
        positions=[{"sku": "a"}, {"sku": "b"}, {"sku": "c"}],
        handlingUnits=[{"sscc": "o", "childHandlingUnits": [{"sscc": "i"}]}],
        fulfillmentOrders=[{"shipments": [{"width": {"value": 2}, "podDocuments": [{"url": {}}]}]}],
    )
    frames, plain = flatten([extended, b'{"orderId":2,"newField":2}']), flatten([known, b'{"orderId":2}'])
    assert unknown_field_notes(frames) == {
        "$.newField": (2, 1),
        "$.deliveryAddress.floor": (1, 1),
        "$.positions[].colour": (2, 1),
        "$.handlingUnits[].w": (2, 1),
        "$.fulfillmentOrders[].shipments[].width.z": (1, 1),
        "$.fulfillmentOrders[].shipments[].podDocuments[].url.y": (1, 1),
    }
    for name in TABLES:
        assert frames[name].equals(plain[name])


def test_a_note_tells_the_first_of_the_values_that_an_order_has_there() -> None:
    (note,) = flatten([make_order(positions=[{"colour": 1}, {"colour": "red"}])]).notes.iter_rows(named=True)
    (alone,) = flatten([make_order(positions=[{"colour": 1}])]).notes.iter_rows(named=True)
    assert (note["count"], note["message"]) == (2, alone["message"])


ODD_NAMES = [
    'a"b', "a\\b", "a\nb", "a`b", "a.b", "a[0]", "", "é", "日本", "a\0b", "unknown_0", "order_id", "Order_", "class",
    "a - at `$.x`", "x`, got `y", "$",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_unknown_field_may_have_any_name(name: str) -> None:
    orders = [json.dumps({"orderId": n, "currency": "EUR", name: {"z": n}, "shopId": n}) for n in (1, 2)]
    frames = flatten([*orders, json.dumps({"orderId": 3, "positions": [{name: 1, "sku": "x"}]})])
    assert frames.failures.is_empty()
    assert unknown_field_notes(frames) == {f"$.{name}": (2, 1), f"$.positions[].{name}": (1, 3)}
    assert frames.orders["shop_id"].to_list() == [1, 2, None]
    assert frames.order_positions["sku"].to_list() == ["x"]


def test_300_unknown_names_are_noted_each() -> None:
    orders = [json.dumps({"orderId": n, f"new{n}": n, "shopId": n, "always": 1}) for n in range(1, 301)]
    frames = flatten(orders)
    assert unknown_field_notes(frames) == {"$.always": (300, 1)} | {f"$.new{n}": (1, n) for n in range(1, 301)}
    assert frames.orders["shop_id"].to_list() == list(range(1, 301))


def test_of_very_many_unknown_fields_the_first_are_noted_by_name_and_the_others_by_their_number() -> None:
    """A million of them were a million notes, and took 43 s."""
    names = [f"n{number}" for number in range(10_000)]
    inner = [{"sku": "a", name: 1} for name in names[:500]]
    frames = flatten([json.dumps({"orderId": 1, **dict.fromkeys(names, 7), "positions": inner, "shopId": 5})])
    assert frames.orders["shop_id"].to_list() == [5]
    assert unknown_field_notes(frames) == {
        f"{place}.{name}": (1, 1) for place in ("$", "$.positions[]") for name in names[:200]
    }
    more = frames.notes.filter(kind="more_unknown_fields").select("path", "count").rows()
    assert more == [("$", 9_800), ("$.positions[]", 300)]


@pytest.mark.parametrize("value", [1, 1.5, "x", "1", True, {"a": 1}, [1], [], {}])
def test_a_note_is_the_same_whether_its_field_was_learned_or_not(value: Any) -> None:
    few = flatten([json.dumps({"orderId": 1, "new": value})]).notes
    many = flatten([json.dumps({"orderId": 1, "new": value, **{f"n{n}": n for n in range(300)}})]).notes
    assert many.filter(path="$.new").equals(few)


@pytest.mark.long
def test_many_unknown_fields_of_a_large_order_take_no_look_each() -> None:
    """The whole order was decoded again for each of them."""
    fields = {"positions": [{"sku": f"S{n}", "quantity": 1, "name": "x" * 60} for n in range(60_000)]}
    body = json.dumps({"orderId": 1, **fields, **{f"n{n}": n for n in range(200)}})
    began = time.process_time()
    assert len(unknown_field_notes(flatten([body]))) == 200
    assert time.process_time() - began < 3


# Free-form attributes


def test_free_form_attributes_are_rows_and_numbers_keep_their_text() -> None:
    text = r'{"n":1.10,"t":"a \"b\" \\ é","e":"","b":true,"0":null,"l":[1, 2.50],"o":{"x": 1.0},"big":12345678901234567890}'
    frames = flatten([f'{{"orderId":1,"customAttributes":{text}}}'])
    assert frames.orders["custom_attributes"].to_list() == [text]
    assert frames.custom_attributes.select("key", "value", "value_type").rows() == [
        ("n", "1.10", "number"),
        ("t", 'a "b" \\ é', "string"),
        ("e", "", "string"),
        ("b", "true", "boolean"),
        ("0", None, "null"),
        ("l", "[1, 2.50]", "array"),
        ("o", '{"x": 1.0}', "object"),
        ("big", "12345678901234567890", "number"),
    ]


def test_free_form_attributes_written_as_json_text_are_opened() -> None:
    position = {"customAttributes": '{"attr1":"val1","n":1.10}'}
    frames = flatten([make_order(positions=[{}, position])])
    assert frames.custom_attributes.select("custom_attribute_key", "order_position_key", "key", "value").rows() == [
        ("1/1/0", "1/1", "attr1", "val1"),
        ("1/1/1", "1/1", "n", "1.10"),
    ]
    assert frames.order_positions["custom_attributes"][1] == json.dumps(position["customAttributes"])
    assert frames.notes.is_empty()


@pytest.mark.parametrize("value", [None, {}])
def test_no_free_form_attributes_make_no_row(value: Any) -> None:
    frames = flatten([make_order(customAttributes=value, positions=[{"customAttributes": value}])])
    assert frames.custom_attributes.is_empty()
    assert frames.notes.is_empty()
    assert frames.orders["custom_attributes"].to_list() == [None if value is None else "{}"]


def test_attributes_of_an_order_stand_before_those_of_its_lines() -> None:
    orders = [
        json.dumps({"orderId": n, "positions": [{"customAttributes": {"p": n}}], "customAttributes": {"o": n}})
        for n in (2, 1)
    ]
    keys = flatten(orders).custom_attributes["custom_attribute_key"].to_list()
    assert keys == ["2/0", "2/0/0", "1/0", "1/0/0"]


# An order that comes twice


def test_of_an_order_that_comes_twice_the_newest_is_taken_and_noted() -> None:
    newer = make_order(comment="newer", lastModified="2026-03-05T12:00:00Z")
    older = make_order(
        comment="older", lastModified="2026-03-05T13:30:00+02:00"
    )  # later as a text, earlier as an instant
    for orders in ([newer, older], [older, newer]):
        frames = flatten(orders)
        assert frames.orders["comment"].to_list() == ["newer"]
        assert frames.notes.select("kind", "count", "order_id").rows() == [("repeated_order", 1, 1)]


def test_the_time_of_the_answer_counts_more_than_last_modified_and_the_later_place_decides() -> None:
    def raw(comment: str, hour: int, modified: str) -> RawOrder:
        fetched = datetime(2026, 3, 5, hour, tzinfo=UTC)
        return RawOrder(make_order(comment=comment, lastModified=modified), 1, fetched, "a", comment)

    late, early = raw("late", 9, "2026-01-01T00:00:00Z"), raw("early", 8, "2026-02-01T00:00:00Z")
    assert flatten([late, early]).orders["comment"].to_list() == ["late"]
    assert flatten([late, early]).orders["fetched_at"].to_list() == [datetime(2026, 3, 5, 9, tzinfo=UTC)]
    assert flatten([make_order(comment="first"), make_order(comment="second")]).orders["comment"].to_list() == [
        "second"
    ]
    assert flatten([late, make_order(comment="of a file")]).orders["comment"].to_list() == ["late"]


def test_batches_follow_each_other_without_a_seam() -> None:
    orders = [hostile_order_json(number, 2) for number in range(1, 601)]
    frames = flatten(orders)
    assert frames.orders["order_id"].to_list() == list(range(1, 601))
    alone = flatten(orders[-1:])
    for name in TABLES:
        assert frames[name].filter(pl.col("order_id") == 600).equals(alone[name])


# Independent figures


def figures_of_json(orders: list[Any]) -> dict[str, Any]:
    """What plain Python finds in the JSON: lengths of lists, sums of quantities and of money."""
    found: dict[str, Any] = defaultdict(int)

    def units(level: list[Any] | None) -> None:
        for unit in filter(None, level or []):
            found["handling_units"] += 1
            found["packed"] += sum(
                line.get("quantity") or 0 for line in filter(None, unit.get("handlingPositions") or [])
            )
            units(unit.get("childHandlingUnits"))

    for order in orders:
        for line in filter(None, order.get("positions") or []):
            found["order_positions"] += 1
            found["ordered"] += line.get("quantity") or 0
            found["net"] += line.get("totalNetAmount") or Decimal(0)
            found["gross"] += line.get("totalGrossAmount") or Decimal(0)
        for fulfillment in filter(None, order.get("fulfillmentOrders") or []):
            for shipment in filter(None, fulfillment.get("shipments") or []):
                found["shipments"] += 1
                found["shipped"] += sum(x.get("quantity") or 0 for x in filter(None, shipment.get("positions") or []))
        units(order.get("handlingUnits"))
    return dict(found)


def test_figures_of_500_orders_agree_with_those_of_plain_json(tmp_path: Path) -> None:
    bodies = [hostile_order_json(number, 1) for number in range(1, 501)]
    frames = flatten(bodies)
    wanted = figures_of_json([json.loads(body, parse_float=Decimal) for body in bodies])
    lines, units = frames.order_positions, frames.handling_units
    assert wanted == {
        "order_positions": lines.height,
        "shipments": frames.shipments.height,
        "handling_units": units.height,
        "ordered": lines["quantity"].sum(),
        "shipped": frames.shipment_positions["quantity"].sum(),
        "packed": frames.handling_positions["quantity"].sum(),
        "net": lines["total_net_amount"].sum(),
        "gross": lines["total_gross_amount"].sum(),
    }
    assert units["depth"].max() >= 4
    assert wanted["net"] % 1  # odd cents, or the sums would prove little


def test_figures_agree_with_those_of_another_reader_of_json(tmp_path: Path) -> None:
    bodies = [hostile_order_json(number, 4) for number in range(1, 501)]
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join(bodies))
    frames = flatten(bodies)
    query = """
        WITH lines AS (
            SELECT unnest(json_extract(json, '$.fulfillmentOrders[*].shipments[*].positions[*]')) AS line
            FROM read_ndjson_objects(?)
        )
        SELECT count(*), sum((line->>'quantity')::BIGINT), count(line->>'lot') FROM lines WHERE json_type(line) = 'OBJECT'
    """
    shipped = frames.shipment_positions
    expected = (shipped.height, shipped["quantity"].sum(), shipped["lot"].count())
    with duckdb.connect() as db:
        assert db.execute(query, [str(tmp_path / "orders.ndjson")]).fetchone() == expected


ORDER_DICT: dict[str, Any] = {"orderId": 1, "positions": [{"sku": "a"}]}
FILE_CURE = "Give [text] for the JSON of one order; for orders in a file or an archive, use build."
WRONG_ARGUMENTS = {
    "a dict": (ORDER_DICT, "got a dict. Give [json.dumps(order)] or the bytes as received."),
    "a list of dicts": ([ORDER_DICT] * 3, "item 0 is a dict. Give json.dumps(order) or the bytes as received."),
    "a dict among texts": (
        [make_order(), ORDER_DICT],
        "item 1 is a dict. Give json.dumps(order) or the bytes as received.",
    ),
    "tables": (flatten([]), "got a Frames. Give [json.dumps(order)] or the bytes as received."),
    "a path as text": ("orders.ndjson", f"got a str. {FILE_CURE}"),
    "a path": (Path("orders.ndjson"), f"got a {type(Path()).__name__}. {FILE_CURE}"),
    "a list of paths": ([Path("a"), Path("b")], f"item 0 is a {type(Path()).__name__}. {FILE_CURE}"),
    "one order as bytes": (make_order(), f"got a bytes. {FILE_CURE}"),
    "one order as a bytearray": (bytearray(make_order()), "got a bytearray. Give a list of texts or bytes."),
    "nothing": (None, "got None. Give a list of texts or bytes."),
    "a number": (1001, "got an int. Give a list of texts or bytes."),
    "a list with None": ([make_order(), None], "item 1 is None. Give a list of texts or bytes."),
    "a list of lists": ([[make_order()]], "item 0 is a list. Give a list of texts or bytes."),
}


@pytest.mark.parametrize(("given", "words"), WRONG_ARGUMENTS.values(), ids=WRONG_ARGUMENTS)
def test_what_is_no_list_of_json_texts_is_refused_in_one_sentence(given: Any, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        flatten(given)
    assert str(error.value) == f"flatten takes the JSON texts of orders, one a list item; {words}"


def test_orders_may_come_from_anything_that_gives_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(make_order() + b"\n" + make_order(orderId=2))
    with (tmp_path / "orders.ndjson").open("rb") as file:
        assert flatten(file).orders.height == 2
    assert flatten(pl.Series([make_order().decode()])).orders.height == 1
    assert flatten(make_order(orderId=number) for number in range(3)).orders.height == 3


def test_an_unknown_table_is_refused_with_the_names_of_the_tables() -> None:
    with pytest.raises(ConfigError, match="shipments"):
        flatten([])["nope"]


@pytest.mark.parametrize("repeated", [b'{"a":1,"b":2,"a":3}', b'"{\\"a\\":1,\\"b\\":2,\\"a\\":3}"'])
def test_a_free_form_key_that_stands_twice_is_noted_and_kept_in_the_text(repeated: bytes) -> None:
    frames = flatten([b'{"orderId":1,"customAttributes":%s}' % repeated])
    assert frames.orders["custom_attributes"].to_list() == [repeated.decode()]
    assert frames.custom_attributes.select("key", "value").rows() == [("a", "3"), ("b", "2")]
    assert frames.notes.select("kind", "path", "count").rows() == [("repeated_attribute", "$.customAttributes", 1)]


def test_free_form_keys_with_escaped_quotes_are_no_repetition() -> None:
    assert flatten([b'{"orderId":1,"customAttributes":{"a\\u0022":1,"b":"\\""}}']).notes.is_empty()


@pytest.mark.parametrize(
    "repeated",
    [
        b'{"orderId":2,"comment":"a","comment":"b"}',
        b'{"orderId":2,"positions":[{"quantity":1},{"quantity":1,"quantity":null}]}',
        b'{"orderId":2,"handlingUnits":[{"childHandlingUnits":[{"sscc":"1","sscc":"1"}]}]}',
        b'{"orderId":2,"deliveryAddress":{},"deliveryAddress":{}}',
        b'{"orderId":2,"tags":[],"tags":[]}',
        b'{"orderId" :2,"lot":1,"lot" :1}',
        b'{"orderId":2,"unknown":{"a":null},"unknown":{"a":null}}',
    ],
)
@pytest.mark.parametrize(
    "others",
    [
        b'{"orderId":1}',
        make_order(comment='say "x":1', customAttributes='{"a":1,"b":null}', tags=[None, "null"], created=""),
        json.dumps(
            {"orderId": 1, "comment": None, "shopId": 2.0, "n": {"x": [{"y": 1}]}, "customAttributes": {"a": "b"}}
        ),
    ],
)
def test_a_field_that_stands_twice_fails_its_order_in_whatever_company(repeated: bytes, others: bytes) -> None:
    frames = flatten([others, repeated])
    assert frames.failures.select("order_id", "rule").rows() == [(2, "repeated_field")]
    assert frames.orders["order_id"].to_list() == [1]


def test_whole_numbers_written_with_a_fraction_are_read_as_written_at_any_depth() -> None:
    exact = 9007199254740993
    orders = [
        make_order(positions=[{"quantity": 2.0}, None, {"quantity": 3}]),
        b'{"orderId":2,"positions":[{"quantity":%d.0},{"quantity":1.0}],"handlingUnits":[{"childHandlingUnits":'
        b'[null,{"handlingPositions":[{"quantity":1e1},{"quantity":%d.00}]}]}]}' % (exact, exact),
        b'{"orderId":3,"positions":[{"quantity":4},{"quantity":2.00000000000000000001}]}',
        b'{"orderId":4,"positions":[{"quantity":5.0}]}',
    ]
    frames = flatten(orders)
    assert frames.order_positions["quantity"].to_list() == [2, 3, exact, 1, 5]
    assert frames.handling_positions["quantity"].to_list() == [10, exact]
    assert frames.failures.select("order_id", "rule", "path").rows() == [(3, "not_whole", "$.positions[1].quantity")]


@pytest.mark.parametrize("order_id", ["5e-4", "9999999999999999971", "1.5"])
def test_nothing_is_noted_of_an_order_whose_id_cannot_be_held(order_id: str) -> None:
    frames = flatten([make_order(), f'{{"orderId":{order_id},"odd\\nname":1}}', b'{"orderId":2,"odd\\nname":1}'])
    assert frames.failures.height == 1
    assert frames.notes.select("path", "count", "order_id").rows() == [("$.odd\nname", 1, 2)]


def test_no_order_is_looked_at_twice_while_no_field_stands_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> dict[int, Any]:
        raise AssertionError("the fields of the JSON and those of the tables differ in number")

    monkeypatch.setattr("quivo_frames.flattening.decode.OrderDecoder.find_repeated_fields", refuse)
    odd = {"new": {"a": [{"b": None}]}, "created": "", "lot": None, "customAttributes": '{"a": null, "b": 1}'}
    frames = flatten(
        [*map(hostile_order_json, range(1001, 1301)), json.dumps({"orderId": 1000, **odd}), json.dumps(DOCUMENTED)]
    )
    assert frames.orders.height == 302
