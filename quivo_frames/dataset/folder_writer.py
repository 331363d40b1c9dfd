"""Writes a dataset to a folder: stages partitions, merges them into a file per table, and moves all into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Self

import polars as pl

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.manifest import (
    BUILDING,
    LOCK,
    MANIFEST,
    DatasetFile,
    TableFiles,
    count_rows,
    facts_of_tables,
    files_of_table,
    find_unnamed_files,
    list_files,
    parse_manifest,
    read_manifest,
    read_manifest_bytes,
    read_replaced_manifest,
    render_manifest,
)
from quivo_frames.dataset.manifest_facts import LINEAGE, PARQUET, file_stem
from quivo_frames.errors import DatasetError, QuivoError
from quivo_frames.model.derived import DERIVED_TABLES, dataset_tables
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import LINEAGE_TABLES, ORDER_ID, REPORT_TABLES, TABLES, Table
from quivo_frames.storage.atomic import create_private_folder, explain_disk_error, hold_lock, sync_file
from quivo_frames.storage.parquet import write_parquet_table
from quivo_frames.storage.path_names import check_path
from quivo_frames.storage.place import open_place, refuse_output_place

STAGING_BATCH_ROWS = 1_024
"""Rows of a staged file that are read back at a time; the memory of a merge grows with it."""
_STAGED_SUFFIX = ".arrow"
NOTICED = "noticed"
_DEFINITIONS = {**TABLES, **DERIVED_TABLES, **LINEAGE_TABLES}

MapTables = Callable[[Callable[[str], tuple[str, DatasetFile]], Sequence[str]], Iterable[tuple[str, DatasetFile]]]
"""A map over names, in any order: `map`, or one that several processes share."""
Publish = Callable[[], AbstractContextManager[None]]
"""Makes a block in which a dataset may be replaced; entering it raises a QuivoError if it may not."""


class DatasetWriter:
    """Writes a dataset from partitions, and replaces the previous one when it is complete.

    It has `derived` tables, or not. With `rebuild`, a dataset that is there is replaced whatever is broken in it.

    Raises:
        ConfigError: the folder holds something that is not a dataset.
        DatasetError: the disk is full or refuses, or another build works on the same folder.
    """

    def __init__(
        self, folder: str | os.PathLike[str], privacy_filter: PrivacyFilter = PrivacyFilter(), *,  # noqa: B008 - frozen
        derived: bool = True, rebuild: bool = False,
    ) -> None:  # fmt: skip
        self.folder, self._rebuild = check_path(folder), rebuild
        definitions = dataset_tables(derived=derived)
        self._definitions = {name: privacy_filter.filtered_table(table) for name, table in definitions.items()}
        self._building = self.folder / BUILDING
        self.staging = self._building / token_hex(4)  # a stray worker of an earlier build finds no folder
        """The folder for staged partitions, and for files until all are complete."""
        self.previous_manifest: Mapping[str, Any] = {}
        """The manifest of the dataset that is replaced."""
        self._single_partition: Mapping[str, pl.DataFrame] | None = None
        self._table_files: dict[str, TableFiles] = {}
        self._moving = False
        self._exit_stack = ExitStack()

    def __enter__(self) -> Self:
        with _explain_disk_errors(self.folder):
            refuse_output_place(self.folder, "folder of tables")
            place = open_place(self.folder)
            data = read_manifest_bytes(place)
            if data is not None or not self._building.exists():  # else a build was cut off while it moved its files
                self.previous_manifest = read_replaced_manifest(place, data, PARQUET, rebuild=self._rebuild)
            self._exit_stack.enter_context(lock_folder(self.folder))
            shutil.rmtree(self._building, ignore_errors=True)
            self._building.mkdir(mode=0o700)
            self.staging.mkdir(mode=0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._moving:  # else it stays, as the sign of an interrupted build
            shutil.rmtree(self._building, ignore_errors=True)
        self._exit_stack.close()

    def take_single_partition(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Take the only partition of the build, which needs no staging; what is not among its frames has no rows."""
        self._single_partition = frames

    def write_tables(self, map_tables: MapTables, retained: RetainedRows | None = None) -> None:
        """Write the tables from the partitions, and from the rows that are retained of the previous dataset.

        `map_tables` runs the writing of staged tables; with `retained` or a single partition, this process does it.
        """
        with _explain_disk_errors(self.folder):
            if self._single_partition is not None or retained is not None:
                with ThreadPoolExecutor(2) as pool:  # one waits for the disk while the other compresses
                    self._table_files = dict(pool.map(partial(self._write_merged_table, retained), self._definitions))
            else:
                # The largest first, so that all processes end at about the same time.
                names = sorted(
                    self._definitions,
                    key=lambda name: -sum(part.stat().st_size for part in _staged_files(self.staging, name)),
                )
                written = map_tables(partial(write_staged_table, self.staging, self._definitions), names)
                self._table_files = {name: [file] for name, file in written}

    def _write_merged_table(self, retained: RetainedRows | None, name: str) -> tuple[str, TableFiles]:
        """Write a table from new and retained rows; if the replaced rows are unchanged, its files are reused."""
        rows = self._scan_new_rows(name)
        if retained is not None:
            if retained.order_positions is None and rows.collect().equals(retained.rows_replaced_in(name)):
                return name, files_of_table(facts_of_tables(retained.previous.manifest)[name])
            rows = retained.merge_with_new(name, rows)
        return name, [write_table_file(self.staging, f"{file_stem(name)}.parquet", self._definitions[name], rows)]

    def _scan_new_rows(self, name: str) -> pl.LazyFrame:
        """The rows of a table, or of `noticed`, in the partitions of this build."""
        if self._single_partition is not None:
            return self._single_partition.get(name, _DEFINITIONS[name].empty_frame()).lazy()
        return scan_staged_rows(self.staging, name)

    def previous_dataset(self) -> Dataset | None:
        """The dataset that is replaced, if it is complete."""
        try:
            return Dataset.open(self.folder)
        except QuivoError:
            return None

    def count_rows(self, name: str) -> int:
        """The number of rows of a written table."""
        return count_rows(self._table_files[name])

    def scan_table(self, name: str) -> pl.LazyFrame:
        """A written table."""
        candidates = ((self.staging / file.file, self.folder / file.file) for file in self._table_files[name])
        return pl.scan_parquet([new if new.exists() else old for new, old in candidates], glob=False)

    def collect_notes(self, retained: RetainedRows | None = None) -> pl.DataFrame:
        """The notes per order, of new and retained orders."""
        new = self._scan_new_rows(NOTICED).collect()
        return retained.merge_with_new(NOTICED, new.lazy()).collect() if retained else new

    def commit_dataset(
        self,
        facts: Mapping[str, Any],
        failures: pl.DataFrame,
        notes: pl.DataFrame,
        lineage: Mapping[str, pl.DataFrame],
        publish: Publish = nullcontext,
    ) -> Dataset:
        """Replace the previous dataset by the written tables, in a block of `publish`, which may refuse it.

        `facts` go into the manifest. `lineage` is what the next incremental build needs; empty if there can be none.
        """
        with _explain_disk_errors(self.folder):
            tables = {name: self._table_files[name] for name in self._definitions}
            for name, frame in {"failures": failures, "notes": notes}.items():
                tables[name] = [write_table_file(self.staging, f"{name}.parquet", REPORT_TABLES[name], frame.lazy())]
            written_lineage = {
                name: [write_table_file(self.staging, f"{LINEAGE}/{name}.parquet", _DEFINITIONS[name], frame.lazy())]
                for name, frame in lineage.items()
            }
            with publish():
                self._move_into_place(render_manifest(facts, tables, written_lineage))
        return Dataset.open(self.folder)

    def _move_into_place(self, manifest: bytes) -> None:
        new = self.staging / MANIFEST
        new.write_bytes(manifest)
        sync_file(new)
        self._moving = True
        (self.folder / MANIFEST).unlink(missing_ok=True)
        names = [file.file for file in list_files(parse_manifest(manifest))]
        for name in (*(name for name in names if (self.staging / name).exists()), MANIFEST):
            (self.folder / name).parent.mkdir(mode=0o700, exist_ok=True)
            (self.staging / name).replace(self.folder / name)
        place = open_place(self.folder)
        leftovers = find_unnamed_files(place, parse_manifest(manifest) or {})
        place.remove(name for name in leftovers if not name.startswith(f"{BUILDING}/"))
        self._moving = False


class RetainedRows:
    """The rows of the previous dataset that the new one retains: all but those of the replaced orders.

    `order_positions` are the positions of the orders in the new dataset (order_id, place); None: sorted by id.
    """

    def __init__(self, previous: Dataset, replaced: Sequence[int], order_positions: pl.DataFrame | None = None) -> None:
        self.previous, self.order_positions = previous, order_positions
        self.replaced_rows = previous.only(replaced).collect()
        """The rows that are not retained."""
        self._replaced = pl.Series(replaced, dtype=pl.Int64).implode()

    def rows_replaced_in(self, name: str) -> pl.DataFrame:
        """The rows of a table, or of a derived one, that are not retained."""
        if name in TABLES:
            return self.replaced_rows[name]
        return self.previous.lazy_as_stored(name).filter(pl.col(ORDER_ID.name).is_in(self._replaced)).collect()

    def scan_retained(self, name: str) -> pl.LazyFrame:
        """The retained rows of a table, of `failures` or of the lineage."""
        found = self.previous.lineage(name) if name in LINEAGE_TABLES else self.previous.lazy_as_stored(name)
        assert found is not None, "without lineage nothing is retained"
        return found.filter(~pl.col(ORDER_ID.name).is_in(self._replaced))

    def merge_with_new(self, name: str, new: pl.LazyFrame) -> pl.LazyFrame:
        """Retained and new rows, in the order of the new dataset."""
        if self.order_positions is None:
            return self.scan_retained(name).merge_sorted(new, ORDER_ID.name)
        retained, added = (
            rows.join(self.order_positions.lazy(), on=ORDER_ID.name, how="left", maintain_order="left")
            for rows in (self.scan_retained(name), new)
        )
        return retained.merge_sorted(added, "place").drop("place")


def stage_partition(staging: Path, number: int, frames: Mapping[str, pl.DataFrame]) -> None:
    """Stage the frames of a partition on disk, since polars cannot append to a parquet file; any process may call it.

    Staging is idempotent: a partition that is staged twice is there once.
    """
    with _explain_disk_errors(staging.parent.parent):
        for name, frame in frames.items():
            if not frame.is_empty():
                file = _staged_file(staging, name, number)
                file.parent.mkdir(exist_ok=True, mode=0o700)
                frame.write_ipc(file, compression="lz4", record_batch_size=STAGING_BATCH_ROWS)


def _staged_file(staging: Path, name: str, number: int) -> Path:
    return staging / name / f"{number:06d}{_STAGED_SUFFIX}"


def _staged_files(staging: Path, name: str) -> list[Path]:
    return sorted((staging / name).glob(f"*{_STAGED_SUFFIX}"))


def scan_staged_rows(staging: Path, name: str) -> pl.LazyFrame:
    """The staged rows of a table, or of `noticed`."""
    parts = _staged_files(staging, name)
    return pl.scan_ipc(parts) if parts else _DEFINITIONS[name].empty_frame().lazy()


def write_staged_table(staging: Path, definitions: Mapping[str, Table], name: str) -> tuple[str, DatasetFile]:
    """Write a table from its staged partitions; returns its name and its file."""
    with _explain_disk_errors(staging.parent.parent):
        rows = scan_staged_rows(staging, name)
        file = write_table_file(staging, f"{file_stem(name)}.parquet", definitions[name], rows)
        shutil.rmtree(staging / name, ignore_errors=True)
    return name, file


def write_table_file(folder: Path, name: str, definition: Table, rows: pl.LazyFrame) -> DatasetFile:
    """Write a table to a parquet file of a folder that only its owner can read; `name` may have a slash."""
    file = folder / name
    file.parent.mkdir(mode=0o700, exist_ok=True)
    count = write_parquet_table(rows, file, definition)
    sync_file(file)
    digest = open_place(folder).file_digest(name)
    assert digest is not None
    return DatasetFile(name, count, file.stat().st_size, digest)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Let only one build at a time work on a folder.

    Raises:
        DatasetError: another build does.
    """
    create_private_folder(folder)
    try:
        with hold_lock(folder / LOCK, DatasetError(f"Another build is writing to {folder}. Wait until it has ended.")):
            yield
    finally:
        with suppress(OSError):  # remove it only if it is empty
            folder.rmdir()


@contextmanager
def _explain_disk_errors(folder: Path) -> Iterator[None]:
    """Raise errors of the disk as a DatasetError with a cure."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        kept = " The earlier tables are still there." if read_manifest(open_place(folder)) else ""
        raise DatasetError(
            f"The tables cannot be written to {folder}: {explain_disk_error(error)}.{kept} "
            "Make room or give another folder, and build again."
        ) from error
