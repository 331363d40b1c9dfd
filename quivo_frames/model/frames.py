"""Noun: the tables of some orders in memory, with what went wrong beside them. Floor 2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import polars as pl

from quivo_frames.display.html import html_table
from quivo_frames.model.records import Failure, Note
from quivo_frames.model.tables import REPORT_TABLES, TABLES, table_named


@runtime_checkable
class LazyTables(Protocol):
    """Tables that can be read lazily, such as those of a dataset in files."""

    def lazy(self, name: str) -> pl.LazyFrame:
        """A table as a LazyFrame."""


def lazy_table(tables: Mapping[str, pl.DataFrame], name: str) -> pl.LazyFrame:
    """A table as a LazyFrame; one of a dataset in files is not read for it."""
    return tables.lazy(name) if isinstance(tables, LazyTables) else tables[name].lazy()


class Frames(Mapping[str, pl.DataFrame]):
    """The 18 tables of some orders as polars frames: `frames.shipments` or `frames["shipments"]`.

    `failures` has a row for each order that is in no table, `notes` one for each kind of thing noticed.
    """

    def __init__(self, tables: Mapping[str, pl.DataFrame], failures: pl.DataFrame, order_notes: pl.DataFrame) -> None:
        self._tables = dict(tables)
        self.failures = failures
        self.order_notes = order_notes
        """The notes of each order by itself, a row an order, kind and path."""

    @classmethod
    def of(
        cls, tables: Mapping[str, pl.DataFrame], failures: Iterable[Failure] = (), notes: Iterable[Note] = ()
    ) -> Frames:
        """The tables, with tables that are not given empty; failures and notes from their rows."""
        full = {name: tables[name] if name in tables else TABLES[name].empty_frame() for name in TABLES}
        return cls(full, report_frame("failures", failures), report_frame("notes", notes))

    @classmethod
    def concat(cls, parts: Iterable[Frames]) -> Frames:
        """The rows of all parts, in their order; equal notes are added up."""
        found = list(parts) or [cls.of({})]
        if len(found) == 1:
            return found[0]
        tables = {name: pl.concat([part[name] for part in found]) for name in TABLES}
        failures, noticed = (
            pl.concat(frames) for frames in zip(*((p.failures, p.order_notes) for p in found), strict=True)
        )
        return cls(tables, failures, noticed)

    @property
    def notes(self) -> pl.DataFrame:
        """What was noticed, with one row for each kind and path."""
        return sum_notes(self.order_notes)

    def without_orders(self, order_ids: Iterable[int]) -> dict[str, pl.DataFrame]:
        """The tables without some orders."""
        gone = pl.Series("gone", list(order_ids), dtype=pl.Int64).implode()
        return {name: frame.filter(~pl.col("order_id").is_in(gone)) for name, frame in self._tables.items()}

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
            f"{self['orders'].height:,} orders in {len(self)} tables", self.counts().items(), ("table", "rows")
        )

    def counts(self) -> dict[str, int]:
        """Rows of each table, then of failures and notes."""
        counts = {name: frame.height for name, frame in self._tables.items()}
        return counts | {"failures": self.failures.height, "notes": self.notes.height}


def report_frame(name: str, rows: Iterable[tuple[object, ...]]) -> pl.DataFrame:
    """The frame of `failures` or `notes` from its rows."""
    return pl.DataFrame(list(rows), schema=REPORT_TABLES[name].schema, orient="row")


def sum_notes(notes: pl.DataFrame, *within: str) -> pl.DataFrame:
    """Notes with one row for each kind and path, in this order, their counts added, the first example kept.

    `within` are columns that tell apart what is not to be added.
    """
    names = ["kind", "path", *within]
    grouped = notes.group_by(names, maintain_order=True)
    added = grouped.agg(pl.col("count").sum(), pl.exclude("count").first())
    return added.sort("kind", "path", maintain_order=True).select(notes.columns)
