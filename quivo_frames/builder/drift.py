"""Notes about what the API changed between two datasets, from their profiles.

Unknown fields are noted when they are decoded. Here are the changes that only a comparison shows: a field that every
row had and none has now, and a new value in a column of codes, such as a status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from quivo_frames.dataset.table_profile import MAX_CODES, count_codes
from quivo_frames.model.messages import describe_note
from quivo_frames.model.records import Note
from quivo_frames.model.tables import TABLES, Table

Profile = dict[str, dict[str, Any]]
"""By table: `rows`, `filled` (rows with a value, by column) and `codes` (for columns of codes: of each value, how many
rows have it and the id of one such order). JSON as it is in the manifest."""


def profile_tables(tables: Mapping[str, pl.DataFrame]) -> Profile:
    """How many rows, values and codes some tables have."""
    return {name: profile_table(TABLES[name], frame) for name, frame in tables.items()}


def profile_table(table: Table, frame: pl.DataFrame) -> dict[str, Any]:
    """How many rows, values and codes a table has."""
    codes = {column.name: count_codes(frame, column.name) for column in table.value_columns if column.categorical}
    filled = {column.name: frame[column.name].count() for column in table.value_columns}
    return {"rows": frame.height, "filled": filled, "codes": codes}


def merge_profiles(profiles: Iterable[Profile]) -> Profile:
    """The profile of whole tables, from those of their partitions in order; changes the first of them."""
    first, *others = profiles
    for other in others:
        for name, total in first.items():
            more = other[name]
            total["rows"] += more["rows"]
            total["filled"] = {column: count + more["filled"][column] for column, count in total["filled"].items()}
            total["codes"] = {
                column: _add_code_counts(codes, more["codes"][column]) for column, codes in total["codes"].items()
            }
    return first


def _add_code_counts(
    total: dict[str, list[int]] | None, more: dict[str, list[int]] | None
) -> dict[str, list[int]] | None:
    if total is None or more is None:
        return None
    for value, (count, example) in more.items():
        known = total.setdefault(value, [0, example])
        known[0] += count
    return total if len(total) <= MAX_CODES else None


def notes_of_drift(before: Profile, now: Profile) -> Iterator[Note]:
    """Notes about fields that vanished and codes that are new since the earlier dataset."""
    for name, table in TABLES.items():
        old, new = before.get(name), now[name]
        if not old or not old["rows"] or not new["rows"]:
            continue
        for column in table.value_columns:
            path, count = table.json_path(column), old["filled"].get(column.name)
            if count == old["rows"] and not new["filled"][column.name]:
                yield describe_note("vanished_field", path, new["rows"], None)
            codes = old["codes"].get(column.name)
            if codes and (found := new["codes"].get(column.name)):
                for value in [value for value in found if value not in codes]:
                    count, order_id = found[value]
                    yield describe_note("new_value", path, count, order_id, value)
