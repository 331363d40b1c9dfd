"""Build a dataset from archives and files of orders.

Orders are built in partitions: whichever process is free flattens, validates and stages one, and returns a small
result. Each table is then assembled from its staged partitions, in their order. So memory stays flat for any number of
orders, and the dataset is the same for any number of processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

import polars as pl

from quivo_frames.archive.archive import Archive
from quivo_frames.archive.erasures import ATTEMPTS
from quivo_frames.builder import drift
from quivo_frames.builder.build_settings import BuildSettings, settings_from_environment
from quivo_frames.builder.incremental import IncrementalPlan, can_build_incrementally, plan_incremental_build
from quivo_frames.builder.inputs import BuildInput, OrderSource, open_sources
from quivo_frames.builder.order_index import OrderIndex
from quivo_frames.builder.partition import PartitionResult, build_and_deliver, build_partition, merge_results
from quivo_frames.builder.publication import count_erased, explain_erasures, publish_unless_erased
from quivo_frames.dataset.commit import DatasetCommit
from quivo_frames.dataset.dataset import Dataset, privacy_filter_for
from quivo_frames.dataset.folder_writer import DatasetWriter, stage_partition
from quivo_frames.dataset.manifest_facts import DELTA, PARQUET
from quivo_frames.display.progress import open_progress_bar
from quivo_frames.errors import FAULT_CURE, ConfigError, Fault, QuivoError
from quivo_frames.executors.connect import worker_pool_of
from quivo_frames.executors.local import LocalPool, WorkerPool
from quivo_frames.flattening.core_choice import COMPILED, core_name
from quivo_frames.flattening.latest import note_repeated_orders
from quivo_frames.model.frames import report_frame, sum_notes
from quivo_frames.model.messages import describe_note
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel, privacy_level
from quivo_frames.model.records import Note
from quivo_frames.model.tables import LINEAGE_TABLES, ORDER_ID
from quivo_frames.model.time import InstantLike, parse_instant
from quivo_frames.storage.urls import is_remote


def build(
    inputs: BuildInput | Sequence[BuildInput],
    out: str | os.PathLike[str],
    *,
    full: bool = False,
    as_of: InstantLike | None = None,
    privacy: str = PrivacyLevel.FULL,
    jobs: int | None = None,
    executor: object = None,
    form: str = PARQUET,
    derived: bool = True,
    progress: bool | None = None,
) -> Dataset:
    """A dataset in the folder `out`, built from archives, raw exports of them, files of orders, and folders of files.

    Where an order is there more than once, its newest good answer is taken: the newest fetched_at, for files without it
    the newest last_modified, else the later one. Orders that the tables cannot hold are listed in `failures`; no older
    answer takes their place. A dataset that is in `out` already is replaced once the new one is complete. If it was
    built from the same archives, only orders with another answer than then are rebuilt, and the tables are the same as
    those of a full build; `full` rebuilds all orders.

    `as_of` (an instant, or a day, which means its end; UTC) ignores answers of archives that came later: the tables as
    they were known then. `privacy` is full, pseudonym (personal texts become pseudonyms, under the key
    QUIVO_PSEUDONYM_KEY) or none (personal values become null). `jobs` threads share the work, this one included; where
    there is no compiled core, processes do. None: as many as the machine has cores. The tables are the same for any
    number. `progress` shows a bar on stderr; None: on a terminal and in a notebook.

    `executor` (a Dask client, a SparkSession, or anything with the `map` of concurrent.futures) shares the work instead
    of `jobs`. Its workers must be able to read the inputs and to write to `out`, which may be an address of an object
    store (s3://, gs://, az://). Tables built this way have several files each; if they were built from exactly the same
    answers before, they are left as they are. `form` is parquet, or delta: then each table is a Delta table as well.

    With `derived`, there are further tables beside the 18, worked out from them: `lines`, `line_rows`, `overview`,
    `milestones` and `events`; read them as `dataset.scan.lines`.

    Raises:
        ConfigError: an input cannot be read, a setting is wrong or missing, or `out` holds something else.
        ArchiveError: an answer in an archive is damaged.
        DatasetError: the tables cannot be written, or another build into `out` was first.
        LostWorker: another process was ended from outside.
        Fault: the tables would not hold what the orders say; quivo_frames is to blame.
    """
    dataset = build_with(
        settings_from_environment(), inputs, out,
        full=full, as_of=as_of, privacy=privacy, jobs=jobs, executor=executor, form=form, derived=derived,
        progress=progress,
    )  # fmt: skip
    dataset.outputs.sweep_leftovers()  # of exports of these tables that were killed
    return dataset


def build_with(
    settings: BuildSettings, inputs: BuildInput | Sequence[BuildInput], out: str | os.PathLike[str], *,
    full: bool = False, as_of: InstantLike | None = None, privacy: str = PrivacyLevel.FULL, jobs: int | None = None,
    executor: object = None, form: str = PARQUET, derived: bool = True, progress: bool | None = None,
) -> Dataset:  # fmt: skip
    """The same with settings of one's own."""
    given = [inputs] if isinstance(inputs, str | os.PathLike | Archive) else list(inputs)
    privacy_filter = privacy_filter_for(privacy_level(privacy))
    if form not in (PARQUET, DELTA):
        raise ConfigError(
            f"Tables are not built as {form!r}. Build them as {PARQUET} or {DELTA}, and export from there."
        )
    if executor is not None and jobs is not None:
        raise ConfigError("An executor shares the work, or processes of this machine: leave out one of the two.")
    latest = None if as_of is None else parse_instant(as_of)

    def start_run(erased: int) -> _BuildRun:
        sources = open_sources(given, latest, settings.max_order_bytes)
        return _BuildRun(sources, privacy_filter, settings, derived, full, progress, erased)

    run = start_run(0)
    for _ in range(ATTEMPTS - 1):
        try:
            return run.build(out, form, jobs, executor)
        except QuivoError:  # orders that were erased meanwhile have been read, or are missing where they were
            if not (erased := count_erased(run.sources)):
                raise
            run = start_run(run.erased + erased)
    with explain_erasures(run.sources):
        return run.build(out, form, jobs, executor)


@dataclass(frozen=True)
class _BuildRun:
    """One run of a build: what it reads, what it does with personal values, and how it cuts the work."""

    sources: Sequence[OrderSource]
    privacy_filter: PrivacyFilter
    settings: BuildSettings
    derived: bool
    full: bool
    progress: bool | None
    erased: int
    """How many orders were erased from the sources while an earlier attempt ran."""

    def build(self, out: str | os.PathLike[str], form: str, jobs: int | None, executor: object) -> Dataset:
        """Builds with the workers and in the way that fits the place, the format and the executor."""
        if executor is None and form == PARQUET and not is_remote(os.fspath(out)):
            return self.build_into_folder(out, jobs)
        local_pool = self.start_local_pool(jobs, self.estimate_size()) if executor is None else None
        with (
            DatasetCommit(os.fspath(out), self.privacy_filter, form, derived=self.derived, rebuild=self.full) as commit,
            local_pool or nullcontext(worker_pool_of(executor)) as pool,
        ):
            return self.build_anywhere(commit, pool)

    def recipe(self) -> dict[str, Any]:
        """What decides about the tables besides the orders; part of the manifest."""
        privacy = self.privacy_filter.manifest_entry()
        return {"version": version("quivo_frames"), "privacy": privacy, "with_derived": self.derived}

    def estimate_size(self) -> int:
        """Bytes of JSON in all sources, about."""
        return sum(source.estimate_size() for source in self.sources)

    def start_local_pool(self, jobs: int | None, size: int) -> LocalPool:
        """Workers of this machine, as many as `size` bytes of JSON are worth; threads, with the compiled core."""
        in_threads = core_name() == COMPILED
        worth = self.settings.bytes_per_thread if in_threads else self.settings.bytes_per_process
        return LocalPool(jobs, 1 + size // worth, build_partition.__module__, in_threads=in_threads)

    def build_into_folder(self, out: str | os.PathLike[str], jobs: int | None) -> Dataset:
        """Builds with processes of this machine into a folder of its disk: one file per table."""
        with DatasetWriter(out, self.privacy_filter, derived=self.derived, rebuild=self.full) as writer:
            index, plan = self._plan_incremental(writer)
            size = self.estimate_size() if plan is None else int(plan.answers_to_build["size"].sum())
            retained = plan and plan.retained
            with self.start_local_pool(jobs, size) as pool:
                index = index or OrderIndex(self.sources, self.settings)
                order_count = plan.answers_to_build.height if plan else index.orders_left
                result = self._merge_with_progress(self._build_partitions(index, plan, writer, pool), order_count)
                writer.write_tables(pool.map_unordered, retained)
            failures, profile = result.failures, result.profile
            if retained is not None:
                failures = pl.concat([retained.scan_retained("failures").collect(), failures])
                profile = drift.update_profile(
                    retained.previous.manifest["profile"], retained.replaced_rows, profile, writer.scan_table
                )
            noticed = writer.collect_notes(retained)
            lineage = {}
            if index.current_answers is not None:
                answers = index.current_answers.select(list(LINEAGE_TABLES["answers"].schema))
                lineage = {"answers": answers, "noticed": noticed}
            return writer.commit_dataset(
                *self._summarise(writer, index, self.recipe(), result, failures, profile, noticed),
                lineage,
                partial(publish_unless_erased, self.sources),
            )

    def build_anywhere(self, commit: DatasetCommit, pool: WorkerPool) -> Dataset:
        """Builds with workers that may be on other machines: they write files, which are committed together."""
        index, recipe = OrderIndex(self.sources, self.settings), self.recipe()
        of = index.answers_digest(json.dumps(recipe))
        if not self.full and (same := commit.find_unchanged_dataset(of)):
            return same
        partitions = index.partition_all(pool.size)
        per_task = min(self.settings.partitions_per_file, -(-len(partitions) // pool.size))
        tasks = [partitions[start : start + per_task] for start in range(0, len(partitions), per_task)]
        run_task = partial(build_and_deliver, self.settings, self.privacy_filter, commit.open_destination(of))

        def take_parts() -> Iterator[PartitionResult]:
            for result, part in pool.map_unordered(run_task, tasks):
                commit.add_partition(part)
                yield result

        try:
            result = self._merge_with_progress(take_parts(), index.orders_left)
            recipe["of"] = of
            noticed = commit.collect_notes()
            return commit.commit_dataset(
                *self._summarise(commit, index, recipe, result, result.failures, result.profile, noticed),
                partial(publish_unless_erased, self.sources),
            )
        except QuivoError:
            if count_erased(self.sources):
                commit.remove_written_files()
            raise

    def _plan_incremental(self, writer: DatasetWriter) -> tuple[OrderIndex | None, IncrementalPlan | None]:
        """The index, if it was needed to decide, and what is to be rebuilt; None: everything."""
        previous = writer.previous_dataset()
        names = [source.name for source in self.sources]
        if self.full or previous is None or [entry["name"] for entry in previous.manifest["inputs"]] != names:
            return None, None
        if not can_build_incrementally(previous, self.recipe()):
            return None, None
        index = OrderIndex(self.sources, self.settings)
        by_id = len(self.sources) == 1
        max_orders = self.settings.max_incremental_orders
        return index, plan_incremental_build(previous, index.current_answers, by_id=by_id, max_orders=max_orders)

    def _build_partitions(
        self, index: OrderIndex, plan: IncrementalPlan | None, writer: DatasetWriter, pool: LocalPool
    ) -> Iterable[PartitionResult]:
        """Builds all partitions, and yields their results as they come."""
        partitions = index.partition_answers(plan.answers_to_build) if plan else index.partition_all(pool.size)
        run_task = partial(build_partition, self.settings, self.privacy_filter, self.derived)
        if len(partitions) == 1:
            return [run_task(lambda _, frames: writer.take_single_partition(frames), partitions[0])]
        return pool.map_unordered(partial(run_task, partial(stage_partition, writer.staging)), partitions)

    def _summarise(
        self, writer: DatasetWriter | DatasetCommit, index: OrderIndex, recipe: Mapping[str, Any],
        result: PartitionResult, failures: pl.DataFrame, profile: drift.Profile, noticed: pl.DataFrame,
    ) -> tuple[dict[str, Any], pl.DataFrame, pl.DataFrame]:  # fmt: skip
        """What the manifest says of a build, its failures and its notes.

        `result` is about the orders built now; `failures`, `profile` and `noticed` are about all orders of the dataset.
        """
        # Between two levels of privacy, a column may be empty because that was asked for.
        same_privacy = writer.previous_manifest.get("privacy", {"level": PrivacyLevel.FULL}) == recipe["privacy"]
        drift_notes = drift.notes_of_drift(writer.previous_manifest.get("profile", {}) if same_privacy else {}, profile)
        notes = [
            sum_notes(noticed),
            report_frame("notes", self._notes_of_inputs(index)),
            report_frame("notes", drift_notes),
        ]
        facts = {**recipe, **_manifest_facts(writer, index, result, failures.height), "profile": profile}
        return facts, failures.sort(ORDER_ID.name, nulls_last=True, maintain_order=True), pl.concat(notes)

    def _notes_of_inputs(self, index: OrderIndex) -> Iterator[Note]:
        """Notes about orders that came more than once, with wrong times, or were erased meanwhile."""
        yield from note_repeated_orders(index.superseded_positions, index.ids_of_two_sellers)
        if len(backward := index.backward_clock_ids):
            yield describe_note("clock_ran_backwards", "$.orderId", len(backward), backward[0])
        if self.erased:
            yield describe_note("erased_meanwhile", "$.orderId", self.erased, None)

    def _merge_with_progress(self, results: Iterable[PartitionResult], order_count: int) -> PartitionResult:
        """The results of all partitions together, with a progress bar while they come."""
        with open_progress_bar("build", order_count, self.progress) as progress_bar:

            def count_orders(result: PartitionResult) -> PartitionResult:
                progress_bar.update(result.orders_read)
                return result

            return merge_results(map(count_orders, results))


def _manifest_facts(
    writer: DatasetWriter | DatasetCommit, index: OrderIndex, result: PartitionResult, failed: int
) -> dict[str, Any]:
    """What the manifest says of a build; `failed` orders of the dataset are in no table.

    Raises:
        Fault: orders were lost, or came from nowhere.
    """
    written, failed_now, expected = writer.count_rows("orders"), result.failures.height, index.orders_left
    if result.orders_read != result.orders_written + failed_now or expected != written + failed:
        raise Fault(
            f"{result.orders_read} of {expected} orders were read, {result.orders_written} made and {failed_now} "
            f"failed, but {written} are in the tables and {failed} in the failures. {FAULT_CURE}"
        )
    superseded = len(index.superseded_positions)
    return {
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "core": core_name(),
        "inputs": [{"name": name, "orders": count} for name, count in index.orders_by_source.items()],
        "orders": {"in": expected, "out": written, "failed": failed, "superseded": superseded},
        "made": result.orders_read,
        "read_in_python": result.read_in_python,
        "counted": result.value_counts._asdict(),
    }
