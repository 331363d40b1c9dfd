"""Compares the answers of a window: what changed from each to the next, one row per change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, NamedTuple

import polars as pl

from quivo_frames.analysis.changes.answer_windows import NUMBER, AnswerVersion, AnswerWindow
from quivo_frames.analysis.changes.free_values import canonical_json, is_fully_in_attributes
from quivo_frames.analysis.changes.identity import NEW, OLD, ROW, AnswerTables, match_rows
from quivo_frames.flattening.unflatten import JSON_TEXTS, row_json_without_lists
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import ORDINAL, TABLES, Column, Table, table_of_named_tuple

HIDDEN = "(personal)"
"""The placeholder for a personal value."""
INSTANT = pl.Datetime("us", "UTC")


class Change(NamedTuple):
    """One row of the changes: a value or a row that is another one in the next answer."""

    order_id: Annotated[int, "The order."]
    seen_at: Annotated[datetime, "When the newer answer arrived."]
    before_at: Annotated[datetime | None, "When the older value was last seen."]
    table: Annotated[str | None, "The table of the row."]
    column: Annotated[str | None, "The column of the value; of rows that were added or removed, none."]
    path: Annotated[str | None, "JSON path of the value in the newer answer; of removed rows, in the older one."]
    key: Annotated[str | None, "Key of the row in the newer answer; of removed rows, in the older one."]
    kind: Annotated[str, "changed, added, removed, or unreadable."]
    before: Annotated[str | None, "The value, or the row as JSON, in the older answer."]
    after: Annotated[str | None, "The value, or the row as JSON, in the newer answer."]


CHANGES_TABLE = table_of_named_tuple("changes", "change from one answer of an order to the next", Change)
CHANGES = CHANGES_TABLE.schema
"""The columns of the frame of changes."""
KEY_BEFORE = "key_before"
STATUSES = {
    name: [column for column in table.value_columns if column.categorical and column.name.endswith("status")]
    for name, table in TABLES.items()
    if any(column.categorical and column.name.endswith("status") for column in table.value_columns)
}
"""The status columns of each table that has some."""

IS_TOUCH = (pl.col("table").eq_missing("orders")) & (pl.col("column").eq_missing("last_modified"))
"""On changes: whether it says only that Quivo touched the order."""
CHANGED, ADDED, REMOVED, UNREADABLE = "changed", "added", "removed", "unreadable"
FIRST, MOVED = "first", "moved"

_ATTRIBUTES = "custom_attributes"
_ATTRIBUTE_VALUES = tuple(TABLES[_ATTRIBUTES].column(name) for name in ("value", "value_type"))
_DATED = ("order_id", "seen_at", "before_at")
_TIMES = {
    NUMBER: pl.UInt32(),
    **{name: CHANGES[name] for name in _DATED},
    "older": pl.UInt32(),
    "is_first": pl.Boolean(),
}
_TABLE, _COLUMN = "$table", "$column"
_FOUND = {
    NUMBER: pl.UInt32(),
    _TABLE: pl.UInt32(),
    ROW: pl.UInt32(),
    _COLUMN: pl.Int32(),
    "table": pl.String(),
    "column": pl.String(),
    "path": pl.String(),
    "key": pl.String(),
    KEY_BEFORE: pl.String(),
    "kind": pl.String(),
    "before": pl.String(),
    "after": pl.String(),
}


def compare_window(window: AnswerWindow, *, personal: bool) -> pl.DataFrame:
    """What changed from each answer of a window to the next readable one of its order.

    The columns are those of CHANGES, and KEY_BEFORE. There are two further kinds: `first`, the first readable answer of
    an order, and `moved`, a row with a status whose key has changed.
    """
    times = _answer_times(window)
    pairs = times.drop_nulls("older")
    numbered = pairs.select(pl.col("older").alias(NUMBER), pl.col(NUMBER).alias(NEW))
    old = AnswerTables({
        name: rows.join(numbered, on=NUMBER, how="inner", maintain_order="left").drop(NUMBER).rename({NEW: NUMBER})
        for name, rows in window.tables.items()
    })  # fmt: skip
    new = AnswerTables({
        name: rows.join(pairs.select(NUMBER), on=NUMBER, how="semi", maintain_order="left")
        for name, rows in window.tables.items()
    })  # fmt: skip
    found = [pl.DataFrame(schema=_FOUND)]
    for place, (name, links) in enumerate(match_rows(old, new).items()):
        comparison = _TableComparison(TABLES[name], old[name], new[name], links, personal)
        found += [
            rows.select(pl.lit(place, pl.UInt32).alias(_TABLE), *rows.columns) for rows in comparison.find_changes()
        ]
    everything = pl.concat([*found, _answer_events(window, times)], how="diagonal")
    dated = everything.join(times.select(NUMBER, *_DATED), on=NUMBER, how="left", maintain_order="left")
    return dated.sort(NUMBER, _TABLE, ROW, _COLUMN).select(*CHANGES, KEY_BEFORE)


def _answer_times(window: AnswerWindow) -> pl.DataFrame:
    """One row per answer: its order, its time, and time and number (`older`) of the readable answer before it."""
    lost = {one.number for one in window.unreadable}
    rows = []
    last: tuple[int, AnswerVersion] | None = None
    for number, one in enumerate(window.seen):
        if last and last[1].raw.order_id != one.raw.order_id:
            last = None
        readable = number not in lost
        is_first = readable and last is None and not (window.begun and number == 0)
        before, before_at = (last[0], last[1].last) if last else (None, None)
        rows.append((number, one.raw.order_id, one.first, before_at, before if readable else None, is_first))
        last = (number, one) if readable else last
    return pl.DataFrame(rows, schema=_TIMES, orient="row")


def _answer_events(window: AnswerWindow, times: pl.DataFrame) -> pl.DataFrame:
    """The rows about whole answers: first answers and unreadable ones."""
    begins = times.filter("is_first").select(NUMBER, kind=pl.lit(FIRST))
    rows = [(one.number, one.table, one.column, one.path, UNREADABLE, one.message) for one in window.unreadable]
    schema = {name: _FOUND[name] for name in (NUMBER, "table", "column", "path", "kind", "after")}
    return pl.concat([pl.DataFrame(rows, schema=schema, orient="row"), begins], how="diagonal")


class _TableComparison(NamedTuple):
    """One table of older and newer answers, and the pairs of rows that are the same (`links`)."""

    table: Table
    old: pl.DataFrame
    new: pl.DataFrame
    links: pl.DataFrame
    personal: bool

    def find_changes(self) -> Iterator[pl.DataFrame]:
        """All changes of the table, without times."""
        old, new = self.old[self.links[OLD]], self.new[self.links[NEW]]
        for place, column in enumerate(_comparable_columns(self.table)):
            before, after = old[column.name], new[column.name]
            places = before.ne_missing(after).arg_true()
            if len(places) and column.kind is Kind.JSON:
                places = places.filter(_differs_beyond_attributes(before[places], after[places]))
            elif len(places) and column is _ATTRIBUTE_VALUES[0]:
                places = places.filter(_differs_in_value(old[places], new[places]))
            if len(places):
                yield self._changed_cells(place, column, old[places], new[places])
        if self.table.name in STATUSES:
            places = (old[self.table.key].cast(pl.String) != new[self.table.key].cast(pl.String)).arg_true()
            yield self._whole_rows(MOVED, new[places], old[places])
        removed = self.old.join(self.links, left_on=ROW, right_on=OLD, how="anti", maintain_order="left")
        added = self.new.join(self.links, left_on=ROW, right_on=NEW, how="anti", maintain_order="left")
        yield self._whole_rows(ADDED, added, None)
        yield self._whole_rows(REMOVED, None, removed)

    def _changed_cells(self, place: int, column: Column, old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
        text = self._value_as_text(column)
        return self._with_location(new, column).with_columns(
            pl.lit(place, pl.Int32).alias(_COLUMN),
            old[self.table.key].cast(pl.String).alias(KEY_BEFORE),
            pl.lit(CHANGED).alias("kind"),
            old.select(text).to_series().alias("before"),
            new.select(text).to_series().alias("after"),
        )

    def _whole_rows(self, kind: str, new: pl.DataFrame | None, old: pl.DataFrame | None) -> pl.DataFrame:
        """Rows added, removed or moved; the text of a row is the JSON of its own fields, or its plain value."""
        rows = new if new is not None else old
        assert rows is not None
        if rows.is_empty():
            return pl.DataFrame(schema=_FOUND).drop(_TABLE)
        value = _value_column(self.table)
        text = self._value_as_text(value) if value else row_json_without_lists(self.table)
        shown = (
            rows if self.personal or value else rows.with_columns(map(_masked_column, _personal_columns(self.table)))
        )
        texts = shown.select(text).to_series()
        nothing = pl.lit(None, pl.String)
        return self._with_location(rows, value).with_columns(
            pl.col(ROW) + (0 if new is not None else self.new.height),  # removed rows come last
            pl.lit(-1, pl.Int32).alias(_COLUMN),
            nothing.alias(KEY_BEFORE) if old is None else old[self.table.key].cast(pl.String).alias(KEY_BEFORE),
            pl.lit(kind).alias("kind"),
            nothing.alias("before") if old is None else texts.alias("before"),
            nothing.alias("after") if new is None else texts.alias("after"),
        )

    def _value_as_text(self, column: Column) -> pl.Expr:
        value = pl.col(column.name)
        if column.privacy is not Privacy.NONE and not self.personal:
            return pl.when(value.is_not_null()).then(pl.lit(HIDDEN))
        return value if column.kind in (Kind.TEXT, Kind.JSON) else JSON_TEXTS[column.kind](value).str.strip_chars('"')

    def _with_location(self, rows: pl.DataFrame, column: Column | None) -> pl.DataFrame:
        """The table, column, path and key of rows."""
        keys = rows[self.table.key].cast(pl.String)
        places = keys.str.replace(r"^[^/]*", "")  # without the order id there are few distinct ones
        given = places.unique()
        paths = places.replace_strict(given, [self.table.json_path(column or ORDINAL, key) for key in given])
        if self.table.name == _ATTRIBUTES:
            paths = paths + "[" + rows.select(JSON_TEXTS[Kind.TEXT](pl.col("key"))).to_series() + "]"
        return rows.select(
            NUMBER,
            ROW,
            pl.lit(self.table.name).alias("table"),
            pl.lit(column.name if column else None, pl.String).alias("column"),
            paths.alias("path"),
            keys.alias("key"),
        )


def _comparable_columns(table: Table) -> tuple[Column, ...]:
    """The columns whose values may change while the row stays the same."""
    return _ATTRIBUTE_VALUES if table.name == _ATTRIBUTES else table.value_columns


def _value_column(table: Table) -> Column | None:
    """The single value column of lists of plain values and of free-form attributes."""
    return _comparable_columns(table)[0] if table.record is None else None


def _personal_columns(table: Table) -> list[Column]:
    return [column for column in table.columns if column.privacy is not Privacy.NONE]


def _masked_column(column: Column) -> pl.Expr:
    """A personal column with a placeholder for each text, and null for what is not text."""
    if column.dtype != pl.String:
        return pl.lit(None, column.dtype).alias(column.name)
    word = f'"{HIDDEN}"' if column.kind is Kind.JSON else HIDDEN
    return pl.when(pl.col(column.name).is_not_null()).then(pl.lit(word)).alias(column.name)


def _differs_beyond_attributes(before: pl.Series, after: pl.Series) -> pl.Series:
    """Whether free-form values differ in something that the table of attributes does not hold."""
    differ = canonical_json(before).ne_missing(canonical_json(after))
    return differ & ~(is_fully_in_attributes(before) & is_fully_in_attributes(after))


def _differs_in_value(old: pl.DataFrame, new: pl.DataFrame) -> pl.Series:
    """Whether the values of attributes differ in more than JSON formatting."""
    as_json = pl.when(pl.col("value_type") != "string").then(pl.col("value")).alias("value")
    before, after = (canonical_json(rows.select(as_json).to_series()) for rows in (old, new))
    return (old["value_type"] != new["value_type"]) | before.ne_missing(after) | before.is_null()
