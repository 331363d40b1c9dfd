"""Verb: tables -> findings, what went wrong in fulfillment. Floor 6.

    quantities   ordered, planned, shipped and packed pieces of a line
    packing      handling units, SSCCs, weights
    chronology   what came after what
    service      promises to the customer: days and windows
    tracing      tracking, proof of delivery, lots, serial numbers
    money        amounts and currencies
    data         what the data says about itself

Each check is one small function. Where the fields it needs are missing it is silent, never wrong.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping

import polars as pl

from quivo_frames.analysis.checks import chronology, data, money, packing, quantities, service, tracing
from quivo_frames.analysis.checks import limits as thresholds
from quivo_frames.analysis.checks.check import Check, Severity
from quivo_frames.analysis.checks.findings import FINDINGS, Finding, Findings, sort_findings
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.errors import ConfigError
from quivo_frames.model.time import InstantLike

__all__ = ["CHECKS", "FINDINGS", "Check", "Finding", "Findings", "Limits", "Severity", "audit", "select_checks"]

CHECK_MODULES = (quantities, packing, chronology, service, tracing, money, data)
CHECKS: dict[str, Check] = {
    found.name: found for room in CHECK_MODULES for found in vars(room).values() if isinstance(found, Check)
}
"""All checks by name, room by room."""


def audit(
    tables: Mapping[str, pl.DataFrame] | OrderView, as_of: InstantLike | None = None, *,
    only: Iterable[str] = (), skip: Iterable[str] = (),
    limits: Limits | str | os.PathLike[str] | None = None, personal: bool = False,
) -> Findings:  # fmt: skip
    """Findings: what is, or may be, wrong in a dataset or in frames, worst first.

    `as_of` (an instant, or a day, which means its end; UTC) audits what had happened by then. By default all that is
    known counts, and time is that of the last answer. Of each order nothing is expected that is later than its own
    answer. `only` and `skip` name checks; `limits` are `Limits` or a TOML file of them. No personal value is shown
    unless `personal`.

    Raises:
        ConfigError: a check, a threshold or a time zone that does not exist, or a date that is none.
    """
    checks = select_checks(tuple(only), tuple(skip))
    with_limits = limits if isinstance(limits, Limits) else thresholds.read_limits(limits) if limits else Limits()
    view = OrderView.from_tables(tables, as_of)
    found = pl.collect_all([check.find_violations(view, with_limits) for check in checks])
    nothing = FINDINGS.empty_frame().with_columns(personal=pl.lit(None, pl.String))
    every = pl.concat([nothing, *(frame.select(nothing.columns) for frame in found)])
    return sort_findings(every, view.as_of, personal=personal)


def select_checks(only: Collection[str], skip: Collection[str]) -> list[Check]:
    """The checks that these names leave; all of them without names.

    Raises:
        ConfigError: there is no such check.
    """
    unknown = sorted({*only, *skip} - set(CHECKS))
    if unknown:
        raise ConfigError(f"There is no check {unknown[0]!r}. The checks are: {', '.join(CHECKS)}.")
    return [check for name, check in CHECKS.items() if (not only or name in only) and name not in skip]
