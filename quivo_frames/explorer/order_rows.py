"""What the tables of a dataset have of one order: read at once, of few row groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quivo_frames.analysis.derived_tables import derive_tables
from quivo_frames.analysis.order_page import without_personal_columns
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.explorer.snapshot import Snapshot
from quivo_frames.model.carriers import carrier_of, fill_carriers
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.model.tables import ORDER_ID, TABLES

Row = Mapping[str, Any]


@dataclass(frozen=True)
class OrderRows:
    """The rows of one order in the tables, and what a build derived from them and noticed."""

    order_id: int
    complete: dict[str, pl.DataFrame]
    """The 18 tables with all columns: for what works on them, not for what is shown."""
    tables: dict[str, pl.DataFrame]
    """The 18 tables with the columns that may be shown."""
    derived: dict[str, pl.DataFrame]
    answer: Row | None
    """Which answer the rows were built from, as the build recorded it; None if it did not."""
    noticed: pl.DataFrame
    """What the build noticed in this order: kind, path, count, message."""
    personal: bool
    """Whether personal values may be shown, and are there."""

    @property
    def order(self) -> Row:
        """The row of the order."""
        return self.tables["orders"].row(0, named=True)

    @cached_property
    def _places(self) -> dict[str, dict[str, int]]:
        """The place of each row of a table, by its key."""
        return {}

    def has_value(self, table: str, key: str, column: str) -> bool:
        """Whether a cell is shown, as its column may be and it has a value; without a column, whether a row is."""
        frame = self.tables[table]
        if table not in self._places:
            self._places[table] = {str(one): place for place, one in enumerate(frame[TABLES[table].key])}
        place = self._places[table].get(key)
        if place is None or (column and column not in frame.columns):
            return False
        return not column or frame[column][place] is not None

    def derived_row(self, name: str) -> Row:
        """The only row of `overview` or `milestones`."""
        return self.derived[name].row(0, named=True)


def read_order_rows(snapshot: Snapshot, order_id: int) -> OrderRows | None:
    """The rows of an order; None if it is in no table."""
    dataset = snapshot.dataset
    is_wanted = pl.col(ORDER_ID.name) == order_id
    stored = {name: dataset.lazy_as_stored(name) for name in (*TABLES, *dataset.derived)}
    lineage = {name: rows for name in ("answers", "noticed") if (rows := dataset.lineage(name)) is not None}
    wanted = [rows.filter(is_wanted) for rows in (*stored.values(), *lineage.values())]
    found = dict(zip((*stored, *lineage), pl.collect_all(wanted), strict=True))
    if found["orders"].is_empty():
        return None
    complete = {name: found[name] for name in TABLES}
    derived = {name: found[name] for name in dataset.derived} or derive_tables(complete)
    personal = snapshot.options.personal
    answers = found.get("answers")
    return OrderRows(
        order_id, complete, complete if personal else without_personal_columns(complete),
        _with_usual_carriers(dataset, derived, complete["shipments"]),
        answers.row(0, named=True) if answers is not None and answers.height else None,
        found.get("noticed", pl.DataFrame()), personal and dataset.level is PrivacyLevel.FULL,
    )  # fmt: skip


def _with_usual_carriers(
    dataset: Dataset, derived: dict[str, pl.DataFrame], shipments: pl.DataFrame
) -> dict[str, pl.DataFrame]:  # fmt: skip
    """The derived tables with the carrier that usually goes with a carrier's name, as `Dataset.lazy` has it."""
    if dataset.origin or shipments["provider"].null_count() == 0:
        return derived
    usual = dataset.usual_providers
    filled = {
        name: fill_carriers(name, derived[name].lazy(), shipments.lazy(), usual).select(*DERIVED_TABLES[name].schema)
        for name in ("lines", "overview")
    }
    return derived | dict(zip(filled, pl.collect_all(list(filled.values())), strict=True))


def carriers_of_shipments(dataset: Dataset, shipments: pl.DataFrame) -> list[str]:
    """The carrier of each shipment: the one that it names, else the usual one of its carrier's name."""
    is_stated = shipments["provider"].null_count() == 0
    usual = (
        pl.DataFrame(schema={"provider_name": pl.String, "provider": pl.String})
        if is_stated
        else dataset.usual_providers
    )
    return shipments.select(carrier_of(usual)).to_series().to_list()
