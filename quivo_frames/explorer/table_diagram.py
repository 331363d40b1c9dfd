"""The entity-relationship diagram: a box a table, by level, and a line to the table that its rows belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.tables import TABLES, Column, Table

BOX_WIDTH, BOX_HEIGHT = 184, 30
LINE_HEIGHT = 18
"""How much higher a box is for each column that it shows."""
_GAP_X, _GAP_Y, _MARGIN = 52, 12, 2


class DiagramBox(NamedTuple):
    """A table: where its box is, how many rows it has, and which columns the box shows."""

    name: str
    grain: str
    x: int
    y: int
    rows: int | None
    width: int = BOX_WIDTH
    columns: tuple[Column, ...] = ()

    @property
    def height(self) -> int:
        """How high the box is."""
        return box_height(self.columns)


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


def box_height(columns: Sequence[Column]) -> int:
    """How high a box is that shows some columns."""
    return BOX_HEIGHT + (len(columns) * LINE_HEIGHT + _GAP_Y // 2 if columns else 0)


def draw_diagram(counts: Mapping[str, int], box_width: int = BOX_WIDTH, *, with_columns: bool = False) -> TableDiagram:
    """The tables of orders, from left to right as their rows belong to each other; then the derived tables."""
    known = TABLES | DERIVED_TABLES
    parents = {name: _parent_of(table) for name, table in known.items()}
    columns = {name: table.columns if with_columns else () for name, table in known.items()}
    heights = {name: box_height(shown) + _GAP_Y for name, shown in columns.items()}
    places: dict[str, tuple[int, int]] = {}
    end = _place_below("orders", parents, heights, places, 0, _MARGIN)
    boxes = {
        name: DiagramBox(
            name,
            known[name].grain,
            _MARGIN + level * (box_width + _GAP_X),
            y,
            counts.get(name),
            box_width,
            columns[name],
        )
        for name, (level, y) in places.items()
    }
    lines = [
        DiagramLine(_line_between(boxes[parent], boxes[name]), f"{name}.{column} refers to {parent}")
        for name, (parent, column) in parents.items()
        if parent
    ]
    width = max(box.x for box in boxes.values()) + box_width + _MARGIN
    return TableDiagram(list(boxes.values()), lines, width, end - _GAP_Y + _MARGIN)


def _parent_of(table: Table) -> tuple[str, str]:
    """The table that the rows of one belong to, and the column that says to which; the last reference says most."""
    for column, to, _ in table.references:
        if to not in (table.name, "orders"):
            return to, column
    return ("", "") if table.name == "orders" else ("orders", "order_id")


def _place_below(
    name: str, parents: Mapping[str, tuple[str, str]], heights: Mapping[str, int], places: dict[str, tuple[int, int]],
    level: int, y: int,
) -> int:  # fmt: skip
    """Give a table and all that belong to it their levels and places; returns where the next one may be."""
    places[name] = level, y
    end = y
    for child in (child for child, (parent, _) in parents.items() if parent == name):
        end = _place_below(child, parents, heights, places, level + 1, end)
    return max(end, y + heights[name])


def _line_between(parent: DiagramBox, child: DiagramBox) -> str:
    start, end = parent.x + parent.width, child.x
    middle = start + (end - start) // 2
    from_y, to_y = parent.y + BOX_HEIGHT // 2, child.y + BOX_HEIGHT // 2
    return f"M{start} {from_y}H{middle}V{to_y}H{end}"
