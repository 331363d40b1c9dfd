"""Decide what a build makes: all parts, or those with orders of which there is another answer than was built from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from operator import attrgetter
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.archive.responses import ReadPosition
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.builder.order_index import EarlierAnswers, OrderIndex, Partition, SourceRange
from quivo_frames.builder.partition import PartTask, WorkUnit
from quivo_frames.dataset.commit import BuiltParts
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.manifest import DatasetFile, facts_of_tables
from quivo_frames.dataset.parts import Part, read_intact, read_layout
from quivo_frames.errors import DatasetError
from quivo_frames.flattening.reconcile import sampling_rate
from quivo_frames.model.tables import ORDER_ID, REPORT_TABLES

PlannedPart = Part | PartTask
"""A part that stays as it is, or one that is built."""


class BuildPlan(NamedTuple):
    """All parts of the new dataset in the order of rows; those with the same file number share files."""

    parts: Sequence[PlannedPart]
    replaced: pl.Series
    """Ids of orders whose rows and failures do not stay."""
    before: Dataset | None = None
    """The dataset of which parts stay; None: nothing does."""
    order_count: int = 0
    """How many orders are built."""
    json_bytes: int = 0
    """About how many bytes of JSON they have."""

    def cut_units(self, has_table_files: bool, earlier_files: Mapping[str, DatasetFile]) -> list[WorkUnit]:
        """All parts as units of work: each alone, if they are joined later, or those together that share files."""
        cuts: Iterable[Sequence[PlannedPart]] = [[part] for part in self.parts]
        if not has_table_files:
            cuts = [list(members) for _, members in groupby(self.parts, key=attrgetter("file_number"))]
        return [WorkUnit(members, {name: earlier_files[name] for name in _files_of(members)}) for members in cuts]

    def failures_that_stay(self) -> pl.DataFrame:
        """The failures of orders that are not built."""
        if self.before is None:
            return REPORT_TABLES["failures"].empty_frame()
        failures = read_intact(self.before, facts_of_tables(self.before.manifest)["failures"])
        return failures.filter(~pl.col(ORDER_ID.name).is_in(self.replaced.implode()))


def _files_of(members: Sequence[PlannedPart]) -> Iterator[str]:
    for member in members:
        part = member.earlier if isinstance(member, PartTask) else member
        for piece in part.pieces.values() if part else ():
            yield piece.file


def merge_units(units: Sequence[WorkUnit], built_units: Mapping[int, BuiltParts]) -> BuiltParts:
    """All parts of a dataset: those that were built, by the numbers of their units, between those that stay."""
    parts: list[Part] = []
    new_files: dict[str, DatasetFile] = {}
    read_files: dict[str, list[str]] = {}
    for unit in units:
        if not unit.list_tasks():
            parts += [member for member in unit.members if isinstance(member, Part)]
            continue
        built = built_units[unit.first_task]
        parts += built.parts
        new_files.update(built.new_files)
        for table, files in built.read_files.items():
            read_files.setdefault(table, []).extend(files)
    return BuiltParts(parts, new_files, read_files)


def plan_full_build(index: OrderIndex, settings: BuildSettings, workers: int, *, has_table_files: bool) -> BuildPlan:
    """All orders, in as many parts for each of some workers."""
    partitions = index.partition_all(workers)
    weights = [
        sum(piece.order_count for piece in partition.pieces if isinstance(piece, SourceRange))
        for partition in partitions
    ]
    per_file = settings.orders_per_file
    if not has_table_files:
        weights = [1] * len(partitions)
        per_file = min(settings.partitions_per_file, -(-len(partitions) // workers))
    numbers = _numbers_of_files(weights, per_file)
    tasks = [PartTask(partition, number) for partition, number in zip(partitions, numbers, strict=True)]
    return BuildPlan(tasks, pl.Series(dtype=pl.Int64), None, index.orders_left)


def _numbers_of_files(weights: Sequence[int], most: int) -> list[int]:
    """The number of the file of each of some parts: of about the same weight each, at most `most`."""
    total = sum(weights)
    per_file = max(total / max(-(-total // max(most, 1)), 1), 1)
    return [int((before - weight) / per_file) for before, weight in zip(accumulate(weights), weights, strict=True)]


def can_build_incrementally(before: Dataset | None, recipe: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether the parts of a dataset that have no other answer may stay as they are.

    They may if they were built from the same inputs by the same recipe.
    """
    if before is None or [entry["name"] for entry in before.manifest["inputs"]] != names:
        return False
    return all(before.manifest.get(name) == wanted for name, wanted in recipe.items())


def read_built_answers(before: Dataset) -> pl.DataFrame | None:
    """The answers that a dataset was built from, in the order of its rows; None if they are not known, or damaged."""
    facts = before.manifest.get("lineage", {}).get("answers")
    try:
        return facts and read_intact(before, facts)
    except (OSError, DatasetError, pl.exceptions.PolarsError):
        return None


def earlier_answers(before: Dataset, built: pl.DataFrame | None) -> EarlierAnswers | None:
    """What an index of the same archive can go on from; None if the archive, or all of this, is not known so well."""
    state = before.manifest.get("read_until")
    return EarlierAnswers(built, ReadPosition(**state)) if state and built is not None else None


def plan_incremental_build(
    before: Dataset, built: pl.DataFrame | None, index: OrderIndex, settings: BuildSettings, *, has_table_files: bool
) -> BuildPlan | None:
    """What differs between a dataset and the answers there are now; None if a full build is the better way.

    It is if more than half of the orders or more than `max_incremental_orders` differ, or if the lineage is damaged.
    """
    answers = index.current_answers
    if answers is None or built is None:
        return None
    try:
        layout = read_layout(before)
    except (OSError, DatasetError, pl.exceptions.PolarsError):
        return None
    if layout.writer != pl.__version__ or sum(part.order_count for part in layout.parts) != built.height:
        return None
    changed, gone = index.find_differences(built)
    if max(changed.height, gone.height) > min(settings.max_incremental_orders, answers.height // 2):
        return None
    comparison = _Comparison(layout.parts, built, answers, changed, gone)
    parts = list(comparison.plan_parts(index, settings))
    bound = settings.orders_per_file if has_table_files else settings.partitions_per_file
    return BuildPlan(
        _split_files(parts, bound, by_orders=has_table_files), gone["order_id"], before, changed.height,
        int(changed["size"].sum()),
    )  # fmt: skip


class _Comparison(NamedTuple):
    """The parts of a dataset, the answers that it was built from and those there are now, in the order of rows.

    `changed` are the rows of `answers` that are new, `gone` those of `built` that are not there any more, each with its
    place among them.
    """

    parts: Sequence[Part]
    built: pl.DataFrame
    answers: pl.DataFrame
    changed: pl.DataFrame
    gone: pl.DataFrame

    def plan_parts(self, index: OrderIndex, settings: BuildSettings) -> Iterator[PlannedPart]:
        """Of each part what becomes of it: it stays, is rebuilt, is rebuilt as several, or goes."""
        ends = list(accumulate(part.order_count for part in self.parts))
        starts = [end - part.order_count for end, part in zip(ends, self.parts, strict=True)]
        new_starts = [0, *self._places_now(starts[1:]), self.answers.height]
        counted_one_in = sampling_rate(self.changed.height, settings.counted_one_in)
        tasks = orders_before = 0
        for number, part in enumerate(self.parts):
            first, stop = new_starts[number : number + 2]
            changed, gone = (
                _rows_placed_within(self.changed, first, stop),
                _rows_placed_within(self.gone, starts[number], ends[number]),
            )
            if changed.is_empty() and gone.is_empty():
                yield part
                continue
            size = int(self.answers["size"].slice(first, stop - first).sum())
            # A part that grows stays one until it is half as large again as it should be.
            wanted = ((stop - first) / settings.orders_per_partition, size / settings.bytes_per_partition)
            pieces = max(round(max(wanted)), 1)
            per_piece = max(-(-(stop - first) // pieces), 1)
            for begin in range(first, stop, per_piece):
                end = min(begin + per_piece, stop)
                inside = _rows_placed_within(changed, begin, end)
                read = [piece for one in index.partition_answers(inside) for piece in one.pieces]
                ids = self.answers["order_id"].slice(begin, end - begin)
                partition = Partition(tasks, read, orders_before, counted_one_in)
                orders_before += inside.height
                yield PartTask(partition, part.file_number, part, gone["order_id"], ids, is_split=pieces > 1)
                tasks += 1

    def _places_now(self, starts: Sequence[int]) -> Iterator[int]:
        """Before how many of the answers there are now each part begins, by where it began among those of before."""
        by_source = self.answers.partition_by("source", as_dict=True, maintain_order=True)
        ids_of = {source: rows["order_id"] for (source,), rows in by_source.items()}
        for start in starts:
            if start == self.built.height:
                yield self.answers.height
                continue
            source, order_id = self.built.select("source", "order_id").row(start)
            before = sum(len(ids) for other, ids in ids_of.items() if other < source)
            yield before + (int(ids_of[source].search_sorted(order_id)) if source in ids_of else 0)


def _rows_placed_within(rows: pl.DataFrame, start: int, stop: int) -> pl.DataFrame:
    return rows.filter(pl.col("place").is_between(start, stop, closed="left"))


def _split_files(parts: Sequence[PlannedPart], most: int, *, by_orders: bool) -> list[PlannedPart]:
    """The same parts, with more numbers of files where a file that changes would have more than `most`."""
    found: list[PlannedPart] = []
    for _, together in groupby(parts, key=attrgetter("file_number")):
        members = list(together)
        next_number = found[-1].file_number + 1 if found else 0
        weights = [part.order_count or 0 for part in members] if by_orders else [1] * len(members)
        is_changed = any(isinstance(part, PartTask) for part in members)
        numbers = _numbers_of_files(weights, most) if is_changed else [0] * len(members)
        found += [part._replace(file_number=next_number + n) for part, n in zip(members, numbers, strict=True)]
    return found
