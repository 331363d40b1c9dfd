"""Build one partition of orders: flatten, validate, pseudonymise, write.

Any process on any machine may do it. The output depends on nothing but the partition, so building one twice is
harmless. What returns to the driver is small: the tables stay where they were written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.derived_tables import derive_tables
from quivo_frames.builder import drift
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.builder.order_index import Partition
from quivo_frames.dataset.commit import PartitionDestination, WrittenPartition
from quivo_frames.dataset.folder_writer import NOTICED, stage_partition
from quivo_frames.dataset.manifest import BUILDING
from quivo_frames.errors import DatasetError, QuivoError
from quivo_frames.flattening import reconcile
from quivo_frames.flattening.flatten import Flattener, pause_garbage_collection
from quivo_frames.flattening.validate import validate_frames
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import TABLES
from quivo_frames.storage.leftovers import temporary_folder

StoreTables = Callable[[int, Mapping[str, pl.DataFrame]], object]
"""Stores the tables of the partition with a number, and its notes."""


class PartitionResult(NamedTuple):
    """What was built: how many orders were read and written, which failed, and what the tables look like."""

    number: int
    """Of the partition, counted from 0."""
    orders_read: int
    orders_written: int
    failures: pl.DataFrame
    value_counts: reconcile.ValueCounts
    profile: drift.Profile
    read_in_python: int
    """How many orders the compiled core left to the one in Python, or did not read as there is none."""


def build_partition(
    settings: BuildSettings, privacy_filter: PrivacyFilter, derived: bool, store_tables: StoreTables,
    partition: Partition,
) -> PartitionResult:  # fmt: skip
    """Flattens and validates the orders of a partition, removes personal values if asked to, and stores the tables.

    With `derived`, it derives the further tables from these, which hold no personal values that these do not hold.
    """
    flattener = Flattener()
    batches: list[Frames] = []
    origins: dict[int, RawOrder] = {}
    sample: dict[int, bytes] = {}
    orders_read = 0
    with pause_garbage_collection():
        for batch in _in_batches(settings, partition.read_orders()):
            batches.append(flattener.flatten_batch(batch, origins))
            sample |= reconcile.sample_orders(batch, partition.first_order + orders_read, partition.counted_one_in)
            orders_read += len(batch)
    frames = validate_frames(Frames.concat(batches), origins)
    value_counts = reconcile.compare_value_counts(sample, frames)
    if privacy_filter.level is not PrivacyLevel.FULL:
        filtered = {
            name: frame.select(privacy_filter.column_expressions(TABLES[name])) for name, frame in frames.items()
        }
        frames = Frames(filtered, frames.failures, frames.order_notes)
    more = derive_tables(frames) if derived else {}
    store_tables(partition.number, {**frames, **more, NOTICED: frames.order_notes})
    profile = drift.profile_tables(frames)
    return PartitionResult(
        partition.number, orders_read, frames.orders.height, frames.failures, value_counts, profile,
        flattener.read_in_python,
    )  # fmt: skip


def build_and_deliver(
    settings: BuildSettings,
    privacy_filter: PrivacyFilter,
    destination: PartitionDestination,
    partitions: list[Partition],
) -> tuple[PartitionResult, WrittenPartition]:
    """Builds consecutive partitions, and writes them to the destination as one file per table.

    Raises:
        QuivoError: they cannot be built; says which, why, and what to do.
    """
    subject = f"Part {partitions[0].number} of the build ({_name_sources(partitions)})"
    attempts_left = settings.attempts_per_task
    while True:
        try:
            with temporary_folder() as folder:
                staging = folder / BUILDING / "parts"
                staging.mkdir(parents=True)
                build_one = partial(
                    build_partition, settings, privacy_filter, destination.derived, partial(stage_partition, staging)
                )
                result = merge_results(map(build_one, partitions))
                return result, destination.write_partition(partitions[0].number, staging, privacy_filter)
        except QuivoError as error:
            raise type(error)(f"{subject} cannot be made. {error}") from error
        except (Exception, pl.exceptions.PanicException) as error:
            attempts_left -= 1
            if not attempts_left:
                raise DatasetError(
                    f"{subject} failed each of {settings.attempts_per_task} times ({type(error).__name__}). Build it "
                    "with one job on one machine to see whether the orders or the worker is to blame: more memory for "
                    "each worker helps if it is a MemoryError."
                ) from error


def merge_results(results: Iterable[PartitionResult]) -> PartitionResult:
    """One result for several partitions, or for none, with the number of the first."""
    in_order = sorted(results, key=lambda result: result.number) or [_empty_result()]
    numbers, orders_read, orders_written, failures, value_counts, profiles, in_python = zip(*in_order, strict=True)
    total_counts = reconcile.ValueCounts(*(sum(counts) for counts in zip(*value_counts, strict=True)))
    profile = drift.merge_profiles(profiles)
    return PartitionResult(
        numbers[0], sum(orders_read), sum(orders_written), pl.concat(failures), total_counts, profile, sum(in_python)
    )


def _empty_result() -> PartitionResult:
    no_frames = Frames.of({})
    return PartitionResult(
        -1, 0, 0, no_frames.failures, reconcile.ValueCounts(0, 0, 0), drift.profile_tables(no_frames), 0
    )


def _name_sources(partitions: list[Partition]) -> str:
    names = list(dict.fromkeys(piece.source.name for partition in partitions for piece in partition.pieces))
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _in_batches(settings: BuildSettings, orders: Iterator[RawOrder]) -> Iterator[list[RawOrder]]:
    batch: list[RawOrder] = []
    size = 0
    for order in orders:
        batch.append(order)
        size += len(order.body)
        if len(batch) == settings.orders_per_batch or size >= settings.bytes_per_batch:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
