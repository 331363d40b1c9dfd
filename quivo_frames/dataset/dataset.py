"""Noun: a dataset that is there: its tables, what is known of them, and the way out to other tools."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.dataset import manifest as manifests
from quivo_frames.dataset.manifest import EXPORTS, MANIFEST
from quivo_frames.display.html import html_table
from quivo_frames.errors import ConfigError, DatasetError, QuivoError
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult, export_tables, parse_export_format
from quivo_frames.model.frames import Frames, report_frame
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel, privacy_level
from quivo_frames.model.tables import ORDER_ID, REPORT_TABLES, SCHEMA_VERSION, TABLES, table_named
from quivo_frames.storage import urls
from quivo_frames.storage.atomic import explain_disk_error
from quivo_frames.storage.directory import Directory
from quivo_frames.storage.place import Place, open_place

TablesOrFolder = Mapping[str, pl.DataFrame] | str | os.PathLike[str]
"""What public functions accept as tables: a `Dataset`, `Frames`, a dict of frames, or the folder of a dataset."""


class RecordedExport(NamedTuple):
    """One place that the tables were written to, and how; `key` tells the key of its pseudonyms from others."""

    form: ExportFormat
    out: str
    privacy: PrivacyLevel
    by_month: bool
    key: str


def privacy_filter_for(level: PrivacyLevel) -> PrivacyFilter:
    """The filter of a level of privacy; the key of pseudonyms comes from the settings.

    Raises:
        ConfigError: pseudonyms are asked for, and there is no key.
    """
    if level is not PrivacyLevel.PSEUDONYM:
        return PrivacyFilter(level)
    from quivo_frames.settings import read_pseudonym_key  # late: pydantic takes its time

    return PrivacyFilter(level, read_pseudonym_key())


class Dataset(Mapping[str, pl.DataFrame]):
    """The 18 tables of a folder: `dataset.shipments` is read when asked for, `dataset.scan.shipments` is lazy.

    `failures` has a row for each order that is in no table, `notes` one for each kind of thing noticed.
    """

    def __init__(self, place: Place, manifest: Mapping[str, Any]) -> None:
        self.place = place
        self.manifest = manifest

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Dataset:
        """The dataset in a folder, its manifest read and its files looked at.

        Raises:
            ConfigError: there is no dataset.
            DatasetError: it is incomplete, or of another version.
        """
        where = open_place(folder)
        if isinstance(where, Directory) and where.path.is_file():
            raise ConfigError(f"{folder} is not a dataset of quivo_frames: it is a file.")
        with urls.explain_storage_errors(
            f"The tables in {folder} cannot be read", "open them again", error_class=DatasetError
        ):
            manifest = manifests.read_manifest(where)
            if manifest is None or ("form" in manifest and "tables" not in manifest):
                raise _explain_missing_dataset(where)
            sizes = {entry.name: entry.size for entry in where.list_entries()}
        version, tables = manifest.get("schema_version"), manifest.get("tables") or {}
        if not isinstance(version, int) or not tables or not all("files" in facts for facts in tables.values()):
            raise DatasetError(f"{where.uri(MANIFEST)} is not as it was written. Build the tables again.")
        if version > SCHEMA_VERSION:
            raise DatasetError(f"{folder} was built by a later version of quivo_frames. Install it, or build again.")
        if version < SCHEMA_VERSION:
            raise DatasetError(f"{folder} was built by an earlier version of quivo_frames. Build it again.")
        for name, facts in tables.items():
            for file in manifests.files_of_table(facts):
                if sizes.get(file.file) != file.bytes:
                    told = f"{where.uri(file.file)} is missing or not the file of {name} that was built."
                    raise DatasetError(f"{told} Build it again.")
        return cls(where, manifest)

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
            raise ConfigError(f"The tables are at {self.address}, and in no folder of this machine.")
        return Path(self.address)

    def lazy(self, name: str) -> pl.LazyFrame:
        """A table, `failures` or `notes` as a LazyFrame.

        Raises:
            ConfigError: there is no such table.
            DatasetError: the folder holds another dataset by now.
        """
        if name not in REPORT_TABLES:
            table_named(name)
        if manifests.read_manifest(self.place) != self.manifest:
            raise DatasetError(f"{self.address} was built anew since it was opened. Open it again.")
        return self._scan_files(self.manifest["tables"][name])

    def lineage(self, name: str) -> pl.LazyFrame | None:
        """Which answer each order was made from (`answers`), or the notes of each (`noticed`); None if nobody knows."""
        facts = self.manifest.get("lineage", {}).get(name)
        return self._scan_files(facts) if facts else None

    def files(self, name: str) -> list[str]:
        """The parquet files of a table, of `failures` or of `notes`, in the order of its rows: for any other tool."""
        return self._file_uris(self.manifest["tables"][name])

    def _file_uris(self, facts: Mapping[str, Any]) -> list[str]:
        return [self.place.uri(file.file) for file in manifests.files_of_table(facts)]

    def _scan_files(self, facts: Mapping[str, Any]) -> pl.LazyFrame:
        return pl.scan_parquet(self._file_uris(facts), glob=False)

    def damaged_files(self) -> Iterator[str]:
        """The files that are not any more what was written, by their sha256."""
        for file in manifests.list_files(self.manifest):
            if self.place.file_digest(file.file) != file.sha256:
                yield self.place.uri(file.file)

    @property
    def scan(self) -> LazyTables:
        """The tables as LazyFrames: `dataset.scan.shipments`."""
        return LazyTables(self)

    def only(self, order_ids: Iterable[int]) -> Frames:
        """The rows of some orders alone, in memory; their failures too, but no notes, which are not told by order.

        Raises:
            DatasetError: the folder holds another dataset by now.
        """
        wanted = pl.col(ORDER_ID.name).is_in(pl.Series(list(order_ids), dtype=pl.Int64).implode())
        names = [*TABLES, "failures"]
        *tables, failures = pl.collect_all([self.lazy(name).filter(wanted) for name in names])
        return Frames(dict(zip(TABLES, tables, strict=True)), failures, report_frame("notes", ()))

    def export(
        self, to: str, out: str | os.PathLike[str], *, privacy: str | None = None, by_month: bool = False
    ) -> ExportResult:
        """The tables, written to `out` as `to` says: parquet, delta, duckdb, excel or csv.

        `out` is a file or a folder, for parquet and delta also an address of an object store. What an earlier export
        left there is replaced; in Delta the rows of these orders are, and other orders stay. `privacy` is full,
        pseudonym or none, not less than the tables have already; None: as they are. `by_month` (parquet) gives each
        month of the order date a folder. The dataset remembers its exports, so that orders can be erased from them.

        Raises:
            ConfigError: the place holds something else, or a setting or a library is missing.
            ExportError: the place cannot be written; what it held is untouched.
        """
        form, level = parse_export_format(to), self.export_privacy(privacy)
        _, facts = self._privacy_filter(level)
        return self.write_export(RecordedExport(form, _absolute_address(out), level, by_month, facts.get("key", "")))

    def export_privacy(self, privacy: str | None) -> PrivacyLevel:
        """The level of privacy of an export: what was asked for, or what the tables have.

        Raises:
            ConfigError: the tables do not have any more what it would show.
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
        """How much of the personal values the tables hold."""
        return PrivacyLevel(self.manifest.get("privacy", {}).get("level", PrivacyLevel.FULL))

    def write_export(self, export: RecordedExport, erased_order_ids: Sequence[int] = ()) -> ExportResult:
        """The tables, written as an export says, and remembered; nothing of the orders `erased` stays behind.

        Raises:
            ConfigError, ExportError: as for `export`; also if the key of its pseudonyms is another one now.
        """
        privacy_filter, facts = self._privacy_filter(self.export_privacy(export.privacy))
        if facts.get("key", "") != export.key:
            raise ConfigError("Its pseudonyms were made under another QUIVO_PSEUDONYM_KEY. Give that one.")
        described = {name: PrivacyFilter(export.privacy).filtered_table(table) for name, table in TABLES.items()}
        tables = {name: self.lazy(name).select(privacy_filter.column_expressions(TABLES[name])) for name in TABLES}
        outgoing = ExportJob(
            tables, described, self.name, self.manifest["version"], erased_order_ids, " ".join(facts.values())
        )
        self.exports()  # whether it can be remembered, before anything is written
        try:
            exported = export_tables(outgoing, export.form, export.out, by_month=export.by_month)
        except ConfigError:
            raise
        except BaseException:
            if "://" in export.out or (export.form is ExportFormat.DELTA and Path(export.out).exists()):
                self._record_export(export)  # what was written before it was cut off stays there
            raise
        return exported._replace(told=[*exported.told, *self._record_export(export)])

    def _privacy_filter(self, level: PrivacyLevel) -> tuple[PrivacyFilter, Mapping[str, str]]:
        """The filter that brings the tables to a level, and what an export says about the privacy of its result."""
        if level is self.level:
            return PrivacyFilter(), self.manifest.get("privacy", PrivacyFilter().manifest_entry())
        privacy_filter = privacy_filter_for(level)
        return privacy_filter, privacy_filter.manifest_entry()

    @property
    def name(self) -> str:
        """What tells this state of the tables from another: the same tables have the same name."""
        tables = self.manifest["tables"]
        digests = [file.sha256 for name in TABLES for file in manifests.files_of_table(tables[name])]
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]

    def exports(self) -> list[RecordedExport]:
        """The exports that were written from the tables of this folder, in order of time.

        Raises:
            DatasetError: the list of them is damaged.
        """
        return self._parse_exports(self.place.read(EXPORTS))

    def _parse_exports(self, text: bytes | None) -> list[RecordedExport]:
        if text is None:
            return []
        try:
            known = json.loads(text)
            return [
                RecordedExport(**{**one, "form": ExportFormat(one["form"]), "privacy": PrivacyLevel(one["privacy"])})
                for one in known
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{self.place.uri(EXPORTS)} is damaged: it lists where these tables were exported to, so that orders "
                "can be erased there. Take it from a backup, or delete it, and export again."
            ) from error

    def _record_export(self, export: RecordedExport) -> list[str]:
        """Adds an export to those that are known; a sentence if it cannot."""
        file = self.place.uri(EXPORTS)
        try:
            with urls.explain_storage_errors(f"{file} cannot be written", "export again", error_class=DatasetError):
                while True:  # until no other export ends at the same moment
                    before = self.place.read(EXPORTS)
                    others = [
                        one for one in self._parse_exports(before) if (one.form, one.out) != (export.form, export.out)
                    ]
                    known = json.dumps([one._asdict() for one in (*others, export)], indent=2).encode()
                    if self.place.compare_and_swap(EXPORTS, known, before):
                        return []
        except (OSError, QuivoError) as error:
            told = explain_disk_error(error) if isinstance(error, OSError) else str(error)
            return [f"{file} cannot be written ({told}): `forget` will not find this export. Keep it in mind."]

    @property
    def failures(self) -> pl.DataFrame:
        """The orders that are in no table, and why."""
        return self.lazy("failures").collect()

    @property
    def notes(self) -> pl.DataFrame:
        """Readings that needed a decision, and fields that nobody knows."""
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
        """Rows of each table, then of failures and notes."""
        return {name: facts["rows"] for name, facts in self.manifest["tables"].items()}

    def __repr__(self) -> str:
        rows = "\n".join(f"  {name:<24}{count:>12,}" for name, count in self.counts().items())
        return f"{self.address}: {self._summary_line()}\n{rows}"

    def _summary_line(self) -> str:
        orders = self.manifest["orders"]
        return f"{orders['in']:,} orders in, {orders['out']:,} in the tables, {orders['failed']:,} failed"

    def _repr_html_(self) -> str:
        grains = ((name, f"one row per {table.grain}") for name, table in (TABLES | REPORT_TABLES).items())
        rows = ((name, grain, self.counts()[name]) for name, grain in grains)
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
        kind = "None" if given is None else f"a {kind}"
    raise ConfigError(
        "Give the tables: the folder of a dataset, what qf.open, qf.build or qf.flatten return, "
        f"or a dict of frames by table name. This is {kind}."
    )


class LazyTables:
    """The tables of a dataset as LazyFrames, by name."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> pl.LazyFrame:
        if name in TABLES or name in REPORT_TABLES:
            return self._dataset.lazy(name)
        raise AttributeError(f"There is no table {name!r}. The tables are: {', '.join(TABLES)}.")

    def __dir__(self) -> list[str]:
        return [*TABLES, *REPORT_TABLES]


def _explain_missing_dataset(where: Place) -> QuivoError:
    """Why there is no dataset in a place."""
    there = where.read(MANIFEST)
    if manifests.is_commit_announced(there) or manifests.has_unfinished_build(where):
        return DatasetError(f"{where.address} is being built, or a build of it was cut off. Wait, or build it again.")
    told = f"there is no {MANIFEST} in it" if there is None else f"the {MANIFEST} in it is not one"
    return ConfigError(f"{where.address} is not a dataset of quivo_frames: {told}.")


def _absolute_address(out: str | os.PathLike[str]) -> str:
    """Where an export goes, so that it is found again from any folder."""
    place = os.fspath(out)
    return place if "://" in place else str(Path(place).absolute())
