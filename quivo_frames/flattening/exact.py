"""What the fast decoder cannot tell about an order, read exactly and slowly, for the few orders that need it.

The fast decoder takes the last of two fields of one name, skips names that it cannot learn, and reads some integers as
floats. The bytes given here are known to be JSON that begins with an object.

Functions that take a body raise RecursionError if it is nested too deep for Python's own decoder (about 1,000 levels).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from quivo_frames.model.order import Order, Record
from quivo_frames.model.tables import fields_of

_LONG_NUMBER = r"-?[0-9]([0-9.]{15}|[0-9.]*[eE][-+]?[0-9])"
LONG_NUMBER_PATTERN = rf"[:\[,\s]{_LONG_NUMBER}"
"""Matches JSON with a number of so many digits, or with an exponent, that a float may not hold it as written."""
_PATH_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


class _JsonPairs(list[tuple[str, Any]]):
    """The fields of a JSON object with repeated ones kept; numbers are text."""


class _NumberText(str):
    """A number as it was written."""

    __slots__ = ()


def _parse_pairs(body: bytes) -> _JsonPairs:
    parsed: _JsonPairs = json.loads(
        body, object_pairs_hook=_JsonPairs, parse_int=_NumberText, parse_float=_NumberText, parse_constant=_NumberText
    )
    return parsed


class _KnownObject(NamedTuple):
    fields: _JsonPairs
    record: type[Record]
    path: str
    general_path: str
    """With [] for list indexes; inner units count as outer ones."""


class UnknownField(NamedTuple):
    """A field that `order.py` does not describe: the object that it is in, its name, and its value."""

    record: type[Record]
    object_path: str
    name: str
    value: Any


@functools.cache
def _records_by_name(record: type[Record]) -> dict[str, type[Record] | None]:
    """The JSON names of the fields of a record, with the record of the objects in them; None for plain values."""
    return {field.json_name: field.record for field in fields_of(record)}


def _walk_known_objects(body: bytes) -> Iterator[_KnownObject]:
    """Every object in the order that `order.py` describes, outer ones first, and those of one table as its rows."""
    waiting = [_KnownObject(_parse_pairs(body), Order, "$", "$")]
    while waiting:
        fields, record, path, general_path = current = waiting.pop()
        yield current
        records = _records_by_name(record)
        inside: list[_KnownObject] = []
        for name, value in fields:
            inner = records.get(name)
            if inner is not None and isinstance(value, _JsonPairs):
                inside.append(_KnownObject(value, inner, f"{path}.{name}", f"{general_path}.{name}"))
            elif inner is not None and isinstance(value, list):
                general = general_path if inner is record else f"{general_path}.{name}[]"
                for index, entry in enumerate(value):
                    if isinstance(entry, _JsonPairs):
                        inside.append(_KnownObject(entry, inner, f"{path}.{name}[{index}]", general))
        # The rows of a unit stand before those of the units in it.
        inside.sort(key=lambda found: found.record is record)
        waiting += reversed(inside)


def find_repeated_field(body: bytes) -> str | None:
    """JSON path of a field that stands twice in one object, or of the object if the field is unknown; else None.

    A field that was null before is none: the decoder takes the last one, and no value is lost.
    """
    for fields, record, path, _ in _walk_known_objects(body):
        names_with_value: set[str] = set()
        for name, value in fields:
            if name in names_with_value:
                return f"{path}.{name}" if name in _records_by_name(record) else path
            if value is not None:
                names_with_value.add(name)
    return None


def find_unknown_fields(body: bytes) -> Iterator[UnknownField]:
    """Each unknown field."""
    for fields, record, _, general_path in _walk_known_objects(body):
        known = _records_by_name(record)
        for name, value in fields:
            if name not in known:
                yield UnknownField(record, general_path, name, value)


def first_byte(value: Any) -> bytes:
    """How the JSON text of a value begins, which tells its type."""
    if isinstance(value, bool):
        return b"t"
    if isinstance(value, list):
        return b"{" if isinstance(value, _JsonPairs) else b"["
    return b"0" if isinstance(value, _NumberText) else b'"'


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


def is_long_number(written: str) -> bool:
    """Whether a float may not hold a number as it was written; a message then shows the text, else the float."""
    return re.match(_LONG_NUMBER, written) is not None


def find_integer_error(written: str, bound: int) -> str | None:
    """The rule that a number breaks as an integer from -bound to bound - 1; None if it breaks none, as 2.0 does not."""
    try:
        value = Decimal(written)
    except InvalidOperation:  # an exponent of twenty digits: negative, for the decoder refuses a positive one
        return "not_whole"
    if not -bound <= value < bound:
        return "out_of_range"
    return None if value == value.to_integral_value() else "not_whole"
