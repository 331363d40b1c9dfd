"""What changed between two orders, found in their JSON by plain Python that shares nothing with the package.

Orders are given as `order_comparison.read_order` returns them: without empty values, numbers and times as values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

SKU_KEYS = [["sku", "lot"], ["sku"]]
IDS_OF_LISTS: dict[str, tuple[list[str], list[list[str]]]] = {
    "deliveryAddress.additionalIdentifiers": (["identifier"], [["type"]]),
    "positions": (["positionId", "positionIdentifier"], SKU_KEYS),
    "fulfillmentOrders": (["fulfillmentOrderId", "fulfillmentOrderIdentifier"], [["warehouseId"]]),
    "fulfillmentOrders.positions": (["fulfillmentOrderPositionId", "fulfillmentOrderPositionIdentifier"], SKU_KEYS),
    "fulfillmentOrders.shipments": (["shipmentId", "shipmentIdentifier", "sscc"], [["trackingNumber"]]),
    "fulfillmentOrders.shipments.positions": (
        ["shipmentPositionId"], [["positionIdentifier", "lot"], ["positionIdentifier"], *SKU_KEYS],
    ),
    "fulfillmentOrders.shipments.groupedPositions": (
        [], [["warehouseSku", "lot"], ["sellerSku", "lot"], ["warehouseSku"], ["sellerSku"]],
    ),
    "fulfillmentOrders.shipments.podDocuments": (["fileKey"], [["fileName"]]),
    "handlingUnits": (["sscc", "handlingUnitIdentifier"], [["tracking"]]),
    "handlingUnits.handlingPositions": ([], [["positionIdentifier"], ["sku"], ["warehouseSku"]]),
    "entityErrors": ([], [["errorCode"]]),
}  # fmt: skip
"""By list, the ids of its entries and what identifies them without ids; lists that are missing hold plain values."""

Change = tuple[str, str, Any, Any]  # kind, path, before, after; None for whole entries


def diff_documents(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    return list(_diff_objects(old, new, ("$", "$"), ""))


Paths = tuple[str, str]  # in the older document and in the newer one


def _diff_objects(old: dict[str, Any], new: dict[str, Any], paths: Paths, name: str) -> Iterator[Change]:
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        here, inner = (f"{paths[0]}.{key}", f"{paths[1]}.{key}"), _list_name(name, key)
        if key == "customAttributes":
            yield from _diff_attributes(before, after, here)
        elif isinstance(before, list) or isinstance(after, list):
            yield from _diff_lists(before or [], after or [], here, inner)
        elif isinstance(before, dict) or isinstance(after, dict):
            yield from _diff_objects(before or {}, after or {}, here, inner)
        elif before != after:
            yield "changed", here[1], before, after


def _list_name(name: str, key: str) -> str:
    return "handlingUnits" if key == "childHandlingUnits" else f"{name}.{key}".lstrip(".")


def _diff_lists(old: list[Any], new: list[Any], paths: Paths, name: str) -> Iterator[Change]:
    pairs = _pair_entries(old, new, name)
    for here, there in pairs:
        if name in IDS_OF_LISTS:
            yield from _diff_objects(old[here], new[there], (f"{paths[0]}[{here}]", f"{paths[1]}[{there}]"), name)
    for here in {n for n, entry in enumerate(old) if entry is not None} - {here for here, _ in pairs}:
        yield from _diff_whole_entry("removed", old[here], f"{paths[0]}[{here}]", name)
    for there in {n for n, entry in enumerate(new) if entry is not None} - {there for _, there in pairs}:
        yield from _diff_whole_entry("added", new[there], f"{paths[1]}[{there}]", name)


def _diff_whole_entry(kind: str, entry: Any, path: str, name: str) -> Iterator[Change]:
    yield kind, path, None, None
    if isinstance(entry, dict):
        sides = (entry, {}) if kind == "removed" else ({}, entry)
        found = _diff_objects(*sides, (path, path), name)
        yield from (change for change in found if change[0] != "changed")


def _diff_attributes(before: str | None, after: str | None, paths: Paths) -> Iterator[Change]:
    values = [_parse_free_form(text) for text in (before, after)]
    if values[0] != values[1] and any(isinstance(value, str) for value in values):
        yield "changed", paths[1], None, None  # an object written as JSON text is another value
    old, new = (_parse_inner_object(value) if isinstance(value, str) else value for value in values)
    for key in {**old, **new}:
        here = f"{paths[key in new]}[{json.dumps(key, ensure_ascii=False)}]"
        if key not in new:
            yield "removed", here, None, None
        elif key not in old:
            yield "added", here, None, None
        elif old[key] != new[key]:
            yield "changed", here, old[key], new[key]


def _parse_free_form(text: str | None) -> Any:
    return json.loads(text or "{}", parse_float=Decimal, parse_int=Decimal)


def _parse_inner_object(text: str) -> dict[str, Any]:
    try:
        return dict(_parse_free_form(text))
    except ValueError:  # a text without an object has no attributes
        return {}


def _pair_entries(old: list[Any], new: list[Any], name: str) -> list[tuple[int, int]]:
    left = {n: entry for n, entry in enumerate(old) if entry is not None}
    right = {n: entry for n, entry in enumerate(new) if entry is not None}
    own, else_by = IDS_OF_LISTS.get(name, ([], []))
    pairs: list[tuple[int, int]] = []

    def pair(found: list[tuple[int, int]]) -> None:
        for here, there in found:
            del left[here], right[there]
        pairs.extend(found)

    for way in [[key] for key in own] + else_by:
        sides = [{n: [entry.get(key) for key in way] for n, entry in side.items()} for side in (left, right)]
        pair([
            (here, there) for here, value in sides[0].items() for there, other in sides[1].items()
            if value == other and None not in value
            and list(sides[0].values()).count(value) == list(sides[1].values()).count(value) == 1
        ])  # fmt: skip
    for here, entry in list(left.items()):
        same = next((there for there, other in right.items() if _normal_content(other) == _normal_content(entry)), None)
        if same is not None:
            pair([(here, same)])
    if name in IDS_OF_LISTS:
        pair([(n, n) for n in left if n in right and not _have_different_ids(left[n], right[n], own)])
    return pairs


def _have_different_ids(old: dict[str, Any], new: dict[str, Any], own: list[str]) -> bool:
    both = next((key for key in own if old.get(key) is not None and new.get(key) is not None), None)
    return both is not None and old[both] != new[both]


def _normal_content(value: Any, key: str = "") -> Any:
    """A form that is equal for equal content, whatever the order of lists."""
    if isinstance(value, dict):
        return sorted((name, _normal_content(inner, name)) for name, inner in value.items())
    if isinstance(value, list):
        return sorted((_normal_content(inner) for inner in value if inner is not None), key=repr)
    if key == "customAttributes":
        parsed = _parse_free_form(value)
        return repr(sorted(parsed.items()) if isinstance(parsed, dict) else parsed)
    return repr(value)
