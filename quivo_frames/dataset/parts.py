"""The parts of a dataset: bounded, consecutive sets of orders, and where their rows of each table are.

A part is what one task builds. It writes its rows of each table once, as a parquet file, of which the row groups are
copied from then on: parts are joined to files by bytes, and a later build copies the row groups of those that stay.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl

from quivo_frames.dataset.manifest import DatasetFile, facts_of_tables, files_of_table
from quivo_frames.dataset.manifest_facts import LINEAGE, file_stem
from quivo_frames.dataset.stored_tables import StoredTables
from quivo_frames.errors import DatasetError
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.tables import LINEAGE_TABLES, ORDER_ID, REPORT_TABLES, Table
from quivo_frames.storage.atomic import create_private_folder, sync_file
from quivo_frames.storage.own_json import decode_own_json
from quivo_frames.storage.parquet import ROW_GROUP_ROWS, write_parquet_table
from quivo_frames.storage.parquet_join import ParquetPiece, join_parquet_files
from quivo_frames.storage.place import Place, open_place

NOTICED, PARTS = "noticed", "parts"
_STAGED = "staged/"
"""How the names begin of files that hold a single part until it is joined with others."""


class DamagedTables(DatasetError):
    """A file of the earlier dataset is not what was written, so that its rows cannot stay."""


class Piece(NamedTuple):
    """The rows of a part in one table: consecutive row groups of a file, with the range of their order ids."""

    file: str
    first_group: int
    groups: int
    first_row: int
    rows: int
    smallest: int | None
    largest: int | None

    @property
    def is_staged(self) -> bool:
        """Whether it is a file of its own that is to be joined with others."""
        return self.file.startswith(_STAGED)

    def may_hold(self, sorted_ids: Sequence[int]) -> bool:
        """Whether one of some order ids may be in it."""
        if self.smallest is None or self.largest is None:
            return bool(self.rows)
        return any(self.smallest <= order_id <= self.largest for order_id in sorted_ids)


class Part(NamedTuple):
    """A part: how many orders were read for it, its pieces by table, and what its tables look like."""

    file_number: int
    """Parts with the same number share a file of each table."""
    order_count: int
    pieces: Mapping[str, Piece]
    profile: dict[str, dict[str, Any]]
    notes: Sequence[tuple[str, str, int, int | None, str]]
    """Its notes, summed."""

    def count_rows(self, name: str) -> int:
        """How many rows it has of a table."""
        return self.pieces[name].rows if name in self.pieces else 0


class PartLayout(NamedTuple):
    """All parts of a dataset in the order of rows, and the version of polars whose files they are."""

    parts: Sequence[Part]
    writer: str = pl.__version__

    def to_frame(self) -> pl.DataFrame:
        """The lineage table `parts`."""
        rows = [(number, self.writer, msgspec.json.encode(part).decode()) for number, part in enumerate(self.parts)]
        return pl.DataFrame(rows, schema=LINEAGE_TABLES[PARTS].schema, orient="row")


def read_intact(dataset: StoredTables, facts: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of a table with an entry in the manifest, from files whose sha256 is the one that is there.

    Raises:
        DatasetError: a file was changed, or is gone.
    """
    frames = []
    for file in files_of_table(facts):
        data = dataset.place.read(file.file) or b""
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise DatasetError(f"{dataset.place.uri(file.file)} is damaged. Build the tables again with --full.")
        frames.append(pl.read_parquet(io.BytesIO(data)))
    return pl.concat(frames)


def read_layout(dataset: StoredTables) -> PartLayout:
    """The parts of a dataset; of one without a record of them, each file with all of its row groups is a part.

    Raises:
        DatasetError: the record is damaged.
    """
    if (facts := dataset.manifest.get("lineage", {}).get(PARTS)) is None:
        return PartLayout(list(_parts_of_files(dataset)), writer="")
    frame = read_intact(dataset, facts)
    remedy = "Build the tables again with --full."
    file = dataset.place.uri(files_of_table(facts)[0].file)
    parts = [decode_own_json(text.encode(), Part, file, remedy) for text in frame["record"]]
    return PartLayout(parts, str(frame["writer"].first() or pl.__version__))


def _parts_of_files(dataset: StoredTables) -> Iterator[Part]:
    """Parts of tables that an earlier version wrote: files of the same number are about the same orders."""
    facts = {**facts_of_tables(dataset.manifest), **dataset.manifest.get("lineage", {})}
    named = [
        (file.file.split("-")[1] if "/" in file.file and "-" in file.file else "", name, file)
        for name in facts
        if name not in (*REPORT_TABLES, "answers")
        for file in files_of_table(facts[name])
        if file.rows
    ]
    named.sort(key=lambda entry: entry[0])
    for number, (_, entries) in enumerate(groupby(named, key=lambda entry: entry[0])):
        pieces = {name: Piece(file.file, 0, -1, 0, file.rows, None, None) for _, name, file in entries}
        yield Part(number, 0, pieces, {}, [])


def part_tables(*, derived: bool) -> dict[str, Table]:
    """The tables that parts have rows of: those of a dataset, and the notes of each order."""
    return {**dataset_tables(derived=derived), NOTICED: LINEAGE_TABLES[NOTICED]}


def path_of_table(name: str) -> str:
    """The path of a table, a report or a lineage table in a dataset, without the ending of a file."""
    return f"{LINEAGE}/{name}" if name in LINEAGE_TABLES else file_stem(name)


def stage_rows(staging: Path, definition: Table, number: int, rows: pl.DataFrame) -> Piece:
    """Write the rows of a part to a file of its own. Writing it twice is harmless."""
    name = f"{_STAGED}{path_of_table(definition.name)}/{number:06d}.parquet"
    create_private_folder((staging / name).parent)
    write_parquet_table(rows.lazy(), staging / name, definition)
    ids = rows[ORDER_ID.name]
    smallest, largest = ids.min(), ids.max()
    return Piece(name, 0, -(-rows.height // ROW_GROUP_ROWS), 0, rows.height, smallest, largest)  # type: ignore[arg-type]


class EarlierFiles:
    """The files of an earlier dataset as files of this machine: those of a store are copied to a folder first.

    Files are compared with their sha256 before they are copied from or, in a folder, at last when a table is joined.
    """

    def __init__(self, place: Place, files: Mapping[str, DatasetFile], folder: Path) -> None:
        self.place, self.files, self._folder = place, files, folder
        self._fetched: dict[str, Path] = {}

    def path_of(self, name: str) -> Path:
        """The path of a file.

        Raises:
            DamagedTables: it was changed; of a file of this machine, only `verify_digests` says so.
        """
        if Path(self.place.uri(name)).is_absolute():
            return Path(self.place.uri(name))
        if name not in self._fetched:
            path = self._folder / "earlier" / name
            create_private_folder(path.parent)
            path.write_bytes(self.place.read(name) or b"")
            self._refuse_damage(name, open_place(path.parent), path.name)
            self._fetched[name] = path
        return self._fetched[name]

    def verify_digests(self, names: Sequence[str]) -> None:
        """Find out that files are those that were written.

        Raises:
            DamagedTables: one is not.
        """
        for name in dict.fromkeys(names):
            if name not in self._fetched:
                self._refuse_damage(name, self.place, name)

    def _refuse_damage(self, name: str, place: Place, stored: str) -> None:
        if place.file_digest(stored) != self.files[name].sha256:
            raise DamagedTables(f"{self.place.uri(name)} is damaged. Build the tables again with --full.")

    def read_rows(self, piece: Piece) -> pl.DataFrame:
        """The rows of a piece.

        Raises:
            DamagedTables: they cannot be read.
        """
        try:
            scan = pl.scan_parquet(self.path_of(piece.file), glob=False)
            return scan.slice(piece.first_row, piece.rows).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DamagedTables(
                f"{self.place.uri(piece.file)} cannot be read. Build the tables again with --full."
            ) from error


class TableJoin(NamedTuple):
    """The pieces of one table that are to share a file, in the order of rows."""

    table: Table
    file_number: int
    pieces: Sequence[Piece]
    read_files: Sequence[str]
    """The earlier files from which rows have been read that stay."""


def join_table(staging: Path, earlier: EarlierFiles, join: TableJoin) -> tuple[TableJoin, DatasetFile, list[Piece]]:
    """Join the pieces of a table to one file of the staging folder; the file and the pieces tell where they are now.

    Raises:
        DamagedTables: a file of the earlier dataset is not what was written.
        OSError: the disk refuses.
    """
    name = f"{path_of_table(join.table.name)}.{join.file_number}.parquet"
    out = staging / name
    create_private_folder(out.parent)
    earlier.verify_digests([*join.read_files, *(piece.file for piece in join.pieces if not piece.is_staged)])
    if len(join.pieces) == 1 and join.pieces[0].is_staged:
        shutil.move(staging / join.pieces[0].file, out)
        sync_file(out)
        digest = open_place(staging).file_digest(name)
        assert digest is not None
        file = DatasetFile(name, join.pieces[0].rows, out.stat().st_size, digest)
    else:
        joined = join_parquet_files(list(_parquet_pieces(staging, earlier, join.pieces)), out, join.table)
        file = DatasetFile(name, joined.rows, joined.bytes, joined.sha256)
        for piece in join.pieces:
            if piece.is_staged:
                (staging / piece.file).unlink(missing_ok=True)
    return join, file, _pieces_of_file(name, join.pieces)


def _parquet_pieces(staging: Path, earlier: EarlierFiles, pieces: Sequence[Piece]) -> Iterator[ParquetPiece]:
    """What is copied for some pieces: those that stand one behind the other are one range of row groups."""
    last: ParquetPiece | None = None
    for piece in pieces:
        path = staging / piece.file if piece.is_staged else earlier.path_of(piece.file)
        first, stop = piece.first_group, piece.first_group + piece.groups
        if last and (last.path, last.stop_row_group) == (path, first):
            last = last._replace(stop_row_group=stop)
            continue
        if last:
            yield last
        last = ParquetPiece(path, first, stop)
    if last:
        yield last


def _pieces_of_file(name: str, pieces: Sequence[Piece]) -> list[Piece]:
    """The same pieces, one after the other in a new file."""
    found: list[Piece] = []
    group = row = 0
    for piece in pieces:
        found.append(piece._replace(file=name, first_group=group, first_row=row))
        group, row = group + piece.groups, row + piece.rows
    return found
