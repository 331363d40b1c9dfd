"""Why orders of a batch are in no table, and what is noted about the others, whichever core has read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby, repeat
from operator import itemgetter
from typing import NamedTuple

import polars as pl

from quivo_frames.flattening import custom_attributes
from quivo_frames.flattening.convert import ConvertedColumn
from quivo_frames.flattening.decode import UndecodableOrder
from quivo_frames.model.frames import report_frame, sum_notes
from quivo_frames.model.messages import describe_failure, describe_note
from quivo_frames.model.order import Kind
from quivo_frames.model.records import Failure, Note, RawOrder
from quivo_frames.model.tables import ORDER_ID, Column, Table


class ColumnFinding(NamedTuple):
    """Rows of one column whose JSON values break a rule, or need a note of a kind."""

    table: Table
    column: Column
    rule_or_kind: str
    rows: list[int]
    values: list[object]
    """The JSON values of these rows, if they break a rule."""


class UnknownFieldRows(NamedTuple):
    """Rows of one table whose objects have an unknown field."""

    table: str
    path: str
    rows: list[int]
    json_types: list[str]
    """What its values are, in words; one a row."""


class BatchFindings:
    """What was found in the orders of a batch; rows are those of its tables."""

    def __init__(self) -> None:
        self.rejected: list[ColumnFinding] = []
        self.noted: list[ColumnFinding] = []
        self.unknown_fields: list[UnknownFieldRows] = []
        self.notes: list[Note] = []
        """Notes about whole orders."""

    def add_converted(
        self, table: Table, column: Column, converted: ConvertedColumn, rows: Sequence[int] | None, values: pl.Series
    ) -> None:
        """Adds what the conversion of a column found; of a column that was converted in part, in these `rows`."""

        def name_rows(found: list[int]) -> list[int]:
            return found if rows is None else [rows[at] for at in found]

        for rule, found in converted.rejected.items():
            finding = ColumnFinding(table, column, rule, name_rows(found), values.gather(found).to_list())
            self.rejected.append(finding)
        for kind, found in converted.noted.items():
            self.noted.append(ColumnFinding(table, column, kind, name_rows(found), []))

    def describe_rejected(
        self, tables: Mapping[str, pl.DataFrame], origins: Mapping[int, RawOrder]
    ) -> dict[int, Failure]:
        """By order, the first value that its column cannot hold."""
        failures: dict[int, Failure] = {}
        for (table, column), findings in groupby(self.rejected, key=lambda finding: finding[:2]):
            frame = tables[table.name]
            cells = [zip(found.rows, repeat(found.rule_or_kind), found.values) for found in findings]
            for row, rule, value in sorted(chain.from_iterable(cells), key=itemgetter(0)):
                order_id = frame[ORDER_ID.name][row]
                if order_id not in failures:
                    path = table.json_path(column, frame[table.key][row])
                    got = _describe_value(value, column, rule)
                    expected = "a number" if rule == "wrong_type" else ""
                    failures[order_id] = describe_failure(
                        origins[order_id], "flatten", rule, path,
                        order_id=order_id, column=(table, column), expected=expected, got=got,
                    )  # fmt: skip
        return failures

    def collect_notes(self, tables: Mapping[str, pl.DataFrame], order_ids: Iterable[int]) -> pl.DataFrame:
        """The notes of some orders, as these are sorted: one row for each order, kind and JSON path."""

        def order_ids_of(table: str, rows: list[int]) -> pl.Series:
            return tables[table][ORDER_ID.name].gather(rows)

        found = [report_frame("notes", self.notes)]
        for table, column, kind, rows, _ in self.noted:
            found.append(_count_by_order(kind, table.json_path(column), order_ids_of(table.name, rows)))
        for name, path, rows, json_types in self.unknown_fields:
            found.append(_count_by_order("unknown_field", path, order_ids_of(name, rows), json_types))
        orders = pl.DataFrame({ORDER_ID.name: order_ids}, schema={ORDER_ID.name: ORDER_ID.dtype})
        notes = sum_notes(pl.concat(found), ORDER_ID.name)
        return orders.join(notes, on=ORDER_ID.name, maintain_order="left_right").select(notes.columns)


def _count_by_order(kind: str, path: str, order_ids: pl.Series, got: Sequence[str] = ()) -> pl.DataFrame:
    """Notes of one kind and path, a row an order; `got` says what was found there, one a value."""
    found = pl.DataFrame({ORDER_ID.name: order_ids, "got": got or [""] * len(order_ids)})
    counted = found.group_by(ORDER_ID.name, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("count"), pl.col("got").first()
    )
    messages = {text: describe_note(kind, path, 0, None, text).message for text in counted["got"].unique()}
    return counted.select(
        pl.lit(kind).alias("kind"), pl.lit(path).alias("path"), "count", ORDER_ID.name,
        pl.col("got").replace_strict(messages, return_dtype=pl.String).alias("message"),
    )  # fmt: skip


def decode_failure(raw: RawOrder, order_id: int | None, error: UndecodableOrder) -> Failure:
    """The failure of an order that could not be decoded."""
    return describe_failure(
        raw, "decode", error.rule, error.path, order_id=order_id, expected=error.expected, got=error.got
    )


def _describe_value(value: object, column: Column, rule: str) -> object:
    """What a failure says about a value; about money of a wrong type only its type, for it may be personal data."""
    if column.kind is not Kind.MONEY:
        return value
    text, json_type = custom_attributes.read_attribute(str(value))
    return json_type if rule == "wrong_type" else text
