"""Orders come back from the tables alone; they are compared by the standard library alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings

import quivo_frames as qf
from quivo_frames.errors import ConfigError
from quivo_frames.flattening import unflatten as unflatten_module
from quivo_frames.flattening.flatten import flatten
from quivo_frames.flattening.unflatten import unflatten, unflatten_in_batches
from quivo_frames.model.frames import Frames
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import write_ndjson
from tests.support.depth import examples
from tests.support.drawn_orders import DRAWN_SETTINGS, drawn_orders, several_orders
from tests.support.hostile_attributes import hostile_order_json
from tests.support.memory import grows_by_less_than
from tests.support.order_comparison import assert_orders_come_back, flatten_drawn_orders
from tests.support.paths import DOCUMENTED_ORDER


def make_order(**fields: Any) -> bytes:
    return json.dumps({"orderId": 1, **fields}).encode()


def round_trip(body: bytes | str) -> str:
    frames = flatten([body])
    assert frames.failures.is_empty(), frames.failures["message"].to_list()
    return next(unflatten(frames)).decode()


# The law


def test_the_documented_order_comes_back_text_for_text() -> None:
    filled = re.sub(r"\{\}", '{"a": [1.10, "\\\\u0041"] }', DOCUMENTED_ORDER.read_text())
    assert_orders_come_back([filled], flatten([filled]))
    wanted = json.loads(DOCUMENTED_ORDER.read_text())
    back = json.loads(round_trip(json.dumps(wanted)))
    del wanted["handlingUnits"][0]["childHandlingUnits"][0]["childHandlingUnits"]  # an empty list is none
    assert back == wanted
    assert list(back) == list(wanted)


@pytest.mark.long
def test_10_000_orders_come_back() -> None:
    bodies = [hostile_order_json(number, 9) for number in range(1, 10_001)]
    frames = flatten(bodies)
    assert frames.failures.is_empty()
    assert_orders_come_back(bodies, frames)


@pytest.mark.long
@pytest.mark.drawn
def test_drawn_orders_come_back() -> None:
    depths: Counter[int] = Counter()

    @DRAWN_SETTINGS
    @given(several_orders())
    @example(['{"orderId":1,"customAttributes":{"a":1, "a":2,"\\u0061":3}}'])
    def law(bodies: list[str]) -> None:
        frames = flatten_drawn_orders(bodies)
        assert_orders_come_back(bodies, frames)
        depths.update(frames.handling_units["depth"])

    law()
    assert max(depths) > 50  # else the drawing is too tame to prove anything


@pytest.mark.long
@pytest.mark.drawn
@settings(DRAWN_SETTINGS, max_examples=examples(30))
@given(drawn_orders(full=True))
def test_drawn_orders_with_a_value_in_every_column_come_back(body: str) -> None:
    frames = flatten_drawn_orders([body])
    assert_orders_come_back([body], frames)
    columns = {(name, column.name) for name, table in TABLES.items() for column in table.columns if column.path}
    assert not {place for place in columns if not frames[place[0]][place[1]].count()}


@pytest.mark.long
def test_orders_come_back_through_parquet(tmp_path: Path) -> None:
    bodies = [hostile_order_json(number, 3) for number in range(1, 301)]
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join(bodies))
    built = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables")
    assert_orders_come_back(bodies, built)
    assert_orders_come_back(bodies, qf.open(tmp_path / "tables"))
    assert list(qf.unflatten(built)) == list(qf.unflatten(flatten(bodies)))


@pytest.mark.long
@pytest.mark.drawn
def test_drawn_orders_come_back_through_parquet(tmp_path: Path) -> None:
    @settings(DRAWN_SETTINGS, max_examples=examples(15))
    @given(several_orders())
    def law(bodies: list[str]) -> None:
        # a file of orders has one a line; the blanks between the tokens of JSON may be any
        (tmp_path / "orders.ndjson").write_text("\n".join(re.sub(r"[\r\n]", " ", body) for body in bodies))
        built = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", progress=False)
        assert built.failures["message"].to_list() == []
        assert_orders_come_back([re.sub(r"[\r\n]", " ", body) for body in bodies], built)

    law()


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 7, 300])
def test_the_size_of_a_batch_changes_no_text(size: int) -> None:
    frames = flatten([hostile_order_json(number, 4) for number in range(1, 41)])
    assert list(unflatten_in_batches(frames, orders_per_batch=size)) == list(unflatten(frames))


# A dataset, which is read in ranges


def build_two_sources(folder: Path) -> qf.Dataset:
    """Orders whose ids alternate between two files."""
    for name, first in (("even", 2), ("odd", 1)):
        bodies = [hostile_order_json(number, 4) for number in range(first, 61, 2)]
        (folder / f"{name}.ndjson").write_bytes(b"\n".join(bodies))
    return qf.build([folder / "even.ndjson", folder / "odd.ndjson"], folder / "tables", progress=False)


@pytest.mark.long
@pytest.mark.parametrize("orders_per_range", [7, 60])
def test_a_dataset_gives_the_same_orders_in_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orders_per_range: int
) -> None:
    dataset = build_two_sources(tmp_path)
    whole = list(unflatten(dataset.collect()))
    monkeypatch.setattr(unflatten_module, "_ORDERS_PER_RANGE", orders_per_range)
    assert list(unflatten(dataset)) == whole
    some = dataset.only([5, 8, 21, 40, 59])
    assert list(unflatten(some)) == list(unflatten(some.collect()))
    assert len(list(unflatten(some))) == 5


def test_rows_of_a_dataset_whose_order_is_missing_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = build_two_sources(tmp_path)
    stored = qf.Dataset.lazy
    for missing in (1, 30, 60):  # before, between and after the ids that there are
        without = pl.col("order_id") != missing

        def damaged(self: qf.Dataset, name: str, without: pl.Expr = without) -> pl.LazyFrame:
            return stored(self, name).filter(without) if name == "orders" else stored(self, name)

        monkeypatch.setattr(qf.Dataset, "lazy", damaged)
        with pytest.raises(ConfigError, match=f"of order {missing} belongs to no row of orders"):
            list(unflatten(dataset))


def test_a_dataset_that_is_built_again_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = build_two_sources(tmp_path)
    monkeypatch.setattr(unflatten_module, "_ORDERS_PER_RANGE", 7)
    orders = unflatten(dataset)
    next(orders)
    qf.build(tmp_path / "odd.ndjson", tmp_path / "tables", progress=False)
    with pytest.raises(qf.DatasetError, match="rebuilt since it was opened"):
        list(orders)


@pytest.mark.long
@pytest.mark.alone
def test_memory_does_not_grow_with_the_orders_of_a_dataset(tmp_path: Path) -> None:
    """5,000 orders, and six times as many."""
    write_ndjson(tmp_path / "few.ndjson", 5_000, seed=6)
    write_ndjson(tmp_path / "many.ndjson", 30_000, seed=6)
    few, many = (
        qf.build(tmp_path / f"{name}.ndjson", tmp_path / name, jobs=1, derived=False) for name in ("few", "many")
    )
    assert sum(1 for _ in unflatten(few)) == 5_000
    with grows_by_less_than(80):
        assert sum(1 for _ in unflatten(many)) == 30_000


def test_tables_whose_rows_were_sorted_otherwise_give_the_same_orders() -> None:
    frames = flatten([hostile_order_json(number, 4) for number in range(1, 61)])
    shuffled = {name: frame.sample(fraction=1, shuffle=True, seed=5) for name, frame in frames.items()}
    back = {json.loads(body)["orderId"]: body for body in unflatten(shuffled)}
    assert list(back) == shuffled["orders"]["order_id"].to_list()
    assert [back[number] for number in frames.orders["order_id"]] == list(unflatten(frames))


def test_what_came_back_makes_the_same_tables() -> None:
    frames = flatten([hostile_order_json(number, 6) for number in range(1, 301)])
    second = flatten(unflatten(frames))
    assert second.notes.filter(pl.col("kind") != "repeated_attribute").is_empty()
    assert all(second[name].equals(frames[name]) for name in TABLES)


def test_no_order_is_no_text() -> None:
    assert list(unflatten(flatten([]))) == []
    assert list(unflatten({name: table.empty_frame() for name, table in TABLES.items()})) == []


# One by one


EXPECTED_TEXTS = {
    "only an id": ('{"orderId":-5}', '{"orderId":-5}'),
    "nothing in it": (
        '{"orderId":1,"tags":[],"positions":null,"deliveryAddress":{},"invoiceAddress":{"zip":null},"customAttributes":null}',
        '{"orderId":1}',
    ),
    "empty entries": ('{"orderId":1,"positions":[{},{"sku":null}]}', '{"orderId":1,"positions":[{},{}]}'),
    "gaps": (
        '{"orderId":1,"positions":[null,{"sku":"a"},null,null,{}],"tags":["x",null,"y"]}',
        '{"orderId":1,"positions":[null,{"sku":"a"},null,null,{}],"tags":["x",null,"y"]}',
    ),
    "nulls at the end": ('{"orderId":1,"tags":["x",null,null],"positions":[null]}', '{"orderId":1,"tags":["x"]}'),
    "objects in objects": (
        '{"orderId":1,"fulfillmentOrders":[{"shipments":[{"width":{"unit":"M"},"podDocuments":[{"url":{"link":"l"}}]}]}]}',
        '{"orderId":1,"fulfillmentOrders":[{"shipments":[{"width":{"unit":"M"},"podDocuments":[{"url":{"link":"l"}}]}]}]}',
    ),
    "a list in an object without a value": (
        '{"orderId":1,"deliveryAddress":{"additionalIdentifiers":[null,{}]}}',
        '{"orderId":1,"deliveryAddress":{"additionalIdentifiers":[null,{}]}}',
    ),
    "the order of the fields": ('{"currency":"EUR","orderId":1}', '{"orderId":1,"currency":"EUR"}'),
    "money": (
        '{"orderId":1,"transportInsuranceAmount":1.10,"cashOnDeliveryAmount":1200e-1}',
        '{"orderId":1,"transportInsuranceAmount":1.1,"cashOnDeliveryAmount":120}',
    ),
    "the largest money": (
        '{"orderId":1,"transportInsuranceAmount":-99999999999999.9999,"cashOnDeliveryAmount":0.0001}',
        '{"orderId":1,"transportInsuranceAmount":-99999999999999.9999,"cashOnDeliveryAmount":0.0001}',
    ),
    "a hundred of money": ('{"orderId":1,"cashOnDeliveryAmount":100}', '{"orderId":1,"cashOnDeliveryAmount":100}'),
    "instants": (
        '{"orderId":1,"created":"2026-03-05T14:48:10+02:00","lastModified":"2026-03-05T14:48:12.5Z"}',
        '{"orderId":1,"created":"2026-03-05T12:48:10Z","lastModified":"2026-03-05T14:48:12.500Z"}',
    ),
    "days": ('{"orderId":1,"latestShipDate":"0001-02-03"}', '{"orderId":1,"latestShipDate":"0001-02-03"}'),
    "flags": ('{"orderId":1,"ssccLabel":false,"shopActive":true}', '{"orderId":1,"ssccLabel":false,"shopActive":true}'),
    "ids": (
        '{"orderId":1,"sellerId":9007199254740993,"warehouseId":2.0,"orderPriority":-2147483648}',
        '{"orderId":1,"sellerId":9007199254740993,"warehouseId":2,"orderPriority":-2147483648}',
    ),
    "texts": (
        r'{"orderId":1,"currency":"a\u0000\"\\\/\u001f\ud83d\ude00\u00e4\n","comment":""}',
        r'{"orderId":1,"currency":"a\u0000\"\\/\u001f😀ä\n","comment":""}',
    ),
    "free form": (
        r'{"orderId":1,"customAttributes":{ "a" : 1.10,"b\u0041":[1E400 , "\/"],"a":{} } }',
        r'{"orderId":1,"customAttributes":{ "a" : 1.10,"b\u0041":[1E400 , "\/"],"a":{} }}',
    ),
    "free form that is none": (
        '{"orderId":1,"positions":[{"customAttributes":"{}"},{"customAttributes":[ ]},{"customAttributes":{}}]}',
        '{"orderId":1,"positions":[{"customAttributes":"{}"},{"customAttributes":[ ]},{"customAttributes":{}}]}',
    ),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("body", "back"), EXPECTED_TEXTS.values(), ids=EXPECTED_TEXTS)
def test_an_order_comes_back_as_this_text(body: str, back: str) -> None:
    assert round_trip(body) == back


def test_an_answers_time_is_no_part_of_the_order() -> None:
    at = datetime(2026, 3, 5, tzinfo=UTC)
    frames = flatten([RawOrder(b'{"orderId":1}', 1, at, "orders.sqlite", "response 1")])
    assert frames.orders["fetched_at"].to_list() == [at]
    assert list(unflatten(frames)) == [b'{"orderId":1}']


@pytest.mark.long
@pytest.mark.parametrize("depth", [1, 60, 250])
def test_handling_units_come_back_from_any_depth(depth: int) -> None:
    body = (
        '{"orderId":1,"handlingUnits":[{"sscc":"first"},'
        + '{"type":"CARTON","childHandlingUnits":[null,{"sscc":"beside"},' * depth
        + '{"handlingPositions":[{"quantity":3}]}'
        + "]}" * depth
        + "]}"
    )
    assert round_trip(body) == body


# Tables that are incomplete


@pytest.fixture(scope="module")
def complete_frames() -> Frames:
    units = [{"sscc": "a", "childHandlingUnits": [{"sscc": "b", "handlingPositions": [{"sku": "x"}]}]}]
    shipment = {"trackingNumbers": ["1", "2"], "positions": [{"serialNumbers": ["s"]}], "grossWeight": 1.5}
    full = make_order(
        handlingUnits=units, tags=["t"], fulfillmentOrders=[{"shipments": [shipment]}],
        positions=[{"customAttributes": {"k": "v"}}], entityErrors=[{}],
    )  # fmt: skip
    return flatten([full, b'{"orderId":2}'])


PARENTS = [
    (name, reference.to_table, reference.column)
    for name, table in TABLES.items()
    for reference in table.references
    if reference.to_table == table.parent or (name == reference.to_table and reference.column.startswith("parent"))
]


@pytest.mark.parametrize(("name", "parent", "column"), PARENTS, ids=[f"{a} of {b}" for a, b, _ in PARENTS])
def test_a_row_whose_parent_is_missing_is_told_and_not_left_out(
    name: str, parent: str, column: str, complete_frames: Frames
) -> None:
    rows = complete_frames[name].filter(pl.col(column).is_not_null())
    if rows.is_empty():
        body = hostile_order_json(
            next(n for n in range(1, 500) if flatten([hostile_order_json(n)])[name][column].count())
        )
        frames = flatten([body])
    else:
        frames = complete_frames
    row = frames[name].filter(pl.col(column).is_not_null()).row(0, named=True)
    key = TABLES[parent].key
    without = {**frames, parent: frames[parent].filter(pl.col(key) != row[column])}
    with pytest.raises(ConfigError, match=rf"belongs to no row of \w+: there is no {key}|no \w+ {row[column]}\b"):
        list(unflatten(without))


def test_a_broken_reference_is_told_with_its_row_and_order(complete_frames: Frames) -> None:
    broken = {**complete_frames, "shipments": complete_frames.shipments.clear()}
    with pytest.raises(ConfigError) as error:
        list(unflatten(broken))
    assert str(error.value) == (
        "In tracking_numbers, the row 1/0/0/0 of order 1 belongs to no row of shipments: there is no shipment_key 1/0/0. "
        "It is one of 2 such rows. Take the same orders from all tables."
    )


def test_units_that_hold_each_other_in_a_circle_are_told(complete_frames: Frames) -> None:
    units = complete_frames.handling_units.with_columns(parent_handling_unit_key=pl.col("handling_unit_key").reverse())
    with pytest.raises(ConfigError, match="handling_units"):
        list(unflatten({**complete_frames, "handling_units": units}))


def test_rows_that_claim_one_place_are_told(complete_frames: Frames) -> None:
    numbers = complete_frames.tracking_numbers.with_columns(ordinal=pl.lit(1, pl.Int64))
    with pytest.raises(ConfigError, match=r"place of the row 1/0/0/1 of tracking_numbers"):
        list(unflatten({**complete_frames, "tracking_numbers": numbers}))


def test_a_key_that_stands_twice_is_told(complete_frames: Frames) -> None:
    for name in ("orders", "shipments", "order_tags"):
        twice = pl.concat([complete_frames[name], complete_frames[name]])
        with pytest.raises(ConfigError, match=rf"key 1\S* stands in more than one row of {name}"):
            unflatten({**complete_frames, name: twice})


def test_a_missing_table_or_column_or_another_type_is_told_before_the_first_order(complete_frames: Frames) -> None:
    tables = dict(complete_frames)
    with pytest.raises(ConfigError, match=r"no table 'order_tags'.*shipments"):
        unflatten({name: frame for name, frame in tables.items() if name != "order_tags"})
    with pytest.raises(ConfigError, match="column ship_date of shipments is missing"):
        unflatten({**tables, "shipments": complete_frames.shipments.drop("ship_date")})
    with pytest.raises(ConfigError, match="ship_date of shipments is String"):
        unflatten({**tables, "shipments": complete_frames.shipments.cast({"ship_date": pl.String})})
    with pytest.raises(ConfigError, match=r"gross_weight of shipments .*no number"):
        unflatten({**tables, "shipments": complete_frames.shipments.with_columns(gross_weight=pl.lit(float("nan")))})


@pytest.mark.parametrize("given", [None, "tables", Path("tables"), [b"{}"], 1, pl.DataFrame()], ids=repr)
def test_what_is_no_tables_is_refused_in_one_sentence(given: Any) -> None:
    name = "None" if given is None else "an int" if isinstance(given, int) else f"a {type(given).__name__}"
    with pytest.raises(ConfigError) as error:
        unflatten(given)
    assert str(error.value) == (
        f"unflatten takes the tables that flatten, build and open return, or a dict of frames; got {name}. For tables in "
        "a folder, use open first."
    )


def test_a_table_that_is_no_polars_frame_is_refused(complete_frames: Frames) -> None:
    others: dict[str, Any] = {"a LazyFrame": complete_frames.shipments.lazy(), "None": None, "a list": [1]}
    for name, other in others.items():
        with pytest.raises(ConfigError, match=rf"^The table shipments is {name}\. Give a polars DataFrame"):
            unflatten({**complete_frames, "shipments": other})


def test_columns_of_ones_own_are_no_hindrance(complete_frames: Frames) -> None:
    more = {name: frame.with_columns(pl.lit("mine").alias("text")) for name, frame in complete_frames.items()}
    assert list(unflatten(more)) == list(unflatten(complete_frames))
