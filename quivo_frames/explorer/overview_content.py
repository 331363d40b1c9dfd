"""What the overview shows: the figures of the report, each with the address of the orders behind it."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.checks.check import Check
from quivo_frames.analysis.report import charts, findings_summary, performance
from quivo_frames.analysis.report.charts import ReportChart
from quivo_frames.analysis.report.page import count_by_warehouse
from quivo_frames.analysis.report.performance import HeadlineFigure
from quivo_frames.analysis.report.sheets import UNKNOWN, Sheet
from quivo_frames.explorer.background import OverviewFigures
from quivo_frames.explorer.finding_list import FindingList
from quivo_frames.explorer.rendering import address_of

_LATE = {"late": "yes"}
_OPEN = {"open": "yes", "sort": "placed", "dir": "asc"}
_BEHIND_FIGURES = {
    "Orders": ("/orders", {}),
    "Errors": ("/findings", {"severity": "error"}),
    "Orders with errors": ("/findings", {"severity": "error"}),
    "Perfect orders": ("/orders", _LATE),
    "On time": ("/orders", _LATE),
    "Line fill rate": ("/lines", {}),
    "Order to delivery": ("/orders", {}),
    "Open orders": ("/orders", _OPEN),
}  # fmt: skip
"""Where each headline figure leads to."""
_WORDS = {
    "Orders": "All orders", "Errors": "The errors", "Orders with errors": "The errors", "Perfect orders": "Late orders",
    "On time": "Late orders", "Line fill rate": "The lines", "Order to delivery": "The orders",
    "Open orders": "Open orders, oldest first",
}  # fmt: skip
_BEHIND_CHARTS = {
    "over-time": ("/orders", "month"), "splits": ("/orders", "month"), "carriers": ("/orders", "carrier"),
    "by-warehouse": ("/findings", "warehouse"),
}  # fmt: skip
"""Where the rows of the numbers of a chart lead to, and the filter that takes the name of a row."""
_BEHIND_GROUPS = {"By seller": "seller", "By warehouse": "warehouse", "By month": "month"}


class LinkedFigure(NamedTuple):
    """A headline figure, and what is behind it."""

    figure: HeadlineFigure
    address: str
    words: str


class LinkedHighlight(NamedTuple):
    """A check with many findings, as the report tells of it, and its findings."""

    check: Check
    orders: str
    more: str
    address: str


class OverviewContent(NamedTuple):
    """What the overview shows of figures and findings."""

    figures: list[LinkedFigure]
    highlights: list[LinkedHighlight]
    charts: list[ReportChart]
    sheets: list[Sheet]
    compared: list[Sheet]


def describe_findings(listed: FindingList, orders: int) -> list[LinkedHighlight]:
    """The most telling findings."""
    return [
        LinkedHighlight(*one, address_of("/findings", check=one.check.name))
        for one in findings_summary.choose_highlights(listed.findings, orders)
    ]


def describe_overview(figures: OverviewFigures, listed: FindingList, orders: int) -> OverviewContent:
    """The figures of the orders, with the findings as they are now."""
    page = figures.page
    by_warehouse = charts.findings_by_warehouse(count_by_warehouse(page.warehouses, listed.findings))
    return OverviewContent(
        [_link_figure(figure) for figure in performance.headline_figures(orders, listed.findings, page.kpis)],
        describe_findings(listed, orders),
        [_link_chart(chart) for chart in (*page.charts, by_warehouse)],
        [performance.rates_table(page.kpis), performance.durations_table(page.kpis)],
        [link_rows(sheet, "/orders", _BEHIND_GROUPS.get(sheet.caption, "")) for sheet in page.compared],
    )


def _link_figure(figure: HeadlineFigure) -> LinkedFigure:
    path, parameters = _BEHIND_FIGURES[figure.name]
    return LinkedFigure(figure, address_of(path, parameters), _WORDS[figure.name])


def _link_chart(chart: ReportChart) -> ReportChart:
    if chart.name == "backlog":
        oldest = address_of("/orders", _OPEN)
        links = ["" if row[1] == "0" else oldest for row in chart.data.rows]
        return chart._replace(data=chart.data._replace(links=links))
    path, name = _BEHIND_CHARTS.get(chart.name, ("", ""))
    return chart._replace(data=link_rows(chart.data, path, name))


def link_rows(sheet: Sheet, path: str, name: str) -> Sheet:
    """A table whose rows lead to a page that is filtered by the first cell of each; the unknown leads nowhere."""
    if not name:
        return sheet
    links = ["" if row[0] == UNKNOWN else address_of(path, {name: row[0]}) for row in sheet.rows]
    return sheet._replace(links=links)


def count_stages(orders: pl.DataFrame) -> list[tuple[str, int]]:
    """How far the orders came, and how many of them, from open to completed."""
    counts = dict(orders.group_by("stage").len().iter_rows())
    return [(stage, counts[stage]) for stage in _STAGES if stage in counts]


_STAGES = ("open", "planned", "shipped in part", "shipped", "delivered", "completed", "called off")
