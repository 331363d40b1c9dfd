"""The timeline of one order: all instants of all tables in chronological order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl
from rich.console import RenderableType
from rich.text import Text

from quivo_frames.analysis.page_parts import (
    MAX_CHILDREN,
    MAX_SECTION_LINES,
    add_id_column,
    hidden_part,
    join_known,
    new_grid,
)
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import TABLES, Column, Table, primary_key_of, row_noun, singular_name

HOLDER_TABLES = ("fulfillment_orders", "shipments")
"""The tables whose ids say what an event is about."""


def timeline_parts(frames: Mapping[str, pl.DataFrame]) -> Iterator[RenderableType]:
    """The timeline as a table, and how much of it is not shown: of an event of many shipments the first ones are."""
    entries = find_entries(frames)
    if entries.is_empty():
        return
    is_first = pl.int_range(pl.len()).over("event") < MAX_CHILDREN
    shown = entries.filter(is_first).head(MAX_SECTION_LINES)
    grid = new_grid()
    grid.add_column("when (UTC)", no_wrap=True, min_width=19)
    grid.add_column("what", overflow="fold")
    for name in HOLDER_TABLES:
        add_id_column(grid, row_noun(name), map(join_known, shown[name]))
    for at, event, times, *holders in shown.select("at", "event", "times", *HOLDER_TABLES).iter_rows():
        what = event + (f" ({times} times)" if times > 1 else "")
        grid.add_row(f"{at:%Y-%m-%d %H:%M:%S}", what, *(Text(join_known(holder)) for holder in holders))
    yield grid
    if hidden := hidden_part(entries.height - shown.height, "entry", "entries"):
        yield hidden


def holder_text(table: Table, columns: list[str], holder: str) -> pl.Expr:
    """The fulfillment order or shipment that the rows of a table belong to or are: its id, or else its key."""
    levels: list[str] = []
    level: str | None = table.name
    while level:
        levels.append(level)
        level = TABLES[level].parent
    names = [name for name in (f"{singular_name(holder)}_id", primary_key_of(holder)) if name in columns]
    if holder not in levels or not names:
        return pl.lit("")
    return pl.coalesce(pl.col(name).cast(pl.String) for name in names).fill_null("")


def find_entries(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The entries in the order of time; the same event of several rows is one."""
    found = [_read_column(table, column, frames[table.name]) for table, column in _INSTANT_COLUMNS]
    entries = pl.concat(found).group_by("at", "event", *HOLDER_TABLES, maintain_order=True).agg(pl.col("times").sum())
    return entries.sort("at", maintain_order=True)


def _read_column(table: Table, column: Column, frame: pl.DataFrame) -> pl.DataFrame:
    holders = {name: holder_text(table, frame.columns, name) for name in HOLDER_TABLES}
    return frame.drop_nulls(column.name).select(
        pl.col(column.name).alias("at"),
        pl.lit(_describe_event(table, column)).alias("event"),
        pl.lit(1, pl.Int64).alias("times"),
        **holders,
    )


def _describe_event(table: Table, column: Column) -> str:
    """What happened, from the description of the column: "When it was shipped." becomes "It was shipped"."""
    words = column.sentence.split(";")[0].rstrip(".").removeprefix("When ")
    if table.name not in ("orders", *HOLDER_TABLES):
        words = f"{table.grain}: {words[0].lower()}{words[1:]}"
    return words[0].upper() + words[1:]


_INSTANT_COLUMNS = [
    (table, column)
    for table in TABLES.values()
    for column in table.columns
    if column.kind is Kind.INSTANT and column.privacy is Privacy.NONE
]
