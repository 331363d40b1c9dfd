"""The orders of all inputs of a build, indexed and cut into partitions.

Each order has a position, counted from 0 through all sources. A first pass indexes ids and times, finds the orders that
a newer answer supersedes, and records seek points, so that a partition is read without reading what comes before it.
"""

from __future__ import annotations

import hashlib
import io
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

import polars as pl

from quivo_frames.archive.responses import ReadPosition
from quivo_frames.builder.build_settings import DEFAULT_SETTINGS, BuildSettings
from quivo_frames.builder.inputs import OrderSource
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.latest import (
    IDENTITY_SCHEMA,
    SELLER,
    find_orders_of_two_sellers,
    find_superseded_positions,
    has_repeated_ids,
)
from quivo_frames.flattening.reconcile import sampling_rate
from quivo_frames.model.records import RawOrder

_ANSWERS_PER_DIGEST = 1_000_000
"""Answers that are digested at a time."""


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
        read = 0
        for read, raw in enumerate(islice(self.source.read_from(self.cursor), self.order_count), 1):
            if read - 1 not in self.superseded_positions:
                yield raw
        if read < self.order_count:
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
    first_order: int = 0
    """How many orders of the build come before these."""
    counted_one_in: int = 1
    """Of so many orders of the build, one is counted."""

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
_ANSWER_IDENTITY = ["order_id", "fetched_at", "fingerprint", "source"]
"""What identifies an answer. The source belongs to it: it decides about the order of rows, and failures name it."""
_INDEX_SCHEMA = {**IDENTITY_SCHEMA, **ANSWER_SCHEMA, "clock_ran_backwards": pl.Boolean()}
"""Whether the clock ran backwards: whether an earlier answer about the order in the same source has a later time."""


class EarlierAnswers(NamedTuple):
    """The answers that a build read, as its lineage has them, and up to where in its only source."""

    answers: pl.DataFrame
    state: ReadPosition


class OrderIndex:
    """All orders of all sources: how many there are, which of them are superseded, and partitions of them.

    After `earlier` answers, only newer ones are looked at where the source can tell: then `changed_ids` is known, and
    the orders can be read by id alone.
    """

    def __init__(
        self, sources: Sequence[OrderSource], settings: BuildSettings = DEFAULT_SETTINGS,
        earlier: EarlierAnswers | None = None,
    ) -> None:  # fmt: skip
        self.orders_by_source = {source.name: 0 for source in sources}
        """Numbers of orders, superseded ones included, by name of the source."""
        self._sources, self._settings = sources, settings
        self._seek_points: list[SeekPoint] = []
        self._bytes_indexed = 0
        self._state = sources[0].read_state() if len(sources) == 1 else None
        self.changed_ids: pl.Series | None = None
        """The ids of the orders that have another answer than earlier, in ascending order; None: nobody looked."""
        index = self._index_changes(earlier) if earlier and len(sources) == 1 else None
        if index is None:
            index = self._index_sources(exact=False)
            if has_repeated_ids(index["order_id"]):  # a quick glance is not exact enough to decide which answer wins
                index = self._index_sources(exact=True)
        self.superseded_positions = find_superseded_positions(index) if self.changed_ids is None else {}
        """Positions of the orders that a newer answer supersedes, with their ids."""
        self.ids_of_two_sellers = find_orders_of_two_sellers(index) if self.superseded_positions else []
        """The orders that came with different sellers, as far as these are known: an archive does not tell."""
        self._order_count = index.height
        self.orders_left = index.height - len(self.superseded_positions)
        """Number of orders that are not superseded."""
        self.current_answers = self._answers_left(index)
        """A row of ANSWER_SCHEMA for each of these, by position; None if some come from files."""
        self.backward_clock_ids = index.filter("clock_ran_backwards")["order_id"]
        """The orders of which an earlier answer has a later time than the newest."""

    @property
    def state(self) -> ReadPosition | None:
        """Up to where the only source was read, if a later build can go on from there."""
        return None if self._state is None or len(self.backward_clock_ids) else self._state

    def _index_changes(self, earlier: EarlierAnswers) -> pl.DataFrame | None:
        """The index of earlier answers and of those that came since; None if they do not go on from there."""
        (source,) = self._sources
        frames = source.index_since(earlier.state)
        if frames is None or any(frame["clock_ran_backwards"].any() for frame in frames):
            return None
        columns = [pl.col(name) for name in ANSWER_SCHEMA if name != "source"]
        newer = [frame.select(*columns, source=pl.lit(0, pl.Int64)).select(*ANSWER_SCHEMA) for frame in frames]
        changed = pl.concat([pl.DataFrame(schema=ANSWER_SCHEMA), *newer])
        self.changed_ids = changed["order_id"]
        kept = earlier.answers.select(*ANSWER_SCHEMA).filter(~pl.col("order_id").is_in(self.changed_ids.implode()))
        merged = kept.lazy().merge_sorted(changed.lazy(), "order_id").collect()
        self.orders_by_source[source.name] = merged.height
        return merged.with_columns(clock_ran_backwards=pl.lit(value=False))

    def find_differences(self, built: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The answers that were not built from, and those that were and are not there any more; each with its place.

        `built` are the answers of a dataset, in the order of its rows.
        """
        assert self.current_answers is not None
        answers, earlier = self.current_answers.with_row_index("place"), built.with_row_index("place")
        if self.changed_ids is not None:
            is_changed = pl.col("order_id").is_in(self.changed_ids.implode())
            return answers.filter(is_changed), earlier.filter(is_changed)
        changed = answers.join(built, on=_ANSWER_IDENTITY, how="anti", maintain_order="left")
        return changed, earlier.join(self.current_answers, on=_ANSWER_IDENTITY, how="anti", maintain_order="left")

    def _index_sources(self, *, exact: bool) -> pl.DataFrame:
        self._bytes_indexed, self._seek_points = 0, []
        chunks = [pl.DataFrame(schema=_INDEX_SCHEMA)]
        position = 0
        for number, source in enumerate(self._sources):
            start = position
            for orders, cursor_of in source.index_orders(exact=exact):
                self._add_seek_points(orders["size"], cursor_of, number, position, is_first=position == start)
                position += orders.height
                named = orders.with_columns(source=pl.lit(number, pl.Int64))
                chunks.append(named.select(*_INDEX_SCHEMA, f"^{SELLER}$"))
            self.orders_by_source[source.name] = position - start
        return pl.concat(chunks, how="diagonal")

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
        for rows in self.current_answers.iter_slices(_ANSWERS_PER_DIGEST):
            rows.write_ipc(found := io.BytesIO(), compression="uncompressed")
            digest.update(found.getbuffer())
        return digest.hexdigest()

    def _add_seek_points(
        self, sizes: pl.Series, cursor_of: Callable[[int], object], source_number: int, position: int, *, is_first: bool
    ) -> None:
        """Adds those within the next orders of a source, which begin at a position; the first of all is one."""
        bytes_before = [self._bytes_indexed, *(sizes.cum_sum() + self._bytes_indexed)]
        number = 0 if is_first else self._next_due(position, bytes_before)
        while number < len(sizes):
            cursor = cursor_of(number)
            if cursor is not None or (is_first and number == 0):
                self._seek_points.append(SeekPoint(position + number, source_number, cursor, bytes_before[number]))
                number = self._next_due(position, bytes_before)
            else:
                number += 1
        self._bytes_indexed = bytes_before[-1]

    def _next_due(self, position: int, bytes_before: Sequence[int]) -> int:
        """The number of the first order at which another seek point is due; the first of them is at a position."""
        last = self._seek_points[-1]
        by_size = bisect_left(bytes_before, last.bytes_before + self._settings.bytes_per_seek_point)
        return max(min(last.position - position + self._settings.orders_per_seek_point, by_size), 0)

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
        counted_one_in = sampling_rate(self.orders_left, self._settings.counted_one_in)
        found: list[Partition] = []
        first_order = 0
        for number, points in enumerate(starts):
            ranges = [self._range_from(point, next(stops), superseded_sorted) for point in points]
            found.append(Partition(number, ranges, first_order, counted_one_in))
            first_order += sum(piece.order_count - len(piece.superseded_positions) for piece in ranges)
        return found

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
        counted_one_in = sampling_rate(answers.height, self._settings.counted_one_in)
        found: list[Partition] = []
        first_order = 0
        for (source,), rows in answers.partition_by("source", as_dict=True, maintain_order=True).items():
            for group in rows.with_columns(group_keys).partition_by("by_count", "by_size", maintain_order=True):
                selected = SelectedOrders(self._sources[source], group["order_id"].to_list())
                found.append(Partition(len(found), [selected], first_order, counted_one_in))
                first_order += group.height
        return found
