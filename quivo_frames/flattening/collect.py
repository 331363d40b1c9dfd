"""The records of orders -> columns of JSON values, for all tables at once.

Records are collected a few hundred orders at a time, their values packed, and the records dropped. The memory of one
round serves the next one and stays in the processor's cache, which halves the time of decoding and collecting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import msgspec
import polars as pl
from msgspec.structs import astuple

from quivo_frames.flattening.convert import PackedValues, pack_values, unpack_column
from quivo_frames.model.order import Record
from quivo_frames.model.tables import TABLES, Table, fields_of

ColumnPath = tuple[str, ...]
"""The attributes that lead from a record to the value of a column; empty for the entries of a list of plain values."""
LearnedFields = Mapping[type[Record], Mapping[str, str]]
"""By record: attribute of the Struct -> JSON name, for the unknown fields that the decoder learned."""
ROWS_PER_PACK = 500
"""Rows of a table that are packed together: fewer pay the fixed cost of a Series too often."""
_UNITS = "handling_units"


class _RecordLayout(NamedTuple):
    """Where the fields of a record go, by their index in it."""

    record: type[Record]
    json_path: str
    values: list[tuple[int, list[Any]]]
    objects: list[tuple[int, msgspec.Struct, _RecordLayout]]
    """With the empty object that stands in for a missing one."""
    lists: list[tuple[int, TableRows]]


class TableRows:
    """The rows of one table so far: their JSON values, and where each row belongs."""

    def __init__(self, table: Table) -> None:
        self.name = table.name
        self._kinds = {column.path if table.record else (): column.kind for column in table.value_columns}
        self._packed: dict[ColumnPath, list[PackedValues]] = {path: [] for path in self._kinds}
        self.pending_values: dict[ColumnPath, list[Any]] = {path: [] for path in self._kinds}
        """By column, the values that are not packed yet."""
        self.pending_rows = 0
        """How many rows these are."""
        self.height = 0
        self.parent_rows: list[int] = []
        """The row of the parent table that each row belongs to."""
        self.addresses: list[Any] = []
        """The index of each row in its list; of a handling unit the indexes of all lists that lead to it, as 0.2.1."""
        self.unknown_values: dict[str, tuple[list[int], list[bytes]]] = {}
        """By JSON path of an unknown field, the rows that have it, and its values."""
        self.container_fields = 0
        """How many fields of the rows hold an object or a list."""

    def pack_pending_values(self) -> None:
        """Packs the values that are still in lists."""
        for path, values in self.pending_values.items():
            self._packed[path].append(pack_values(self._kinds[path], values))
            values.clear()
        self.pending_rows = 0

    def decoded_column(self, path: ColumnPath) -> pl.Series:
        """The JSON values of a column, one a row."""
        if self.pending_rows:
            self.pack_pending_values()
        return unpack_column(self._kinds[path], self._packed[path])


class RowCollector:
    """Collects the rows of all tables, round after round.

    `empty_objects` has an object of each record in which every field is missing.
    """

    def __init__(self, empty_objects: Mapping[type[Record], msgspec.Struct]) -> None:
        self.tables = {name: TableRows(table) for name, table in TABLES.items()}
        self._empty_objects = empty_objects
        self._layouts = {
            name: self._lay_out_record(table.record, (), table.source, self.tables[name])
            for name, table in TABLES.items()
            if table.record
        }

    def _lay_out_record(self, record: type[Record], path: ColumnPath, json_path: str, rows: TableRows) -> _RecordLayout:
        layout = _RecordLayout(record, json_path, [], [], [])
        for index, field in enumerate(fields_of(record)):
            here = (*path, field.name)
            if field.child_table is not None:
                layout.lists.append((index, self.tables[field.child_table.name]))
            elif field.record is not None:
                inner = self._lay_out_record(field.record, here, f"{json_path}.{field.json_name}", rows)
                layout.objects.append((index, self._empty_objects[field.record], inner))
            else:
                layout.values.append((index, rows.pending_values[here]))
        return layout

    def add_orders(self, orders: Sequence[Any], learned: LearnedFields) -> None:
        """Adds the rows of the orders of one round."""
        if orders:
            self._add_records(self.tables["orders"], orders, learned)
        for rows in self.tables.values():
            if rows.pending_rows >= ROWS_PER_PACK:
                rows.pack_pending_values()

    def _add_records(self, rows: TableRows, records: Sequence[Any], learned: LearnedFields) -> None:
        """Adds rows to one table, then those of the lists in its records to theirs."""
        first = rows.height
        rows.height += len(records)
        rows.pending_rows += len(records)
        if rows.name not in self._layouts:  # a list of plain values
            rows.pending_values[()] += records
            return
        for child_rows, lists in list(self._spread_fields(rows, self._layouts[rows.name], records, first, learned)):
            unroll = _unroll_units if child_rows.name == _UNITS else _unroll_lists
            entries, parent_rows, addresses = unroll(lists, first)
            if entries:
                child_rows.parent_rows += parent_rows
                child_rows.addresses += addresses
                self._add_records(child_rows, entries, learned)

    def _spread_fields(
        self, rows: TableRows, layout: _RecordLayout, records: Sequence[Any], first: int, learned: LearnedFields
    ) -> Iterator[tuple[TableRows, Sequence[Any]]]:
        """Appends the fields of records, and of the objects in them, to their columns; yields the lists in them."""
        # Records of one round may differ in what was learned during it, but all begin with the described fields.
        columns = list(zip(*map(astuple, records), strict=False))
        for index, column in layout.values:
            column += columns[index]
        for index, empty_object, inner in layout.objects:
            objects = [empty_object if found is None else found for found in columns[index]]
            rows.container_fields += len(objects) - columns[index].count(None)
            yield from self._spread_fields(rows, inner, objects, first, learned)
        for index, child_rows in layout.lists:
            rows.container_fields += len(records) - columns[index].count(None)
            if child_rows is not rows:  # the units in a unit are rows of the same table, and there already
                yield child_rows, columns[index]
        for attribute, json_name in learned.get(layout.record, {}).items():
            raws = ((row, bytes(getattr(record, attribute, b""))) for row, record in enumerate(records, first))
            found = [(row, raw) for row, raw in raws if raw not in (b"", b"null")]
            of_rows, values = rows.unknown_values.setdefault(f"{layout.json_path}.{json_name}", ([], []))
            of_rows += [row for row, _ in found]
            values += [raw for _, raw in found]


def _unroll_lists(lists: Sequence[list[Any] | None], first: int) -> tuple[list[Any], list[int], list[int]]:
    """The entries of many lists, the row that each belongs to, and its index; null entries are left out.

    `first` is the row of the first list.
    """
    entries: list[Any] = []
    parent_rows: list[int] = []
    indexes: list[int] = []
    for row, own in enumerate(lists, first):
        if own:
            entries += own
            parent_rows += repeat(row, len(own))
            indexes += range(len(own))
    if None in entries:
        filled = [at for at, entry in enumerate(entries) if entry is not None]
        entries, parent_rows, indexes = ([column[at] for at in filled] for column in (entries, parent_rows, indexes))
    return entries, parent_rows, indexes


def _unroll_units(lists: Sequence[list[Any] | None], first: int) -> tuple[list[Any], list[int], list[str]]:
    """Handling units of all depths, each before the units in it, with the row of its order and its address."""
    units: list[Any] = []
    order_rows: list[int] = []
    addresses: list[str] = []
    for row, own in enumerate(lists, first):
        waiting = _addressed_units(own, "")
        while waiting:  # no recursion: the depth of units has no limit
            address, unit = waiting.pop()
            units.append(unit)
            order_rows.append(row)
            addresses.append(address)
            if unit.child_handling_units:
                waiting += _addressed_units(unit.child_handling_units, f"{address}.")
    return units, order_rows, addresses


def _addressed_units(units: list[Any] | None, prefix: str) -> list[tuple[str, Any]]:
    """The units of a list with their addresses, the first one last."""
    found = [(f"{prefix}{index}", unit) for index, unit in enumerate(units or ()) if unit is not None]
    return found[::-1]
