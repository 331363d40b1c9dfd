"""The catalogue: every table and column, derived from `order.py` by one rule.

Every list becomes a table. Every object becomes prefixed columns. Recursion becomes one table with a parent key.
Free-form objects become JSON text plus a key/value table.

Every table but `orders` has one text primary key, the address of the row: `1001/0/2` is order 1001, fulfillment
order 0, shipment 2, places counted from 0. Handling units are addressed by the path through their parents:
`1001/0.2.1`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

import polars as pl
from msgspec.structs import fields as struct_fields

from quivo_frames.errors import ConfigError
from quivo_frames.model.order import ChildTable, Field, Kind, Order, Privacy, Record
from quivo_frames.model.records import Failure, Lineage, Note, PartRecord

DTYPES: dict[Kind, pl.DataType] = {
    Kind.TEXT: pl.String(),
    Kind.INT64: pl.Int64(),
    Kind.INT32: pl.Int32(),
    Kind.FLAG: pl.Boolean(),
    Kind.INSTANT: pl.Datetime("us", "UTC"),
    Kind.DAY: pl.Date(),
    Kind.MONEY: pl.Decimal(18, 4),
    Kind.MEASURE: pl.Float64(),
    Kind.JSON: pl.String(),
}
"""The polars dtype of each kind of value."""

SCHEMA_VERSION = 1
"""Raised when a reader of the tables could break: a column gone, renamed, or of another type."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, kind, description, unit and privacy class, and where in a record its value comes from."""

    name: str
    kind: Kind
    sentence: str
    unit: str | None = None
    privacy: Privacy = Privacy.NONE
    path: tuple[str, ...] = ()
    """Attributes that lead from the record to the value; empty for keys and ordinals, which flattening adds."""
    json_path: str = ""
    """The same path in JSON names: `deliveryAddress.name1`."""
    required: bool = False
    """Whether it is never null."""
    categorical: bool = False
    """Whether its values presumably come from a short list, such as those of a status."""

    @property
    def dtype(self) -> pl.DataType:
        """The polars dtype of the column."""
        return DTYPES[self.kind]


class Reference(typing.NamedTuple):
    """A foreign key: each value of `column` is a value of `to_column` of `to_table`."""

    column: str
    to_table: str
    to_column: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what one row is (`grain`), where in the JSON it comes from, its columns and keys."""

    name: str
    grain: str
    source: str
    """JSON path of its rows, such as `$.fulfillmentOrders[].shipments[]`; custom_attributes has two, joined by ", "."""
    key: str
    parent: str | None
    record: type[Record] | None
    """The record of a row; None for lists of plain values and for free-form attributes."""
    columns: tuple[Column, ...]
    references: tuple[Reference, ...] = ()
    inherited_keys: tuple[str, ...] = ()
    """Key columns that a row takes over from its parent row."""
    child_tables: dict[tuple[str, ...], str] = dataclasses.field(default_factory=dict)
    """The table of the entries of each list of the record, by the path of attributes that leads to the list."""

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Names and polars dtypes of the columns, in order."""
        return {column.name: column.dtype for column in self.columns}

    @property
    def value_columns(self) -> tuple[Column, ...]:
        """The columns that hold values of the orders: no keys, ordinals or ids repeated from ancestors."""
        is_plain_list = self.record is None and self.inherited_keys
        return tuple(column for column in self.columns if column.json_path) + (
            self.columns[-1:] if is_plain_list else ()
        )

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    def empty_frame(self) -> pl.DataFrame:
        """The table with 0 rows."""
        return pl.DataFrame(schema=self.schema)

    def json_path(self, column: Column, key: object = None) -> str:
        """JSON path of a column's values, or of the single value in the row with the given key."""
        sources = self.source.split(", ")
        path = sources[0]
        if key is not None and self.parent is not None:
            indexes = str(key).split("/")[1:]
            path = next((source for source in sources if source.count("[]") == len(indexes) - 1), path)
            remaining = iter(indexes)
            path = re.sub(r"\[\]", lambda _: _json_index(next(remaining, "")), path)
        return f"{path}.{column.json_path}" if column.json_path else path


def _json_index(index: str) -> str:
    """One part of a row's key in JSON path syntax: 2 -> [2], 0.2 -> [0].childHandlingUnits[2]."""
    first, *inner = index.split(".")
    return f"[{first}]" + "".join(f".childHandlingUnits[{n}]" for n in inner)


ORDER_ID = Column("order_id", Kind.INT64, "The order that the row belongs to.", required=True)
ORDINAL = Column("ordinal", Kind.INT64, "Place in its list, from 0.", required=True)
FETCHED_AT = Column(
    "fetched_at", Kind.INSTANT, "When Quivo's answer arrived; null for files that do not say.", unit="UTC"
)


def singular_name(table: str) -> str:
    """The name of a table in the singular, as keys have it: shipment_positions -> shipment_position."""
    return table.removesuffix("s")


def row_noun(table: str) -> str:
    """What a row of a table is called in a sentence: shipment_positions -> shipment position."""
    return singular_name(table).replace("_", " ")


def primary_key_of(table: str) -> str:
    """The name of a table's primary key column."""
    return "order_id" if table == "orders" else f"{singular_name(table)}_key"


class RecordField(typing.NamedTuple):
    """One field of a record, as `order.py` describes it.

    A value has a `kind` and a `field`, an object has a `record`, a list has a `child_table` and, if its entries are
    objects, a `record`.
    """

    name: str
    json_name: str
    record: type[Record] | None
    kind: Kind | None
    field: Field | None
    child_table: ChildTable | None


def cast_to_schema(schema: Mapping[str, pl.DataType]) -> Iterator[pl.Expr]:
    """The columns of a schema, from those of a frame; an amount that a column of 14 digits cannot hold is null."""
    for name, dtype in schema.items():
        yield pl.col(name).cast(dtype, strict=not dtype.is_decimal())


@functools.cache
def fields_of(record: type[Record]) -> tuple[RecordField, ...]:
    """The fields of a record, in their order in `order.py`."""
    found = []
    for item in struct_fields(record):
        extras = getattr(item.type, "__metadata__", ())
        kind = next((extra for extra in extras if isinstance(extra, Kind)), None)
        about = next((extra for extra in extras if isinstance(extra, Field)), None)
        child_table = next((extra for extra in extras if isinstance(extra, ChildTable)), None)
        nested = _nested_record(item.type)
        found.append(RecordField(item.name, item.encode_name, nested, kind, about, child_table))
    return tuple(found)


def _nested_record(hint: object) -> type[Record] | None:
    """The record class inside a type hint such as `X | None` or `list[X | None] | None`, if there is one."""
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        return hint if issubclass(hint, Record) else None
    return next((found for arg in typing.get_args(hint) if (found := _nested_record(arg))), None)


def _flattened_fields(
    record: type[Record], path: tuple[str, ...] = (), json_path: str = ""
) -> Iterator[tuple[tuple[str, ...], str, RecordField]]:
    """The values and lists of a record and of the objects in it, each with its path of attributes and of JSON names."""
    for field in fields_of(record):
        here = (*path, field.name), f"{json_path}.{field.json_name}" if json_path else field.json_name
        if field.record is not None and field.child_table is None:
            yield from _flattened_fields(field.record, *here)
        else:
            yield *here, field


def _value_column(path: tuple[str, ...], json_path: str, field: RecordField) -> Column:
    assert field.field is not None
    assert field.kind is not None
    sentence, unit, privacy, categorical = field.field
    if prefix := " ".join(path[:-1]).replace("_", " ").capitalize():
        sentence = f"{prefix}: {sentence[0].lower()}{sentence[1:]}"
    required = path == ("order_id",)
    return Column("_".join(path), field.kind, sentence, unit, privacy, path, json_path, required, categorical)


@dataclass(frozen=True, slots=True)
class _Parent:
    """The table that a child table hangs on, and the id columns that the child takes over from it."""

    table: str
    ids: tuple[Column, ...]


def _inherited_keys(parent: _Parent | None) -> tuple[str, ...]:
    if parent is None:
        return ()
    parent_key = () if parent.table == "orders" else (primary_key_of(parent.table),)
    return (ORDER_ID.name, *parent_key, *(column.name for column in parent.ids))


class _TableDerivation:
    """Derives the tables in one walk over the records."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.free_form: list[str] = []

    def derive_tables(self) -> dict[str, Table]:
        self._add_table(Order, ChildTable("orders", "order"), None)
        self.tables["custom_attributes"] = self._custom_attributes_table()
        return self.tables

    def _add_table(
        self, record: type[Record] | None, rows: ChildTable, parent: _Parent | None, source: str = "$"
    ) -> None:
        name, key = rows.name, primary_key_of(rows.name)
        self.tables[name] = None  # type: ignore[assignment]  # reserves its position before its children
        keys, references = self._key_columns(name, parent)
        ids = parent.ids if parent else ()
        columns: list[Column] = []
        lists: dict[tuple[str, ...], str] = {}
        if record is None:
            sentence = f"The {row_noun(name)}."
            columns.append(Column(rows.value_column or "", Kind.TEXT, sentence, rows.unit, rows.privacy, required=True))
        else:
            flattened = list(_flattened_fields(record))
            columns += [_value_column(*item) for item in flattened if item[-1].child_table is None]
            own_id = next((c for c in columns if c.name == f"{singular_name(name)}_id" and name != "orders"), None)
            if own_id:
                sentence = f"{row_noun(name).capitalize()} that the row belongs to."
                ids += (Column(own_id.name, own_id.kind, sentence),)
            here = _Parent(name, ids)
            for path, json_path, field in flattened:
                if field.child_table is not None:
                    lists[path] = field.child_table.name
                    if field.child_table.name not in self.tables:
                        self._add_table(field.record, field.child_table, here, f"{source}.{json_path}[]")
            if any(column.kind is Kind.JSON for column in columns):
                self.free_form.append(name)
        extra = (FETCHED_AT,) if name == "orders" else ()
        self.tables[name] = Table(
            name, rows.grain, source, key, parent.table if parent else None, record,
            (*keys, *columns, *extra), references, _inherited_keys(parent), lists,
        )  # fmt: skip

    def _key_columns(self, name: str, parent: _Parent | None) -> tuple[list[Column], tuple[Reference, ...]]:
        if parent is None:
            return [], ()
        address = "Address of the row: the order, then the places in the lists that lead to it, from 0."
        keys = [Column(primary_key_of(name), Kind.TEXT, address, required=True), ORDER_ID]
        references = [Reference("order_id", "orders", "order_id")]
        if parent.table != "orders":
            parent_key = primary_key_of(parent.table)
            sentence = f"Key of the {row_noun(parent.table)} that the row belongs to."
            keys.append(Column(parent_key, Kind.TEXT, sentence, required=True))
            references.append(Reference(parent_key, parent.table, parent_key))
        if name == "handling_units":
            keys += [
                Column("parent_handling_unit_key", Kind.TEXT, "Key of the unit that holds this one; null at the top."),
                Column(
                    "root_handling_unit_key", Kind.TEXT, "Key of the outermost unit around this one.", required=True
                ),
                Column("depth", Kind.INT64, "How many units are around this one.", unit="units", required=True),
            ]
            references += [
                Reference("parent_handling_unit_key", name, primary_key_of(name)),
                Reference("root_handling_unit_key", name, primary_key_of(name)),
            ]
        return [*keys, *parent.ids, ORDINAL], tuple(references)

    def _custom_attributes_table(self) -> Table:
        name = "custom_attributes"
        parents = [table for table in self.free_form if table != "orders"]
        sources = [f"{self.tables[table].source}.customAttributes" for table in self.free_form]
        privacy = Privacy.PERSONAL
        keys, references = self._key_columns(name, _Parent("orders", ()))
        for parent in parents:
            sentence = f"Key of the {row_noun(parent)} that it belongs to; null for the order's own."
            keys.insert(-1, Column(primary_key_of(parent), Kind.TEXT, sentence))
            references += (Reference(primary_key_of(parent), parent, primary_key_of(parent)),)
        columns = (
            Column("key", Kind.TEXT, "Name of the attribute.", required=True),
            Column("value", Kind.TEXT, "Its value: a text as it is, anything else as JSON text.", privacy=privacy),
            Column("value_type", Kind.TEXT, "JSON type: string, number, boolean, null, object, array.", required=True),
        )
        source, key = ", ".join(sources), primary_key_of(name)
        return Table(name, "key of a free-form object", source, key, "orders", None, (*keys, *columns), references)


TABLES: dict[str, Table] = _TableDerivation().derive_tables()
"""All 18 tables by name, parents before their children."""


def table_named(name: str) -> Table:
    """The table of that name.

    Raises:
        ConfigError: there is no such table.
    """
    if name not in TABLES:
        raise ConfigError(f"There is no table {name!r}. The tables are: {', '.join(TABLES)}.")
    return TABLES[name]


_KINDS = {
    str: Kind.TEXT, int: Kind.INT64, bool: Kind.FLAG, float: Kind.MEASURE, Decimal: Kind.MONEY,
    datetime: Kind.INSTANT, date: Kind.DAY,
}  # fmt: skip
"""The kind of value of each type of a named tuple's fields."""


def table_of_named_tuple(name: str, grain: str, row_type: type, key: str = "") -> Table:
    """The table whose columns are the annotated fields of a named tuple: a sentence, and a unit if there is one.

    Columns that are called as the primary key of one of the 18 tables refer to it.
    """
    columns = []
    for column, hint in typing.get_type_hints(row_type, include_extras=True).items():
        types_of = typing.get_args(typing.get_args(hint)[0]) or (typing.get_args(hint)[0],)
        sentence, unit = (*hint.__metadata__, None)[:2]
        required = type(None) not in types_of
        columns.append(Column(column, _KINDS[types_of[0]], sentence, unit, required=required))
    keys = {table.key: table.name for table in TABLES.values()}
    references = [Reference(c.name, keys[c.name], c.name) for c in columns if key and c.name in keys]
    return Table(name, grain, "", key, None, None, tuple(columns), tuple(references))


REPORT_TABLES: dict[str, Table] = {
    "failures": table_of_named_tuple("failures", "order that is in no table", Failure),
    "notes": table_of_named_tuple("notes", "kind of thing noticed at one place of the orders", Note),
}
"""The tables that report on a build."""

LINEAGE_TABLES: dict[str, Table] = {
    "answers": table_of_named_tuple("answers", "order that was read", Lineage),
    "noticed": replace(REPORT_TABLES["notes"], name="noticed", grain="order, kind of thing noticed, and place"),
    "parts": table_of_named_tuple("parts", "part of the dataset", PartRecord),
}
"""The tables that a build keeps for the next one: the answer and the notes of each order, and where its rows are."""
