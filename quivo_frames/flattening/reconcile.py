"""Verb: what was sent and what was made of it -> the same number of values, or a Fault. Floor 4.

Of a sample of the orders, values are counted both ways: the non-null leaves of the JSON, read by a general decoder that
shares nothing with `wire.py`, and the non-null cells of the tables. The two must agree for each order and column. It
guards against faults of this package: what is wrong with an order itself is a failure or a note.

A free-form value is one leaf, whatever it holds. Unknown fields do not count, for they are noted, and neither does an
empty text where a time or a day should be, for it is noted and read as no value.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import polars as pl

from quivo_frames.errors import FAULT_CURE, Fault
from quivo_frames.flattening.decode import scan_identity
from quivo_frames.model.order import Kind, Order, Record
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import ORDER_ID, TABLES, fields_of

SAMPLED_ONE_IN = 50
"""Of so many orders one is counted: one costs about as much as flattening it."""
_BYTES_HASHED = 100  # holds the order's id and its first times
_DIFFERENCES_SHOWN = 3


class ValueCounts(NamedTuple):
    """How many orders were counted, their values in the JSON, and their values in the tables."""

    orders: int
    values_in_json: int
    values_in_tables: int


def sample_orders(orders: Sequence[RawOrder], *, first: bool = False) -> dict[int, bytes]:
    """The orders to be counted, by id: one in ONE_IN by how it begins, so that it is the same ones each time.

    `first` adds the first of them, so that few orders are not left without any check.
    """
    found = {}
    for place, (body, order_id, *_) in enumerate(orders):
        if zlib.crc32(body[:_BYTES_HASHED]) % SAMPLED_ONE_IN == 0 or (first and place == 0):
            known = order_id if order_id is not None else scan_identity(body).order_id
            if known is not None:
                found[known] = body
    return found


def compare_value_counts(bodies: Mapping[int, bytes], tables: Mapping[str, pl.DataFrame]) -> ValueCounts:
    """What was counted of some orders, given as received, by id; `tables` may hold others beside them.

    Orders that are not in `tables` (they failed) are not counted, and neither are those that are nested too deep for a
    general decoder.

    Raises:
        Fault: an order has more or fewer values in the tables than in its JSON.
    """
    cells = _count_cells(tables, list(bodies))
    orders = total = 0
    for order_id, of_tables in ((order_id, cells[order_id]) for order_id in bodies if order_id in cells):
        try:
            of_json = _count_json_values(_decode_json(bodies[order_id]))
        except RecursionError:
            continue
        if of_json != of_tables:
            raise Fault(_describe_difference(order_id, of_json, of_tables))
        orders += 1
        total += sum(of_json)
    return ValueCounts(orders, total, total)


_VALUE_COLUMNS = [(table, column) for table in TABLES.values() for column in table.value_columns]
"""What is counted; counts of an order stand in this order."""
_COLUMN_POSITIONS = {(table.name, column.path): place for place, (table, column) in enumerate(_VALUE_COLUMNS)}


class _NestedField(NamedTuple):
    """A field that is no plain leaf: an object or a list of objects (`fields`), a list of leaves, or a time."""

    column: int
    fields: _FieldTree


_FieldTree = dict[str, int | _NestedField]
"""By JSON name: the place of a leaf in `_COLUMNS`, or what the field is instead."""


def _build_field_tree() -> _FieldTree:
    """The fields of an order, those of the objects inside them, and so on."""
    made: dict[tuple[type[Record], str, tuple[str, ...]], _FieldTree] = {}

    def fields(record: type[Record], table: str, path: tuple[str, ...] = ()) -> _FieldTree:
        if (record, table, path) in made:
            return made[record, table, path]
        found = made[record, table, path] = {}  # a place for recursion
        for field in fields_of(record):
            here = (*path, field.name)
            if field.child_table is not None:
                child = field.child_table.name
                found[field.json_name] = (
                    _NestedField(-1, fields(field.record, child)) if field.record else _NestedField(_COLUMN_POSITIONS[child, ()], {})
                )
            elif field.record is not None:
                found[field.json_name] = _NestedField(-1, fields(field.record, table, here))
            else:
                place = _COLUMN_POSITIONS[table, here]
                found[field.json_name] = _NestedField(place, {}) if field.kind in (Kind.INSTANT, Kind.DAY) else place
        return found

    return fields(Order, "orders")


_ORDER_FIELDS = _build_field_tree()


def _decode_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:  # a free-form value or an unknown field may hold a number that no float can
        return json.loads(body, parse_int=str, parse_float=str)


def _count_json_values(order: dict[str, Any]) -> list[int]:
    """How many values the JSON of an order has for each column."""
    counts = [0] * len(_VALUE_COLUMNS)
    objects = [(_ORDER_FIELDS, order)]
    while objects:
        fields, found = objects.pop()
        for name, value in found.items():
            field = fields.get(name)
            if value is None or field is None:
                continue
            if isinstance(field, int):
                counts[field] += 1
                continue
            place, inner = field
            if type(value) is dict:
                objects.append((inner, value))
            elif type(value) is not list:
                counts[place] += value != ""
            elif inner:
                objects += [(inner, entry) for entry in value if entry is not None]
            else:
                counts[place] += len(value) - value.count(None)
    return counts


def _count_cells(tables: Mapping[str, pl.DataFrame], order_ids: list[int]) -> dict[int, list[int]]:
    """How many values each order has in each column, by order; nothing of orders that are in no table."""
    among = pl.col(ORDER_ID.name).is_in(pl.Series(order_ids, dtype=pl.Int64).implode())
    queries = [
        tables[table.name].lazy().filter(among).group_by(pl.col(ORDER_ID.name).alias("of"))
        .agg(pl.col(column.name).count() for column in table.value_columns)
        for table in TABLES.values() if table.value_columns
    ]  # fmt: skip
    found: dict[int, list[int]] = {}
    start = 0
    for frame in pl.collect_all(queries):
        stop = start + frame.width - 1
        for order_id, *counts in frame.iter_rows():
            found.setdefault(order_id, [0] * len(_VALUE_COLUMNS))[start:stop] = counts
        start = stop
    return found


def _describe_difference(order_id: int, of_json: list[int], of_tables: list[int]) -> str:
    places = [
        f"{leaves} at {table.json_path(column)} but {cells} in {column.name} of {table.name}"
        for (table, column), leaves, cells in zip(_VALUE_COLUMNS, of_json, of_tables, strict=True)
        if leaves != cells
    ]
    more = f", and {len(places) - _DIFFERENCES_SHOWN} more places" if len(places) > _DIFFERENCES_SHOWN else ""
    return (
        f"Order {order_id} has {sum(of_json)} values in its JSON, but {sum(of_tables)} in the tables: "
        f"{', '.join(places[:_DIFFERENCES_SHOWN])}{more}. {FAULT_CURE}"
    )
