"""Commits a dataset whose partitions were written by any process, to a folder or an object store.

    OUT/<table>/<run>-<number>-<digest>.parquet    the rows of one partition
    OUT/derived/<table>/...                        the same of the derived tables
    OUT/manifest.json                              names the files; written last, by compare-and-swap

Writing is idempotent: a partition that is written twice is the same file. Files that no manifest names are never read,
and the next commit removes them. Of two runs at the same time the first to commit wins: the other finds that the
manifest is not the one it began with, and gives up. A commit may therefore remove every unnamed file that was there
before it: a run that can still commit has read the new manifest, so its file names are new.

In the format delta, each table also has a Delta log, with one commit per run, children first and `orders` last, because
Delta Lake cannot commit several tables at once. The manifest is written after them; until then it names the earlier
tables, which are the complete ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from secrets import token_hex
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, Self

import polars as pl

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.folder_writer import (
    NOTICED,
    Publish,
    lock_folder,
    scan_staged_rows,
    write_staged_table,
    write_table_file,
)
from quivo_frames.dataset.manifest import (
    MANIFEST,
    DatasetFile,
    TableFiles,
    announce_commit,
    count_rows,
    is_commit_announced,
    is_dataset_file,
    is_in_delta_table,
    list_files,
    parse_manifest,
    read_replaced_manifest,
    render_manifest,
)
from quivo_frames.dataset.manifest_facts import DELTA, DERIVED, file_stem
from quivo_frames.errors import DatasetError, QuivoError
from quivo_frames.export.formats import ExportFormat, load_writer_module
from quivo_frames.model.derived import DERIVED_TABLES, dataset_tables
from quivo_frames.model.frames import sum_notes
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import LINEAGE_TABLES, ORDER_ID, REPORT_TABLES, TABLES
from quivo_frames.storage import urls
from quivo_frames.storage.atomic import owner_only_folders
from quivo_frames.storage.directory import Directory
from quivo_frames.storage.leftovers import temporary_folder
from quivo_frames.storage.place import Place, open_place, refuse_output_place

_ID_RANGE = (pl.col(ORDER_ID.name).min(), pl.col(ORDER_ID.name).max().alias("greatest"))


class WrittenPartition(NamedTuple):
    """The files of one partition (one per table that has rows), and its notes, summed.

    `id_ranges` are the minimum and maximum order id of each file.
    """

    number: int
    files: Mapping[str, DatasetFile]
    notes: pl.DataFrame
    id_ranges: Mapping[str, tuple[int | None, int | None]]

    def delta_log_entry(self, table: str) -> tuple[str, int, int, tuple[int | None, int | None]]:
        """The fields of `DataFile` for a table: name in the folder of the table, rows, bytes, range of order ids."""
        file = self.files[table]
        return Path(file.file).name, file.rows, file.bytes, self.id_ranges[table]


class PartitionDestination(NamedTuple):
    """Where a run writes its partitions, with `derived` tables or without.

    It is small enough to be sent to workers with each of them.
    """

    place: Place
    run: str
    derived: bool

    def write_partition(self, number: int, staging: Path, privacy_filter: PrivacyFilter) -> WrittenPartition:
        """Write a staged partition as one file per table; partition 0 has a file of every table, even without rows.

        Raises:
            ConfigError: access was refused.
            DatasetError: the files cannot be written.
        """
        notes = sum_notes(scan_staged_rows(staging, NOTICED).collect())
        tables = dataset_tables(derived=self.derived)
        definitions = {name: privacy_filter.filtered_table(table) for name, table in tables.items()}
        filled = [name for name in tables if number == 0 or (staging / name).exists()]
        written = dict(write_staged_table(staging, definitions, name) for name in filled)
        scans = [pl.scan_parquet(staging / file.file, glob=False) for file in written.values()]
        id_ranges = [frame.row(0) for frame in pl.collect_all([rows.select(*_ID_RANGE) for rows in scans])]
        files_by_table = {name: self._write_file(name, number, staging, written[name]) for name in filled}
        return WrittenPartition(number, files_by_table, notes, dict(zip(written, id_ranges, strict=True)))

    def _write_file(self, table: str, number: int, folder: Path, file: DatasetFile) -> DatasetFile:
        name = f"{file_stem(table)}/{self.run}-{number:06d}-{file.sha256[:16]}.parquet"
        with _explain_write_errors(self.place):
            self.place.write(name, (folder / file.file).read_bytes())
        return file._replace(file=name)

    def write_report(self, table: str, frame: pl.DataFrame) -> DatasetFile:
        """Write `failures` or `notes`."""
        with temporary_folder() as folder:
            file = write_table_file(folder, "rows.parquet", REPORT_TABLES[table], frame.lazy())
            return self._write_file(table, 0, folder, file)


class DatasetCommit:
    """Commits partitions that were written to their destination as one dataset, with `derived` tables or without.

    With `rebuild`, a dataset that is there is replaced whatever is broken in it.

    Raises:
        ConfigError: the place holds something that is not a dataset, or we may not write to it.
        DatasetError: it cannot be written, or another build was first.
    """

    def __init__(
        self, out: str, privacy_filter: PrivacyFilter, form: str, *, derived: bool = True, rebuild: bool = False
    ) -> None:
        self.place = open_place(out)
        self._form, self._derived, self._rebuild = form, derived, rebuild
        self._delta_folders = {
            folder: {name: privacy_filter.filtered_table(table) for name, table in tables.items()}
            for folder, tables in ((self.place.address, TABLES), (f"{self.place.address}/{DERIVED}", DERIVED_TABLES))
        }
        """The definitions of the tables, and of the derived tables, by the folder of their Delta tables."""
        self._privacy = " ".join(privacy_filter.manifest_entry().values())
        self._exit_stack = ExitStack()
        self._partitions: list[WrittenPartition] = []

    def __enter__(self) -> Self:
        refuse_output_place(self.place.address, "folder of tables")
        with _explain_write_errors(self.place), ExitStack() as entered:
            self._read_current_manifest()  # before anything is written
            if isinstance(self.place, Directory):
                entered.enter_context(lock_folder(self.place.path))
                self._read_current_manifest()
            if self._form == DELTA:
                delta = load_writer_module(ExportFormat.DELTA)
                for folder, definitions in self._delta_folders.items():
                    delta.find_target_tables(folder, definitions, self._privacy)
            self._exit_stack = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit_stack.close()

    def _read_current_manifest(self) -> None:
        self._manifest_bytes = self.place.read(MANIFEST)
        self.previous_manifest = read_replaced_manifest(
            self.place, self._manifest_bytes, self._form, rebuild=self._rebuild
        )
        """The manifest of the dataset that is replaced."""

    def find_unchanged_dataset(self, answers_digest: str | None) -> Dataset | None:
        """The dataset that is there, if it is complete and was built from the same answers in this format."""
        is_same_input = answers_digest is not None and self.previous_manifest.get("of") == answers_digest
        if not is_same_input or is_commit_announced(self._manifest_bytes):
            return None
        try:
            with _explain_write_errors(self.place):
                found = Dataset.open(self.place.address)
                return found if found.manifest == self.previous_manifest and not any(found.damaged_files()) else None
        except QuivoError:
            return None

    def open_destination(self, answers_digest: str | None) -> PartitionDestination:
        """The destination of this run: the same input on top of the same tables gives the same file names."""
        name = f"{answers_digest or token_hex(8)} {self._form} {json.dumps(self.previous_manifest.get('tables'))}"
        run = hashlib.sha256(name.encode()).hexdigest()[:12]
        self._destination = PartitionDestination(self.place, run, self._derived)
        return self._destination

    def add_partition(self, partition: WrittenPartition) -> None:
        """Add a partition to the dataset."""
        self._partitions.append(partition)

    def _partitions_with_table(self, name: str) -> list[WrittenPartition]:
        return [partition for partition in self._partitions_in_order() if name in partition.files]

    def _partitions_in_order(self) -> list[WrittenPartition]:
        return sorted(self._partitions, key=lambda partition: partition.number)

    def _files_of_table(self, name: str) -> TableFiles:
        return [part.files[name] for part in self._partitions_with_table(name)]

    def count_rows(self, name: str) -> int:
        """The number of rows of a table in all partitions."""
        return count_rows(self._files_of_table(name))

    def collect_notes(self) -> pl.DataFrame:
        """The notes of all partitions, summed per partition."""
        notes = [partition.notes for partition in self._partitions_in_order()]
        return pl.concat([LINEAGE_TABLES[NOTICED].empty_frame(), *notes])

    def commit_dataset(
        self, facts: Mapping[str, Any], failures: pl.DataFrame, notes: pl.DataFrame, publish: Publish = nullcontext
    ) -> Dataset:
        """Replace the dataset by compare-and-swap of its manifest, in a block of `publish`, which may refuse it.

        Raises:
            DatasetError: another build was first, or the place cannot be written.
        """
        tables = {name: self._files_of_table(name) for name in dataset_tables(derived=self._derived)}
        tables["failures"] = [self._destination.write_report("failures", failures)]
        tables["notes"] = [self._destination.write_report("notes", notes)]
        manifest = render_manifest({**facts, "form": self._form}, tables, {})
        with _explain_write_errors(self.place):
            earlier = [entry.name for entry in self.place.list_entries()]  # later files may be of the next run
            with publish():
                if self._form == DELTA:
                    folder = self.place.path if isinstance(self.place, Directory) else None
                    stems = [DERIVED, *map(file_stem, dataset_tables(derived=True))]
                    with owner_only_folders([] if folder is None else [folder / stem for stem in stems]):
                        self._commit_delta_logs(facts["version"])
                if not self.place.compare_and_swap(MANIFEST, manifest, self._manifest_bytes):
                    raise self._lost_race_error()
            named = {file.file for file in list_files(parse_manifest(manifest))}
            self.place.remove([name for name in earlier if name not in named and self._is_leftover(name)])
        return Dataset.open(self.place.address)

    def remove_written_files(self) -> None:
        """Remove what this run has written, unless a manifest names it: nobody else would, among Delta tables.

        Raises:
            DatasetError: the place cannot be written.
        """
        with _explain_write_errors(self.place):
            named = {file.file for file in list_files(parse_manifest(self.place.read(MANIFEST)))}
            written = [entry.name for entry in self.place.list_entries() if f"{self._destination.run}-" in entry.name]
            self.place.remove([name for name in written if is_dataset_file(name) and name not in named])

    def _is_leftover(self, name: str) -> bool:
        """Whether an unnamed file can be removed: files of Delta tables may be named by their log."""
        return is_dataset_file(name) and not (self._form == DELTA and is_in_delta_table(name))

    def _commit_delta_logs(self, version: str) -> None:
        """Commit each table to its Delta log; derived tables that are there and not wanted any more are emptied.

        The run first announces itself in the current manifest by compare-and-swap, so that only one of the runs that
        saw the same manifest goes on. A later run may announce itself too, as this one may be dead; then only that one
        goes on.
        """
        delta = load_writer_module(ExportFormat.DELTA)
        logs = self._open_delta_tables(delta)  # before another run can announce itself
        announced = announce_commit(self.previous_manifest, self._form, self._destination.run)
        if not self.place.compare_and_swap(MANIFEST, announced, self._manifest_bytes):
            raise self._lost_race_error()
        self._manifest_bytes = announced
        files = {
            name: [delta.DataFile(*part.delta_log_entry(name)) for part in self._partitions_with_table(name)]
            for name in logs
        }
        is_current = partial(self._is_current_manifest, announced)
        if not delta.commit_data_files(logs, files, version, self._privacy, is_current):
            raise self._lost_race_error()

    def _open_delta_tables(self, delta: ModuleType) -> dict[str, Any]:
        """The Delta tables by name, `orders` first; of derived tables that are not wanted, those that are there."""
        (folder, tables), (derived_folder, derived_tables) = self._delta_folders.items()
        open_tables = delta.open_or_create_tables if self._derived else delta.find_target_tables
        more = open_tables(derived_folder, derived_tables, self._privacy)
        return {
            **delta.open_or_create_tables(folder, tables, self._privacy),
            **{name: table for name, table in more.items() if table is not None},
        }

    def _is_current_manifest(self, manifest: bytes) -> bool:
        return self.place.read(MANIFEST) == manifest

    def _lost_race_error(self) -> DatasetError:
        outcome = "ended first, and its tables stand"
        if is_commit_announced(self.place.read(MANIFEST)):
            outcome = (
                "was first to commit its tables; they stand when it has ended, or when it was cut off and done again"
            )
        return DatasetError(
            f"Another build into {self.place.address} {outcome}. What this one wrote is never "
            "read. Build again if these inputs are the newer ones."
        )


def _explain_write_errors(place: Place) -> Any:
    problem, after = f"The tables cannot be written to {place.address}", "The earlier tables are still there, if any."
    return urls.explain_storage_errors(problem, "build again", after, DatasetError)
