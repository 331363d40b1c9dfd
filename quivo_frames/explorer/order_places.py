"""Where a value stands: the cell of a table, and the place in the JSON of the order, each with its address in a page.

The catalogue of tables leads both ways: a table's source and a column's path say where in the JSON a cell comes from,
and the records of an order say which cell a place in the JSON becomes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from quivo_frames.explorer.rendering import address_of
from quivo_frames.model.order import Kind, Order, Privacy, Record
from quivo_frames.model.tables import ORDER_ID, TABLES, Column, Table, fields_of, primary_key_of

Steps = tuple[str | int, ...]
"""The way to a place in JSON: names of fields, and places in lists from 0."""
ATTRIBUTES = "custom_attributes"
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


class Cell(NamedTuple):
    """The cell of a table, or, without a column, a row."""

    table: str
    key: str
    column: str = ""

    @property
    def anchor(self) -> str:
        """Its id in a page."""
        return f"cell-{self.table}-{self.key}-{self.column}" if self.column else f"row-{self.table}-{self.key}"

    @property
    def order_id(self) -> str:
        """The order, with which the key of every row begins."""
        return self.key.partition("/")[0]

    @property
    def address(self) -> str:
        """Its address on the page of the rows of its table."""
        return f"{address_of(rows_path(self.order_id, self.table), at=self.key)}#{self.anchor}"


class JsonPlace(NamedTuple):
    """A place in the JSON of an order: what stands there, as the catalogue knows it.

    A list of rows has the key of the row that it belongs to, everything else that of its own row.
    """

    steps: Steps
    table: Table | None
    key: str = ""
    record: type[Record] | None = None
    attributes: tuple[str, ...] = ()
    """The way from the record of the row to here."""
    column: Column | None = None
    is_list: bool = False

    @property
    def cell(self) -> Cell | None:
        """The cell or the row that stands here."""
        if self.table is None or self.is_list:
            return None
        if self.column is not None:
            return Cell(self.table.name, self.key, self.column.name)
        return None if self.attributes else Cell(self.table.name, self.key)

    @property
    def is_hidden(self) -> bool:
        """Whether a value here is shown only together with personal data: it is personal, secret, or not known."""
        return self.table is None or (self.column is not None and self.column.privacy is not Privacy.NONE)

    def entry_inside(self, step: str | int) -> JsonPlace:
        """The place of an entry or a field of what stands here."""
        steps = (*self.steps, step)
        unknown = JsonPlace(steps, None)
        if self.table is None:
            return unknown
        if self.is_list:
            return self._entry(steps, step) if isinstance(step, int) else unknown
        if self.column is not None and self.column.kind is Kind.JSON:  # a free-form object, its keys by their places
            if not isinstance(step, int) or step < 0:
                return unknown
            table = TABLES[ATTRIBUTES]
            return JsonPlace(steps, table, f"{self.key}/{step}", column=table.column("value"))
        if self.record is None or not isinstance(step, str):
            return unknown
        field = next((field for field in fields_of(self.record) if field.json_name == step), None)
        if field is None:
            return unknown
        here = (*self.attributes, field.name)
        if field.child_table is not None:
            return JsonPlace(steps, TABLES[field.child_table.name], self.key, field.record, here, is_list=True)
        if field.record is not None:
            return JsonPlace(steps, self.table, self.key, field.record, here)
        column = next((column for column in self.table.columns if column.path == here), None)
        return JsonPlace(steps, self.table, self.key, None, here, column)

    def _entry(self, steps: Steps, number: int) -> JsonPlace:
        assert self.table is not None
        is_inner_unit = self.table.name == "handling_units" and self.attributes[-1] == "child_handling_units"
        key = f"{self.key}{'.' if is_inner_unit else '/'}{number}"
        column = self.table.columns[-1] if self.record is None else None
        return JsonPlace(steps, self.table, key, self.record, (), column)


def root_place(order_id: int) -> JsonPlace:
    """The place of the whole order."""
    return JsonPlace((), TABLES["orders"], str(order_id), Order)


def place_at(order_id: int, steps: Sequence[str | int]) -> JsonPlace:
    """The place that some steps lead to."""
    place = root_place(order_id)
    for step in steps:
        place = place.entry_inside(step)
    return place


def place_anchor(steps: Steps) -> str:
    """The id of a place in a page; of one that has an id."""
    return f"json-{'.'.join(map(str, steps))}" if steps else "json-order"


def path_text(steps: Steps) -> str:
    """A place as a JSON path: $.positions[0].sku."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def parse_path(path: str) -> Steps | None:
    """The steps of a JSON path; None for what is none."""
    rest = path.removeprefix("$")
    steps: list[str | int] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            return None
        steps.append(found[1] if found[1] is not None else int(found[2][:12]))
        at = found.end()
    return tuple(steps)


def place_of_cell(cell: Cell) -> Steps | None:
    """The steps to what a cell holds; of a key, to its row; None for what is not in the JSON of an order."""
    table = TABLES[cell.table]
    if not cell.column:
        return _steps_to_row(table, cell.key)
    column = table.column(cell.column)
    if column.json_path or column in table.value_columns:
        return parse_path(table.json_path(column, cell.key))
    if column.name == ORDER_ID.name:
        return ("orderId",)
    if column.name in ("ordinal", "depth", table.key):
        return _steps_to_row(table, cell.key)
    if table.name == ATTRIBUTES:
        to_owner = column.name == primary_key_of("order_positions")
        return _steps_to_row(TABLES["order_positions"], cell.key) if to_owner else _steps_to_row(table, cell.key)
    return _steps_of_ancestor(table, column, cell.key)


def _steps_to_row(table: Table, key: str) -> Steps | None:
    if table.name == ATTRIBUTES:
        owner = parse_path(table.json_path(table.column("value"), key))
        return None if owner is None else (*owner, int(key.rpartition("/")[2]))
    if table.parent is None:
        return ()
    return parse_path(table.json_path(Column("", Kind.TEXT, ""), key))


def _steps_of_ancestor(table: Table, column: Column, key: str) -> Steps | None:
    """Where an id or a key comes from that a row takes over from the rows around it."""
    if column.name in ("parent_handling_unit_key", "root_handling_unit_key"):
        unit, _, way = key.partition("/")
        shorter = way.partition(".")[0] if column.name.startswith("root") else way.rpartition(".")[0]
        return _steps_to_row(table, f"{unit}/{shorter}") if shorter else None
    ancestor = table
    while ancestor.parent is not None:
        ancestor, key = TABLES[ancestor.parent], key.rpartition("/")[0]
        if ancestor.name == "orders":
            key = key.partition("/")[0]
        if column.name == ancestor.key:
            return _steps_to_row(ancestor, key)
        own = next((one for one in ancestor.columns if one.name == column.name and one.json_path), None)
        if own is not None:
            return parse_path(ancestor.json_path(own, key))
    return None


def order_path(order_id: int | str) -> str:
    """The path of the page of an order."""
    return f"/orders/{order_id}"


def rows_path(order_id: int | str, table: str) -> str:
    """The path of the page of an order's rows in a table."""
    return f"/orders/{order_id}/rows/{table}"


def answer_address(order_id: int | str, steps: Steps) -> str:
    """The address of a place on the page of an order's answer."""
    return f"{address_of(f'/orders/{order_id}/answer', at=path_text(steps))}#{place_anchor(steps)}"
