"""The audit: runs the checks on the tables of orders and returns what went wrong in fulfillment.

    quantities   ordered, planned, shipped and packed pieces of a line
    packing      handling units, SSCCs, weights
    chronology   events in the wrong order, and events that are overdue
    service      promises to the customer: days and windows
    tracing      tracking, proof of delivery, lots, serial numbers
    money        amounts and currencies
    writing      identifiers that are written in several ways
    data         errors, codes, weights and personal data in the orders themselves

Each check is one small function. Where the columns that it needs are filled in no order, it is skipped.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Collection, Iterable
from functools import partial
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.checks import chronology, data, money, packing, quantities, service, tracing, writing
from quivo_frames.analysis.checks import limits as thresholds
from quivo_frames.analysis.checks.accepted import read_accepted
from quivo_frames.analysis.checks.check import EVIDENCE, Check, Severity
from quivo_frames.analysis.checks.context import add_context
from quivo_frames.analysis.checks.coverage import RAN, count_judged_orders, describe_blind_checks, describe_runs
from quivo_frames.analysis.checks.findings import (
    FINDINGS,
    FINDINGS_SCHEMA,
    Finding,
    Findings,
    mark_accepted,
    sort_worst_first,
)
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.checks.memory import (
    NEW,
    STANDING,
    AuditRun,
    Comparison,
    FindingsMemory,
    KnownFindings,
    compare_findings,
    remember_findings,
)
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.ranges import map_ranges, open_worker_pool
from quivo_frames.dataset.dataset import Dataset, TablesOrFolder
from quivo_frames.errors import ConfigError
from quivo_frames.executors.local import WorkerPool
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.model.tables import cast_to_schema
from quivo_frames.model.time import InstantLike
from quivo_frames.storage.atomic import explain_disk_error
from quivo_frames.storage.urls import is_remote

__all__ = ["CHECKS", "FINDINGS", "Check", "Finding", "Findings", "Limits", "Severity", "audit", "select_checks"]

CHECK_MODULES = (quantities, packing, chronology, service, tracing, money, writing, data)
CHECKS: dict[str, Check] = {
    found.name: found for module in CHECK_MODULES for found in vars(module).values() if isinstance(found, Check)
}
"""All checks by name, module by module, in the order of their definitions."""
_FOUND_SCHEMA = {
    name: dtype for name, dtype in FINDINGS_SCHEMA.items()
    if name in ("finding", "check", "severity", "order_id", "sku", "table", "key", "expected", "actual", "days_late",
                "message", "evidence", "reference")
} | {"personal": EVIDENCE}  # fmt: skip
"""What the checks say."""


def audit(
    tables: TablesOrFolder | OrderView, as_of: InstantLike | None = None, *,
    only: Iterable[str] = (), skip: Iterable[str] = (),
    limits: Limits | str | os.PathLike[str] | None = None, personal: bool = False,
    accepted: str | os.PathLike[str] | None = None, remember: bool = True, jobs: int | None = None,
    executor: object = None,
) -> Findings:  # fmt: skip
    """Findings: everything that is, or may be, wrong in the orders, worst first.

    `tables` is the folder of a dataset, a `Dataset`, `Frames`, or a dict of frames by table name.
    `as_of` (an instant, or a day, which means its end; UTC) audits the orders as they were then. By default everything
    known counts, and the time is that of the last answer. Nothing is expected of an order after its own answer
    arrived. `only` and `skip` name checks; `new` among `only` leaves out what the last audit of the dataset found, too.
    `limits` are `Limits` or the path of a TOML file with them. Personal values are shown only with `personal`.
    `accepted` is a TOML file of accepted findings, as `quivo-frames accept` writes it.

    The folder of a dataset remembers what was found, so that the next audit knows what is new and what is resolved;
    not with `as_of` or without `remember`, nor where the folder cannot be written. The audit of a slice says what is
    new too, and leaves what the folder remembers as it is: nobody looked whether the rest is resolved. Checks that
    compare orders with each other see those of the slice alone.

    Orders are looked at in ranges, so that memory does not grow with them; `jobs` processes, or those of an `executor`
    as for `build`, share the ranges of a dataset.

    Raises:
        ConfigError: `tables` are no tables, a check, a threshold or a time zone does not exist, `as_of` is no date, or
            the file of accepted findings does not fit.
        DatasetError: the dataset is incomplete or of another version, or what it remembers is damaged.
    """
    chosen = tuple(only)
    checks = select_checks(chosen, tuple(skip))
    with_limits = limits if isinstance(limits, Limits) else thresholds.read_limits(limits) if limits else Limits()
    agreed = read_accepted(accepted, CHECKS) if accepted else {}
    view = OrderView.from_tables(tables, as_of)
    with open_worker_pool(view, jobs, executor) as pool:
        found, runs = _find(view, checks, with_limits, personal=personal, pool=pool)
    run = AuditRun(
        runs.filter(outcome=RAN)["check"].to_list(), view["orders"].select("order_id").collect().to_series(),
        with_limits, view.as_of,
    )  # fmt: skip
    is_slice = view.dataset is not None and bool(view.dataset.conditions)
    is_comparable = as_of is None and not is_slice
    is_kept = remember and is_comparable
    compared, notices = _compare_with_memory(view.dataset, found, run, is_kept=is_kept)
    valid = [name for name, one in agreed.items() if view.as_of.date() <= one.until]
    marked = mark_accepted(compared.found, valid)
    findings = Findings(marked.filter(status=NEW) if NEW in chosen else marked)
    findings.as_of, findings.personal, findings.dataset, findings.checks = view.as_of, personal, view.dataset, runs
    findings.notices, findings.left_out = notices, marked.filter(status=STANDING).height if NEW in chosen else 0
    if is_comparable:
        findings.resolved, findings.since = compared.resolved, compared.since
    return findings


def _find(
    view: OrderView, checks: list[Check], limits: Limits, *, personal: bool, pool: WorkerPool | None
) -> tuple[pl.DataFrame, pl.DataFrame]:  # fmt: skip
    """The findings of the checks, worst first, and one row per check about how it ran.

    Checks that cross orders look at all of them, at few columns each; the others look at one range of orders at a time.
    """
    is_blind = view.dataset is not None and view.dataset.level is PrivacyLevel.NONE
    blind = [check for check in checks if is_blind and check.misses_personal]
    checks = [check for check in checks if check not in blind]
    across = _run_checks([check for check in checks if check.crosses_orders], view, limits)
    work = partial(_find_in_range, [check.name for check in checks], limits, across, personal)
    parts = list(map_ranges(work, view, pool))
    judged = pl.concat(part.judged for part in parts).sum()
    found = pl.concat([pl.read_ipc(io.BytesIO(parts.pop().found)) for _ in range(len(parts))])
    runs = pl.concat([describe_runs(checks, judged, found), describe_blind_checks(blind)])
    return sort_worst_first(found).select(*FINDINGS_SCHEMA), runs


class _FoundInRange(NamedTuple):
    """The findings in a range of orders, packed, and how many of its orders each check can judge."""

    found: bytes
    judged: pl.DataFrame


def _find_in_range(
    names: list[str], limits: Limits, across: pl.DataFrame, personal: bool, view: OrderView
) -> _FoundInRange:
    """What is found in the orders of a view, with `placed`, and how many orders each check can judge.

    The findings are packed (Arrow IPC): a few texts of a column would keep all texts of the tables in memory.
    """
    checks = [CHECKS[name] for name in names]  # their functions cannot be sent to another process
    alone = _run_checks([check for check in checks if not check.crosses_orders], view, limits)
    here = view["orders"].select("order_id").collect().to_series().implode()
    found = pl.concat([across.filter(pl.col("order_id").is_in(here)), alone])
    if personal:
        found = found.with_columns(evidence=pl.concat_list("evidence", "personal"))
    instant = pl.lit(view.as_of)
    complete = add_context(found, view, checks).with_columns(status=pl.lit(NEW), found_at=instant, first_seen=instant)
    complete.select(*cast_to_schema(FINDINGS_SCHEMA), "placed").write_ipc(packed := io.BytesIO(), compression="zstd")
    return _FoundInRange(packed.getvalue(), count_judged_orders(checks, view))


def _run_checks(checks: list[Check], view: OrderView, limits: Limits) -> pl.DataFrame:
    frames = pl.collect_all([check.find_violations(view, limits).select(*_FOUND_SCHEMA) for check in checks])
    return pl.concat([pl.DataFrame(schema=_FOUND_SCHEMA), *frames])


def _compare_with_memory(
    dataset: Dataset | None, found: pl.DataFrame, run: AuditRun, *, is_kept: bool
) -> tuple[Comparison, list[str]]:  # fmt: skip
    """The findings compared with those that the folder of the dataset remembers, and sentences for the user.

    Where they are to be kept, they are remembered; a folder that cannot be written just does not remember.
    """
    compared = [compare_findings(KnownFindings.none_known(), found, run)]
    if dataset is None or is_remote(dataset.address):
        return compared[0], []
    memory = FindingsMemory(dataset.place)

    def compare_and_remember(known: KnownFindings) -> KnownFindings:
        compared.append(compare_findings(known, found, run))
        return remember_findings(known, compared[-1], run) if is_kept else known

    try:
        memory.change(compare_and_remember)
    except PermissionError:
        pass
    except OSError as error:
        if error.errno != errno.EROFS:
            return compared[-1], [
                f"{memory.file} cannot be written ({explain_disk_error(error)}): these findings are not remembered."
            ]
    return compared[-1], []


def select_checks(only: Collection[str], skip: Collection[str]) -> list[Check]:
    """The checks to run: those named in `only` (all, if it names none) that `skip` does not name.

    Raises:
        ConfigError: a check does not exist.
    """
    wanted = {*only} - {NEW}
    unknown = sorted({*wanted, *skip} - set(CHECKS))
    if unknown:
        raise ConfigError(f"There is no check {unknown[0]!r}. The checks are: {', '.join(CHECKS)}.")
    return [check for name, check in CHECKS.items() if (not wanted or name in wanted) and name not in skip]
