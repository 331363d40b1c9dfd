"""The entity-relationship diagram: a box a table, by level, and a line to the table that its rows belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.tables import TABLES, Table

BOX_WIDTH, BOX_HEIGHT = 184, 30
_STEP_X, _STEP_Y, _MARGIN = 236, 42, 2


class DiagramBox(NamedTuple):
    """A table: where its box is, and how many rows it has."""

    name: str
    grain: str
    x: int
    y: int
    rows: int | None


class DiagramLine(NamedTuple):
    """A line from the table that others refer to, to one of them: a path of an SVG, and the column that refers."""

    path: str
    label: str


class TableDiagram(NamedTuple):
    """Boxes and lines, and how much room they take."""

    boxes: list[DiagramBox]
    lines: list[DiagramLine]
    width: int
    height: int


def draw_diagram(counts: Mapping[str, int]) -> TableDiagram:
    """The tables of orders, from left to right as their rows belong to each other; then the derived tables."""
    parents = {name: _parent_of(table) for name, table in (TABLES | DERIVED_TABLES).items()}
    places: dict[str, tuple[int, int]] = {}
    row = _place_below("orders", parents, places, 0, 0)
    known = TABLES | DERIVED_TABLES
    boxes = {
        name: DiagramBox(name, known[name].grain, _MARGIN + level * _STEP_X, _MARGIN + at * _STEP_Y, counts.get(name))
        for name, (level, at) in places.items()
    }
    lines = [
        DiagramLine(_line_between(boxes[parent], boxes[name]), f"{name}.{column} refers to {parent}")
        for name, (parent, column) in parents.items()
        if parent
    ]
    width = max(box.x for box in boxes.values()) + BOX_WIDTH + _MARGIN
    return TableDiagram(list(boxes.values()), lines, width, row * _STEP_Y - (_STEP_Y - BOX_HEIGHT) + 2 * _MARGIN)


def _parent_of(table: Table) -> tuple[str, str]:
    """The table that the rows of one belong to, and the column that says to which; the last reference says most."""
    for column, to, _ in table.references:
        if to not in (table.name, "orders"):
            return to, column
    return ("", "") if table.name == "orders" else ("orders", "order_id")


def _place_below(
    name: str, parents: Mapping[str, tuple[str, str]], places: dict[str, tuple[int, int]], level: int, row: int
) -> int:  # fmt: skip
    """Give a table and all that belong to it their levels and rows; returns the next free row."""
    places[name] = level, row
    children = [child for child, (parent, _) in parents.items() if parent == name]
    for place, child in enumerate(children):
        row = _place_below(child, parents, places, level + 1, row)
        if place == len(children) - 1:
            return row
    return row + 1


def _line_between(parent: DiagramBox, child: DiagramBox) -> str:
    start, end = parent.x + BOX_WIDTH, child.x
    middle = start + (end - start) // 2
    from_y, to_y = parent.y + BOX_HEIGHT // 2, child.y + BOX_HEIGHT // 2
    return f"M{start} {from_y}H{middle}V{to_y}H{end}"
