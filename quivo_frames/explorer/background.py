"""What takes long for many orders, in another process: memory that it took is free afterwards, and pages stay quick.

Work that nobody waits for any more, as its state of the tables was closed, is given up soon.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, wait
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import polars as pl

from quivo_frames.analysis.checks.audit import audit
from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.kpi.query import KpiQuery
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.errors import DatasetError, LostWorker
from quivo_frames.executors.local import LocalPool

if TYPE_CHECKING:
    from quivo_frames.analysis.report.page import PageFigures, PageTitle

Result = TypeVar("Result")
REBUILT_MEANWHILE = "The tables were rebuilt meanwhile. Ask again."
_TWO_PROCESSES = 2
_SECONDS_BETWEEN_LOOKS = 0.1


class StopRequest(threading.Event):
    """Is set when a state of the tables is closed; what works for that state looks at it now and then."""

    def raise_if_set(self) -> None:
        """Give up the work if nobody waits for it any more.

        Raises:
            DatasetError: the state of the tables was closed.
        """
        if self.is_set():
            raise DatasetError(REBUILT_MEANWHILE)


class _PackedFindings(NamedTuple):
    """Findings on their way from one process to another."""

    rows: bytes
    resolved: pl.DataFrame
    checks: pl.DataFrame
    as_of: datetime | None
    since: datetime | None


class OverviewFigures(NamedTuple):
    """What the overview shows of the orders: the figures and charts of the report, and its heading."""

    page: PageFigures
    title: PageTitle


def audit_in_other_process(view: OrderView, limits: Limits, stop_request: StopRequest, *, personal: bool) -> Findings:
    """What an audit finds in all orders of a view, compared with the last one; nothing is remembered of it."""
    packed = _run_in_other_process(partial(_find_and_pack, limits, personal=personal), view, stop_request)
    findings = Findings(pl.read_ipc(io.BytesIO(packed.rows)))
    findings.resolved, findings.checks, findings.personal = packed.resolved, packed.checks, personal
    findings.as_of, findings.since, findings.dataset = packed.as_of, packed.since, view.dataset
    return findings


def draw_in_other_process(
    view: OrderView, limits: Limits, on_time_against: str, stop_request: StopRequest
) -> OverviewFigures:
    """The figures and charts of the report, of all orders of a view."""
    return _run_in_other_process(partial(_draw_overview, limits, on_time_against), view, stop_request)


def _run_in_other_process(work: Callable[[OrderView], Result], view: OrderView, stop_request: StopRequest) -> Result:
    """What `work` makes of a view; where there are many orders, in another process, which ends if it is given up."""
    stop_request.raise_if_set()
    if len(view.id_ranges()) < _TWO_PROCESSES:
        return work(view)
    try:
        with LocalPool(_TWO_PROCESSES, _TWO_PROCESSES, __name__) as pool:
            result: Future[Result] = pool.submit_task(work, view)
            while not result.done():
                stop_request.raise_if_set()
                wait([result], _SECONDS_BETWEEN_LOOKS)
            return result.result()
    except BrokenExecutor as error:
        raise LostWorker(
            "A process of the explorer was ended by the system, as happens when memory is short. Start it again."
        ) from error


def _find_and_pack(limits: Limits, view: OrderView, *, personal: bool) -> _PackedFindings:
    found = audit(view, limits=limits, personal=personal, remember=False)
    found.write_ipc(rows := io.BytesIO(), compression="zstd")
    return _PackedFindings(rows.getvalue(), found.resolved, found.checks, found.as_of, found.since)


def _draw_overview(limits: Limits, on_time_against: str, view: OrderView) -> OverviewFigures:
    from quivo_frames.analysis.report.page import describe_orders, draw_figures  # takes time to load

    tolerance = timedelta(hours=limits.late_hours)
    figures = draw_figures(KpiQuery(view, (), on_time_against, tolerance, limits.time_zone, limits.calendar))
    orders = view["orders"].select("seller_name", "order_date", "created").collect()
    failed = view.dataset.failures.height if view.dataset is not None else 0
    return OverviewFigures(figures, describe_orders(orders, failed, figures.kpis))
