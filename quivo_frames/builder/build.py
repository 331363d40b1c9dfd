"""Build a dataset from archives and files of orders.

There is one way: inputs -> plan (which parts are built, which stay) -> workers (this process, others of this machine,
Dask, Spark, any executor), each of which builds a part and writes it once -> parts joined to files by bytes -> commit
(a folder, an object store, Delta tables). So memory stays flat for any number of orders, and the tables are the same
whoever does the work, wherever they are, and however much of an earlier build stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

import polars as pl

from quivo_frames.archive.archive import Archive
from quivo_frames.archive.erasures import ATTEMPTS
from quivo_frames.builder import drift
from quivo_frames.builder.build_settings import BuildSettings, settings_from_environment
from quivo_frames.builder.inputs import BuildInput, OrderSource, SourceKind, open_sources
from quivo_frames.builder.order_index import OrderIndex
from quivo_frames.builder.partition import UnitResult, build_unit, merge_results
from quivo_frames.builder.plan import (
    BuildPlan,
    can_build_incrementally,
    earlier_answers,
    merge_units,
    plan_full_build,
    plan_incremental_build,
    read_built_answers,
)
from quivo_frames.builder.publication import count_erased, explain_erasures, publish_unless_erased
from quivo_frames.dataset.commit import BuiltParts, DatasetCommit
from quivo_frames.dataset.dataset import Dataset, privacy_filter_for
from quivo_frames.dataset.folder_commit import FolderCommit
from quivo_frames.dataset.manifest_facts import DELTA, PARQUET
from quivo_frames.dataset.parts import DamagedTables
from quivo_frames.dataset.place_commit import PlaceCommit
from quivo_frames.display.progress import open_progress_bar
from quivo_frames.errors import FAULT_CURE, ConfigError, Fault, QuivoError
from quivo_frames.executors.connect import worker_pool_of
from quivo_frames.executors.local import LocalPool, WorkerPool
from quivo_frames.flattening.core_choice import COMPILED, core_name
from quivo_frames.flattening.latest import note_repeated_orders
from quivo_frames.model.frames import Frames, report_frame, sum_notes
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
    built from the same archives, only orders with another answer than then are rebuilt, and only the parts of files
    that hold them are written; the tables are the same as those of a full build. `full` rebuilds all orders.

    `as_of` (an instant, or a day, which means its end; UTC) ignores answers of archives that came later: the tables as
    they were known then. `privacy` is full, pseudonym (personal texts become pseudonyms, under the key
    QUIVO_PSEUDONYM_KEY) or none (personal values become null). `jobs` threads share the work, this one included, or
    processes where there is an archive or no compiled core; None: as many as the machine has cores. The tables are the
    same for any number. `progress` shows a bar on stderr; None: on a terminal and in a notebook.

    `executor` (a Dask client, a SparkSession, or anything with the `map` of concurrent.futures) shares the work instead
    of `jobs`. Its workers must be able to read the inputs and to write to `out`, which may be an address of an object
    store (s3://, gs://, az://, abfss://). Tables built this way have several files each; if they were built from
    exactly the same answers before, they are left as they are. `form` is parquet, or delta: then each table is a Delta
    table as well, of which only the files with a changed order are replaced.

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
        """Builds with the workers, and commits in the way, that fit the place, the format and the executor."""
        is_folder = executor is None and form == PARQUET and not is_remote(os.fspath(out))
        kind = FolderCommit if is_folder else PlaceCommit
        with kind(os.fspath(out), self.privacy_filter, form, derived=self.derived, rebuild=self.full) as commit:
            try:
                return self._build_what_changed(commit, jobs, executor)
            except DamagedTables:
                return replace(self, full=True)._build_what_changed(commit, jobs, executor)

    def _build_what_changed(self, commit: DatasetCommit, jobs: int | None, executor: object) -> Dataset:
        """Builds all orders, or next to the parts of the earlier dataset those with another answer."""
        recipe = self.describe_recipe(commit)
        before = None if self.full else commit.previous_dataset()
        index = plan = None
        if before and can_build_incrementally(before, recipe, [source.name for source in self.sources]):
            built = read_built_answers(before)
            index = OrderIndex(self.sources, self.settings, earlier_answers(before, built))
            recipe["of"] = index.answers_digest(json.dumps(recipe))
            if same := commit.find_unchanged_dataset(recipe["of"]):
                return same
            plan = plan_incremental_build(before, built, index, self.settings, has_table_files=commit.has_table_files)
            if plan is None and index.changed_ids is not None:  # it can only read orders by id
                index = None
        size = sum(source.estimate_size() for source in self.sources) if plan is None else plan.json_bytes
        # Processes that are started now are ready when all is indexed.
        local_pool = self.start_local_pool(jobs, size) if executor is None else None
        with local_pool or nullcontext(worker_pool_of(executor)) as pool:
            index = index or OrderIndex(self.sources, self.settings)
            if plan is None:
                plan = plan_full_build(index, self.settings, pool.size, has_table_files=commit.has_table_files)
            if "of" not in recipe:
                recipe["of"] = index.answers_digest(json.dumps(recipe))
            return self._build_plan(commit, index, plan, recipe, pool)

    def describe_recipe(self, commit: DatasetCommit) -> dict[str, Any]:
        """What decides about the files besides the orders; part of the manifest."""
        return {
            "version": version("quivo_frames"),
            "privacy": self.privacy_filter.manifest_entry(),
            "with_derived": self.derived,
            "files": "tables" if commit.has_table_files else "parts",
        }

    def start_local_pool(self, jobs: int | None, size: int) -> LocalPool:
        """Workers of this machine, as many as `size` bytes of JSON are worth.

        They are threads where little is left to Python, which one thread at a time runs: with the compiled core, and
        without an archive, whose answers are unpacked one by one. With two of them, 50,000 orders of a file are built
        in less time by threads than by processes, those of an archive by processes.
        """
        has_archive = any(source.kind is SourceKind.ARCHIVE for source in self.sources)
        in_threads = core_name() == COMPILED and not has_archive
        worth = self.settings.bytes_per_thread if in_threads else self.settings.bytes_per_process
        return LocalPool(jobs, 1 + size // worth, build_unit.__module__, in_threads=in_threads)

    def _build_plan(
        self, commit: DatasetCommit, index: OrderIndex, plan: BuildPlan, recipe: Mapping[str, Any], pool: WorkerPool
    ) -> Dataset:
        """Builds the parts that are to be built, joins all to files, and commits them."""
        run_unit = partial(build_unit, self.settings, self.privacy_filter, commit.open_destination(recipe["of"]))
        units = plan.cut_units(commit.has_table_files, commit.earlier_files)
        built_units: dict[int, BuiltParts] = {}
        try:
            with open_progress_bar("build", plan.order_count, self.progress) as progress_bar:

                def take_result(result: UnitResult) -> UnitResult:
                    built_units[result.number] = result.built
                    progress_bar.update(result.orders_read)
                    return result

                work = [unit for unit in units if unit.list_tasks()]
                result = merge_results(map(take_result, pool.map_unordered(run_unit, work)))
            built = commit.join_parts(merge_units(units, built_units), pool.map_unordered)
            facts, failures, notes = self._summarise(commit, index, plan, result, built)
            answers = index.current_answers
            if answers is not None:
                answers = answers.select(list(LINEAGE_TABLES["answers"].schema))
            publish = partial(publish_unless_erased, self.sources)
            return commit.commit_dataset({**recipe, **facts}, built, failures, notes, answers, publish)
        except QuivoError:
            if count_erased(self.sources):
                commit.remove_written_files()
            raise

    def _summarise(
        self, commit: DatasetCommit, index: OrderIndex, plan: BuildPlan, result: UnitResult, built: BuiltParts
    ) -> tuple[dict[str, Any], pl.DataFrame, pl.DataFrame]:
        """What the manifest says of a build, its failures and its notes; `result` is about the orders built now."""
        failures = pl.concat([plan.failures_that_stay(), result.failures])
        profile = drift.merge_profiles([drift.profile_tables(Frames.of({})), *(part.profile for part in built.parts)])
        # Between two levels of privacy, a column may be empty because that was asked for.
        before, privacy = commit.previous_manifest, self.privacy_filter.manifest_entry()
        same_privacy = before.get("privacy", {"level": PrivacyLevel.FULL}) == privacy
        drift_notes = drift.notes_of_drift(before.get("profile", {}) if same_privacy else {}, profile)
        noticed = [note for part in built.parts for note in part.notes]
        notes = [
            sum_notes(report_frame("notes", noticed)),
            report_frame("notes", self._notes_of_inputs(index)),
            report_frame("notes", drift_notes),
        ]
        facts = {**_manifest_facts(index, result, built, failures.height), "profile": profile}
        return facts, failures.sort(ORDER_ID.name, nulls_last=True, maintain_order=True), pl.concat(notes)

    def _notes_of_inputs(self, index: OrderIndex) -> Iterator[Note]:
        """Notes about orders that came more than once, with wrong times, or were erased meanwhile."""
        yield from note_repeated_orders(index.superseded_positions, index.ids_of_two_sellers)
        if len(backward := index.backward_clock_ids):
            yield describe_note("clock_ran_backwards", "$.orderId", len(backward), backward[0])
        if self.erased:
            yield describe_note("erased_meanwhile", "$.orderId", self.erased, None)


def _manifest_facts(index: OrderIndex, result: UnitResult, built: BuiltParts, failed: int) -> dict[str, Any]:
    """What the manifest says of a build; `failed` orders of the dataset are in no table.

    Raises:
        Fault: orders were lost, or came from nowhere.
    """
    written, failed_now = sum(part.count_rows("orders") for part in built.parts), result.failures.height
    expected = index.orders_left
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
        "read_until": index.state and index.state._asdict(),
    }
