"""KPIs for the page: headline figures and tables."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

from quivo_frames.analysis.checks.check import Severity
from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.analysis.kpi.query import KpiQuery
from quivo_frames.analysis.kpi.result import Kpis
from quivo_frames.analysis.report.sheets import (
    UNKNOWN,
    ColumnHeading,
    Sheet,
    format_days,
    format_integer,
    format_percent,
    make_sheet,
)
from quivo_frames.display.text import format_count

GROUPED = {"seller": "Seller", "warehouse": "Warehouse", "month": "Month", "country": "Country"}
"""The groups that the page compares, and their headings."""
MOST_GROUPS = 15
"""At most this many groups in a comparison."""
ORDER_TO_DELIVERY = "order to delivery"
_COMPARED = {
    ("volume", "orders"): "Orders", ("perfect_order", "rate"): "Perfect", ("on_time", "rate"): "On time",
    ("fill_rate", "line_rate"): "Lines filled", ("ship_complete", "rate"): "Complete",
    ("cycle_time", "p50"): "Days to delivery", ("split_shipments", "rate"): "Split",
    ("backlog", "orders"): "Open orders",
}  # fmt: skip
"""What is compared: KPI and column, and the heading."""
_ON_TIME = ("reference", "rate", "on_time", "judged")


class HeadlineFigure(NamedTuple):
    """A headline figure: its name, value, meaning, and the KPI that defines it."""

    name: str
    value: str
    sentence: str
    definition: str = ""


def headline_figures(orders: int, findings: Findings, kpis: Kpis) -> list[HeadlineFigure]:
    """The headline figures of the page."""
    errors = findings.unaccepted().filter(severity=str(Severity.ERROR))
    wrong = errors["order_id"].n_unique()
    perfect, fill = kpis["perfect_order"].row(0, named=True), kpis["fill_rate"].row(0, named=True)
    on_time, taken = _on_time_figure(kpis), _cycle_time_figure(kpis)
    promise = f"the {kpis.on_time_against.replace('_', ' ')}"
    return [
        HeadlineFigure("Orders", format_integer(orders), "In the tables."),
        HeadlineFigure("Errors", format_integer(errors.height), "Findings that something went wrong."),
        HeadlineFigure(
            "Orders with errors", format_percent(wrong / orders if orders else None),
            f"{wrong:,} of {format_count(orders, 'order')}.",
        ),
        HeadlineFigure(
            "Perfect orders", format_percent(perfect["rate"]),
            f"In full and by {promise}, {_denominator_note(perfect['orders'], 'finished order')}.", "perfect_order",
        ),
        HeadlineFigure(
            "On time", format_percent(on_time["rate"]),
            f"By {promise}, {_denominator_note(on_time['judged'], 'order')}.", "on_time",
        ),
        HeadlineFigure(
            "Line fill rate", format_percent(fill["line_rate"]),
            f"Shipped in full, {_denominator_note(fill['lines'], 'line')}.", "fill_rate",
        ),
        HeadlineFigure(
            "Order to delivery", format_days(taken["p50"]),
            f"Days at the median, {_denominator_note(taken['orders'], 'delivered order')}.", "cycle_time",
        ),
        HeadlineFigure(
            "Open orders", format_integer(kpis.about["backlog"]), "With something still to be shipped.", "backlog"
        ),
    ]  # fmt: skip


def _denominator_note(number: int, what: str) -> str:
    """The denominator in words; if it is 0, the reason why there is no figure."""
    return f"of {format_count(number, what)} that can be judged" if number else f"but there is no {what} to judge"


def _on_time_figure(kpis: Kpis) -> dict[str, Any]:
    return kpis["on_time"].row(by_predicate=pl.col("reference") == kpis.on_time_against, named=True)


def _cycle_time_figure(kpis: Kpis) -> dict[str, Any]:
    return kpis["cycle_time"].row(by_predicate=pl.col("stage") == ORDER_TO_DELIVERY, named=True)


def rates_table(kpis: Kpis) -> Sheet:
    """All rates in one table: name, rate, numerator and denominator."""
    one = {name: frame.row(0, named=True) for name, frame in kpis.items() if frame.height == 1}
    perfect, fill, complete = one["perfect_order"], one["fill_rate"], one["ship_complete"]
    split, window, proven = one["split_shipments"], one["delivery_window"], one["pod_lag"]
    left = one["order_to_ship"]
    rows = [
        ("Perfect orders", perfect["rate"], perfect["perfect"], perfect["orders"], "orders"),
        *((f"On time against {reference.replace('_', ' ')}", rate, kept, judged, "orders")
          for reference, rate, kept, judged in kpis["on_time"].select(_ON_TIME).iter_rows()),
        ("Lines filled", fill["line_rate"], fill["lines_filled"], fill["lines"], "lines"),
        ("Pieces filled", fill["piece_rate"], fill["pieces_filled"], fill["pieces"], "pieces"),
        ("Orders shipped complete", complete["rate"], complete["complete"], complete["orders"], "orders"),
        ("Shipped within the working hours", left["within_rate"], left["within"], left["judged"], "orders"),
        ("Shipped in time for the cut-off", left["in_time_rate"], left["in_time"], left["due"], "orders"),
        ("To be shipped today or overdue", left["at_risk_rate"], left["at_risk"], left["open"], "open orders"),
        ("Orders in more than one shipment", split["rate"], split["split"], split["orders"], "orders"),
        ("Delivered within the window", window["rate"], window["within"], window["shipments"], "shipments"),
        ("Deliveries proven", proven["rate"], proven["proven"], proven["delivered"], "shipments"),
    ]  # fmt: skip
    heads = [
        ColumnHeading(*head)
        for head in (("Figure", False), ("Share", True), ("Count", True), ("Of", True), ("", False))
    ]
    note = f"{UNKNOWN} means that there is nothing to judge: of 0." if any(row[1] is None for row in rows) else ""
    return Sheet("Rates", heads, [[name, format_percent(rate), format_integer(part), format_integer(of), what]
                                  for name, rate, part, of, what in rows], note)  # fmt: skip


def durations_table(kpis: Kpis) -> Sheet:
    """All durations in one table, in days."""
    lag = kpis["pod_lag"].select(
        stage=pl.lit("delivery to proof"), orders="proven", mean=pl.lit(None, pl.Float64), p50="p50", p90="p90",
        max=pl.lit(None, pl.Float64),
    )  # fmt: skip
    rows = pl.concat([kpis["cycle_time"], lag]).with_columns(
        pl.col("stage").str.head(1).str.to_uppercase() + pl.col("stage").str.slice(1)
    )
    heads = {"stage": "From, to", "orders": "Orders", "p50": "Half within", "p90": "9 of 10 within", "max": "Longest"}
    return make_sheet(rows, "Days", heads, "For proofs of delivery, shipments are counted, not orders.")


def volume_table(kpis: Kpis) -> Sheet:
    """The KPI volume as a table."""
    row = kpis["volume"].row(0, named=True)
    counted = [[name.replace("_", " ").capitalize(), format_integer(number)] for name, number in row.items()]
    return Sheet("Volume", [ColumnHeading("What", is_number=False), ColumnHeading("How many", is_number=True)], counted)


def group_comparison(query: KpiQuery) -> Sheet:
    """The most telling KPIs of the largest groups, side by side; months in order of time."""
    (by,) = query.by
    frames = {name: KPIS[name].compute(query) for name, _ in _COMPARED}
    frames["on_time"] = frames["on_time"].filter(reference=query.against)
    frames["cycle_time"] = frames["cycle_time"].filter(stage=ORDER_TO_DELIVERY)
    frames["backlog"] = frames["backlog"].group_by(by).agg(pl.col("orders").sum())
    rows, heads = frames["volume"].select(by), {by: GROUPED[by]}
    for (name, column), head in _COMPARED.items():
        heads[f"{name}_{column}"] = head
        figure = frames[name].select(by, pl.col(column).alias(f"{name}_{column}"))
        rows = rows.join(figure, on=by, how="left", nulls_equal=True)
    largest = rows.sort("volume_orders", by, descending=[True, False], nulls_last=True).head(MOST_GROUPS)
    more = rows.height - largest.height
    note = f'{more} more: qf.kpis(tables, by="{by}").' if more else ""
    return make_sheet(largest.sort(by, nulls_last=True) if by == "month" else largest, f"By {by}", heads, note)
