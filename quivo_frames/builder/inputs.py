"""What a build reads: archives, raw exports of them, files and folders of orders."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple, Protocol

import polars as pl

from quivo_frames.archive import erasures
from quivo_frames.archive.archive import Archive
from quivo_frames.archive.raw_export.index import INDEX_FILE
from quivo_frames.archive.raw_export.reader import RawExportReader, SegmentPosition
from quivo_frames.archive.responses import ReadPosition
from quivo_frames.builder import order_files
from quivo_frames.dataset import manifest
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.latest import IDENTITY_SCHEMA, make_identity_frame
from quivo_frames.model.records import RawOrder
from quivo_frames.storage.bounded_lines import MAX_LINE_BYTES
from quivo_frames.storage.compressed import COMPRESSED_SUFFIXES
from quivo_frames.storage.path_names import check_path
from quivo_frames.storage.place import open_place
from quivo_frames.storage.urls import is_remote

BuildInput = str | os.PathLike[str] | Archive

_ORDERS_PER_CHUNK = 10_000
"""Orders of a file that are indexed at a time."""
_COMPRESSION_RATIO = 5
"""How much larger orders are than in compressed form, about."""
_ARCHIVE_SUFFIXES = (".sqlite", ".db")
_NO_LAST_MODIFIED = pl.lit(None, IDENTITY_SCHEMA["last_modified"]).alias("last_modified")
"""Of archived answers the time of the answer decides, so nobody decodes theirs."""

_NO_FINGERPRINT = pl.lit(None, pl.Int64).alias("fingerprint")
_NO_EARLIER_ANSWER = pl.lit(value=False).alias("clock_ran_backwards")


class SourceKind(StrEnum):
    """What orders are read from."""

    FILE = "file"
    ARCHIVE = "archive"
    RAW_EXPORT = "raw export"


class IndexedOrders(NamedTuple):
    """What the first pass learns about some orders of a source."""

    orders: pl.DataFrame
    """A row of INDEX per order, with `size` (bytes of JSON) and `fingerprint`: two bodies with the same one are the
    same. It is null for files, which would have to be read twice for it."""
    cursor_of: Callable[[int], object]
    """By the number of an order, counted from 0, what `read_from` needs to begin with it; None where it cannot."""


class OrderSource(Protocol):
    """One input of orders. Every read gives the same orders in the same order; sources travel to other processes."""

    name: str
    kind: SourceKind

    def estimate_size(self) -> int:
        """Bytes of JSON, about."""

    def index_orders(self, *, exact: bool) -> Iterator[IndexedOrders]:
        """Index entries of all orders, in chunks; the first pass.

        Only an `exact` one reads the times and sellers of orders in files, and ids that are written twice.
        """

    def read_state(self) -> ReadPosition | None:
        """Up to where it is read; None if a later build cannot go on from there."""

    def index_since(self, state: ReadPosition) -> list[pl.DataFrame] | None:
        """Index entries of the orders that have another answer since; None if what was read then is not all there."""

    def read_from(self, cursor: object) -> Iterator[RawOrder]:
        """The orders from a cursor on; None: from the first."""

    def read_selected(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        """Only the orders with these ids; archives and raw exports can do that."""

    def count_erased(self) -> int:
        """How many orders were erased from it since it was opened."""

    def hold_off_erasures(self) -> AbstractContextManager[None]:
        """A block in which nothing is erased from it, where this machine can decide that."""


class _FileSource:
    kind = SourceKind.FILE

    def __init__(self, path: Path, max_order_bytes: int, token: str) -> None:
        self.path, self.name, self.max_order_bytes = path, str(path), max_order_bytes
        self._token, self._of_thread = token, threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return _file_source_of, (self.path, self.max_order_bytes, self._token)

    def estimate_size(self) -> int:
        is_compressed = self.path.suffix.lower() in COMPRESSED_SUFFIXES
        return self.path.stat().st_size * (_COMPRESSION_RATIO if is_compressed else 1)

    def index_orders(self, *, exact: bool) -> Iterator[IndexedOrders]:
        read = 0
        index = order_files.FileIndex(self.path, read, exact=exact)
        for found in order_files.read_in_runs(self.path, None, self.max_order_bytes):
            index.add_orders(found)
            if len(index.sizes) >= _ORDERS_PER_CHUNK:
                yield _frame_of(index)
                read += len(index.sizes)
                index = order_files.FileIndex(self.path, read, exact=exact)
        yield _frame_of(index)

    def read_from(self, cursor: object) -> Iterator[RawOrder]:
        if isinstance(cursor, int):
            if not hasattr(self._of_thread, "reader"):
                self._of_thread.reader = order_files.ForwardReader(self.path, self.max_order_bytes)
            reader: order_files.ForwardReader = self._of_thread.reader
            return reader.read_from(cursor)
        start = cursor if isinstance(cursor, order_files.LinePosition) else None
        return order_files.read_orders(self.path, start, self.max_order_bytes)

    def read_state(self) -> ReadPosition | None:
        return None

    def index_since(self, state: ReadPosition) -> list[pl.DataFrame] | None:  # noqa: ARG002 - not known of a file
        return None

    def read_selected(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        raise NotImplementedError("a file has no index of order ids")

    def count_erased(self) -> int:
        return 0

    def hold_off_erasures(self) -> AbstractContextManager[None]:
        return nullcontext()


@functools.lru_cache(maxsize=8)
def _file_source_of(path: Path, max_order_bytes: int, token: str) -> _FileSource:
    """The same source for all partitions of a build in a process, so that reading goes on where it stopped."""
    return _FileSource(path, max_order_bytes, token)


class _ArchiveSource:
    kind = SourceKind.ARCHIVE

    def __init__(self, archive: Archive, as_of: datetime | None) -> None:
        self.path, self.name, self.as_of = archive.path, str(archive.path), as_of
        self.erasures = erasures.last_erasure(archive.path)  # first, so that none after it is overlooked
        self.last = archive.last_response()  # a refetch may add answers while we read

    def estimate_size(self) -> int:
        return self.path.stat().st_size * _COMPRESSION_RATIO

    def index_orders(self, *, exact: bool) -> Iterator[IndexedOrders]:  # noqa: ARG002 - the archive knows
        for orders in Archive(self.path).index_newest(self.as_of, last=self.last):
            yield IndexedOrders(orders.with_columns(_NO_LAST_MODIFIED), orders["order_id"].item)

    def read_state(self) -> ReadPosition | None:
        return None if self.as_of else Archive(self.path).read_state(self.last)

    def index_since(self, state: ReadPosition) -> list[pl.DataFrame] | None:
        archive, after = Archive(self.path), state.last_response
        if self.as_of or not 0 < after <= self.last or archive.read_state(after) != state:
            return None
        return list(archive.index_newest(last=self.last, after=after))

    def read_from(self, cursor: object) -> Iterator[RawOrder]:
        first = cursor if isinstance(cursor, int) else None
        return Archive(self.path).newest(self.as_of, last=self.last, first_order=first)

    def read_selected(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        return Archive(self.path).newest(self.as_of, last=self.last, order_ids=order_ids)

    def count_erased(self) -> int:
        return len(erasures.erased_orders(self.path, self.erasures))

    def hold_off_erasures(self) -> AbstractContextManager[None]:
        return erasures.hold_off_erasures(self.path)


class _RawExportSource:
    kind = SourceKind.RAW_EXPORT

    def __init__(self, segments: RawExportReader, as_of: datetime | None) -> None:
        self.segments, self.name, self.as_of = segments, segments.address, as_of

    def estimate_size(self) -> int:
        return self.segments.json_bytes

    def index_orders(self, *, exact: bool) -> Iterator[IndexedOrders]:  # noqa: ARG002 - the segments know
        for orders in self.segments.index_newest(self.as_of):
            yield IndexedOrders(orders.with_columns(_NO_LAST_MODIFIED), functools.partial(_segment_position, orders))

    def read_state(self) -> ReadPosition | None:
        return None

    def index_since(self, state: ReadPosition) -> list[pl.DataFrame] | None:  # noqa: ARG002 - its segments are quick to read
        return None

    def read_from(self, cursor: object) -> Iterator[RawOrder]:
        return self.segments.read_from(cursor if isinstance(cursor, SegmentPosition) else None, self.as_of)

    def read_selected(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        return self.segments.read_orders(order_ids, self.as_of)

    def count_erased(self) -> int:
        return self.segments.count_erased()

    def hold_off_erasures(self) -> AbstractContextManager[None]:
        return nullcontext()


def _segment_position(orders: pl.DataFrame, number: int) -> SegmentPosition:
    return SegmentPosition(*orders.select(SegmentPosition._fields).row(number))


def _frame_of(index: order_files.FileIndex) -> IndexedOrders:
    if index.identities is None:
        orders = pl.DataFrame({"order_id": index.order_ids}, schema_overrides=IDENTITY_SCHEMA).with_columns(
            pl.lit(None, dtype).alias(name) for name, dtype in IDENTITY_SCHEMA.items() if name != "order_id"
        )
    else:
        orders = make_identity_frame([(None, identity) for identity in index.identities])
    sizes = pl.Series("size", index.sizes, dtype=pl.Int64)
    return IndexedOrders(orders.with_columns(sizes, _NO_FINGERPRINT, _NO_EARLIER_ANSWER), index.position_of)


def open_sources(
    inputs: Sequence[BuildInput], as_of: datetime | None = None, max_order_bytes: int = MAX_LINE_BYTES
) -> list[OrderSource]:
    """The sources of some inputs; `as_of` ignores answers of archives that came later.

    Orders in files that are longer than `max_order_bytes` are not read, and become failures.

    Raises:
        ConfigError: an input is no source of orders, or does not say when its answers came.
    """
    return [source for build_input in inputs for source in _sources_of(build_input, as_of, max_order_bytes)]


def _sources_of(build_input: BuildInput, as_of: datetime | None, max_order_bytes: int) -> list[OrderSource]:
    if isinstance(build_input, Archive):
        return [_ArchiveSource(build_input, as_of)]
    if is_remote(os.fspath(build_input)):
        return [_RawExportSource(RawExportReader.open(open_place(build_input)), as_of)]
    path = check_path(build_input)
    if (path / INDEX_FILE).exists():
        return [_RawExportSource(RawExportReader.open(open_place(path)), as_of)]
    if path.is_file() and (path.suffix.lower() in _ARCHIVE_SUFFIXES or _is_sqlite(path)):
        return [_ArchiveSource(Archive(path), as_of)]
    if path.is_dir() and manifest.holds_dataset(open_place(path)):
        raise ConfigError(f"{path} holds tables that were built. Give what they were built from.")
    if inside := next(path.rglob(INDEX_FILE), None):
        raise ConfigError(f"{path} holds exports in folders of it, such as {inside.parent}. Name each of them.")
    if as_of is not None:
        raise ConfigError(f"{path} does not say when its orders were fetched. As of an instant, give archives alone.")
    return [_FileSource(file, max_order_bytes, token_hex(8)) for file in order_files.find_order_files(path)]


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\x00"
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror}.") from error
