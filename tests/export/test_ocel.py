"""OCEL 2.0 exports: what a plain walk through the orders finds, in the form of the standard, as pm4py reads it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import quivo_frames as qf
from quivo_frames.export import ocel
from quivo_frames.export.order_traces import find_order_traces
from quivo_frames.standin.orders import ndjson_lines
from tests.support.archived_orders import NOON, record_answers
from tests.support.personal_traces import marked_order
from tests.support.reader_environment import run_in_reader_environment

if TYPE_CHECKING:
    from pathlib import Path

    from quivo_frames.dataset.dataset import Dataset

BODIES = list(ndjson_lines(120, seed=21))
ORDERS = [json.loads(body) for body in BODIES]
MARK = "Ida-Lund-of-Harbour-Road"


def _list_of(properties: dict[str, Any], **optional: Any) -> dict[str, Any]:
    item = {
        "type": "object",
        "properties": properties | optional,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "array", "items": item}


_TEXT, _TIME = {"type": "string", "minLength": 1}, {"type": "string", "format": "date-time"}
_VALUE = {"type": ["string", "number", "boolean"]}
_TYPES = _list_of(
    {
        "name": _TEXT,
        "attributes": _list_of({"name": _TEXT, "type": {"enum": ["string", "time", "integer", "float", "boolean"]}}),
    }
)
_RELATIONSHIPS = _list_of({"objectId": _TEXT, "qualifier": _TEXT})
OCEL_SCHEMA = {  # as https://www.ocel-standard.org/specification/formats/json describes it
    "type": "object",
    "properties": {
        "objectTypes": _TYPES,
        "eventTypes": _TYPES,
        "objects": _list_of(
            {"id": _TEXT, "type": _TEXT},
            attributes=_list_of({"name": _TEXT, "time": _TIME, "value": _VALUE}), relationships=_RELATIONSHIPS,
        ),
        "events": _list_of(
            {"id": _TEXT, "type": _TEXT, "time": _TIME},
            attributes=_list_of({"name": _TEXT, "value": _VALUE}), relationships=_RELATIONSHIPS,
        ),
    },
    "required": ["objectTypes", "eventTypes", "objects", "events"],
    "additionalProperties": False,
}  # fmt: skip
INSTANTS = {
    "orderDate": "ordered", "created": "created", "exportedAt": "exported",
    "cancelRequestedAt": "cancellation requested", "completedAt": "completed", "fulfillmentOrderCreated": "planned",
    "shipDate": "shipped", "carrierPickUpDate": "picked up", "deliveryDate": "delivered", "podDate": "proven",
}  # fmt: skip


def built(folder: Path, bodies: list[bytes], **options: Any) -> Dataset:
    (folder / "orders.ndjson").write_bytes(b"\n".join(body.strip() for body in bodies))
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, **options)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The event log of the orders, as JSON and as SQLite."""
    folder = tmp_path_factory.mktemp("ocel")
    tables = built(folder, BODIES)
    for name in ("log.json", "log.sqlite"):
        tables.export("ocel", folder / name)
    return folder / "log.json", folder / "log.sqlite"


def walked_units(units: list[dict[str, Any]] | None) -> int:
    return sum(1 + walked_units(unit.get("childHandlingUnits")) for unit in units or [])


def walked_events() -> Counter[tuple[str, str, frozenset[str]]]:
    """What happened, when, and to which order, fulfillment order and shipment, from the JSON of the orders."""
    found: Counter[tuple[str, str, frozenset[str]]] = Counter()

    def note(record: dict[str, Any], *objects: str, mark: str = "") -> None:
        for name, event in INSTANTS.items():
            if record.get(name):
                found[
                    f"{mark}{event}",
                    datetime.fromisoformat(record[name]).astimezone(UTC).isoformat(),
                    frozenset(objects),
                ] += 1

    for order in ORDERS:
        number = order["orderId"]
        note(order, f"order:{number}")
        for place, plan in enumerate(order.get("fulfillmentOrders") or []):
            holder = f"fulfillment_order:{number}/{place}"
            note(plan, f"order:{number}", holder)
            for place_in_plan, shipment in enumerate(plan.get("shipments") or []):
                mark = "reversed: " if shipment.get("reversed") else ""
                note(shipment, f"order:{number}", holder, f"shipment:{number}/{place}/{place_in_plan}", mark=mark)
    return found


@pytest.mark.long
def test_events_and_objects_are_those_of_a_plain_walk(logs: tuple[Path, Path]) -> None:
    import jsonschema  # takes seconds

    log = json.loads(logs[0].read_bytes())
    jsonschema.validate(log, OCEL_SCHEMA, format_checker=jsonschema.FormatChecker())
    kinds = {one["id"]: one["type"] for one in log["objects"]}
    assert len(kinds) == len(log["objects"])
    kept = {"order", "fulfillment order", "shipment"}
    told = Counter(
        (
            event["type"], datetime.fromisoformat(event["time"]).isoformat(),
            frozenset(one["objectId"] for one in event["relationships"] if kinds[one["objectId"]] in kept),
        )
        for event in log["events"]
    )  # fmt: skip
    assert told == walked_events()
    plans = [plan for order in ORDERS for plan in order.get("fulfillmentOrders") or []]
    counted = Counter(kinds.values())
    assert (counted["order"], counted["fulfillment order"]) == (len(ORDERS), len(plans))
    assert counted["shipment"] == sum(len(plan.get("shipments") or []) for plan in plans)
    assert counted["handling unit"] == sum(walked_units(order.get("handlingUnits")) for order in ORDERS) > 0
    assert counted["line"] >= sum(len(order.get("positions") or []) for order in ORDERS)


def test_relations_lead_to_objects_that_are_there_and_are_of_one_order(logs: tuple[Path, Path]) -> None:
    log = json.loads(logs[0].read_bytes())
    types = {kind: {one["name"] for one in log[kind]} for kind in ("objectTypes", "eventTypes")}
    attributes = {one["name"]: {a["name"] for a in one["attributes"]} for one in log["objectTypes"]}
    number_of = {one["id"]: one["id"].partition(":")[2].partition("/")[0] for one in log["objects"]}
    seen = set()
    for one in log["objects"]:
        assert one["type"] in types["objectTypes"]
        assert {attribute["name"] for attribute in one["attributes"]} <= attributes[one["type"]]
        for relation in one["relationships"]:
            assert number_of[relation["objectId"]] == number_of[one["id"]]
            seen.add((one["type"], relation["qualifier"]))
    assert seen == {
        ("order", "has line"), ("order", "is planned as"), ("order", "is packed in"), ("fulfillment order", "plans"),
        ("fulfillment order", "is shipped as"), ("shipment", "ships"), ("handling unit", "holds"),
        ("handling unit", "stands in"),
    }  # fmt: skip
    for event in log["events"]:
        assert event["type"] in types["eventTypes"]
        assert len({number_of[relation["objectId"]] for relation in event["relationships"]}) == 1
        assert len({tuple(relation.values()) for relation in event["relationships"]}) == len(event["relationships"])


def test_shipped_lines_and_units_are_those_of_the_shipment(tmp_path: Path) -> None:
    order = {
        "orderId": 7, "orderDate": "2026-09-01T08:00:00Z",
        "positions": [{"positionIdentifier": "L0", "sku": "A", "quantity": 1}, {"positionIdentifier": "L1", "sku": "B", "quantity": 1}],
        "fulfillmentOrders": [{
            "fulfillmentOrderCreated": "2026-09-01T09:00:00Z",
            "shipments": [
                {"shipDate": f"2026-09-0{day}T09:00:00Z", "positions": [{"positionIdentifier": line, "sku": sku, "quantity": 1}]}
                for day, line, sku in [(2, "L0", "A"), (3, "L1", "B")]
            ],
        }],
        "handlingUnits": [{
            "type": "PALLET", "childHandlingUnits": [
                {"type": "CARTON", "handlingPositions": [{"positionIdentifier": "L1", "sku": "B", "quantity": 1}]},
            ],
        }],
    }  # fmt: skip
    built(tmp_path, [json.dumps(order).encode()]).export("ocel", tmp_path / "log.json")
    log = json.loads((tmp_path / "log.json").read_bytes())
    related = {event["id"]: {one["objectId"] for one in event["relationships"]} for event in log["events"]}
    own = {"order:7", "fulfillment_order:7/0"}
    assert related["order_date:7"] == {"order:7", "line:7/0", "line:7/1"}
    assert related["ship_date:7/0/0"] == own | {"shipment:7/0/0", "line:7/0"}
    assert related["ship_date:7/0/1"] == own | {
        "shipment:7/0/1", "line:7/1", "handling_unit:7/0", "handling_unit:7/0.0",
    }  # fmt: skip


def test_sqlite_holds_what_json_holds(logs: tuple[Path, Path]) -> None:
    log = json.loads(logs[0].read_bytes())
    with closing(sqlite3.connect(logs[1])) as db:
        db.execute("PRAGMA foreign_keys = ON")
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert dict(db.execute("SELECT ocel_id, ocel_type FROM object")) == {
            one["id"]: one["type"] for one in log["objects"]
        }
        assert set(db.execute("SELECT * FROM event_object")) == {
            (event["id"], one["objectId"], one["qualifier"])
            for event in log["events"]
            for one in event["relationships"]
        }
        assert set(db.execute("SELECT * FROM object_object")) == {
            (thing["id"], one["objectId"], one["qualifier"])
            for thing in log["objects"]
            for one in thing["relationships"]
        }
        db.row_factory = sqlite3.Row
        for kind, things in (("object", log["objects"]), ("event", log["events"])):
            rows = {}
            for name, mapped in db.execute(f"SELECT * FROM {kind}_map_type").fetchall():
                for row in db.execute(f"SELECT * FROM {kind}_{mapped}"):
                    values = {
                        key: value
                        for key, value in dict(row).items()
                        if not key.startswith("ocel_") and value is not None
                    }
                    rows[row["ocel_id"]] = name, datetime.fromisoformat(row["ocel_time"]), values
            always = datetime.fromisoformat("1970-01-01T00:00:00Z")
            assert rows == {
                one["id"]: (
                    one["type"], datetime.fromisoformat(one["time"]) if kind == "event" else always,
                    {attribute["name"]: attribute["value"] for attribute in one["attributes"]},
                )
                for one in things
            }  # fmt: skip


@pytest.mark.long
def test_orders_written_a_few_at_a_time_are_the_same_log(
    logs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocel, "_ORDERS_AT_A_TIME", 7)
    tables = qf.open(logs[0].parent / "tables")
    tables.export("ocel", tmp_path / "log.json")
    whole, parts = json.loads(logs[0].read_bytes()), json.loads((tmp_path / "log.json").read_bytes())
    for name, things in whole.items():
        key = "id" if name in ("objects", "events") else "name"
        assert sorted(things, key=lambda one: one[key]) == sorted(parts[name], key=lambda one: one[key])


@pytest.mark.long
@pytest.mark.parametrize("name", ["log.json", "log.sqlite"])
@pytest.mark.parametrize("privacy", ["full", "none"])
def test_no_personal_value_is_in_an_event_log(tmp_path: Path, name: str, privacy: str) -> None:
    tables = built(tmp_path, [marked_order(100_001, MARK)])
    tables.export("ocel", tmp_path / name, privacy=privacy)
    assert MARK.encode() not in (tmp_path / name).read_bytes()
    assert b"order:100001" in (tmp_path / name).read_bytes()


@pytest.mark.long
@pytest.mark.parametrize("name", ["log.json", "log.sqlite"])
def test_an_earlier_log_is_replaced_and_no_other_file_is(tmp_path: Path, name: str) -> None:
    tables = built(tmp_path, [b'{"orderId":1}'])
    for _ in range(2):
        tables.export("ocel", tmp_path / name)
    (tmp_path / name).write_bytes(b'{"objects": []}')
    if name == "log.sqlite":
        (tmp_path / name).unlink()
        with closing(sqlite3.connect(tmp_path / name)) as db:
            db.execute("CREATE TABLE mine (value TEXT)")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(qf.ConfigError, match=r"log\.\w+"):
        tables.export("ocel", tmp_path / name)
    assert (tmp_path / name).read_bytes() == before


def test_tables_without_derived_ones_say_how_to_get_a_log(tmp_path: Path) -> None:
    tables = built(tmp_path, [b'{"orderId":1}'], derived=False)
    with pytest.raises(qf.ConfigError, match="Build the tables again without --no-derived"):
        tables.export("ocel", tmp_path / "log.json")
    assert not (tmp_path / "log.json").exists()


FULL_DISK_PROGRAM = """
import resource, signal, sys
import quivo_frames as qf
from quivo_frames.export.formats import load_writer_module
load_writer_module("ocel")
tables = qf.open(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    tables.export("ocel", sys.argv[2])
except qf.QuivoError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["log.json", "log.sqlite"])
@pytest.mark.parametrize("limit", [20_000, 300_000])
def test_a_full_disk_is_reported_and_leaves_what_was_there(
    logs: tuple[Path, Path], tmp_path: Path, name: str, limit: int
) -> None:
    out = tmp_path / name
    built(tmp_path, [b'{"orderId":1}']).export("ocel", out)
    before, names = out.read_bytes(), {path.name for path in tmp_path.iterdir()}
    command = [sys.executable, "-c", FULL_DISK_PROGRAM, str(logs[0].parent / "tables"), str(out), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("ExportError The tables cannot be written to"), done.stderr
    assert "another place, and export again." in done.stdout
    assert out.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.long
@pytest.mark.parametrize("name", ["log.json", "log.sqlite"])
def test_a_forgotten_order_is_in_no_byte_of_an_event_log(tmp_path: Path, name: str) -> None:
    with qf.Archive(tmp_path / "orders.sqlite") as archive:
        record_answers(archive, {order_id: marked_order(order_id, MARK) for order_id in (100_001, 100_002)}, NOON)
    tables = qf.build(tmp_path / "orders.sqlite", tmp_path / "tables", jobs=1)
    tables.export("ocel", tmp_path / name)
    assert find_order_traces(tmp_path / name, [100_001, 100_002, 999_999]) == (frozenset({100_001, 100_002}), True)
    receipt = qf.forget([100_001], tmp_path / "orders.sqlite", [tmp_path / "tables"])
    assert len(receipt.exports) == 1
    assert b"100001" not in (tmp_path / name).read_bytes()
    assert find_order_traces(tmp_path / name, [100_001, 100_002]) == (frozenset({100_002}), True)


READ_BY_PM4PY = """
import contextlib, json, sys
with contextlib.redirect_stdout(sys.stderr):
    import pm4py
    from pm4py.objects.ocel.validation import ocel20_rel_validation
    read = [pm4py.read_ocel2_json(sys.argv[1]), pm4py.read_ocel2_sqlite(sys.argv[2])]
    _, broken = ocel20_rel_validation.apply(sys.argv[2])
found = []
for log in read:
    ends = log.relations[["ocel:eid", "ocel:oid", "ocel:qualifier"]], log.o2o[["ocel:oid", "ocel:oid_2", "ocel:qualifier"]]
    events = [[row["ocel:eid"], row["ocel:activity"], row["ocel:timestamp"].isoformat()] for _, row in log.events.iterrows()]
    objects = log.objects[["ocel:oid", "ocel:type"]].values.tolist()
    found.append([sorted(rows) for rows in (events, objects, *(frame.values.tolist() for frame in ends))])
print(json.dumps({"found": found, "broken": list(broken)}))
"""


@pytest.mark.long
def test_pm4py_reads_the_same_from_both(logs: tuple[Path, Path]) -> None:
    read = run_in_reader_environment(READ_BY_PM4PY, *logs)
    assert read["broken"] == []
    log = json.loads(logs[0].read_bytes())
    expected = [
        [[one["id"], one["type"], datetime.fromisoformat(one["time"]).isoformat()] for one in log["events"]],
        [[one["id"], one["type"]] for one in log["objects"]],
        *(
            [[one["id"], to["objectId"], to["qualifier"]] for one in log[kind] for to in one["relationships"]]
            for kind in ("events", "objects")
        ),
    ]
    for found in read["found"]:
        events, objects, related, linked = found
        assert (events, related) == (sorted(expected[0]), sorted(expected[2]))
        told = {row[0] for row in objects}  # pm4py leaves out objects without events
        assert told == {one[1] for one in expected[2]}
        assert linked == sorted(row for row in expected[3] if {row[0], row[1]} <= told)
