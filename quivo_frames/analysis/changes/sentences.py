"""Changes as lines of text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from quivo_frames.analysis.changes.differences import ADDED, CHANGED, IS_TOUCH, REMOVED, UNREADABLE
from quivo_frames.display.text import format_count, terminal_text

_WIDTH = 80
"""At most this many characters of a value are shown."""
_NOTHING = "nothing"
_MOST_FIELDS = 30
"""At most this many fields are summarized."""


def count_changes(found: pl.DataFrame) -> str:
    """How many changes there are, in how many orders; and how many answers cannot be read."""
    if found.is_empty():
        return "No changes"
    broken = found.filter(kind=UNREADABLE).height
    unread = f"; {format_count(broken, 'answer')} cannot be read" if broken else ""
    orders = format_count(found["order_id"].n_unique(), "order")
    return f"{format_count(found.height, 'change')} in {orders}{unread}"


def summarize_changes(found: pl.DataFrame) -> Iterator[str]:
    """One line per table and field that changed, the most frequent first: how often, and in how many orders."""
    where = pl.concat_str("table", "column", separator=".", ignore_nulls=True)
    kept = found.filter(~IS_TOUCH & pl.col("table").is_not_null())
    counted = kept.group_by("kind", where=where).agg(times=pl.len(), orders=pl.col("order_id").n_unique())
    rows = counted.sort("times", "where", "kind", descending=[True, False, False]).rows()
    for kind, name, times, orders in rows[:_MOST_FIELDS]:
        yield f"  {times:>7,} {kind:<8} {name} in {format_count(orders, 'order')}"
    if len(rows) > _MOST_FIELDS:
        yield f"  … and {format_count(len(rows) - _MOST_FIELDS, 'more field')}"


def describe_changes(found: pl.DataFrame, most: int | None = None) -> Iterator[str]:
    """A headline, then one line per change under its order and time; at most `most` changes (None: all)."""
    yield count_changes(found)
    yield from list_changes(found, most)


def list_changes(found: pl.DataFrame, most: int | None = None) -> Iterator[str]:
    """One line per change under its order and time; at most `most` changes (None: all)."""
    seen: tuple[Any, Any] | None = None
    for row in found.head(found.height if most is None else most).iter_rows(named=True):
        if (row["order_id"], row["seen_at"]) != seen:
            seen = (row["order_id"], row["seen_at"])
            before = f", before {row['before_at']:%Y-%m-%d %H:%M}" if row["before_at"] else ""
            yield f"Order {row['order_id']}, seen {row['seen_at']:%Y-%m-%d %H:%M} UTC{before}"
        yield f"  {_describe_change(row)}"
    if most is not None and found.height > most:
        yield f"… and {format_count(found.height - most, 'more change')}; --out FILE has them all"


def _describe_change(row: dict[str, Any]) -> str:
    where = ".".join(filter(None, (row["table"], row["column"])))
    if row["table"] != "orders":
        where = f"{where} {row['key']}"
    if row["kind"] == CHANGED:
        return f"~ {where}: {_short_value(row['before'])} -> {_short_value(row['after'])}"
    if row["kind"] == ADDED:
        return f"+ {where}: {_short_value(row['after'])}"
    if row["kind"] == REMOVED:
        return f"- {where}: {_short_value(row['before'])}"
    return f"! {terminal_text(row['after'])}"  # a whole message


def _short_value(value: str | None) -> str:
    if value is None:
        return _NOTHING
    text = terminal_text(value) or '""'
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
