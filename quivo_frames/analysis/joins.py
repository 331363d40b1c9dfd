"""Verb: tables -> one table, joined over their keys, its rows never multiplied. Floor 2."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.model.tables import TABLES, Reference, Table, singular_name, table_named

_ORDER_COLUMNS = {"ordinal", "depth"}
"""Columns that flattening adds and that lead to no row."""


def join(tables: Mapping[str, pl.DataFrame], first: str, *others: str) -> pl.DataFrame:
    """The rows of one table, each with the columns of the rows that it belongs to in others.

        lines = qf.join(tables, "shipment_positions", "shipments", "orders")

    There are as many rows as in the first table, in its order. Keys stand in them once; of other columns whose name is
    taken, the later ones are called after their table: `sscc_of_shipment`. Joined to itself, `handling_units` gives
    each unit the one that holds it.

    Raises:
        ConfigError: a table that does not exist, or of which several rows can belong to one row of the first.
    """
    start, joined = table_named(first), _require_table(tables, first)
    keys = {column.name for column in start.columns} - {column.name for column in start.value_columns} - _ORDER_COLUMNS
    for name in dict.fromkeys(others):
        way = _shortest_path(start, table_named(name))
        if not way:
            raise ConfigError(_explain_refusal(start, table_named(name)))
        for reference, following in pairwise(way):  # the keys that lead there
            if following.column not in joined.columns:
                joined = _join_columns(
                    joined, _require_table(tables, reference.to_table), reference, [following.column]
                )
                keys.add(following.column)
        right, last = _require_table(tables, name), way[-1]
        known = {"order_id"} if name == first else keys  # another row of the same table has other keys
        wanted = [column for column in right.columns if column not in known | {last.to_column}]
        suffix = f"_of_{singular_name(name)}" if name != first else f"_of_{last.column.removesuffix('_key')}"
        taken = {column: f"{column}{suffix}" for column in wanted if column in joined.columns}
        joined = _join_columns(joined, right, last, wanted, taken)
    return joined


def _require_table(tables: Mapping[str, pl.DataFrame], name: str) -> pl.DataFrame:
    if name not in tables:
        raise ConfigError(f"There is no {name} among the frames that were given: {', '.join(tables)}.")
    return tables[name]


def _shortest_path(start: Table, end: Table) -> list[Reference]:
    """The fewest references that lead from a row of one table to the row of another that it belongs to, if any do."""
    ways = [[reference] for reference in start.references]
    for way in ways:
        if way[-1].to_table == end.name:
            return way
        if len(way) < len(TABLES):
            ways += [[*way, reference] for reference in TABLES[way[-1].to_table].references if reference not in way]
    return []


def _join_columns(
    rows: pl.DataFrame, more: pl.DataFrame, over: Reference, wanted: list[str], taken: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """The rows with columns of the rows that a reference leads to."""
    right = more.select(over.to_column, *wanted).rename(taken or {})
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
    source = f'tables["{end.name}"]' if key in inner else finer
    return (
        f"{why}. {cure}:\n"
        f'    counted = {source}.group_by("{key}").len("rows")\n'
        f'    tables["{start.name}"].join(counted, on="{key}", how="left")'
    )
