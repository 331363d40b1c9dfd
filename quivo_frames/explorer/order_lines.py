"""The lines of one order with their pieces, each number with the rows that it is the sum of."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

from quivo_frames.analysis.report.sheets import UNKNOWN
from quivo_frames.explorer.order_cells import shorten_text
from quivo_frames.explorer.order_places import Cell
from quivo_frames.explorer.order_rows import OrderRows

LINES_A_PAGE, MOST_ROWS = 50, 20
STATES = ("ordered", "planned", "shipped", "packed", "reversed")
"""What a row states of its line, in the order of the columns."""
_COUNTED = {
    "parts": "a bundle: its parts are counted",
    "bundle": "a part: its bundle is counted",
    "no goods": "asks for no goods",
}


class LinePart(NamedTuple):
    """A row that counts for a line: its quantity, its cell, and the rule by which it was found."""

    quantity: str
    cell: Cell
    rule: str
    is_certain: bool


class LineNumber(NamedTuple):
    """A number of a line, and the rows that it is the sum of."""

    states: str
    text: str
    anchor: str
    """The id of the list of its rows; empty if it has none."""
    parts: list[LinePart]
    hidden: int


class ShownLine(NamedTuple):
    """A line of the order."""

    key: str
    identifier: str
    sku: str
    name: str
    lot: str
    numbers: list[LineNumber]
    open: str
    is_open: bool
    rule: str
    is_certain: bool
    note: str


class ShownLines(NamedTuple):
    """One page of the lines."""

    lines: list[ShownLine]
    total: int
    page: int
    pages: int
    has_lots: bool
    has_reversed: bool


def show_lines_of_order(rows: OrderRows, page: int) -> ShownLines:
    """A page of the lines of an order, the ordered ones first."""
    lines, line_rows = rows.derived["lines"], rows.derived["line_rows"]
    pages = max(-(-lines.height // LINES_A_PAGE), 1)
    page = min(max(page, 1), pages)
    shown = lines.slice((page - 1) * LINES_A_PAGE, LINES_A_PAGE)
    counted = line_rows.filter(pl.col("line_key").is_in(shown["line_key"].implode()))
    parts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in counted.iter_rows(named=True):
        parts.setdefault((row["line_key"], row["states"]), []).append(row)
    pools = _pools_of(lines)
    return ShownLines(
        [_show_line(row, parts, pools) for row in shown.iter_rows(named=True)], lines.height, page, pages,
        bool(shown["lot"].count()), bool(lines["reversed"].sum()),
    )  # fmt: skip


def _pools_of(lines: pl.DataFrame) -> dict[str, int]:
    """How many lines cannot be told apart, by the key of the first."""
    return dict(lines.drop_nulls("pool_key").group_by("pool_key").len().iter_rows())


def _show_line(
    row: dict[str, Any], parts: dict[tuple[str, str], list[dict[str, Any]]], pools: dict[str, int]
) -> ShownLine:
    key, pool = row["line_key"], row["pool_key"]
    notes = [
        _COUNTED.get(row["counted_by"], row["counted_by"]) if row["counted_by"] else "",
        f"one of {pools[pool]} lines that cannot be told apart: only their sums are certain" if pool else "",
        "" if row["order_position_key"] else "belongs to no ordered line",
    ]
    numbers = [_show_number(row, states, parts.get((key, states), [])) for states in STATES]
    identifier, sku, name, lot = (shorten_text(row[column]) for column in ("position_identifier", "sku", "name", "lot"))
    open_pieces = UNKNOWN if row["open"] is None else f"{row['open']:,}"
    return ShownLine(
        key, identifier, sku, name, lot, numbers, open_pieces, bool(row["open"]), row["matched_by"] or "",
        row["certain"], "; ".join(filter(None, notes)),
    )  # fmt: skip


def _show_number(line: dict[str, Any], states: str, rows: list[dict[str, Any]]) -> LineNumber:
    parts = [
        LinePart("?" if row["quantity"] is None else f"{row['quantity']:,}",
                 Cell(row["found_in"], row["found_key"], "quantity"), row["matched_by"] or "", row["certain"])
        for row in rows[:MOST_ROWS]
    ]  # fmt: skip
    anchor = f"sum-{states}-{line['line_key']}" if rows else ""
    return LineNumber(states, f"{line[states]:,}", anchor, parts, max(len(rows) - MOST_ROWS, 0))
