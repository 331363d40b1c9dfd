"""One batch of orders in Python: decoded and collected round by round, then every table made in one go.

It is the core of the package where there is no compiled one, the path of orders that the compiled one does not read,
and what that is compared with.

Keys are built from those of the parent table. Nothing is done for each row that can be done for a whole column.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import polars as pl

from quivo_frames.flattening import custom_attributes, exact
from quivo_frames.flattening.batch_findings import BatchFindings, ColumnFinding, UnknownFieldRows, decode_failure
from quivo_frames.flattening.collect import RowCollector, TableRows
from quivo_frames.flattening.convert import convert_columns
from quivo_frames.flattening.decode import (
    OrderDecoder,
    UndecodableOrder,
    count_fields,
    guess_order_id,
    to_text_series,
)
from quivo_frames.flattening.order_text import find_order_text
from quivo_frames.model.messages import describe_note, json_type_of
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


class OrderBatch:
    """The tables of some orders, each of which is given once, and why others are not in them.

    `origins` receives, by order id, where each order was read: the RawOrder without its body.
    """

    def __init__(self, decoder: OrderDecoder, origins: dict[int, RawOrder]) -> None:
        self.places: dict[int, int] = {}
        """By order that was decoded, its place in the batch; sorted by it."""
        self.decode_failures: list[tuple[int, Failure]] = []
        """Why orders could not be decoded, one an order, with its place in the batch."""
        self.tables: dict[str, pl.DataFrame] = {}
        """The tables that have rows, still with those of the orders in `find_failures`."""
        self.findings = BatchFindings()
        self._decoder, self._origins = decoder, origins
        self._collector = RowCollector(decoder.empty_objects)
        self._decoded: list[tuple[int, RawOrder]] = []
        self._key_texts: dict[str, pl.Series] = {}
        """By table, the keys of its rows as text."""
        self._attribute_rows: list[pl.DataFrame] = []
        self._fields_accounted_for = 0
        """One of the two sums in `_find_repeated_fields`."""

    def add_orders(self, placed: Sequence[tuple[int, RawOrder]]) -> None:
        """Decodes one round of orders, given with their places in the batch, and collects their rows."""
        orders = []
        for place, raw in placed:
            try:
                if raw.problem:
                    raise UndecodableOrder(raw.problem.rule, expected=raw.problem.expected, got=raw.problem.got)
                text, path = find_order_text(raw.body)
                order = self._decoder.decode(text)
            except UndecodableOrder as error:
                order_id = raw.order_id if raw.order_id is not None else guess_order_id(raw.body)
                self.decode_failures.append((place, decode_failure(raw, order_id, error)))
            else:
                orders.append(order)
                self.places[order.order_id] = place
                self._decoded.append((order.order_id, raw if text is raw.body else raw._replace(body=text)))
                if path != "$":
                    self.findings.notes.append(describe_note("envelope", path, 1, order.order_id))
                self._origins[order.order_id] = RawOrder(b"", *raw[1:])
                for kind, field_path, times, json_type in self._decoder.unlearned_fields:
                    note = describe_note(kind, field_path, times, order.order_id, json_type)
                    self.findings.notes.append(note)
        self._collector.add_orders(orders, self._decoder.learned_fields)

    def make_tables(self) -> None:
        """Makes the tables of all orders that were added."""
        for name, table in TABLES.items():
            if (rows := self._collector.tables[name]).height:
                self._make_table(table, rows)
        if self._attribute_rows:
            order_ids = self.tables["orders"][ORDER_ID.name]
            attributes = custom_attributes.merge_attribute_rows(self._attribute_rows, order_ids)
            self.tables[custom_attributes.TABLE.name] = attributes

    def _make_table(self, table: Table, rows: TableRows) -> None:
        columns = self._make_key_columns(table, rows)
        json_values = {column: rows.decoded_column(column.path) for column in table.value_columns}
        for column, values in json_values.items():
            if values.dtype == pl.String and column.dtype.is_integer():
                json_values[column] = self._restore_written_numbers(table, column, values, columns)
        converted = convert_columns({column.name: (column.kind, values) for column, values in json_values.items()})
        for column, values in json_values.items():
            cells, rejected, noted = converted[column.name]
            columns[column.name] = cells
            self.findings.add_converted(table, column, converted[column.name], None, values)
            if column.path:
                without_cell = [*rejected.values(), noted.get("empty_text", [])]
                self._fields_accounted_for += cells.count() + sum(map(len, without_cell))
        self._fields_accounted_for += rows.container_fields
        for path, (of_rows, raws) in rows.unknown_values.items():
            self._fields_accounted_for += len(raws) + int(count_fields(to_text_series(raws)).sum())
            unknown = UnknownFieldRows(table.name, path, of_rows, list(map(json_type_of, raws)))
            self.findings.unknown_fields.append(unknown)
        self.tables[table.name] = pl.DataFrame([columns[name].rename(name) for name in table.schema])
        if table.parent is None:
            self._key_texts[table.name] = columns[ORDER_ID.name].cast(pl.String)
        for column in table.value_columns:
            if column.kind is Kind.JSON:
                self._add_attribute_rows(table, column)

    def _make_key_columns(self, table: Table, rows: TableRows) -> dict[str, pl.Series]:
        """Keys of the rows, of their parents and of their order, and their places in the lists."""
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

    def _restore_written_numbers(
        self, table: Table, column: Column, values: pl.Series, keys: dict[str, pl.Series]
    ) -> pl.Series:
        """Integers as text; those that were decoded as floats, which may have lost digits, as they were written."""
        floats = values.str.contains(r"[.e]").fill_null(value=False).arg_true()
        order_ids = keys[ORDER_ID.name] if table.parent else pl.Series([order_id for order_id, _ in self._decoded])
        wanted = set(order_ids.gather(floats))
        bodies = {order_id: raw.body for order_id, raw in self._decoded if order_id in wanted}
        has_long_number = to_text_series(list(bodies.values())).str.contains(exact.LONG_NUMBER_PATTERN)
        inexact = {order_id for order_id, is_long in zip(bodies, has_long_number, strict=True) if is_long}
        written: dict[int, str] = {}
        for order_id, of_order in groupby(floats.to_list(), key=order_ids.__getitem__):
            if order_id in inexact:
                rows = list(of_order)
                paths = [table.json_path(column, keys[table.key][row] if table.parent else None) for row in rows]
                found = zip(rows, exact.read_numbers_as_text(bodies[order_id], paths), strict=True)
                written |= {row: text for row, text in found if exact.is_long_number(text)}
        return values.scatter(list(written), list(written.values())) if written else values

    def _add_attribute_rows(self, table: Table, column: Column) -> None:
        """Adds the rows of custom_attributes for the free-form objects in one column."""
        frame, keys = self.tables[table.name], self._key_texts[table.name]
        texts = frame[column.name]
        rows, noted = custom_attributes.make_attribute_rows(texts, table, frame[ORDER_ID.name], keys)
        self._attribute_rows.append(rows)
        self.findings.noted += [ColumnFinding(table, column, kind, found, []) for kind, found in noted.items()]
        self._fields_accounted_for += int(count_fields(texts).sum())

    def find_failures(self) -> dict[int, Failure]:
        """By order, the first reason why the tables cannot hold it."""
        return self.findings.describe_rejected(self.tables, self._origins) | self._find_repeated_fields()

    def _find_repeated_fields(self) -> dict[int, Failure]:
        """By order, that a field stands twice in one of its objects: the decoder took the last one and said nothing.

        Two sums over the whole batch prove that no value was lost in this way, so that no order needs a second look:

        - the fields with a value that stand in the JSON texts, counted without decoding (`count_fields`), and
        - the fields with a value that were decoded: cells, values that were rejected or noted as empty, objects, lists,
          unknown fields, and the fields inside unknown and free-form values.

        The decoder keeps one of two equal fields, so a repetition makes the second sum smaller. The first is never too
        small, so nothing can make up for it: if the sums are equal, nothing is missing. They also differ if a quote and
        a colon stand in a string, which counts as a field in the first sum alone. Then every order is looked at.
        """
        bodies = [raw.body for _, raw in self._decoded]
        if count_fields(to_text_series(bodies)).sum() == self._fields_accounted_for:
            return {}
        failures = {}
        for position, error in self._decoder.find_repeated_fields(bodies).items():
            order_id, raw = self._decoded[position]
            failures[order_id] = decode_failure(raw, order_id, error)
        return failures
