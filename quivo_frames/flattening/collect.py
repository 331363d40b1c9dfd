"""Verb: the records of orders -> columns of wire values, for all tables at once. Floor 3.

Records are gathered a few hundred orders at a time, their values packed, and then forgotten: the memory of one round
serves the next and stays in the processor's cache, which takes half of the time off decoding and gathering.
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
"""The attributes that lead to a value from the record of a row; none for the entries of a list of plain values."""
LearnedFields = Mapping[type[Record], Mapping[str, str]]
"""By record: attribute of the Struct -> JSON name, for fields that the description does not know."""
ROWS_PER_PACK = 500
"""Rows of a table that are packed at a time: fewer pay the fixed cost of a Series too often."""
_UNITS = "handling_units"


class _RecordLayout(NamedTuple):
    """Where the fields of a record go, by their place in it."""

    record: type[Record]
    json_path: str
    values: list[tuple[int, list[Any]]]
    objects: list[tuple[int, msgspec.Struct, _RecordLayout]]
    """With the object that stands for a missing one."""
    lists: list[tuple[int, TableRows]]


class TableRows:
    """The rows of one table so far: their wire values, and where each row belongs."""

    def __init__(self, table: Table) -> None:
        self._kinds = {column.path if table.record else (): column.kind for column in table.value_columns}
        self._packed: dict[ColumnPath, list[PackedValues]] = {path: [] for path in self._kinds}
        self.pending_values: dict[ColumnPath, list[Any]] = {path: [] for path in self._kinds}
        """Wire values of the present round, a list a column."""
        self.parent_rows: list[int] = []
        """Row of the parent table, a row each."""
        self.addresses: list[Any] = []
        """Place in its list, a row each; of a handling unit the places that lead to it: 0.2.1."""
        self.unknown_values: dict[str, tuple[list[int], list[bytes]]] = {}
        """Rows that hold a field nobody knows, and what stands in it, by JSON path."""
        self.container_fields = 0
        """Fields of the rows that hold an object or a list."""
        self.height = 0
        self.pending_rows = 0
        """Rows whose values are still in lists."""

    def pack_pending_values(self) -> None:
        """Packs the wire values that are still a list."""
        for path, values in self.pending_values.items():
            self._packed[path].append(pack_values(self._kinds[path], values))
            values.clear()
        self.pending_rows = 0

    def decoded_column(self, path: ColumnPath) -> pl.Series:
        """The wire values of a column, a row each."""
        if self.pending_rows:
            self.pack_pending_values()
        return unpack_column(self._kinds[path], self._packed[path])


class RowCollector:
    """Gathers the rows of all tables, round after round.

    `nothing` has an object of each record in which every field is missing.
    """

    def __init__(self, nothing: Mapping[type[Record], msgspec.Struct]) -> None:
        self.tables = {name: TableRows(table) for name, table in TABLES.items()}
        self._empty_objects = nothing
        self._layouts = {
            name: self._lay_out_record(table.record, (), table.source, table) for name, table in TABLES.items() if table.record
        }
        self._units = self.tables[_UNITS]
        self._names = {id(gathered): name for name, gathered in self.tables.items()}

    def _lay_out_record(self, record: type[Record], path: tuple[str, ...], json_path: str, table: Table) -> _RecordLayout:
        shape = _RecordLayout(record, json_path, [], [], [])
        for place, field in enumerate(fields_of(record)):
            here = (*path, field.name)
            if field.child_table is not None:
                shape.lists.append((place, self.tables[field.child_table.name]))
            elif field.record is not None:
                deeper = self._lay_out_record(field.record, here, f"{json_path}.{field.json_name}", table)
                shape.objects.append((place, self._empty_objects[field.record], deeper))
            else:
                shape.values.append((place, self.tables[table.name].pending_values[here]))
        return shape

    def add_orders(self, orders: Sequence[Any], learned: LearnedFields) -> None:
        """Takes the orders of one round."""
        if orders:
            self._add_records("orders", orders, learned)
        for rows in self.tables.values():
            if rows.pending_rows >= ROWS_PER_PACK:
                rows.pack_pending_values()

    def _add_records(self, name: str, records: Sequence[Any], learned: LearnedFields) -> None:
        """The rows of one table, then those of the lists in its records."""
        rows = self.tables[name]
        first = rows.height
        rows.height += len(records)
        rows.pending_rows += len(records)
        if name not in self._layouts:
            rows.pending_values[()] += records
            return
        for inner, lists in list(self._spread_fields(rows, self._layouts[name], records, first, learned)):
            entries, parents, addresses = (_units_of_lists if inner is self._units else _entries_of_lists)(lists, first)
            if entries:
                inner.parent_rows += parents
                inner.addresses += addresses
                self._add_records(self._names[id(inner)], entries, learned)

    def _spread_fields(
        self, rows: TableRows, shape: _RecordLayout, records: Sequence[Any], first: int, learned: LearnedFields
    ) -> Iterator[tuple[TableRows, Sequence[Any]]]:
        """Puts the fields of records into their columns, the objects inside them opened; yields the lists."""
        # Records of one round may differ by what was learned in it, but all begin with the described fields.
        columns = list(zip(*map(astuple, records), strict=False))
        for place, column in shape.values:
            column += columns[place]
        for place, nothing, inner in shape.objects:
            objects = [nothing if found is None else found for found in columns[place]]
            rows.container_fields += len(objects) - columns[place].count(None)
            yield from self._spread_fields(rows, inner, objects, first, learned)
        for place, gathered in shape.lists:
            rows.container_fields += len(records) - columns[place].count(None)
            if gathered is not rows:  # a unit's inner units are rows of its own table, and there already
                yield gathered, columns[place]
        for attribute, json_name in learned.get(shape.record, {}).items():
            raws = ((row, bytes(getattr(record, attribute, b""))) for row, record in enumerate(records, first))
            found = [(row, raw) for row, raw in raws if raw not in (b"", b"null")]
            of_rows, values = rows.unknown_values.setdefault(f"{shape.json_path}.{json_name}", ([], []))
            of_rows += [row for row, _ in found]
            values += [raw for _, raw in found]


def _entries_of_lists(lists: Sequence[list[Any] | None], first: int) -> tuple[list[Any], list[int], list[int]]:
    """The entries of many lists in a row, with the row of the list and the place in it; null entries left out."""
    entries: list[Any] = []
    parents: list[int] = []
    places: list[int] = []
    for row, own in enumerate(lists, first):
        if own:
            entries += own
            parents += repeat(row, len(own))
            places += range(len(own))
    if None in entries:
        filled = [place for place, entry in enumerate(entries) if entry is not None]
        entries, parents, places = ([column[place] for place in filled] for column in (entries, parents, places))
    return entries, parents, places


def _units_of_lists(lists: Sequence[list[Any] | None], first: int) -> tuple[list[Any], list[int], list[str]]:
    """Handling units of all depths, each before the units inside it, with the row of its order and its address."""
    units: list[Any] = []
    parents: list[int] = []
    addresses: list[str] = []
    for row, own in enumerate(lists, first):
        waiting = _addressed_units(own, "")
        while waiting:  # no recursion: nothing limits how deep units are packed
            address, unit = waiting.pop()
            units.append(unit)
            parents.append(row)
            addresses.append(address)
            if unit.child_handling_units:
                waiting += _addressed_units(unit.child_handling_units, f"{address}.")
    return units, parents, addresses


def _addressed_units(units: list[Any] | None, above: str) -> list[tuple[str, Any]]:
    """Units with their addresses, the first one last."""
    found = [(f"{above}{place}", unit) for place, unit in enumerate(units or ()) if unit is not None]
    return found[::-1]
