"""Tables for the terminal: as wide as it is, with the most important columns if not all have room."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO, cast

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from quivo_frames.analysis.report.sheets import ColumnHeading, Sheet
from quivo_frames.display.text import TerminalStream, terminal_text

_GAP = 2
"""Blanks between two columns."""
_SHORT_TEXT = 12
"""Characters of a text that are not broken, however narrow the terminal is."""
_WIDEST = 30
"""Characters of a column that count when columns are chosen; longer texts are broken."""


def open_console(file: IO[str] | None = None, width: int | None = None) -> Console:
    """What prints to stdout, or another file: as wide as the terminal, in color only there, and without markup."""
    stream = file or cast(IO[str], TerminalStream(sys.stdout))
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def print_sheet(console: Console, sheet: Sheet) -> None:
    """Print a table under its caption: numbers to the right and whole, long texts and headings broken."""
    if sheet.caption:
        console.print(Text(terminal_text(sheet.caption), style="bold"))
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    texts = [[terminal_text(cell.replace("\u00a0", " ")) for cell in row] for row in sheet.rows]
    least = [_least_width(head, [row[place] for row in texts]) for place, head in enumerate(sheet.heads)]
    for head, width in zip(sheet.heads, least, strict=True):
        grid.add_column(head.words, overflow="fold", min_width=width, justify="right" if head.is_number else "left")
    for row in texts:
        grid.add_row(*map(Text, row))
    needed = sum(least) + _GAP * len(least)
    console.print(grid, width=max(console.width, needed), crop=False)
    if sheet.note:
        console.print(Text(terminal_text(sheet.note), style="dim"))


def _least_width(head: ColumnHeading, cells: Sequence[str]) -> int:
    """The width below which a number would be broken, or a word of a heading; texts may be broken anywhere."""
    words = max(map(len, head.words.split()))
    longest = max(map(len, cells), default=0)
    return max(words, longest if head.is_number else min(longest, _SHORT_TEXT))


def fitting_columns(sheet: Sheet, by_importance: Sequence[str], width: int) -> Sheet:
    """The sheet with the columns of these headings that fit into a width, in their order; at least the first."""
    places = {head.words: place for place, head in enumerate(sheet.heads)}
    chosen: list[int] = []
    used = -_GAP
    for words in by_importance:
        place = places[words]
        texts = (words, *(row[place] for row in sheet.rows))
        used += _GAP + min(max(map(len, texts)), _WIDEST)
        if used > width and chosen:
            break
        chosen.append(place)
    chosen.sort()
    rows = [[row[place] for place in chosen] for row in sheet.rows]
    return sheet._replace(heads=[sheet.heads[place] for place in chosen], rows=rows)
