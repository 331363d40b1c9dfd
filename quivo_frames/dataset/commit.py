"""What every commit of a dataset does: it takes the parts that were built, and makes them the dataset of a place.

Parts are joined by bytes to files of a table (`dataset.parts`). A folder of this machine has one file a table, which
are renamed into place (`dataset.folder_commit`); any other place, and Delta tables, have files of some parts each under
names of their own, which a manifest names that is compared and swapped (`dataset.place_commit`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import polars as pl

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.manifest import (
    LOCK,
    MANIFEST,
    DatasetFile,
    TableFiles,
    files_of_table,
    is_manifest_intact,
    list_files,
    read_manifest,
    read_replaced_manifest,
    render_manifest,
)
from quivo_frames.dataset.parts import (
    NOTICED,
    PARTS,
    EarlierFiles,
    Part,
    PartLayout,
    TableJoin,
    join_table,
    part_tables,
    path_of_table,
)
from quivo_frames.errors import DatasetError, QuivoError
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import LINEAGE_TABLES, REPORT_TABLES, Table
from quivo_frames.storage import urls
from quivo_frames.storage.atomic import create_private_folder, explain_disk_error, hold_lock, sync_file
from quivo_frames.storage.parquet import write_parquet_table
from quivo_frames.storage.place import Place, open_place, refuse_output_place

Publish = Callable[[], AbstractContextManager[None]]
"""Makes a block in which a dataset may be replaced; entering it raises a QuivoError if it may not."""


class BuiltParts(NamedTuple):
    """Parts of a dataset in the order of rows, and what their pieces refer to besides staged files.

    `new_files` were written for them. `read_files` are, by table, the earlier files from which rows were read that
    stay.
    """

    parts: Sequence[Part]
    new_files: Mapping[str, DatasetFile]
    read_files: Mapping[str, Sequence[str]]


class MapJoins(Protocol):
    """A map in any order, which workers may share."""

    def __call__(
        self, work: Callable[[TableJoin], Any], items: Sequence[TableJoin], /
    ) -> Iterable[tuple[TableJoin, DatasetFile, list[Any]]]:
        """Results of `work` for each item."""


class PartDestination(NamedTuple):
    """Where a run writes its parts, and which tables they have. It is sent to workers with each task.

    With `staging`, each part is staged in that folder of the place, to be joined later. Else those that share files are
    joined where they were built, and delivered to the place under names that begin with `run`.
    """

    place: Place
    run: str
    tables: Mapping[str, Table]
    staging: Path | None = None

    def deliver_parts(self, staging: Path, earlier: EarlierFiles, built: BuiltParts) -> BuiltParts:
        """Join parts that share files, and write these files to the place; doing it twice is harmless.

        Raises:
            ConfigError: access was refused.
            DatasetError: the files cannot be written.
        """
        parts, delivered = list(built.parts), dict(built.new_files)
        for join in list_joins(self.tables, built, earlier.files):
            _, file, pieces = join_table(staging, earlier, join)
            name = name_of_file(self.run, join.table.name, join.file_number, file)
            with explain_write_errors(self.place):
                self.place.write(name, (staging / file.file).read_bytes())
            (staging / file.file).unlink()
            delivered[name] = file._replace(file=name)
            parts = move_pieces(parts, join, [piece._replace(file=name) for piece in pieces])
        return BuiltParts(parts, delivered, {})


def name_of_file(run: str, table: str, number: int, file: DatasetFile) -> str:
    """The name in a dataset of a file that is one of several of its table."""
    return f"{path_of_table(table)}/{run}-{number:06d}-{file.sha256[:16]}.parquet"


def list_joins(
    tables: Mapping[str, Table], built: BuiltParts, earlier: Mapping[str, DatasetFile]
) -> Iterator[TableJoin]:
    """What is to be joined: per table and number of files all pieces, unless they are just what an earlier file has."""
    for name, table in tables.items():
        by_file: dict[int, list[Any]] = {}
        for part in built.parts:
            if name in part.pieces:
                by_file.setdefault(part.file_number, []).append(part.pieces[name])
        for number, pieces in by_file.items():
            names = {piece.file for piece in pieces}
            file = earlier.get(next(iter(names)))
            is_complete = file is not None and sum(piece.rows for piece in pieces) == file.rows
            if len(names) > 1 or not is_complete:
                yield TableJoin(table, number, pieces, built.read_files.get(name, ()))


def move_pieces(parts: Sequence[Part], join: TableJoin, pieces: Sequence[Any]) -> list[Part]:
    """The parts, with new pieces for those that were joined."""
    left = iter(pieces)
    return [
        part._replace(pieces={**part.pieces, join.table.name: next(left)})
        if part.file_number == join.file_number and join.table.name in part.pieces
        else part
        for part in parts
    ]


class DatasetCommit(ABC):
    """Replaces the dataset of a place by parts that were built, with `derived` tables or without.

    With `rebuild`, a dataset that is there is replaced whatever is broken in it.

    Raises:
        ConfigError: the place holds something that is not a dataset, or we may not write to it.
        DatasetError: it cannot be written, or another build works on it or was first.
    """

    has_table_files: bool
    """Whether all parts, up to a bound, are joined to one file a table."""

    def __init__(
        self, out: str, privacy_filter: PrivacyFilter, form: str, *, derived: bool = True, rebuild: bool = False
    ) -> None:
        self.place = open_place(out)
        self.form, self._rebuild = form, rebuild
        tables = part_tables(derived=derived)
        self.tables = {name: privacy_filter.filtered_table(table) for name, table in tables.items()}
        """The tables of which parts have rows."""
        self.previous_manifest: Mapping[str, Any] = {}
        """The manifest of the dataset that is replaced."""
        self.earlier_files: Mapping[str, DatasetFile] = {}
        """Its files, by name."""
        self._exit_stack = ExitStack()

    def __enter__(self) -> Self:
        refuse_output_place(self.place.address, "folder of tables")
        with self.explain_errors(), ExitStack() as entered:
            self.read_current_manifest()  # before anything is written
            self.prepare_place(entered)
            self._exit_stack = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit_stack.close()

    @abstractmethod
    def prepare_place(self, entered: ExitStack) -> None:
        """Keep others out where that is possible, and prepare to write."""

    def explain_errors(self) -> AbstractContextManager[None]:
        """Raise what the place refuses in the block as a sentence."""
        return explain_write_errors(self.place)

    def read_current_manifest(self) -> None:
        """Read what is replaced."""
        self.manifest_bytes = self.place.read(MANIFEST)
        self.previous_manifest = read_replaced_manifest(
            self.place, self.manifest_bytes, self.form, rebuild=self._rebuild
        )
        self.earlier_files = {file.file: file for file in list_files(self.previous_manifest)}

    def previous_dataset(self) -> Dataset | None:
        """The dataset that is replaced, if it is complete, as far as can be told without reading its tables."""
        try:
            found = Dataset.open(self.place.address)
        except QuivoError:
            return None
        is_same = found.manifest == self.previous_manifest
        return found if is_same and is_manifest_intact(self.manifest_bytes) else None

    def find_unchanged_dataset(self, answers_digest: str | None) -> Dataset | None:  # noqa: ARG002 - of some places
        """The dataset that is there, if it was built from the same answers, and a commit would not change it."""
        return None

    def remove_written_files(self) -> None:  # noqa: B027 - some have nothing to do
        """Remove what this run has written and nobody else would remove, as it has read orders that were erased."""

    @abstractmethod
    def open_destination(self, answers_digest: str | None) -> PartDestination:
        """Where this run writes its parts: the same input on top of the same tables gives the same names."""

    @abstractmethod
    def join_parts(self, built: BuiltParts, map_joins: MapJoins) -> BuiltParts:
        """Give the parts of the whole dataset their files, as far as they have none."""

    @abstractmethod
    def write_frame(self, name: str, table: Table, frame: pl.DataFrame) -> DatasetFile:
        """Write a table, a report or a lineage table that has a single file."""

    @abstractmethod
    def replace_dataset(self, manifest: bytes, tables: Mapping[str, TableFiles], built: BuiltParts) -> None:
        """Make a manifest and the files that it names the dataset of the place."""

    def commit_dataset(
        self, facts: Mapping[str, Any], built: BuiltParts, failures: pl.DataFrame, notes: pl.DataFrame,
        answers: pl.DataFrame | None, publish: Publish = nullcontext,
    ) -> Dataset:  # fmt: skip
        """Replace the dataset by parts that have their files, in a block of `publish`, which may refuse it.

        `facts` go into the manifest. `answers` is which answer each order was built from; None if that is not known.

        Raises:
            DatasetError: another build was first, or the place cannot be written.
        """
        with self.explain_errors():
            files = {name: self._files_of(name, built) for name in self.tables}
            for name, frame in {"failures": failures, "notes": notes}.items():
                files[name] = [self.write_frame(name, REPORT_TABLES[name], frame)]
            lineage = {NOTICED: files.pop(NOTICED)}
            frames = {PARTS: PartLayout(built.parts).to_frame()} | ({} if answers is None else {"answers": answers})
            for name, frame in frames.items():
                lineage[name] = [self.write_frame(name, LINEAGE_TABLES[name], frame)]
            manifest = render_manifest({**facts, "form": self.form}, files, lineage)
            with publish():
                self.replace_dataset(manifest, files, built)
        return Dataset.open(self.place.address)

    def _files_of(self, name: str, built: BuiltParts) -> TableFiles:
        """The files of a table in the order of rows; one that has none is empty, or an empty one of before."""
        known = {**self.earlier_files, **built.new_files}
        named = dict.fromkeys(part.pieces[name].file for part in built.parts if name in part.pieces)
        if named:
            return [known[file] for file in named]
        before = self.previous_manifest
        facts: dict[str, Any] = {kind: before.get(kind, {}).get(name) for kind in ("tables", "derived", "lineage")}
        for found in filter(None, facts.values()):
            if found["rows"] == 0 and len(empty := files_of_table(found)) == 1:
                return empty
        return [self.write_frame(name, self.tables[name], self.tables[name].empty_frame())]


def write_table_file(folder: Path, name: str, definition: Table, rows: pl.LazyFrame) -> DatasetFile:
    """Write a table to a parquet file of a folder that only its owner can read; `name` may have a slash."""
    file = folder / name
    create_private_folder(file.parent)
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


def explain_write_errors(place: Place) -> AbstractContextManager[None]:
    """Raise what a place refuses in the block as a sentence."""
    problem, after = f"The tables cannot be written to {place.address}", "The earlier tables are still there, if any."
    return urls.explain_storage_errors(problem, "build again", after, DatasetError)


@contextmanager
def explain_disk_errors(folder: Path) -> Iterator[None]:
    """Raise what the disk of this machine refuses in the block as a sentence with a cure."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        kept = " The earlier tables are still there." if read_manifest(open_place(folder)) else ""
        raise DatasetError(
            f"The tables cannot be written to {folder}: {explain_disk_error(error)}.{kept} "
            "Make room or give another folder, and build again."
        ) from error
