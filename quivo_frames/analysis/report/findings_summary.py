"""Summaries of findings for the report: the most telling ones, and each check with its worst rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.checks.check import Check, Severity
from quivo_frames.analysis.checks.coverage import RAN, SKIPPED
from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.report.order_blocks import order_anchor
from quivo_frames.analysis.report.sheets import Sheet, format_percent, make_sheet
from quivo_frames.analysis.text_columns import format_columns
from quivo_frames.display.text import format_count

WORST_ROWS = 8
"""How many findings of a check are on the page."""
MOST_TELLING = 5


class CheckSummary(NamedTuple):
    """What one check found: the number of findings and orders, and the worst rows."""

    check: Check
    findings: int
    orders: int
    rows: Sheet


def summaries_by_severity(findings: Findings) -> dict[Severity, list[CheckSummary]]:
    """The checks that found something, by severity; those with the most orders first."""
    summaries: dict[Severity, list[CheckSummary]] = {severity: [] for severity in Severity}
    found = findings.unaccepted()
    for severity, name, number, orders, _ in findings.by_check().iter_rows():
        summaries[Severity(severity)].append(
            CheckSummary(CHECKS[name], number, orders, _worst_rows(found.filter(check=name)))
        )
    return summaries


def _worst_rows(findings: pl.DataFrame) -> Sheet:
    worst = findings.head(WORST_ROWS)
    entry = pl.concat_str(
        pl.element().struct["name"].str.replace_all("_", " "), pl.lit(": "), pl.element().struct["value"]
    )
    rows = worst.select(
        pl.col("order_id").cast(pl.String),
        format_columns("{} {}", "table", "key").alias("table"),
        pl.col("message").str.strip_prefix(format_columns("Order {}: ", "order_id")),
        pl.col("evidence").list.eval(entry).list.join(", "),
        pl.col("days_late"),
        value=pl.col("value_at_risk").map_elements("{:,.2f}".format, pl.String) + pl.concat_str(
            pl.lit(" "), pl.col("currency").fill_null("")
        ),
    )  # fmt: skip
    rows = rows.drop(name for name in ("days_late", "value") if rows[name].null_count() == rows.height)
    number = findings.height
    caption = f"All {number:,}, the worst first" if number <= WORST_ROWS else f"The worst {WORST_ROWS} of {number:,}"
    heads = {"order_id": "Order", "table": "Row", "message": "What was found", "evidence": "Values compared",
             "value": "Net value"}  # fmt: skip
    sheet = make_sheet(rows, caption if number > 1 else "The only one", heads)
    return sheet._replace(links=[f"#{order_anchor(order_id)}" for order_id in worst["order_id"]])


def listed_orders(found: Mapping[Severity, Sequence[CheckSummary]]) -> list[int]:
    """The orders that rows of these summaries lead to."""
    return [int(row[0]) for summaries in found.values() for one in summaries for row in one.rows.rows]


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


class SkippedCheck(NamedTuple):
    """A check that could not look, and why."""

    name: str
    reason: str


def checks_without_findings(findings: Findings) -> list[Check]:
    """The checks that ran and found nothing."""
    return [CHECKS[name] for name in findings.checks.filter(outcome=RAN, findings=0)["check"]]


def skipped_checks(findings: Findings) -> list[SkippedCheck]:
    """The checks that could not look, as what they need is filled in no order."""
    return [SkippedCheck(*row) for row in findings.checks.filter(outcome=SKIPPED).select("check", "reason").iter_rows()]
