"""What KPIs are computed from: facts about each order and each shipment, worked out in ranges of orders."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import NamedTuple

import polars as pl
import polars.selectors as cs

from quivo_frames.analysis.calendar import Calendar
from quivo_frames.analysis.instants import end_of_window
from quivo_frames.analysis.kpi.groups import assign_orders_to_groups, order_attributes, shipment_attributes
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.kpi.ship_times import ship_times
from quivo_frames.analysis.milestones import OrderView, is_settled
from quivo_frames.analysis.ranges import map_ranges
from quivo_frames.executors.local import WorkerPool

_SHIPMENT_COLUMNS = (
    "order_id", "warehouse", "carrier", "seller", "country", "month", "week", "day", "ship_date", "delivery_date",
    "pod_date", "delivery_window_start_time", "delivery_window_end_time", "tracked", "proven",
    *(f"on_time_{name}" for name in PROMISES),
)  # fmt: skip
_ORDER_COLUMNS = (
    "order_id", "seller", "country", "month", "week", "day", "placed", "known_at", "shipped_last", "delivered_last",
    "completed_at", "called_off", "shipments", "warehouses", "lines", "pieces", "known_lines", "known_pieces",
    "filled_lines", "filled_pieces", "in_full", "done", "outstanding", *(f"on_time_{name}" for name in PROMISES),
)  # fmt: skip


class Judging(NamedTuple):
    """What orders are judged by: the tolerance of promises, the zones of groups and of days, and the calendar."""

    tolerance: timedelta
    zone: str
    day_zone: str
    calendar: Calendar


class KpiFacts(NamedTuple):
    """Frames about orders and shipments; texts are categories, as few of them differ."""

    orders: pl.DataFrame
    """One row per order: its milestones, and what became of its lines and promises.

    - seller, country, month, week, day: the groups of which it has one each
    - lines, pieces: ordered; known_lines, known_pieces: those whose shipped quantity is known;
      filled_lines, filled_pieces: those that were shipped
    - in_full: every line was shipped in full; null if that is not known
    - done: nothing more will be shipped
    - outstanding: something is still to be shipped
    - warehouses: how many shipped it; null if none is known
    - on_time_(promise): all shipments kept it; null if that is not known (yet)
    """
    shipments: pl.DataFrame
    """One row per shipment that was not reversed: its groups, tracked, proven, on_time_(promise)."""
    ship_times: pl.DataFrame
    """One row per order that was not called off: what its warehouse's calendar says of its way out."""
    served: pl.DataFrame
    """The warehouses of each order, each with the carriers that left it: order_id, warehouse, carrier."""
    carried: pl.DataFrame
    """The carriers of each order: order_id, carrier."""


def collect_facts(view: OrderView, judging: Judging, pool: WorkerPool | None = None) -> KpiFacts:
    """The facts about all orders of a view, in ranges of orders that a pool may share."""
    found = map_ranges(partial(_facts_of_some, judging), view, pool)
    parts = sorted(found, key=lambda part: part.orders["order_id"].min() or 0)
    return KpiFacts(*(pl.concat(frames) for frames in zip(*parts, strict=True)))


def _facts_of_some(judging: Judging, view: OrderView) -> KpiFacts:
    shipments = _shipment_facts(view, judging)
    orders = _order_facts(view, judging, shipments)
    found = KpiFacts(
        orders.select(_ORDER_COLUMNS), shipments.select(_SHIPMENT_COLUMNS),
        ship_times(orders, view, judging.calendar, judging.zone),
        assign_orders_to_groups(view, ("warehouse", "carrier"), judging.zone).collect(),
        assign_orders_to_groups(view, ("carrier",), judging.zone).collect(),
    )  # fmt: skip
    return KpiFacts(*(frame.with_columns(cs.string().cast(pl.Categorical)) for frame in found))


def _order_facts(view: OrderView, judging: Judging, shipments: pl.DataFrame) -> pl.DataFrame:
    by_order = shipments.lazy().group_by("order_id").agg(
        pl.col("^on_time_.*$").all(ignore_nulls=False),
        warehouses=pl.col("warehouse_id").drop_nulls().n_unique().replace(0, None),
    )  # fmt: skip
    groups = order_attributes(view, judging.zone).drop("warehouse_id", "country")
    joined = view.milestones.join(_line_totals_per_order(view), on="order_id", how="left")
    joined = joined.join(by_order, on="order_id", how="left").join(groups, on="order_id", how="left")
    short = (pl.col("shipments") == 0) | ~pl.col("in_full")
    return (
        joined.with_columns(cs.matches("lines|pieces").fill_null(0), done=is_settled().fill_null(value=False))
        .with_columns(outstanding=(short & ~pl.col("done") & ~pl.col("called_off")).fill_null(value=False))
        .with_columns(_order_on_time(name, judging) for name in PROMISES)
        .collect()
    )


def _shipment_facts(view: OrderView, judging: Judging) -> pl.DataFrame:
    start, end = pl.col("delivery_window_start_time"), pl.col("delivery_window_end_time")
    promised = view.milestones.select("order_id", "known_at", "latest_delivery_date", "latest_ship_date")
    rows = view.valid_shipments.select(
        "shipment_key", "ship_date", "delivery_date", "pod_date", "is_untracked", "expected_delivery_date",
        "delivery_window_start_time", delivery_window_end_time=end_of_window(start, end, judging.day_zone),
        tracked=pl.any_horizontal(pl.col("tracking_number", "tracking_link").is_not_null()),
        proven=pl.col("pod_date").is_not_null(),
    )  # fmt: skip
    rows = rows.join(shipment_attributes(view, judging.zone), on="shipment_key").join(promised, on="order_id")
    for flag, tables in {"tracked": ("tracking_numbers", "tracking_links"), "proven": ("pod_documents",)}.items():
        keys = pl.concat([view[table].select("shipment_key") for table in tables]).unique()
        more = keys.with_columns(more=True)
        rows = rows.join(more, on="shipment_key", how="left")
        rows = rows.with_columns((pl.col(flag) | pl.col("more").fill_null(value=False)).alias(flag)).drop("more")
    judged = {
        f"on_time_{name}": promise.shipment_was_on_time(judging.tolerance, judging.day_zone)
        for name, promise in PROMISES.items()
    }
    return rows.with_columns(**judged).collect()


def _order_on_time(name: str, judging: Judging) -> pl.Expr:
    """Whether an order was on time, like its shipments; while something is outstanding, late or not known."""
    rest = pl.lit(None, pl.Boolean)
    if PROMISES[name].by_order:
        kept = PROMISES[name].is_kept(pl.col("known_at"), judging.tolerance, judging.day_zone)
        rest = pl.when(~kept).then(kept)
    shipped = pl.col(f"on_time_{name}")
    return pl.when("outstanding").then(shipped & rest).otherwise(shipped).alias(f"on_time_{name}")


def _line_totals_per_order(view: OrderView) -> pl.LazyFrame:
    """One row per order: its lines and pieces, and how many of them were shipped."""
    ordered, shipped = pl.col("ordered"), pl.col("shipped")
    known = (ordered - shipped).is_not_null()
    lines = view.matched_lines.filter(pl.col("order_position_key").is_not_null(), ordered.is_null() | (ordered > 0))
    return lines.group_by("order_id").agg(
        lines=pl.len(),
        pieces=ordered.sum(),
        known_lines=known.sum(),
        filled_lines=(shipped >= ordered).sum(),
        known_pieces=ordered.filter(known).sum(),
        filled_pieces=pl.min_horizontal(ordered, shipped).filter(known).sum(),
        in_full=(shipped >= ordered).all(ignore_nulls=False),
    )
