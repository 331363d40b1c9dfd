"""The facts of the key figures as tables for a BI tool, which adds them up by groups of its own.

A sum, a count or a percentile of a fact is the figure of a KPI. Facts are numbers: 1 and 0 for yes and no, null for
what is not known or not asked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import polars as pl
import polars.selectors as cs

from quivo_frames.analysis.checks.limits import Limits, read_limits
from quivo_frames.analysis.derived_tables import lines, overview
from quivo_frames.analysis.instants import day_of
from quivo_frames.analysis.kpi.flow import BACKLOG_AGES, STAGES
from quivo_frames.analysis.kpi.kpi import days_between
from quivo_frames.analysis.kpi.measures import order_measures, shipment_measures
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.kpi.query import KpiQuery
from quivo_frames.analysis.kpi.shipping import judge_window
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.dataset.dataset import TablesOrFolder
from quivo_frames.export.bi_measures import Measure
from quivo_frames.export.formats import WorkbookSheet
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import ORDER_ID, Column, Table, cast_to_schema

_KEYS = {
    "order_id": (Kind.INT64, "The order."),
    "seller": (Kind.TEXT, "Name of the seller."),
    "warehouse": (Kind.TEXT, "Name of the warehouse, else its number."),
    "carrier": (Kind.TEXT, "The carrier."),
    "placed_day": (Kind.DAY, "The day on which the order was placed, in the time zone of the limits."),
    "ship_day": (Kind.DAY, "The day on which the shipment left."),
    "delivery_day": (Kind.DAY, "The day on which the shipment was delivered."),
    "backlog_age": (Kind.TEXT, "How long ago an order of the backlog was placed, when the answer came."),
}
_ON_TIME = {f"on_time_{name}": f"1 if {name} was kept, 0 if not; null if that is not known." for name in PROMISES}
_ORDER_FACTS = {
    "backlog_order": "The place of its backlog_age among the ages.",
    "called_off": "1 if it was called off.",
    "shipped": "1 if something of it was shipped.",
    "delivered": "1 if all its shipments were delivered.",
    "completed": "1 if it was completed.",
    "lines": "Ordered lines.",
    "pieces": "Ordered pieces.",
    "perfect_judged": "1 if it is judged: settled, and both known, in full and on time.",
    "perfect_in_full": "1 if it is judged, and was shipped in full.",
    "perfect_on_time": "1 if it is judged, and was on time.",
    "perfect": "1 if it is judged, and was both.",
    **_ON_TIME,
    "fill_lines": "Lines of known quantities; null unless it is settled.",
    "fill_lines_filled": "Those that were shipped in full.",
    "fill_pieces": "Ordered pieces of these lines.",
    "fill_pieces_filled": "Those that were shipped.",
    "complete": "1 if all lines were shipped in full, 0 if not; null if that is not known or it is not settled.",
    "within": "1 if it was shipped within `ship_hours`, 0 if not; null if that is not known.",
    "in_time": "1 if it left by the day of its cut-off, 0 if not; null if that is not known.",
    "open": "1 if something is still to be shipped.",
    "at_risk": "1 if it is open, and due on the day of the answer or before.",
    "in_backlog": "1 if something is still to be shipped, and it is known when it was placed.",
    "backlog_pieces": "Pieces of it that are still to be shipped.",
    "split": "1 if it left in more than one shipment.",
    "shipments": "Its shipments; null if it has none.",
    "warehouses": "The warehouses that shipped it.",
}
_SHIPMENT_FACTS = {
    "delivered": "1 if it was delivered.",
    "on_time": "1 if it was on time, 0 if not; null if that is not known.",
    "tracked": "1 if it has a tracking number or link.",
    "proven": "1 if it was delivered and that was proven.",
    "window_judged": "1 if it was delivered and has a delivery window.",
    "window_within": "1 if it came within the window.",
    "window_early": "1 if it came before the window.",
    "window_late": "1 if it came after the window.",
}
_CELL_DECIMALS = 6
_GROUPED_BY = (
    "order_id", "seller", "warehouse", "carrier", "country", "stage", "currency", "placed_day", "month", "week",
)  # fmt: skip
_MEASURED = {
    **{
        f"days_{stage.replace(' ', '_')}": f"Days from {start} to {end}; null unless it is finished."
        for stage, (start, end) in STAGES.items()
    },
    "ship_hours": "Working hours from placing to the last shipment.",
    "transit_days": "Days from shipping to delivery.",
    "proof_days": "Days from delivery to its proof.",
}  # fmt: skip


def kpi_fact_tables(
    tables: TablesOrFolder, *, limits: str | os.PathLike[str] | None = None,
    on_time_against: str = "latest_delivery_date",
) -> list[WorkbookSheet]:  # fmt: skip
    """The facts of the key figures of all orders, with the measures that make the figures of `qf.kpis` of them.

    - kpi_orders, one row per order, and kpi_shipments, one row per shipment that was not reversed
    - kpi_groups: the warehouses of each order, each with the carriers that left it; an order counts in each of them

    Raises:
        ConfigError, DatasetError: as for `qf.kpis`.
    """
    with_limits = read_limits(limits) if limits else Limits()
    view = OrderView(tables)
    query = KpiQuery(view, (), on_time_against, timedelta(0), with_limits.time_zone, with_limits.calendar)
    groups = query.facts.served.select("order_id", "warehouse", "carrier")
    return [
        _fact_sheet("kpi_orders", "order, with the facts of its key figures", _order_facts(query), order_measures()),
        _fact_sheet("kpi_shipments", "shipment that was not reversed, with the facts of its key figures",
               _shipment_facts(query), shipment_measures()),
        _fact_sheet("kpi_groups", "order, warehouse and carrier that served it", groups, {}),
    ]  # fmt: skip


def pivot_tables(
    tables: TablesOrFolder, *, limits: str | os.PathLike[str] | None = None,
    on_time_against: str = "latest_delivery_date",
) -> list[WorkbookSheet]:  # fmt: skip
    """The facts of the key figures for pivot tables: with all that one groups by in each row, also month and week.

    - kpi_orders, kpi_shipments: as `kpi_fact_tables` has them
    - pivot_lines: the lines, which show whatever is asked of pieces and articles

    Raises:
        ConfigError, DatasetError: as for `qf.kpis`.
    """
    orders, shipments, _ = kpi_fact_tables(tables, limits=limits, on_time_against=on_time_against)
    known = overview(tables).select("order_id", "warehouse", "carrier", "country", "stage", "currency", "value")
    days = orders.rows.select("order_id", "placed_day")
    wide = orders.rows.join(known, on="order_id", how="left", maintain_order="left")
    of_lines = lines(tables).drop("position_identifier", "pool_key", "order_position_key")
    described = DERIVED_TABLES["lines"].columns + DERIVED_TABLES["overview"].columns
    return [
        _pivot_sheet(orders, wide, described),
        _pivot_sheet(shipments, shipments.rows, described),
        _pivot_sheet(
            WorkbookSheet(Table("pivot_lines", "line, for pivot tables", "", "", None, None, ()), of_lines),
            of_lines.join(days, on="order_id", how="left", maintain_order="left"), described,
        ),
    ]  # fmt: skip


def _pivot_sheet(sheet: WorkbookSheet, rows: pl.DataFrame, described: Sequence[Column]) -> WorkbookSheet:
    """A sheet with the month and the week of its orders, and with what one groups by first."""
    dated = rows.with_columns(
        month=pl.col("placed_day").dt.strftime("%Y-%m"), week=pl.col("placed_day").dt.strftime("%G-W%V")
    )
    first = [name for name in _GROUPED_BY if name in dated.columns]
    texts = {"month": "Month of placing, as 2026-02.", "week": "Week of placing of ISO 8601, as 2026-W07."}
    known = {column.name: column for column in (*described, *sheet.table.columns)}
    known |= {name: Column(name, Kind.TEXT, sentence) for name, sentence in texts.items()}
    known["placed_day"] = Column("placed_day", *_KEYS["placed_day"])
    names = [*first, *(name for name in dated.columns if name not in first)]
    table = replace(sheet.table, columns=tuple(known[name] for name in names))
    digits = cs.float().round(_CELL_DECIMALS)  # more digits than a cell keeps would be text
    return WorkbookSheet(table, dated.select(names).with_columns(digits), measures=sheet.measures)


def _fact_sheet(name: str, grain: str, rows: pl.DataFrame, measures: Mapping[str, Measure]) -> WorkbookSheet:
    texts = rows.with_columns(cs.categorical().cast(pl.String))
    columns = tuple(_describe_fact(name, column) for column in texts.columns)
    found = Table(name, grain, "", "", None, None, columns)
    typed = texts.select(cast_to_schema(found.schema))
    return WorkbookSheet(found, typed.sort(texts.columns), measures=measures)


def _describe_fact(table: str, name: str) -> Column:
    if name in _KEYS:
        kind, sentence = _KEYS[name]
        return Column(name, kind, sentence, required=name == ORDER_ID.name)
    if name in _MEASURED:
        unit = "hours" if name == "ship_hours" else "days"
        return Column(name, Kind.MEASURE, _MEASURED[name], unit)
    return Column(name, Kind.INT64, (_ORDER_FACTS if table == "kpi_orders" else _SHIPMENT_FACTS)[name])


def _order_facts(query: KpiQuery) -> pl.DataFrame:
    times = query.facts.ship_times.select("order_id", "within", "in_time", "open", "at_risk", ship_hours="hours")
    rows = query.orders.join(times, on="order_id", how="left")
    asked = ~pl.col("called_off")
    settled, in_full, on_time = pl.col("done") & asked, pl.col("in_full"), pl.col(f"on_time_{query.against}")
    judged = settled & in_full.is_not_null() & on_time.is_not_null()
    age = pl.col("known_at") - pl.col("placed")
    in_backlog, was_shipped = pl.col("outstanding") & age.is_not_null(), pl.col("shipments") > 0
    facts = {
        "shipped": was_shipped,
        "delivered": pl.col("delivered_last").is_not_null(),
        "completed": pl.col("completed_at").is_not_null(),
        "perfect_judged": judged, "perfect_in_full": judged & in_full, "perfect_on_time": judged & on_time,
        "perfect": judged & in_full & on_time,
        **{name: pl.when(asked).then(name) for name in _ON_TIME},
        **{
            f"fill_{what}{'_filled' * (state == 'filled')}": pl.when(settled).then(f"{state}_{what}")
            for what in ("lines", "pieces") for state in ("known", "filled")
        },
        "complete": pl.when(settled).then("in_full"),
        "backlog_order": pl.when(in_backlog).then(
            pl.sum_horizontal(
                (age >= pl.duration(days=start)).cast(pl.Int64) for start, _ in BACKLOG_AGES.values() if start
            )
        ),
        "in_backlog": in_backlog,
        "backlog_pieces": pl.when(in_backlog).then(pl.col("known_pieces") - pl.col("filled_pieces")),
        "split": pl.col("shipments") > 1,
        "shipments": pl.when(was_shipped).then("shipments"),
        "warehouses": pl.when(was_shipped).then("warehouses"),
    }  # fmt: skip
    finished = asked & ~pl.col("outstanding")
    days = {
        f"days_{stage.replace(' ', '_')}": pl.when(finished).then(days_between(*ends)) for stage, ends in STAGES.items()
    }
    return rows.select(
        "order_id", "seller", placed_day=pl.col("day").cast(pl.String).str.to_date("%Y-%m-%d", strict=False),
        backlog_age=pl.when(in_backlog).then(_backlog_age(age)), ship_hours="ship_hours", **days,
        **{name: facts.get(name, pl.col(name)).cast(pl.Int64) for name in _ORDER_FACTS},
    )  # fmt: skip


def _backlog_age(age: pl.Expr) -> pl.Expr:
    """The name of an age, as the KPI has it."""
    *younger, (oldest, _) = BACKLOG_AGES.items()
    named = pl.lit(oldest)
    for name, (_, end) in reversed(younger):
        named = pl.when(age < pl.duration(days=end)).then(pl.lit(name)).otherwise(named)
    return named


def _shipment_facts(query: KpiQuery) -> pl.DataFrame:
    came = pl.col("delivery_date")
    facts = {
        "delivered": came.is_not_null(), "on_time": pl.col(f"on_time_{query.against}"), "tracked": pl.col("tracked"),
        "proven": pl.col("proven") & came.is_not_null(),
        **{f"window_{name}": fact for name, fact in judge_window(query).items()},
    }  # fmt: skip
    return query.shipments.select(
        "order_id", "seller", "warehouse", "carrier",
        placed_day=pl.col("day").cast(pl.String).str.to_date("%Y-%m-%d", strict=False),
        ship_day=day_of(pl.col("ship_date"), query.day_zone), delivery_day=day_of(came, query.day_zone),
        transit_days=days_between("ship_date", "delivery_date"), proof_days=days_between("delivery_date", "pod_date"),
        **{name: fact.cast(pl.Int64) for name, fact in facts.items()},
    )  # fmt: skip
