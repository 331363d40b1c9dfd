"""Changes as lines of text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from quivo_frames.analysis.changes.differences import ADDED, CHANGED, REMOVED
from quivo_frames.display.text import format_count, terminal_text

_WIDTH = 80
"""At most this many characters of a value are shown."""
_NOTHING = "nothing"


def describe_changes(found: pl.DataFrame, most: int | None = None) -> Iterator[str]:
    """A headline, then one line per change under its order and time; at most `most` changes (None: all)."""
    orders = found["order_id"].n_unique()
    yield f"{format_count(found.height, 'change')} in {format_count(orders, 'order')}" if found.height else "No changes"
    seen: tuple[Any, Any] | None = None
    for row in found.head(found.height if most is None else most).iter_rows(named=True):
        if (row["order_id"], row["seen_at"]) != seen:
            seen = (row["order_id"], row["seen_at"])
            before = f", before {row['before_at']:%Y-%m-%d %H:%M}" if row["before_at"] else ""
            yield f"Order {row['order_id']}, seen {row['seen_at']:%Y-%m-%d %H:%M} UTC{before}"
        yield f"  {_describe_change(row)}"
    if most is not None and found.height > most:
        yield f"… and {found.height - most:,} more; --out FILE has them all"


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
