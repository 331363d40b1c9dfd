"""Noun: one batch of orders on its way from JSON into tables. Floor 4.

Orders are taken round by round; then each table is made in one go, its keys from those of its parents, by vectorised
steps. Nothing is done for a row that can be done for a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

import polars as pl

from quivo_frames.flattening import custom_attributes, exact
from quivo_frames.flattening.collect import Gathered, Gathering
from quivo_frames.flattening.convert import read_columns, wrong_integer
from quivo_frames.flattening.decode import OrderDecoder, Undecodable, as_texts, fields, glance, named
from quivo_frames.model.frames import add_up, report
from quivo_frames.model.messages import failure, kind_of, note
from quivo_frames.model.order import Kind
from quivo_frames.model.records import Failure, RawOrder
from quivo_frames.model.tables import FETCHED_AT, ORDER_ID, ORDINAL, TABLES, Column, Table

_UNITS = "handling_units"
_ADDRESS, _KEY = "address", "handling_unit_key"
_INNER = pl.col(_ADDRESS).str.contains(".", literal=True)
_UNIT_PLACES = {
    ORDINAL.name: pl.col(_ADDRESS).str.extract(r"(\d+)$").cast(ORDINAL.dtype),
    "depth": pl.col(_ADDRESS).str.count_matches(".", literal=True).cast(pl.Int64),
    "parent_handling_unit_key": pl.when(_INNER).then(pl.col(_KEY).str.replace(r"\.\d+$", "")),
    "root_handling_unit_key": pl.col(_KEY).str.replace(r"\..*$", ""),
}


class _Problem(NamedTuple):
    """Values of one column that are bad (`word` is the rule) or noted (`word` is the kind)."""

    table: Table
    column: Column
    word: str
    places: list[int]
    values: pl.Series


class Batch:
    """The tables of some orders, in which none comes twice, and what went wrong with the others.

    `origins` is told where each order was read.
    """

    def __init__(self, decoder: OrderDecoder, origins: dict[int, RawOrder]) -> None:
        self.undecoded: list[Failure] = []
        """Why orders could not be decoded, a row each."""
        self.tables: dict[str, pl.DataFrame] = {}
        """The tables that have rows; orders that are refused are in them as well."""
        self._decoder, self._origins = decoder, origins
        self._gathering = Gathering(decoder.nothing)
        self._decoded: list[tuple[int, RawOrder]] = []
        self._keys: dict[str, pl.Series] = {}
        """By table, the keys of its rows as text."""
        self._bad: list[_Problem] = []
        self._noted: list[_Problem] = []
        self._odd: list[tuple[str, int]] = []
        """Unknown fields whose names cannot be learned, with their orders."""
        self._attributes: list[pl.DataFrame] = []
        self._arrived = 0
        """Fields with a value that are in the tables, or known to be in none of them."""

    def take(self, raws: Sequence[RawOrder]) -> None:
        """Decodes and gathers one round of orders."""
        orders = []
        for raw in raws:
            try:
                order = self._decoder.decode(raw.body)
                order.order_id = _order_id(order.order_id, raw.body)
            except Undecodable as why:
                known = raw.order_id if raw.order_id is not None else named(raw.body)
                self.undecoded.append(_undecodable(raw, known, why))
            else:
                orders.append(order)
                self._decoded.append((order.order_id, raw))
                self._origins[order.order_id] = RawOrder(b"", *raw[1:])
                self._odd += [(path, order.order_id) for path in self._decoder.odd]
            self._decoder.odd.clear()
        self._gathering.take(orders, self._decoder.learned)

    def make(self) -> None:
        """Makes the tables of all orders that were taken."""
        for name, table in TABLES.items():
            if (rows := self._gathering.tables[name]).height:
                self._add(table, rows)
        if self._attributes:
            attributes = custom_attributes.merged(self._attributes, self.tables["orders"][ORDER_ID.name])
            self.tables[custom_attributes.TABLE.name] = attributes

    def _add(self, table: Table, rows: Gathered) -> None:
        columns = self._key_columns(table, rows)
        wire = {column: rows.column(column.path) for column in table.values}
        for column, values in wire.items():
            if values.dtype == pl.String and column.dtype.is_integer():
                wire[column] = self._as_written(table, column, values, columns)
        readings = read_columns({column.name: (column.kind, values) for column, values in wire.items()})
        for column, values in wire.items():
            reading = readings[column.name]
            columns[column.name] = reading.column
            self._bad += [_Problem(table, column, rule, places, values) for rule, places in reading.bad.items()]
            self._noted += [_Problem(table, column, kind, places, values) for kind, places in reading.noted.items()]
            if column.path:
                unread = [*reading.bad.values(), reading.noted.get("empty_text", [])]
                self._arrived += reading.column.count() + sum(map(len, unread))
        self._arrived += rows.holders
        for _, raws in rows.unknown.values():
            self._arrived += len(raws) + int(fields(as_texts(raws)).sum())
        self.tables[table.name] = pl.DataFrame([columns[name].rename(name) for name in table.schema])
        if table.parent is None:
            self._keys[table.name] = columns[ORDER_ID.name].cast(pl.String)
        for column in table.values:
            if column.kind is Kind.JSON:
                self._open(table, column)

    def _key_columns(self, table: Table, rows: Gathered) -> dict[str, pl.Series]:
        """What leads from the rows of a table to their order, their parents and their places."""
        if table.parent is None:
            fetched = [self._origins[order_id].fetched_at for order_id, _ in self._decoded]
            return {FETCHED_AT.name: pl.Series(fetched, dtype=FETCHED_AT.dtype)}
        parents = pl.Series(rows.parents, dtype=pl.UInt32)
        parent = self.tables[table.parent]
        columns = {name: parent[name][parents] for name in table.inherited}
        addresses = pl.Series(rows.addresses)
        key = self._keys[table.parent][parents] + "/" + addresses.cast(pl.String)
        columns[table.key] = self._keys[table.name] = key
        if table.name == _UNITS:
            return columns | pl.DataFrame({_ADDRESS: addresses, _KEY: key}).select(**_UNIT_PLACES).to_dict()
        return columns | {ORDINAL.name: addresses}

    def _as_written(self, table: Table, column: Column, values: pl.Series, keys: dict[str, pl.Series]) -> pl.Series:
        """Numbers with those that came as floats as they were written: a float may have lost digits."""
        places = values.str.contains(r"[.e]").fill_null(value=False).arg_true()
        order_ids = keys[ORDER_ID.name] if table.parent else pl.Series([order_id for order_id, _ in self._decoded])
        wanted = set(order_ids.gather(places))
        bodies = {order_id: raw.body for order_id, raw in self._decoded if order_id in wanted}
        long = as_texts(list(bodies.values())).str.contains(exact.LONG_NUMBER)
        unsure = {order_id for order_id, is_long in zip(bodies, long, strict=True) if is_long}
        written: dict[int, str] = {}
        for order_id, of_order in groupby(places.to_list(), key=order_ids.__getitem__):
            if order_id in unsure:
                rows = list(of_order)
                paths = [table.json_path(column, keys[table.key][row] if table.parent else None) for row in rows]
                written |= zip(rows, exact.numbers(bodies[order_id], paths), strict=True)
        return values.scatter(list(written), list(written.values())) if written else values

    def _open(self, table: Table, column: Column) -> None:
        """Rows of custom_attributes for the free-form objects of one table."""
        frame = self.tables[table.name]
        texts = frame[column.name]
        rows, noted = custom_attributes.rows(texts, table, frame[ORDER_ID.name], self._keys[table.name])
        self._attributes.append(rows)
        self._noted += [_Problem(table, column, kind, places, texts) for kind, places in noted.items()]
        self._arrived += int(fields(texts).sum())

    def refused(self) -> dict[int, Failure]:
        """By order, why the tables cannot hold it: the first reason that was found."""
        found = self._repeated()
        for table, column, rule, places, values in self._bad:
            rows = self.tables[table.name]
            for place in places:
                order_id = rows[ORDER_ID.name][place]
                if order_id not in found:
                    path = table.json_path(column, rows[table.key][place])
                    got = _told(values[place], column, rule)
                    expected = "a number" if rule == "wrong_type" else ""
                    found[order_id] = failure(
                        self._origins[order_id], "flatten", rule, path,
                        order_id=order_id, column=(table, column), expected=expected, got=got,
                    )  # fmt: skip
        return found

    def _repeated(self) -> dict[int, Failure]:
        """By order, that a field stands twice in an object of it: of these the decoder took the last, silently.

        All fields of the batch are counted at once, in the JSON and in the tables: only if these differ, each order is
        looked at.
        """
        bodies = [raw.body for _, raw in self._decoded]
        if fields(as_texts(bodies)).sum() == self._arrived:
            return {}
        repeated = self._decoder.repeated(bodies)
        return {
            self._decoded[at][0]: _undecodable(self._decoded[at][1], self._decoded[at][0], why)
            for at, why in repeated.items()
        }

    def noticed(self, lost: set[int]) -> pl.DataFrame:
        """What was noticed in the orders that are not lost: rows of `notes`, one an order, kind and path."""
        odd = [note("unknown_field", path, 1, order_id) for path, order_id in self._odd]
        found = [report("notes", odd)]
        for table, column, kind, places, _ in self._noted:
            found.append(_by_order(kind, table.json_path(column), self._order_ids(table.name, places)))
        for name, rows in self._gathering.tables.items():
            for path, (places, raws) in rows.unknown.items():
                found.append(_by_order("unknown_field", path, self._order_ids(name, places), list(map(kind_of, raws))))
        kept = [order_id for order_id, _ in self._decoded if order_id not in lost]
        orders = pl.DataFrame({ORDER_ID.name: kept}, schema={ORDER_ID.name: ORDER_ID.dtype})
        noticed = add_up(pl.concat(found), ORDER_ID.name)
        return orders.join(noticed, on=ORDER_ID.name, maintain_order="left_right").select(noticed.columns)

    def _order_ids(self, table: str, places: list[int]) -> pl.Series:
        return self.tables[table][ORDER_ID.name].gather(places)


def _by_order(kind: str, path: str, order_ids: pl.Series, got: Sequence[str] = ()) -> pl.DataFrame:
    """Notes of one kind and path, a row an order; `got` is what stands at each place, if that can be told."""
    places = pl.DataFrame({ORDER_ID.name: order_ids, "got": got or [""] * len(order_ids)})
    counted = places.group_by(ORDER_ID.name, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("count"), pl.col("got").first()
    )
    messages = {text: note(kind, path, 0, None, text).message for text in counted["got"].unique()}
    return counted.select(
        pl.lit(kind).alias("kind"), pl.lit(path).alias("path"), "count", ORDER_ID.name,
        pl.col("got").replace_strict(messages, return_dtype=pl.String).alias("message"),
    )  # fmt: skip


def _order_id(value: float, body: bytes) -> int:
    """The order's id as it was written, once: an answer that names two orders is about none."""
    if glance(body).order_id == value and isinstance(value, int):  # all but a few
        return value
    if body.count(b'"orderId"') > 1 and exact.repeated_field(body) == "$.orderId":
        raise Undecodable("repeated_field", "$.orderId")
    (written,) = exact.numbers(body, ["$.orderId"])
    if rule := wrong_integer(written, 2**63):
        raise Undecodable(rule, "$.orderId", got=written)
    return int(Decimal(written))


def _undecodable(raw: RawOrder, order_id: int | None, why: Undecodable) -> Failure:
    return failure(raw, "decode", why.rule, why.path, order_id=order_id, expected=why.expected, got=why.got)


def _told(value: object, column: Column, rule: str) -> object:
    """What a failure says of a value; of a wrong type only which it is, for the value may be personal data."""
    if column.kind is not Kind.MONEY:
        return value
    text, kind = custom_attributes.value(str(value))
    return kind if rule == "wrong_type" else text
