"""Thrift's compact protocol: structs of bytes -> fields by number, and back, whatever they mean.

What is not understood is kept as it is, so that a footer of parquet can be changed in a few places. Maps are refused:
parquet has none.
"""

from __future__ import annotations

from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _MAP, STRUCT = range(1, 13)
"""The types of values."""
_LONG_LIST, _MOST_IN_LIST_HEADER, _MOST_IN_FIELD_HEADER = 0xF0, 14, 15

Struct = dict[int, tuple[int, Any]]
"""By number of the field: its type and its value. A list (or set) is the type of its elements, and a list of them.

What is written may hold a struct as its bytes, which take a twentieth of the memory.
"""


class BrokenStruct(ValueError):
    """Bytes are no struct of this protocol."""


def read_struct(data: bytes) -> tuple[Struct, int]:
    """The struct at the beginning of some bytes, and how many of them it takes.

    Raises:
        BrokenStruct: there is none.
    """
    try:
        return _read_struct(data, 0)
    except (IndexError, RecursionError) as error:
        raise BrokenStruct("ends too early, or is nested too deep") from error


def _read_struct(data: bytes, at: int) -> tuple[Struct, int]:
    fields: Struct = {}
    number = 0
    while header := data[at]:
        at += 1
        step, kind = header >> 4, header & 15
        if step:
            number += step
        else:
            number, at = _read_integer(data, at)
        value, at = _read_value(data, at, kind)
        fields[number] = kind, value
    return fields, at + 1


def _read_value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if I16 <= kind <= I64:
        return _read_integer(data, at)
    if kind == BINARY:
        size, at = _read_length(data, at)
        return data[at : at + size], at + size
    if kind == STRUCT:
        return _read_struct(data, at)
    if kind in (LIST, SET):
        return _read_list(data, at)
    if kind in (TRUE, FALSE):
        return kind == TRUE, at
    if kind == BYTE:
        return data[at], at + 1
    if kind == DOUBLE:
        return data[at : at + 8], at + 8
    raise BrokenStruct(f"has a value of type {kind}")


def _read_list(data: bytes, at: int) -> tuple[tuple[int, list[Any]], int]:
    header = data[at]
    at += 1
    size, kind = header >> 4, header & 15
    if size > _MOST_IN_LIST_HEADER:
        size, at = _read_length(data, at)
    if size > len(data) - at:  # each element has a byte at least
        raise IndexError
    values = []
    for _ in range(size):
        if kind in (TRUE, FALSE):
            value, at = data[at] == TRUE, at + 1
        else:
            value, at = _read_value(data, at, kind)
        values.append(value)
    return (kind, values), at


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    at += 1
    if value > 127:
        value &= 127
        shift = 7
        while (more := data[at]) > 127:
            value |= (more & 127) << shift
            at += 1
            shift += 7
        value |= more << shift
        at += 1
    return value, at


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _read_length(data, at)
    return (value >> 1) ^ -(value & 1), at  # "zigzag": 0, -1, 1, -2, 2


def write_struct(fields: Struct) -> bytes:
    """The bytes of a struct, whose fields are in the order of their numbers."""
    data = bytearray()
    _write_struct(data, fields)
    return bytes(data)


def _write_struct(data: bytearray, fields: Struct) -> None:
    last = 0
    for number, (kind, value) in fields.items():
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE  # the type of the field is the value
        if 0 < number - last <= _MOST_IN_FIELD_HEADER:
            data.append(number - last << 4 | kind)
        else:
            data.append(kind)
            _write_integer(data, number)
        if kind > FALSE:
            _write_value(data, kind, value)
        last = number
    data.append(0)


def _write_value(data: bytearray, kind: int, value: Any) -> None:
    if I16 <= kind <= I64:
        _write_integer(data, value)
    elif kind == BINARY:
        _write_length(data, len(value))
        data += value
    elif kind == STRUCT and not isinstance(value, bytes):
        _write_struct(data, value)
    elif kind in (LIST, SET):
        _write_list(data, *value)
    elif kind == BYTE:
        data.append(value)
    else:
        data += value  # a DOUBLE or a struct as its bytes


def _write_list(data: bytearray, kind: int, values: list[Any]) -> None:
    if len(values) <= _MOST_IN_LIST_HEADER:
        data.append(len(values) << 4 | kind)
    else:
        data.append(_LONG_LIST | kind)
        _write_length(data, len(values))
    for value in values:
        if kind in (TRUE, FALSE):
            data.append(TRUE if value else FALSE)
        else:
            _write_value(data, kind, value)


def _write_length(data: bytearray, value: int) -> None:
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)


def _write_integer(data: bytearray, value: int) -> None:
    _write_length(data, value << 1 if value >= 0 else (-value << 1) - 1)
