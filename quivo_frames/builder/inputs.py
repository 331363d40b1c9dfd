"""What a build reads: archives, raw exports, files and folders of orders, indexed and cut into partitions.

Each order has a position, counted from 0 through all sources. A first pass indexes ids and times, finds the orders that
a newer answer supersedes, and records seek points, so that a partition is read without reading what comes before it.
"""

from __future__ import annotations

import hashlib
import io
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from quivo_frames.archive.archive import Archive
from quivo_frames.archive.raw_export.index import INDEX_FILE
from quivo_frames.archive.raw_export.reader import RawExportReader, SegmentPosition
from quivo_frames.archive.responses import MAX_INT64
from quivo_frames.builder import order_files
from quivo_frames.builder.build_settings import DEFAULT_SETTINGS, BuildSettings
from quivo_frames.dataset import manifest
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.decode import OrderIdentity, read_identity, scan_identity
from quivo_frames.flattening.latest import (
    IDENTITY_SCHEMA,
    find_superseded_positions,
    has_repeated_ids,
    make_identity_frame,
)
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

ReadIdentity = Callable[[bytes], OrderIdentity]


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
    cursors: Sequence[object]
    """For each order, what `read_from` needs to begin with it; None where it cannot."""


class OrderSource(Protocol):
    """One input of orders. Every read gives the same orders in the same order; sources travel to other processes."""

    name: str
    kind: SourceKind

    def estimate_size(self) -> int:
        """Bytes of JSON, about."""

    def index_orders(self, read_identity_of: ReadIdentity) -> Iterator[IndexedOrders]:
        """Index entries of all orders, in chunks; the first pass."""

    def read_from(self, cursor: object) -> Iterator[RawOrder]:
        """The orders from a cursor on; None: from the first."""

    def read_selected(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        """Only the orders with these ids; archives and raw exports can do that."""


class _FileSource:
    kind = SourceKind.FILE

    def __init__(self, path: Path, max_order_bytes: int) -> None:
        self.path, self.name, self.max_order_bytes = path, str(path), max_order_bytes

    def estimate_size(self) -> int:
        is_compressed = self.path.suffix.lower() in COMPRESSED_SUFFIXES
        return self.path.stat().st_size * (_COMPRESSION_RATIO if is_compressed else 1)

    def index_orders(self, read_identity_of: ReadIdentity) -> Iterator[IndexedOrders]:
        # Without the bodies: those of a chunk would take more memory than everything else.
        entries = (
            (read_identity_of(raw.body), len(raw.body), position)
            for position, raw in order_files.read_with_positions(self.path, None, self.max_order_bytes)
        )
        while chunk := list(islice(entries, _ORDERS_PER_CHUNK)):
            orders = make_identity_frame([(found.order_id, None, found.last_modified) for found, _, _ in chunk])
            sizes = pl.Series("size", [size for _, size, _ in chunk], dtype=pl.Int64)
            orders = orders.with_columns(sizes, pl.lit(None, pl.Int64).alias("fingerprint"))
            yield IndexedOrders(orders, [position for *_, position in chunk])

    def read_from(self, cursor: object) -> Iterator[RawOrder]:
        start = cursor if isinstance(cursor, order_files.LinePosition) else None
        return order_files.read_orders(self.path, start, self.max_order_bytes)

    def read_selected(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        raise NotImplementedError("a file has no index of order ids")


class _ArchiveSource:
    kind = SourceKind.ARCHIVE

    def __init__(self, archive: Archive, as_of: datetime | None) -> None:
        self.path, self.name, self.as_of = archive.path, str(archive.path), as_of
        self.last = archive.last_response()  # a refetch may add answers while we read

    def estimate_size(self) -> int:
        return self.path.stat().st_size * _COMPRESSION_RATIO

    def index_orders(self, read_identity_of: ReadIdentity) -> Iterator[IndexedOrders]:  # noqa: ARG002 - the archive knows
        for orders in Archive(self.path).index_newest(self.as_of, last=self.last):
            yield IndexedOrders(orders.with_columns(_NO_LAST_MODIFIED), orders["order_id"].to_list())

    def read_from(self, cursor: object) -> Iterator[RawOrder]:
        first = cursor if isinstance(cursor, int) else -MAX_INT64
        return Archive(self.path).newest(self.as_of, last=self.last, first_order=first)

    def read_selected(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        return Archive(self.path).newest(self.as_of, last=self.last, order_ids=order_ids)


class _RawExportSource:
    kind = SourceKind.RAW_EXPORT

    def __init__(self, segments: RawExportReader, as_of: datetime | None) -> None:
        self.segments, self.name, self.as_of = segments, segments.address, as_of

    def estimate_size(self) -> int:
        return self.segments.json_bytes

    def index_orders(self, read_identity_of: ReadIdentity) -> Iterator[IndexedOrders]:  # noqa: ARG002 - the segments know
        for orders in self.segments.index_newest(self.as_of):
            cursors = list(map(SegmentPosition._make, orders.select(SegmentPosition._fields).iter_rows()))
            yield IndexedOrders(orders.with_columns(_NO_LAST_MODIFIED), cursors)

    def read_from(self, cursor: object) -> Iterator[RawOrder]:
        return self.segments.read_from(cursor if isinstance(cursor, SegmentPosition) else None, self.as_of)

    def read_selected(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        return self.segments.read_orders(order_ids, self.as_of)


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
    return [_FileSource(file, max_order_bytes) for file in order_files.find_order_files(path)]


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\x00"
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror}.") from error


class SeekPoint(NamedTuple):
    """An order that reading can begin at."""

    position: int
    source_number: int
    cursor: object
    """What the source needs to begin there."""
    bytes_before: int
    """Bytes of JSON of all orders before it, through all sources."""


class SourceRange(NamedTuple):
    """Consecutive orders of one source."""

    source: OrderSource
    cursor: object
    order_count: int
    superseded_positions: frozenset[int]
    """Those that a newer answer supersedes, counted from 0 at the cursor."""

    def read_orders(self) -> Iterator[RawOrder]:
        """The orders that no newer answer supersedes.

        Raises:
            ConfigError: the source has fewer orders than when it was indexed.
        """
        position = 0
        for raw in islice(self.source.read_from(self.cursor), self.order_count):
            if position not in self.superseded_positions:
                yield raw
            position += 1
        if position < self.order_count:
            raise ConfigError(f"{self.source.name} was changed while it was read. Build again when it is complete.")


class SelectedOrders(NamedTuple):
    """Some orders of one source, by id."""

    source: OrderSource
    order_ids: Sequence[int]

    def read_orders(self) -> Iterator[RawOrder]:
        """These orders."""
        return self.source.read_selected(self.order_ids)


class Partition(NamedTuple):
    """Orders that are built together, in any process on any machine: a partition has all that it takes to read them."""

    number: int
    pieces: Sequence[SourceRange | SelectedOrders]

    def read_orders(self) -> Iterator[RawOrder]:
        """The orders of the partition.

        Raises:
            ConfigError: a source has fewer orders than when it was indexed.
            ArchiveError: an answer is damaged.
        """
        return chain.from_iterable(piece.read_orders() for piece in self.pieces)


ANSWER_SCHEMA = {
    "order_id": pl.Int64(),
    "fetched_at": pl.Datetime("us", "UTC"),
    "fingerprint": pl.Int64(),
    "source": pl.Int64(),
    "size": pl.Int64(),
}
"""What identifies an answer about an order, the number of its source, and its bytes of JSON."""
_INDEX_SCHEMA = {**IDENTITY_SCHEMA, **ANSWER_SCHEMA}


class OrderIndex:
    """All orders of all sources: how many there are, which of them are superseded, and partitions of them."""

    def __init__(self, sources: Sequence[OrderSource], settings: BuildSettings = DEFAULT_SETTINGS) -> None:
        self.orders_by_source = {source.name: 0 for source in sources}
        """Numbers of orders, superseded ones included, by name of the source."""
        self._sources, self._settings = sources, settings
        self._seek_points: list[SeekPoint] = []
        self._bytes_indexed = 0
        index = self._index_sources(scan_identity)
        if has_repeated_ids(index["order_id"]):  # a quick glance is not exact enough to decide which answer wins
            index = self._index_sources(read_identity)
        self.superseded_positions = find_superseded_positions(index)
        """Positions of the orders that a newer answer supersedes, with their ids."""
        self._order_count = index.height
        self.orders_left = index.height - len(self.superseded_positions)
        """Number of orders that are not superseded."""
        self.current_answers = self._answers_left(index)
        """A row of ANSWER_SCHEMA for each of these, by position; None if some come from files."""

    def _index_sources(self, read_identity_of: ReadIdentity) -> pl.DataFrame:
        self._bytes_indexed, self._seek_points = 0, []
        chunks = [pl.DataFrame(schema=_INDEX_SCHEMA)]
        position = 0
        for number, source in enumerate(self._sources):
            start = position
            for orders, cursors in source.index_orders(read_identity_of):
                for size, cursor in zip(orders["size"].to_list(), cursors, strict=True):
                    if position == start or (cursor is not None and self._seek_point_due(position)):
                        self._seek_points.append(SeekPoint(position, number, cursor, self._bytes_indexed))
                    self._bytes_indexed += size
                    position += 1
                chunks.append(orders.with_columns(source=pl.lit(number, pl.Int64)).select(list(_INDEX_SCHEMA)))
            self.orders_by_source[source.name] = position - start
        return pl.concat(chunks)

    def _answers_left(self, index: pl.DataFrame) -> pl.DataFrame | None:
        if index["fingerprint"].null_count() or not self._order_count:
            return None
        if not self.superseded_positions:
            return index.select(list(ANSWER_SCHEMA))
        superseded = pl.Series(list(self.superseded_positions), dtype=pl.UInt32).implode()
        is_superseded = pl.int_range(pl.len(), dtype=pl.UInt32).is_in(superseded)
        return index.filter(~is_superseded).select(list(ANSWER_SCHEMA))

    def answers_digest(self, recipe: str) -> str | None:
        """A digest of exactly these answers and of the recipe for their tables; None if orders come from files."""
        if self.current_answers is None:
            return None
        digest = hashlib.sha256(f"{recipe} {list(self.orders_by_source)}".encode())
        for rows in self.current_answers.iter_slices(_ORDERS_PER_CHUNK * 100):
            rows.write_ipc(found := io.BytesIO(), compression="uncompressed")
            digest.update(found.getbuffer())
        return digest.hexdigest()

    def _seek_point_due(self, position: int) -> bool:
        orders = position - self._seek_points[-1].position
        size = self._bytes_indexed - self._seek_points[-1].bytes_before
        return orders >= self._settings.orders_per_seek_point or size >= self._settings.bytes_per_seek_point

    def partition_all(self, workers: int) -> list[Partition]:
        """All orders in partitions of at most the sizes of the settings, as many for each of `workers`."""
        count = -(-self._order_count // self._settings.orders_per_partition)
        most = self._order_count / max(-(-count // workers) * workers, 1)
        starts: list[list[SeekPoint]] = [[]]
        """Of each partition, where its range of each source begins."""
        for point in self._seek_points:
            first = starts[-1][0] if starts[-1] else point
            size = point.bytes_before - first.bytes_before
            if point.position - first.position >= most or size >= self._settings.bytes_per_partition:
                starts.append([point])
            elif point is first or point.source_number != starts[-1][-1].source_number:
                starts[-1].append(point)
        stops = iter([*(point.position for points in starts for point in points), self._order_count])
        next(stops, None)  # each range stops where the next one starts
        superseded_sorted = sorted(self.superseded_positions)
        return [
            Partition(number, [self._range_from(point, next(stops), superseded_sorted) for point in points])
            for number, points in enumerate(starts)
        ]

    def _range_from(self, point: SeekPoint, stop: int, superseded_sorted: Sequence[int]) -> SourceRange:
        start = point.position
        inside = superseded_sorted[bisect_left(superseded_sorted, start) : bisect_left(superseded_sorted, stop)]
        source = self._sources[point.source_number]
        return SourceRange(source, point.cursor, stop - start, frozenset(position - start for position in inside))

    def partition_answers(self, answers: pl.DataFrame) -> list[Partition]:
        """Some rows of `current_answers`, read by id, in partitions of at most the sizes of the settings."""
        group_keys = [
            (pl.int_range(pl.len()) // self._settings.orders_per_partition).alias("by_count"),
            (pl.col("size").cum_sum() // self._settings.bytes_per_partition).alias("by_size"),
        ]
        found: list[Partition] = []
        for (source,), rows in answers.partition_by("source", as_dict=True, maintain_order=True).items():
            for group in rows.with_columns(group_keys).partition_by("by_count", "by_size", maintain_order=True):
                selected = SelectedOrders(self._sources[source], group["order_id"].to_list())
                found.append(Partition(len(found), [selected]))
        return found
