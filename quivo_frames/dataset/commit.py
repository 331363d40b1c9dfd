"""Noun: a dataset whose files are delivered from anywhere: named by content and place, and there once committed.

    OUT/<table>/<run>-<number>-<digest>.parquet    the rows of one part
    OUT/manifest.json                              written last, if nobody else wrote it meanwhile: it names the files

A part that is delivered twice is the same file. What no manifest names is never read, and the next commit removes it.
Of two runs at a time, the one that commits first wins: the other finds another manifest than it began with, and gives
up. So of all that was there before a commit, nothing can be named by a later one: a run that may still commit has read
the new manifest first, and its files have names that nobody had before.

As Delta Lake, each table has its log in addition, one commit a run, children first and `orders` last: nothing commits
several tables at once. The manifest comes after them, and until then says that the tables before are the ones that are
whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NamedTuple, Self

import polars as pl

from quivo_frames.dataset import manifest as manifests
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.folder_writer import (
    NOTICED,
    lock_folder,
    refuse_foreign_files,
    scan_staged_rows,
    write_staged_table,
    write_table_file,
)
from quivo_frames.dataset.manifest import DELTA, MANIFEST, DatasetFile, TableFiles
from quivo_frames.errors import DatasetError, QuivoError
from quivo_frames.export.formats import ExportFormat, load_writer_module
from quivo_frames.model.frames import sum_notes
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import LINEAGE_TABLES, ORDER_ID, REPORT_TABLES, TABLES
from quivo_frames.storage import urls
from quivo_frames.storage.directory import Directory
from quivo_frames.storage.place import Place, open_place

_ID_RANGE = (pl.col(ORDER_ID.name).min(), pl.col(ORDER_ID.name).max().alias("greatest"))


class CommittablePart(NamedTuple):
    """What was delivered of a part: its file of each table that it has rows of, and its notes, added up.

    `ids` are the least and the greatest id of an order in each file.
    """

    number: int
    files: Mapping[str, DatasetFile]
    notes: pl.DataFrame
    id_ranges: Mapping[str, tuple[int | None, int | None]]

    def delta_log_entry(self, table: str) -> tuple[str, int, int, tuple[int | None, int | None]]:
        """What the log of a table says of its file: the name in the folder of the table, rows, bytes and ids."""
        file = self.files[table]
        return Path(file.file).name, file.rows, file.bytes, self.id_ranges[table]


class PartDestination(NamedTuple):
    """Where the parts of a run are delivered; small enough to be sent along with each."""

    place: Place
    run: str

    def write_part(self, number: int, staging: Path, privacy_filter: PrivacyFilter) -> CommittablePart:
        """Writes what was put aside in a folder as one file a table; the first part has one of each table.

        Raises:
            ConfigError: access to the place was refused.
            DatasetError: it cannot be written.
        """
        noticed = sum_notes(scan_staged_rows(staging, NOTICED).collect())
        described = {name: privacy_filter.filtered_table(table) for name, table in TABLES.items()}
        filled = [name for name in TABLES if number == 0 or (staging / name).exists()]
        written = dict(write_staged_table(staging, described, name) for name in filled)
        files = [pl.scan_parquet(staging / file.file, glob=False) for file in written.values()]
        ids = [frame.row(0) for frame in pl.collect_all([rows.select(*_ID_RANGE) for rows in files])]
        put = {name: self._write_file(name, number, staging, written[name]) for name in filled}
        return CommittablePart(number, put, noticed, dict(zip(written, ids, strict=True)))

    def _write_file(self, table: str, number: int, aside: Path, file: DatasetFile) -> DatasetFile:
        name = f"{table}/{self.run}-{number:06d}-{file.sha256[:16]}.parquet"
        with _explain_write_errors(self.place):
            self.place.write(name, (aside / file.file).read_bytes())
        return file._replace(file=name)

    def write_report(self, table: str, frame: pl.DataFrame) -> DatasetFile:
        """Writes `failures` or `notes`."""
        with TemporaryDirectory(prefix="quivo-frames-") as folder:
            file = write_table_file(Path(folder, "rows.parquet"), REPORT_TABLES[table], frame.lazy())
            return self._write_file(table, 0, Path(folder), file)


class DatasetCommit:
    """Puts a dataset together from what was delivered, and commits it.

    Raises:
        ConfigError: the place holds something that is not a dataset, or cannot be written by whom we are.
        DatasetError: it cannot be written, or another build was first.
    """

    def __init__(self, out: str, privacy_filter: PrivacyFilter, form: str) -> None:
        self.place = open_place(out)
        self._form = form
        self._described = {name: privacy_filter.filtered_table(table) for name, table in TABLES.items()}
        self._privacy = " ".join(privacy_filter.manifest_entry().values())
        self._exit_stack = ExitStack()
        self._parts_written: list[CommittablePart] = []

    def __enter__(self) -> Self:
        with _explain_write_errors(self.place), ExitStack() as entered:
            self._read_current_manifest()  # before anything is written
            if isinstance(self.place, Directory):
                entered.enter_context(lock_folder(self.place.path))
                self._read_current_manifest()
            if self._form == DELTA:
                load_writer_module(ExportFormat.DELTA).find_target_tables(
                    self.place.address, self._described, self._privacy
                )
            self._exit_stack = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit_stack.close()

    def _read_current_manifest(self) -> None:
        self._manifest_bytes = self.place.read(MANIFEST)
        self.previous_manifest = manifests.parse_manifest(self._manifest_bytes) or {}
        """The manifest of the dataset that is replaced."""
        if self.previous_manifest:
            manifests.refuse_other_format(self.previous_manifest, self._form, self.place.address)
        else:
            refuse_foreign_files(self.place)

    def find_unchanged_dataset(self, of: str | None) -> Dataset | None:
        """The dataset that is there, if it was made in this form of the very answers `of`, and is whole."""
        if of is None or self.previous_manifest.get("of") != of or manifests.is_commit_announced(self._manifest_bytes):
            return None
        try:
            with _explain_write_errors(self.place):
                found = Dataset.open(self.place.address)
                return found if found.manifest == self.previous_manifest and not any(found.damaged_files()) else None
        except QuivoError:
            return None

    def open_destination(self, of: str | None) -> PartDestination:
        """Where to deliver a run; the same input beside the same standing tables has the same names there."""
        name = f"{of or token_hex(8)} {self._form} {json.dumps(self.previous_manifest.get('tables'))}"
        self._destination = PartDestination(self.place, hashlib.sha256(name.encode()).hexdigest()[:12])
        return self._destination

    def add_part(self, delivered: CommittablePart) -> None:
        """Takes note of a part."""
        self._parts_written.append(delivered)

    def _parts_with_table(self, name: str) -> list[CommittablePart]:
        in_order = sorted(self._parts_written, key=lambda part: part.number)
        return [part for part in in_order if name in part.files]

    def _files_of_table(self, name: str) -> TableFiles:
        return [part.files[name] for part in self._parts_with_table(name)]

    def count_rows(self, name: str) -> int:
        """How many rows a table has that was delivered."""
        return manifests.count_rows(self._files_of_table(name))

    def collect_notes(self) -> pl.DataFrame:
        """The notes of the parts, each added up."""
        in_order = sorted(self._parts_written, key=lambda part: part.number)
        return pl.concat([LINEAGE_TABLES[NOTICED].empty_frame(), *(part.notes for part in in_order)])

    def commit_dataset(self, facts: Mapping[str, Any], failures: pl.DataFrame, notes: pl.DataFrame) -> Dataset:
        """Commits the dataset: it takes the place of the one before, unless that is gone already."""
        tables = {name: self._files_of_table(name) for name in TABLES}
        tables |= {
            name: [self._destination.write_report(name, frame)]
            for name, frame in {"failures": failures, "notes": notes}.items()
        }
        manifest = manifests.render_manifest({**facts, "form": self._form}, tables, {})
        with _explain_write_errors(self.place):
            there = [
                entry.name for entry in self.place.list_entries()
            ]  # what comes after the swap may be of the next run
            if self._form == DELTA:
                self._commit_delta_logs(facts["version"])
            if not self.place.compare_and_swap(MANIFEST, manifest, self._manifest_bytes):
                raise self._lost_race_error()
            named = {file.file for file in manifests.list_files(manifests.parse_manifest(manifest))}
            self.place.remove([name for name in there if name not in named and self._is_leftover(name)])
        return Dataset.open(self.place.address)

    def _is_leftover(self, name: str) -> bool:
        """Whether a file is of no use that the manifest does not name: a log of Delta Lake may name it."""
        return manifests.is_dataset_file(name) and not (self._form == DELTA and name.partition("/")[0] in TABLES)

    def _commit_delta_logs(self, version: str) -> None:
        """Commits each table to its log.

        Before the first, the manifest that stands is told which run is about to: of those that saw the same one, one
        can. A later run may do so as well, for this one may be dead: from then on, none but that goes on.
        """
        delta = load_writer_module(ExportFormat.DELTA)
        logs = delta.open_or_create_tables(
            self.place.address, self._described, self._privacy
        )  # before others can be about to
        announced = manifests.announce_commit(self._manifest_bytes, self._form, self._destination.run)
        if not self.place.compare_and_swap(MANIFEST, announced, self._manifest_bytes):
            raise self._lost_race_error()
        self._manifest_bytes = announced
        files = {
            name: [delta.DataFile(*part.delta_log_entry(name)) for part in self._parts_with_table(name)]
            for name in TABLES
        }
        still = partial(self._is_current_manifest, announced)
        if not delta.commit_data_files(logs, files, version, self._privacy, still):
            raise self._lost_race_error()

    def _is_current_manifest(self, manifest: bytes) -> bool:
        return self.place.read(MANIFEST) == manifest

    def _lost_race_error(self) -> DatasetError:
        what = "ended first, and its tables stand"
        if manifests.is_commit_announced(self.place.read(MANIFEST)):
            what = "was first to commit its tables; they stand when it has ended, or when it was cut off and done again"
        return DatasetError(
            f"Another build into {self.place.address} {what}. What this one wrote beside "
            "them is never read. Build again if these inputs are the newer ones."
        )


def _explain_write_errors(where: Place) -> Any:
    after = "The earlier tables are still there, if there were any."
    return urls.explain_storage_errors(
        f"The tables cannot be written to {where.address}", "build again", after, DatasetError
    )
