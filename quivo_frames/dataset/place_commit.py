"""Commits a dataset whose parts were written by any process, to a folder or an object store.

    OUT/<table>/<run>-<number>-<digest>.parquet    the rows of some parts
    OUT/derived/<table>/...                        the same of the derived tables
    OUT/.lineage/<table>/...                       what the next incremental build needs
    OUT/manifest.json                              names the files; written last, by compare-and-swap

Writing is idempotent: parts that are written twice are the same file. Files that no manifest names are never read, and
the next commit removes them. Of two runs at the same time the first to commit wins: the other finds that the manifest
is not the one it began with, and gives up. A commit may therefore remove every unnamed file that was there before it: a
run that can still commit has read the new manifest, so its file names are new, or named there.

In the format delta, each table also has a Delta log, with one commit per run, children first and `orders` last, because
Delta Lake cannot commit several tables at once. The manifest is written after them; until then it names the earlier
tables, which are the complete ones.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import PurePosixPath
from secrets import token_hex
from types import ModuleType
from typing import Any

import polars as pl

from quivo_frames.dataset.commit import (
    BuiltParts,
    DatasetCommit,
    MapJoins,
    PartDestination,
    explain_write_errors,
    lock_folder,
    name_of_file,
    write_table_file,
)
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.manifest import (
    MANIFEST,
    DatasetFile,
    TableFiles,
    announce_commit,
    is_commit_announced,
    is_dataset_file,
    is_in_delta_table,
    list_files,
    parse_manifest,
)
from quivo_frames.dataset.manifest_facts import DELTA, DERIVED, file_stem
from quivo_frames.errors import DatasetError
from quivo_frames.export.formats import ExportFormat, load_writer_module
from quivo_frames.model.derived import DERIVED_TABLES, dataset_tables
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import ORDER_ID, TABLES, Table
from quivo_frames.storage.atomic import owner_only_folders
from quivo_frames.storage.directory import Directory
from quivo_frames.storage.leftovers import temporary_folder


class PlaceCommit(DatasetCommit):
    """The commit of files of some parts each, to any place, also as Delta tables; see `DatasetCommit`."""

    has_table_files = False

    def __init__(
        self, out: str, privacy_filter: PrivacyFilter, form: str, *, derived: bool = True, rebuild: bool = False
    ) -> None:
        super().__init__(out, privacy_filter, form, derived=derived, rebuild=rebuild)
        self._derived = derived
        self._delta_folders = {
            folder: {name: privacy_filter.filtered_table(table) for name, table in tables.items()}
            for folder, tables in ((self.place.address, TABLES), (f"{self.place.address}/{DERIVED}", DERIVED_TABLES))
        }
        """The definitions of the tables, and of the derived tables, by the folder of their Delta tables."""
        self.privacy = " ".join(privacy_filter.manifest_entry().values())
        """What Delta tables say of their privacy."""

    def prepare_place(self, entered: ExitStack) -> None:
        """Lock a folder, and find out whether Delta tables may be written."""
        if isinstance(self.place, Directory):
            entered.enter_context(lock_folder(self.place.path))
            self.read_current_manifest()
        if self.form == DELTA:
            delta = load_writer_module(ExportFormat.DELTA)
            for folder, definitions in self._delta_folders.items():
                delta.find_target_tables(folder, definitions, self.privacy)

    def find_unchanged_dataset(self, answers_digest: str | None) -> Dataset | None:
        """The dataset that is there, if it was built from the same answers, as the manifest says."""
        is_same_input = answers_digest is not None and self.previous_manifest.get("of") == answers_digest
        return None if not is_same_input or is_commit_announced(self.manifest_bytes) else self.previous_dataset()

    def open_destination(self, answers_digest: str | None) -> PartDestination:
        """Workers deliver files, whose names begin with a digest of what is built on top of what."""
        name = f"{answers_digest or token_hex(8)} {self.form} {json.dumps(self.previous_manifest.get('tables'))}"
        self._run = hashlib.sha256(name.encode()).hexdigest()[:12]
        return PartDestination(self.place, self._run, self.tables)

    def join_parts(self, built: BuiltParts, map_joins: MapJoins) -> BuiltParts:  # noqa: ARG002 - workers have joined them
        """All parts have their files already."""
        return built

    def write_frame(self, name: str, table: Table, frame: pl.DataFrame) -> DatasetFile:
        """Write the only file of a table to the place."""
        with temporary_folder() as folder:
            file = write_table_file(folder, "rows.parquet", table, frame.lazy())
            stored = name_of_file(self._run, name, 0, file)
            self.place.write(stored, (folder / file.file).read_bytes())
        return file._replace(file=stored)

    def replace_dataset(self, manifest: bytes, tables: Mapping[str, TableFiles], built: BuiltParts) -> None:
        """Commit to the Delta logs, if there are any, swap the manifest, and remove what was there and is not named."""
        earlier = [entry.name for entry in self.place.list_entries()]  # later files may be of the next run
        if self.form == DELTA:
            folder = self.place.path if isinstance(self.place, Directory) else None
            stems = [DERIVED, *map(file_stem, dataset_tables(derived=True))]
            with owner_only_folders([] if folder is None else [folder / stem for stem in stems]):
                self._commit_delta_logs(tables, built, (parse_manifest(manifest) or {})["version"])
        if not self.place.compare_and_swap(MANIFEST, manifest, self.manifest_bytes):
            raise self._lost_race_error()
        named = {file.file for file in list_files(parse_manifest(manifest))}
        self.place.remove([name for name in earlier if name not in named and self._is_leftover(name)])

    def remove_written_files(self) -> None:
        """Remove what this run has written, unless a manifest names it: nobody else would, among Delta tables.

        Raises:
            DatasetError: the place cannot be written.
        """
        with explain_write_errors(self.place):
            named = {file.file for file in list_files(parse_manifest(self.place.read(MANIFEST)))}
            written = [entry.name for entry in self.place.list_entries() if f"{self._run}-" in entry.name]
            self.place.remove([name for name in written if is_dataset_file(name) and name not in named])

    def remove_earlier_versions(self, order_ids: Sequence[int]) -> int:
        """Remove files of earlier versions of Delta tables that hold some orders; returns how many.

        Raises:
            DatasetError: the place cannot be read or written.
        """
        with explain_write_errors(self.place):
            named = {file.file for file in list_files(parse_manifest(self.place.read(MANIFEST)))}
            found = [name for name in self._data_files() if name not in named and self._holds_orders(name, order_ids)]
            self.place.remove(found)
        return len(found)

    def _data_files(self) -> Iterator[str]:
        in_table = re.compile(rf"(?:{'|'.join(map(file_stem, dataset_tables(derived=True)))})/[^_.][^/]*\.parquet")
        return (entry.name for entry in self.place.list_entries() if in_table.fullmatch(entry.name))

    def _holds_orders(self, name: str, order_ids: Sequence[int]) -> bool:
        wanted = pl.Series(list(order_ids), dtype=pl.Int64).implode()
        rows = pl.scan_parquet(self.place.uri(name), glob=False)
        if rows.collect_schema().get(ORDER_ID.name) != pl.Int64:  # none of ours
            return False
        return bool(rows.select(pl.col(ORDER_ID.name).is_in(wanted).any()).collect().item())

    def _is_leftover(self, name: str) -> bool:
        """Whether an unnamed file can be removed: files of Delta tables may be named by their log."""
        return is_dataset_file(name) and not (self.form == DELTA and is_in_delta_table(name))

    def _commit_delta_logs(self, tables: Mapping[str, TableFiles], built: BuiltParts, version: str) -> None:
        """Commit each table to its Delta log; derived tables that are there and not wanted any more are emptied.

        The run first announces itself in the current manifest by compare-and-swap, so that only one of the runs that
        saw the same manifest goes on. A later run may announce itself too, as this one may be dead; then only that one
        goes on.
        """
        delta = load_writer_module(ExportFormat.DELTA)
        logs = self._open_delta_tables(delta)  # before another run can announce itself
        announced = announce_commit(self.previous_manifest, self.form, self._run)
        if not self.place.compare_and_swap(MANIFEST, announced, self.manifest_bytes):
            raise self._lost_race_error()
        self.manifest_bytes = announced
        ranges = _ranges_of_files(built)
        files = {
            name: [
                delta.DataFile(
                    PurePosixPath(file.file).name, file.rows, file.bytes, ranges.get(file.file, (None, None))
                )
                for file in tables.get(name, ())
            ]
            for name in logs
        }
        is_current = partial(self._is_current_manifest, announced)
        if not delta.commit_data_files(logs, files, version, self.privacy, is_current):
            raise self._lost_race_error()

    def _open_delta_tables(self, delta: ModuleType) -> dict[str, Any]:
        """The Delta tables by name, `orders` first; of derived tables that are not wanted, those that are there."""
        (folder, tables), (derived_folder, derived_tables) = self._delta_folders.items()
        open_tables = delta.open_or_create_tables if self._derived else delta.find_target_tables
        more = open_tables(derived_folder, derived_tables, self.privacy)
        return {
            **delta.open_or_create_tables(folder, tables, self.privacy),
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


def _ranges_of_files(built: BuiltParts) -> dict[str, tuple[int | None, int | None]]:
    """The smallest and the largest order id of each file."""
    found: dict[str, list[int]] = {}
    for part in built.parts:
        for piece in part.pieces.values():
            limits = [limit for limit in (piece.smallest, piece.largest) if limit is not None]
            found.setdefault(piece.file, []).extend(limits)
    return {file: (min(limits), max(limits)) for file, limits in found.items() if limits}
