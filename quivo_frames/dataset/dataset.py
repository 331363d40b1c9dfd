"""`Dataset`: the tables of a built dataset, its manifest, and its exports."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from quivo_frames.dataset.exports import DatasetOutputs, RecordedExport
from quivo_frames.dataset.manifest import (
    MANIFEST,
    facts_of_tables,
    files_of_table,
    is_manifest_intact,
    list_files,
    read_checked_manifest,
    read_manifest,
)
from quivo_frames.display.html import html_table
from quivo_frames.display.text import format_count, terminal_lines, type_with_article
from quivo_frames.errors import ConfigError, DatasetError
from quivo_frames.export.formats import (
    ExportJob,
    ExportResult,
    export_tables,
    parse_export_format,
    refuse_export_target,
)
from quivo_frames.model.carriers import fill_carriers, usual_providers_if_needed
from quivo_frames.model.derived import DERIVED_TABLES, dataset_tables
from quivo_frames.model.frames import Frames, report_frame
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel, privacy_level
from quivo_frames.model.tables import ORDER_ID, REPORT_TABLES, TABLES, table_named
from quivo_frames.storage import urls
from quivo_frames.storage.directory import Directory
from quivo_frames.storage.path_names import check_path
from quivo_frames.storage.place import Place, open_place

TablesOrFolder = Mapping[str, pl.DataFrame] | str | os.PathLike[str]
"""What public functions accept as tables: a `Dataset`, `Frames`, a dict of frames, or the folder of a dataset."""


def privacy_filter_for(level: PrivacyLevel) -> PrivacyFilter:
    """The filter for a privacy level; the key of pseudonyms comes from the settings.

    Raises:
        ConfigError: pseudonyms need a key, and there is none.
    """
    if level is not PrivacyLevel.PSEUDONYM:
        return PrivacyFilter(level)
    from quivo_frames.settings.settings import read_pseudonym_key  # late: importing pydantic is slow

    return PrivacyFilter(level, read_pseudonym_key())


class Dataset(Mapping[str, pl.DataFrame]):
    """The 18 tables of a folder: `dataset.shipments` reads a table, `dataset.scan.shipments` is lazy.

    `failures` has a row per order that is in no table, `notes` a row per kind of observation. Derived tables are
    read by `dataset.scan.lines` or `dataset.lazy("lines")`.
    """

    def __init__(self, place: Place, manifest: Mapping[str, Any]) -> None:
        self.place = place
        self.manifest = manifest

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Dataset:
        """Open the dataset in a folder or an object store: reads the manifest, and checks that all files are there.

        Raises:
            ConfigError: there is no dataset.
            DatasetError: it is incomplete or damaged, or was built by another version.
        """
        place = open_place(folder)
        if isinstance(place, Directory) and place.path.is_file():
            raise ConfigError(f"{folder} is not a dataset of quivo_frames: it is a file.")
        with urls.explain_storage_errors(
            f"The tables in {folder} cannot be read", "open them again", error_class=DatasetError
        ):
            manifest = read_checked_manifest(place)
            sizes = {entry.name: entry.size for entry in place.list_entries()}
        for name, facts in facts_of_tables(manifest).items():
            for file in files_of_table(facts):
                if sizes.get(file.file) != file.bytes:
                    problem = f"{place.uri(file.file)} is missing or not the file of {name} that was built."
                    raise DatasetError(f"{problem} Build it again.")
        return cls(place, manifest)

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
        carrier's name: the files themselves do not, as that depends on all orders.

        Raises:
            ConfigError: there is no such table.
            DatasetError: the dataset was replaced since it was opened.
        """
        rows = self.lazy_as_stored(name)
        if name not in ("lines", "overview") or self._usual_providers.is_empty():
            return rows
        return fill_carriers(name, rows, self.lazy_as_stored("shipments"), self._usual_providers)

    @cached_property
    def _usual_providers(self) -> pl.DataFrame:
        """The usual provider of each provider_name; none, if each shipment names its provider."""
        return usual_providers_if_needed(self.lazy_as_stored("shipments"))

    def lazy_as_stored(self, name: str) -> pl.LazyFrame:
        """A table, a derived table, `failures` or `notes` as its files have it.

        Raises:
            ConfigError: there is no such table.
            DatasetError: the dataset was replaced since it was opened.
        """
        facts = self._facts_of_table(name)
        if read_manifest(self.place) != self.manifest:
            raise DatasetError(f"{self.address} was rebuilt since it was opened. Open it again.")
        return self._scan_files(facts)

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
        return self._scan_files(facts) if facts else None

    def files(self, name: str) -> list[str]:
        """The parquet files of a table, of a derived one, `failures` or `notes`, in the order of rows, for other tools.

        Raises:
            ConfigError: there is no such table.
        """
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

    def only(self, order_ids: Iterable[int] | int) -> Frames:
        """The rows of some orders (or of one) in memory, with their failures; without notes, which count all orders.

        Raises:
            ConfigError: an id is not a whole number.
            DatasetError: the dataset was replaced since it was opened.
        """
        try:
            ids = [order_ids] if isinstance(order_ids, int) else list(order_ids)
            wanted = pl.col(ORDER_ID.name).is_in(pl.Series(ids, dtype=pl.Int64).implode())
        except (TypeError, OverflowError) as error:
            raise ConfigError("Order ids are whole numbers: give one, or a list of them.") from error
        names = [*TABLES, "failures"]
        *tables, failures = pl.collect_all([self.lazy(name).filter(wanted) for name in names])
        return Frames(dict(zip(TABLES, tables, strict=True)), failures, report_frame("notes", ()))

    def export(
        self, to: str, out: str | os.PathLike[str], *, privacy: str | None = None, by_month: bool = False
    ) -> ExportResult:
        """Export the tables to `out` as parquet, delta, duckdb, excel, csv or ocel (`to`).

        `out` is a file or a folder, for parquet and delta also an address of an object store. An earlier export there
        is replaced; in Delta only the rows of these orders are, and other orders stay. `privacy` is full, pseudonym or
        none, at least as strict as the tables; None: as they are. `by_month` (parquet) writes a folder per month of the
        order date. The dataset remembers its exports, so that orders can be erased from them.

        Raises:
            ConfigError: the target holds something else, or a setting or a library is missing.
            ExportError: the target cannot be written; what it held is untouched.
        """
        form, level = parse_export_format(to), self.export_privacy(privacy)
        _, facts = self._privacy_filter(level)
        return self.write_export(RecordedExport(form, _absolute_address(out), level, by_month, facts.get("key", "")))

    def export_privacy(self, privacy: str | None) -> PrivacyLevel:
        """The privacy level of an export: the one asked for, or that of the tables.

        Raises:
            ConfigError: the level is less strict than that of the tables.
        """
        levels = list(PrivacyLevel)
        asked = self.level if privacy is None else privacy_level(privacy)
        if levels.index(asked) < levels.index(self.level):
            raise ConfigError(
                f"The tables of {self.address} were built with --privacy {self.level}: there is nothing in them for "
                f"--privacy {asked}. Build them so first."
            )
        return asked

    @property
    def level(self) -> PrivacyLevel:
        """The privacy level of the tables."""
        return PrivacyLevel(self.manifest.get("privacy", {}).get("level", PrivacyLevel.FULL))

    def write_export(self, export: RecordedExport, erased_order_ids: Sequence[int] = ()) -> ExportResult:
        """Write a recorded export, and remember it; no data of `erased_order_ids` remains there.

        Raises:
            ConfigError, ExportError: as for `export`; also if the key of its pseudonyms is another one now.
        """
        privacy_filter, facts = self._privacy_filter(self.export_privacy(export.privacy))
        if facts.get("key", "") != export.key:
            raise ConfigError("Its pseudonyms were made under another QUIVO_PSEUDONYM_KEY. Give that one.")
        known = dataset_tables(derived=bool(self.derived))
        definitions = {name: PrivacyFilter(export.privacy).filtered_table(table) for name, table in known.items()}
        tables = {
            name: self.lazy(name).select(privacy_filter.column_expressions(table)) for name, table in known.items()
        }
        job = ExportJob(
            tables, definitions, self.name, self.manifest["version"], erased_order_ids, " ".join(facts.values()),
            self._refuse_outdated_export, built_at=self.manifest["built_at"],
        )  # fmt: skip
        self.exports()  # fails before anything is written if the list of exports is damaged
        refuse_export_target(export.form, export.out)
        self.outputs.sweep_leftovers()
        self.outputs.begin_export(export)
        try:
            result = export_tables(job, export.form, export.out, by_month=export.by_month)
        except BaseException as error:
            if isinstance(error, ConfigError) or export.is_replaced_as_a_whole:
                self.outputs.cancel_export(export)  # else a part of it may have been written
            raise
        return result._replace(told=[*result.told, *self.outputs.end_export(export)])

    def _refuse_outdated_export(self) -> None:
        if read_manifest(self.place) != self.manifest:  # an order may have been erased meanwhile
            raise DatasetError(f"{self.address} was rebuilt while it was exported. Export again.")

    def _privacy_filter(self, level: PrivacyLevel) -> tuple[PrivacyFilter, Mapping[str, str]]:
        """The filter that brings the tables to a level, and the privacy entry of the export."""
        if level is self.level:
            return PrivacyFilter(), self.manifest.get("privacy", PrivacyFilter().manifest_entry())
        privacy_filter = privacy_filter_for(level)
        return privacy_filter, privacy_filter.manifest_entry()

    @property
    def name(self) -> str:
        """Identifies the state of the tables: the same tables have the same name."""
        tables = self.manifest["tables"]
        digests = [file.sha256 for name in TABLES for file in files_of_table(tables[name])]
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]

    @property
    def outputs(self) -> DatasetOutputs:
        """What was exported and saved from this dataset, as far as it remembers."""
        return DatasetOutputs(self.place)

    def exports(self) -> list[RecordedExport]:
        """The exports that were written from this dataset, or begun, oldest first.

        Raises:
            DatasetError: the list of them is damaged.
        """
        return self.outputs.read().targets()

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

    def counts(self) -> dict[str, int]:
        """The number of rows of each table, of each derived one, of failures and of notes."""
        return {name: facts["rows"] for name, facts in facts_of_tables(self.manifest).items()}

    def __repr__(self) -> str:
        rows = (f"  {name:<24}{count:>12,}" for name, count in self.counts().items())
        return terminal_lines([f"{self.address}: {self._summary_line()}", *rows])

    def _summary_line(self) -> str:
        orders = self.manifest["orders"]
        return f"{format_count(orders['in'], 'order')} in, {orders['out']:,} in the tables, {orders['failed']:,} failed"

    def _repr_html_(self) -> str:
        tables = dataset_tables(derived=True) | REPORT_TABLES
        rows = ((name, f"one row per {tables[name].grain}", count) for name, count in self.counts().items())
        return html_table(f"{Path(self.address).name}: {self._summary_line()}", rows, ("table", "grain", "rows"))


def as_tables(given: TablesOrFolder) -> Mapping[str, pl.DataFrame]:
    """The tables that a function of the public page was given; a folder is opened.

    Raises:
        ConfigError: these are no tables, or there is no dataset in the folder.
        DatasetError: the dataset is incomplete, or of another version.
    """
    if isinstance(given, str | os.PathLike):
        return Dataset.open(given)
    if isinstance(given, Dataset | Frames):
        return given
    kind = type(given).__name__
    if isinstance(given, Mapping):
        others = [name for name, frame in given.items() if not isinstance(frame, pl.DataFrame | pl.LazyFrame)]
        if not others:
            return given
        kind = f"a {kind} in which {others[0]!r} is a {type(given[others[0]]).__name__}"
    elif isinstance(given, pl.DataFrame | pl.LazyFrame):
        kind = f"a single {kind}"
    else:
        kind = type_with_article(given)
    raise ConfigError(
        "Give the tables: the folder of a dataset, what qf.open, qf.build or qf.flatten return, "
        f"or a dict of frames by table name. This is {kind}."
    )


class LazyTables:
    """The tables of a dataset as LazyFrames, by name."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> pl.LazyFrame:
        if name in TABLES or name in DERIVED_TABLES or name in REPORT_TABLES:
            return self._dataset.lazy(name)
        raise AttributeError(f"There is no table {name!r}. The tables are: {', '.join(TABLES)}.")

    def __dir__(self) -> list[str]:
        return [*TABLES, *self._dataset.derived, *REPORT_TABLES]


def _absolute_address(out: str | os.PathLike[str]) -> str:
    """The target of an export as an absolute path, which is valid from any working folder."""
    target = os.fspath(out)
    return target if "://" in target else str(check_path(target).absolute())
