"""Verb: tables -> the report of an audit, one page of HTML. Floor 7.

    page          everything on the page; page.html and page.css are its form
    found         what was found: the most telling in words, each check with its first rows
    performance   how well orders are fulfilled: headline figures and tables
    charts        pictures of it, each with its words and its data
    drawing       a chart as SVG, in the colours of the page
    sheets        frames as tables to read

The page is one file without scripts: it works offline, in light and dark, on paper, and tells nothing to anybody.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from quivo_frames.analysis.checks import limits as thresholds
from quivo_frames.analysis.checks.audit import audit
from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.kpi.question import KpiQuery
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.report.page import ReportOptions, render_page
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError
from quivo_frames.model.frames import Frames
from quivo_frames.model.time import InstantLike
from quivo_frames.storage.atomic import refuse_unwritable_path, write_file_atomically

__all__ = ["render_page", "report"]


def report(
    tables: Dataset | Frames, file: str | os.PathLike[str], as_of: InstantLike | None = None, *,
    only: Iterable[str] = (), skip: Iterable[str] = (),
    limits: Limits | str | os.PathLike[str] | None = None, personal: bool = False,
    on_time_against: str = "latest_delivery_date",
) -> Findings:  # fmt: skip
    """Audits the tables, writes the report to a file of HTML, and gives the findings.

    `as_of`, `only`, `skip`, `limits` and `personal` are those of `audit`, `on_time_against` is that of `kpis`; for
    KPIs, too, days are those of the limits' time zone, and late is what is later by more than their `late_hours`.
    No personal value is in the file unless `personal`; then it is for its owner alone.

    Raises:
        ConfigError: a check, a threshold, a date or a promise that does not exist, or the file cannot be written.
    """
    path = Path(file)
    refuse_unwritable_path(path, "report.html")
    read = limits if isinstance(limits, Limits) else thresholds.read_limits(limits) if limits else Limits()
    limits_file = "" if limits is None or isinstance(limits, Limits) else Path(limits).name
    asked = ReportOptions(as_of, tuple(only), tuple(skip), read, limits_file, personal)
    question = KpiQuery(OrderView(tables, as_of), (), on_time_against, timedelta(hours=read.late_hours), read.time_zone)
    findings = audit(question.books, only=asked.only, skip=asked.skip, limits=read, personal=personal)
    text = render_page(tables, question, findings, asked)
    try:
        write_file_atomically(path, text.encode(), owner_only=personal)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}. Give another file.") from error
    return findings
