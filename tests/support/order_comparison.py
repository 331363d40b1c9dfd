"""Compares orders by what they mean, with the standard library alone: an independent check of `unflatten`."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from quivo_frames.flattening.flatten import flatten
from quivo_frames.flattening.unflatten import unflatten
from quivo_frames.model.frames import Frames
from tests.support.independent_flattener import MEASURES
from tests.support.paths import DOCUMENTED_ORDER

DOCUMENTED = json.loads(DOCUMENTED_ORDER.read_text())
"""The documented example: from it, and not from order.py, the comparison knows which texts are times and days."""

_FREE_FORM = re.compile(r'"customAttributes"\s*:\s*')
_json_decoder = json.JSONDecoder()


def parse_order(text: str) -> Any:
    """A JSON text with numbers as Decimal, and each free-form value as its own text, or null for null and {}."""
    rewritten, at = "", 0
    while found := _FREE_FORM.search(text, at):
        value, end = _json_decoder.raw_decode(text, found.end())
        own = None if value is None or value == {} else text[found.end() : end]
        rewritten, at = rewritten + text[at : found.end()] + json.dumps(own), end
    return json.loads(
        rewritten + text[at:], parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_refuse_repeated_fields
    )


def _refuse_repeated_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), "a field stands twice"
    return dict(pairs)


def normalize_order(value: Any, shown: Any, name: str = "") -> Any:
    """A parsed order in a form that is equal for equal meaning; `shown` is the value in the documented example."""
    if value is None or isinstance(value, bool) or name == "customAttributes":
        return value
    if isinstance(value, dict):
        inner = {key: normalize_order(entry, shown[key], key) for key, entry in value.items()}
        return {key: entry for key, entry in inner.items() if entry not in (None, {}, [])}
    if isinstance(value, list):
        one = shown[0] if shown else DOCUMENTED["handlingUnits"][0]
        entries = [normalize_order(entry, one, name) for entry in value]
        while entries and entries[-1] is None:
            entries.pop()
        return entries
    if isinstance(value, Decimal):
        return float(value) if name in MEASURES else value
    if re.fullmatch(r"\d{4}-\d\d-\d\d", shown):
        return date.fromisoformat(value)
    if re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", shown):
        return datetime.fromisoformat(value)
    return value


def read_order(body: bytes | str) -> Any:
    """The order in a form that is equal for orders of equal meaning."""
    return normalize_order(parse_order(body.decode() if isinstance(body, bytes) else body), DOCUMENTED)


def assert_orders_come_back(bodies: list[bytes] | list[str], tables: Any) -> None:
    """The tables give back these orders, each with the same meaning, in the same order."""
    back = list(unflatten(tables))
    assert [read_order(body) for body in back] == [read_order(body) for body in bodies]


def flatten_drawn_orders(bodies: list[str]) -> Frames:
    """Tables of orders that were drawn: none fails, and only free-form values and odd dates need notes."""
    frames = flatten(bodies)
    assert frames.failures["message"].to_list() == []
    assert set(frames.notes["kind"]) <= {"not_free_form", "repeated_attribute", "placeholder_date"}
    return frames
