"""`sync`: find, refetch, build, audit, export and report, from where the last one ended.

It may be repeated, killed at any moment, and run late: what a search found is written down before the first request,
and the watermark moves once all of it was asked for. Tables, exports and the report are replaced as wholes.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from quivo_frames.archive.archive import Archive
from quivo_frames.errors import ConfigError
from quivo_frames.fetch.run import Run, refetch
from quivo_frames.nightly.order_search import search_orders
from quivo_frames.nightly.sync_result import SyncPlan, SyncResult
from quivo_frames.nightly.sync_state import SearchResult, SyncMemory
from quivo_frames.settings.project import PROJECT_FILE, Project, read_project
from quivo_frames.storage.path_names import check_path

if TYPE_CHECKING:
    from quivo_frames.analysis.checks.findings import Findings
    from quivo_frames.dataset.dataset import Dataset
    from quivo_frames.fetch.client import Client


def require_project(file: str | os.PathLike[str]) -> Project:
    """What quivo.toml says.

    Raises:
        ConfigError: there is none, or it does not fit.
    """
    path = check_path(file)
    if not path.exists():
        raise ConfigError(f"There is no {path} here. `quivo-frames init` writes it; or change to its folder.")
    return read_project(path)


def sync(
    client: Client, project: str | os.PathLike[str] = PROJECT_FILE, *, max_requests: int | None = None,
    jobs: int | None = None, progress: bool | None = None,
) -> SyncResult:  # fmt: skip
    """The work of a night, as quivo.toml says; returns what is new since the last one.

    It finds the orders that changed since the last search (with an overlap, as Quivo's index lags behind the orders),
    takes the ids of new webhook events, of orders that failed, and of those that were postponed by max_age, refetches
    them, renews the tables, audits them, and writes the report and the exports. Each step goes on where an earlier sync
    was interrupted; the same again changes nothing. What goes wrong with an export, the report or a file of events is
    in `problems` of the result, and the rest goes on.

    `project` is the file quivo.toml, `max_requests` replaces the limit in it. `jobs` threads or processes share the
    build. `progress` shows bars on stderr (None: on a terminal and in a notebook).

    Raises:
        ConfigError: there is no quivo.toml, it does not fit, or there are more orders than it allows; nothing was
            refetched.
        LoginError, Unreachable, UnexpectedResponse: Quivo cannot be used; the next sync goes on.
        ArchiveError: the archive cannot be written, or another sync of it is running.
        DatasetError: the tables cannot be written.
    """
    settings = require_project(project)
    allowed = settings.refetch.max_requests if max_requests is None else max_requests
    memory = SyncMemory(Path(settings.archive))
    with Archive(settings.archive) as archive, memory.locked():
        state = memory.read_state()
        state = msgspec.structs.replace(state, first_began=state.first_began or datetime.now(UTC))
        runs = list[Run]()
        if state.begun is not None:  # a sync was interrupted
            runs += _refetch_orders(settings, client, archive, state.begun, progress)
            state = state.with_refetched(state.begun)
            memory.write_state(state)
        search, problems = search_orders(settings, client, archive, state, datetime.now(UTC))
        _require_few_enough(search, allowed)
        memory.write_state(state.with_begun(search))
        runs += _refetch_orders(settings, client, archive, search, progress)
        refetched, answered_at = state.with_refetched(search), datetime.now(UTC)
        memory.write_state(refetched)
        archive.close()  # from here on it is only read
        tables = _build_tables(settings, archive, jobs, progress)
        result = SyncResult(search, runs, archive, tables, state, problems)
        result.findings = result.attempt("The tables were not audited", lambda: _audit_tables(settings, tables, result))
        _write_exports(settings, tables, result)
        audited = result.findings.as_of if result.findings is not None else state.audited_as_of
        memory.write_state(msgspec.structs.replace(refetched, completed_at=answered_at, audited_as_of=audited))
    return result


def _write_exports(settings: Project, tables: Dataset, result: SyncResult) -> None:
    from quivo_frames.analysis.workbook import export_with_answers

    for export in settings.exports:
        written = result.attempt(f"{export.out} was not exported", partial(
            export_with_answers, tables, export.to, export.out, privacy=export.privacy, by_month=export.by_month,
            findings=result.findings, limits=settings.audit.limits,
            on_time_against=settings.report.on_time_against,
        ))  # fmt: skip
        if written is not None:
            result.record_written(export.out, written.notices)


def plan_sync(client: Client, project: str | os.PathLike[str] = PROJECT_FILE) -> SyncPlan:
    """What `sync` would refetch now. It searches, and writes nothing.

    Raises:
        ConfigError, LoginError, Unreachable, UnexpectedResponse, ArchiveError: as for `sync`.
    """
    settings = require_project(project)
    archive, memory = Archive(settings.archive), SyncMemory(Path(settings.archive))
    state = memory.read_state()
    if state.begun is not None:
        return SyncPlan(state.begun, settings.refetch.max_requests, is_interrupted=True)
    search, problems = search_orders(settings, client, archive, state, datetime.now(UTC))
    return SyncPlan(search, settings.refetch.max_requests, problems=problems)


def _require_few_enough(search: SearchResult, allowed: int) -> None:
    if (count := len(search.order_ids)) > allowed:
        raise ConfigError(
            f"{count:,} orders are to be refetched, and quivo.toml allows {allowed:,} at a time. Nothing was "
            f"refetched. Raise max_requests under [refetch], or allow it once: --max-requests {count}."
        )


def _refetch_orders(
    settings: Project, client: Client, archive: Archive, search: SearchResult, progress: bool | None
) -> list[Run]:
    """The run of the orders of a search; none if there are no orders, or an interrupted sync has asked for all."""
    if not search.order_ids or not _has_unasked_orders(archive, search):
        return []
    return [refetch(search.order_ids, client, archive, workers=settings.refetch.workers, progress=progress)]


def _has_unasked_orders(archive: Archive, search: SearchResult) -> bool:
    if not archive.path.exists():
        return True
    runs = archive.runs().filter(pl.col("started_at") >= search.searched_at)
    if runs.is_empty():
        return True
    asked = archive.attempts().filter(pl.col("run") >= runs["run"].min())["order_id"]
    return not set(search.order_ids) <= set(asked) or not runs.filter(pl.col("finished_at").is_null()).is_empty()


def _build_tables(settings: Project, archive: Archive, jobs: int | None, progress: bool | None) -> Dataset:
    from quivo_frames.builder.build import build

    if not archive.path.exists():
        raise ConfigError(
            "No order was found, so there is nothing to build. Widen `query` or `first` under [find] in quivo.toml."
        )
    return build(
        archive, settings.tables, privacy=settings.build.privacy, derived=settings.build.derived, jobs=jobs,
        progress=progress,
    )  # fmt: skip


def _audit_tables(settings: Project, tables: Dataset, result: SyncResult) -> Findings:
    from quivo_frames.analysis.checks.audit import audit
    from quivo_frames.analysis.report.report import report

    limits, accepted, file = settings.audit.limits, settings.audit.accepted, settings.report.file
    if file:
        written = result.attempt(f"{file} was not written", lambda: report(
            tables, file, limits=limits, accepted=accepted, on_time_against=settings.report.on_time_against
        ))  # fmt: skip
        if written is not None:
            result.record_written(file, written.notices)
            return written
    return audit(tables, limits=limits, accepted=accepted)
