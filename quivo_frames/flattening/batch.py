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
from quivo_frames.flattening.collect import RowCollector, TableRows
from quivo_frames.flattening.convert import convert_columns, find_integer_error
from quivo_frames.flattening.decode import (
    OrderDecoder,
    UndecodableOrder,
    count_fields,
    guess_order_id,
    scan_identity,
    to_text_series,
)
from quivo_frames.model.frames import report_frame, sum_notes
from quivo_frames.model.messages import describe_failure, describe_note, json_type_of
from quivo_frames.model.order import Kind
from quivo_frames.model.records import Failure, RawOrder
from quivo_frames.model.tables import FETCHED_AT, ORDER_ID, ORDINAL, TABLES, Column, Table

_UNITS = "handling_units"
_ADDRESS, _KEY = "address", "handling_unit_key"
_IS_INNER_UNIT = pl.col(_ADDRESS).str.contains(".", literal=True)
_UNIT_KEY_COLUMNS = {
    ORDINAL.name: pl.col(_ADDRESS).str.extract(r"(\d+)$").cast(ORDINAL.dtype),
    "depth": pl.col(_ADDRESS).str.count_matches(".", literal=True).cast(pl.Int64),
    "parent_handling_unit_key": pl.when(_IS_INNER_UNIT).then(pl.col(_KEY).str.replace(r"\.\d+$", "")),
    "root_handling_unit_key": pl.col(_KEY).str.replace(r"\..*$", ""),
}


class _ColumnFinding(NamedTuple):
    """Values of one column that are bad (`word` is the rule) or noted (`word` is the kind)."""

    table: Table
    column: Column
    rule_or_kind: str
    rows: list[int]
    values: pl.Series


class OrderBatch:
    """The tables of some orders, in which none comes twice, and what went wrong with the others.

    `origins` is told where each order was read.
    """

    def __init__(self, decoder: OrderDecoder, origins: dict[int, RawOrder]) -> None:
        self.decode_failures: list[Failure] = []
        """Why orders could not be decoded, a row each."""
        self.tables: dict[str, pl.DataFrame] = {}
        """The tables that have rows; orders that are refused are in them as well."""
        self._decoder, self._origins = decoder, origins
        self._collector = RowCollector(decoder.empty_objects)
        self._decoded: list[tuple[int, RawOrder]] = []
        self._key_texts: dict[str, pl.Series] = {}
        """By table, the keys of its rows as text."""
        self._rejected: list[_ColumnFinding] = []
        self._noted: list[_ColumnFinding] = []
        self._unlearned_fields: list[tuple[str, int]] = []
        """Unknown fields whose names cannot be learned, with their orders."""
        self._attribute_rows: list[pl.DataFrame] = []
        self._fields_in_tables = 0
        """Fields with a value that are in the tables, or known to be in none of them."""

    def add_orders(self, raws: Sequence[RawOrder]) -> None:
        """Decodes and gathers one round of orders."""
        orders = []
        for raw in raws:
            try:
                order = self._decoder.decode(raw.body)
                order.order_id = _confirm_order_id(order.order_id, raw.body)
            except UndecodableOrder as why:
                known = raw.order_id if raw.order_id is not None else guess_order_id(raw.body)
                self.decode_failures.append(_decode_failure(raw, known, why))
            else:
                orders.append(order)
                self._decoded.append((order.order_id, raw))
                self._origins[order.order_id] = RawOrder(b"", *raw[1:])
                self._unlearned_fields += [(path, order.order_id) for path in self._decoder.unlearned_paths]
            self._decoder.unlearned_paths.clear()
        self._collector.add_orders(orders, self._decoder.learned_fields)

    def make_tables(self) -> None:
        """Makes the tables of all orders that were taken."""
        for name, table in TABLES.items():
            if (rows := self._collector.tables[name]).height:
                self._make_table(table, rows)
        if self._attribute_rows:
            attributes = custom_attributes.merge_attribute_rows(self._attribute_rows, self.tables["orders"][ORDER_ID.name])
            self.tables[custom_attributes.TABLE.name] = attributes

    def _make_table(self, table: Table, rows: TableRows) -> None:
        columns = self._make_key_columns(table, rows)
        wire = {column: rows.decoded_column(column.path) for column in table.value_columns}
        for column, values in wire.items():
            if values.dtype == pl.String and column.dtype.is_integer():
                wire[column] = self._restore_written_numbers(table, column, values, columns)
        readings = convert_columns({column.name: (column.kind, values) for column, values in wire.items()})
        for column, values in wire.items():
            reading = readings[column.name]
            columns[column.name] = reading.values
            self._rejected += [_ColumnFinding(table, column, rule, places, values) for rule, places in reading.rejected.items()]
            self._noted += [_ColumnFinding(table, column, kind, places, values) for kind, places in reading.noted.items()]
            if column.path:
                unread = [*reading.rejected.values(), reading.noted.get("empty_text", [])]
                self._fields_in_tables += reading.values.count() + sum(map(len, unread))
        self._fields_in_tables += rows.container_fields
        for _, raws in rows.unknown_values.values():
            self._fields_in_tables += len(raws) + int(count_fields(to_text_series(raws)).sum())
        self.tables[table.name] = pl.DataFrame([columns[name].rename(name) for name in table.schema])
        if table.parent is None:
            self._key_texts[table.name] = columns[ORDER_ID.name].cast(pl.String)
        for column in table.value_columns:
            if column.kind is Kind.JSON:
                self._add_attribute_rows(table, column)

    def _make_key_columns(self, table: Table, rows: TableRows) -> dict[str, pl.Series]:
        """What leads from the rows of a table to their order, their parents and their places."""
        if table.parent is None:
            fetched = [self._origins[order_id].fetched_at for order_id, _ in self._decoded]
            return {FETCHED_AT.name: pl.Series(fetched, dtype=FETCHED_AT.dtype)}
        parents = pl.Series(rows.parent_rows, dtype=pl.UInt32)
        parent = self.tables[table.parent]
        columns = {name: parent[name][parents] for name in table.inherited_keys}
        addresses = pl.Series(rows.addresses)
        key = self._key_texts[table.parent][parents] + "/" + addresses.cast(pl.String)
        columns[table.key] = self._key_texts[table.name] = key
        if table.name == _UNITS:
            return columns | pl.DataFrame({_ADDRESS: addresses, _KEY: key}).select(**_UNIT_KEY_COLUMNS).to_dict()
        return columns | {ORDINAL.name: addresses}

    def _restore_written_numbers(self, table: Table, column: Column, values: pl.Series, keys: dict[str, pl.Series]) -> pl.Series:
        """Numbers with those that came as floats as they were written: a float may have lost digits."""
        places = values.str.contains(r"[.e]").fill_null(value=False).arg_true()
        order_ids = keys[ORDER_ID.name] if table.parent else pl.Series([order_id for order_id, _ in self._decoded])
        wanted = set(order_ids.gather(places))
        bodies = {order_id: raw.body for order_id, raw in self._decoded if order_id in wanted}
        long = to_text_series(list(bodies.values())).str.contains(exact.LONG_NUMBER_PATTERN)
        unsure = {order_id for order_id, is_long in zip(bodies, long, strict=True) if is_long}
        written: dict[int, str] = {}
        for order_id, of_order in groupby(places.to_list(), key=order_ids.__getitem__):
            if order_id in unsure:
                rows = list(of_order)
                paths = [table.json_path(column, keys[table.key][row] if table.parent else None) for row in rows]
                written |= zip(rows, exact.read_numbers_as_text(bodies[order_id], paths), strict=True)
        return values.scatter(list(written), list(written.values())) if written else values

    def _add_attribute_rows(self, table: Table, column: Column) -> None:
        """Rows of custom_attributes for the free-form objects of one table."""
        frame = self.tables[table.name]
        texts = frame[column.name]
        rows, noted = custom_attributes.make_attribute_rows(texts, table, frame[ORDER_ID.name], self._key_texts[table.name])
        self._attribute_rows.append(rows)
        self._noted += [_ColumnFinding(table, column, kind, places, texts) for kind, places in noted.items()]
        self._fields_in_tables += int(count_fields(texts).sum())

    def find_failures(self) -> dict[int, Failure]:
        """By order, why the tables cannot hold it: the first reason that was found."""
        found = self._find_repeated_fields()
        for table, column, rule, places, values in self._rejected:
            rows = self.tables[table.name]
            for place in places:
                order_id = rows[ORDER_ID.name][place]
                if order_id not in found:
                    path = table.json_path(column, rows[table.key][place])
                    got = _describe_value(values[place], column, rule)
                    expected = "a number" if rule == "wrong_type" else ""
                    found[order_id] = describe_failure(
                        self._origins[order_id], "flatten", rule, path,
                        order_id=order_id, column=(table, column), expected=expected, got=got,
                    )  # fmt: skip
        return found

    def _find_repeated_fields(self) -> dict[int, Failure]:
        """By order, that a field stands twice in an object of it: of these the decoder took the last, silently.

        All fields of the batch are counted at once, in the JSON and in the tables: only if these differ, each order is
        looked at.
        """
        bodies = [raw.body for _, raw in self._decoded]
        if count_fields(to_text_series(bodies)).sum() == self._fields_in_tables:
            return {}
        repeated = self._decoder.find_repeated_fields(bodies)
        return {
            self._decoded[at][0]: _decode_failure(self._decoded[at][1], self._decoded[at][0], why)
            for at, why in repeated.items()
        }

    def collect_notes(self, failed_ids: set[int]) -> pl.DataFrame:
        """What was noticed in the orders that are not lost: rows of `notes`, one an order, kind and path."""
        odd = [describe_note("unknown_field", path, 1, order_id) for path, order_id in self._unlearned_fields]
        found = [report_frame("notes", odd)]
        for table, column, kind, places, _ in self._noted:
            found.append(_count_notes_by_order(kind, table.json_path(column), self._order_ids(table.name, places)))
        for name, rows in self._collector.tables.items():
            for path, (places, raws) in rows.unknown_values.items():
                found.append(
                    _count_notes_by_order("unknown_field", path, self._order_ids(name, places), list(map(json_type_of, raws)))
                )
        kept = [order_id for order_id, _ in self._decoded if order_id not in failed_ids]
        orders = pl.DataFrame({ORDER_ID.name: kept}, schema={ORDER_ID.name: ORDER_ID.dtype})
        noticed = sum_notes(pl.concat(found), ORDER_ID.name)
        return orders.join(noticed, on=ORDER_ID.name, maintain_order="left_right").select(noticed.columns)

    def _order_ids(self, table: str, places: list[int]) -> pl.Series:
        return self.tables[table][ORDER_ID.name].gather(places)


def _count_notes_by_order(kind: str, path: str, order_ids: pl.Series, got: Sequence[str] = ()) -> pl.DataFrame:
    """Notes of one kind and path, a row an order; `got` is what stands at each place, if that can be told."""
    places = pl.DataFrame({ORDER_ID.name: order_ids, "got": got or [""] * len(order_ids)})
    counted = places.group_by(ORDER_ID.name, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("count"), pl.col("got").first()
    )
    messages = {text: describe_note(kind, path, 0, None, text).message for text in counted["got"].unique()}
    return counted.select(
        pl.lit(kind).alias("kind"), pl.lit(path).alias("path"), "count", ORDER_ID.name,
        pl.col("got").replace_strict(messages, return_dtype=pl.String).alias("message"),
    )  # fmt: skip


def _confirm_order_id(value: float, body: bytes) -> int:
    """The order's id as it was written, once: an answer that names two orders is about none."""
    if scan_identity(body).order_id == value and isinstance(value, int):  # all but a few
        return value
    if body.count(b'"orderId"') > 1 and exact.find_repeated_field(body) == "$.orderId":
        raise UndecodableOrder("repeated_field", "$.orderId")
    (written,) = exact.read_numbers_as_text(body, ["$.orderId"])
    if rule := find_integer_error(written, 2**63):
        raise UndecodableOrder(rule, "$.orderId", got=written)
    return int(Decimal(written))


def _decode_failure(raw: RawOrder, order_id: int | None, why: UndecodableOrder) -> Failure:
    return describe_failure(raw, "decode", why.rule, why.path, order_id=order_id, expected=why.expected, got=why.got)


def _describe_value(value: object, column: Column, rule: str) -> object:
    """What a failure says of a value; of a wrong type only which it is, for the value may be personal data."""
    if column.kind is not Kind.MONEY:
        return value
    text, kind = custom_attributes.read_attribute(str(value))
    return kind if rule == "wrong_type" else text
