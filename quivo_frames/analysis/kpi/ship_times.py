"""How long orders take to leave, in the working time of their warehouses."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import cast

import polars as pl

from quivo_frames.analysis.calendar import Calendar, WorkingTime
from quivo_frames.analysis.instants import day_of
from quivo_frames.analysis.kpi.groups import first_warehouses
from quivo_frames.analysis.milestones import OrderView


def ship_times(orders: pl.DataFrame, view: OrderView, calendar: Calendar, zone: str) -> pl.DataFrame:
    """One row per order that was not called off: what the calendar of its first warehouse says of its way out.

    - hours: working hours from placing to its last shipment; within: whether that is within `ship_hours`
    - in_time: whether it left by the day of its cut-off
    - open: something is still to be shipped; at_risk: it is open, and due on the day of the view or before

    `within` and `in_time` are false of open orders that can no longer keep it, and null where it cannot be known (yet).
    """
    places = first_warehouses(view).select("order_id", "warehouse", number=pl.col("warehouse_id").cast(pl.String))
    names = [pl.when(pl.col(name).is_in(list(calendar.warehouses))).then(name) for name in ("warehouse", "number")]
    rows = orders.lazy().filter(~pl.col("called_off")).join(places, on="order_id", how="left")
    parts = rows.with_columns(calendar=pl.coalesce(names)).collect().partition_by("calendar", as_dict=True)
    found = [
        _ship_times_of_warehouse(part, view, calendar.of_warehouse(cast("str | None", name), zone))
        for (name,), part in parts.items()
    ]
    return pl.concat([_ship_times_of_warehouse(orders.clear(), view, calendar.of_warehouse(None, zone)), *found])


def _ship_times_of_warehouse(orders: pl.DataFrame, view: OrderView, works: WorkingTime) -> pl.DataFrame:
    is_open, placed, known_at = (pl.col(name) for name in ("outstanding", "placed", "known_at"))
    left = pl.when(~is_open).then("shipped_last")
    hours, waited = works.hours_between(placed, left), works.hours_between(placed, known_at)
    due, today = works.due_day(placed), _day_before(view.as_of, works.zone)
    day_known = pl.min_horizontal(day_of(known_at, works.zone), today)
    in_time = pl.when(left >= placed).then(day_of(left, works.zone) <= due)
    tonight = works.hours_until_end_of(placed, today)
    return orders.select(
        "order_id", hours=hours,
        within=pl.when(is_open & (waited > works.ship_hours)).then(False).otherwise(hours <= works.ship_hours),
        in_time=pl.when(is_open & (day_known > due)).then(False).otherwise(in_time),
        open=is_open & placed.is_not_null(),
        at_risk=is_open & pl.coalesce(due <= today, tonight >= works.ship_hours).fill_null(value=False),
    )  # fmt: skip


def _day_before(as_of: datetime, zone: str) -> pl.Expr:
    """The day that is on at an instant; at a midnight in UTC, the end of a day that was asked for, that day."""
    last = pl.lit(as_of - timedelta(microseconds=1))
    return (last if as_of.time() == time() else last.dt.convert_time_zone(zone)).dt.date()
