"""Noun: a dataset in the making: parts put aside, tables put together from them, and all moved into place at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Self

import polars as pl

from quivo_frames.dataset import manifest as manifests
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.manifest import BUILDING, LINEAGE, LOCK, MANIFEST, PARQUET, DatasetFile, TableFiles
from quivo_frames.errors import ConfigError, DatasetError, QuivoError
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import LINEAGE_TABLES, ORDER_ID, REPORT_TABLES, TABLES, Table
from quivo_frames.storage.atomic import explain_disk_error, hold_lock, sync_file
from quivo_frames.storage.parquet import write_parquet_table
from quivo_frames.storage.place import Place, open_place

STAGING_BATCH_ROWS = 1_024
"""Rows of a part that are read back at a time: what a merge holds grows with it, too."""
_STAGED_SUFFIX = ".arrow"
NOTICED = "noticed"
_DESCRIBED = {**TABLES, **LINEAGE_TABLES}

MapTables = Callable[[Callable[[str], tuple[str, DatasetFile]], Sequence[str]], Iterable[tuple[str, DatasetFile]]]
"""Applies a function to each of some names, in any order."""


class DatasetWriter:
    """Puts a dataset together from parts, and in its place when it is complete.

    Raises:
        ConfigError: the folder holds something that is not a dataset.
        DatasetError: the disk is full or refuses, or another build works on the same folder.
    """

    def __init__(self, folder: str | os.PathLike[str], privacy_filter: PrivacyFilter = PrivacyFilter()) -> None:  # noqa: B008 - frozen
        self.folder = Path(folder)
        self._described = {name: privacy_filter.filtered_table(table) for name, table in TABLES.items()}
        self._building = self.folder / BUILDING
        self.staging = self._building / token_hex(4)  # of this build alone: a lost process of another finds no place
        """Where parts are put aside, and files wait until all are there."""
        self.previous_manifest = manifests.read_manifest(open_place(folder)) or {}
        """The manifest of the dataset that is replaced."""
        self._single_part: Frames | None = None
        self._table_files: dict[str, TableFiles] = {}
        self._moving = False
        self._exit_stack = ExitStack()

    def __enter__(self) -> Self:
        with _explain_disk_errors(self.folder):
            _refuse_foreign_folder(self.folder)
            manifests.refuse_other_format(self.previous_manifest, PARQUET, str(self.folder))
            self._exit_stack.enter_context(lock_folder(self.folder))
            shutil.rmtree(self._building, ignore_errors=True)
            self._building.mkdir(mode=0o700)
            self.staging.mkdir(mode=0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._moving:  # else it stays, and says of a folder without a manifest that a build was cut off
            shutil.rmtree(self._building, ignore_errors=True)
        self._exit_stack.close()

    def take_single_part(self, only: Frames) -> None:
        """Takes the only part there is: nothing needs to be put aside for it."""
        self._single_part = only

    def write_tables(self, map_tables: MapTables, retained: RetainedRows | None = None) -> None:
        """Makes the tables from what was kept or put aside, and from what stays of the dataset before.

        `share` says who does it, without `kept`: `map` is this process alone.
        """
        with _explain_disk_errors(self.folder):
            if self._single_part is not None or retained is not None:
                with ThreadPoolExecutor(2) as pool:  # one waits for the disk while another packs
                    self._table_files = dict(pool.map(partial(self._write_merged_table, retained), TABLES))
            else:
                # The largest first: whoever is free takes the next one, and all end at about the same time.
                names = sorted(
                    TABLES, key=lambda name: -sum(part.stat().st_size for part in _staged_files(self.staging, name))
                )
                written = map_tables(partial(write_staged_table, self.staging, self._described), names)
                self._table_files = {name: [file] for name, file in written}

    def _write_merged_table(self, kept: RetainedRows | None, name: str) -> tuple[str, TableFiles]:
        """Writes a table from the only part and from what stays; where the same rows come back, its files stay."""
        rows = self._scan_new_rows(name)
        if kept is not None:
            if kept.order_positions is None and rows.collect().equals(kept.replaced_rows[name]):
                return name, manifests.files_of_table(kept.previous.manifest["tables"][name])
            rows = kept.merge_with_new(name, rows)
        return name, [write_table_file(self.staging / f"{name}.parquet", self._described[name], rows)]

    def _scan_new_rows(self, name: str) -> pl.LazyFrame:
        """The rows of a table, or of `noticed`, that were kept or put aside."""
        if self._single_part is not None:
            return (self._single_part.order_notes if name == NOTICED else self._single_part[name]).lazy()
        return scan_staged_rows(self.staging, name)

    def previous_dataset(self) -> Dataset | None:
        """The dataset that is replaced, if it is whole."""
        try:
            return Dataset.open(self.folder)
        except QuivoError:
            return None

    def count_rows(self, name: str) -> int:
        """How many rows a table has that was put together."""
        return manifests.count_rows(self._table_files[name])

    def scan_table(self, name: str) -> pl.LazyFrame:
        """A table that was put together."""
        places = ((self.staging / file.file, self.folder / file.file) for file in self._table_files[name])
        return pl.scan_parquet([new if new.exists() else old for new, old in places], glob=False)

    def collect_notes(self, retained: RetainedRows | None = None) -> pl.DataFrame:
        """The notes of each order by itself, of those that were made and those that stay."""
        new = self._scan_new_rows(NOTICED).collect()
        return retained.merge_with_new(NOTICED, new.lazy()).collect() if retained else new

    def commit_dataset(
        self,
        facts: Mapping[str, Any],
        failures: pl.DataFrame,
        notes: pl.DataFrame,
        lineage: Mapping[str, pl.DataFrame],
    ) -> Dataset:
        """The dataset of the tables that were put together, in its place; `facts` go into the manifest.

        `lineage` is what the next build needs to renew this one, empty if it cannot.
        """
        with _explain_disk_errors(self.folder):
            tables = {name: self._table_files[name] for name in TABLES}
            for name, frame in {"failures": failures, "notes": notes}.items():
                tables[name] = [write_table_file(self.staging / f"{name}.parquet", REPORT_TABLES[name], frame.lazy())]
            known = {name: f"{LINEAGE}/{name}.parquet" for name in lineage}
            (self.staging / LINEAGE).mkdir(mode=0o700)
            of_lineage = {
                name: [
                    write_table_file(self.staging / file, _DESCRIBED[name], lineage[name].lazy())._replace(file=file)
                ]
                for name, file in known.items()
            }
            self._move_into_place(manifests.render_manifest(facts, tables, of_lineage))
        return Dataset.open(self.folder)

    def _move_into_place(self, manifest: bytes) -> None:
        new = self.staging / MANIFEST
        new.write_bytes(manifest)
        sync_file(new)
        self._moving = True
        (self.folder / MANIFEST).unlink(missing_ok=True)
        names = [file.file for file in manifests.list_files(manifests.parse_manifest(manifest))]
        for name in (*(name for name in names if (self.staging / name).exists()), MANIFEST):
            (self.folder / name).parent.mkdir(mode=0o700, exist_ok=True)
            (self.staging / name).replace(self.folder / name)
        left = {
            entry.name for entry in open_place(self.folder).list_entries() if manifests.is_dataset_file(entry.name)
        } - set(names)
        open_place(self.folder).remove(name for name in left if not name.startswith(f"{BUILDING}/"))
        self._moving = False


class RetainedRows:
    """What stays of the dataset that is replaced: all rows but those of some orders.

    `order` has the orders of the new dataset with their places (order_id, place); None: they stand by their ids.
    """

    def __init__(self, before: Dataset, replaced: Sequence[int], order: pl.DataFrame | None = None) -> None:
        self.previous, self.order_positions = before, order
        self.replaced_rows = before.only(replaced)
        """The rows that do not stay."""
        self._replaced = pl.Series(replaced, dtype=pl.Int64).implode()

    def scan_retained(self, name: str) -> pl.LazyFrame:
        """The rows of a table, of `failures` or of the lineage that stay."""
        found = self.previous.lineage(name) if name in LINEAGE_TABLES else self.previous.lazy(name)
        assert found is not None, "without lineage nothing is kept"
        return found.filter(~pl.col(ORDER_ID.name).is_in(self._replaced))

    def merge_with_new(self, name: str, new: pl.LazyFrame) -> pl.LazyFrame:
        """The rows that stay and new ones, each order in its place."""
        if self.order_positions is None:
            return self.scan_retained(name).merge_sorted(new, ORDER_ID.name)
        stays, comes = (
            rows.join(self.order_positions.lazy(), on=ORDER_ID.name, how="left", maintain_order="left")
            for rows in (self.scan_retained(name), new)
        )
        return stays.merge_sorted(comes, "place").drop("place")


def stage_part(staging: Path, number: int, frames: Frames) -> None:
    """Keeps a part on the disk until all are there, for polars cannot add to a parquet file; any process may do it.

    A part that is put aside twice is there once.
    """
    with _explain_disk_errors(staging.parent.parent):
        for name, frame in {**frames, NOTICED: frames.order_notes}.items():
            if not frame.is_empty():
                part = _staged_file(staging, name, number)
                part.parent.mkdir(exist_ok=True, mode=0o700)
                frame.write_ipc(part, compression="lz4", record_batch_size=STAGING_BATCH_ROWS)


def _staged_file(aside: Path, name: str, number: int) -> Path:
    return aside / name / f"{number:06d}{_STAGED_SUFFIX}"


def _staged_files(aside: Path, name: str) -> list[Path]:
    return sorted((aside / name).glob(f"*{_STAGED_SUFFIX}"))


def scan_staged_rows(aside: Path, name: str) -> pl.LazyFrame:
    """The rows of a table, or of `noticed`, that were put aside."""
    parts = _staged_files(aside, name)
    return pl.scan_ipc(parts) if parts else _DESCRIBED[name].empty_frame().lazy()


def write_staged_table(aside: Path, described: Mapping[str, Table], name: str) -> tuple[str, DatasetFile]:
    """Writes a table from its parts; its name, and its file."""
    with _explain_disk_errors(aside.parent.parent):
        file = write_table_file(aside / f"{name}.parquet", described[name], scan_staged_rows(aside, name))
        shutil.rmtree(aside / name, ignore_errors=True)
    return name, file


def write_table_file(file: Path, described: Table, rows: pl.LazyFrame) -> DatasetFile:
    """Writes a table to a file of the disk, for its owner alone."""
    count = write_parquet_table(rows, file, described)
    sync_file(file)
    digest = open_place(file.parent).file_digest(file.name)
    assert digest is not None
    return DatasetFile(file.name, count, file.stat().st_size, digest)


def _refuse_foreign_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file. Give a folder for the tables.")
    if not folder.is_dir() or manifests.read_manifest(open_place(folder)) is not None or (folder / BUILDING).exists():
        return
    refuse_foreign_files(open_place(folder))


def refuse_foreign_files(where: Place) -> None:
    """Leaves alone a place without a manifest that somebody else has put files into.

    Raises:
        ConfigError: it is one.
    """
    if (name := manifests.find_foreign_file(where)) is not None:
        raise ConfigError(
            f"{where.address} is not empty and holds no dataset (there is {name}, for one). "
            "Nothing was written. Give an empty or a new place."
        )


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Only one build at a time works on a folder of this machine.

    Raises:
        DatasetError: another one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with hold_lock(folder / LOCK, DatasetError(f"Another build is writing to {folder}. Wait until it has ended.")):
            yield
    finally:
        with suppress(OSError):  # it stays, unless it is empty
            folder.rmdir()


@contextmanager
def _explain_disk_errors(folder: Path) -> Iterator[None]:
    """Troubles of the disk as messages."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        kept = " The earlier tables are still there." if manifests.read_manifest(open_place(folder)) else ""
        raise DatasetError(
            f"The tables cannot be written to {folder}: {explain_disk_error(error)}.{kept} "
            "Make room or give another folder, and build again."
        ) from error
