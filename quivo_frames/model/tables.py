"""The catalogue: every table and column, derived from `order.py` by one rule. Floor 1.

Every list becomes a table. Every object becomes prefixed columns. Recursion becomes one table with a parent key.
Free-form objects become JSON text plus a key/value table.

Every table but `orders` has one text primary key, the address of the row: `1001/0/2` is order 1001, fulfillment
order 0, shipment 2, places counted from 0. Handling units are addressed by the path through their parents:
`1001/0.2.1`.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl
from msgspec.structs import fields as struct_fields

from quivo_frames.errors import ConfigError
from quivo_frames.model.order import Kind, Order, Privacy, Record, Rows, Says
from quivo_frames.model.records import Failure, Lineage, Note

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
    """A column: its name, kind, sentence, unit, privacy class, and where in a record its value stands."""

    name: str
    kind: Kind
    sentence: str
    unit: str | None = None
    privacy: Privacy = Privacy.NONE
    path: tuple[str, ...] = ()
    """Attributes of the record that lead to the value; empty for the keys and places that flattening adds."""
    json_path: str = ""
    """The same as JSON names: `deliveryAddress.name1`."""
    required: bool = False
    """Whether it is never null."""
    code: bool = False
    """Whether its values are presumably those of a short list, as of a status."""

    @property
    def dtype(self) -> pl.DataType:
        """The polars dtype of the column."""
        return DTYPES[self.kind]


class Reference(typing.NamedTuple):
    """A foreign key: each value of `column` stands in `to_column` of `to_table`."""

    column: str
    to_table: str
    to_column: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what one row is, where in the JSON it comes from, its columns and keys."""

    name: str
    grain: str
    source: str
    """JSON path of its rows: `$.fulfillmentOrders[].shipments[]`."""
    key: str
    parent: str | None
    record: type[Record] | None
    """The record that makes a row; None for lists of plain values and for free-form attributes."""
    columns: tuple[Column, ...]
    references: tuple[Reference, ...] = ()
    inherited: tuple[str, ...] = ()
    """Key columns that a row takes from the row it belongs to."""
    lists: dict[tuple[str, ...], str] = field(default_factory=dict)
    """Attributes of the record that hold lists, and the tables that their entries go to."""

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Names and polars dtypes of the columns, in order."""
        return {column.name: column.dtype for column in self.columns}

    @property
    def values(self) -> tuple[Column, ...]:
        """The columns that hold what the orders say, each value once: no keys, no places, no repeated ids."""
        plain = self.columns[-1:] if self.record is None and self.inherited else ()  # of lists of plain values
        return tuple(column for column in self.columns if column.json_path) + plain

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    def empty(self) -> pl.DataFrame:
        """The table with 0 rows."""
        return pl.DataFrame(schema=self.schema)

    def json_path(self, column: Column, key: object = None) -> str:
        """JSON path of a column's values; of one value if the row's key is given."""
        sources = self.source.split(", ")
        path = sources[0]
        if key is not None and self.parent is not None:
            places = str(key).split("/")[1:]
            path = next((source for source in sources if source.count("[]") == len(places) - 1), path)
            rest = iter(places)
            path = re.sub(r"\[\]", lambda _: _place(next(rest, "")), path)
        return f"{path}.{column.json_path}" if column.json_path else path


def _place(place: str) -> str:
    first, *inner = place.split(".")
    return f"[{first}]" + "".join(f".childHandlingUnits[{n}]" for n in inner)


ORDER_ID = Column("order_id", Kind.INT64, "The order that the row belongs to.", required=True)
ORDINAL = Column("ordinal", Kind.INT64, "Place in its list, from 0.", required=True)
FETCHED_AT = Column(
    "fetched_at", Kind.INSTANT, "When Quivo's answer arrived; null for files that do not say.", unit="UTC"
)


def singular(table: str) -> str:
    """The word for one row of a table: shipments -> shipment."""
    return table.removesuffix("s")


def key_of(table: str) -> str:
    """Name of a table's primary key."""
    return "order_id" if table == "orders" else f"{singular(table)}_key"


@dataclass(frozen=True, slots=True)
class _Spot:
    """What a record inherits from the records around it."""

    table: str
    source: str
    ids: tuple[Column, ...]


class Annotation(typing.NamedTuple):
    """What `order.py` says about one field of a record."""

    name: str
    json_name: str
    record: type[Record] | None
    """The record of an object, or of the entries of a list."""
    kind: Kind | None
    says: Says | Rows | None


def _inherited(around: _Spot | None) -> tuple[str, ...]:
    if around is None:
        return ()
    parent = () if around.table == "orders" else (key_of(around.table),)
    return (ORDER_ID.name, *parent, *(column.name for column in around.ids))


@functools.cache
def described(record: type[Record]) -> tuple[Annotation, ...]:
    """What `order.py` says about each field of a record, in the record's order."""
    hints = typing.get_type_hints(record, include_extras=True)
    found = []
    for item in struct_fields(record):
        extras = getattr(hints[item.name], "__metadata__", ())
        kind = next((extra for extra in extras if isinstance(extra, Kind)), None)
        says = next((extra for extra in extras if isinstance(extra, Says | Rows)), None)
        found.append(Annotation(item.name, item.encode_name, _record_in(hints[item.name]), kind, says))
    return tuple(found)


def _record_in(hint: object) -> type[Record] | None:
    """The record inside `X | None`, `list[X | None] | None` and their like."""
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        return hint if issubclass(hint, Record) else None
    return next((found for arg in typing.get_args(hint) if (found := _record_in(arg))), None)


class _Derivation:
    """Walks the records once, and collects the tables."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.free_form: list[str] = []

    def run(self) -> dict[str, Table]:
        self.add(Order, Rows("orders", "order"), None)
        self.tables["custom_attributes"] = self._custom_attributes()
        return self.tables

    def add(self, record: type[Record] | None, rows: Rows, around: _Spot | None, source: str = "$") -> None:
        name, key = rows.table, key_of(rows.table)
        self.tables[name] = None  # type: ignore[assignment]  # keeps the place of the table before its children's
        keys, references = self._keys(name, around)
        ids = around.ids if around else ()
        columns: list[Column] = []
        lists: dict[tuple[str, ...], str] = {}
        if record is None:
            value = Column(rows.value or "", Kind.TEXT, f"The {singular(name).replace('_', ' ')}.", rows.unit,
                           rows.privacy, (), "", required=True)  # fmt: skip
            columns.append(value)
        else:
            found = list(self._fields(record, (), ""))
            columns += [column for column, _ in found if column]
            natural = next((c for c in columns if c.name == f"{singular(name)}_id" and name != "orders"), None)
            if natural:
                inherited = f"{singular(name).replace('_', ' ').capitalize()} that the row belongs to."
                ids += (Column(natural.name, natural.kind, inherited),)
            here = _Spot(name, source, ids)
            for _, child in found:
                if child is None:
                    continue
                path, json_path, child_record, child_rows = child
                lists[path] = child_rows.table
                if child_rows.table not in self.tables:
                    self.add(child_record, child_rows, here, f"{source}.{json_path}[]")
            if any(column.kind is Kind.JSON for column in columns):
                self.free_form.append(name)
        extra = (FETCHED_AT,) if name == "orders" else ()
        self.tables[name] = Table(
            name, rows.one, source, key, around.table if around else None, record,
            (*keys, *columns, *extra), references, _inherited(around), lists,
        )  # fmt: skip

    def _keys(self, name: str, around: _Spot | None) -> tuple[list[Column], tuple[Reference, ...]]:
        if around is None:
            return [], ()
        address = "Address of the row: the order, then the places in the lists that lead to it, from 0."
        keys = [Column(key_of(name), Kind.TEXT, address, required=True), ORDER_ID]
        references = [Reference("order_id", "orders", "order_id")]
        if around.table != "orders":
            parent = key_of(around.table)
            words = singular(around.table).replace("_", " ")
            keys.append(Column(parent, Kind.TEXT, f"Key of the {words} that the row belongs to.", required=True))
            references.append(Reference(parent, around.table, parent))
        if name == "handling_units":
            keys += [
                Column("parent_handling_unit_key", Kind.TEXT, "Key of the unit that holds this one; null at the top."),
                Column(
                    "root_handling_unit_key", Kind.TEXT, "Key of the outermost unit around this one.", required=True
                ),
                Column("depth", Kind.INT64, "How many units are around this one.", unit="units", required=True),
            ]
            references += [
                Reference("parent_handling_unit_key", name, key_of(name)),
                Reference("root_handling_unit_key", name, key_of(name)),
            ]
        return [*keys, *around.ids, ORDINAL], tuple(references)

    def _fields(
        self, record: type[Record], path: tuple[str, ...], json_path: str
    ) -> Iterator[tuple[Column | None, tuple[tuple[str, ...], str, type[Record] | None, Rows] | None]]:
        """The columns and the lists of a record, the objects inside it opened."""
        about = " ".join(path).replace("_", " ").capitalize()
        for name, json_name, inner, kind, says in described(record):
            here, json_here = (*path, name), f"{json_path}.{json_name}" if json_path else json_name
            if isinstance(says, Rows):
                yield None, (here, json_here, inner, says)
            elif inner is not None:
                yield from self._fields(inner, here, json_here)
            elif isinstance(says, Says) and kind is not None:
                sentence = f"{about}: {says.sentence[0].lower()}{says.sentence[1:]}" if about else says.sentence
                required = here == ("order_id",)
                yield (
                    Column(
                        "_".join(here), kind, sentence, says.unit, says.privacy, here, json_here, required, says.code
                    ),
                    None,
                )

    def _custom_attributes(self) -> Table:
        name = "custom_attributes"
        parents = [table for table in self.free_form if table != "orders"]
        sources = [f"{self.tables[table].source}.customAttributes" for table in self.free_form]
        privacy = Privacy.PERSONAL
        keys, references = self._keys(name, _Spot("orders", "$", ()))
        for parent in parents:
            sentence = f"Key of the {singular(parent).replace('_', ' ')} that it belongs to; null for the order's own."
            keys.insert(-1, Column(key_of(parent), Kind.TEXT, sentence))
            references += (Reference(key_of(parent), parent, key_of(parent)),)
        columns = (
            Column("key", Kind.TEXT, "Name of the attribute.", required=True),
            Column("value", Kind.TEXT, "Its value: a text as it is, anything else as JSON text.", privacy=privacy),
            Column("value_type", Kind.TEXT, "JSON type: string, number, boolean, null, object, array.", required=True),
        )
        grain = "key of a free-form object"
        return Table(name, grain, ", ".join(sources), key_of(name), "orders", None, (*keys, *columns), references)


TABLES: dict[str, Table] = _Derivation().run()
"""All 18 tables by name, parents before their children."""


def table(name: str) -> Table:
    """The table of that name.

    Raises:
        ConfigError: there is no such table.
    """
    if name not in TABLES:
        raise ConfigError(f"There is no table {name!r}. The tables are: {', '.join(TABLES)}.")
    return TABLES[name]


def described_rows(name: str, grain: str, row: type) -> Table:
    """The table whose columns are the annotated fields of a named tuple."""
    kinds = {str: Kind.TEXT, int: Kind.INT64, datetime: Kind.INSTANT}
    columns = []
    for column, hint in typing.get_type_hints(row, include_extras=True).items():
        types_of = typing.get_args(typing.get_args(hint)[0]) or (typing.get_args(hint)[0],)
        kind = kinds[types_of[0]]
        columns.append(Column(column, kind, hint.__metadata__[0], required=type(None) not in types_of))
    return Table(name, grain, "", "", None, None, tuple(columns))


REPORTS: dict[str, Table] = {
    "failures": described_rows("failures", "order that is in no table", Failure),
    "notes": described_rows("notes", "kind of thing noticed at one place of the orders", Note),
}
"""What a build tells beside the tables."""

LINEAGES: dict[str, Table] = {
    "answers": described_rows("answers", "order that was read", Lineage),
    "noticed": replace(REPORTS["notes"], name="noticed", grain="order, kind of thing noticed, and place"),
}
"""What a build keeps for itself, so that the next one makes only that anew which changed."""
