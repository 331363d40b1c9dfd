"""The tables -> the JSON of the orders: the rule of flattening, applied backwards.

From the innermost tables outwards, each row becomes the text of a JSON object; the objects that belong to one row are
joined to a list, which becomes a field of that row. Names, kinds and places come from `model/tables.py`, and whole
columns become text at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

import polars as pl

from quivo_frames.display.text import type_with_article
from quivo_frames.errors import ConfigError
from quivo_frames.model.frames import SupportsRanges
from quivo_frames.model.order import Kind, Record
from quivo_frames.model.tables import ORDER_ID, ORDINAL, TABLES, Column, Table, fields_of, primary_key_of

ORDERS_PER_BATCH = 1_000
"""Orders written at a time, so that memory does not grow with the number of orders."""
_ORDERS_PER_RANGE = 8 * ORDERS_PER_BATCH
"""Orders of a dataset read at a time: fewer cost more time, as row groups that they share are read again."""
_ESCAPES = {sign: json.dumps(sign)[1:-1] for sign in map(chr, (*range(32), ord('"'), ord("\\")))}
JSON_TEXTS: dict[Kind, Callable[[pl.Expr], pl.Expr]] = {
    Kind.TEXT: lambda value: '"' + value.str.replace_many(_ESCAPES) + '"',
    Kind.INT64: lambda value: value.cast(pl.String),
    Kind.INT32: lambda value: value.cast(pl.String),
    Kind.FLAG: lambda value: value.cast(pl.String),
    Kind.INSTANT: lambda value: value.dt.strftime('"%Y-%m-%dT%H:%M:%S%.fZ"'),
    Kind.DAY: lambda value: value.dt.strftime('"%Y-%m-%d"'),
    Kind.MONEY: lambda value: value.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end("."),
    Kind.MEASURE: lambda value: value.cast(pl.String),  # the shortest text for this number
    Kind.JSON: lambda value: value,
}
"""By kind, the JSON text of the values of a column; null stays null."""
_JSON, _BATCH, _GAP = "$", "$batch", "$gap"


def unflatten(tables: Mapping[str, pl.DataFrame]) -> Iterator[bytes]:
    """The orders as JSON again, from the 18 tables alone: one order an item, sorted as the rows of `orders`.

    Takes what `flatten`, `build` and `open` return, or a dict of frames. Of a dataset, some thousand orders are read at
    a time: memory stays flat while they are iterated. What `flatten` read comes back: money as plain
    decimals, instants in UTC, free-form attributes as their own text, nulls between the entries of a list.

    What the tables do not hold does not come back: whether a field without a value was missing, null, [] or {}; nulls
    at the end of a list; the spelling of numbers, times and texts, spaces, and the order of the fields; and what the
    notes report, such as unknown fields and rounded digits. `fetched_at` is not part of an order.

    Raises:
        ConfigError: `tables` are not tables, a table or a column is missing or of another type, a key stands twice, or
            a row belongs to a row that is missing; of a dataset, the latter two may come after other orders.
    """
    if not isinstance(tables, Mapping):
        raise ConfigError(
            "unflatten takes the tables that flatten, build and open return, or a dict of frames; got "
            f"{type_with_article(tables)}. For tables in a folder, use open first."
        )
    if isinstance(tables, SupportsRanges):
        for table in TABLES.values():
            _check_columns(table, tables.lazy(table.name).collect_schema())
        return _unflatten_in_ranges(tables)
    return unflatten_in_batches({name: _check_table(table, tables) for name, table in TABLES.items()})


def _unflatten_in_ranges(tables: SupportsRanges) -> Iterator[bytes]:
    """The same from a dataset."""
    rows = dict.fromkeys(TABLES, 0)
    for frames in tables.read_in_ranges(_ORDERS_PER_RANGE):
        checked = {name: _check_table(table, frames) for name, table in TABLES.items()}
        for ids in frames["orders"].select(ORDER_ID.name).iter_slices(ORDERS_PER_BATCH):
            wanted = pl.col(ORDER_ID.name).is_in(ids.to_series().implode())
            batch = {name: frame.filter(wanted) for name, frame in checked.items()}
            rows = {name: count + batch[name].height for name, count in rows.items()}
            yield from _write_orders(batch)
        del frames, checked  # before the next ones are read
    for name, table in TABLES.items():
        if rows[name] < tables.lazy(name).select(pl.len()).collect().item():
            orphans = tables.lazy(name).join(tables.lazy("orders"), on=ORDER_ID.name, how="anti").collect()
            raise _orphan_error(table, orphans, ORDER_ID.name, "orders")


def unflatten_in_batches(
    frames: Mapping[str, pl.DataFrame], orders_per_batch: int = ORDERS_PER_BATCH
) -> Iterator[bytes]:
    """The same from tables that were checked."""
    batches = frames["orders"].select(ORDER_ID.name, (pl.int_range(pl.len()) // orders_per_batch).alias(_BATCH))
    parts = {}
    for name, frame in frames.items():
        numbered = frame.join(batches, on=ORDER_ID.name, how="left", maintain_order="left")
        if numbered[_BATCH].null_count():
            raise _orphan_error(TABLES[name], numbered.filter(pl.col(_BATCH).is_null()), ORDER_ID.name, "orders")
        parts[name] = numbered.partition_by(_BATCH, as_dict=True, include_key=False)
    for batch in parts["orders"]:
        tables = {name: part[batch] if batch in part else frames[name].clear() for name, part in parts.items()}
        yield from _write_orders(tables)


def _write_orders(frames: Mapping[str, pl.DataFrame]) -> Iterator[bytes]:
    return (text.encode() for text in _write_rows(TABLES["orders"], frames)[_JSON])


def _check_table(table: Table, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The declared columns of a table, after a check of its columns, dtypes and keys."""
    if table.name not in tables:
        raise ConfigError(f"There is no table {table.name!r}. An order is made from all of: {', '.join(TABLES)}.")
    frame = tables[table.name]
    if not isinstance(frame, pl.DataFrame):
        raise ConfigError(f"The table {table.name} is {type_with_article(frame)}. Give a polars DataFrame.")
    _check_columns(table, frame.schema)
    for column in table.columns:
        if column.kind is Kind.MEASURE and not frame[column.name].is_finite().all():
            raise ConfigError(f"The column {column.name} of {table.name} has a value that is no number in JSON.")
    repeated = frame.filter(pl.col(table.key).is_duplicated())
    if not repeated.is_empty():
        key = repeated[table.key][0]
        raise ConfigError(f"The key {key} stands in more than one row of {table.name}. Give each row once.")
    return frame.select(*table.schema)


def _check_columns(table: Table, schema: Mapping[str, pl.DataType]) -> None:
    for column in table.columns:
        found = schema.get(column.name)
        if found != column.dtype:
            what = "is missing" if found is None else f"is {found}, not {column.dtype}"
            raise ConfigError(f"The column {column.name} of {table.name} {what}. Give the tables as they were built.")


def _write_rows(table: Table, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows of a table with their JSON; of nested rows only the outermost, whose JSON has the others in it."""
    frame = frames[table.name]
    for path, name in table.child_tables.items():
        if name != table.name:
            child = TABLES[name]
            parent = primary_key_of(table.name)
            rows = _write_rows(child, frames)
            orphans = rows.join(frame, left_on=parent, right_on=table.key, how="anti")
            if not orphans.is_empty():
                raise _orphan_error(child, orphans, parent, table.name)
            frame = _attach_lists(frame, table, path, _join_to_lists(child, rows, parent))
    if table.name in table.child_tables.values():
        return _write_nested_rows(table, frame)
    return frame.with_columns(_row_json(table).alias(_JSON))


def _write_nested_rows(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """The outermost rows of a table whose rows hold each other, written level by level: their depth has no limit."""
    path = next(path for path, name in table.child_tables.items() if name == table.name)
    parent = f"parent_{table.key}"
    outermost = pl.col(parent).is_null()
    levels, rest = [frame.filter(outermost)], frame.filter(~outermost)
    while not rest.is_empty():
        is_next_level = pl.col(parent).is_in(levels[-1][table.key].implode())
        levels.append(rest.filter(is_next_level))
        if levels[-1].is_empty():
            raise _orphan_error(table, rest, parent, table.name)
        rest = rest.filter(~is_next_level)
    rows = frame.clear().with_columns(pl.lit(None, pl.String).alias(_JSON))
    for level in reversed(levels):
        level_with_lists = _attach_lists(level, table, path, _join_to_lists(table, rows, parent))
        rows = level_with_lists.with_columns(_row_json(table).alias(_JSON))
    return rows


def _join_to_lists(table: Table, rows: pl.DataFrame, parent: str) -> pl.DataFrame:
    """The JSON lists that the rows of a table make, by the key of the row that each list belongs to."""
    ordinal, gap = pl.col(ORDINAL.name), pl.col(_GAP)
    nulls_before = (ordinal - ordinal.shift(1, fill_value=-1).over(parent) - 1).fill_null(-1)
    rows = rows.sort(ORDINAL.name).select(table.key, parent, _JSON, nulls_before.alias(_GAP))
    wrong = rows.filter(gap < 0)
    if not wrong.is_empty():
        key = wrong[table.key][0]
        raise ConfigError(f"The place of the row {key} of {table.name} in its list is missing or taken by another row.")
    if rows[_GAP].sum():
        nulls = pl.lit("null,").repeat_by(gap).list.join("")
        rows = rows.with_columns((nulls + pl.col(_JSON)).alias(_JSON))
    return rows.group_by(parent).agg("[" + pl.col(_JSON).str.join(",") + "]")


def _attach_lists(frame: pl.DataFrame, table: Table, path: tuple[str, ...], lists: pl.DataFrame) -> pl.DataFrame:
    """The rows with the lists that belong to them as a column; null where there is none."""
    key, text = lists.columns
    renamed = lists.rename({text: _list_column(path)})
    return frame.join(renamed, left_on=table.key, right_on=key, how="left", maintain_order="left")


def _list_column(path: tuple[str, ...]) -> str:
    return f"{_JSON}.{'.'.join(path)}"


def _row_json(table: Table, *, with_lists: bool = True) -> pl.Expr:
    """The JSON of each row of a table."""
    if table.record is None:
        value = table.columns[-1]
        return JSON_TEXTS[value.kind](pl.col(value.name)).fill_null("null")
    columns = {column.path: column for column in table.columns if column.path}
    return "{" + _object_fields(table, table.record, (), columns, with_lists=with_lists) + "}"


def row_json_without_lists(table: Table) -> pl.Expr:
    """The JSON of each row of a table, without the lists that belong to it."""
    return _row_json(table, with_lists=False)


def _object_fields(
    table: Table, record: type[Record], path: tuple[str, ...], columns: Mapping[tuple[str, ...], Column], *,
    with_lists: bool,
) -> pl.Expr:  # fmt: skip
    """The fields of an object that have a value, separated by commas; an empty text if none has."""
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
            inner = _object_fields(table, field.record, here, columns, with_lists=with_lists)
            value = pl.when(inner != "").then("{" + inner + "}")
        fields.append(f'"{field.json_name}":' + value)
    return pl.concat_str(fields, separator=",", ignore_nulls=True)


def _orphan_error(table: Table, rows: pl.DataFrame, column: str, parent: str) -> ConfigError:
    """The error for rows without a parent: to leave them out would change the order."""
    key, order_id, value = (rows[name][0] for name in (table.key, ORDER_ID.name, column))
    return ConfigError(
        f"In {table.name}, the row {key} of order {order_id} belongs to no row of {parent}: there is no {column} "
        f"{value}. It is one of {rows.height:,} such rows. Take the same orders from all tables."
    )
