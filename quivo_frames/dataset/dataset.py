"""`Dataset`: the tables of a built dataset, its manifest, and its exports."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from quivo_frames.dataset.export_manifest import write_export_manifest
from quivo_frames.dataset.exports import DatasetOutputs, RecordedExport
from quivo_frames.dataset.manifest import facts_of_tables, files_of_table, read_checked_manifest, read_manifest
from quivo_frames.dataset.manifest_facts import EXPORTED
from quivo_frames.dataset.stored_tables import StoredTables
from quivo_frames.display.text import type_with_article
from quivo_frames.errors import ConfigError, DatasetError
from quivo_frames.export.formats import (
    ExportFormat,
    ExportJob,
    ExportResult,
    SheetSource,
    WorkbookSheet,
    export_tables,
    parse_export_format,
    read_sheets,
    refuse_export_target,
)
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel, privacy_level
from quivo_frames.model.tables import ORDER_ID
from quivo_frames.storage import urls
from quivo_frames.storage.directory import Directory
from quivo_frames.storage.path_names import check_path
from quivo_frames.storage.place import open_place

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


class Dataset(StoredTables):
    """The 18 tables of a folder: `dataset.shipments` reads a table, `dataset.scan.shipments` is lazy.

    `failures` has a row per order that is in no table, `notes` a row per kind of observation. Derived tables are
    read by `dataset.scan.lines` or `dataset.lazy("lines")`.

    A slice, `dataset.where(seller=1882)` or `dataset.only(ids)`, is a dataset again: it reads, exports and writes the
    rows of these orders, and every function that takes a dataset takes it.
    """

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
                    raise DatasetError(f"{problem} {'Export' if EXPORTED in manifest else 'Build'} it again.")
        return cls(place, manifest)

    def write(self, folder: str | os.PathLike[str], *, privacy: str | None = None) -> Dataset:
        """Write these tables, or those of a slice, to a folder of parquet files that `qf.open` opens; returns them.

            tables.where(seller=1882).write("for-alpine", privacy="none")

        It is the export to parquet, which says of itself what it was exported from, with the conditions of a slice. An
        earlier one in the folder is replaced. Only its owner can read it.

        Raises:
            ConfigError, ExportError: as for `export`.
        """
        if urls.is_remote(os.fspath(folder)):
            raise ConfigError(f"{folder} is no folder. Export to it: tables.export('parquet', ...).")
        self.export(ExportFormat.PARQUET, folder, privacy=privacy)
        return Dataset.open(folder)

    def export(
        self, to: str, out: str | os.PathLike[str], *, privacy: str | None = None, by_month: bool = False,
        sheets: Sequence[SheetSource] = (),
    ) -> ExportResult:  # fmt: skip
        """Export the tables to `out` as parquet, delta, duckdb, excel, csv, ocel, ducklake or powerbi (`to`).

        `out` is a file or a folder, for parquet and delta also an address of an object store, for ducklake of Postgres.
        An earlier export there is replaced; in Delta and DuckLake only the rows of these orders are, and other orders
        stay. `privacy` is full, pseudonym or
        none, at least as strict as the tables; None: as they are. `by_month` (parquet) writes a folder per month of the
        order date. The dataset remembers its exports, also those of its slices, so that orders can be erased from them.

        A folder of parquet files on this machine that is not by month is a dataset again, with its manifest: `qf.open`
        opens it.

        `sheets` (excel) are further sheets, `sheets=[qf.audit(tables), qf.kpis(tables)]`. When orders are erased from
        the file, it is written without them.

        Raises:
            ConfigError: the target holds something else, or a setting or a library is missing.
            ExportError: the target cannot be written; what it held is untouched.
        """
        form, level = parse_export_format(to), self.export_privacy(privacy)
        _, facts = self._privacy_filter(level)
        key = facts.get("key", "")
        export = RecordedExport(form, _absolute_address(out), level, by_month, key, self.conditions)
        return self.write_export(export, sheets=read_sheets(sheets, form, level))

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

    def write_export(
        self, export: RecordedExport, erased_order_ids: Sequence[int] = (), *, sheets: Sequence[WorkbookSheet] = ()
    ) -> ExportResult:
        """Write a recorded export, and remember it; no data of `erased_order_ids` remains there.

        Raises:
            ConfigError, ExportError: as for `export`; also if the key of its pseudonyms is another one now.
        """
        facts = self._privacy_filter(self.export_privacy(export.privacy))[1]
        if facts.get("key", "") != export.key:
            raise ConfigError("Its pseudonyms were made under another QUIVO_PSEUDONYM_KEY. Give that one.")
        of = self
        if export.where != self.conditions:  # it was exported before
            of = self.with_conditions(export.where, allow_unknown=True)
        job = of.export_job(export.privacy, erased_order_ids)._replace(sheets=sheets)
        self.exports()  # fails before anything is written if the list of exports is damaged
        refuse_export_target(export.form, export.out)
        if export.path and export.path.resolve() == Path(self.address).resolve():
            raise ConfigError(f"{export.out} holds the tables that are exported. Give another folder.")
        self.outputs.sweep_leftovers()
        self.outputs.begin_export(export)
        try:
            result = export_tables(job, export.form, export.out, by_month=export.by_month)
        except BaseException as error:
            if isinstance(error, ConfigError) or export.is_replaced_as_a_whole:
                self.outputs.cancel_export(export)  # else a part of it may have been written
            raise
        return result._replace(notices=[*result.notices, *self.outputs.end_export(export)])

    def export_job(self, level: PrivacyLevel, erased_order_ids: Sequence[int] = ()) -> ExportJob:
        """What an export at a privacy level writes; no row of `erased_order_ids`, should there be any."""
        privacy_filter, facts = self._privacy_filter(level)
        known = dataset_tables(derived=bool(self.derived))
        definitions = {name: PrivacyFilter(level).filtered_table(table) for name, table in known.items()}
        is_kept = ~pl.col(ORDER_ID.name).is_in(pl.Series(erased_order_ids, dtype=pl.Int64).implode())
        rows = {name: self.lazy(name).filter(is_kept) if erased_order_ids else self.lazy(name) for name in known}
        tables = {name: rows[name].select(privacy_filter.column_expressions(table)) for name, table in known.items()}
        of_slice = [f"A slice of the orders: {conditions}."] if (conditions := self.describe_slice()) else []
        return ExportJob(
            tables, definitions, self.name, self.manifest["version"], erased_order_ids, " ".join(facts.values()),
            self._refuse_outdated_export,
            partial(write_export_manifest, self, definitions, facts, erased_order_ids),
            facts=[f"Built at {datetime.fromisoformat(self.manifest['built_at']):%Y-%m-%d %H:%M} UTC.", *of_slice],
        )  # fmt: skip

    def rewrite_without(self, order_ids: Sequence[int]) -> int:
        """Write tables that were exported again, in their folder, without some orders; returns how many rows they had.

        Raises:
            ConfigError, ExportError: as for `export`.
        """
        count = sum(self.only(order_ids).collect().counts().values())
        export_tables(self.export_job(self.level, order_ids), ExportFormat.PARQUET, self.address)
        return count

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
    def outputs(self) -> DatasetOutputs:
        """What was exported and saved from this dataset, as far as it remembers."""
        return DatasetOutputs(self.place)

    def exports(self) -> list[RecordedExport]:
        """The exports that were written from this dataset, or begun, oldest first.

        Raises:
            DatasetError: the list of them is damaged.
        """
        return self.outputs.read().targets()


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


def _absolute_address(out: str | os.PathLike[str]) -> str:
    """The target of an export as an absolute path, which is valid from any working folder."""
    target = os.fspath(out)
    return target if "://" in target else str(check_path(target).absolute())
