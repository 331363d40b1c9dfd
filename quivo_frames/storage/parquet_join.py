"""Parquet files of one schema joined to one file, without reading a value: its row groups are copied as bytes.

Only the footer is rewritten: it says where each column of each row group begins, counted from the beginning of the
file. Indexes of pages and bloom filters are left out, which readers do without: a column of a row group is one page, or
few. Statistics of row groups, by which readers pass over them, stay.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, NamedTuple

from quivo_frames.errors import DatasetError
from quivo_frames.model.tables import Table
from quivo_frames.storage.atomic import open_private_file, renamed_when_complete
from quivo_frames.storage.compact_thrift import I64, STRUCT, BrokenStruct, Struct, read_struct, write_struct
from quivo_frames.storage.parquet import write_parquet_table

_MAGIC = b"PAR1"
_TAIL_BYTES = 8  # the size of the footer, and _MAGIC
_COPIED_BYTES = 2**20
_MOST_ORDINALS = 2**15

# The numbers of fields in parquet.thrift, by struct.
_SCHEMA, _FILE_ROWS, _ROW_GROUPS, _WRITER = 2, 3, 4, 6
_COLUMNS, _ROWS, _GROUP_OFFSET, _ORDINAL = 1, 3, 5, 7
_CHUNK_OFFSET, _METADATA, _PAGE_INDEXES = 2, 3, (4, 5, 6, 7)
_COMPRESSED_SIZE, _PAGE_OFFSETS, _BLOOM_FILTERS = 7, (9, 10, 11), (14, 15)


class ParquetPiece(NamedTuple):
    """A parquet file, or a range of its row groups."""

    path: Path
    first_row_group: int = 0
    stop_row_group: int | None = None
    """The first one that is left out; None: none is."""


class JoinedFile(NamedTuple):
    """A file that was written."""

    rows: int
    bytes: int
    sha256: str
    row_groups: int


def join_parquet_files(pieces: Sequence[ParquetPiece], out: Path, described: Table | None = None) -> JoinedFile:
    """Write the rows of some parquet files, one after the other, to one file that only its owner can read.

    It is synced to the disk, and replaces `out` when it is complete. Without pieces, it is an empty table as
    `described`. What the first piece says of itself besides, such as descriptions of columns, holds for the whole.

    Raises:
        DatasetError: a piece is no complete parquet file, or has other columns or another writer than the first.
        OSError: the disk refuses.
    """
    new = out.with_name(f".new.{out.name}")
    with renamed_when_complete(new, out):
        if not pieces:
            assert described is not None, "without pieces, nothing else says which columns there are"
            write_parquet_table(described.empty_frame().lazy(), new, described)
            data = new.read_bytes()
            return JoinedFile(0, len(data), hashlib.sha256(data).hexdigest(), 0)
        new.unlink(missing_ok=True)
        with os.fdopen(open_private_file(new), "wb") as stream:
            return _write_joined(pieces, stream)


def _write_joined(pieces: Sequence[ParquetPiece], out: IO[bytes]) -> JoinedFile:
    written, digest, buffer = 0, hashlib.sha256(), memoryview(bytearray(_COPIED_BYTES))

    def append_and_digest(data: bytes | memoryview) -> None:
        nonlocal written
        out.write(data)
        digest.update(data)
        written += len(data)

    append_and_digest(_MAGIC)
    whole: Struct = {}
    groups: list[bytes] = []
    rows = 0
    for path, first, stop in pieces:
        with _explain_damage(path), path.open("rb") as stream:
            footer, size = _read_footer(stream)
            if not whole:
                whole = footer
            elif footer[_SCHEMA] != whole[_SCHEMA] or footer.get(_WRITER) != whole.get(_WRITER):
                raise DatasetError(
                    f"{path} has other columns than {pieces[0].path}, or was written by another version: their rows "
                    "cannot be joined. Build all tables again (build --full)."
                )
            ranges = list(_byte_ranges(footer, size))[first:stop]
            for group, (begin, end) in zip(_groups_of(footer)[first:stop], ranges, strict=True):
                _move_group(group, written - begin, len(groups))
                groups.append(write_struct(group))
                rows += group[_ROWS][1]
                stream.seek(begin)
                for block in _blocks_of(stream, end - begin, buffer):
                    append_and_digest(block)
    whole[_FILE_ROWS] = I64, rows
    whole[_ROW_GROUPS] = whole[_ROW_GROUPS][0], (STRUCT, groups)
    data = write_struct(whole)
    append_and_digest(data + len(data).to_bytes(4, "little") + _MAGIC)
    return JoinedFile(rows, written, digest.hexdigest(), len(groups))


def _read_footer(stream: BufferedReader) -> tuple[Struct, int]:
    """The footer of a parquet file, and the bytes before it."""
    size = stream.seek(0, os.SEEK_END) - _TAIL_BYTES
    stream.seek(max(size, 0))
    tail = stream.read(_TAIL_BYTES)
    size -= int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or size < len(_MAGIC):
        raise BrokenStruct("its end is missing")
    stream.seek(size)
    data = stream.read()
    footer, read = read_struct(data)
    if read != len(data) - _TAIL_BYTES:
        raise BrokenStruct("there is more than a footer")
    return footer, size


def _groups_of(footer: Struct) -> list[Struct]:
    groups: list[Struct] = footer[_ROW_GROUPS][1][1]
    return groups


def _columns_of(group: Struct) -> Iterator[tuple[Struct, Struct]]:
    """The columns of a row group, each with its metadata."""
    for chunk in group[_COLUMNS][1][1]:
        yield chunk, chunk[_METADATA][1]


def _byte_ranges(footer: Struct, size: int) -> Iterator[tuple[int, int]]:
    """Where each row group begins and ends; `size` bytes are before the footer."""
    last = len(_MAGIC)
    for group in _groups_of(footer):
        starts, stops = [], []
        for _, column in _columns_of(group):
            starts.append(min(column[number][1] for number in _PAGE_OFFSETS if column.get(number, (I64, 0))[1]))
            stops.append(starts[-1] + column[_COMPRESSED_SIZE][1])
        if not last <= min(starts) < max(stops) <= size:
            raise BrokenStruct("a row group is not where it should be")
        last = max(stops)
        yield min(starts), last


def _move_group(group: Struct, distance: int, ordinal: int) -> None:
    """Let a row group say that it is so many bytes further on, and which one it is."""
    _move_offset(group, _GROUP_OFFSET, distance)
    if _ORDINAL in group:
        if ordinal < _MOST_ORDINALS:
            group[_ORDINAL] = group[_ORDINAL][0], ordinal
        else:
            del group[_ORDINAL]
    for chunk, column in _columns_of(group):
        _move_offset(chunk, _CHUNK_OFFSET, distance)
        for number in _PAGE_OFFSETS:
            _move_offset(column, number, distance)
        for number in _PAGE_INDEXES:
            chunk.pop(number, None)
        for number in _BLOOM_FILTERS:
            column.pop(number, None)


def _move_offset(fields: Struct, number: int, distance: int) -> None:
    kind, offset = fields.get(number, (I64, 0))
    if offset:  # 0 says that there is none
        fields[number] = kind, offset + distance


def _blocks_of(stream: BufferedReader, size: int, buffer: memoryview) -> Iterator[memoryview]:
    while size:
        count = stream.readinto(buffer[:size])
        if not count:
            raise BrokenStruct("its end is missing")
        yield buffer[:count]
        size -= count


@contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise DatasetError(
            f"{path} is no complete parquet file: it was damaged or cut off. Build the tables again."
        ) from error
