"""The audit: runs the checks on the tables of orders and returns what went wrong in fulfillment.

    quantities   ordered, planned, shipped and packed pieces of a line
    packing      handling units, SSCCs, weights
    chronology   events in the wrong order, and events that are overdue
    service      promises to the customer: days and windows
    tracing      tracking, proof of delivery, lots, serial numbers
    money        amounts and currencies
    writing      identifiers that are written in several ways
    data         errors, codes, weights and personal data in the orders themselves

Each check is one small function. Where the fields it needs are missing, it finds nothing.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

import polars as pl

from quivo_frames.analysis.checks import chronology, data, money, packing, quantities, service, tracing, writing
from quivo_frames.analysis.checks import limits as thresholds
from quivo_frames.analysis.checks.check import Check, Severity
from quivo_frames.analysis.checks.findings import FINDINGS, Finding, Findings, sort_findings
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.dataset.dataset import TablesOrFolder
from quivo_frames.errors import ConfigError
from quivo_frames.model.time import InstantLike

__all__ = ["CHECKS", "FINDINGS", "Check", "Finding", "Findings", "Limits", "Severity", "audit", "select_checks"]

CHECK_MODULES = (quantities, packing, chronology, service, tracing, money, writing, data)
CHECKS: dict[str, Check] = {
    found.name: found for module in CHECK_MODULES for found in vars(module).values() if isinstance(found, Check)
}
"""All checks by name, module by module, in the order of their definitions."""


def audit(
    tables: TablesOrFolder | OrderView, as_of: InstantLike | None = None, *,
    only: Iterable[str] = (), skip: Iterable[str] = (),
    limits: Limits | str | os.PathLike[str] | None = None, personal: bool = False,
) -> Findings:  # fmt: skip
    """Findings: everything that is, or may be, wrong in the orders, worst first.

    `tables` is the folder of a dataset, a `Dataset`, `Frames`, or a dict of frames by table name.
    `as_of` (an instant, or a day, which means its end; UTC) audits the orders as they were then. By default everything
    known counts, and the time is that of the last answer. Nothing is expected of an order after its own answer
    arrived. `only` and `skip` name checks; `limits` are `Limits` or the path of a TOML file with them. Personal values
    are shown only with `personal`.

    Raises:
        ConfigError: `tables` are no tables, a check, a threshold or a time zone does not exist, or `as_of` is no date.
        DatasetError: the dataset is incomplete, or of another version.
    """
    checks = select_checks(tuple(only), tuple(skip))
    with_limits = limits if isinstance(limits, Limits) else thresholds.read_limits(limits) if limits else Limits()
    view = OrderView.from_tables(tables, as_of)
    found = pl.collect_all([check.find_violations(view, with_limits) for check in checks])
    empty = FINDINGS.empty_frame().with_columns(personal=pl.lit(None, pl.String))
    findings = pl.concat([empty, *(frame.select(empty.columns) for frame in found)])
    in_order = sort_findings(findings, view.as_of, personal=personal)
    in_order.dataset = view.dataset
    return in_order


def select_checks(only: Collection[str], skip: Collection[str]) -> list[Check]:
    """The checks to run: those named in `only` (all, if it is empty) that `skip` does not name.

    Raises:
        ConfigError: a check does not exist.
    """
    unknown = sorted({*only, *skip} - set(CHECKS))
    if unknown:
        raise ConfigError(f"There is no check {unknown[0]!r}. The checks are: {', '.join(CHECKS)}.")
    return [check for name, check in CHECKS.items() if (not only or name in only) and name not in skip]
