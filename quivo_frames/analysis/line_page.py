"""The lines of orders for the terminal: how many pieces were ordered, planned, shipped and packed of each."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from quivo_frames.analysis.report.sheets import make_sheet
from quivo_frames.analysis.terminal_sheets import fitting_columns, open_console, print_sheet
from quivo_frames.display.text import format_count, print_text

MAX_LINES = 50
"""At most this many lines are printed."""
_HEADINGS = {
    "order_id": "order",
    "sku": "SKU",
    "name": "article",
    "seller": "seller",
    "warehouse": "warehouse",
    "carrier": "carrier",
    "ordered": "ordered",
    "planned": "planned",
    "shipped": "shipped",
    "packed": "packed",
    "open": "open",
    "value": "value",
}
"""The columns that are printed, in this order."""
_IMPORTANCE = (
    "order", "SKU", "ordered", "shipped", "open", "article", "warehouse", "carrier", "planned", "packed", "value",
    "seller",
)  # fmt: skip


def choose_lines(
    lines: pl.DataFrame, order_ids: Collection[int] = (), skus: Collection[str] = (), *, only_open: bool = False
) -> pl.DataFrame:
    """The lines of some orders (none: of all), of some SKUs, and of which something is still to be shipped."""
    if order_ids:
        lines = lines.filter(pl.col("order_id").is_in(list(order_ids)))
    if skus:
        lines = lines.filter(pl.col("sku").is_in(list(skus)))
    return lines.filter(pl.col("open") > 0) if only_open else lines


def print_lines_page(lines: pl.DataFrame) -> None:
    """Print a summary, and the first lines with the columns that fit."""
    print_text(_summary_sentence(lines))
    if lines.is_empty():
        return
    console = open_console()
    shown = lines.head(MAX_LINES).select(pl.col("order_id").cast(pl.String), *list(_HEADINGS)[1:])
    hidden = lines.height - shown.height
    note = f"… and {format_count(hidden, 'more line')}; --out FILE has all lines and columns." if hidden else ""
    sheet = make_sheet(shown, "", _HEADINGS, note)
    print_sheet(console, fitting_columns(sheet, _IMPORTANCE, console.width))


def _summary_sentence(lines: pl.DataFrame) -> str:
    if lines.is_empty():
        return "No lines."
    pieces, unknown = lines.select(pl.col("ordered", "shipped", "open").sum()).row(0), lines["open"].null_count()
    of_each = ", ".join(f"{count:,} {name}" for name, count in zip(("ordered", "shipped", "open"), pieces, strict=True))
    but = f"; of {format_count(unknown, 'line')} it is not known what is open" if unknown else ""
    orders = format_count(lines["order_id"].n_unique(), "order")
    return f"{format_count(lines.height, 'line')} of {orders}. Pieces: {of_each}{but}."
