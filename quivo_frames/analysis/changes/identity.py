"""Verb: the rows of two answers -> which row of the one is which row of the other.

Rows are looked for below the same parent alone: by the ids of their table, the best first, then among those with equal
content, lists inside them included, then at the same place. An id counts if it is there, and if no other row that is
still to be matched has it, on either side. Rows of one place whose ids differ are two: the one went, the other came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.changes.free_values import canonical
from quivo_frames.analysis.changes.sightings import NUMBER
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import ORDER_ID, ORDINAL, TABLES, Table, key_of

ROW, OLD, NEW, UNDER = "$row", "$old", "$new", "$under"
_CONTENT, _NTH, _OTHER = "$content", "$nth", "$other"
_UNITS, _DEPTH = "handling_units", "depth"
_NO_LINKS = pl.DataFrame(schema={OLD: pl.UInt32, NEW: pl.UInt32})
_HOLDERS = {key_of(table.parent) for table in TABLES.values() if table.parent not in (None, "orders")} | {
    f"parent_{key_of(_UNITS)}",
    key_of("order_positions"),
}
"""Columns that name the row that a row hangs on, where that is not the order."""


class Ids(NamedTuple):
    """What tells the rows of a table apart, the best first: ids of the row itself, and what does for lack of them."""

    own: tuple[str, ...] = ()
    else_by: tuple[tuple[str, ...], ...] = ()

    @property
    def ways(self) -> list[list[str]]:
        """The columns of each way, the best first."""
        return [*([name] for name in self.own), *map(list, self.else_by)]


_BY_SKU = (("sku", "lot"), ("sku",))
IDS: dict[str, Ids] = {
    "address_identifiers": Ids(("identifier",), (("type",),)),
    "order_positions": Ids(("position_id", "position_identifier"), _BY_SKU),
    "fulfillment_orders": Ids(("fulfillment_order_id", "fulfillment_order_identifier"), (("warehouse_id",),)),
    "fulfillment_positions": Ids(
        ("fulfillment_order_position_id", "fulfillment_order_position_identifier"), _BY_SKU
    ),
    "shipments": Ids(("shipment_id", "shipment_identifier", "sscc"), (("tracking_number",),)),
    "tracking_links": Ids(("tracking_link",)),
    "tracking_numbers": Ids(("tracking_number",)),
    "shipment_positions": Ids(
        ("shipment_position_id",), (("position_identifier", "lot"), ("position_identifier",), *_BY_SKU)
    ),
    "serial_numbers": Ids(("serial_number",)),
    "grouped_positions": Ids(
        (), (("warehouse_sku", "lot"), ("seller_sku", "lot"), ("warehouse_sku",), ("seller_sku",))
    ),
    "grouped_serial_numbers": Ids(("serial_number",)),
    "pod_documents": Ids(("file_key",), (("file_name",),)),
    "handling_units": Ids(("sscc", "handling_unit_identifier"), (("tracking",),)),
    "handling_positions": Ids((), (("position_identifier",), ("sku",), ("warehouse_sku",))),
    "order_tags": Ids(("tag",)),
    "order_errors": Ids((), (("error_code",),)),
    "custom_attributes": Ids(("key",)),
}  # fmt: skip
"""Of a shipped or packed line `position_identifier` names the line of the order, which others may share."""


class Side:
    """The older or the newer answers of some pairs: their tables, rows numbered, and what hangs on what.

    NUMBER tells which pair a row is of.
    """

    def __init__(self, tables: Mapping[str, pl.DataFrame]) -> None:
        self._tables = {name: frame.with_row_index(ROW) for name, frame in tables.items()}
        self._placed: dict[str, dict[str, pl.DataFrame]] = {}
        self._contents: dict[str, pl.Series] = {}

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self._tables[name]

    def placed(self, name: str) -> dict[str, pl.DataFrame]:
        """The rows of a table by the table that they hang on, UNDER: the row there."""
        if name not in self._placed:
            above = [one for one in TABLES[name].references if one.column in _HOLDERS]
            loose = pl.all_horizontal(pl.lit(value=True), *(pl.col(one.column).is_null() for one in above))
            self._placed[name] = {
                "orders": self._below(self[name].filter(loose), "orders", ORDER_ID.name),
                **{one.to_table: self._below(self[name], one.to_table, one.column) for one in above},
            }
        return self._placed[name]

    def _below(self, rows: pl.DataFrame, parent: str, column: str) -> pl.DataFrame:
        keys = self[parent].select(NUMBER, pl.col(key_of(parent)).alias(column), pl.col(ROW).alias(UNDER))
        return rows.join(keys, on=[NUMBER, column], how="inner", maintain_order="left")

    def contents(self, name: str) -> pl.Series:
        """A number for each row, the same for rows of equal content, whatever the order of the lists in them.

        It says which rows to compare with each other, not that they are equal.
        """
        if name not in self._contents:
            table = TABLES[name]
            own = self[name].select(
                pl.col(column.name).map_batches(canonical, pl.String) if column.kind is Kind.JSON else column.name
                for column in table.values or table.columns  # attributes have none: their keys tell them apart
            )
            parts = [own.hash_rows(), *(self._inside(name, inner) for inner in table.lists.values() if inner != name)]
            found = pl.DataFrame([part.alias(str(place)) for place, part in enumerate(parts)])
            self._contents[name] = self._nested(found) if name == _UNITS else found.hash_rows()
        return self._contents[name]

    def _inside(self, name: str, inner: str) -> pl.Series:
        """For each row, one number for all rows of an inner table that hang on it."""
        rows = self.placed(inner)[name]
        return self._summed(name, rows.select(UNDER, pl.lit(self.contents(inner)).gather(ROW).alias(_CONTENT)))

    def _summed(self, name: str, inner: pl.DataFrame) -> pl.Series:
        sums = inner.group_by(UNDER).agg((pl.col(_CONTENT) // 2**16).sum())  # a sum knows no order
        rows = self[name].select(ROW).join(sums, left_on=ROW, right_on=UNDER, how="left", maintain_order="left")
        return rows[_CONTENT].fill_null(0)

    def _nested(self, found: pl.DataFrame) -> pl.Series:
        """The contents of handling units, from the innermost outwards."""
        inner = self.placed(_UNITS)[_UNITS]
        contents = found.with_columns(pl.lit(0, pl.UInt64).alias(_CONTENT)).hash_rows()
        for depth in range(self.depth, 0, -1):
            level = inner.filter(pl.col(_DEPTH) == depth)
            sums = self._summed(_UNITS, level.select(UNDER, pl.lit(contents).gather(ROW).alias(_CONTENT)))
            above = found.with_columns(sums).hash_rows()
            contents = contents.zip_with(self[_UNITS][_DEPTH] != depth - 1, above)
        return contents

    @property
    def depth(self) -> int:
        """How deep handling units are nested."""
        deepest = self[_UNITS][_DEPTH].max()
        return int(deepest) if isinstance(deepest, int) else 0


def identified(old: Side, new: Side) -> dict[str, pl.DataFrame]:
    """By table, which rows are the same: OLD and NEW, their numbers on either side."""
    links = {"orders": _on(old["orders"], new["orders"], [NUMBER])}
    for name, table in TABLES.items():
        if table.parent is not None:
            links[name] = pl.concat(_levels(table, old, new, links))
    return links


def _levels(table: Table, old: Side, new: Side, links: Mapping[str, pl.DataFrame]) -> list[pl.DataFrame]:
    """Which rows of a table are the same, by what they hang on; of nested ones level by level."""
    older, newer = old.placed(table.name), new.placed(table.name)
    found = []
    for parent in older:
        if parent != table.name:
            found.append(_Matching(table, old, new).of(older[parent], newer[parent], links[parent]))
            continue
        for depth in range(1, min(old.depth, new.depth) + 1):
            here = pl.col(_DEPTH) == depth
            level = older[parent].filter(here), newer[parent].filter(here)
            found.append(_Matching(table, old, new).of(*level, found[-1]))
    return found


class _Matching(NamedTuple):
    """Finds out which rows of one table are the same, below parents that are."""

    table: Table
    old: Side
    new: Side

    def of(self, old: pl.DataFrame, new: pl.DataFrame, above: pl.DataFrame) -> pl.DataFrame:
        ids = IDS[self.table.name]
        columns = [ROW, UNDER, ORDINAL.name, *dict.fromkeys(name for way in ids.ways for name in way)]
        old = old.join(above, left_on=UNDER, right_on=OLD, how="inner", maintain_order="left")
        old = old.drop(UNDER).rename({NEW: UNDER}).select(columns)
        new = new.select(columns)
        found = []
        for way in (*(_by(names) for names in ids.ways), self._by_content, self._by_place):
            shared = old.select(UNDER).join(new.select(UNDER), on=UNDER, how="semi")
            if shared.is_empty():
                break
            pairs = way(old, new)
            if not pairs.is_empty():
                found.append(pairs)
                old = old.join(pairs, left_on=ROW, right_on=OLD, how="anti", maintain_order="left")
                new = new.join(pairs, left_on=ROW, right_on=NEW, how="anti", maintain_order="left")
        return pl.concat([_NO_LINKS, *found])

    def _by_content(self, old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
        nth = pl.int_range(pl.len()).over(UNDER, _CONTENT).alias(_NTH)
        older, newer = (
            rows.with_columns(side.contents(self.table.name).gather(rows[ROW]).alias(_CONTENT)).with_columns(nth)
            for rows, side in ((old, self.old), (new, self.new))
        )
        return _on(older, newer, [UNDER, _CONTENT, _NTH])

    def _by_place(self, old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
        both = old.join(new, on=[UNDER, ORDINAL.name], how="inner", suffix=_OTHER)
        own = IDS[self.table.name].own
        same = pl.coalesce(pl.lit(None, pl.Boolean), *(pl.col(name) == pl.col(name + _OTHER) for name in own))
        return both.filter(same.fill_null(value=True)).select(pl.col(ROW).alias(OLD), pl.col(ROW + _OTHER).alias(NEW))


def _by(names: list[str]) -> Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]:
    """Matches rows by ids that are there, once on either side."""
    alone = pl.len().over(UNDER, *names) == 1

    def match(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
        return _on(old.drop_nulls(names).filter(alone), new.drop_nulls(names).filter(alone), [UNDER, *names])

    return match


def _on(old: pl.DataFrame, new: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    sides = old.select(*names, pl.col(ROW).alias(OLD)), new.select(*names, pl.col(ROW).alias(NEW))
    return sides[0].join(sides[1], on=names, how="inner").select(OLD, NEW)
