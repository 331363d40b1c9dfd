"""Verb: orders as bytes -> 18 tables, failures and notes. No I/O. Floor 3.

A batch of orders is decoded record by record, then each table is made in one go: the lists of all its parents are
chained, the fields of all its records are turned into columns, and the keys are built from the parents' keys by
vectorised steps. Nothing is done for a row that can be done for a column.

Orders are whole: a value that its column cannot hold makes the order a failure and takes it out of every table.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any, NamedTuple

import msgspec
import polars as pl
from msgspec.structs import astuple

from quivo_frames.errors import Failure, Note
from quivo_frames.frames import Frames
from quivo_frames.order import Kind, Record
from quivo_frames.reading import read, read_columns
from quivo_frames.response import RawOrder
from quivo_frames.tables import ORDER_ID, TABLES, Column, Table, described, key_of
from quivo_frames.wire import OrderDecoder, Undecodable, named, peek
from quivo_frames.wording import failure, note

BATCH = 1_000
"""Orders decoded at a time: fewer pay the fixed cost of a query too often, more fall out of the cache."""

INDEX = {"order_id": pl.Int64(), "fetched_at": pl.Datetime("us", "UTC"), "last_modified": pl.String()}
"""What tells which of two answers about an order is the newer one; a row an answer."""

Columns = dict[tuple[str, ...], Sequence[Any]]
"""Wire values by the attributes that lead to them from the record of a row."""


def flatten(orders: Iterable[bytes | str | RawOrder]) -> Frames:
    """The 18 tables of some orders in memory, with failures and notes.

    Takes the JSON of one order an item, as received. An order that comes twice is taken once: the newest answer.
    For more orders than memory holds, use `build`.
    """
    raws = [_raw(number, order) for number, order in enumerate(orders)]
    peeks = [peek(raw.body) for raw in raws]
    rows = [(seen.order_id, raw.fetched_at, seen.last_modified) for seen, raw in zip(peeks, raws, strict=True)]
    losers = superseded(pl.DataFrame(rows, schema=INDEX, orient="row"))
    taken = [raw for place, raw in enumerate(raws) if place not in losers]
    flattener = Flattener()
    parts = (flattener.flatten(taken[start : start + BATCH]) for start in range(0, len(taken), BATCH))
    return Frames.concat([Frames.of({}, notes=repeated(losers)), *parts])


def _raw(number: int, order: bytes | str | RawOrder) -> RawOrder:
    if isinstance(order, RawOrder):
        return order
    body = order.encode("utf-8", "surrogatepass") if isinstance(order, str) else order
    return RawOrder(body, None, None, "memory", f"item {number}")


def superseded(index: pl.DataFrame) -> dict[int, int]:
    """Places of the answers that a newer answer about the same order replaces, with the orders' ids.

    `index` has the columns of INDEX and a row an answer. Of each order wins the newest fetched_at, then the newest
    last_modified, then the later place. Answers without a readable id replace nothing.
    """
    frame = index.with_row_index("place")
    repeats = frame.filter(pl.col("order_id").is_not_null() & pl.col("order_id").is_duplicated())
    if repeats.is_empty():
        return {}
    modified = read(Kind.INSTANT, repeats["last_modified"].to_list()).column
    ranked = repeats.with_columns(last_modified=modified).sort("fetched_at", "last_modified", "place")
    losers = ranked.filter(pl.col("place") != pl.col("place").last().over("order_id")).sort("place")
    return dict(losers.select("place", "order_id").iter_rows())


def repeated(losers: Mapping[int, int]) -> list[Note]:
    """The note about orders that came more than once."""
    return [note("repeated_order", "$.orderId", len(losers), next(iter(losers.values())))] if losers else []


class _Level(NamedTuple):
    """The records that make the rows of one table, and the key columns of those rows."""

    records: list[Any]
    keys: pl.DataFrame


class Flattener:
    """Flattens batch after batch; what it learns about unknown fields in one batch makes the next one faster."""

    def __init__(self) -> None:
        self._decoder = OrderDecoder()

    def flatten(self, raws: Sequence[RawOrder], origins: dict[int, RawOrder] | None = None) -> Frames:
        """The tables of one batch, in which no order comes twice; `origins` is told where each order was read."""
        origins = {} if origins is None else origins
        with _no_collection():
            orders, failures = self._decode(raws, origins)
            batch = _Batch(self._decoder, orders, origins)
            tables = batch.tables()
        refused = batch.failures()
        lost = set(refused)
        frames = Frames.of(tables, [*failures, *refused.values()], batch.notes(lost))
        if not lost:
            return frames
        return Frames(frames.without(lost), frames.failures, frames.notes)

    def _decode(self, raws: Sequence[RawOrder], origins: dict[int, RawOrder]) -> tuple[list[Any], list[Failure]]:
        orders: list[Any] = []
        failures: list[Failure] = []
        for raw in raws:
            try:
                order = self._decoder.decode(raw.body)
                order.order_id = _order_id(order.order_id)
            except Undecodable as why:
                known = raw.order_id if raw.order_id is not None else named(raw.body)
                failures.append(
                    failure(raw, "decode", why.rule, why.path, order_id=known, expected=why.expected, got=why.got)
                )
            else:
                orders.append(order)
                origins[order.order_id] = raw._replace(body=b"")
        return orders, failures


@contextmanager
def _no_collection() -> Iterator[None]:
    """Spares the collector 50,000 objects that it would walk in vain, again and again: a tenth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _order_id(value: float) -> int:
    if isinstance(value, int) and -(2**63) <= value < 2**63:  # all but a few
        return value
    reading = read(Kind.INT64, [value])
    if reading.bad:
        raise Undecodable(next(iter(reading.bad)), "$.orderId", got=str(value))
    return int(value)


class _Problem(NamedTuple):
    """Values of one column that are bad (`word` is the rule) or noted (`word` is the kind)."""

    table: Table
    column: Column
    word: str
    places: list[int]
    values: Sequence[Any]


class _Batch:
    """One batch on its way into tables."""

    def __init__(self, decoder: OrderDecoder, orders: list[Any], origins: dict[int, RawOrder]) -> None:
        self._decoder, self._orders, self._origins = decoder, orders, origins
        self._tables: dict[str, pl.DataFrame] = {}
        self._bad: list[_Problem] = []
        self._noted: list[_Problem] = []
        self._unknown: list[tuple[str, pl.Series]] = []
        self._attributes: list[pl.DataFrame] = []

    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables, by name."""
        if self._orders:
            ids = pl.Series("order_id", [order.order_id for order in self._orders], dtype=pl.Int64)
            fetched = [self._origins[order.order_id].fetched_at for order in self._orders]
            keys = pl.DataFrame({"order_id": ids}).with_columns(
                key=ids.cast(pl.String), fetched_at=pl.Series(fetched, dtype=pl.Datetime("us", "UTC"))
            )
            self._add(TABLES["orders"], _Level(self._orders, keys))
        if self._attributes:
            self._tables["custom_attributes"] = self._custom_attributes()
        return self._tables

    def _add(self, table: Table, level: _Level) -> None:
        """Makes a table, and then the tables of the lists in its records."""
        assert table.record is not None
        columns: Columns = {}
        self._spread(table.record, (), table.source, level, columns)
        frame = self._read(table, level.keys, columns)
        self._tables[table.name] = frame.select(*table.schema)
        for path, name in table.lists.items():
            if name == table.name:
                continue
            child = TABLES[name]
            entries, parents, ordinals = _entries(columns[path])
            if not entries:
                continue
            keys = _child_keys(child, frame, parents, ordinals)
            if name == "handling_units":
                entries, keys = _with_inner_units(entries, keys)
            if child.record is None:
                self._tables[name] = self._read(child, keys, {(): entries}).select(*child.schema)
            else:
                self._add(child, _Level(entries, keys))

    def _spread(
        self, record: type[Record], path: tuple[str, ...], json_path: str, level: _Level, columns: Columns,
        objects: Sequence[Any] | None = None,
    ) -> None:  # fmt: skip
        """The fields of records as columns, the objects inside them opened."""
        records = level.records if objects is None else objects
        # The Structs of a batch may differ by what was learned in it, but all begin with the described fields.
        for (name, json_name, inner, _, says), values in zip(
            described(record), zip(*map(astuple, records), strict=False), strict=False
        ):
            if inner is not None and says is None:
                nothing = self._decoder.nothing[inner]
                opened = [nothing if value is None else value for value in values]
                self._spread(inner, (*path, name), f"{json_path}.{json_name}", level, columns, opened)
            else:
                columns[*path, name] = values
        for name, json_name in self._decoder.learned.get(record, {}).items():
            raws = [bytes(getattr(found, name, b"")) for found in records]
            self._unknown.append(
                (f"{json_path}.{json_name}", level.keys["order_id"].filter([r not in (b"", b"null") for r in raws]))
            )

    def _read(self, table: Table, keys: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """The columns of a table behind its keys."""
        wanted = [column for column in table.columns if column.name not in keys.columns]
        readings = read_columns({column.name: (column.kind, columns[column.path]) for column in wanted})
        for column in wanted:
            reading, values = readings[column.name], columns[column.path]
            self._bad += [_Problem(table, column, rule, places, values) for rule, places in reading.bad.items()]
            self._noted += [_Problem(table, column, kind, places, values) for kind, places in reading.noted.items()]
            if column.kind is Kind.JSON:
                self._open(table, column, keys, values, reading.column)
        return keys.hstack([reading.column.alias(name) for name, reading in readings.items()])

    def _open(self, table: Table, column: Column, keys: pl.DataFrame, values: Sequence[Any], texts: pl.Series) -> None:
        """Rows of custom_attributes for the free-form objects of one table."""
        found: list[tuple[int, int, str, str | None, str]] = []
        noted: dict[str, list[int]] = {"not_free_form": [], "repeated_attribute": []}
        for place in (texts.is_not_null() & (texts != "{}")).arg_true().to_list():
            text = bytes(values[place])
            attributes = _attributes(text)
            if attributes is None:
                noted["not_free_form"].append(place)
                continue
            if _repeats(text, attributes):
                noted["repeated_attribute"].append(place)
            for ordinal, (key, raw) in enumerate(attributes.items()):
                found.append((place, ordinal, key, *_value(raw)))
        self._noted += [_Problem(table, column, kind, places, values) for kind, places in noted.items() if places]
        if not found:
            return
        schema = {
            "place": pl.UInt32,
            "ordinal": pl.Int64,
            "key": pl.String,
            "value": pl.String,
            "value_type": pl.String,
        }
        rows = pl.DataFrame(found, schema=schema, orient="row")
        parents = keys[rows["place"]]
        rows = rows.with_columns(
            parents["order_id"],
            custom_attribute_key=parents["key"] + "/" + rows["ordinal"].cast(pl.String),
        )
        if table.name != "orders":
            rows = rows.with_columns(parents["key"].alias(key_of(table.name)))
        self._attributes.append(rows.drop("place"))

    def _custom_attributes(self) -> pl.DataFrame:
        """In the order of the orders, an order's own behind those of its lines."""
        places = self._tables["orders"].select("order_id").with_row_index("place")
        rows = pl.concat(self._attributes, how="diagonal")
        rows = rows.join(places, on="order_id", maintain_order="left").sort("place", maintain_order=True)
        missing = [name for name in TABLES["custom_attributes"].schema if name not in rows.columns]
        return rows.with_columns(pl.lit(None, pl.String).alias(name) for name in missing).select(
            *TABLES["custom_attributes"].schema
        )

    def failures(self) -> dict[int, Failure]:
        """By order, why a column could not take it: the first reason that was found."""
        found: dict[int, Failure] = {}
        for table, column, rule, places, values in self._bad:
            rows = self._tables[table.name]
            for place in places:
                order_id = rows[ORDER_ID.name][place]
                if order_id not in found:
                    path = table.json_path(column, rows[table.key][place])
                    got = _told(values[place], rule)
                    expected = "a number" if rule == "wrong_type" else ""
                    found[order_id] = failure(
                        self._origins[order_id], "flatten", rule, path,
                        order_id=order_id, column=(table, column), expected=expected, got=got,
                    )  # fmt: skip
        return found

    def notes(self, lost: set[int]) -> list[Note]:
        """What was noticed in the orders that are not lost."""
        found: list[tuple[str, str, list[int]]] = [
            (kind, table.json_path(column), self._tables[table.name][ORDER_ID.name].gather(places).to_list())
            for table, column, kind, places, _ in self._noted
        ]
        found += [("unknown_field", path, order_ids.to_list()) for path, order_ids in self._unknown]
        found += [("unknown_field", path, [order_id]) for path, order_id in self._decoder.odd]
        self._decoder.odd.clear()
        kept = [(kind, path, [n for n in ids if n not in lost]) for kind, path, ids in found]
        return [note(kind, path, len(ids), ids[0]) for kind, path, ids in kept if ids]


def _entries(lists: Sequence[list[Any] | None]) -> tuple[list[Any], pl.Series, pl.Series]:
    """The entries of many lists in a row, with the place of the list and the place in it; null entries left out."""
    entries = list(chain.from_iterable(filter(None, lists)))
    lengths = [len(entry) if entry else 0 for entry in lists]
    parents = pl.Series(list(chain.from_iterable(map(repeat, range(len(lists)), lengths))), dtype=pl.UInt32)
    ordinals = pl.Series(list(chain.from_iterable(map(range, lengths))), dtype=pl.Int64)
    if None in entries:
        filled = pl.Series([entry is not None for entry in entries])
        parents, ordinals = parents.filter(filled), ordinals.filter(filled)
        entries = [entry for entry in entries if entry is not None]
    return entries, parents, ordinals


def _child_keys(child: Table, parent: pl.DataFrame, parents: pl.Series, ordinals: pl.Series) -> pl.DataFrame:
    """The key columns of a child table: those it takes from its parent's rows, its own key, its place."""
    rows = parent.select("key", *child.inherited)[parents]
    key = rows["key"] + "/" + ordinals.cast(pl.String)
    return rows.with_columns(key.alias("key"), key.alias(child.key), ordinals.alias("ordinal"))


def _with_inner_units(units: list[Any], keys: pl.DataFrame) -> tuple[list[Any], pl.DataFrame]:
    """Handling units of all depths behind their parents, in the order of the document."""
    key = pl.col("key")
    level = keys.with_columns(
        parent_handling_unit_key=pl.lit(None, pl.String), root_handling_unit_key=key, depth=pl.lit(0, pl.Int64)
    ).with_row_index("place_0")
    levels, records, inner = [level], list(units), units
    while True:
        inner, parents, ordinals = _entries([unit.child_handling_units for unit in inner])
        if not inner:
            break
        depth = len(levels)
        above = level[parents]
        own = above["key"] + "." + ordinals.cast(pl.String)
        level = above.with_columns(
            above["key"].alias("parent_handling_unit_key"),
            own.alias("key"),
            own.alias("handling_unit_key"),
            ordinals.alias("ordinal"),
            ordinals.alias(f"place_{depth}"),
            pl.lit(depth, pl.Int64).alias("depth"),
        )
        levels.append(level)
        records += inner
    if len(levels) == 1:
        return records, level.drop("place_0")
    everything = pl.concat(levels, how="diagonal")
    places = [f"place_{depth}" for depth in range(len(levels))]
    order = everything.select(pl.arg_sort_by(places, nulls_last=False)).to_series()
    return [records[place] for place in order.to_list()], everything.drop(places)[order]


def _told(value: object, rule: str) -> object:
    """What a failure says of a value; of a wrong type only which it is, for the value may be personal data."""
    if not isinstance(value, msgspec.Raw):
        return value
    text, kind = _value(value)
    return kind if rule == "wrong_type" else text


def _attributes(text: bytes) -> dict[str, msgspec.Raw] | None:
    """The keys of a free-form object, or of an object written as JSON text; None for anything else."""
    try:
        return _object.decode(_text.decode(text) if text[:1] == b'"' else text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _repeats(text: bytes, attributes: dict[str, msgspec.Raw]) -> bool:
    """Whether a key stands twice in a free-form object; its last value is the one in `attributes`."""
    opened = _text.decode(text).encode() if text[:1] == b'"' else text
    if opened.count(b'"') == msgspec.json.encode(attributes).count(b'"'):  # all but a few
        return False
    return len(json.loads(opened, object_pairs_hook=list)) > len(attributes)


_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_TYPES = {b"{": "object", b"[": "array", b"t": "boolean", b"f": "boolean", b"n": "null"}


def _value(raw: msgspec.Raw) -> tuple[str | None, str]:
    """Value and type of one free-form attribute."""
    text = bytes(raw)
    if text[:1] == b'"':
        return _text.decode(text), "string"
    kind = _TYPES.get(text[:1], "number")
    return (None if kind == "null" else text.decode()), kind
