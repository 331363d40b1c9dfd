"""Verb: one order as bytes -> what the quick decoder cannot tell of it. Floor 2.

A field that stands twice, a name that cannot be learned, a number as it was written: slow and exact, for the few orders
that need it. The bytes are known to be JSON that begins with an object.

Each function raises RecursionError where the JSON is nested too deep for Python's own decoder, at about 1,000 levels.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from quivo_frames.model.order import Order, Record
from quivo_frames.model.tables import described

LONG_NUMBER = r"[:\[,\s]-?[0-9]([0-9.]{15}|[0-9.]*[eE][-+]?[0-9])"
"""Matches texts of orders with a number of so many digits, or an exponent, that a float may not hold it as written."""
_STEPS = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


class _Object(list[tuple[str, Any]]):
    """The fields of a JSON object, as often as they stand in it; numbers are texts."""


def _opened(body: bytes) -> _Object:
    opened: _Object = json.loads(body, object_pairs_hook=_Object, parse_int=str, parse_float=str, parse_constant=str)
    return opened


class _Place(NamedTuple):
    fields: _Object
    record: type[Record]
    path: str


def _objects(body: bytes) -> Iterator[_Place]:
    """Every object that the description knows."""
    waiting = deque([_Place(_opened(body), Order, "$")])
    while waiting:
        place = waiting.popleft()
        yield place
        known = {json_name: inner for _, json_name, inner, *_ in described(place.record)}
        for name, value in place.fields:
            inner = known.get(name)
            if inner is not None and isinstance(value, _Object):
                waiting.append(_Place(value, inner, f"{place.path}.{name}"))
            elif inner is not None and isinstance(value, list):
                entries = enumerate(value)
                waiting += [_Place(e, inner, f"{place.path}.{name}[{n}]") for n, e in entries if isinstance(e, _Object)]


def repeated_field(body: bytes) -> str | None:
    """JSON path of a field that stands twice in an object, or of the object if nobody knows the name; None: no such."""
    for fields, record, path in _objects(body):
        names: set[str] = set()
        for name, _ in fields:
            if name in names:
                return f"{path}.{name}" if any(name == known.json_name for known in described(record)) else path
            names.add(name)
    return None


def unknown_fields(body: bytes) -> Iterator[str]:
    """JSON path of each unknown field that is not null: [] is any place of a list, inner units are as outer ones."""
    for fields, record, path in _objects(body):
        known = {json_name for _, json_name, *_ in described(record)}
        anywhere = re.sub(r"(\.childHandlingUnits\[\])+", "", re.sub(r"\[\d+\]", "[]", path))
        for name, value in fields:
            if name not in known and value is not None:
                yield f"{anywhere}.{name}"


def numbers(body: bytes, paths: Iterable[str]) -> list[str]:
    """The numbers at some JSON paths, as they were written."""
    order = _opened(body)
    found = []
    for path in paths:
        value: Any = order
        for name, place in _STEPS.findall(path):
            value = dict(value)[name] if name else value[int(place)]
        found.append(str(value))
    return found
