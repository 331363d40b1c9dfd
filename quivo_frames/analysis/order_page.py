"""Verb: the tables of one order -> a page to read. Only here: rich. Floor 5.

The page leaves out every column that may be personal or secret, before anything else looks at the rows. What stands in
the data is shown as plain text: it is no markup, and its control characters are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import IO, Any, NamedTuple

import msgspec
import polars as pl
from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text
from rich.tree import Tree

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.text import terminal_text
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.unflatten import unflatten
from quivo_frames.model.frames import Frames
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import TABLES, Column, Table, primary_key_of, row_noun, singular_name

MAX_TREE_LEVELS = 8
"""Handling units in each other that are drawn as one tree; what is deeper has no room left and begins a tree anew."""
_TERMINAL_CONTROLS = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that JSON leaves as they are, and that a terminal may obey."""
_HOLDER_TABLES = ("fulfillment_orders", "shipments")

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]


def read_order(dataset: Dataset, order_id: int) -> Frames:
    """The tables of one order of a dataset.

    Raises:
        ConfigError: the order is not in it.
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


def order_as_json(tables: Mapping[str, pl.DataFrame]) -> bytes:
    """The order as one JSON document, indented; complete, with what the page leaves out."""
    text = msgspec.json.format(next(unflatten(tables))).decode()
    return _TERMINAL_CONTROLS.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text).encode()


def print_order(tables: Mapping[str, pl.DataFrame], *, file: IO[str] | None = None, width: int | None = None) -> None:
    """Prints the page of one order; in colour only on a terminal."""
    console = Console(file=file, width=width, markup=False, highlight=False, emoji=False)
    for part in _page_parts(_without_personal_columns(tables)):
        console.print(part)


def _without_personal_columns(tables: Mapping[str, pl.DataFrame]) -> Rows:
    """The rows of all tables without the columns that may be personal or secret."""
    return {
        name: tables[name].select(column.name for column in table.columns if column.privacy is Privacy.NONE).to_dicts()
        for name, table in TABLES.items()
    }


def _page_parts(rows: Rows) -> Iterator[RenderableType]:
    order = rows["orders"][0]
    yield Text.assemble(("Order ", "bold"), (terminal_text(order["order_id"]), "bold"))
    yield _indent_part(_facts_grid(order, rows["fulfillment_orders"]))
    yield from _section_parts("Timeline", _timeline_grid(rows))
    yield from _section_parts("Lines", *_line_parts(rows))
    yield from _section_parts("Handling units", *_unit_trees(rows["handling_units"], rows["handling_positions"]))
    yield Text("\nPersonal and secret values are not shown here; --json prints everything.", style="dim")


def _section_parts(title: str, *parts: RenderableType | None) -> Iterator[RenderableType]:
    there = [part for part in parts if part is not None]
    yield Text(f"\n{title}" if there else f"\n{title}: none", style="bold")
    yield from map(_indent_part, there)


def _indent_part(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2))


def _join_known(*values: object) -> str:
    """What is known of some values, with blanks between."""
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
    """The fulfillment order and the shipment that it is about."""


def _timeline_grid(rows: Rows) -> RenderableType | None:
    """All instants of all tables in the order of time; what is told of several rows alike stands once."""
    moments: dict[_TimelineEntry, int] = {}
    for table in TABLES.values():
        for column in table.columns:
            if column.kind is not Kind.INSTANT or column.privacy is not Privacy.NONE:
                continue
            what = _describe_event(table, column)
            for row in rows[table.name]:
                if row[column.name] is not None:
                    moment = _TimelineEntry(row[column.name], what, _holder_ids(table, row))
                    moments[moment] = moments.get(moment, 0) + 1
    if not moments:
        return None
    grid = _new_grid("when (UTC)", "what")
    for name in _HOLDER_TABLES:
        _add_id_column(grid, row_noun(name), (m.holder_ids[_HOLDER_TABLES.index(name)] for m in moments))
    for moment, times in sorted(moments.items(), key=lambda item: item[0].at):
        at = moment.at.replace(tzinfo=None).isoformat(" ")
        grid.add_row(at, moment.event + (f" ({times} times)" if times > 1 else ""), *map(Text, moment.holder_ids))
    return grid


def _describe_event(table: Table, column: Column) -> str:
    """What happened, in the words of the column's sentence: "When it was shipped." -> "It was shipped"."""
    words = column.sentence.split(";")[0].rstrip(".").removeprefix("When ")
    if table.name not in ("orders", *_HOLDER_TABLES):
        words = f"{table.grain}: {words[0].lower()}{words[1:]}"
    return words[0].upper() + words[1:]


def _holder_ids(table: Table, row: Row) -> tuple[str, ...]:
    """The fulfillment order and the shipment that a row belongs to or is: its number, else its address."""
    around: list[str] = []
    here: str | None = table.name
    while here:
        around.append(here)
        here = TABLES[here].parent
    told = []
    for name in _HOLDER_TABLES:
        number = row.get(f"{singular_name(name)}_id")
        address = row.get(primary_key_of(name))
        told.append(_join_known(address if number is None else number) if name in around else "")
    return tuple(told)


def _new_grid(*names: str) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        grid.add_column(name, overflow="fold")
    return grid


def _add_id_column(grid: Grid, name: str, values: Iterable[str]) -> None:
    """A column of ids: as wide as the longest of them, so that none is broken while there is room."""
    longest = max(map(len, (*values, *name.split())))
    grid.add_column(name, overflow="fold", min_width=min(longest, 20), max_width=longest)


# The lines


class _Line:
    """A line of the order, and what was made of it."""

    def __init__(self, row: Row, ordered: bool = True) -> None:
        self.identifier, self.lot = row.get("position_identifier"), row.get("lot")
        self.sku, self.name = _displayed_sku(row), row.get("name") if ordered else None
        self.counts: dict[str, tuple[int, bool]] = {}

    def add(self, what: str, quantity: int | None) -> None:
        count, all_known = self.counts.get(what, (0, True))
        self.counts[what] = (count + (quantity or 0), all_known and quantity is not None)

    def told(self, what: str) -> str:
        """The quantity; "?" for what the API did not say."""
        if what not in self.counts:
            return "–"
        count, all_known = self.counts[what]
        return str(count) if all_known else f"{count} + ?" if count else "?"


def _displayed_sku(row: Row) -> str | None:
    names = ("ordered_sku", "sku", "seller_sku", "warehouse_sku")
    return next((row[name] for name in names if row.get(name) is not None), None)


def _line_parts(rows: Rows) -> Iterator[RenderableType | None]:
    """What was ordered, planned, shipped and packed, side by side, and what of it was not counted."""
    cancelled = [row for row in rows["fulfillment_orders"] if row["cancelled"]]
    reversed_ = [row for row in rows["shipments"] if row["reversed"]]
    book = _Book(rows["order_positions"])
    book.enter("planned", _without(rows["fulfillment_positions"], cancelled, primary_key_of("fulfillment_orders")))
    book.enter("shipped", _without(rows["shipment_positions"], reversed_, primary_key_of("shipments")))
    book.enter("packed", rows["handling_positions"])
    if not book.lines:
        return
    grid = _new_grid()
    _add_id_column(grid, "line", (_join_known(line.identifier) for line in book.lines))
    _add_id_column(grid, "SKU", (_join_known(line.sku) for line in book.lines))
    has_lots = any(line.lot is not None for line in book.lines)
    if has_lots:
        _add_id_column(grid, "lot", (_join_known(line.lot) for line in book.lines))
    grid.add_column("article", overflow="fold")
    whats = ["ordered", "planned", "shipped", *(["packed"] if rows["handling_positions"] else [])]
    for what in whats:
        grid.add_column(what, justify="right", min_width=len(what))
    for line in book.lines:
        ids = [_join_known(line.identifier), _join_known(line.sku), *([_join_known(line.lot)] if has_lots else [])]
        counts = [line.told(what) for what in whats]
        style = "" if len({*counts} - {"–"}) < 2 else "yellow"
        article = _join_known(line.name) if "ordered" in line.counts else "(of no single ordered line)"
        grid.add_row(*map(Text, (*ids, article)), *counts, style=style)
    yield grid
    for what, name, gone in (("planned", "cancelled", cancelled), ("shipped", "reversed", reversed_)):
        table = TABLES[_HOLDER_TABLES[what == "shipped"]]
        for row in gone:
            number = _holder_ids(table, row)[_HOLDER_TABLES.index(table.name)]
            yield Text(f"Not counted as {what}: {row_noun(table.name)} {number}, which was {name}.")


def _without(rows: Sequence[Row], gone: Sequence[Row], key: str) -> Iterator[Row]:
    keys = {row[key] for row in gone}
    return (row for row in rows if row[key] not in keys)


class _Book:
    """The lines of an order, in which rows of other tables are entered where they belong.

    By position_identifier; else by SKU and lot, if that leads to one line; else on a line of its own: nothing is
    guessed.
    """

    def __init__(self, ordered: Sequence[Row]) -> None:
        self.lines: list[_Line] = []
        self._ordered: list[_Line] = []
        for row in ordered:
            line = _Line(row)
            line.add("ordered", row["quantity"])
            self._ordered.append(line)
        self.lines += self._ordered
        self._others: dict[tuple[str | None, str | None, str | None], _Line] = {}

    def enter(self, what: str, rows: Iterable[Row]) -> None:
        for row in rows:
            (self._line(row) or self._other(row)).add(what, row["quantity"])

    def _line(self, row: Row) -> _Line | None:
        identifier, sku, lot = row.get("position_identifier"), _displayed_sku(row), row.get("lot")
        if identifier is not None:
            return _only(line for line in self._ordered if line.identifier == identifier)
        same = [line for line in self._ordered if sku is not None and line.sku == sku]
        return _only(line for line in same if line.lot == lot) or _only(
            line for line in same if line.lot is None or lot is None
        )

    def _other(self, row: Row) -> _Line:
        line = _Line(row, ordered=False)
        found = self._others.setdefault((line.identifier, line.sku, line.lot), line)
        if found is line:
            self.lines.append(line)
        return found


def _only(lines: Iterable[_Line]) -> _Line | None:
    found = list(lines)
    return found[0] if len(found) == 1 else None


# The handling units


def _unit_trees(units: Sequence[Row], contents: Sequence[Row]) -> Iterator[Tree]:
    """The units as trees; one that has no room for its inner ones is the root of a tree of its own further down."""
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
    return f"{quantity} × {_join_known(_displayed_sku(row)) or '(no SKU)'}" + (
        f", line {terminal_text(line)}" if line is not None else ""
    )
