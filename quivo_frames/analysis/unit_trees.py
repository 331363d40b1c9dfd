"""The handling units of one order as trees: the first of each level, and how many more there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import polars as pl
from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from quivo_frames.analysis.order_lines import displayed_sku
from quivo_frames.analysis.page_parts import MAX_CHILDREN, MAX_SECTION_LINES, Row, join_known
from quivo_frames.display.text import format_count, terminal_text
from quivo_frames.model.tables import TABLES, primary_key_of, row_noun

MAX_TREE_LEVELS = 8
"""Nesting levels of handling units in one tree; deeper ones have no room left and start a tree of their own."""
_KEY = primary_key_of("handling_units")
_PARENT = f"parent_{_KEY}"


def unit_parts(units: pl.DataFrame, contents: pl.DataFrame) -> Iterator[RenderableType]:
    """The trees; the deepest unit of a tree that holds more is the root of another tree further down."""
    line_counts = dict(contents.group_by(_KEY).len().iter_rows())
    unit_counts = Counter(units[_PARENT].to_list())
    rows = units[_choose_rows(units, line_counts)].to_dicts()
    lines = _first_lines(contents, [row[_KEY] for row in rows])
    trees: list[Tree] = []
    nodes: dict[str, Tree] = {}
    for row in rows:  # parents before their children
        key, parent, label = row[_KEY], row[_PARENT], _unit_label(row)
        node = nodes[parent].add(label) if parent in nodes else Tree(label, guide_style="dim")
        if parent not in nodes:
            trees.append(node)
        for line in lines.get(key, ()):
            node.add(Text(_content_text(line)))
        _add_hidden(node, line_counts.get(key, 0) - len(lines.get(key, ())), "line")
        if row["depth"] % MAX_TREE_LEVELS == MAX_TREE_LEVELS - 1 and unit_counts[key]:
            number = len(trees)
            node.add(Text(f"more units: see ({number}) below"))
            node = Tree(Text(f"({number}) in ") + label, guide_style="dim")
            trees.append(node)
        nodes[key] = node
        unit_counts[parent] -= 1
    for key, node in nodes.items():
        _add_hidden(node, unit_counts[key], "unit")
    yield from trees
    if len(rows) < units.height or sum(map(len, lines.values())) < contents.height:
        everything = f"{format_count(units.height, 'unit')} with {format_count(contents.height, 'line')}"
        yield Text(f"The first {len(rows):,} of {everything}; --json shows all.", style="dim")


def _choose_rows(units: pl.DataFrame, line_counts: dict[str, int]) -> list[int]:
    """The units to show: within those that are shown the first ones each, until the section is full."""
    chosen: list[int] = []
    keys: set[str | None] = {None}
    children: Counter[str | None] = Counter()
    size = 0
    for row, (key, parent) in enumerate(units.select(_KEY, _PARENT).iter_rows()):
        if parent in keys and children[parent] < MAX_CHILDREN:
            children[parent] += 1
            keys.add(key)
            chosen.append(row)
            size += 1 + min(line_counts.get(key, 0), MAX_CHILDREN)
            if size >= MAX_SECTION_LINES:
                break
    return chosen


def _first_lines(contents: pl.DataFrame, keys: list[str]) -> dict[str, list[Row]]:
    """By unit, the first of the lines in it."""
    inside = contents.filter(pl.col(_KEY).is_in(pl.Series(keys, dtype=pl.String).implode()))
    first = inside.group_by(_KEY, maintain_order=True).head(MAX_CHILDREN)
    found: dict[str, list[Row]] = {}
    for row in first.iter_rows(named=True):
        found.setdefault(row[_KEY], []).append(row)
    return found


def _add_hidden(node: Tree, hidden: int, noun: str) -> None:
    if hidden > 0:
        node.add(Text(f"… and {format_count(hidden, noun)} more", style="dim"))


def _unit_label(row: Row) -> Text:
    table = TABLES["handling_units"]
    facts = {column.name: row[column.name] for column in table.columns if column.path and column.name in row}
    label = Text(join_known(facts.pop("type")) or row_noun(table.name), style="bold")
    for name, fact in facts.items():
        if fact is not None:
            label.append(
                f", {name.removeprefix('handling_unit_').replace('_', ' ')} {terminal_text(fact)}", style="not bold"
            )
    return label


def _content_text(row: Row) -> str:
    line = row["position_identifier"]
    quantity = "?" if row["quantity"] is None else row["quantity"]
    return f"{quantity} × {join_known(displayed_sku(row)) or '(no SKU)'}" + (
        f", line {terminal_text(line)}" if line is not None else ""
    )
