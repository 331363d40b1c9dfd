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
from secrets import token_hex

from quivo_frames.analysis.checks import limits as thresholds
from quivo_frames.analysis.checks.audit import audit
from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.kpi.question import Question
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.report.page import Asked, page
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError
from quivo_frames.model.frames import Frames
from quivo_frames.model.time import InstantLike

__all__ = ["page", "report"]


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
    _look(path)
    read = limits if isinstance(limits, Limits) else thresholds.read(limits) if limits else Limits()
    limits_file = "" if limits is None or isinstance(limits, Limits) else Path(limits).name
    asked = Asked(as_of, tuple(only), tuple(skip), read, limits_file, personal)
    question = Question(OrderView(tables, as_of), (), on_time_against, timedelta(hours=read.late_hours), read.time_zone)
    findings = audit(question.books, only=asked.only, skip=asked.skip, limits=read, personal=personal)
    _write(path, page(tables, question, findings, asked), private=personal)
    return findings


def _look(path: Path) -> None:
    """Refuses a place where no file can be, before the work is done."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder. Give the name of a file, such as {path / 'report.html'}.")
    if not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}. Make it, or give another.")


def _write(path: Path, text: str, *, private: bool) -> None:
    """Puts the text in its place when all of it is on the disk: a reader never meets half a page."""
    beside = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        beside.touch(mode=0o600 if private else 0o666)
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror}. Give another file.") from error
