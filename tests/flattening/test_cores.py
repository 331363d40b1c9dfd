"""The compiled core and the one in Python: the same tables, failures and notes, whatever the orders are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from quivo_frames.errors import ConfigError
from quivo_frames.flattening.compiled import _compiled_plan, write_plan
from quivo_frames.flattening.core_choice import compiled_core
from quivo_frames.model.order import Kind
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from tests.support.both_cores import flatten_with_core, list_differences, needs_core, raw_orders, share_read_in_python
from tests.support.case_files import find_cases, read_case
from tests.support.depth import examples
from tests.support.drawn_orders import DRAWN_SETTINGS, several_orders
from tests.support.hostile_attributes import hostile_order_json
from tests.support.mutations import mutated_order
from tests.support.paths import ROOT

pytestmark = needs_core

FULL_ORDER = {
    "orderId": 7, "created": "2026-03-05T14:48:12Z", "sellerId": 5, "orderPriority": 3,
    "deliveryAddress": {"name1": "A", "latitude": 48.2, "additionalIdentifiers": [{"identifier": "x"}]},
    "positions": [{"positionId": 1, "quantity": 2, "unitNetPrice": 1.5, "unitWeight": 0.25,
                   "customAttributes": {"colour": "red", "sizes": [1, 2]}}],
    "fulfillmentOrders": [{"fulfillmentOrderId": 3, "shipments": [{"shipmentId": 4, "predatedShipment": "2026-03-05"}]}],
    "handlingUnits": [{"sscc": "1", "handlingPositions": [{"sku": "a", "quantity": 1}],
                       "childHandlingUnits": [{"sscc": "2", "handlingPositions": [{"sku": "b"}]}]}],
    "earliestDeliveryDate": "2026-03-06", "transportInsuranceAmount": 12.34, "trackingEnabled": True, "tags": ["t", None, "u"],
    "customAttributes": {"a": 1},
}  # fmt: skip
UNUSUAL_VALUES: dict[Kind, list[str]] = {
    Kind.TEXT: ['""', '"a\\u0000b"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\u00e9"', "1", "{}"],
    Kind.INT64: [
        "0", "-0", "2.0", "-2.00", "-0.0", "2.5", "2.50", "0.00005", "1e3", "1E400", "9223372036854775807",
        "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "00", "123456789012345.0", "1.000000000000001",
        "1234567890123456.0", '"1"', "true", "12345678901234567890123",
    ],
    Kind.INT32: ["2147483647", "2147483648", "-2147483649", "3000000000.0", "2.0", "0.5"],
    Kind.FLAG: ["true", "false", "1", '"true"', "tru"],
    Kind.INSTANT: [
        '""', '"2026-03-05"', '"2026-03-05T14:48:12"', '"2026-03-05T14:48:12.123456789Z"', '"2026-03-05T14:48:12.1+0530"',
        '"2026-03-05T14:48:12-08"', '"2026-03-05T14:48:12.1234567"', '"2026-02-30T00:00:00Z"', '"0000-01-01T00:00:00Z"',
        '"0001-01-01T00:00:00+01:00"', '"9999-12-31T23:59:59.999999Z"', '"9999-12-31T23:59:59-01:00"', '"2026-03-05t14:48:12z"',
        '"2026-03-05 14:48:12"', '"0001-01-01T00:00:00Z"', '"1970-01-01T00:00:00Z"', '"1900-02-29T00:00:00Z"', '"2000-02-29T00:00:00Z"', '"2026-03-05T24:00:00Z"',
        '"2026-03-05T14:48:60Z"', '"2026-03-05T14:48:12.Z"', '"2026-03-05T14:48:12Z "', '"2026-03-05T14:48:12+24:00"', '"2026-03-05T14:48:12+01:60"',
        '"2026-03-05T14:48:12-23:59"', '"2026-03-05T14:48:12+1:00"', '"2026-03-05T14:60:12Z"', '"2026-13-05T14:48:12Z"', '"2026\\u002d03-05T14:48:12Z"', "12",
    ],
    Kind.DAY: ['""', '"2026-03-05T10:00:00Z"', '"2024-02-29"', '"2000-02-29"', '"2100-02-29"', '"1900-02-29"', '"2026-02-29"', '"0000-01-01"', '"0001-01-01"', '"x"', "12"],
    Kind.MONEY: [
        "0", "-0", "-0.0", "1.23456", "1.00005", "1e2", "1e-9", "99999999999999.9999", "100000000000000", "1e400", "0.1e-1",
        '"1.5"', "{}", "[1, 2]", "true", "12345678901234", "123456789012345", "1.", "01",
    ],
    Kind.MEASURE: [
        "0", "-0", "-0.0", "0.1", "0.30000000000000004", "123456789012345678", "1e300", "1e400", "1e-400", "5e-324", "1E5",
        "123456789012345.5", "0.000000000000000000000000001", "9" * 300, "9" * 310, '"1"', "1.7976931348623157e308",
    ],
    Kind.JSON: [
        "{}", "[]", '""', "1", "true", '"{}"', '"{\\"a\\": 1}"', '"{\\"a\\": 1}x"', '" {\\"a\\": \\"\\\\u00e9\\"} "', '"{"', '"[1]"', '{"a": 1, "a": 2}',
        '{"a": {"b": [1, {"c": null}]}}', '{"\\u0061": 1, "a": 2}', '{"a": "\\ud83d"}', '{"": ""}', '{"a": null}',
        json.dumps({f"k{i}": i for i in range(90)}), "{" + ", ".join(f'"k{i % 30}": {i}' for i in range(32)) + "}", '"not json"', '"{\\"a\\": 1, \\"a\\": 2}"', '{"a":1 , "b" :"x:y"}',
    ],
}  # fmt: skip
"""By kind of value, JSON of forms that a reader may get wrong; some break a rule."""


def assert_same(raws: list[RawOrder]) -> None:
    differences = list_differences(raws)
    assert not differences, f"{differences}\n{[raw.body[:2000] for raw in raws[:3]]}"


def places_of_values() -> list[tuple[str, Kind]]:
    """JSON text before a value of each column of FULL_ORDER, and the kind of the value."""
    text = json.dumps(FULL_ORDER)
    names = {
        column.json_path.split(".")[-1]: column.kind
        for table in TABLES.values() for column in table.value_columns if column.json_path
    }  # fmt: skip
    return [(found[0], names[found[1]]) for found in re.finditer(r'"(\w+)": ', text) if found[1] in names]


@pytest.mark.long
@pytest.mark.parametrize("kind", UNUSUAL_VALUES)
def test_unusual_values(kind: Kind) -> None:
    text = json.dumps(FULL_ORDER)
    bodies = []
    for before, found in places_of_values():
        if found is kind and before != '"orderId": ':
            start = text.index(before) + len(before)
            end = start + len(json.dumps(json.JSONDecoder().raw_decode(text[start:])[0]))
            bodies += [text[:start] + value + text[end:] for value in UNUSUAL_VALUES[kind]]
    assert bodies
    numbered = [body.replace('"orderId": 7', f'"orderId": {number}').encode() for number, body in enumerate(bodies, 1)]
    assert_same(raw_orders(numbered))
    for body in numbered:  # what is wrong with one order must not hide what is with another
        assert_same(raw_orders([body]))


ODD_TEXTS = [
    b"", b" ", b"{}", b"null", b"[]", b'{"orderId":null}', b'{"orderId":1}', b'\xef\xbb\xbf{"orderId":2}', b' {"orderId" : 3 } ',
    b'{"created":null,"orderId":4}', b'{"x":{"orderId":9},"orderId":5}', b'{"orderId":6,"orderId":6}', b'{"orderId":7.0}',
    b'{"orderId":-8}', b'{"orderId":-0}', b'{"orderId":1234567890123456789}', b'{"orderId":9223372036854775808}', b'{"orderId":"10"}',
    b'{"orderId":11}x', b'{"orderId":12', b'{"orderId":13,}', b'{"orderId":14,"tags":["a",]}', b'{"data":{"orderId":15}}',
    b'[{"orderId":16}]', b'{"order":[{"orderId":17,"created":"2026-01-01T00:00:00"}]}', b'{"orderId":18,"order\\u0049dentifier":"x"}',
    b'{"orderId":19,"comment":"\xff"}', b'{"orderId":20,"comment":"\xed\xa0\x80"}', b'{"orderId":21,"comment":"\xf4\x90\x80\x80"}',
    b'{"orderId":22,"comment":"\xc0\xaf"}', b'{"orderId":23,"comment":"a\x00b"}', b'{"orderId":24,"comment":"a\nb"}',
    b'{"orderId":25,"tags":[null,"a",null]}', b'{"orderId":26,"positions":[null,{},null,{"name":"b"}]}', b'{"orderId":27}\x00',
    b'{"orderId":28,"new":1,"new":2}', b'{"orderId":29,"new":null,"old":{"a":[1,2,{"b":null}]}}', b'{"orderId":30,"new":null,"new":1}',
    b'{"orderId":31,"comment":null,"comment":"x"}', b'{"orderId":32,"comment":"x","comment":null}', b'{"orderId":33,"n\xc3\xa9w":[]}',
    b'{"orderId":34,"handlingUnits":[{"childHandlingUnits":[{"handlingPositions":[{"sku":"b"}]}],"handlingPositions":[{"sku":"a","x":1}]}]}',
    b'{"orderId":35,"customAttributes":{"a":1},"positions":[{"customAttributes":{"b":2}},{"customAttributes":{"c":3}}]}',
    b'{"orderId":36,"positions":[{"customAttributes":{"b":2}}],"customAttributes":{"a":1}}', b'{"orderId":037}', b'{"orderId":38,"tags":{}}',
    b'{"orderId":39,"deliveryAddress":[]}', b'{"orderId":40,"deliveryAddress":{"new":1,"name1":"\\ud83d\\ude00"}}', b'{"orderId":+41}',
    b'{"orderId":42,"comment":"\xff' + b"a" * 40 + b'"}', b'{"orderId":43,"comment":"\xe0\x80\xaf"}', b'{"orderId":44,"comment":"\xf0\x80\x80\xaf"}',
    b'{"orderId":45,"comment":"\\v"}', b'{"orderId":46,"new":1e}', b'{"orderId":47,"new":1.e5}', b'{"orderId":48,"new":-}', b'{"orderId":49,"new":[1 2]}',
    b'{"orderId":50,"new":{"a" 1}}', b'{"orderId":51,"new":{1:2}}', b'{"orderId":52,"new":"\\ud83d"}', b'{"orderId":53,"new":nul}', b'{"orderId":54,"new":"\\u00g0"}',
    b'{"orderId":55,"handlingUnits":[{"childHandlingUnits":[{"handlingPositions":[{"new":1}]}],"handlingPositions":[{"new":[]},{"old":1}]}]}',
    b'{"orderId":57,"trackingEnabled":true,"tags":1}', b'{"orderId":58,"trackingEnabled":false}',
    b'{"orderId":56,"positions":[{"customAttributes":[]}],"customAttributes":{"a":1},"deliveryAddress":{"name1":"x"}}',
]  # fmt: skip


@pytest.mark.long
def test_odd_texts() -> None:
    raws = raw_orders(ODD_TEXTS)
    assert_same(raws)
    for raw in raws:
        assert_same([raw])


@pytest.mark.long
def test_every_day_of_the_calendar() -> None:
    first, last = date.min.toordinal(), date.max.toordinal()
    days = [date.fromordinal(number) for number in {first, last, *range(first, last, 97)}]
    days += [date(year, month, day) for year in range(1, 9999, 50) for month, day in ((2, 28), (3, 1), (12, 31))]
    bodies = [f'{{"orderId":{number},"earliestDeliveryDate":"{day}","created":"{day}T00:00:00Z"}}' for number, day in enumerate(days)]  # fmt: skip
    frames, flattener = flatten_with_core(raw_orders([body.encode() for body in bodies]), compiled_core())
    assert frames["orders"]["earliest_delivery_date"].to_list() == days
    assert frames["orders"]["created"].dt.date().to_list() == days
    assert flattener.read_in_python == 0


@pytest.mark.parametrize("name", ["new", "n`w", "n\u00e9w"])
@pytest.mark.parametrize(
    "units",
    [
        '[{"childHandlingUnits":[{"NAME":"a"}],"NAME":1}]',
        '[{"childHandlingUnits":[{"NAME":"a"}]},{"NAME":1}]',
        '[{"childHandlingUnits":[{"handlingPositions":[{"NAME":"a"}]}],"handlingPositions":[{"NAME":1}]}]',
        '[{"childHandlingUnits":[{"handlingPositions":[{"quantity":2.5}]}],"handlingPositions":[{"quantity":3.5}]}]',
    ],
)
def test_the_first_row_is_that_of_the_table(units: str, name: str) -> None:
    """Of several values a failure or a note shows that of the first row, whatever comes first in the JSON."""
    assert_same(raw_orders([f'{{"orderId":1,"handlingUnits":{units.replace("NAME", name)}}}'.encode()]))


def test_other_orders_do_not_change_a_failure() -> None:
    too_great = b'{"orderId":1,"positions":[{"quantity":12345678901234567890123}]}'
    two_failures = b'{"orderId":2,"positions":[{"quantity":2.5},{"quantity":99999999999999999999}]}'
    only_unusual = b'{"orderId":3,"positions":[{"quantity":2.5},{"quantity":2.0}]}'
    raws = raw_orders([too_great, two_failures, only_unusual])
    assert_same(raws)
    for core in (compiled_core(), None):
        rules = flatten_with_core(raws, core)[0].failures["rule"].to_list()
        assert rules == ["out_of_range", "not_whole", "not_whole"]


def test_deep_orders() -> None:
    def nested_units(depth: int) -> str:
        return '[{"childHandlingUnits":' * depth + "[]" + "}]" * depth

    bodies = [
        f'{{"orderId":{depth},"handlingUnits":{nested_units(depth)}}}' for depth in (1, 50, 190, 199, 200, 201, 300)
    ]
    nulls = "null," * 100  # long keys: 7/0.100.100
    bodies += [
        f'{{"orderId":{500 + depth},"handlingUnits":{nested_units(depth).replace("[{", f"[{nulls}{{")}}}'
        for depth in (100, 190)
    ]
    bodies += [
        f'{{"orderId":{1000 + depth},"new":{"[" * depth}{"]" * depth}}}' for depth in (1, 99, 100, 101, 102, 900)
    ]
    bodies += [
        f'{{"orderId":{3000 + depth},"customAttributes":{{"a":{"[" * depth}{"]" * depth}}}}}'
        for depth in (1, 99, 100, 101, 900)
    ]
    assert_same(raw_orders([body.encode() for body in bodies]))


@pytest.mark.long
def test_many_unknown_fields() -> None:
    bodies = []
    for number, count in enumerate((1, 99, 100, 101, 199, 200, 201, 300), 1):
        fields = ",".join(f'"new{i}":{i}' for i in range(count))
        bodies += [
            f'{{"orderId":{number},{fields}}}',
            f'{{"orderId":{number + 50},"positions":[{{{fields}}},{{{fields}}}]}}',
        ]
    assert_same(raw_orders([body.encode() for body in bodies]))


@pytest.mark.parametrize("folder", list(find_cases()), ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_cases(folder: Path, tmp_path: Path) -> None:
    case = read_case(folder)
    file = tmp_path / case.input_name
    file.write_bytes(case.content)
    assert_same(raw_orders(case.split_orders(file)))


@pytest.mark.drawn
def test_hostile_and_sample_orders() -> None:
    samples = (ROOT / "data" / "sample" / "orders.ndjson").read_bytes().splitlines()
    assert_same(raw_orders([*samples, *(hostile_order_json(number, 11) for number in range(1, examples(200)))]))


@pytest.mark.long
@pytest.mark.drawn
def test_mutated_orders() -> None:
    for start in range(0, examples(5000), 50):
        assert_same(raw_orders([mutated_order(number, 21) for number in range(start, start + 50)]))


@pytest.mark.long
@pytest.mark.drawn
@DRAWN_SETTINGS
@given(several_orders())
def test_drawn_orders(bodies: list[str]) -> None:
    assert_same(raw_orders([body.encode() for body in bodies]))


def test_standin_orders() -> None:
    assert_same(raw_orders([order_json(number) for number in range(1, 400)]))


def change_all(bodies: list[bytes], pattern: bytes, to: bytes) -> tuple[bytes, ...]:
    changed = tuple(re.sub(pattern, to, body) for body in bodies)
    assert sum(one != other for one, other in zip(bodies, changed, strict=True)) > len(bodies) / 2
    return changed


@pytest.mark.long
def test_what_is_only_unusual_stays_in_the_compiled_core() -> None:
    bodies = [order_json(number) for number in range(1, 60)]
    changed = {
        "as they are": tuple(bodies),
        "an unknown field": change_all(bodies, rb'"sellerId":', b'"newField":{"a":[1,2]},"sellerId":'),
        "every quantity 2.0": change_all(bodies, rb'"quantity":(\d+)', rb'"quantity":\1.0'),
        "all times naive": change_all(bodies, rb"(T\d\d:\d\d:\d\d(\.\d+)?)Z", rb"\1"),
        "free-form values are lists": change_all(
            bodies, rb'"customAttributes":(null|\{[^{}]*\})', rb'"customAttributes":[]'
        ),
        "the id comes last": tuple(re.sub(rb'^\{("orderId":\d+),(.*)\}$', rb"{\2,\1}", body) for body in bodies),
        "in an envelope": tuple(b'{"data":' + body + b"}" for body in bodies),
        "spaces": tuple(json.dumps(json.loads(body), indent=1).encode() for body in bodies),
    }
    for name, orders in changed.items():
        assert share_read_in_python(orders) == 0, name
        assert_same(raw_orders(orders))


def test_threads_do_not_disturb_each_other() -> None:
    raws = raw_orders([order_json(number) for number in range(1, 200)])
    alone, _ = flatten_with_core(raws, compiled_core())
    found: list[Any] = []

    def flatten_often() -> None:
        found.extend(flatten_with_core(raws, compiled_core())[0] for _ in range(5))

    threads = [threading.Thread(target=flatten_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(frames[name].equals(alone[name]) for frames in found for name in TABLES)


OUT_OF_MEMORY = """
import resource
from quivo_frames import _core
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.compiled import _compiled_plan, write_plan
plan = _core.compile_plan(write_plan())
body = b'{"orderId":1,"comment":"' + b"x" * 50_000_000 + b'"}'
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 20_000_000, resource.RLIM_INFINITY))
try:
    _core.flatten_orders(plan, [body])
except MemoryError:
    print("MemoryError")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(len(_core.flatten_orders(plan, [body])[2]) // 8)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory that holds")
def test_short_memory_is_an_error_of_python() -> None:
    done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True)
    assert (done.stdout.split(), done.returncode) == (["MemoryError", "1"], 0), done.stderr


@pytest.mark.parametrize(
    "arguments",
    [(), (None, []), ("plan", []), (b"", [b""]), ([], ["text"])],
)
def test_wrong_arguments_are_errors_of_python(arguments: tuple[Any, ...]) -> None:
    core = compiled_core()
    assert core is not None
    with pytest.raises((TypeError, ValueError)):
        core.flatten_orders(*arguments)
    with pytest.raises(RuntimeError, match="plan"):
        core.compile_plan("1 2 nonsense")
    with pytest.raises(TypeError):
        core.flatten_orders(core.compile_plan(write_plan()), ["text"])


def test_a_core_of_another_version_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quivo_frames.flattening.compiled._PLAN_VERSION", 0)
    _compiled_plan.cache_clear()
    with pytest.raises(ConfigError, match=r"does not fit .* Install quivo_frames again"):
        flatten_with_core(raw_orders([b'{"orderId":1}']), compiled_core())
