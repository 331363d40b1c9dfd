"""The page of one order, for a terminal.

Columns that may be personal or secret are removed first, before anything reads the rows. Values are printed as plain
text: markup in them has no effect, and control characters are escaped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import IO, Any, NamedTuple, cast

import msgspec
import polars as pl
from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text
from rich.tree import Tree

from quivo_frames.analysis.order_lines import QUANTITY_TABLES, displayed_sku, read_order_lines
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.text import TerminalStream, terminal_text
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.unflatten import unflatten
from quivo_frames.model.frames import Frames
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import TABLES, Column, Table, primary_key_of, row_noun, singular_name

MAX_TREE_LEVELS = 8
"""Nesting levels of handling units in one tree; deeper ones have no room left and start a tree of their own."""
_MIN_ID_WIDTH = 20
"""Characters that a column of ids has at least, if its ids are that long."""
_HOLDER_TABLES = ("fulfillment_orders", "shipments")

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]


def read_order(dataset: Dataset, order_id: int) -> Frames:
    """The tables of one order of a dataset.

    Raises:
        ConfigError: the order is not in the dataset, or it failed.
    """
    tables = dataset.only([order_id])
    if tables.failures.height:
        raise ConfigError(f"Order {order_id} is in no table of {dataset.address}. {tables.failures['message'][0]}")
    if tables.orders.is_empty():
        raise ConfigError(
            f"Order {order_id} is not among the {dataset.manifest['orders']['in']:,} orders of {dataset.address}. "
            "Refetch it, and build the tables again."
        )
    return tables


def order_as_json(tables: Mapping[str, pl.DataFrame]) -> str:
    """The whole order as one indented JSON document, with its personal and secret values."""
    return msgspec.json.format(next(unflatten(tables))).decode()


def print_order(tables: Mapping[str, pl.DataFrame], *, file: IO[str] | None = None, width: int | None = None) -> None:
    """Prints the page of one order; in color only on a terminal."""
    console = Console(
        file=file or cast(IO[str], TerminalStream(sys.stdout)), width=width, markup=False, highlight=False, emoji=False
    )
    for part in _page_parts(_without_personal_columns(tables)):
        console.print(part)


def _without_personal_columns(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables without the columns that may be personal or secret."""
    return {
        name: tables[name].select(column.name for column in table.columns if column.privacy is Privacy.NONE)
        for name, table in TABLES.items()
    }


def _page_parts(frames: Mapping[str, pl.DataFrame]) -> Iterator[RenderableType]:
    rows = {name: frame.to_dicts() for name, frame in frames.items()}
    order = rows["orders"][0]
    yield Text.assemble(("Order ", "bold"), (terminal_text(order["order_id"]), "bold"))
    yield _indent_part(_facts_grid(order, rows["fulfillment_orders"]))
    yield from _section_parts("Timeline", _timeline_grid(rows))
    yield from _section_parts("Lines", *_line_parts(rows, frames))
    yield from _section_parts("Handling units", *_unit_trees(rows["handling_units"], rows["handling_positions"]))
    yield Text("\nPersonal and secret values are not shown here; --json prints everything.", style="dim")


def _plain(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(terminal_text, texts))


def _unbreakable_texts(ids: Sequence[str]) -> list[str]:
    """The parts of a cell with ids that should not be broken: all of a short cell, each id of a long one."""
    cell = ", ".join(_plain(ids))
    return [cell] if len(cell) <= _MIN_ID_WIDTH else [f"{one}," for one in _plain(ids[:-1])] + [*_plain(ids[-1:])]


def _section_parts(title: str, *parts: RenderableType | None) -> Iterator[RenderableType]:
    given = [part for part in parts if part is not None]
    yield Text(f"\n{title}" if given else f"\n{title}: none", style="bold")
    yield from map(_indent_part, given)


def _indent_part(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2))


def _join_known(*values: object) -> str:
    """The known ones of some values, separated by blanks."""
    return " ".join(terminal_text(value) for value in values if value is not None)


# The head


def _facts_grid(order: Row, fulfillment_orders: Sequence[Row]) -> RenderableType:
    at = [(order["warehouse_id"], None), *((row["warehouse_id"], row["warehouse_name"]) for row in fulfillment_orders)]
    named = {number: name for number, name in at if name is not None}
    warehouses = dict.fromkeys(_join_known(number, named.get(number, name)) for number, name in at)
    facts = {
        "status": _join_known(order["order_status"]),
        "identifier": _join_known(order["order_identifier"]),
        "reference": _join_known(order["order_reference"]),
        "seller": _join_known(order["seller_id"], order["seller_name"]),
        "shop": _join_known(order["shop_id"], order["shop_system_name"] or order["shop_system"]),
        "warehouse": ", ".join(filter(None, warehouses)),
    }
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, fact in facts.items():
        grid.add_row(name, Text(fact or "–"))
    return grid


# The timeline


class _TimelineEntry(NamedTuple):
    at: datetime
    event: str
    holder_ids: tuple[str, ...]
    """Of the fulfillment order and of the shipment that it is about; empty if there is none."""


def _timeline_grid(rows: Rows) -> RenderableType | None:
    """All instants of all tables in chronological order; the same event of several rows appears once."""
    entries: dict[_TimelineEntry, int] = {}
    for table in TABLES.values():
        for column in table.columns:
            if column.kind is not Kind.INSTANT or column.privacy is not Privacy.NONE:
                continue
            event = _describe_event(table, column)
            for row in rows[table.name]:
                if row[column.name] is not None:
                    entry = _TimelineEntry(row[column.name], event, _holder_ids(table, row))
                    entries[entry] = entries.get(entry, 0) + 1
    if not entries:
        return None
    grid = _new_grid("when (UTC)", "what")
    for name in _HOLDER_TABLES:
        _add_id_column(grid, row_noun(name), (entry.holder_ids[_HOLDER_TABLES.index(name)] for entry in entries))
    for entry, times in sorted(entries.items(), key=lambda item: item[0].at):
        at = entry.at.replace(tzinfo=None).isoformat(" ")
        grid.add_row(at, entry.event + (f" ({times} times)" if times > 1 else ""), *map(Text, entry.holder_ids))
    return grid


def _describe_event(table: Table, column: Column) -> str:
    """What happened, from the description of the column: "When it was shipped." becomes "It was shipped"."""
    words = column.sentence.split(";")[0].rstrip(".").removeprefix("When ")
    if table.name not in ("orders", *_HOLDER_TABLES):
        words = f"{table.grain}: {words[0].lower()}{words[1:]}"
    return words[0].upper() + words[1:]


def _holder_ids(table: Table, row: Row) -> tuple[str, ...]:
    """The fulfillment order and the shipment that a row belongs to or is: their ids, or else their keys."""
    levels: list[str] = []
    level: str | None = table.name
    while level:
        levels.append(level)
        level = TABLES[level].parent
    ids = []
    for name in _HOLDER_TABLES:
        number = row.get(f"{singular_name(name)}_id")
        address = row.get(primary_key_of(name))
        ids.append(_join_known(address if number is None else number) if name in levels else "")
    return tuple(ids)


def _new_grid(*names: str) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        grid.add_column(name, overflow="fold")
    return grid


def _add_id_column(grid: Grid, name: str, values: Iterable[str]) -> None:
    """Adds a column of ids, as wide as the longest, so that none is broken while there is room."""
    longest = max(map(len, (*values, *name.split())))
    grid.add_column(name, overflow="fold", min_width=min(longest, _MIN_ID_WIDTH), max_width=longest)


# The lines


def _line_parts(rows: Rows, frames: Mapping[str, pl.DataFrame]) -> Iterator[RenderableType]:
    """The lines with their quantities side by side, and what is not counted in them."""
    lines = read_order_lines(frames)
    if not lines:
        return
    grid = _new_grid()
    ids = {"line": [line.identifiers for line in lines], "SKU": [line.skus for line in lines]}
    if any(line.lots for line in lines):
        ids["lot"] = [line.lots for line in lines]
    for name, several in ids.items():
        _add_id_column(grid, name, chain.from_iterable(map(_unbreakable_texts, several)))
    grid.add_column("article", overflow="fold")
    kinds = [kind for kind, table in QUANTITY_TABLES.items() if kind != "packed" or rows[table]]
    for kind in kinds:
        grid.add_column(kind, justify="right", min_width=len(kind))
    for place, line in enumerate(lines):
        texts = [", ".join(_plain(several[place])) for several in ids.values()]
        counts = [line.quantities[kind] for kind in kinds]
        style = "" if len({*counts} - {"–"}) < 2 else "yellow"
        grid.add_row(*map(Text, (*texts, terminal_text(line.article))), *counts, style=style)
    yield grid
    for kind, name, flag in (("planned", "fulfillment_orders", "cancelled"), ("shipped", "shipments", "reversed")):
        for row in (row for row in rows[name] if row[flag]):
            number = _holder_ids(TABLES[name], row)[_HOLDER_TABLES.index(name)]
            yield Text(f"Not counted as {kind}: {row_noun(name)} {number}, which was {flag}.")


# The handling units


def _unit_trees(units: Sequence[Row], contents: Sequence[Row]) -> Iterator[Tree]:
    """The units as trees; the deepest unit of a tree that holds more is the root of another tree further down."""
    key, parent = primary_key_of("handling_units"), f"parent_{primary_key_of('handling_units')}"
    holding: dict[str, list[Row]] = {}
    for row in contents:
        holding.setdefault(row[key], []).append(row)
    outer = {row[parent] for row in units}
    trees: list[Tree] = []
    nodes: dict[str, Tree] = {}
    for row in units:  # parents before their children
        label = _unit_label(row)
        node = nodes[row[parent]].add(label) if row[parent] in nodes else Tree(label, guide_style="dim")
        if row[parent] not in nodes:
            trees.append(node)
        for line in holding.get(row[key], ()):
            node.add(Text(_content_text(line)))
        if row["depth"] % MAX_TREE_LEVELS == MAX_TREE_LEVELS - 1 and row[key] in outer:
            number = len(trees)
            node.add(Text(f"more units: see ({number}) below"))
            node = Tree(Text(f"({number}) in ") + label, guide_style="dim")
            trees.append(node)
        nodes[row[key]] = node
    yield from trees


def _unit_label(row: Row) -> Text:
    table = TABLES["handling_units"]
    facts = {column.name: row[column.name] for column in table.columns if column.path and column.name in row}
    label = Text(_join_known(facts.pop("type")) or row_noun(table.name), style="bold")
    for name, fact in facts.items():
        if fact is not None:
            label.append(
                f", {name.removeprefix('handling_unit_').replace('_', ' ')} {terminal_text(fact)}", style="not bold"
            )
    return label


def _content_text(row: Row) -> str:
    line = row["position_identifier"]
    quantity = "?" if row["quantity"] is None else row["quantity"]
    return f"{quantity} × {_join_known(displayed_sku(row)) or '(no SKU)'}" + (
        f", line {terminal_text(line)}" if line is not None else ""
    )
