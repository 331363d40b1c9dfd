"""Build parts of a dataset: flatten, validate, pseudonymise, merge with the rows that stay, write.

Any process on any machine may do it. The output depends on nothing but the task, so doing one twice is harmless. What
returns to the driver is small: the tables stay where they were written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.derived_tables import derive_tables
from quivo_frames.builder import drift
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.builder.order_index import Partition
from quivo_frames.dataset.commit import BuiltParts, PartDestination, explain_disk_errors
from quivo_frames.dataset.manifest import DatasetFile
from quivo_frames.dataset.parts import NOTICED, EarlierFiles, Part, Piece, stage_rows
from quivo_frames.errors import DatasetError, QuivoError
from quivo_frames.flattening import reconcile
from quivo_frames.flattening.flatten import Flattener, pause_garbage_collection
from quivo_frames.flattening.validate import validate_frames
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.frames import Frames, sum_notes
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import ORDER_ID, TABLES
from quivo_frames.storage.leftovers import temporary_folder


class PartTask(NamedTuple):
    """A part to build: what is read for it, and which rows of an earlier part stay in it."""

    partition: Partition
    file_number: int
    earlier: Part | None = None
    """The part of before; None: all orders of the part are read."""
    gone: Sequence[int] | pl.Series = ()
    """Ids of orders whose earlier rows do not stay."""
    order_ids: pl.Series | None = None
    """Ids of all orders of the part in the order of its rows; None: of those that are there."""
    is_split: bool = False
    """Whether the earlier part also has orders that are none of this one."""
    is_rewritten: bool = False
    """Whether rows that stay all the same are rewritten too."""

    @property
    def order_count(self) -> int | None:
        """How many orders the part has; None: those that are read."""
        return None if self.order_ids is None else len(self.order_ids)


class WorkUnit(NamedTuple):
    """Parts that are built one after the other by one worker, and those that stay between them."""

    members: Sequence[Part | PartTask]
    earlier_files: Mapping[str, DatasetFile]
    """The files of parts that stay, or of which rows stay, by name."""

    @property
    def first_task(self) -> int:
        """The number of its first part that is built."""
        return min(task.partition.number for task in self.list_tasks())

    def list_tasks(self) -> list[PartTask]:
        """The parts that are built."""
        return [member for member in self.members if isinstance(member, PartTask)]


class UnitResult(NamedTuple):
    """What was built: how many orders were read and made, which failed, and the parts."""

    number: int
    orders_read: int
    orders_written: int
    failures: pl.DataFrame
    value_counts: reconcile.ValueCounts
    built: BuiltParts
    read_in_python: int
    """How many orders the compiled core left to the one in Python, or did not read as there is none."""


class _FlatOrders(NamedTuple):
    """The orders that were read for a part, flattened and validated."""

    tables: Mapping[str, pl.DataFrame]
    orders_read: int
    failures: pl.DataFrame
    value_counts: reconcile.ValueCounts
    read_in_python: int


def build_unit(
    settings: BuildSettings, privacy_filter: PrivacyFilter, destination: PartDestination, unit: WorkUnit
) -> UnitResult:
    """Builds parts, and writes them to the destination.

    Raises:
        QuivoError: they cannot be built; says why, and what to do.
    """
    if destination.staging is not None:
        return _build_members(settings, privacy_filter, destination, unit, destination.staging)
    subject = f"Part {unit.first_task} of the build ({_name_sources(unit)})"
    attempts_left = settings.attempts_per_task
    while True:
        try:
            with temporary_folder() as folder:
                return _build_members(settings, privacy_filter, destination, unit, folder)
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


def _build_members(
    settings: BuildSettings, privacy_filter: PrivacyFilter, destination: PartDestination, unit: WorkUnit, staging: Path
) -> UnitResult:
    """Builds the parts of a unit in a folder of this machine, and delivers them from there if they are to be."""
    earlier = EarlierFiles(destination.place, unit.earlier_files, staging)
    parts: list[Part] = []
    results: list[UnitResult] = []
    read_files: dict[str, list[str]] = {}
    for member in unit.members:
        if isinstance(member, Part):
            parts.append(member)
            continue
        flat = _read_orders(settings, privacy_filter, destination, member.partition)
        with explain_disk_errors(Path(destination.place.address) if destination.staging else staging):
            parts.append(_write_part(destination, member, flat, earlier, staging, read_files))
        no_parts = BuiltParts([], {}, {})
        written = flat.tables["orders"].height
        results.append(
            UnitResult(
                member.partition.number,
                flat.orders_read,
                written,
                flat.failures,
                flat.value_counts,
                no_parts,
                flat.read_in_python,
            )
        )
    built = BuiltParts(parts, {}, read_files)
    if destination.staging is None:
        built = destination.deliver_parts(staging, earlier, built)
    return merge_results(results)._replace(built=built)


def _read_orders(
    settings: BuildSettings, privacy_filter: PrivacyFilter, destination: PartDestination, partition: Partition
) -> _FlatOrders:
    """Flattens and validates the orders of a partition, removes personal values if asked to, and derives tables."""
    if not partition.pieces:  # there are only rows that stay
        no_rows = {name: table.empty_frame() for name, table in destination.tables.items()}
        return _FlatOrders(no_rows, 0, Frames.of({}).failures, reconcile.ValueCounts(0, 0, 0), 0)
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
    # They hold no personal values that the tables do not hold.
    derived = derive_tables(frames) if DERIVED_TABLES.keys() & destination.tables.keys() else {}
    tables = {**frames, **derived, NOTICED: frames.order_notes}
    return _FlatOrders(tables, orders_read, frames.failures, value_counts, flattener.read_in_python)


def _write_part(
    destination: PartDestination, task: PartTask, flat: _FlatOrders, earlier: EarlierFiles, staging: Path,
    read_files: dict[str, list[str]],
) -> Part:  # fmt: skip
    """Stages the rows of a part, table by table; a table of which no row changes keeps its piece of before."""
    no_part = Part(0, 0, {}, {}, [])
    earlier_part = task.earlier or no_part
    before = earlier_part.pieces
    pieces: dict[str, Piece] = {}
    profile: drift.Profile = {}
    notes: pl.DataFrame | None = None
    for name, table in destination.tables.items():
        rows: pl.DataFrame | None = flat.tables[name]
        if name in before:
            rows = _merge_rows(task, earlier.read_rows(before[name]), flat.tables[name])
        if rows is None:
            pieces[name] = before[name]
        elif not rows.is_empty():
            pieces[name] = stage_rows(staging, table, task.partition.number, rows)
        if rows is not None and name in before:
            read_files.setdefault(name, []).append(before[name].file)
        if name in TABLES:
            profile[name] = earlier_part.profile[name] if rows is None else drift.profile_table(TABLES[name], rows)
        elif name == NOTICED and rows is not None:
            notes = sum_notes(rows)
    orders = (earlier_part.order_count or flat.orders_read) if task.order_count is None else task.order_count
    summed = earlier_part.notes if notes is None else notes.rows()
    return Part(task.file_number, orders, pieces, profile, summed)


def _merge_rows(task: PartTask, before: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame | None:
    """The rows of a table in a part: those of before that stay, and the new ones; None if they are the same as before.

    The rows of an order stay together; orders are in the order of the part.
    """
    is_gone = pl.col(ORDER_ID.name).is_in(pl.Series(task.gone, dtype=pl.Int64).implode())
    is_sorted = task.order_ids is None or task.order_ids.is_sorted()  # else an order may stand elsewhere now
    if is_sorted and not (task.is_split or task.is_rewritten) and before.filter(is_gone).equals(new):
        return None
    kept = before.filter(~is_gone)
    if task.order_ids is None:
        return kept
    if task.is_split:
        kept = kept.filter(pl.col(ORDER_ID.name).is_in(task.order_ids.implode()))
    if new.is_empty() or kept.is_empty():
        return kept if new.is_empty() else new
    if is_sorted:
        return kept.lazy().merge_sorted(new.lazy(), ORDER_ID.name).collect()
    places = pl.DataFrame({ORDER_ID.name: task.order_ids}).with_row_index("place")
    rows = pl.concat([kept, new]).join(places, on=ORDER_ID.name, how="left", maintain_order="left")
    return rows.sort("place", maintain_order=True).drop("place")


def merge_results(results: Iterable[UnitResult]) -> UnitResult:
    """One result for several units, or for none, with the number of the first; without their parts."""
    in_order = sorted(results, key=lambda result: result.number)
    if not in_order:
        return UnitResult(-1, 0, 0, Frames.of({}).failures, reconcile.ValueCounts(0, 0, 0), BuiltParts([], {}, {}), 0)
    numbers, orders_read, orders_written, failures, value_counts, _, in_python = zip(*in_order, strict=True)
    total_counts = reconcile.ValueCounts(*(sum(counts) for counts in zip(*value_counts, strict=True)))
    return UnitResult(
        numbers[0],
        sum(orders_read),
        sum(orders_written),
        pl.concat(failures),
        total_counts,
        BuiltParts([], {}, {}),
        sum(in_python),
    )


def _name_sources(unit: WorkUnit) -> str:
    names = list(dict.fromkeys(piece.source.name for task in unit.list_tasks() for piece in task.partition.pieces))
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
