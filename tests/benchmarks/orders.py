"""What all candidates read, the lists in it, and how many rows they hold: counted with the standard library alone.

Nothing here comes from the tables of quivo_frames, so that its rows are counted as independently as those of the others.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import DATA, ROOT
from tests.benchmarks.sparse_orders import sparse_order

STAND_IN, SPARSE = "stand-in", "sparse"
"""The two shapes of orders that builds are measured on."""
_STAND_IN = ROOT / "quivo_frames" / "standin"

LISTS = {
    "address_identifiers": ("orders", ("deliveryAddress", "additionalIdentifiers")),
    "order_positions": ("orders", ("positions",)),
    "fulfillment_orders": ("orders", ("fulfillmentOrders",)),
    "fulfillment_positions": ("fulfillment_orders", ("positions",)),
    "shipments": ("fulfillment_orders", ("shipments",)),
    "tracking_links": ("shipments", ("trackingLinks",)),
    "tracking_numbers": ("shipments", ("trackingNumbers",)),
    "shipment_positions": ("shipments", ("positions",)),
    "serial_numbers": ("shipment_positions", ("serialNumbers",)),
    "grouped_positions": ("shipments", ("groupedPositions",)),
    "grouped_serial_numbers": ("grouped_positions", ("serialNumbers",)),
    "pod_documents": ("shipments", ("podDocuments",)),
    "order_tags": ("orders", ("tags",)),
    "order_errors": ("orders", ("entityErrors",)),
}
"""Table -> the table of the records that hold its list, and the way to it. Without the recursive and the free-form."""

UNITS = ("handling_units", "handling_positions")
FREE_FORM = "custom_attributes"
ALL = ("orders", *LISTS, *UNITS, FREE_FORM)

SHAPE = "shape.json"
"""For processes that must not load polars to know what an order looks like."""

IDS = {
    "orders": ("orderId",),
    "fulfillment_orders": ("orderId", "fulfillmentOrderId"),
    "shipments": ("orderId", "fulfillmentOrderId", "shipmentId"),
    "shipment_positions": ("orderId", "fulfillmentOrderId", "shipmentId", "shipmentPositionId"),
    "grouped_positions": ("orderId", "fulfillmentOrderId", "shipmentId", "warehouseSku"),
}
"""Table -> the fields that rows of its lists are joined to it by, as far as the API has ids."""


def orders_file(orders: int, folder: Path = DATA, kind: str = STAND_IN) -> Path:
    """The file of that many orders of a kind of `KINDS`, with their shape beside it.

    Written once, and again when the sources of the orders have changed.
    """
    digest = hashlib.sha256()
    for source in (Path(__file__), Path(__file__).with_name("sparse_orders.py"), *sorted(_STAND_IN.glob("*.py"))):
        digest.update(source.read_bytes())
    file = folder / f"{kind}-{orders}-{digest.hexdigest()[:8]}.ndjson"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SHAPE).write_text(json.dumps(shape()), encoding="utf-8")
    if not file.exists():
        part = file.with_suffix(".part")
        with part.open("wb") as lines:
            lines.writelines(order + b"\n" for order in islice(KINDS[kind](), orders))
        part.rename(file)
    return file


def _stand_in_orders() -> Iterator[bytes]:
    from quivo_frames.standin.orders import FIRST_ID, order_json

    return map(order_json, count(FIRST_ID))


def _with_unknown_field() -> Iterator[bytes]:
    for number, order in enumerate(_stand_in_orders()):
        yield order if number % 5 else b'{"salesChannel":{"name":"web","since":2024},' + order[1:]


def _with_decimal_quantities() -> Iterator[bytes]:
    return (re.sub(rb'("quantity":\d+)(?=[,}])', rb"\1.0", order) for order in _stand_in_orders())


def _with_naive_times() -> Iterator[bytes]:
    return (re.sub(rb'(T\d\d:\d\d:\d\d)Z"', rb'\1"', order) for order in _stand_in_orders())


KINDS: dict[str, Callable[[], Iterator[bytes]]] = {
    STAND_IN: _stand_in_orders,
    SPARSE: lambda: map(sparse_order, count()),
    "unknown-field": _with_unknown_field,
    "decimal-quantity": _with_decimal_quantities,
    "naive-times": _with_naive_times,
}
"""Orders without end, by kind: those of the stand-in, those of another shape, and the stand-in's with something odd:
an unknown field in every fifth order, every quantity written as 2.0, every time without its zone."""


def shape() -> dict[str, Any]:
    """What an order looks like, for candidates that want a schema: objects as dicts, lists as lists, kinds as texts.

    {"orderId": "int64", "positions": [{"quantity": "int64", …}], "tags": ["text"], …}
    """
    from quivo_frames.model.order import Order, Record
    from quivo_frames.model.tables import fields_of

    def of(record: type[Record], around: tuple[type[Record], ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field in fields_of(record):
            name, inner = field.json_name, field.record
            if inner in around:
                found[name] = "recursive"
            elif field.child_table is not None:
                found[name] = [of(inner, (*around, inner)) if inner else "text"]
            else:
                found[name] = of(inner, (*around, inner)) if inner else str(field.kind)
        return found

    return of(Order, (Order,))


def rows(file: Path) -> Counter[str]:
    """How many rows each table must have."""
    found: Counter[str] = Counter()
    with file.open("rb") as lines:
        for line in lines:
            found.update(_rows(json.loads(line)))
    return found


def _rows(order: dict[str, Any]) -> Counter[str]:
    records: dict[str, list[Any]] = {"orders": [order]}
    for table, (parent, way) in LISTS.items():
        records[table] = [entry for record in records[parent] for entry in _list(record, way)]
    units = list(_units(_list(order, ("handlingUnits",))))
    free = [_object(record.get("customAttributes")) for record in (order, *records["order_positions"])]
    counts = {table: len(entries) for table, entries in records.items()}
    inside = sum(len(_list(unit, ("handlingPositions",))) for unit in units)
    return Counter(counts | dict(zip(UNITS, (len(units), inside), strict=True)) | {FREE_FORM: sum(map(len, free))})


def _list(record: dict[str, Any], way: tuple[str, ...]) -> list[Any]:
    """The entries of a list but null ones; none if it or what it stands in is missing or null."""
    *around, last = way
    for name in around:
        record = record.get(name) or {}
    return [entry for entry in record.get(last) or () if entry is not None]


def _units(units: list[Any]) -> Iterator[Any]:
    for unit in units:
        yield unit
        yield from _units(_list(unit, ("childHandlingUnits",)))


def _object(value: Any) -> dict[str, Any]:
    """A free-form object, also one that is written as JSON text."""
    opened = json.loads(value) if isinstance(value, str) and value.startswith("{") else value
    return opened if isinstance(opened, dict) else {}
