"""Renders the page of the report with the template page.html."""

from __future__ import annotations

import re
import shlex
from datetime import date
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jinja2
import polars as pl
from markupsafe import Markup, escape

from quivo_frames.analysis.checks import limits as thresholds
from quivo_frames.analysis.checks.audit import CHECKS, select_checks
from quivo_frames.analysis.checks.check import Check, Severity
from quivo_frames.analysis.checks.findings import ACCEPTED, Findings
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.kpi.kpi import days_between
from quivo_frames.analysis.kpi.kpis import KPIS, compute_kpis
from quivo_frames.analysis.kpi.query import KpiQuery
from quivo_frames.analysis.kpi.result import Kpis
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.report import charts, findings_summary, performance
from quivo_frames.analysis.report.charts import ReportChart
from quivo_frames.analysis.report.order_blocks import order_blocks
from quivo_frames.analysis.report.sheets import Sheet, format_integer, format_minute, join_words, make_sheet
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.text import format_count, noun_for
from quivo_frames.model.frames import Frames
from quivo_frames.model.time import InstantLike

FIRST_ROWS = 20
"""How many failures, and how many notes, of the build are on the page."""


class ReportOptions(NamedTuple):
    """The options of a report."""

    as_of: InstantLike | None
    only: tuple[str, ...]
    skip: tuple[str, ...]
    limits: Limits
    limits_file: str
    """Name of the file that the limits were read from, or empty."""
    personal: bool

    @property
    def chosen_checks(self) -> list[Check]:
        """The checks to run."""
        return select_checks(self.only, self.skip)


class PageFigures(NamedTuple):
    """The KPIs of the page, its charts and comparisons, and the warehouses of each order (order_id, warehouse)."""

    kpis: Kpis
    charts: list[ReportChart]
    compared: list[Sheet]
    warehouses: pl.DataFrame


def draw_figures(query: KpiQuery) -> PageFigures:
    """What the page shows of the orders; small, while the facts that it is drawn from take memory for each order."""
    whole = compute_kpis(query)
    return PageFigures(
        whole,
        _draw_charts(query, whole),
        [performance.group_comparison(query.regrouped_by(by)) for by in performance.GROUPED],
        query.facts.served.select("order_id", "warehouse").unique(maintain_order=True),
    )


def render_page(
    tables: Dataset | Frames, view: OrderView, figures: PageFigures, findings: Findings, options: ReportOptions
) -> str:  # fmt: skip
    """The report as HTML: the same bytes for the same tables and findings. The view is that of the tables."""
    whole = figures.kpis
    found = findings_summary.summaries_by_severity(findings)
    orders = view["orders"].select("seller_name", "order_date", "created").collect()
    return _load_template().render(
        title=describe_orders(orders, tables.failures.height, whole),
        slice_of=tables.describe_slice() if isinstance(tables, Dataset) else "",
        figures=performance.headline_figures(orders.height, findings, whole),
        telling=findings_summary.choose_highlights(findings, orders.height),
        found=found,
        quiet=findings_summary.checks_without_findings(findings),
        skipped=findings_summary.skipped_checks(findings),
        progress=findings.progress_sentence(),
        accepted=findings.filter(status=ACCEPTED).height,
        orders=order_blocks(view, findings, findings_summary.listed_orders(found)),
        by_warehouse=charts.findings_by_warehouse(count_by_warehouse(figures.warehouses, findings)),
        pictures=figures.charts,
        sheets=[performance.rates_table(whole), performance.durations_table(whole), performance.volume_table(whole)],
        compared=figures.compared,
        failures=_first_rows_sheet(tables.failures, ["order_id", "source", "place", "message"], "Failures"),
        notes=_first_rows_sheet(
            tables.notes.sort("count", descending=True), ["message", "path", "count", "order_id"], "Notes"
        ),
        checks=CHECKS.values(),
        left_out=[name for name, check in CHECKS.items() if check not in options.chosen_checks],
        limits=_limits_sheet(options.limits),
        kpis=whole,
        ways=_Instructions(tables, options),
        personal=options.personal,
    )


@cache
def _load_template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    add_page_filters(environment)
    return environment.get_template("page.html")


def add_page_filters(environment: jinja2.Environment) -> None:
    """Give the templates of an environment what those of the report use, its macros among them."""
    environment.filters |= {"format_integer": format_integer, "kept": _keep_dates_together, "coded": _mark_up_code}
    environment.globals |= {"format_count": format_count, "noun_for": noun_for}


_DAY = re.compile(r"\b\d{4}-\d\d(-\d\d)?\b")


def _keep_dates_together(text: str) -> Markup:
    """The text with dates that do not break over lines."""
    return Markup(_DAY.sub(r'<span class="kept">\g<0></span>', str(escape(text))))  # noqa: S704 - escaped here


def _mark_up_code(text: str) -> Markup:
    """The text with code in backticks marked up."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped here


class PageTitle(NamedTuple):
    """The heading of a page: sellers, instant and day of the audit, and the orders in a sentence."""

    sellers: str
    as_of: str
    day: str
    orders: str


def describe_orders(orders: pl.DataFrame, failed: int, kpis: Kpis) -> PageTitle:
    """Whose orders these are, as of when, and how many; columns: seller_name, order_date, created."""
    sellers = orders.drop_nulls("seller_name").group_by("seller_name").len()
    names = sellers.sort("len", "seller_name", descending=[True, False])["seller_name"]
    placed = pl.coalesce("order_date", "created")
    span = orders.select(first=placed.min(), last=placed.max()).with_columns(pl.all().dt.strftime("%Y-%m-%d")).row(0)
    between = f", placed {' to '.join(span)}" if all(span) else ""
    failures = f"{format_integer(failed)} more failed in the build and are in no table"
    outcome = failures if failed else "none failed in the build"
    return PageTitle(
        join_words(names, 3, "other sellers") or "Orders without a named seller",
        format_minute(kpis.as_of),
        f"{kpis.as_of:%Y-%m-%d}",
        f"{format_count(orders.height, 'order')}{between}; {outcome}",
    )


def _draw_charts(query: KpiQuery, whole: Kpis) -> list[ReportChart]:
    by_month = query.regrouped_by("month")
    volume, on_time, splits = (KPIS[name].compute(by_month) for name in ("volume", "on_time", "split_shipments"))
    lateness = on_time.filter(reference=query.against)
    months = volume.join(lateness, on="month", how="left", nulls_equal=True)
    arrived = query.orders.filter(~pl.col("called_off"), ~pl.col("outstanding"))  # those of the KPI cycle_time
    return [
        charts.orders_over_time(months),
        charts.cycle_time_histogram(arrived.select(days_between("placed", "delivered_last")).to_series()),
        charts.carrier_performance(whole["carriers"]),
        charts.backlog_by_age(whole["backlog"]),
        charts.split_rate_by_month(splits),
    ]


def count_by_warehouse(of: pl.DataFrame, findings: Findings) -> pl.DataFrame:
    """Orders and findings of each warehouse, by severity; an order that several served counts in each."""
    severity = pl.col("severity")
    counted = of.join(findings.unaccepted().select("order_id", "severity"), on="order_id").group_by("warehouse").agg(
        (severity == str(name)).sum().cast(pl.Int64).alias(str(name)) for name in Severity
    )  # fmt: skip
    orders = of.group_by("warehouse").agg(orders=pl.len().cast(pl.Int64))
    joined = orders.join(counted, on="warehouse", how="left", nulls_equal=True)
    return joined.with_columns(pl.col("warehouse").cast(pl.String), pl.col(list(Severity)).fill_null(0))


def _first_rows_sheet(rows: pl.DataFrame, columns: list[str], caption: str) -> Sheet:
    more = rows.height - FIRST_ROWS
    shown = rows.head(FIRST_ROWS).select(columns).with_columns(pl.col("order_id").cast(pl.String))
    heads = {"order_id": "Order", "message": "What happened", "count": "How often"}
    return make_sheet(shown, caption, heads, f"{more:,} more." if more > 0 else "")


def _limits_sheet(used: Limits) -> Sheet:
    rows = [(limit.name, str(getattr(used, limit.name)), limit.sentence) for limit in thresholds.describe_limits()]
    frame = pl.DataFrame(rows, schema=["threshold", "value", "sentence"], orient="row")
    return make_sheet(frame, "Thresholds", {"sentence": "What it means"})


class _Instructions:
    """How to get all findings of a check. Files are named without their folders, which may contain a user name."""

    def __init__(self, tables: Dataset | Frames, options: ReportOptions) -> None:
        self.folder = ""
        if isinstance(tables, Dataset) and not tables.conditions:  # a slice has no folder
            self.folder = Path(tables.address).resolve().name
        self._options = options

    def prompt_command(self, name: str) -> str:
        """The command for the prompt."""
        given = {"as-of": self._as_of, "limits": self._options.limits_file, "only": name, "out": "findings.csv"}
        options = [word for option, value in given.items() if value for word in (f"--{option}", value)]
        return shlex.join(["quivo-frames", "audit", self.folder, *options])

    def python_code(self, name: str) -> str:
        """The code for Python."""
        tables = f"qf.open({self.folder!r})" if self.folder else "tables"
        given = {"as_of": self._as_of, "limits": self._options.limits_file}
        options = "".join(f", {option}={value!r}" for option, value in given.items() if value)
        return f"qf.audit({tables}{options}, only=[{name!r}])"

    @property
    def _as_of(self) -> str:
        as_of = self._options.as_of
        return as_of.isoformat() if isinstance(as_of, date) else as_of or ""
