"""pandas: json.loads, a comprehension a list, json_normalize, to_parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from tests.benchmarks.candidates import a_file_each, shape
from tests.benchmarks.orders import ALL, IDS, LISTS

LEAVES_OUT = (
    "exact money, days (instants instead), whole numbers where one is missing (floats), free-form numbers as they were "
    "written, row keys and places in lists, checks, failures apart"
)


def run(file: Path, out: Path) -> None:
    out.mkdir()
    dates = set(_dates(shape(file)))
    with file.open("rb") as lines:
        orders = [json.loads(line) for line in lines]
    records: dict[str, list[Any]] = {"orders": orders}
    for table, (parent, way) in LISTS.items():
        records[table] = [_under(record, parent, entry) for record in records[parent] for entry in _list(record, way)]
    units = [unit for order in orders for unit in _units(order["orderId"], _list(order, ("handlingUnits",)))]
    records["handling_units"] = units
    records["handling_positions"] = [
        {"orderId": unit["orderId"], "place": unit["place"], **position}
        for unit in units
        for position in _list(unit, ("handlingPositions",))
    ]
    records["custom_attributes"] = list(_attributes(orders, records["order_positions"]))
    for table, found in records.items():
        frame = pd.json_normalize([_plain(record) for record in found], sep="_")
        for name in dates & set(frame.columns):
            frame[name] = pd.to_datetime(frame[name], format="ISO8601", utc=True)
        frame.to_parquet(out / f"{table}.parquet")


def tables(out: Path) -> dict[str, list[Path]]:
    return a_file_each(out, ALL)


def _under(record: dict[str, Any], parent: str, entry: Any) -> dict[str, Any]:
    """An entry of a list with the ids that lead to it."""
    *above, last = IDS[parent]
    ids = {f"parent_{name}": record.get(f"parent_{name}") for name in above} | {f"parent_{last}": record.get(last)}
    return {**ids, **entry} if isinstance(entry, dict) else {**ids, "value": entry}


def _list(record: dict[str, Any], way: Iterable[str]) -> list[Any]:
    for name in way:
        record = record.get(name) or {}
    return [entry for entry in record or () if entry is not None]


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its lists, free-form objects as text."""
    plain = {name: value for name, value in record.items() if not isinstance(value, list)}
    if plain.get("customAttributes") is not None:
        plain["customAttributes"] = json.dumps(plain["customAttributes"])
    if plain.get("deliveryAddress"):
        plain["deliveryAddress"] = _plain(plain["deliveryAddress"])
    return plain


def _units(order_id: int, units: list[Any], parent: str | None = None) -> Iterator[dict[str, Any]]:
    for number, unit in enumerate(units):
        place = str(number) if parent is None else f"{parent}.{number}"
        yield {"orderId": order_id, "place": place, "parent": parent, **unit}
        yield from _units(order_id, _list(unit, ("childHandlingUnits",)), place)


def _attributes(orders: list[Any], positions: list[Any]) -> Iterator[dict[str, Any]]:
    owners = [(order["orderId"], None, order) for order in orders]
    owners += [(line["parent_orderId"], line.get("positionId"), line) for line in positions]
    for order_id, position_id, owner in owners:
        found = owner.get("customAttributes") or {}
        for key, value in (json.loads(found) if isinstance(found, str) else found).items():
            text = value if isinstance(value, str) else json.dumps(value)
            yield {"orderId": order_id, "positionId": position_id, "key": key, "value": text}


def _dates(what: Any) -> Iterator[str]:
    """Names of all fields that hold instants or days."""
    for name, inner in what.items():
        if inner in ("instant", "day"):
            yield name
        elif isinstance(inner, dict):
            yield from _dates(inner)
        elif isinstance(inner, list) and isinstance(inner[0], dict):
            yield from _dates(inner[0])
