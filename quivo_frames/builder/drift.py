"""Verb: the profiles of two datasets -> notes about what the API changed between them. Floor 3.

Unknown fields are noted where they are read. Here are the changes that only a comparison shows: a field that every row
had and none has now, and a new value where the values are those of a short list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from quivo_frames.model.messages import note
from quivo_frames.model.records import Note
from quivo_frames.model.tables import ORDER_ID, TABLES, Table

Profile = dict[str, dict[str, Any]]
"""By table: `rows`, `filled` (rows with a value, by column) and `codes` (of short lists of values, by column: how many
rows have each value, and an order as an example). Plain enough for JSON."""

SHORT = 100
"""A list of more values than this is none of statuses, and is not kept."""


def profile(tables: Mapping[str, pl.DataFrame]) -> Profile:
    """The profile of some tables."""
    return {name: _of_table(TABLES[name], frame) for name, frame in tables.items()}


def _of_table(table: Table, frame: pl.DataFrame) -> dict[str, Any]:
    codes = {column.name: _codes(frame, column.name) for column in table.values if column.code}
    filled = {column.name: frame[column.name].count() for column in table.values}
    return {"rows": frame.height, "filled": filled, "codes": codes}


def _codes(frame: pl.DataFrame, column: str) -> dict[str, list[int]] | None:
    values = frame.select(column, ORDER_ID.name).drop_nulls(column).group_by(column, maintain_order=True)
    found = values.agg(pl.len(), pl.col(ORDER_ID.name).first().alias("example"))
    return {value: counts for value, *counts in found.iter_rows()} if found.height <= SHORT else None


def renewed(
    before: Profile, gone: Mapping[str, pl.DataFrame], new: Profile, now: Callable[[str], pl.LazyFrame]
) -> Profile:
    """The profile of the tables `now`, from the one before, the rows that are gone, and the profile of the new ones."""
    return {name: _renewed(TABLES[name], before[name], _of_table(TABLES[name], gone[name]), new[name], now)
            for name in TABLES}  # fmt: skip


def _renewed(
    table: Table, before: dict[str, Any], gone: dict[str, Any], new: dict[str, Any], now: Callable[[str], pl.LazyFrame]
) -> dict[str, Any]:
    filled = {name: count - gone["filled"][name] + new["filled"][name] for name, count in before["filled"].items()}
    columns = [column.name for column in table.values if column.code]
    codes = before["codes"]
    if columns and (gone["rows"] or new["rows"]):
        frame = now(table.name).select(*columns, ORDER_ID.name).collect()
        codes = {column: _codes(frame, column) for column in columns}
    return {"rows": before["rows"] - gone["rows"] + new["rows"], "filled": filled, "codes": codes}


def merged(profiles: Iterable[Profile]) -> Profile:
    """The profile of all tables together, from those of their parts in order."""
    first, *others = profiles
    for other in others:
        for name, mine in first.items():
            its = other[name]
            mine["rows"] += its["rows"]
            mine["filled"] = {column: count + its["filled"][column] for column, count in mine["filled"].items()}
            mine["codes"] = {column: _added(codes, its["codes"][column]) for column, codes in mine["codes"].items()}
    return first


def _added(mine: dict[str, list[int]] | None, its: dict[str, list[int]] | None) -> dict[str, list[int]] | None:
    if mine is None or its is None:
        return None
    for value, (count, example) in its.items():
        known = mine.setdefault(value, [0, example])
        known[0] += count
    return mine if len(mine) <= SHORT else None


def changes(before: Profile, now: Profile) -> Iterator[Note]:
    """Notes about fields that vanished and values that are new since the dataset before."""
    for name, table in TABLES.items():
        old, new = before.get(name), now[name]
        if not old or not old["rows"] or not new["rows"]:
            continue
        for column in table.values:
            path, count = table.json_path(column), old["filled"].get(column.name)
            if count == old["rows"] and not new["filled"][column.name]:
                yield note("vanished_field", path, new["rows"], None)
            codes = old["codes"].get(column.name)
            if codes and (found := new["codes"].get(column.name)):
                for value in [value for value in found if value not in codes]:
                    count, order_id = found[value]
                    yield note("new_value", path, count, order_id, value)
