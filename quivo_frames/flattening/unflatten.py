"""Verb: the tables -> the orders again, as JSON. No I/O. Floor 2.

The rule of flattening, read backwards: each row becomes the text of an object, the texts of the rows that belong to one
row are joined to a list, and the list stands beside the fields of that row, from the innermost tables outwards. Names,
kinds and places all come from the description; whole columns become text at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.model.order import Kind, Record
from quivo_frames.model.tables import ORDER_ID, ORDINAL, TABLES, Column, Table, fields_of, primary_key_of

ORDERS_PER_BATCH = 2_000
"""Orders made at a time: the texts of so many fit into memory, whatever the number of orders."""

_ESCAPES = {sign: json.dumps(sign)[1:-1] for sign in map(chr, (*range(32), ord('"'), ord("\\")))}
JSON_TEXTS: dict[Kind, Callable[[pl.Expr], pl.Expr]] = {
    Kind.TEXT: lambda value: '"' + value.str.replace_many(_ESCAPES) + '"',
    Kind.INT64: lambda value: value.cast(pl.String),
    Kind.INT32: lambda value: value.cast(pl.String),
    Kind.FLAG: lambda value: value.cast(pl.String),
    Kind.INSTANT: lambda value: value.dt.strftime('"%Y-%m-%dT%H:%M:%S%.fZ"'),
    Kind.DAY: lambda value: value.dt.strftime('"%Y-%m-%d"'),
    Kind.MONEY: lambda value: value.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end("."),
    Kind.MEASURE: lambda value: value.cast(pl.String),  # the shortest text that is read as the same number
    Kind.JSON: lambda value: value,
}
"""The JSON text of a column of each kind; null stays null."""
_JSON, _BATCH = "$", "$batch"


def unflatten(tables: Mapping[str, pl.DataFrame]) -> Iterator[bytes]:
    """The orders again, as JSON, from the 18 tables alone: an order an item, in the order of the rows of `orders`.

    Takes what `flatten`, `build` and `open` give, or a dict of frames. What `flatten` read comes back: money as a plain
    decimal, instants in UTC, free-form attributes as their own text, nulls between the entries of a list as nulls.

    The tables do not tell, so it does not come back: whether a field without a value was missing, null, [] or {}; nulls
    at the end of a list; the spelling of numbers, times and texts, spaces, and the order of the fields; and what the
    notes tell of, such as unknown fields and digits that were rounded. `fetched_at` is no part of an order.

    Raises:
        ConfigError: a table or a column is missing or of another type, a key stands twice, or a row belongs to a row
            that is not there.
    """
    frames = {name: _check_table(described, tables) for name, described in TABLES.items()}
    return _unflatten_in_batches(frames)


def _unflatten_in_batches(frames: Mapping[str, pl.DataFrame]) -> Iterator[bytes]:
    batches = frames["orders"].select(ORDER_ID.name, (pl.int_range(pl.len()) // ORDERS_PER_BATCH).alias(_BATCH))
    parts = {}
    for name, frame in frames.items():
        placed = frame.join(batches, on=ORDER_ID.name, how="left", maintain_order="left")
        if placed[_BATCH].null_count():
            raise _orphan_error(TABLES[name], placed.filter(pl.col(_BATCH).is_null()), ORDER_ID.name, "orders")
        parts[name] = placed.partition_by(_BATCH, as_dict=True, include_key=False)
    for batch in parts["orders"]:
        here = {name: part[batch] if batch in part else frames[name].clear() for name, part in parts.items()}
        for text in _write_rows(TABLES["orders"], here)[_JSON]:
            yield text.encode()


def _check_table(table: Table, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """A table that has the columns, dtypes and keys that it must have."""
    if table.name not in tables:
        raise ConfigError(f"There is no table {table.name!r}. An order is made from all of: {', '.join(TABLES)}.")
    frame = tables[table.name]
    for column in table.columns:
        found = frame.schema.get(column.name)
        if found != column.dtype:
            told = "is missing" if found is None else f"is {found}, not {column.dtype}"
            raise ConfigError(f"The column {column.name} of {table.name} {told}. Give the tables as they were built.")
        if column.kind is Kind.MEASURE and not frame[column.name].is_finite().all():
            raise ConfigError(f"The column {column.name} of {table.name} has a value that is no number in JSON.")
    repeated = frame.filter(pl.col(table.key).is_duplicated())
    if not repeated.is_empty():
        key = repeated[table.key][0]
        raise ConfigError(f"The key {key} stands in more than one row of {table.name}. Give each row once.")
    return frame.select(*table.schema)


def _write_rows(table: Table, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows of a table with their texts beside them; of nested ones the outermost, which hold the others."""
    frame = frames[table.name]
    for path, name in table.child_tables.items():
        if name != table.name:
            child = TABLES[name]
            parent = primary_key_of(table.name)
            rows = _write_rows(child, frames)
            lost = rows.join(frame, left_on=parent, right_on=table.key, how="anti")
            if not lost.is_empty():
                raise _orphan_error(child, lost, parent, table.name)
            frame = _attach_lists(frame, table, path, _join_to_lists(child, rows, parent))
    if table.name in table.child_tables.values():
        return _write_nested_rows(table, frame)
    return frame.with_columns(_row_json(table).alias(_JSON))


def _write_nested_rows(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """The outermost rows of a table whose rows hold each other, level by level: nothing limits the depth."""
    path = next(path for path, name in table.child_tables.items() if name == table.name)
    parent = f"parent_{table.key}"
    outermost = pl.col(parent).is_null()
    levels, rest = [frame.filter(outermost)], frame.filter(~outermost)
    while not rest.is_empty():
        within = pl.col(parent).is_in(levels[-1][table.key].implode())
        levels.append(rest.filter(within))
        if levels[-1].is_empty():
            raise _orphan_error(table, rest, parent, table.name)
        rest = rest.filter(~within)
    rows = frame.clear().with_columns(pl.lit(None, pl.String).alias(_JSON))
    for level in reversed(levels):
        rows = _attach_lists(level, table, path, _join_to_lists(table, rows, parent)).with_columns(_row_json(table).alias(_JSON))
    return rows


def _join_to_lists(table: Table, rows: pl.DataFrame, parent: str) -> pl.DataFrame:
    """The texts of the lists that the rows make, by the key of the row that a list belongs to."""
    place = pl.col(ORDINAL.name)
    gap = place - place.shift(1, fill_value=-1).over(parent) - 1
    rows = rows.sort(ORDINAL.name).select(table.key, parent, _JSON, gap.fill_null(-1).alias(ORDINAL.name))
    wrong = rows.filter(place < 0)
    if not wrong.is_empty():
        key = wrong[table.key][0]
        raise ConfigError(f"The place of the row {key} of {table.name} in its list is missing or taken by another row.")
    if rows[ORDINAL.name].sum():
        nulls = pl.lit("null,").repeat_by(place).list.join("")
        rows = rows.with_columns((nulls + pl.col(_JSON)).alias(_JSON))
    return rows.group_by(parent).agg("[" + pl.col(_JSON).str.join(",") + "]")


def _attach_lists(frame: pl.DataFrame, table: Table, path: tuple[str, ...], lists: pl.DataFrame) -> pl.DataFrame:
    """The rows with the lists that belong to them; null where there is none."""
    key, text = lists.columns
    named = lists.rename({text: _list_column(path)})
    return frame.join(named, left_on=table.key, right_on=key, how="left", maintain_order="left")


def _list_column(path: tuple[str, ...]) -> str:
    return f"{_JSON}.{'.'.join(path)}"


def _row_json(table: Table, *, with_lists: bool = True) -> pl.Expr:
    """The JSON text of each row of a table."""
    if table.record is None:
        value = table.columns[-1]
        return JSON_TEXTS[value.kind](pl.col(value.name)).fill_null("null")
    columns = {column.path: column for column in table.columns if column.path}
    return "{" + _object_fields(table, table.record, (), columns, with_lists=with_lists) + "}"


def row_json_without_lists(table: Table) -> pl.Expr:
    """The JSON text of each row of a table, without the lists that belong to it."""
    return _row_json(table, with_lists=False)


def _object_fields(
    table: Table, record: type[Record], path: tuple[str, ...], columns: Mapping[tuple[str, ...], Column], *,
    with_lists: bool,
) -> pl.Expr:  # fmt: skip
    """The fields of an object that have a value, with commas between them; an empty text if none has."""
    fields = []
    for field in fields_of(record):
        here = (*path, field.name)
        if here in table.child_tables:
            if not with_lists:
                continue
            value = pl.col(_list_column(here))
        elif here in columns:
            value = JSON_TEXTS[columns[here].kind](pl.col(columns[here].name))
        else:
            assert field.record is not None
            own = _object_fields(table, field.record, here, columns, with_lists=with_lists)
            value = pl.when(own != "").then("{" + own + "}")
        fields.append(f'"{field.json_name}":' + value)
    return pl.concat_str(fields, separator=",", ignore_nulls=True)


def _orphan_error(table: Table, rows: pl.DataFrame, column: str, parent: str) -> ConfigError:
    """Rows that belong to no row: an order without them would be less than it was."""
    key, order_id, named = (rows[name][0] for name in (table.key, ORDER_ID.name, column))
    return ConfigError(
        f"In {table.name}, the row {key} of order {order_id} belongs to no row of {parent}: there is no {column} "
        f"{named}. It is one of {rows.height:,} such rows. Take the same orders from all tables."
    )
