"""Joins tables over their foreign keys, always from many rows to one, so that rows are never multiplied."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import polars as pl

from quivo_frames.analysis.derived_lines import SOURCE_TABLES
from quivo_frames.dataset.dataset import TablesOrFolder, as_tables
from quivo_frames.errors import ConfigError
from quivo_frames.model.frames import lazy_table
from quivo_frames.model.tables import TABLES, Reference, Table, singular_name, table_named

_POSITION_COLUMNS = {"ordinal", "depth"}
"""Columns that flattening adds and that are no keys: each table keeps its own."""
_TABLES_OF_LINES = set(SOURCE_TABLES.values())
"""Tables whose rows `lines` matches."""


def join(tables: TablesOrFolder, first: str, *others: str) -> pl.DataFrame:
    """The rows of one table, each with the columns of the rows in other tables that it belongs to (left join).

        lines = qf.join(tables, "shipment_positions", "shipments", "orders")

    `tables` is the folder of a dataset, a `Dataset`, `Frames`, or a dict of frames by table name.
    The result has as many rows as the first table, in its order. Keys appear once; of other columns with the same
    name, the later ones are named after their table: `sscc_of_shipment`. Joined to itself, `handling_units` gives
    each unit the one that holds it.

    Raises:
        ConfigError: `tables` are no tables, a table does not exist, or several of its rows can belong to one row of
            the first table.
        DatasetError: the dataset is incomplete, or of another version.
    """
    given = as_tables(tables)
    start, joined = table_named(first), lazy_table(given, first).collect()
    values = {column.name for column in start.value_columns}
    keys = {column.name for column in start.columns} - values - _POSITION_COLUMNS
    for name in dict.fromkeys(others):
        path = _shortest_path(start, table_named(name))
        if not path:
            raise ConfigError(_explain_refusal(start, table_named(name)))
        for reference, following in pairwise(path):  # the keys that lead there
            if following.column not in joined.columns:
                between = lazy_table(given, reference.to_table).collect()
                joined = _join_columns(joined, between, reference, {following.column: following.column})
                keys.add(following.column)
        right, last = lazy_table(given, name).collect(), path[-1]
        known = {"order_id"} if name == first else keys  # another row of the same table has other keys
        wanted = [column for column in right.columns if column not in known | {last.to_column}]
        suffix = f"_of_{singular_name(name)}" if name != first else f"_of_{last.column.removesuffix('_key')}"
        new_names = {column: f"{column}{suffix}" if column in joined.columns else column for column in wanted}
        joined = _join_columns(joined, right, last, new_names)
    return joined


def _shortest_path(start: Table, end: Table) -> list[Reference]:
    """The fewest references that lead from a row of one table to the row of another; empty if none do."""
    paths = [[reference] for reference in start.references]
    for path in paths:  # breadth first: the list grows while it is read
        if path[-1].to_table == end.name:
            return path
        if len(path) < len(TABLES):
            onward = TABLES[path[-1].to_table].references
            paths += [[*path, reference] for reference in onward if reference not in path]
    return []


def _join_columns(
    rows: pl.DataFrame, others: pl.DataFrame, over: Reference, new_names: Mapping[str, str]
) -> pl.DataFrame:
    """The rows with columns of the rows that a reference leads to, under new names."""
    right = others.select(over.to_column, *new_names).rename(new_names)
    joined = rows.join(right, left_on=over.column, right_on=over.to_column, how="left", maintain_order="left")
    if joined.height != rows.height:
        raise ConfigError(
            f"The same {over.to_column} stands in several rows of {over.to_table}: rows would be multiplied. "
            "Leave one row of each."
        )
    return joined


def _explain_refusal(start: Table, end: Table) -> str:
    """Why rows would be multiplied, and what to do instead."""
    inner = {column.name for column in end.columns}
    if _shortest_path(end, start):
        key, finer = start.key, f'qf.join(tables, "{end.name}", "{start.name}")'
        why = f"Several rows of {end.name} can belong to one row of {start.name}, which would be repeated for each"
        cure = f"Begin with the finer table, {finer}, or count first"
    else:
        shared = inner & {column.name for column in start.columns}
        key, finer = [known.key for known in TABLES.values() if known.key in shared][-1], ""
        why = f"No row of {start.name} belongs to one of {end.name}: all those of one {key} would meet each other"
        cure = "Count first"
    if {start.name, end.name} <= _TABLES_OF_LINES:
        cure = "qf.lines(tables) has the lines of each order, matched, with the pieces of all of them. Or count first"
    source = f'tables["{end.name}"]' if key in inner else finer
    return (
        f"{why}. {cure}:\n"
        f'    counted = {source}.group_by("{key}").len("rows")\n'
        f'    tables["{start.name}"].join(counted, on="{key}", how="left")'
    )
