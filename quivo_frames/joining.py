"""Verb: tables -> one table, joined over their keys, its rows never multiplied. Floor 2."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.tables import TABLES, Reference, Table, key_of, singular, table

_PLACES = {"ordinal", "depth"}
"""Columns that flattening adds and that lead to no row."""


def join(tables: Mapping[str, pl.DataFrame], first: str, *others: str) -> pl.DataFrame:
    """The rows of one table, each with the columns of the rows that it belongs to in others.

        lines = qf.join(tables, "shipment_positions", "shipments", "orders")

    There are as many rows as in the first table, in its order. Keys stand in them once; of other columns whose name is
    taken, the later ones are called after their table: `sscc_of_shipment`. Joined to itself, `handling_units` gives
    each unit the one that holds it.

    Raises:
        ConfigError: a table that does not exist, or of which several rows may belong to one row of the first.
    """
    start = table(first)
    joined = _given(tables, first)
    keys = _keys(start)
    for name in others:
        *steps, last = _way(start, table(name))
        right = _given(tables, name)
        if name == first:  # another row of the same table: its keys are others
            suffix = f"_of_{singular(last.column.removesuffix('_key'))}"
            right = right.drop("order_id")
        else:
            suffix = f"_of_{singular(name)}"
            right = right.drop((keys & set(right.columns)) - {last.to_column})
        taken = set(right.columns) & set(joined.columns)
        right = right.rename({column: f"{column}{suffix}" for column in taken - {last.to_column}})
        for step in steps:  # the keys that lead there
            following = steps[steps.index(step) + 1] if step is not steps[-1] else last
            if following.column not in joined.columns:
                joined = _beside(joined, _given(tables, step.to_table).select(step.to_column, following.column), step)
        joined = _beside(joined, right, last)
        keys |= {last.column}
    return joined


def _beside(rows: pl.DataFrame, more: pl.DataFrame, over: Reference) -> pl.DataFrame:
    joined = rows.join(more, left_on=over.column, right_on=over.to_column, how="left", maintain_order="left")
    if joined.height != rows.height:
        raise ConfigError(
            f"The frame of {over.to_table} has several rows with the same {over.to_column}. Each must be there once."
        )
    return joined


def _given(tables: Mapping[str, pl.DataFrame], name: str) -> pl.DataFrame:
    if name not in tables:
        raise ConfigError(f"The frames that were given lack the table {name}. They are: {', '.join(tables)}.")
    return tables[name]


def _keys(start: Table) -> set[str]:
    """The columns of a table that say what its rows belong to."""
    return {column.name for column in start.columns} - {column.name for column in start.values} - _PLACES


def _way(start: Table, end: Table) -> list[Reference]:
    """The references that lead from a row of one table to the row of another that it belongs to, the fewest."""
    ways: list[list[Reference]] = [[reference] for reference in start.references]
    for way in ways:
        if way[-1].to_table == end.name:
            return way
        if len(way) < len(TABLES):
            ways += [[*way, reference] for reference in TABLES[way[-1].to_table].references]
    raise ConfigError(f"{start.name} cannot be joined with {end.name}.")
