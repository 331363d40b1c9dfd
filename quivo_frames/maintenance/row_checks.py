"""What is wrong in the rows of a dataset, looked up in ranges of order ids: memory does not grow with the orders.

A key begins with the order that its row belongs to, so rows with the same key, and rows that refer to each other, are
of one order and of one range. If a key says otherwise, as only damage makes it, all tables are looked at as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise
from operator import attrgetter
from typing import NamedTuple

import polars as pl

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.flattening.rules import row_rules, rows_without_parent
from quivo_frames.model.tables import ORDER_ID, TABLES, Reference, Table

ORDERS_PER_RANGE = 10_000
"""Orders looked at together: more take more memory, fewer read row groups that they share again."""
_ORDER = pl.col(ORDER_ID.name)
_ORDER_OF_DERIVED_KEY = r"^(?:\w+:)?(-?\d+)(?:/|$)"


class Defect(NamedTuple):
    """What rows of a table have in common that must not be."""

    what: str
    table: str
    words: str


class BrokenRows(NamedTuple):
    """How many rows have a defect, and the order of one of them."""

    number: int
    order_id: int | None


def find_broken_rows(dataset: Dataset, tables: Mapping[str, Table]) -> Iterator[tuple[Defect, BrokenRows]]:
    """The defects that rows of some tables have: first those of each table alone, then those between tables."""
    found: dict[Defect, BrokenRows] = {}
    has_strays = False
    for condition in _id_ranges(dataset):
        rows = {
            name: dataset.lazy(name).filter(condition).select(_needed_columns(table)).collect()
            for name, table in tables.items()
        }
        has_strays = has_strays or any(_has_stray_keys(table, rows[name]) for name, table in tables.items())
        lazy = {name: frame.lazy() for name, frame in rows.items()}
        for defect, broken in _broken_rows(lazy, tables):
            _add_broken_rows(found, defect, broken)
    if has_strays:  # ranges do not tell
        found = {}
        for defect, broken in _broken_rows({name: dataset.lazy(name) for name in tables}, tables):
            _add_broken_rows(found, defect, broken)
    order = [defect for defect, _ in _list_defects(tables)]
    yield from sorted(found.items(), key=lambda item: order.index(item[0]))


def _id_ranges(dataset: Dataset) -> list[pl.Expr]:
    """Conditions on the order id, one of which each row meets, also one without an order id."""
    ids = dataset.lazy("orders").select(_ORDER.drop_nulls().unique().sort()).collect().to_series()
    starts = ids.gather_every(ORDERS_PER_RANGE).to_list()[1:]
    edges = [None, *starts, None]
    ranges = []
    for first, end in pairwise(edges):
        bounds = [_ORDER.ge(first)] if first is not None else []
        bounds += [_ORDER.lt(end)] if end is not None else []
        ranges.append(pl.all_horizontal(bounds) if bounds else pl.lit(value=True))
    ranges[0] |= _ORDER.is_null()
    return ranges


def _needed_columns(table: Table) -> list[str]:
    references = [reference.column for reference in table.references]
    rules = [rule.column.name for rule in row_rules(table)]
    return list(dict.fromkeys([ORDER_ID.name, *rules, *references]))


def _has_stray_keys(table: Table, rows: pl.DataFrame) -> bool:
    """Whether a key of a row, or of a row that it refers to, is not of the order of the row."""
    order = _ORDER.cast(pl.String)
    names = {table.key, *(reference.column for reference in table.references)} - {ORDER_ID.name, ""}
    if table.name in TABLES:
        belongs = [pl.col(name).str.starts_with(order + "/") for name in sorted(names)]
    else:
        belongs = [pl.col(name).str.extract(_ORDER_OF_DERIVED_KEY) == order for name in sorted(names)]
    return bool(names) and not rows.select(pl.all_horizontal(belongs).fill_null(value=True).all()).item()


def _list_defects(tables: Mapping[str, Table]) -> Iterator[tuple[Defect, Reference | pl.Expr]]:
    """All that can be wrong, and the rule that such rows break: an expression that must hold, or a reference."""
    words = {
        "required": "of {} without a value where there must be one",
        "unique": "of {} with the {} of another",
    }
    for name, table in tables.items():
        for what, rules in groupby(row_rules(table), key=attrgetter("name")):
            defect = Defect(what, name, words[what].format(name, table.key))
            yield defect, pl.all_horizontal(rule.holds for rule in rules)
    for name, table in tables.items():
        for reference in table.references:
            if reference.to_table in tables:
                without_row = f"of {name} whose {reference.column} is in no row of {reference.to_table}"
                yield Defect("reference", name, without_row), reference


def _broken_rows(
    rows: Mapping[str, pl.LazyFrame], tables: Mapping[str, Table]
) -> Iterator[tuple[Defect, BrokenRows]]:  # fmt: skip
    for defect, rule in _list_defects(tables):
        of_table = rows[defect.table]
        if isinstance(rule, Reference):
            broken = rows_without_parent(of_table, rule, rows[rule.to_table])
        else:
            broken = of_table.filter(~rule)
        count, order_id = broken.select(pl.len(), _ORDER.first().alias("of")).collect().row(0)
        if count:
            yield defect, BrokenRows(count, order_id)


def _add_broken_rows(found: dict[Defect, BrokenRows], defect: Defect, broken: BrokenRows) -> None:
    earlier = found.get(defect, BrokenRows(0, broken.order_id))
    found[defect] = BrokenRows(earlier.number + broken.number, earlier.order_id)
