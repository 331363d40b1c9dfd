"""Summaries of findings for the report: the most telling ones, and each check with its first rows."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.checks.check import Check, Severity
from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.report.sheets import Sheet, format_percent, make_sheet
from quivo_frames.analysis.text_columns import format_columns
from quivo_frames.display.text import format_count

FIRST_ROWS = 8
"""How many findings of a check are on the page."""
MOST_TELLING = 5


class CheckSummary(NamedTuple):
    """What one check found: the number of findings and orders, and the first rows."""

    check: Check
    findings: int
    orders: int
    rows: Sheet


def summaries_by_severity(findings: Findings) -> dict[Severity, list[CheckSummary]]:
    """The checks that found something, by severity; those with the most orders first."""
    summaries: dict[Severity, list[CheckSummary]] = {severity: [] for severity in Severity}
    for severity, name, number, orders, _ in findings.by_check().iter_rows():
        summaries[Severity(severity)].append(
            CheckSummary(CHECKS[name], number, orders, _first_rows(findings.filter(check=name)))
        )
    return summaries


def _first_rows(findings: pl.DataFrame) -> Sheet:
    rows = findings.head(FIRST_ROWS).select(
        pl.col("order_id").cast(pl.String),
        format_columns("{} {}", "table", "row_key"),
        pl.col("message").str.strip_prefix(format_columns("Order {}: ", "order_id")),
        "evidence",
    )
    number = findings.height
    caption = f"All {number:,}" if number <= FIRST_ROWS else f"The first {FIRST_ROWS} of {number:,}"
    heads = {"order_id": "Order", "table": "Row", "message": "What was found", "evidence": "Values compared"}
    return make_sheet(rows, caption if number > 1 else "The only one", heads)


class Highlight(NamedTuple):
    """A check with many findings: the orders, and their share."""

    check: Check
    orders: str
    more: str


def choose_highlights(findings: Findings, orders: int) -> list[Highlight]:
    """The most telling checks: errors first, then those with the most orders."""
    return [
        Highlight(
            CHECKS[name],
            format_count(wrong, "order"),
            f"({format_percent(wrong / orders)})" + (f", {number:,} times" if number > wrong else ""),
        )
        for _, name, number, wrong, _ in findings.by_check().head(MOST_TELLING).iter_rows()
    ]


def checks_without_findings(findings: Findings, ran: list[Check]) -> list[Check]:
    """The checks that ran and found nothing."""
    with_findings = set(findings["check"])
    return [check for check in ran if check.name not in with_findings]
