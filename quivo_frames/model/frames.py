"""The tables of some orders in memory, with their failures and notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import polars as pl

from quivo_frames.display.html import html_table
from quivo_frames.display.text import format_count
from quivo_frames.errors import ConfigError
from quivo_frames.model.order_selection import (
    OrderConditions,
    SelectableOrders,
    find_order_ids,
    refuse_unknown_names,
    shared_ids,
)
from quivo_frames.model.records import Failure, Note
from quivo_frames.model.tables import REPORT_TABLES, TABLES, table_named


@runtime_checkable
class SupportsLazy(Protocol):
    """A collection of tables that can be scanned lazily, such as a dataset in files."""

    def lazy(self, name: str) -> pl.LazyFrame:
        """A table as a LazyFrame."""


@runtime_checkable
class SupportsRanges(SupportsLazy, Protocol):
    """Tables that can be read some orders at a time, so that memory does not grow with their number."""

    def read_in_ranges(self, orders_at_a_time: int) -> Iterator[Mapping[str, pl.DataFrame]]:
        """All rows of so many orders, then of the next ones, in the order of the rows of `orders`."""


def lazy_table(tables: Mapping[str, pl.DataFrame], name: str) -> pl.LazyFrame:
    """A table as a LazyFrame; the file of a dataset is not read yet.

    Raises:
        ConfigError: the table is not among the frames.
    """
    if isinstance(tables, SupportsLazy):
        return tables.lazy(name)
    if name not in tables:
        raise ConfigError(f"There is no {name} among the frames that were given: {', '.join(tables)}.")
    return tables[name].lazy()


class Frames(SelectableOrders, Mapping[str, pl.DataFrame]):
    """The 18 tables of some orders as polars frames: `frames.shipments` or `frames["shipments"]`.

    `failures` has a row for each order that is in no table, `notes` one for each kind and JSON path of a note.
    """

    def __init__(self, tables: Mapping[str, pl.DataFrame], failures: pl.DataFrame, order_notes: pl.DataFrame) -> None:
        self._tables = dict(tables)
        self.failures = failures
        self.order_notes = order_notes
        """The notes of single orders: one row for each order, kind and path."""

    @classmethod
    def of(
        cls, tables: Mapping[str, pl.DataFrame], failures: Iterable[Failure] = (), notes: Iterable[Note] = ()
    ) -> Frames:
        """Frames from some tables, the others empty, with failures and notes from their rows."""
        all_tables = {name: tables[name] if name in tables else TABLES[name].empty_frame() for name in TABLES}
        return cls(all_tables, report_frame("failures", failures), report_frame("notes", notes))

    @classmethod
    def concat(cls, parts: Iterable[Frames]) -> Frames:
        """The rows of all parts, in the order of the parts."""
        every = list(parts) or [cls.of({})]
        if len(every) == 1:
            return every[0]
        tables = {name: pl.concat([part[name] for part in every]) for name in TABLES}
        failures = pl.concat([part.failures for part in every])
        return cls(tables, failures, pl.concat([part.order_notes for part in every]))

    @property
    def notes(self) -> pl.DataFrame:
        """The notes of all orders: one row for each kind and path, with the count and one example."""
        return sum_notes(self.order_notes)

    def _narrow_to(self, conditions: OrderConditions) -> Frames:
        """The rows of some orders, with their notes."""
        refuse_unknown_names([conditions], self._scan_table)
        ids, named = find_order_ids([conditions], self._scan_table), shared_ids([conditions])
        wanted = pl.col("order_id").is_in(ids.implode())
        failures = self.failures.clear() if named is None else self.failures.filter(wanted)
        tables = {name: frame.filter(wanted) for name, frame in self._tables.items()}
        return Frames(tables, failures, self.order_notes.filter(wanted))

    def _scan_table(self, name: str) -> pl.LazyFrame:
        return self._tables[name].lazy()

    def without_orders(self, order_ids: Iterable[int]) -> dict[str, pl.DataFrame]:
        """The tables without the rows of some orders."""
        excluded = pl.Series(list(order_ids), dtype=pl.Int64).implode()
        return {name: frame.filter(~pl.col("order_id").is_in(excluded)) for name, frame in self._tables.items()}

    def __getitem__(self, name: str) -> pl.DataFrame:
        table_named(name)
        return self._tables[name]

    def __contains__(self, name: object) -> bool:
        return name in TABLES

    def __getattr__(self, name: str) -> pl.DataFrame:
        if name in TABLES:
            return self._tables[name]
        raise AttributeError(f"There is no table {name!r}. The tables are: {', '.join(TABLES)}.")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *TABLES]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __repr__(self) -> str:
        return "\n".join(f"{name:<24}{count:>12,}" for name, count in self.counts().items())

    def _repr_html_(self) -> str:
        return html_table(
            f"{format_count(self['orders'].height, 'order')} in {len(self)} tables",
            self.counts().items(),
            ("table", "rows"),
        )

    def counts(self) -> dict[str, int]:
        """The number of rows of each table, then of failures and notes."""
        counts = {name: frame.height for name, frame in self._tables.items()}
        return counts | {"failures": self.failures.height, "notes": self.notes.height}


def report_frame(name: str, rows: Iterable[tuple[object, ...]]) -> pl.DataFrame:
    """The frame of a report, `failures` or `notes`, from its rows."""
    return pl.DataFrame(list(rows), schema=REPORT_TABLES[name].schema, orient="row")


def sum_notes(notes: pl.DataFrame, *within: str) -> pl.DataFrame:
    """The notes grouped by kind, path and the columns `within`: counts are summed, the first example is kept.

    The rows are sorted by kind and path.
    """
    grouped = notes.group_by("kind", "path", *within, maintain_order=True)
    summed = grouped.agg(pl.col("count").sum(), pl.exclude("count").first())
    return summed.sort("kind", "path", maintain_order=True).select(notes.columns)
