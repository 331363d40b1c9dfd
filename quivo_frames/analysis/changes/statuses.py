"""Derives status transitions from changes, with how long each status lasted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import Any

import polars as pl

from quivo_frames.analysis.changes.differences import (  # fmt: skip
    ADDED,
    CHANGED,
    CHANGES,
    INSTANT,
    KEY_BEFORE,
    MOVED,
    REMOVED,
    STATUSES,
)

TRANSITIONS = {
    **{name: CHANGES[name] for name in ("order_id", "table", "key", "column", "before", "after")},
    "since": INSTANT,
    "last_seen_before": INSTANT,
    "seen_at": INSTANT,
}
"""The columns of transitions, without the last one, `lasted`."""

_StatusKey = tuple[str, str, str]  # table, key, column
_Change = dict[str, Any]


def is_status_change() -> pl.Expr:
    """Whether a change is about a status, or about a row that has one."""
    columns = [column.name for found in STATUSES.values() for column in found]
    of_row = pl.col("kind").is_in([ADDED, REMOVED])
    of_cell = (pl.col("kind") == CHANGED) & pl.col("column").is_in(columns)
    return pl.col("table").is_in(list(STATUSES)) & (of_row | of_cell)


def status_transitions(found: pl.DataFrame) -> pl.DataFrame:
    """The status transitions in changes, which include the kinds `first` and `moved`, by order and time."""
    orders = groupby(found.iter_rows(named=True), key=lambda row: row["order_id"])
    rows = [row for _, of_order in orders for row in _transitions_of_order(list(of_order))]
    transitions = pl.DataFrame(rows, schema=TRANSITIONS, orient="row")
    return transitions.with_columns(lasted=pl.col("seen_at") - pl.col("since"))


def _transitions_of_order(rows: list[_Change]) -> Iterator[tuple[Any, ...]]:
    """The transitions of one order; a status without a recorded begin is as old as the first answer."""
    first, *rest = rows
    begun: dict[_StatusKey, datetime] = {}
    for seen_at, group in groupby(rest, key=lambda row: row["seen_at"]):
        now = list(group)
        before, begun = begun, _begin_times_after_moves(begun, now)
        for row in now:
            table, key, kind = row["table"], row["key"], row["kind"]
            for column, old, new in _statuses_before_and_after(row):
                since = None if kind == ADDED else before.get((table, row[KEY_BEFORE], column), first["seen_at"])
                if (old, new) != (None, None):
                    yield (row["order_id"], table, key, column, old, new, since, row["before_at"], seen_at)
                if kind != REMOVED:
                    begun[table, key, column] = seen_at


def _begin_times_after_moves(begun: dict[_StatusKey, datetime], rows: list[_Change]) -> dict[_StatusKey, datetime]:
    """When statuses began, by the current keys of their rows; without those of removed rows."""
    keys = {(row["table"], row[KEY_BEFORE]): row["key"] for row in rows if row["kind"] in (MOVED, REMOVED)}
    went = {(row["table"], row["key"]) for row in rows if row["kind"] == REMOVED}
    return {
        (table, keys.get((table, key), key), column): at
        for (table, key, column), at in begun.items()
        if (table, key) not in went
    }


def _statuses_before_and_after(row: _Change) -> Iterator[tuple[str, str | None, str | None]]:
    """The statuses that a change is about: column, before and after."""
    if row["kind"] == CHANGED:
        yield row["column"], row["before"], row["after"]
    elif row["kind"] in (ADDED, REMOVED):
        before, after = (json.loads(row[name] or "{}") for name in ("before", "after"))
        for column in STATUSES[row["table"]]:
            yield column.name, before.get(column.json_path), after.get(column.json_path)
