"""`StoredTables`: the tables of a built dataset, or of some of its orders, as its files have them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import polars as pl

from quivo_frames.dataset.manifest import (
    MANIFEST,
    facts_of_tables,
    files_of_table,
    is_manifest_intact,
    list_files,
    parse_manifest,
    read_manifest_bytes,
)
from quivo_frames.dataset.manifest_facts import ExportOrigin
from quivo_frames.display.html import html_table
from quivo_frames.display.text import format_count, terminal_lines
from quivo_frames.errors import ConfigError, DatasetError
from quivo_frames.model.carriers import fill_carriers, usual_providers, usual_providers_if_needed
from quivo_frames.model.derived import DERIVED_TABLES, dataset_tables
from quivo_frames.model.frames import Frames
from quivo_frames.model.order_selection import (
    OrderConditions,
    SelectableOrders,
    find_order_ids,
    refuse_unknown_names,
    shared_ids,
)
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.model.tables import ORDER_ID, REPORT_TABLES, TABLES, table_named
from quivo_frames.storage import urls
from quivo_frames.storage.place import Place

if TYPE_CHECKING:
    import quivo_frames


class StoredTables(SelectableOrders, Mapping[str, pl.DataFrame]):
    """The tables of a dataset, read when they are asked for; with `conditions`, a slice: the rows of some orders.

    `manifest` is about all orders of the dataset. With `allow_unknown`, conditions may name what no order has.
    """

    def __init__(
        self, place: Place, manifest: Mapping[str, Any], conditions: Sequence[OrderConditions] = (), *,
        allow_unknown: bool = False,
    ) -> None:  # fmt: skip
        self.place = place
        self.manifest = manifest
        self.conditions = tuple(conditions)
        """What the orders of a slice meet; none, if these are all orders of the dataset."""
        self._allow_unknown = allow_unknown
        self._manifest_bytes: bytes | None = None
        """The content of the manifest file when it was last read, which said what `manifest` says."""

    def _narrow_to(self, conditions: OrderConditions) -> Self:
        return self.with_conditions((*self.conditions, conditions))

    def with_conditions(self, conditions: Sequence[OrderConditions], *, allow_unknown: bool = False) -> Self:
        """The slice of the whole dataset that meets some conditions; all of it, if there are none."""
        return type(self)(self.place, self.manifest, conditions, allow_unknown=allow_unknown)

    @property
    def whole(self) -> Self:
        """The dataset that this is a slice of, or this one."""
        return self.with_conditions(()) if self.conditions else self

    @property
    def address(self) -> str:
        """The folder of the tables, or their address in an object store."""
        return self.place.address

    @property
    def folder(self) -> Path:
        """The folder of the tables.

        Raises:
            ConfigError: they are in an object store.
        """
        if urls.is_remote(self.address):
            raise ConfigError(f"The tables are at {self.address}, not in a folder of this machine.")
        return Path(self.address)

    def lazy(self, name: str) -> pl.LazyFrame:
        """A table, a derived table, `failures` or `notes` as a LazyFrame.

        In `lines` and `overview`, a shipment that does not name its carrier has the one that usually goes with its
        carrier's name, in all orders of the dataset: the files of a build themselves do not. What was exported has it
        in its files.

        Raises:
            ConfigError: there is no such table, or no order has a seller, a warehouse or a status of a slice.
            DatasetError: the dataset was replaced since it was opened.
        """
        rows = self.lazy_as_stored(name)
        if name not in ("lines", "overview") or self.origin or self._usual_providers.is_empty():
            return rows
        return fill_carriers(name, rows, self.lazy_as_stored("shipments"), self._usual_providers)

    @cached_property
    def usual_providers(self) -> pl.DataFrame:
        """The usual provider of each provider_name in all orders; of exported tables in all of those tables."""
        if self.origin is None:
            return usual_providers(self.whole.lazy_as_stored("shipments"))
        pairs = list(self.origin.carriers.items())
        return pl.DataFrame(pairs, schema={"provider_name": pl.String, "provider": pl.String}, orient="row")

    @cached_property
    def _usual_providers(self) -> pl.DataFrame:
        """As `usual_providers`, but none if each shipment names its provider."""
        return usual_providers_if_needed(self.whole.lazy_as_stored("shipments"))

    def lazy_as_stored(self, name: str) -> pl.LazyFrame:
        """A table, a derived table, `failures` or `notes` as its files have it.

        A slice has no notes, as they count all orders.

        Raises:
            ConfigError: there is no such table, or no order has a seller, a warehouse or a status of a slice.
            DatasetError: the dataset was replaced since it was opened.
        """
        facts = self._facts_of_table(name)
        self._refuse_other_manifest()
        rows = self._scan_files(facts)
        return self._rows_of_slice(rows, name) if self.conditions else rows

    def _refuse_other_manifest(self) -> None:
        """Look whether the manifest is still the same; one with many ids is not parsed again for each table."""
        data = read_manifest_bytes(self.place)
        if data != self._manifest_bytes or data is None:
            if parse_manifest(data) != self.manifest:
                raise DatasetError(f"{self.address} was rebuilt since it was opened. Open it again.")
            self._manifest_bytes = data

    def _rows_of_slice(self, rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
        if name == "notes":
            return rows.head(0)
        ids = self._failed_ids if name == "failures" else self._order_ids
        # A list of ids skips row groups of a file, which a semi-join does not.
        return rows.filter(pl.col(ORDER_ID.name).is_in(ids.implode()))

    @cached_property
    def _order_ids(self) -> pl.Series:
        """The ids of the orders of a slice, which are looked up once, when a table is first read."""
        if not self._allow_unknown:
            refuse_unknown_names(self.conditions, self.whole.lazy_as_stored)
        return find_order_ids(self.conditions, self.whole.lazy_as_stored)

    @property
    def _failed_ids(self) -> pl.Series:
        """The ids of a slice for failures; none if more is asked for than ids, which failures do not have."""
        ids = shared_ids(self.conditions)
        return pl.Series(dtype=pl.Int64) if ids is None else ids

    def _facts_of_table(self, name: str) -> Mapping[str, Any]:
        if name in DERIVED_TABLES and name not in self.derived:
            raise ConfigError(
                f"{self.address} was built without derived tables, so there is no {name} in it. Build it again without "
                "--no-derived (in Python without derived=False), or call qf.lines(tables)."
            )
        if name not in (*DERIVED_TABLES, *REPORT_TABLES):
            table_named(name)
        found: Mapping[str, Any] = facts_of_tables(self.manifest)[name]
        return found

    @property
    def derived(self) -> list[str]:
        """The names of the derived tables; none if the dataset was built without them."""
        return list(self.manifest.get("derived", {}))

    def lineage(self, name: str) -> pl.LazyFrame | None:
        """Which answer each order was built from (`answers`), or its notes (`noticed`); None if not recorded."""
        facts = self.manifest.get("lineage", {}).get(name)
        if not facts:
            return None
        rows = self._scan_files(facts)
        return self._rows_of_slice(rows, name) if self.conditions else rows

    def files(self, name: str) -> list[str]:
        """The parquet files of a table, of a derived one, `failures` or `notes`, in the order of rows, for other tools.

        Raises:
            ConfigError: there is no such table, or this is a slice, which has no files before it is written.
        """
        if self.conditions:
            raise ConfigError("A slice has no files of its own. Write it to a folder first: tables.write(folder).")
        return self._file_uris(self._facts_of_table(name))

    def _file_uris(self, facts: Mapping[str, Any]) -> list[str]:
        return [self.place.uri(file.file) for file in files_of_table(facts)]

    def _scan_files(self, facts: Mapping[str, Any]) -> pl.LazyFrame:
        return pl.scan_parquet(self._file_uris(facts), glob=False)

    def damaged_files(self) -> Iterator[str]:
        """The files whose sha256 is not the one in the manifest, and the manifest if its facts were changed."""
        if not is_manifest_intact(self.place.read(MANIFEST)):
            yield self.place.uri(MANIFEST)
        for file in list_files(self.manifest):
            if self.place.file_digest(file.file) != file.sha256:
                yield self.place.uri(file.file)

    @property
    def scan(self) -> LazyTables:
        """The tables as LazyFrames: `dataset.scan.shipments`."""
        return LazyTables(self)

    @property
    def level(self) -> PrivacyLevel:
        """The privacy level of the tables."""
        return PrivacyLevel(self.manifest.get("privacy", {}).get("level", PrivacyLevel.FULL))

    @property
    def name(self) -> str:
        """Identifies the state of the tables: the same tables have the same name."""
        tables = self.manifest["tables"]
        digests = [file.sha256 for name in TABLES for file in files_of_table(tables[name])]
        conditions = msgspec.json.encode(self.conditions) if self.conditions else b""
        return hashlib.sha256("".join(digests).encode() + conditions).hexdigest()[:16]

    @cached_property
    def origin(self) -> ExportOrigin | None:
        """What these tables were exported from, as parquet; None for those of a build."""
        return ExportOrigin.from_manifest(self.manifest)

    def collect(self) -> Frames:
        """All tables in memory, with failures and notes.

        Raises:
            ConfigError, DatasetError: as for `lazy`.
        """
        *tables, failures, notes = pl.collect_all([self.lazy(name) for name in (*TABLES, *REPORT_TABLES)])
        return Frames(dict(zip(TABLES, tables, strict=True)), failures, notes)

    def read_in_ranges(self, orders_at_a_time: int) -> Iterator[Mapping[str, pl.DataFrame]]:
        """The rows of so many orders in all tables, then of the next ones, in the order of the rows of `orders`.

        Of the files only the row groups are read that have ids between the least and the greatest of them.

        Raises:
            ConfigError, DatasetError: as for `lazy`.
        """
        column = pl.col(ORDER_ID.name)
        all_ids = self.lazy("orders").select(column).collect()
        for ids in all_ids.iter_slices(orders_at_a_time):
            least, greatest = ids.select(column.min().alias("least"), column.max().alias("greatest")).row(0)
            between = column.is_between(least, greatest)
            frames = {name: self.lazy(name).filter(between).collect() for name in TABLES}
            if frames["orders"].height > ids.height:  # of several sources, whose ids overlap
                wanted = column.is_in(ids.to_series().implode())
                frames = {name: frame.filter(wanted) for name, frame in frames.items()}
            yield frames
            del frames  # before the next ones are read

    @property
    def failures(self) -> pl.DataFrame:
        """The orders that are in no table, and why."""
        return self.lazy("failures").collect()

    @property
    def notes(self) -> pl.DataFrame:
        """Readings that needed a decision, and unknown fields."""
        return self.lazy("notes").collect()

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.lazy(name).collect()

    def __contains__(self, name: object) -> bool:
        return name in TABLES

    def __getattr__(self, name: str) -> pl.DataFrame:
        if name in TABLES:
            return self[name]
        raise AttributeError(f"There is no table {name!r}. The tables are: {', '.join(TABLES)}.")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *TABLES]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLES)

    def __len__(self) -> int:
        return len(TABLES)

    def order(self, wanted: int | str) -> quivo_frames.SingleOrder:
        """One order, by its number, identifier, reference, purchase order, a tracking number or an SSCC.

        In a notebook it shows itself: its days, findings, events, lines and handling units.

        Raises:
            ConfigError: no order is called so, or several are.
        """
        import quivo_frames  # the public page, whose functions are about whole datasets

        return quivo_frames.order(self, wanted)

    def counts(self) -> dict[str, int]:
        """The number of rows of each table, of each derived one, of failures and of notes."""
        return dict(self._counts)

    @cached_property
    def _counts(self) -> dict[str, int]:
        if not self.conditions:
            return {name: facts["rows"] for name, facts in facts_of_tables(self.manifest).items()}
        names = list(facts_of_tables(self.manifest))
        counts = pl.collect_all([self.lazy_as_stored(name).select(pl.len()) for name in names])
        return {name: count.item() for name, count in zip(names, counts, strict=True)}

    def __repr__(self) -> str:
        rows = (f"  {name:<24}{count:>12,}" for name, count in self.counts().items())
        return terminal_lines([f"{self.address}: {self.summary_line()}", *rows])

    def describe_slice(self) -> str:
        """The conditions of a slice in words, also of one that was written to this folder; empty for all orders."""
        written = self.origin.where if self.origin else ()
        return "; ".join(map(str, (*written, *self.conditions)))

    def summary_line(self) -> str:
        """How many orders there are, in words; of a slice also of how many, and which."""
        orders = self.manifest["orders"]
        if self.conditions:
            count = format_count(self.scan.orders.select(pl.len()).collect().item(), "order")
            return f"{count} of {orders['out']:,}: {self.describe_slice()}"
        return f"{format_count(orders['in'], 'order')} in, {orders['out']:,} in the tables, {orders['failed']:,} failed"

    def _repr_html_(self) -> str:
        tables = dataset_tables(derived=True) | REPORT_TABLES
        rows = ((name, f"one row per {tables[name].grain}", count) for name, count in self.counts().items())
        return html_table(f"{Path(self.address).name}: {self.summary_line()}", rows, ("table", "grain", "rows"))


class LazyTables:
    """The tables of a dataset as LazyFrames, by name."""

    def __init__(self, tables: StoredTables) -> None:
        self._tables = tables

    def __getattr__(self, name: str) -> pl.LazyFrame:
        if name in TABLES or name in DERIVED_TABLES or name in REPORT_TABLES:
            return self._tables.lazy(name)
        raise AttributeError(f"There is no table {name!r}. The tables are: {', '.join(TABLES)}.")

    def __dir__(self) -> list[str]:
        return [*TABLES, *self._tables.derived, *REPORT_TABLES]
