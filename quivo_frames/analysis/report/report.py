"""Writes the report of an audit, one HTML page: findings, KPIs and charts.

The page is one file without scripts and without requests to the network. It works offline, in light and dark mode, and
on paper.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from quivo_frames.analysis.checks import limits as thresholds
from quivo_frames.analysis.checks.audit import audit
from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.kpi.query import KpiQuery
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.dataset.dataset import Dataset, TablesOrFolder, as_tables
from quivo_frames.display.progress import open_progress_bar
from quivo_frames.errors import ConfigError
from quivo_frames.model.frames import Frames
from quivo_frames.model.time import InstantLike
from quivo_frames.storage.atomic import OutputKind, refuse_output_file, write_file_atomically


def report(
    tables: TablesOrFolder, file: str | os.PathLike[str], as_of: InstantLike | None = None, *,
    only: Iterable[str] = (), skip: Iterable[str] = (),
    limits: Limits | str | os.PathLike[str] | None = None, personal: bool = False,
    accepted: str | os.PathLike[str] | None = None, on_time_against: str = "latest_delivery_date",
    jobs: int | None = None, executor: object = None, progress: bool | None = None,
) -> Findings:  # fmt: skip
    """Audits the tables, writes the report to an HTML file, and returns the findings.

    `tables` is the folder of a dataset, a `Dataset` or `Frames`. `as_of`, `only`, `skip`, `limits`, `personal`,
    `accepted`, `jobs` and `executor` are those of `audit`, `on_time_against` is that of `kpis`. Days are days of the
    time zone in `limits`, and late means later than promised by more than `late_hours`, in the KPIs as well. The file
    holds no personal value unless `personal` is set. Only its owner can read it. `progress` shows a bar on stderr;
    None: on a terminal and in a notebook only.

    Raises:
        ConfigError: `tables` are no tables, a check, a threshold, a date or a promise does not exist, something else
            is there than an earlier report, or the extra `report` is not installed.
        DatasetError: the dataset is incomplete, or of another version.
        ExportError: the file cannot be written.
    """
    require_chart_libraries()
    if sys.flags.optimize > 1:  # altair cannot be imported
        raise ConfigError(
            "A report cannot be drawn without docstrings, which Python leaves out here. Unset PYTHONOPTIMIZE, and "
            "start Python without -OO."
        )
    path = Path(file)
    refuse_output_file(path, _REPORT)
    opened = as_tables(tables)
    if not isinstance(opened, Dataset | Frames):
        raise ConfigError(
            "A report also shows the failures and notes of a build, which a dict of frames does not have. "
            "Give the folder of a dataset, or what qf.open, qf.build or qf.flatten return."
        )
    with_limits = limits if isinstance(limits, Limits) else thresholds.read_limits(limits) if limits else Limits()
    limits_file = "" if limits is None or isinstance(limits, Limits) else Path(limits).name
    tolerance = timedelta(hours=with_limits.late_hours)
    view = OrderView(opened, as_of)
    query = KpiQuery(
        view, (), on_time_against, tolerance, with_limits.time_zone, with_limits.calendar, jobs, executor
    )  # fmt: skip
    with open_progress_bar("report", _STEPS, progress, "steps") as steps:
        from quivo_frames.analysis.report.page import ReportOptions, draw_figures, render_page  # takes time to load

        options = ReportOptions(as_of, tuple(only), tuple(skip), with_limits, limits_file, personal)
        steps.update()
        figures = draw_figures(query)
        steps.update()
        findings = audit(
            view, only=options.only, skip=options.skip, limits=with_limits, personal=personal, accepted=accepted,
            remember=as_of is None, jobs=jobs, executor=executor,
        )  # fmt: skip
        steps.update()
        text = render_page(opened, view, figures, findings, options)
        steps.update()
    if isinstance(opened, Dataset):
        findings.notices = [*findings.notices, *opened.outputs.record_saved_file(path, "report")]
    write_file_atomically(path, text.encode(), _REPORT)
    return findings


def require_chart_libraries() -> None:
    """Find out, before anything is done, whether a report can be drawn.

    Raises:
        ConfigError: the extra `report` is not installed.
    """
    missing = [package for module, package in _CHART_LIBRARIES.items() if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"The report needs {' and '.join(missing)}. Install it: pip install 'quivo-frames[report]'. Findings and "
            "KPIs need nothing more."
        )


_STEPS = 4
"""Loading the charts, drawing figures, the audit, and the page."""
_CHART_LIBRARIES = {"altair": "altair", "vl_convert": "vl-convert-python"}
"""Module -> package of the extra `report`."""


def _is_report(file: Path) -> bool:
    with file.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    return any(mark in head for mark in _REPORT_MARKS)


_HEAD_BYTES = 2_000
_REPORT_MARKS = (b'<meta name="generator" content="quivo_frames">', b"\n<title>Fulfillment audit, ")
"""What is in the head of each report: the second in those of version 0.1."""
_REPORT = OutputKind("report", _is_report, (".html", ".htm"))
