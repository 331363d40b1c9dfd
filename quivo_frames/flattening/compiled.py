"""One batch of orders in the compiled core: its plan, and its tables with what is unusual in them decided here.

The core (`quivo_frames._core`, sources in `core/`) reads JSON bytes into Arrow columns. It knows no field: its plan is
derived from `model/order.py`. What is only unusual in form (a time without a zone, 2.0 for 2, money of five decimals)
it hands over as text, cell by cell, to the same functions that convert whole columns in the Python core; unknown
fields it names. An order that it does not read at all (broken JSON, a wrong type, a field that stands twice) is left
to the Python core, which knows what to say about it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from enum import IntEnum
from itertools import chain, compress
from types import ModuleType
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.flattening.batch_findings import BatchFindings, ColumnFinding, UnknownFieldRows
from quivo_frames.flattening.convert import convert_written_values, find_placeholders
from quivo_frames.flattening.order_text import find_order_text
from quivo_frames.model.messages import describe_note, json_type_of
from quivo_frames.model.order import Order, Record
from quivo_frames.model.records import Failure, RawOrder
from quivo_frames.model.tables import FETCHED_AT, ORDER_ID, ORDINAL, TABLES, Column, Table, fields_of, primary_key_of

_ATTRIBUTES, _UNITS = "custom_attributes", "handling_units"
_PLAN_VERSION = 1
"""`Plan::VERSION` of core/plan.hpp: one more with each change of what Python and C++ exchange."""
_TABLE_NUMBERS = {name: number for number, name in enumerate(TABLES)}
_ATTRIBUTE_VALUES = ("key", "value", "value_type")


class _CoreKind(IntEnum):
    """`Kind` of core/columns.hpp."""

    TEXT = 0
    INT64 = 1
    INT32 = 2
    FLAG = 3
    INSTANT = 4
    DAY = 5
    MONEY = 6
    MEASURE = 7
    JSON = 8
    OBJECT = 9
    LIST = 10
    TEXT_LIST = 11
    UNIT_LIST = 12


class _Role(IntEnum):
    """`Role` of core/plan.hpp."""

    VALUE = 0
    OWN_KEY = 1
    ORDER_ID = 2
    PARENT_KEY = 3
    INHERITED = 4
    ORDINAL = 5
    UNIT_PARENT = 6
    UNIT_ROOT = 7
    DEPTH = 8


class _Remark(IntEnum):
    """`RemarkKind` of core/batch.hpp."""

    UNUSUAL_VALUE = 0
    UNKNOWN_FIELD = 1
    NOT_FREE_FORM = 2
    NO_TIME_ZONE = 3


_FIXED_ROLES = {
    ORDER_ID.name: _Role.ORDER_ID,
    ORDINAL.name: _Role.ORDINAL,
    "parent_handling_unit_key": _Role.UNIT_PARENT,
    "root_handling_unit_key": _Role.UNIT_ROOT,
    "depth": _Role.DEPTH,
}


class _FieldPlan(NamedTuple):
    """A field: `target` is the column of a value, or the table of a list; `shape` that of objects."""

    name: str
    kind: _CoreKind
    target: int = 0
    shape: int = 0


class _ShapePlan(NamedTuple):
    table: int
    fields: list[_FieldPlan]
    json_path: str


class _OutputPlan(NamedTuple):
    name: str
    role: _Role
    kind: _CoreKind = _CoreKind.TEXT
    table: int = 0
    column: int = 0


class _TablePlan(NamedTuple):
    parent: int
    has_children: bool
    kinds: list[_CoreKind]
    output: list[_OutputPlan]


class _CorePlan(NamedTuple):
    tables: list[_TablePlan]
    shapes: list[_ShapePlan]
    attributes: int = _TABLE_NUMBERS[_ATTRIBUTES]
    units: int = _TABLE_NUMBERS[_UNITS]


def _values_of(table: Table) -> list[Column]:
    """The columns that the core reads from JSON, in the order of their numbers."""
    if table.name == _ATTRIBUTES:
        return [table.column(name) for name in _ATTRIBUTE_VALUES]
    return list(table.value_columns)


@functools.cache
def _core_plan() -> _CorePlan:
    shapes: list[_ShapePlan] = []
    numbers: dict[tuple[type[Record], str, tuple[str, ...]], int] = {}
    columns = {
        name: {column.path: number for number, column in enumerate(_values_of(table))} for name, table in TABLES.items()
    }

    def add_shape(record: type[Record], table: str, json_path: str, path: tuple[str, ...] = ()) -> int:
        if (record, table, path) in numbers:
            return numbers[record, table, path]
        number = numbers[record, table, path] = len(shapes)
        shapes.append(_ShapePlan(_TABLE_NUMBERS[table], [], json_path))
        for field in fields_of(record):
            here = (*path, field.name)
            if field.child_table is not None:
                child = field.child_table.name
                kind = _CoreKind.UNIT_LIST if field.record is record else _CoreKind.LIST
                plan = _FieldPlan(field.json_name, _CoreKind.TEXT_LIST, _TABLE_NUMBERS[child])
                if field.record is not None:
                    shape = add_shape(field.record, child, TABLES[child].source)
                    plan = plan._replace(kind=kind, shape=shape)
            elif field.record is not None:
                shape = add_shape(field.record, table, f"{json_path}.{field.json_name}", here)
                plan = _FieldPlan(field.json_name, _CoreKind.OBJECT, shape=shape)
            else:
                assert field.kind is not None
                plan = _FieldPlan(field.json_name, _CoreKind[field.kind.name], columns[table][here])
            shapes[number].fields.append(plan)
        return number

    add_shape(Order, "orders", TABLES["orders"].source)
    return _CorePlan([_plan_table(table) for table in TABLES.values()], shapes)


def _plan_table(table: Table) -> _TablePlan:
    children = {child.parent for child in TABLES.values()}
    kinds = [_CoreKind[column.kind.name] for column in _values_of(table)]
    output = [_plan_output(table, column) for column in table.columns if column is not FETCHED_AT]
    parent = -1 if table.parent is None else _TABLE_NUMBERS[table.parent]
    return _TablePlan(parent, table.name in children, kinds, output)


def _plan_output(table: Table, column: Column) -> _OutputPlan:
    kind = _CoreKind[column.kind.name]
    values = _values_of(table)
    if column in values:
        return _OutputPlan(column.name, _Role.VALUE, kind, column=values.index(column))
    if column.name == table.key:
        return _OutputPlan(column.name, _Role.OWN_KEY)
    if column.name in _FIXED_ROLES:
        return _OutputPlan(column.name, _FIXED_ROLES[column.name])
    parent = next((name for name in TABLES if primary_key_of(name) == column.name), None)
    if parent is not None:
        return _OutputPlan(column.name, _Role.PARENT_KEY, table=_TABLE_NUMBERS[parent])
    ancestor = TABLES[table.parent or ""]  # an id that is inherited from the nearest ancestor that has it
    while column.name not in [value.name for value in ancestor.value_columns]:
        ancestor = TABLES[ancestor.parent or ""]
    number = [value.name for value in ancestor.value_columns].index(column.name)
    return _OutputPlan(column.name, _Role.INHERITED, kind, _TABLE_NUMBERS[ancestor.name], number)


USUAL_BEGINNING = f'{{"{fields_of(Order)[0].json_name}":'.encode()
"""How the JSON of an order begins as Quivo writes it."""


def write_plan() -> str:
    """The plan as the core reads it: numbers and names with blanks between them, counts before what is counted."""
    plan = _core_plan()
    words: list[object] = [_PLAN_VERSION, plan.attributes, plan.units, len(plan.tables), len(plan.shapes)]
    for table in plan.tables:
        words += [table.parent, table.has_children, len(table.kinds), *table.kinds, len(table.output)]
        words += chain.from_iterable(table.output)
    for shape in plan.shapes:
        words += [shape.table, len(shape.fields)]
        words += chain.from_iterable(shape.fields)
    return " ".join(str(word + 0) if isinstance(word, int) else str(word) for word in words)


@functools.cache
def _compiled_plan(core: ModuleType) -> Any:
    try:
        return core.compile_plan(write_plan())
    except RuntimeError as error:
        raise ConfigError(
            f"The compiled core does not fit this version of quivo_frames ({error}). "
            "Install quivo_frames again, or set QUIVO_FRAMES_CORE=python."
        ) from error


class _ArrowStruct:
    """A pair of capsules as polars takes them."""

    def __init__(self, capsules: tuple[object, object]) -> None:
        self._capsules = capsules

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._capsules


def _read_numbers(packed: bytes) -> list[int]:
    return memoryview(packed).cast("q").tolist()


class CompiledBatch:
    """The tables of some orders, each of which is given once, and what was found in them.

    `origins` receives, by order id, where each order was read: the RawOrder without its body.
    """

    def __init__(self, core: ModuleType, raws: Sequence[RawOrder], origins: dict[int, RawOrder]) -> None:
        self.findings = BatchFindings()
        self.decode_failures: list[tuple[int, Failure]] = []
        """None: what cannot be decoded is left to Python."""
        self._origins = origins
        texts, envelopes = _find_order_texts(raws)
        tables, remarks, places, odd = core.flatten_orders(_compiled_plan(core), texts)
        self.odd_places = _read_numbers(odd)
        """The places of the orders that Python must read."""
        self.tables = {name: pl.DataFrame(_ArrowStruct(made)) for name, made in zip(TABLES, tables, strict=True)}
        order_ids = self.tables["orders"][ORDER_ID.name].to_list()
        self.places = dict(zip(order_ids, _read_numbers(places), strict=True))
        """By order that was read, its place in the batch; sorted by it."""
        read = [raws[place] for place in self.places.values()] if odd else raws
        origins.update(zip(order_ids, [RawOrder(b"", *raw[1:]) for raw in read], strict=True))
        fetched = pl.Series(FETCHED_AT.name, [raw.fetched_at for raw in read], dtype=FETCHED_AT.dtype)
        self.tables["orders"] = self.tables["orders"].with_columns(fetched)
        for order_id, place in self.places.items() if envelopes else ():
            if place in envelopes:
                self.findings.notes.append(describe_note("envelope", envelopes[place], 1, order_id))
        self._take_remarks(pl.DataFrame(_ArrowStruct(remarks)))
        self._note_placeholders()

    def find_failures(self) -> dict[int, Failure]:
        """By order, the first reason why the tables cannot hold it."""
        return self.findings.describe_rejected(self.tables, self._origins)

    def _take_remarks(self, remarks: pl.DataFrame) -> None:
        in_order = remarks.sort("kind", "table", "place", "row") if remarks.height else remarks
        groups = in_order.partition_by("kind", "table", "place", as_dict=True) if remarks.height else {}
        for (kind, number, place), found in groups.items():
            table = list(TABLES.values())[number]
            rows, texts = found["row"].to_list(), found["text"]
            if kind == _Remark.UNUSUAL_VALUE:
                self._convert_cells(table, table.value_columns[place], rows, texts)
            elif kind == _Remark.UNKNOWN_FIELD:
                self._note_unknown_fields(table, _core_plan().shapes[place].json_path, rows, texts)
            else:
                note_kind = _Remark(kind).name.lower()
                self.findings.noted.append(ColumnFinding(table, table.value_columns[place], note_kind, rows, []))

    def _convert_cells(self, table: Table, column: Column, rows: list[int], texts: pl.Series) -> None:
        if column.dtype.is_integer():  # a message shows a short number as Python reads it, see exact.py
            texts = texts.map_elements(lambda text: repr(json.loads(text)), return_dtype=pl.String)
        converted = convert_written_values(column.kind, texts)
        cells = self.tables[table.name][column.name].scatter(rows, converted.values)
        self.tables[table.name] = self.tables[table.name].with_columns(cells)
        self.findings.add_converted(table, column, converted, rows, texts)

    def _note_unknown_fields(self, table: Table, json_path: str, rows: list[int], texts: pl.Series) -> None:
        """Notes fields that are not null; a text is the first character of a value, then the name of its field."""
        for name in texts.str.slice(1).unique(maintain_order=True).to_list():
            is_field = (texts.str.slice(1) == name) & ~texts.str.starts_with("n")
            types = [json_type_of(first.encode()) for first in texts.filter(is_field).str.slice(0, 1).to_list()]
            of_rows = list(compress(rows, is_field))
            self.findings.unknown_fields.append(UnknownFieldRows(table.name, f"{json_path}.{name}", of_rows, types))

    def _note_placeholders(self) -> None:
        for table in TABLES.values():
            frame = self.tables[table.name]
            columns = {column.name: (column.kind, frame[column.name]) for column in table.value_columns}
            for name, rows in find_placeholders(columns).items() if frame.height else ():
                finding = ColumnFinding(table, table.column(name), "placeholder_date", rows, [])
                self.findings.noted.append(finding)


def _find_order_texts(raws: Sequence[RawOrder]) -> tuple[list[bytes], dict[int, str]]:
    """The JSON of each order; and by place, the path of an envelope that the order came in."""
    texts = [raw.body for raw in raws]
    envelopes: dict[int, str] = {}
    for place, body in enumerate(texts):
        if not body.startswith(USUAL_BEGINNING):
            texts[place], path = find_order_text(body)
            if path != "$":
                envelopes[place] = path
    return texts, envelopes
