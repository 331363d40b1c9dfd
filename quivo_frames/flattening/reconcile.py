"""Compares the number of values in the JSON of orders with that in their tables; a difference is a Fault.

A build does so for a sample of its orders: one in 500, and at least 20 (of fewer, all). It is spread over them, and is
the same for any number of jobs. The values that are not null are counted twice, for each order and column: in the JSON,
with a general decoder that shares nothing with `decode.py` and the compiled core, and in the cells of the tables. This
guards against faults of this package; what is wrong with an order itself is a failure or a note.

A free-form value counts once, whatever it holds. Not counted is what has a note instead of a cell: unknown fields, and
an empty text where a time or a day should be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import polars as pl

from quivo_frames.display.text import format_count
from quivo_frames.errors import FAULT_CURE, Fault
from quivo_frames.flattening.decode import scan_identity
from quivo_frames.flattening.order_text import find_order_text
from quivo_frames.model.order import Kind, Order, Record
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import ORDER_ID, TABLES, fields_of

SAMPLED_ONE_IN = 500
"""One of so many orders is counted: counting an order costs several times as much as flattening it."""
FEWEST_SAMPLED = 20
"""So many orders are counted at least, if there are as many."""
_SPREAD = 0x9E3779B97F4A7C15
_DIFFERENCES_SHOWN = 3


class ValueCounts(NamedTuple):
    """How many orders were counted, and how many values they have in their JSON and in the tables."""

    orders: int
    values_in_json: int
    values_in_tables: int


def sampling_rate(order_count: int, one_in: int = SAMPLED_ONE_IN) -> int:
    """Of how many orders one is counted, in a build of so many."""
    return max(min(one_in, order_count // FEWEST_SAMPLED), 1)


def sample_orders(orders: Sequence[RawOrder], first: int, one_in: int) -> dict[int, bytes]:
    """The JSON of the orders to be counted, by id; `first` orders of the build come before these.

    Of each run of `one_in` orders of a build one is chosen, at a place that varies from run to run.
    """
    sample = {}
    for run in range(first // one_in, -(-(first + len(orders)) // one_in)):
        number = run * one_in + (run * _SPREAD >> 32) % one_in - first
        if 0 <= number < len(orders):
            body, order_id, *_ = orders[number]
            known_id = order_id if order_id is not None else scan_identity(body).order_id
            if known_id is not None:
                sample[known_id] = find_order_text(body).text
    return sample


def compare_value_counts(bodies: Mapping[int, bytes], tables: Mapping[str, pl.DataFrame]) -> ValueCounts:
    """The counts of some orders, given by id as received. The tables may have other orders as well.

    Not counted are orders that are not in the tables, because they failed, and orders that are nested too deep for the
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
"""What is counted: the counts of an order are a list with a number for each of these."""
_COLUMN_POSITIONS = {(table.name, column.path): position for position, (table, column) in enumerate(_VALUE_COLUMNS)}


class _NestedField(NamedTuple):
    """A field that is not one plain value: an object or a list of objects (`fields`), a list of values, or a time."""

    column: int
    """Index in `_VALUE_COLUMNS`; -1 for objects."""
    fields: _FieldTree


_FieldTree = dict[str, int | _NestedField]
"""By JSON name: the index of a plain value in `_VALUE_COLUMNS`, or a nested field."""


def _build_field_tree() -> _FieldTree:
    """The fields of an order, of the objects in it, and so on."""
    trees: dict[tuple[type[Record], str, tuple[str, ...]], _FieldTree] = {}

    def build_tree(record: type[Record], table: str, path: tuple[str, ...] = ()) -> _FieldTree:
        if (record, table, path) in trees:
            return trees[record, table, path]
        tree = trees[record, table, path] = {}  # known before it is filled: handling units hold handling units
        for field in fields_of(record):
            here = (*path, field.name)
            if field.child_table is not None:
                child = field.child_table.name
                tree[field.json_name] = (
                    _NestedField(-1, build_tree(field.record, child))
                    if field.record
                    else _NestedField(_COLUMN_POSITIONS[child, ()], {})
                )
            elif field.record is not None:
                tree[field.json_name] = _NestedField(-1, build_tree(field.record, table, here))
            else:
                column = _COLUMN_POSITIONS[table, here]
                is_time = field.kind in (Kind.INSTANT, Kind.DAY)  # an empty text is no value
                tree[field.json_name] = _NestedField(column, {}) if is_time else column
        return tree

    return build_tree(Order, "orders")


_ORDER_FIELDS = _build_field_tree()


def _decode_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:  # a free-form or unknown value may be a number that a float cannot hold
        return json.loads(body, parse_int=str, parse_float=str)


def _count_json_values(order: dict[str, Any]) -> list[int]:
    """How many values the JSON of an order has, for each of `_VALUE_COLUMNS`."""
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
            column, inner_fields = field
            if type(value) is dict:
                objects.append((inner_fields, value))
            elif type(value) is not list:
                counts[column] += value != ""
            elif inner_fields:
                objects += [(inner_fields, entry) for entry in value if entry is not None]
            else:
                counts[column] += len(value) - value.count(None)
    return counts


def _count_cells(tables: Mapping[str, pl.DataFrame], order_ids: list[int]) -> dict[int, list[int]]:
    """How many values each order has in the tables, for each of `_VALUE_COLUMNS`; orders in no table are left out."""
    is_asked_for = pl.col(ORDER_ID.name).is_in(pl.Series(order_ids, dtype=pl.Int64).implode())
    queries = [
        tables[table.name].lazy().filter(is_asked_for).group_by(pl.col(ORDER_ID.name).alias("of"))
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
    differences = [
        f"{in_json} at {table.json_path(column)} but {in_table} in {column.name} of {table.name}"
        for (table, column), in_json, in_table in zip(_VALUE_COLUMNS, of_json, of_tables, strict=True)
        if in_json != in_table
    ]
    hidden = len(differences) - _DIFFERENCES_SHOWN
    more = f", and {format_count(hidden, 'more place')}" if hidden > 0 else ""
    return (
        f"Order {order_id} has {format_count(sum(of_json), 'value')} in its JSON, but {sum(of_tables)} in the tables: "
        f"{', '.join(differences[:_DIFFERENCES_SHOWN])}{more}. {FAULT_CURE}"
    )
