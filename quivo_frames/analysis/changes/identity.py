"""Matches the rows of two answers: which row of the older answer is which row of the newer one.

Rows are matched only below the same parent: first by the ids of their table, the best id first, then by equal content
(including the lists inside them), then by position. An id counts only if it is not null and unique among the rows that
are not matched yet, in both answers. Rows at the same position with different ids do not match: one was removed, the
other added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.changes.answer_windows import NUMBER
from quivo_frames.analysis.changes.free_values import EMPTY_OBJECT, canonical_json
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import ORDER_ID, ORDINAL, TABLES, Table, primary_key_of

ROW, OLD, NEW, UNDER = "$row", "$old", "$new", "$under"
_CONTENT, _NTH, _OTHER = "$content", "$nth", "$other"
_UNITS, _DEPTH = "handling_units", "depth"
_NO_LINKS = pl.DataFrame(schema={OLD: pl.UInt32, NEW: pl.UInt32})
_PARENT_KEYS = {primary_key_of(table.parent) for table in TABLES.values() if table.parent not in (None, "orders")} | {
    f"parent_{primary_key_of(_UNITS)}",
    primary_key_of("order_positions"),
}
"""The foreign keys to a parent row, where the parent is not the order."""


class IdentityColumns(NamedTuple):
    """What identifies the rows of a table: ids of the row itself, and substitutes for them, the best first."""

    own: tuple[str, ...] = ()
    else_by: tuple[tuple[str, ...], ...] = ()

    @property
    def candidate_keys(self) -> list[list[str]]:
        """The columns of each candidate key, the best first."""
        return [*([name] for name in self.own), *map(list, self.else_by)]


_BY_SKU = (("sku", "lot"), ("sku",))
IDENTITY_COLUMNS: dict[str, IdentityColumns] = {
    "address_identifiers": IdentityColumns(("identifier",), (("type",),)),
    "order_positions": IdentityColumns(("position_id", "position_identifier"), _BY_SKU),
    "fulfillment_orders": IdentityColumns(
        ("fulfillment_order_id", "fulfillment_order_identifier"), (("warehouse_id",),)
    ),
    "fulfillment_positions": IdentityColumns(
        ("fulfillment_order_position_id", "fulfillment_order_position_identifier"), _BY_SKU
    ),
    "shipments": IdentityColumns(("shipment_id", "shipment_identifier", "sscc"), (("tracking_number",),)),
    "tracking_links": IdentityColumns(("tracking_link",)),
    "tracking_numbers": IdentityColumns(("tracking_number",)),
    "shipment_positions": IdentityColumns(
        ("shipment_position_id",), (("position_identifier", "lot"), ("position_identifier",), *_BY_SKU)
    ),
    "serial_numbers": IdentityColumns(("serial_number",)),
    "grouped_positions": IdentityColumns(
        (), (("warehouse_sku", "lot"), ("seller_sku", "lot"), ("warehouse_sku",), ("seller_sku",))
    ),
    "grouped_serial_numbers": IdentityColumns(("serial_number",)),
    "pod_documents": IdentityColumns(("file_key",), (("file_name",),)),
    "handling_units": IdentityColumns(("sscc", "handling_unit_identifier"), (("tracking",),)),
    "handling_positions": IdentityColumns((), (("position_identifier",), ("sku",), ("warehouse_sku",))),
    "order_tags": IdentityColumns(("tag",)),
    "order_errors": IdentityColumns((), (("error_code",),)),
    "custom_attributes": IdentityColumns(("key",)),
}  # fmt: skip
"""The `position_identifier` of shipped and packed lines names the ordered line, which several may share."""


class AnswerTables:
    """The older or the newer answers of pairs: their tables with numbered rows, and the parents of rows.

    NUMBER is the pair that a row belongs to.
    """

    def __init__(self, tables: Mapping[str, pl.DataFrame]) -> None:
        self._tables = {name: frame.with_row_index(ROW) for name, frame in tables.items()}
        self._rows_by_parent: dict[str, dict[str, pl.DataFrame]] = {}
        self._contents: dict[str, pl.Series] = {}

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self._tables[name]

    def rows_with_parent(self, name: str) -> dict[str, pl.DataFrame]:
        """The rows of a table by parent table; UNDER is the row number of the parent."""
        if name not in self._rows_by_parent:
            above = [one for one in TABLES[name].references if one.column in _PARENT_KEYS]
            without_parent = pl.all_horizontal(pl.lit(value=True), *(pl.col(one.column).is_null() for one in above))
            self._rows_by_parent[name] = {
                "orders": self._parent_row(self[name].filter(without_parent), "orders", ORDER_ID.name),
                **{one.to_table: self._parent_row(self[name], one.to_table, one.column) for one in above},
            }
        return self._rows_by_parent[name]

    def _parent_row(self, rows: pl.DataFrame, parent: str, column: str) -> pl.DataFrame:
        keys = self[parent].select(NUMBER, pl.col(primary_key_of(parent)).alias(column), pl.col(ROW).alias(UNDER))
        return rows.join(keys, on=[NUMBER, column], how="inner", maintain_order="left")

    def content_hashes(self, name: str) -> pl.Series:
        """A hash of the content of each row, independent of the order of the lists in it.

        Equal hashes make rows candidates for a match; they do not prove that the rows are equal.
        """
        if name not in self._contents:
            table = TABLES[name]
            own = self[name].select(
                pl.col(column.name).map_batches(_free_content, pl.String) if column.kind is Kind.JSON else column.name
                for column in table.value_columns or table.columns  # attributes have none: their keys identify them
            )
            parts = [
                own.hash_rows(),
                *(self._child_content(name, inner) for inner in table.child_tables.values() if inner != name),
            ]
            found = pl.DataFrame([part.alias(str(place)) for place, part in enumerate(parts)])
            self._contents[name] = self._nested_content(found) if name == _UNITS else found.hash_rows()
        return self._contents[name]

    def _child_content(self, name: str, inner: str) -> pl.Series:
        """For each row, one hash of all its rows in a child table."""
        rows = self.rows_with_parent(inner)[name]
        return self._content_of_rows(
            name, rows.select(UNDER, pl.lit(self.content_hashes(inner)).gather(ROW).alias(_CONTENT))
        )

    def _content_of_rows(self, name: str, inner: pl.DataFrame) -> pl.Series:
        sums = inner.group_by(UNDER).agg((pl.col(_CONTENT) // 2**16).sum())  # a sum does not depend on the order
        rows = self[name].select(ROW).join(sums, left_on=ROW, right_on=UNDER, how="left", maintain_order="left")
        return rows[_CONTENT].fill_null(0)

    def _nested_content(self, found: pl.DataFrame) -> pl.Series:
        """The hashes of handling units, from the innermost outwards."""
        inner = self.rows_with_parent(_UNITS)[_UNITS]
        contents = found.with_columns(pl.lit(0, pl.UInt64).alias(_CONTENT)).hash_rows()
        for depth in range(self.nesting_depth, 0, -1):
            level = inner.filter(pl.col(_DEPTH) == depth)
            sums = self._content_of_rows(_UNITS, level.select(UNDER, pl.lit(contents).gather(ROW).alias(_CONTENT)))
            above = found.with_columns(sums).hash_rows()
            contents = contents.zip_with(self[_UNITS][_DEPTH] != depth - 1, above)
        return contents

    @property
    def nesting_depth(self) -> int:
        """How deep handling units are nested, from 0."""
        deepest = self[_UNITS][_DEPTH].max()
        return int(deepest) if isinstance(deepest, int) else 0


def _free_content(texts: pl.Series) -> pl.Series:
    """Free-form values for comparison: an object without fields says as little as none."""
    content = canonical_json(texts)
    return content.set(content.eq_missing(EMPTY_OBJECT), None)


def match_rows(old: AnswerTables, new: AnswerTables) -> dict[str, pl.DataFrame]:
    """The pairs of matching rows of each table: OLD and NEW, their row numbers in the older and newer answers."""
    links = {"orders": _join_on(old["orders"], new["orders"], [NUMBER])}
    for name, table in TABLES.items():
        if table.parent is not None:
            links[name] = pl.concat(_match_table(table, old, new, links))
    return links


def _match_table(
    table: Table, old: AnswerTables, new: AnswerTables, links: Mapping[str, pl.DataFrame]
) -> list[pl.DataFrame]:
    """The pairs of matching rows of one table, by parent table; nested units level by level."""
    older, newer = old.rows_with_parent(table.name), new.rows_with_parent(table.name)
    found = []
    for parent in older:
        if parent != table.name:
            found.append(_TableMatcher(table, old, new).match_below(older[parent], newer[parent], links[parent]))
            continue
        for depth in range(1, min(old.nesting_depth, new.nesting_depth) + 1):
            here = pl.col(_DEPTH) == depth
            level = older[parent].filter(here), newer[parent].filter(here)
            found.append(_TableMatcher(table, old, new).match_below(*level, found[-1]))
    return found


class _TableMatcher(NamedTuple):
    """Matches the rows of one table below parents that match."""

    table: Table
    old: AnswerTables
    new: AnswerTables

    def match_below(self, old: pl.DataFrame, new: pl.DataFrame, above: pl.DataFrame) -> pl.DataFrame:
        ids = IDENTITY_COLUMNS[self.table.name]
        columns = [ROW, UNDER, ORDINAL.name, *dict.fromkeys(name for way in ids.candidate_keys for name in way)]
        old = old.join(above, left_on=UNDER, right_on=OLD, how="inner", maintain_order="left")
        old = old.drop(UNDER).rename({NEW: UNDER}).select(columns)
        new = new.select(columns)
        found = []
        for find_pairs in (
            *(_matcher_by_ids(names) for names in ids.candidate_keys),
            self._match_by_content,
            self._match_by_position,
        ):
            shared = old.select(UNDER).join(new.select(UNDER), on=UNDER, how="semi")
            if shared.is_empty():
                break
            pairs = find_pairs(old, new)
            if not pairs.is_empty():
                found.append(pairs)
                old = old.join(pairs, left_on=ROW, right_on=OLD, how="anti", maintain_order="left")
                new = new.join(pairs, left_on=ROW, right_on=NEW, how="anti", maintain_order="left")
        return pl.concat([_NO_LINKS, *found])

    def _match_by_content(self, old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
        nth = pl.int_range(pl.len()).over(UNDER, _CONTENT).alias(_NTH)
        older, newer = (
            rows.with_columns(side.content_hashes(self.table.name).gather(rows[ROW]).alias(_CONTENT)).with_columns(nth)
            for rows, side in ((old, self.old), (new, self.new))
        )
        return _join_on(older, newer, [UNDER, _CONTENT, _NTH])

    def _match_by_position(self, old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
        both = old.join(new, on=[UNDER, ORDINAL.name], how="inner", suffix=_OTHER)
        own = IDENTITY_COLUMNS[self.table.name].own
        same = pl.coalesce(pl.lit(None, pl.Boolean), *(pl.col(name) == pl.col(name + _OTHER) for name in own))
        return both.filter(same.fill_null(value=True)).select(pl.col(ROW).alias(OLD), pl.col(ROW + _OTHER).alias(NEW))


def _matcher_by_ids(names: list[str]) -> Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]:
    """A function that matches rows by ids that are not null and unique in both answers."""
    is_unique = pl.len().over(UNDER, *names) == 1

    def match_by_ids(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
        return _join_on(
            old.drop_nulls(names).filter(is_unique), new.drop_nulls(names).filter(is_unique), [UNDER, *names]
        )

    return match_by_ids


def _join_on(old: pl.DataFrame, new: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    sides = old.select(*names, pl.col(ROW).alias(OLD)), new.select(*names, pl.col(ROW).alias(NEW))
    return sides[0].join(sides[1], on=names, how="inner").select(OLD, NEW)
