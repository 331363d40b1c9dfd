"""Noun: what a build reads orders from: archives, what was exported from them, files and folders of them. Floor 5.

Orders have places, counted from 0 through all sources. A first look takes their ids, finds those that a newer answer
replaces, and leaves marks, so that any range of places can be read without reading what stands before it.
"""

from __future__ import annotations

import hashlib
import io
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from quivo_frames.archive.archive import Archive
from quivo_frames.archive.raw_export.index import MARKER
from quivo_frames.archive.raw_export.reader import Segments, Spot
from quivo_frames.archive.responses import LARGEST
from quivo_frames.builder import order_files
from quivo_frames.dataset import manifest
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.decode import Peek, glance, peek
from quivo_frames.flattening.latest import INDEX, indexed, repeats, superseded
from quivo_frames.model.records import RawOrder
from quivo_frames.storage import compressed
from quivo_frames.storage.place import place
from quivo_frames.storage.urls import is_remote

Input = str | os.PathLike[str] | Archive

CHUNK = 10_000
STEP = 500
"""Orders from one mark to the next."""
STEP_BYTES = 8 * 2**20
"""Bytes from one mark to the next, at the most but for one order."""
_PACKED = 5
"""Orders are so many times as large as they are packed."""
_ARCHIVES = (".sqlite", ".db")

Look = Callable[[bytes], Peek]


class Seen(NamedTuple):
    """What the first look sees of some orders: a row of INDEX each, with fingerprint and size.

    The fingerprint tells a body from any other, null in files, where that would mean to read them twice; `marks` are
    where reading can begin with each, None for most.
    """

    orders: pl.DataFrame
    marks: Sequence[object]


class Source(Protocol):
    """Something that orders are read from, the same ones as often as asked."""

    name: str

    def size(self) -> int:
        """Bytes of JSON, about."""

    def index(self, look: Look) -> Iterator[Seen]:
        """All orders, without what `read` needs to decode them."""

    def read(self, mark: object) -> Iterator[RawOrder]:
        """The orders from a mark on; from the first for None."""

    def pick(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        """Some orders alone, by id."""


class _File:
    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def size(self) -> int:
        return self.path.stat().st_size * (_PACKED if self.path.suffix.lower() in compressed.PACKED else 1)

    def index(self, look: Look) -> Iterator[Seen]:
        # Without the bodies: of a chunk they would take more memory than all the rest.
        seen = ((look(raw.body), len(raw.body), spot) for spot, raw in order_files.spots(self.path))
        while chunk := list(islice(seen, CHUNK)):
            orders = indexed([(found.order_id, None, found.last_modified) for found, _, _ in chunk])
            sizes = pl.Series("size", [size for _, size, _ in chunk], dtype=pl.Int64)
            orders = orders.with_columns(sizes, pl.lit(None, pl.Int64).alias("fingerprint"))
            yield Seen(orders, [spot for *_, spot in chunk])

    def read(self, mark: object) -> Iterator[RawOrder]:
        return (raw for _, raw in order_files.spots(self.path, mark if isinstance(mark, order_files.Spot) else None))

    def pick(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        raise NotImplementedError("files have no orders that can be found by their ids")


class _Archived:
    def __init__(self, archive: Archive, as_of: datetime | None) -> None:
        self.path, self.name, self.as_of = archive.path, str(archive.path), as_of
        self.last = archive.last()  # a refetch may go on while we read

    def size(self) -> int:
        return self.path.stat().st_size * _PACKED

    def index(self, look: Look) -> Iterator[Seen]:  # noqa: ARG002 - the archive knows
        for orders in Archive(self.path).index(self.as_of, last=self.last):
            nothing = pl.lit(None, INDEX["last_modified"]).alias("last_modified")
            yield Seen(orders.with_columns(nothing), orders["order_id"].to_list())

    def read(self, mark: object) -> Iterator[RawOrder]:
        first = mark if isinstance(mark, int) else -LARGEST
        return Archive(self.path).newest(self.as_of, last=self.last, first_order=first)

    def pick(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        return Archive(self.path).newest(self.as_of, last=self.last, order_ids=order_ids)


class _Exported:
    def __init__(self, segments: Segments, as_of: datetime | None) -> None:
        self.segments, self.name, self.as_of = segments, segments.address, as_of

    def size(self) -> int:
        return self.segments.size

    def index(self, look: Look) -> Iterator[Seen]:  # noqa: ARG002 - the segments know
        for orders in self.segments.index(self.as_of):
            nothing = pl.lit(None, INDEX["last_modified"]).alias("last_modified")
            yield Seen(orders.with_columns(nothing), list(map(Spot._make, orders.select(Spot._fields).iter_rows())))

    def read(self, mark: object) -> Iterator[RawOrder]:
        return self.segments.read(mark if isinstance(mark, Spot) else None, self.as_of)

    def pick(self, order_ids: Sequence[int]) -> Iterator[RawOrder]:
        return self.segments.pick(order_ids, self.as_of)


def sources(given: Sequence[Input], as_of: datetime | None = None) -> list[Source]:
    """The sources that some inputs mean; `as_of` leaves out answers of archives that came later.

    Raises:
        ConfigError: one of them is neither, or does not tell when its answers came.
    """
    return [source for one in given for source in _sources(one, as_of)]


def _sources(one: Input, as_of: datetime | None) -> list[Source]:
    if isinstance(one, Archive):
        return [_Archived(one, as_of)]
    path = Path(one)
    if is_remote(os.fspath(one)) or (path / MARKER).exists():
        return [_Exported(Segments.open(place(one)), as_of)]
    if path.is_file() and (path.suffix.lower() in _ARCHIVES or _is_sqlite(path)):
        return [_Archived(Archive(path), as_of)]
    if path.is_dir() and manifest.read(place(path)) is not None:
        raise ConfigError(f"{path} holds tables that were built. Give what they were built from.")
    if inside := next(path.rglob(MARKER), None):
        raise ConfigError(f"{path} holds exports in folders of it, such as {inside.parent}. Name each of them.")
    if as_of is not None:
        raise ConfigError(f"{path} does not say when its orders were fetched. As of an instant, give archives alone.")
    return [_File(file) for file in order_files.find(path)]


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\x00"
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror}.") from error


class Mark(NamedTuple):
    """A place that reading can begin at: the number of the source, its own mark, and the bytes of all before it."""

    place: int
    source: int
    mark: object
    size: int


class Slice(NamedTuple):
    """`orders` consecutive orders of one source, from a mark on; `losers` are those that a newer answer replaces."""

    source: Source
    mark: object
    orders: int
    losers: frozenset[int]
    """By their places, counted from 0 at the mark."""

    def read(self) -> Iterator[RawOrder]:
        """The orders that no newer answer replaces.

        Raises:
            ConfigError: the source has fewer orders than before.
        """
        seen = 0
        for raw in islice(self.source.read(self.mark), self.orders):
            if seen not in self.losers:
                yield raw
            seen += 1
        if seen < self.orders:
            raise ConfigError(f"{self.source.name} was changed while it was read. Build again when it is complete.")


class Pick(NamedTuple):
    """Some orders of one source, by id."""

    source: Source
    order_ids: Sequence[int]

    def read(self) -> Iterator[RawOrder]:
        """These orders."""
        return self.source.pick(self.order_ids)


class Part(NamedTuple):
    """Orders that are built in one go, wherever that is: a part knows all that it takes to read them."""

    number: int
    pieces: Sequence[Slice | Pick]

    def read(self) -> Iterator[RawOrder]:
        """The orders of the part.

        Raises:
            ConfigError: a source has fewer orders than before.
            ArchiveError: an answer is damaged.
        """
        return chain.from_iterable(piece.read() for piece in self.pieces)


ANSWERS = {
    "order_id": pl.Int64(),
    "fetched_at": pl.Datetime("us", "UTC"),
    "fingerprint": pl.Int64(),
    "source": pl.Int64(),
    "size": pl.Int64(),
}
"""What tells an answer from any other about the same order, which source has it, and its bytes of JSON."""
_SEEN = {**INDEX, **ANSWERS}


class Inputs:
    """The orders of all sources: how many there are, which of them are replaced, and ranges of them to be built."""

    def __init__(self, found: Sequence[Source]) -> None:
        self.counts = {source.name: 0 for source in found}
        """Orders by source."""
        self._sources = found
        self._marks: list[Mark] = []
        self._size = 0
        index = self._index(glance)
        if repeats(index["order_id"]):  # then it matters what exactly they are
            index = self._index(peek)
        self.losers = superseded(index)
        """Places of the orders that a newer answer replaces, with their ids."""
        self._found = index.height
        self.taken = index.height - len(self.losers)
        """How many are left."""
        self.answers = self._answers(index)
        """Those that are left, if all of them come from archives: a row of ANSWERS each, by place; else None."""

    def _index(self, look: Look) -> pl.DataFrame:
        self._size, self._marks = 0, []
        chunks = [pl.DataFrame(schema=_SEEN)]
        place = 0
        for number, source in enumerate(self._sources):
            start = place
            for orders, marks in source.index(look):
                for size, mark in zip(orders["size"].to_list(), marks, strict=True):
                    if place == start or (mark is not None and self._is_due(place)):
                        self._marks.append(Mark(place, number, mark, self._size))
                    self._size += size
                    place += 1
                chunks.append(orders.with_columns(source=pl.lit(number, pl.Int64)).select(list(_SEEN)))
            self.counts[source.name] = place - start
        return pl.concat(chunks)

    def _answers(self, index: pl.DataFrame) -> pl.DataFrame | None:
        if index["fingerprint"].null_count() or not self._found:
            return None
        if not self.losers:
            return index.select(list(ANSWERS))
        losers = pl.Series(list(self.losers), dtype=pl.UInt32).implode()
        return index.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(losers)).select(list(ANSWERS))

    def digest(self, recipe: str) -> str | None:
        """What tells these very answers, made into tables by this recipe, from any others; None for files of orders."""
        if self.answers is None:
            return None
        digest = hashlib.sha256(f"{recipe} {list(self.counts)}".encode())
        for rows in self.answers.iter_slices(CHUNK * 100):
            rows.write_ipc(found := io.BytesIO(), compression="uncompressed")
            digest.update(found.getbuffer())
        return digest.hexdigest()

    def _is_due(self, place: int) -> bool:
        last = self._marks[-1]
        return place - last.place >= STEP or self._size - last.size >= STEP_BYTES

    def parts(self, orders: int, size: int, shares: int) -> list[Part]:
        """All orders in parts of about `orders` orders at the most, fewer if that makes `size` bytes.

        There are enough of them for `shares` to be even.
        """
        count = -(-self._found // orders)
        most = self._found / max(-(-count // shares) * shares, 1)
        begins: list[list[Mark]] = [[]]
        """Where the slices of each part begin."""
        for mark in self._marks:
            first = begins[-1][0] if begins[-1] else mark
            if mark.place - first.place >= most or mark.size - first.size >= size:
                begins.append([mark])
            elif mark is first or mark.source != begins[-1][-1].source:
                begins[-1].append(mark)
        stops = iter([*(mark.place for part in begins for mark in part), self._found])
        next(stops, None)
        losers = sorted(self.losers)
        return [
            Part(number, [self._slice(mark, next(stops), losers) for mark in part])
            for number, part in enumerate(begins)
        ]

    def _slice(self, mark: Mark, stop: int, losers: Sequence[int]) -> Slice:
        start = mark.place
        among = losers[bisect_left(losers, start) : bisect_left(losers, stop)]
        return Slice(self._sources[mark.source], mark.mark, stop - start, frozenset(place - start for place in among))

    def picks(self, wanted: pl.DataFrame, orders: int, size: int) -> list[Part]:
        """Some rows of `answers`, in parts of about so many orders, of so many bytes, at the most."""
        found: list[Part] = []
        for (source,), rows in wanted.partition_by("source", as_dict=True, maintain_order=True).items():
            share = (pl.int_range(pl.len()) // orders).alias("count"), (pl.col("size").cum_sum() // size).alias("bytes")
            for part in rows.with_columns(share).partition_by("count", "bytes", maintain_order=True):
                found.append(Part(len(found), [Pick(self._sources[source], part["order_id"].to_list())]))
        return found
