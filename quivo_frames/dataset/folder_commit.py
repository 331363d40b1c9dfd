"""Commits a dataset to a folder of this machine, with one file a table.

    OUT/<table>.parquet                                     all rows; DERIVED/<table>.parquet those of a derived table
    OUT/<table>/<run>-<number>-<digest>.parquet             where there are more orders than fit in one file
    OUT/.lineage/...                                        what the next incremental build needs
    OUT/manifest.json                                       names the files; removed first, and written last

Parts are staged in OUT/.building, and joined there. Then the files are renamed into place: a build that is killed
before that leaves the earlier dataset; one that is killed in the midst is completed by the next.
"""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from secrets import token_hex
from types import TracebackType
from typing import Any

import polars as pl

from quivo_frames.dataset.commit import (
    BuiltParts,
    DatasetCommit,
    MapJoins,
    PartDestination,
    explain_disk_errors,
    list_joins,
    lock_folder,
    move_pieces,
    name_of_file,
    write_table_file,
)
from quivo_frames.dataset.manifest import (
    BUILDING,
    MANIFEST,
    DatasetFile,
    find_unnamed_files,
    list_files,
    parse_manifest,
)
from quivo_frames.dataset.manifest_facts import PARQUET
from quivo_frames.dataset.parts import EarlierFiles, join_table, path_of_table
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import Table
from quivo_frames.storage.atomic import create_private_folder, sync_file
from quivo_frames.storage.path_names import check_path


class FolderCommit(DatasetCommit):
    """The commit to a folder with one file a table; see `DatasetCommit`."""

    has_table_files = True

    def __init__(
        self, out: str, privacy_filter: PrivacyFilter, form: str = PARQUET, *, derived: bool = True,
        rebuild: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(out, privacy_filter, form, derived=derived, rebuild=rebuild)
        self.folder = check_path(out)
        self._building = self.folder / BUILDING
        self._run = token_hex(6)
        self.staging = self._building / self._run  # a stray worker of an earlier build finds no folder
        """The folder for staged parts, and for files until all are complete."""
        self._moving = False

    def explain_errors(self) -> AbstractContextManager[None]:
        """Raise what the disk refuses in the block as a sentence."""
        return explain_disk_errors(self.folder)

    def read_current_manifest(self) -> None:
        """As everywhere, unless a build was cut off while it moved its files."""
        if self._building.exists() and not (self.folder / MANIFEST).exists():
            return
        super().read_current_manifest()

    def prepare_place(self, entered: ExitStack) -> None:
        """Lock the folder, and remove what a killed build staged."""
        entered.enter_context(lock_folder(self.folder))
        self.read_current_manifest()
        shutil.rmtree(self._building, ignore_errors=True)
        create_private_folder(self.staging)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._moving:  # else it stays, as the sign of an interrupted build
            shutil.rmtree(self._building, ignore_errors=True)
        super().__exit__(kind, error, trace)

    def open_destination(self, answers_digest: str | None) -> PartDestination:  # noqa: ARG002 - names do not depend on it
        """Parts are staged in the folder, whatever is built."""
        return PartDestination(self.place, self._run, self.tables, self.staging)

    def join_parts(self, built: BuiltParts, map_joins: MapJoins) -> BuiltParts:
        """Join the parts, table by table."""
        parts, new_files = list(built.parts), dict(built.new_files)
        earlier = EarlierFiles(self.place, self.earlier_files, self.staging)
        is_single = len({part.file_number for part in parts}) == 1
        # The largest first, so that all workers end at about the same time.
        joins = sorted(
            list_joins(self.tables, built, self.earlier_files),
            key=lambda join: -sum(piece.rows for piece in join.pieces),
        )
        with self.explain_errors():
            for join, file, pieces in map_joins(partial(join_table, self.staging, earlier), joins):
                table = join.table.name
                name = f"{path_of_table(table)}.parquet"
                if not is_single:
                    name = name_of_file(self._run, table, join.file_number, file)
                    create_private_folder((self.staging / name).parent)
                (self.staging / file.file).rename(self.staging / name)
                new_files[name] = file._replace(file=name)
                parts = move_pieces(parts, join, [piece._replace(file=name) for piece in pieces])
        return BuiltParts(parts, new_files, {})

    def write_frame(self, name: str, table: Table, frame: pl.DataFrame) -> DatasetFile:
        """Stage the only file of a table."""
        return write_table_file(self.staging, f"{path_of_table(name)}.parquet", table, frame.lazy())

    def replace_dataset(self, manifest: bytes, tables: Any, built: BuiltParts) -> None:  # noqa: ARG002 - named there
        """Rename all staged files into place, and remove what is named no more."""
        new = self.staging / MANIFEST
        new.write_bytes(manifest)
        sync_file(new)
        self._moving = True
        (self.folder / MANIFEST).unlink(missing_ok=True)
        facts = parse_manifest(manifest) or {}
        names = [file.file for file in list_files(facts)]
        for name in (*(name for name in names if (self.staging / name).exists()), MANIFEST):
            create_private_folder((self.folder / name).parent)
            (self.staging / name).replace(self.folder / name)
        leftovers = find_unnamed_files(self.place, facts)
        self.place.remove(name for name in leftovers if not name.startswith(f"{BUILDING}/"))
        self._moving = False
