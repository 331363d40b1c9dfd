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
from quivo_frames.model.tables import fields_of

LONG_NUMBER_PATTERN = r"[:\[,\s]-?[0-9]([0-9.]{15}|[0-9.]*[eE][-+]?[0-9])"
"""Matches texts of orders with a number of so many digits, or an exponent, that a float may not hold it as written."""
_PATH_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


class _JsonPairs(list[tuple[str, Any]]):
    """The fields of a JSON object, as often as they stand in it; numbers are texts."""


def _parse_pairs(body: bytes) -> _JsonPairs:
    opened: _JsonPairs = json.loads(body, object_pairs_hook=_JsonPairs, parse_int=str, parse_float=str, parse_constant=str)
    return opened


class _KnownObject(NamedTuple):
    fields: _JsonPairs
    record: type[Record]
    path: str


def _walk_known_objects(body: bytes) -> Iterator[_KnownObject]:
    """Every object that the description knows."""
    waiting = deque([_KnownObject(_parse_pairs(body), Order, "$")])
    while waiting:
        place = waiting.popleft()
        yield place
        known = {field.json_name: field.record for field in fields_of(place.record)}
        for name, value in place.fields:
            inner = known.get(name)
            if inner is not None and isinstance(value, _JsonPairs):
                waiting.append(_KnownObject(value, inner, f"{place.path}.{name}"))
            elif inner is not None and isinstance(value, list):
                entries = enumerate(value)
                waiting += [_KnownObject(e, inner, f"{place.path}.{name}[{n}]") for n, e in entries if isinstance(e, _JsonPairs)]


def find_repeated_field(body: bytes) -> str | None:
    """JSON path of a field that stands twice in an object, or of the object if nobody knows the name; None: no such."""
    for fields, record, path in _walk_known_objects(body):
        names: set[str] = set()
        for name, _ in fields:
            if name in names:
                return f"{path}.{name}" if any(name == known.json_name for known in fields_of(record)) else path
            names.add(name)
    return None


def find_unknown_fields(body: bytes) -> Iterator[str]:
    """JSON path of each unknown field that is not null: [] is any place of a list, inner units are as outer ones."""
    for fields, record, path in _walk_known_objects(body):
        known = {field.json_name for field in fields_of(record)}
        anywhere = re.sub(r"(\.childHandlingUnits\[\])+", "", re.sub(r"\[\d+\]", "[]", path))
        for name, value in fields:
            if name not in known and value is not None:
                yield f"{anywhere}.{name}"


def read_numbers_as_text(body: bytes, paths: Iterable[str]) -> list[str]:
    """The numbers at some JSON paths, as they were written."""
    order = _parse_pairs(body)
    found = []
    for path in paths:
        value: Any = order
        for name, place in _PATH_STEP.findall(path):
            value = dict(value)[name] if name else value[int(place)]
        found.append(str(value))
    return found
