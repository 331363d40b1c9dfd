"""What the sections of the page of one order share: how much of a long list they show, and how they lay out ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table as Grid
from rich.text import Text

from quivo_frames.display.text import format_count, terminal_text

MAX_CHILDREN = 20
"""Of a list within one row, one event or one handling unit, so many entries are shown."""
MAX_SECTION_LINES = 200
"""Of a section so many lines are shown, about: its text alone may be longer, where a line is broken."""
_MIN_ID_WIDTH = 20
"""Characters that a column of ids has at least, if its ids are that long."""

Row = Mapping[str, Any]


def plain_texts(texts: Sequence[str]) -> list[str]:
    """The first texts, safe for a terminal, and how many more there are."""
    hidden = len(texts) - MAX_CHILDREN
    return [*map(terminal_text, texts[:MAX_CHILDREN]), *([f"… and {hidden:,} more"] if hidden > 0 else [])]


def join_known(*values: object) -> str:
    """The known ones of some values, separated by blanks."""
    return " ".join(terminal_text(value) for value in values if value is not None)


def hidden_part(hidden: int, singular: str, plural: str | None = None) -> Text | None:
    """What a list ends with if not all of it is shown; None if it is."""
    count = format_count(hidden, singular, plural)
    return Text(f"… and {count} more; --json shows all.", style="dim") if hidden > 0 else None


def new_grid(*names: str) -> Grid:
    """An empty table with some columns of text."""
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        grid.add_column(name, overflow="fold")
    return grid


def add_id_column(grid: Grid, name: str, values: Iterable[str]) -> None:
    """Adds a column of ids, as wide as the longest, so that none is broken while there is room."""
    longest = max(map(len, (*values, *name.split())))
    grid.add_column(name, overflow="fold", min_width=min(longest, _MIN_ID_WIDTH), max_width=longest)


def unbreakable_texts(ids: Sequence[str]) -> list[str]:
    """The parts of a cell with ids that should not be broken: all of a short cell, each id of a long one."""
    texts = plain_texts(ids)
    cell = ", ".join(texts)
    return [cell] if len(cell) <= _MIN_ID_WIDTH else [f"{text}," for text in texts[:-1]] + texts[-1:]
