"""A second flattener, written independently: slow, one value at a time, with the standard library alone.

The fields of an order come from the example in the API's documentation (`documented_order.json`), the rules for values
from README.md and the data dictionary. `fuzz.py` compares the tables with it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, NamedTuple, NoReturn

from tests.support.paths import DOCUMENTED_ORDER

TABLES = {
    "": "orders",
    "tags": "order_tags",
    "entityErrors": "order_errors",
    "deliveryAddress.additionalIdentifiers": "address_identifiers",
    "positions": "order_positions",
    "fulfillmentOrders": "fulfillment_orders",
    "fulfillmentOrders.positions": "fulfillment_positions",
    "fulfillmentOrders.shipments": "shipments",
    "fulfillmentOrders.shipments.trackingNumbers": "tracking_numbers",
    "fulfillmentOrders.shipments.trackingLinks": "tracking_links",
    "fulfillmentOrders.shipments.positions": "shipment_positions",
    "fulfillmentOrders.shipments.positions.serialNumbers": "serial_numbers",
    "fulfillmentOrders.shipments.groupedPositions": "grouped_positions",
    "fulfillmentOrders.shipments.groupedPositions.serialNumbers": "grouped_serial_numbers",
    "fulfillmentOrders.shipments.podDocuments": "pod_documents",
    "handlingUnits": "handling_units",
    "handlingUnits.handlingPositions": "handling_positions",
}
VALUES = {
    "order_tags": "tag",
    "tracking_numbers": "tracking_number",
    "tracking_links": "tracking_link",
    "serial_numbers": "serial_number",
    "grouped_serial_numbers": "serial_number",
}
"""The column of a list of plain texts."""
MONEY = {
    "unitNetPrice", "unitGrossPrice", "totalNetAmount", "totalGrossAmount", "customsValue",
    "transportInsuranceAmount", "cashOnDeliveryAmount",
}  # fmt: skip
MEASURES = {"latitude", "longitude", "unitWeight", "totalWeight", "grossWeight", "value"}
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?(Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?",
    re.ASCII,
)
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_EXACT = Context(prec=60)

Cells = dict[tuple[str, str], dict[str, Any]]
"""By table and key of a row, its values by column without nulls."""


class Number(str):
    """The text of a JSON number."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """A JSON object with repeated keys kept."""


class FreeForm(NamedTuple):
    """The value that a cell of free-form JSON must have, whatever its blanks and escapes."""

    value: Any


class UnholdableOrder(Exception):
    """The tables cannot hold the order."""


class TooDeep(Exception):
    """The order is nested deeper than this reader goes."""


DEEPEST_READ = 150
"""Levels that this reader goes down, far from the recursion limit."""


class ReadOrder(NamedTuple):
    """What the tables and notes must say about one order."""

    order_id: int
    cells: Cells
    notes: Counter[tuple[str, str]]
    text: str
    doubtful: bool
    """Whether a failure is right as well: a field stands twice, but taking the last one loses no value."""


def parse_json(text: str) -> Any:
    """Strict JSON as in RFC 8259: numbers as their text, objects as pairs."""
    return json.loads(
        text, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant, object_pairs_hook=Pairs
    )  # fmt: skip


def read_order(body: bytes) -> ReadOrder:
    """The order in the bytes.

    Raises:
        Refused: it must be a failure.
        TooDeep: it may be one.
    """
    try:
        text = body.decode()
        root = parse_json(text)
        _refuse_half_characters(root)
        if _depth_of(root) > DEEPEST_READ:
            raise TooDeep
    except ValueError as error:  # also of bytes that are no UTF-8, and of half a character
        raise UnholdableOrder(str(error)) from error
    except RecursionError as error:
        raise TooDeep from error
    if not isinstance(root, Pairs):
        raise UnholdableOrder("no object")
    reader = _OrderReader()
    order_id = reader.read_order_id(root)
    reader.read_record(root, SHAPE, ("orders", str(order_id), "", "$"))
    return ReadOrder(order_id, reader.cells, reader.notes, text, reader.doubtful)


def _depth_of(value: Any) -> int:
    if not isinstance(value, list):
        return 0
    return 1 + max((_depth_of(inner[1] if isinstance(value, Pairs) else inner) for inner in value), default=0)


def _holds_no_value(value: Any) -> bool:
    """Whether leaving it out would lose no value: null, and lists and objects of nulls."""
    if not isinstance(value, list):
        return value is None
    return all(_holds_no_value(inner[1] if isinstance(value, Pairs) else inner) for inner in value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _refuse_half_characters(value: Any) -> None:
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, Pairs):
        for key, inner in value:
            key.encode()
            _refuse_half_characters(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_half_characters(inner)


# The fields of an order: the kind of each, the fields of an object, or a list of either


def _shape_of(example: Any, name: str = "") -> Any:
    if name == "customAttributes":
        return "free"
    if isinstance(example, dict):
        return {key: _shape_of(value, key) for key, value in example.items()}
    if isinstance(example, list):
        return [_shape_of(example[0])] if example else []
    if isinstance(example, bool):
        return "flag"
    if isinstance(example, int):
        kinds = {"orderPriority": "rank"} | dict.fromkeys(MONEY, "money") | dict.fromkeys(MEASURES, "measure")
        return kinds.get(name, "count")
    if _INSTANT.fullmatch(example):
        return "instant"
    return "day" if _DAY.fullmatch(example) else "text"


SHAPE: dict[str, Any] = _shape_of(json.loads(DOCUMENTED_ORDER.read_text()))
SHAPE["handlingUnits"][0]["childHandlingUnits"] = SHAPE["handlingUnits"]


def value_columns(table: str) -> dict[str, str]:
    """The columns of a table for values of its own, with their kinds."""
    if table == "custom_attributes":
        return {"key": "text", "value": "text", "value_type": "text"}
    if table in VALUES:
        return {VALUES[table]: "text"}
    path = next(path for path, name in TABLES.items() if name == table)
    shape: Any = SHAPE
    for name in filter(None, path.split(".")):
        shape = shape[name]
        shape = shape[0] if isinstance(shape, list) else shape
    return dict(_prefixed_columns(shape, ""))


def _prefixed_columns(shape: dict[str, Any], prefix: str) -> Any:
    for name, kind in shape.items():
        if isinstance(kind, dict):
            yield from _prefixed_columns(kind, f"{prefix}{to_snake_case(name)}_")
        elif isinstance(kind, str):
            yield prefix + to_snake_case(name), kind


def to_snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class _OrderReader:
    """Reads one order into cells and notes."""

    def __init__(self) -> None:
        self.cells: Cells = {}
        self.notes: Counter[tuple[str, str]] = Counter()
        self.doubtful = False

    def read_order_id(self, root: Pairs) -> int:
        found = [value for name, value in root if name == "orderId" and value is not None]
        if len(found) != 1 or not isinstance(found[0], Number):
            raise UnholdableOrder("a field twice at $" if len(found) > 1 else "no orderId")
        return _read_integer(found[0], 2**63)

    def read_record(self, record: Any, shape: dict[str, Any], at: tuple[str, str, str, str]) -> None:
        """Reads an object into cells of the row `at`: table, key, prefix of the columns, JSON path."""
        table, key, prefix, path = at
        if not isinstance(record, Pairs):
            raise UnholdableOrder(f"no object at {path}")
        row = self.cells.setdefault((table, key), {})
        last = dict(record)
        if len(last) < len(record):
            self.doubtful = True
            if any(value is not last[name] and not _holds_no_value(value) for name, value in record):
                raise UnholdableOrder(f"a field twice at {path}")
        for name, value in last.items():
            if value is None:
                continue
            kind, here = shape.get(name), f"{path}.{name}"
            if kind is None:
                self.notes["unknown_field", here] += 1
            elif isinstance(kind, dict):
                self.read_record(value, kind, (table, key, f"{prefix}{to_snake_case(name)}_", here))
            elif isinstance(kind, list):
                self._read_list(name, value, kind[0], (table, key, prefix, here))
            else:
                cell = self._read_cell(kind, value, (table, key, prefix, here))
                if cell is not None:
                    row[prefix + to_snake_case(name)] = cell

    def _read_list(self, name: str, entries: Any, kind: Any, at: tuple[str, str, str, str]) -> None:
        _, key, _, path = at
        if not isinstance(entries, list) or isinstance(entries, Pairs):
            raise UnholdableOrder(f"no list at {path}")
        inner = name == "childHandlingUnits"
        path = path.removesuffix(".childHandlingUnits") if inner else f"{path}[]"
        table = TABLES[path.removeprefix("$.").replace("[]", "")]
        for place, entry in enumerate(entries):
            own = f"{key}{'.' if inner else '/'}{place}"
            if entry is None:
                continue
            if isinstance(kind, dict):
                self.read_record(entry, kind, (table, own, "", path))
            else:
                self.cells[table, own] = {VALUES[table]: _read_text(entry)}

    def _read_cell(self, kind: str, value: Any, at: tuple[str, str, str, str]) -> Any:
        path = at[3]
        if kind == "free":
            return self._read_free_form(value, at)
        if kind == "flag":
            if not isinstance(value, bool):
                raise UnholdableOrder(f"no flag at {path}")
            return value
        if kind == "text":
            return _read_text(value)
        if kind in ("instant", "day"):
            return self._read_time(kind, _read_text(value), path)
        if not isinstance(value, Number):
            raise UnholdableOrder(f"no number at {path}")
        if kind == "measure":
            if abs(number := float(value)) == float("inf"):
                raise UnholdableOrder(f"too large a number at {path}")
            return number
        if kind == "money":
            return self._read_money(value, path)
        return _read_integer(value, 2**31 if kind == "rank" else 2**63)

    def _read_money(self, text: Number, path: str) -> Decimal:
        try:
            exact = Decimal(text)
        except InvalidOperation as error:
            raise UnholdableOrder(f"absurd money at {path}") from error
        if exact.adjusted() > 17:
            raise UnholdableOrder(f"too much money at {path}")
        rounded = exact.quantize(Decimal("0.0001"), ROUND_HALF_EVEN, _EXACT) if exact.adjusted() > -30 else Decimal(0)
        if abs(rounded) >= 10**14:
            raise UnholdableOrder(f"too much money at {path}")
        self.notes["rounded_money", path] += rounded != exact
        return rounded

    def _read_time(self, kind: str, text: str, path: str) -> date | None:
        if not text:
            self.notes["empty_text", path] += 1
            return None
        try:
            read = self._read_day(text, path) if kind == "day" else self._read_instant(text, path)
        except (ValueError, OverflowError) as error:
            raise UnholdableOrder(f"no {kind} at {path}") from error
        self.notes["placeholder_date", path] += _stands_for_no_date(read)
        return read

    def _read_day(self, text: str, path: str) -> date:
        if not _DAY.fullmatch(text):
            if not _INSTANT.fullmatch(text):
                raise ValueError
            self.notes["instant_for_day", path] += 1
        return date(int(text[:4]), int(text[5:7]), int(text[8:10]))

    def _read_instant(self, text: str, path: str) -> datetime:
        if _DAY.fullmatch(text):
            self.notes["day_for_instant", path] += 1
            text += "T00:00:00Z"
        found = _INSTANT.fullmatch(text)
        if not found:
            raise ValueError
        *numbers, fraction, zone = found.groups()
        year, month, day, hour, minute, second = map(int, numbers)
        self.notes["digits_past_microseconds", path] += len(fraction or "") > 6
        self.notes["no_time_zone", path] += zone is None
        behind = timedelta()
        if zone and zone != "Z":
            minutes = int(zone[1:3]) * 60 + int(zone[3:].lstrip(":") or 0)
            behind = timedelta(minutes=-minutes if zone[0] == "-" else minutes)
        micro = int((fraction or "").ljust(6, "0")[:6])
        return datetime(year, month, day, hour, minute, second, micro, timezone(behind)).astimezone(UTC)

    def _read_free_form(self, value: Any, at: tuple[str, str, str, str]) -> FreeForm | None:
        _, key, _, path = at
        opened = value
        if isinstance(value, str) and not isinstance(value, Number):
            try:
                opened = parse_json(value)
                _refuse_half_characters(opened)
            except (ValueError, RecursionError):
                opened = None
        if not isinstance(opened, Pairs):
            self.notes["not_free_form", path] += 1
            return FreeForm(value)
        last = dict(opened)
        self.notes["repeated_attribute", path] += len(last) < len(opened)
        for place, (name, inner) in enumerate(last.items()):
            row = self.cells["custom_attributes", f"{key}/{place}"] = {"key": name, "value_type": _json_type(inner)}
            if inner is not None:
                plain = isinstance(inner, str) and not isinstance(inner, Number)
                row["value"] = inner if plain else FreeForm(inner)
        return FreeForm(value)


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or isinstance(value, Number):
        raise UnholdableOrder("no text")
    return value


def _read_integer(text: Number, bound: int) -> int:
    if len(text) > 400:
        raise UnholdableOrder("a number of too many digits")
    try:
        exact = Decimal(text)
    except InvalidOperation as error:  # an exponent of twenty digits
        raise UnholdableOrder("an absurd number") from error
    if not -bound <= exact < bound or exact != exact.to_integral_value():
        raise UnholdableOrder("no whole number that fits")
    return int(exact)


def _json_type(value: Any) -> str:
    if isinstance(value, Number):
        return "number"
    if isinstance(value, Pairs):
        return "object"
    return {str: "string", bool: "boolean", list: "array", type(None): "null"}[type(value)]


def _stands_for_no_date(read: date) -> bool:
    """Whether a day or an instant is one that software writes for none: .NET's year 1, 1900, 1970, the last years."""
    if not 1902 <= read.year < 9000:
        return True
    if not isinstance(read, datetime):
        return read == date(1970, 1, 1)
    zones = (timedelta(minutes=15 * quarters) for quarters in range(-12 * 4, 14 * 4 + 1))
    return any(read == datetime(1970, 1, 1, tzinfo=timezone(zone)) for zone in zones)
