"""Charts of the report: each in two widths, with a caption that says what it shows, and its data as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import altair as alt
import polars as pl
from markupsafe import Markup

from quivo_frames.analysis.checks.check import Severity
from quivo_frames.analysis.report.sheets import Sheet, format_days, format_integer, format_percent, make_sheet
from quivo_frames.analysis.report.svg import Plot, render_svg
from quivo_frames.analysis.text_columns import format_columns
from quivo_frames.display.text import format_count

WIDE, NARROW = 600, 240
"""Widths of the plot area in pixels: for desktops and paper, and for phones."""
MOST_ROWS = 12
"""At most this many carriers or warehouses in a chart."""
MIN_SHARE = 0.01
"""Carriers with a smaller share of the shipments are not drawn: a handful of shipments is no statistic."""
COVERED_SHARE = 0.99
"""The share of the orders that the bars of the histogram cover; the last bar holds the slowest as well."""

Row = dict[str, Any]


class ReportChart(NamedTuple):
    """A chart with its caption and data; without drawings if there is nothing to draw, as the caption then says."""

    name: str
    title: str
    caption: str
    drawings: list[Markup]
    data: Sheet


def _draw_both_widths(name: str, title: str, caption: str, data: Sheet, plot: Callable[[int], Plot]) -> ReportChart:
    drawings = [render_svg(plot(width), kind, f"{name}-title") for kind, width in (("wide", WIDE), ("narrow", NARROW))]
    return ReportChart(name, title, caption, drawings, data)


def _empty_chart(name: str, title: str, why: str, data: Sheet) -> ReportChart:
    return ReportChart(name, title, f"Nothing to draw: {why}", [], data)


def _with_tooltip(rows: pl.DataFrame, words: Callable[[Row], str]) -> pl.DataFrame:
    """The rows with the tooltips of their marks."""
    return rows.with_columns(pl.Series("words", [words(row) for row in rows.iter_rows(named=True)], pl.String))


def _display_name(column: str) -> pl.Expr:
    """Names as they can be drawn, and a word for unknown ones.

    Invisible characters are replaced: some crash the whole process inside Vega, or are not allowed in XML.
    """
    return pl.col(column).str.replace_all(r"[\p{C}\p{Zl}\p{Zp}]", "\ufffd").fill_null("not known")


def _width_beside_labels(width: int) -> int:
    """Width of a plot with labels beside it."""
    return width - 60


def _describe_extremes(rows: pl.DataFrame, name: str, column: str, formatted: Callable[[float | None], str]) -> str:
    """The lowest and the highest value, and the names that they belong to."""
    least, most = (rows.drop_nulls(column).sort(column, name).row(place, named=True) for place in (0, -1))
    low, high = formatted(least[column]), formatted(most[column])
    return low if low == high else f"{low} ({least[name]}) to {high} ({most[name]})"


def _column_total(rows: pl.DataFrame, column: str) -> int:
    return int(rows[column].sum())


def _category_axis(column: str, width: int, rows: pl.DataFrame) -> alt.Y:
    """The axis of names, in the order of the rows, with room for fonts wider than the one used for drawing.

    Names are passed as data only: Vega puts the settings of axes and scales into expressions that it evaluates.
    """
    most = 190 if width == WIDE else 150
    room = min(most * 1.15, 8 * max(map(len, rows[column])))
    return alt.Y(f"{column}:N", title=None, sort=None, axis=alt.Axis(labelLimit=most, minExtent=room))


def _month_axis(width: int, rows: pl.DataFrame) -> alt.X:
    """The axis of months."""
    angle = -90 if rows.height > (12 if width == WIDE else 4) else 0
    return alt.X(
        "month:O", title=None, scale=alt.Scale(domain=rows["month"].to_list()), axis=alt.Axis(labelAngle=angle)
    )


def _count_axis(column: str, title: str) -> alt.Y:
    """An axis of integers."""
    return alt.Y(f"{column}:Q", title=title, axis=alt.Axis(format=",d", tickCount=4, tickMinStep=1))


def orders_over_time(months: pl.DataFrame) -> ReportChart:
    """Orders by month, and the share that was late. Columns: month, orders, judged, late."""
    name, title = "over-time", "Orders by month, and how many came late"
    rate = pl.when(pl.col("judged") > 0).then(pl.col("late") / pl.col("judged"))
    rows = months.filter(pl.col("month").is_not_null()).sort("month").with_columns(late_share=rate)
    rows = rows.select("month", "orders", "judged", "late", "late_share")
    data = make_sheet(rows, "Orders and lateness by month", {"judged": "Can be judged", "late_share": "Late, share"})
    if rows.is_empty():
        return _empty_chart(name, title, "no order has a date of placing.", data)
    judged, late = _column_total(rows, "judged"), _column_total(rows, "late")
    most, worst = (rows.sort(by, "month", nulls_last=False).row(-1, named=True) for by in ("orders", "late_share"))
    caption = f"{format_count(_column_total(rows, 'orders'), 'order')} in {format_count(rows.height, 'month')}"
    if rows.height > 1:
        caption += f", {rows['month'][0]} to {rows['month'][-1]}"
        caption += f"; most of them in {most['month']} ({format_integer(most['orders'])})"
    if judged:
        caption += f". Of the {format_integer(judged)} that can be judged, {format_percent(late / judged)} came late"
        if late:
            share = f"{format_percent(worst['late_share'])} of {format_integer(worst['judged'])}"
            caption += f"; the worst month was {worst['month']}, {share}"
        caption += ". Of recent months only fast and overdue orders can be judged so far."
    else:
        caption += ". None of them can be judged for lateness."

    def draw_plot(width: int) -> Plot:
        x, size = _month_axis(width, rows), alt.Step(width / max(rows.height, 6))
        orders = alt.Chart(
            _with_tooltip(rows, lambda row: f"{row['month']}: {format_count(row['orders'], 'order')}")
        ).encode(x=x.axis(None), y=_count_axis("orders", "Orders"), description="words:N")
        late_of = _with_tooltip(
            rows.filter(pl.col("judged") > 0), lambda row: f"{row['month']}: {format_percent(row['late_share'])} late"
        )
        late = alt.Chart(late_of).encode(x=x, description="words:N", y=alt.Y(
            "late_share:Q", title="Late", axis=alt.Axis(format=".0%", tickCount=3), scale=alt.Scale(domainMin=0),
        ))  # fmt: skip
        lines = late.mark_line(color="var(--error)", strokeWidth=2, aria=False)
        dots = late.mark_point(color="var(--error)", filled=True, size=50, opacity=1)
        bars = orders.mark_bar(color="var(--accent)").properties(width=size, height=170)
        return alt.vconcat(bars, (lines + dots).properties(width=size, height=90), spacing=14)

    return _draw_both_widths(name, title, caption, data, draw_plot)


def cycle_time_histogram(waits: pl.Series) -> ReportChart:
    """Histogram of the days from order to delivery; the series holds the days of each order."""
    name, title = "cycle-time", "Days from order to delivery"
    waits = waits.drop_nulls()
    bars = _histogram_bins(waits)
    data = make_sheet(bars.select("days", "orders"), "Orders by days from order to delivery")
    if waits.is_empty():
        return _empty_chart(
            name, title, "there is no order with a date of placing whose shipments were all delivered.", data
        )
    half, most = (float(waits.quantile(share, "linear") or 0) for share in (0.5, 0.9))
    caption = (
        f"Half of the {format_count(len(waits), 'delivered order')} arrived within {format_days(half)} days of being "
        f"placed, nine of ten within {format_days(most)}; the slowest took {format_days(float(waits.max() or 0))}."  # type: ignore[arg-type]
    )

    def draw_plot(width: int) -> Plot:
        rows_with_tooltip = _with_tooltip(
            bars, lambda row: f"{row['days']} days: {format_count(row['orders'], 'order')}"
        )
        drawn = alt.Chart(rows_with_tooltip).mark_bar(color="var(--accent)", binSpacing=1).encode(
            x=alt.X("begin:Q", bin="binned", title="Days", scale=alt.Scale(domainMin=0, nice=False),
                    axis=alt.Axis(grid=False, tickCount=width // 50, tickMinStep=1, format="d")),
            x2="end:Q", y=_count_axis("orders", "Orders"), description="words:N",
        ).properties(width=width, height=190)  # fmt: skip
        layers: list[alt.Chart] = [drawn]
        for at, words, side in ((half, f"half: {format_days(half)}", -1), (most, f"9 of 10: {format_days(most)}", 1)):
            mark = alt.Chart(pl.DataFrame({"at": [at], "words": [words]})).encode(x="at:Q", description="words:N")
            text = mark.mark_text(color="var(--ink)", align="left" if side > 0 else "right", dx=4 * side, fontSize=12)
            layers += [
                mark.mark_rule(color="var(--ink)", strokeDash=[3, 3]),
                text.encode(text="words:N", y=alt.value(-8)),
            ]
        plotted: Plot = alt.layer(*layers)
        return plotted

    return _draw_both_widths(name, title, caption, data, draw_plot)


def _histogram_bins(waits: pl.Series) -> pl.DataFrame:
    """The bins of the histogram: days (in words), begin, end, orders; the slowest orders share the last bin."""
    last = int(waits.quantile(COVERED_SHARE) or 0)
    step = last // 40 + 1
    begin = (waits.clip(0, last) // step * step).cast(pl.Int64).alias("begin")
    bars = begin.to_frame().group_by("begin").agg(orders=pl.len().cast(pl.Int64)).sort("begin")
    end = pl.col("begin") + step
    is_rest = (pl.col("begin") == pl.col("begin").max()) & (pl.lit(waits.max(), pl.Float64) >= end)
    between = format_columns("{} to {}", "begin", end)
    return bars.with_columns(
        end=end, days=pl.when(is_rest).then(format_columns("{} or more", "begin")).otherwise(between)
    )


def carrier_performance(found: pl.DataFrame) -> ReportChart:
    """Days in transit and punctuality of carriers. Columns: those of the KPI `carriers`."""
    name, title = "carriers", "Carriers: days in transit, and how many come on time"
    rows = found.sort("shipments", "carrier", descending=[True, False]).head(MOST_ROWS)
    data = make_sheet(rows, "Carriers, by shipments", {
        "transit_p50": "Days, half within", "transit_p90": "Days, 9 of 10 within", "on_time_rate": "On time",
        "tracked_rate": "Tracked", "proven_rate": "Proven",
    })  # fmt: skip
    large = pl.col("shipments") >= MIN_SHARE * _column_total(found, "shipments")
    drawn = rows.filter(large, pl.col("transit_p50").is_not_null()).with_columns(_display_name("carrier"))
    drawn = drawn.sort("transit_p50", "carrier")
    if drawn.is_empty():
        return _empty_chart(name, title, "no shipment has both a ship date and a delivery date.", data)
    caption = (
        f"Half of the shipments arrive within {_describe_extremes(drawn, 'carrier', 'transit_p50', format_days)} days, "
    )
    caption += f"nine of ten within {_describe_extremes(drawn, 'carrier', 'transit_p90', format_days)}"
    if drawn["on_time_rate"].count():
        caption += f"; on time are {_describe_extremes(drawn, 'carrier', 'on_time_rate', format_percent)}"
    left_out = rows.height - drawn.height
    caption += f". {format_count(left_out, 'carrier')} with few shipments not drawn." if left_out else "."

    def draw_plot(width: int) -> Plot:
        rows_with_tooltip = _with_tooltip(drawn, lambda row: (
            f"{row['carrier']}: half within {format_days(row['transit_p50'])} days, "
            f"9 of 10 within {format_days(row['transit_p90'])}; on time {format_percent(row['on_time_rate'])}"
        ))  # fmt: skip
        y, is_wide = _category_axis("carrier", width, drawn), width == WIDE
        size = {"height": 26 * drawn.height}
        transit = alt.Chart(rows_with_tooltip).encode(y=y, description="words:N", x=alt.X(
            "transit_p50:Q", title="Days in transit, half to 9 of 10 within", axis=alt.Axis(tickCount=5),
            scale=alt.Scale(domainMin=0),
        )).properties(width=round(width * 0.5) if is_wide else _width_beside_labels(width), **size)  # fmt: skip
        spans = transit.mark_bar(color="var(--accent)", height=4).encode(x2="transit_p90:Q")
        dots = transit.mark_point(color="var(--accent)", filled=True, size=90, opacity=1)
        on_time = alt.Chart(rows_with_tooltip).mark_bar(color="var(--accent)", height=10).encode(
            y=y.axis(None) if is_wide else y, description="words:N",
            x=alt.X("on_time_rate:Q", title="On time", scale=alt.Scale(domain=[0, 1]),
                    axis=alt.Axis(format=".0%", values=[0, 0.5, 1])),
        ).properties(width=round(width * 0.35) if is_wide else _width_beside_labels(width), **size)  # fmt: skip
        return (alt.hconcat if is_wide else alt.vconcat)(spans + dots, on_time, spacing=30)

    return _draw_both_widths(name, title, caption, data, draw_plot)


def backlog_by_age(ages: pl.DataFrame) -> ReportChart:
    """Open orders by age. Columns: those of the KPI `backlog`."""
    name, title = "backlog", "Open orders by age"
    data = make_sheet(ages, "Open orders by age")
    total = _column_total(ages, "orders")
    if not total:
        return _empty_chart(name, title, "no order is open.", data)
    rows = ages.with_columns(_display_name("age"))
    oldest = rows.filter(pl.col("orders") > 0).row(-1, named=True)
    pieces = format_count(_column_total(ages, "pieces"), "piece")
    caption = f"{format_count(total, 'order')} with {pieces} still to be shipped; "
    caption += f"{format_integer(oldest['orders'])} of them have waited {oldest['age']}."

    def draw_plot(width: int) -> Plot:
        rows_with_tooltip = _with_tooltip(rows, lambda row: f"{row['age']}: {format_count(row['orders'], 'order')}")
        bars: Plot = alt.Chart(rows_with_tooltip).mark_bar(color="var(--accent)").encode(
            y=_category_axis("age", width, rows), description="words:N",
            x=alt.X("orders:Q", title="Orders", axis=alt.Axis(format=",d", tickCount=3, tickMinStep=1)),
        ).properties(width=_width_beside_labels(width), height=26 * rows.height)  # fmt: skip
        return bars

    return _draw_both_widths(name, title, caption, data, draw_plot)


def split_rate_by_month(months: pl.DataFrame) -> ReportChart:
    """The share of orders in more than one shipment by month. Columns: month, orders, split, rate."""
    name, title = "splits", "Orders in more than one shipment"
    rows = months.filter(pl.col("month").is_not_null()).sort("month").select("month", "orders", "split", "rate")
    data = make_sheet(rows, "Split orders by month", {"orders": "Shipped orders", "rate": "Split, share"})
    drawn = rows.filter(pl.col("rate").is_not_null())
    if drawn.is_empty():
        return _empty_chart(name, title, "no shipped order has a date of placing.", data)
    split, orders = _column_total(drawn, "split"), _column_total(drawn, "orders")
    caption = f"{format_percent(split / orders)} of the shipped orders left in more than one shipment"
    caption += f"; by month {_describe_extremes(drawn, 'month', 'rate', format_percent)}" if drawn.height > 1 else ""

    def draw_plot(width: int) -> Plot:
        rows_with_tooltip = _with_tooltip(
            drawn, lambda row: f"{row['month']}: {format_percent(row['rate'])}, {format_count(row['split'], 'order')}"
        )
        bars: Plot = alt.Chart(rows_with_tooltip).mark_bar(color="var(--accent)").encode(
            x=_month_axis(width, drawn), description="words:N",
            y=alt.Y("rate:Q", title="Split orders", axis=alt.Axis(format=".0%", tickCount=4)),
        ).properties(width=alt.Step(width / max(drawn.height, 6)), height=130)  # fmt: skip
        return bars

    return _draw_both_widths(name, title, f"{caption}.", data, draw_plot)


def findings_by_warehouse(found: pl.DataFrame) -> ReportChart:
    """Findings by warehouse of the order. Columns: warehouse, orders, and one per severity."""
    name, title = "by-warehouse", "Findings by warehouse"
    severities = [str(severity) for severity in Severity]
    rows = found.with_columns(findings=pl.sum_horizontal(severities)).sort(
        "findings", "warehouse", descending=[True, False]
    )
    per_hundred = pl.when(pl.col("orders") > 0).then(100 * pl.col("findings") / pl.col("orders"))
    rows = rows.head(MOST_ROWS).with_columns(per_100_orders=per_hundred)
    data = make_sheet(rows, "Findings by warehouse of the order")
    if not _column_total(rows, "findings"):
        return _empty_chart(name, title, "nothing was found.", data)
    drawn = rows.with_columns(_display_name("warehouse"))
    caption = f"Most findings concern orders of {drawn['warehouse'][0]} ({format_integer(drawn['findings'][0])})."
    known = drawn.filter(rows["warehouse"].is_not_null(), pl.col("orders") > 0)
    if known.height > 1:
        caption += (
            f" For every 100 orders there are {_describe_extremes(known, 'warehouse', 'per_100_orders', format_days)}."
        )

    def draw_plot(width: int) -> Plot:
        ranked = drawn.with_row_index("row").unpivot(severities, index=["row", "warehouse"], variable_name="severity")
        ranked = ranked.filter(pl.col("value") > 0).with_columns(
            rank=pl.col("severity").replace_strict(severities, [*range(len(severities))], return_dtype=pl.Int64)
        )
        rows_with_tooltip = _with_tooltip(
            ranked.sort("row", "rank"),
            lambda row: f"{row['warehouse']}, {row['severity']}: {format_count(row['value'], 'finding')}",
        )
        colours = alt.Scale(domain=severities, range=[f"var(--{severity})" for severity in severities])
        bars: Plot = alt.Chart(rows_with_tooltip).mark_bar(stroke="var(--paper)", strokeWidth=1).encode(
            y=_category_axis("warehouse", width, drawn), description="words:N", order="rank:O",
            x=alt.X("value:Q", title="Findings", axis=alt.Axis(format=",d", tickCount=4, tickMinStep=1)),
            color=alt.Color("severity:N", scale=colours),
        ).properties(width=_width_beside_labels(width), height=30 * drawn.height)  # fmt: skip
        return bars

    return _draw_both_widths(name, title, caption, data, draw_plot)
