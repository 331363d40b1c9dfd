"""KPIs of flow: cycle time, backlog, split shipments."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.kpi.kpi import days_between, define_kpi, share_of_whole
from quivo_frames.analysis.kpi.query import KpiQuery

_NOT_CALLED_OFF = ~pl.col("called_off")
STAGES = {
    "order to ship": ("placed", "shipped_last"),
    "ship to delivery": ("shipped_last", "delivered_last"),
    "order to delivery": ("placed", "delivered_last"),
    "order to completion": ("placed", "completed_at"),
}
"""The stages of an order by name: the milestones between which each is."""
_LEFT = ("hours", "within", "in_time", "open", "at_risk")
_AGES = (0, 1, 3, 7, 14)
BACKLOG_AGES = {
    f"{start}-{end} days" if end else f"{start}+ days": (start, end)
    for start, end in zip(_AGES, (*_AGES[1:], None), strict=True)
}
"""The ages of the backlog by name: the days at which each begins and ends."""


@define_kpi("SCOR RS.1.1, order fulfillment cycle time", _NOT_CALLED_OFF)
def cycle_time(query: KpiQuery) -> pl.DataFrame:
    """Cycle time, in days.

    Order to ship: from placing the order to its last shipment. Ship to delivery: from there to the delivery of all
    shipments. Order to delivery and order to completion: from placing the order to these. Each with its mean, median
    (p50), 90th percentile (p90) and maximum. Orders that were called off, or of which something is still to be shipped,
    are left out.

    Limits: all days count, including weekends, and so does the time by which a customer ordered ahead; SCOR allows that
    to be subtracted. Instants in the wrong order are left out.
    """
    rows = query.orders_by_group
    frames = {}
    for stage, (earlier, later) in STAGES.items():
        taken = days_between(earlier, later).filter(_NOT_CALLED_OFF, ~pl.col("outstanding"))
        frames[stage] = query.aggregate_by_group(
            rows, orders=taken.count(), mean=taken.mean(), p50=taken.quantile(0.5, "linear"),
            p90=taken.quantile(0.9, "linear"), max=taken.max(),
        )  # fmt: skip
    return query.stack_aggregates("stage", frames)


@define_kpi("no standard; SCOR RS.1.1 measures the time, not the promise", _NOT_CALLED_OFF)
def order_to_ship(query: KpiQuery) -> pl.DataFrame:
    """Order to ship, in working time.

    Within: the share of the orders that were shipped within `ship_hours` working hours of being placed, and the median
    (p50) and 90th percentile (p90) of these hours. In time: the share of those that left by the day of their cut-off:
    on the same day if placed on a working day before `cut_off`, else by the end of the next working day. Orders of
    which something is still to be shipped count as late once they are, else not at all. At risk: of the open orders,
    those that are due on the day of the query or before; without a cut-off, those whose hours are over by its end.

    Working days, hours, holidays and zones are those of the `[calendar]` in the limits, for the first warehouse that
    plans the order. By default all days count, with 24 hours each, there is no cut-off, and `ship_hours` are 24.

    Limits: hours are those of the clock, also on the two days a year on which it is changed. What was ordered ahead of
    its sale looks late. A day without a time counts from its begin. An open order may have left since its answer.
    """
    rows = query.orders_by_group.join(query.facts.ship_times.select("order_id", *_LEFT), on="order_id", how="left")
    hours, within, in_time = (pl.col(name) for name in _LEFT[:3])
    counts = query.aggregate_by_group(
        rows, judged=within.count(), within=within.sum(), p50=hours.quantile(0.5, "linear"),
        p90=hours.quantile(0.9, "linear"), due=in_time.count(), in_time=in_time.sum(), open=pl.col("open").sum(),
        at_risk=pl.col("at_risk").sum(),
    )  # fmt: skip
    rates = {
        f"{part}_rate": share_of_whole(pl.col(part), pl.col(whole))
        for part, whole in (("within", "judged"), ("in_time", "due"), ("at_risk", "open"))
    }
    return counts.with_columns(**rates).select(
        *query.by, "judged", "within", "within_rate", "p50", "p90", "due", "in_time", "in_time_rate", "open", "at_risk",
        "at_risk_rate",
    )  # fmt: skip


@define_kpi("no standard", pl.col("outstanding"))
def backlog(query: KpiQuery) -> pl.DataFrame:
    """Backlog by age.

    Orders of which something is still to be shipped, and how many pieces, by how long ago they were placed: not called
    off, not done, and not shipped or not shipped in full. The age is the one at the time of the answer: an order that
    was last fetched long ago is as old as it was then.

    Limits: orders without a date of placing, and pieces of unknown quantity, are left out.
    """
    age = pl.col("known_at") - pl.col("placed")
    due = pl.col("known_pieces") - pl.col("filled_pieces")
    frames = {}
    for name, (start, end) in BACKLOG_AGES.items():
        old = (age >= pl.duration(days=start)) if start else age.is_not_null()
        young = (age < pl.duration(days=end)) if end else pl.lit(value=True)
        these = pl.col("outstanding") & old & young
        frames[name] = query.aggregate_by_group(
            query.orders_by_group, orders=these.sum(), pieces=due.filter(these).sum()
        )
    return query.stack_aggregates("age", frames)


@define_kpi("no standard", pl.col("shipments") > 0)
def split_shipments(query: KpiQuery) -> pl.DataFrame:
    """Split shipments.

    Share of the shipped orders that left in more than one shipment, and the mean number of shipments and of warehouses
    per order. Reversed shipments do not count.

    Limits: whether several parcels are one shipment or several is up to the warehouse.
    """
    shipped = pl.col("shipments") > 0
    counts = query.aggregate_by_group(
        query.orders_by_group, orders=shipped.sum(), split=(pl.col("shipments") > 1).sum(),
        shipments_per_order=pl.col("shipments").filter(shipped).mean(),
        warehouses_per_order=pl.col("warehouses").filter(shipped).mean(),
    )  # fmt: skip
    means = ("shipments_per_order", "warehouses_per_order")
    rate = share_of_whole(pl.col("split"), pl.col("orders")).alias("rate")
    return counts.select(*query.by, "orders", "split", rate, *means)
