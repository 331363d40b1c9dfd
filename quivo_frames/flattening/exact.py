"""What the fast decoder cannot tell about an order, read exactly and slowly, for the few orders that need it.

The fast decoder takes the last of two fields of one name, skips names that it cannot learn, and reads some integers as
floats. The bytes given here are known to be JSON that begins with an object.

Functions that take a body raise RecursionError if it is nested too deep for Python's own decoder (about 1,000 levels).
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from quivo_frames.model.order import Order, Record
from quivo_frames.model.tables import fields_of

LONG_NUMBER_PATTERN = r"[:\[,\s]-?[0-9]([0-9.]{15}|[0-9.]*[eE][-+]?[0-9])"
"""Matches JSON with a number of so many digits, or with an exponent, that a float may not hold it as written."""
_PATH_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


class _JsonPairs(list[tuple[str, Any]]):
    """The fields of a JSON object with repeated ones kept; numbers are text."""


def _parse_pairs(body: bytes) -> _JsonPairs:
    parsed: _JsonPairs = json.loads(
        body, object_pairs_hook=_JsonPairs, parse_int=str, parse_float=str, parse_constant=str
    )
    return parsed


class _KnownObject(NamedTuple):
    fields: _JsonPairs
    record: type[Record]
    path: str


def _walk_known_objects(body: bytes) -> Iterator[_KnownObject]:
    """Every object in the order that `order.py` describes, outer ones first."""
    waiting = deque([_KnownObject(_parse_pairs(body), Order, "$")])
    while waiting:
        fields, record, path = current = waiting.popleft()
        yield current
        records = {field.json_name: field.record for field in fields_of(record)}
        for name, value in fields:
            inner = records.get(name)
            if inner is not None and isinstance(value, _JsonPairs):
                waiting.append(_KnownObject(value, inner, f"{path}.{name}"))
            elif inner is not None and isinstance(value, list):
                for index, entry in enumerate(value):
                    if isinstance(entry, _JsonPairs):
                        waiting.append(_KnownObject(entry, inner, f"{path}.{name}[{index}]"))


def find_repeated_field(body: bytes) -> str | None:
    """JSON path of a field that stands twice in one object, or of the object if the field is unknown; else None."""
    for fields, record, path in _walk_known_objects(body):
        names: set[str] = set()
        for name, _ in fields:
            if name in names:
                return f"{path}.{name}" if any(name == known.json_name for known in fields_of(record)) else path
            names.add(name)
    return None


def find_unknown_fields(body: bytes) -> Iterator[str]:
    """JSON path of each unknown field that is not null, with [] for list indexes; inner units count as outer ones."""
    for fields, record, path in _walk_known_objects(body):
        known = {field.json_name for field in fields_of(record)}
        general_path = re.sub(r"(\.childHandlingUnits\[\])+", "", re.sub(r"\[\d+\]", "[]", path))
        for name, value in fields:
            if name not in known and value is not None:
                yield f"{general_path}.{name}"


def read_numbers_as_text(body: bytes, paths: Iterable[str]) -> list[str]:
    """The numbers at some JSON paths, as they were written."""
    order = _parse_pairs(body)
    found = []
    for path in paths:
        value: Any = order
        for name, index in _PATH_STEP.findall(path):
            value = dict(value)[name] if name else value[int(index)]
        found.append(str(value))
    return found


def find_integer_error(written: str, bound: int) -> str | None:
    """The rule that a number breaks as an integer from -bound to bound - 1; None if it breaks none, as 2.0 does not."""
    try:
        value = Decimal(written)
    except InvalidOperation:  # an exponent of twenty digits: negative, for the decoder refuses a positive one
        return "not_whole"
    if not -bound <= value < bound:
        return "out_of_range"
    return None if value == value.to_integral_value() else "not_whole"
