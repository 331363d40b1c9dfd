"""The cells of an order: the rows of the 18 tables with their keys and values, without the empty ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.display.text import format_count, terminal_text
from quivo_frames.explorer.order_places import Cell, Steps, answer_address, place_anchor, place_of_cell
from quivo_frames.model.tables import TABLES, row_noun

MOST_ROWS = 40
"""Of a table so many rows are on the page of an order."""
MOST_ROWS_IN_ALL = 250
ROWS_A_PAGE = 100
MOST_CHARACTERS = 500


class ShownCell(NamedTuple):
    """A cell with a value."""

    column: str
    text: str
    anchor: str
    link: str
    """Where its value stands in the JSON; empty for what is not in it."""
    sentence: str
    """What the column holds."""


class ShownRow(NamedTuple):
    """A row with its cells."""

    key: str
    anchor: str
    link: str
    cells: list[ShownCell]
    empty: int
    """How many cells have no value."""


class ShownTable(NamedTuple):
    """Rows of a table, of how many."""

    table: str
    grain: str
    rows: list[ShownRow]
    total: int

    @property
    def count_text(self) -> str:
        """How many rows there are."""
        return format_count(self.total, "row")


LinkOfPlace = Callable[[Steps], str]
"""Where a place in the JSON is shown."""


def value_text(value: Any) -> str:
    """A value in full, in one line, without characters that nobody sees; long texts are cut."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(" ").replace("+00:00", " UTC")
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    text = str(value)
    if not text:
        return '""'
    shown = terminal_text(text[:MOST_CHARACTERS])
    return shown if len(text) <= MOST_CHARACTERS else f"{shown}… ({len(text) - MOST_CHARACTERS:,} more characters)"


def shorten_text(text: str | None) -> str:
    """A text of a cell for a list: empty for none, without characters that nobody sees, cut if it is long."""
    return value_text(text) if text else ""


def choose_rows(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The rows that the page of an order shows: the first ones of each table that has some."""
    chosen, left = {}, MOST_ROWS_IN_ALL
    for name, rows in tables.items():
        if rows.height:
            chosen[name] = rows.head(min(MOST_ROWS, max(left, 1)))
            left -= chosen[name].height
    return chosen


def show_rows(name: str, rows: pl.DataFrame, total: int, link_of: LinkOfPlace) -> ShownTable:
    """The rows of a table as a page shows them."""
    table = TABLES[name]
    sentences = {column.name: column.sentence for column in table.columns}
    shown = []
    for row in rows.iter_rows(named=True):
        key = str(row[table.key])
        cells = [
            ShownCell(column, value_text(value), (cell := Cell(name, key, column)).anchor,
                      _link_of_cell(cell, link_of), sentences[column])
            for column, value in row.items() if value is not None
        ]  # fmt: skip
        shown.append(ShownRow(key, Cell(name, key).anchor, _link_of_cell(Cell(name, key), link_of), cells,
                              len(row) - len(cells)))  # fmt: skip
    return ShownTable(name, f"one row per {table.grain}", shown, total)


def _link_of_cell(cell: Cell, link_of: LinkOfPlace) -> str:
    steps = place_of_cell(cell)
    return "" if steps is None else link_of(steps)


def link_within(anchors: set[str], order_id: int) -> LinkOfPlace:
    """Links to places that a page has under these ids, else to the page of the answer."""

    def link_of(steps: Steps) -> str:
        if (anchor := place_anchor(steps)) in anchors:
            return f"#{anchor}"
        if "customAttributes" in steps:  # what is a text, or is not shown, has no places inside
            whole = steps[: steps.index("customAttributes") + 1]
            if (anchor := place_anchor(whole)) in anchors:
                return f"#{anchor}"
        return answer_address(order_id, steps)

    return link_of


def noun_of(table: str) -> str:
    """What a row of a table is called."""
    return row_noun(table)
