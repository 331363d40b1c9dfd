"""How orders flow: how long they take, how many wait, in how many shipments they leave."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.kpi.kpi import days_between, define_kpi, share_of_whole
from quivo_frames.analysis.kpi.question import KpiQuery

_WANTED = ~pl.col("called_off")
_STAGES = {
    "order to ship": ("placed", "shipped_last"),
    "ship to delivery": ("shipped_last", "delivered_last"),
    "order to delivery": ("placed", "delivered_last"),
    "order to completion": ("placed", "completed_at"),
}
_AGES = (0, 1, 3, 7, 14)


@define_kpi("SCOR RS.1.1, order fulfillment cycle time", _WANTED)
def cycle_time(asked: KpiQuery) -> pl.DataFrame:
    """Cycle time, in days.

    From placing an order to its last shipment, from there to the delivery of all shipments, and to completion: mean,
    median (p50), 90th percentile (p90) and maximum. Orders that were called off, or of which something is still to be
    shipped, are left out.

    Limits: all days count, weekends as well, and so does the time for which a customer ordered ahead; SCOR lets it
    be taken off. Instants that are out of order are left out.
    """
    rows = asked.orders_by_group
    frames = {}
    for stage, (earlier, later) in _STAGES.items():
        taken = days_between(earlier, later).filter(_WANTED, ~pl.col("outstanding"))
        frames[stage] = asked.aggregate_by_group(
            rows, orders=taken.count(), mean=taken.mean(), p50=taken.quantile(0.5, "linear"),
            p90=taken.quantile(0.9, "linear"), max=taken.max(),
        )  # fmt: skip
    return asked.stack_aggregates("stage", frames)


@define_kpi("no standard", pl.col("outstanding"))
def backlog(asked: KpiQuery) -> pl.DataFrame:
    """Backlog by age.

    Orders of which something is still to be shipped, and how many pieces, by how long ago they were placed: not called
    off, not done, and nothing or not everything was shipped. The age is that of the answer: an order that was last
    asked for long ago is as old as it was then.

    Limits: orders without a date of placing are left out, and pieces of unknown quantity.
    """
    age = pl.col("known_at") - pl.col("placed")
    due = pl.col("known_pieces") - pl.col("filled_pieces")
    frames = {}
    for start, end in zip(_AGES, (*_AGES[1:], None), strict=True):
        old = (age >= pl.duration(days=start)) if start else age.is_not_null()
        young = (age < pl.duration(days=end)) if end else pl.lit(value=True)
        these = pl.col("outstanding") & old & young
        name = f"{start}-{end} days" if end else f"{start}+ days"
        frames[name] = asked.aggregate_by_group(
            asked.orders_by_group, orders=these.sum(), pieces=due.filter(these).sum()
        )
    return asked.stack_aggregates("age", frames)


@define_kpi("no standard", pl.col("shipments") > 0)
def split_shipments(asked: KpiQuery) -> pl.DataFrame:
    """Split shipments.

    Share of the shipped orders that left in more than one shipment, the mean number of shipments, and of warehouses
    that shipped them. Reversed shipments do not count.

    Limits: whether a shipment of several parcels is one shipment or several is for the warehouse to say.
    """
    shipped = pl.col("shipments") > 0
    counts = asked.aggregate_by_group(
        asked.orders_by_group, orders=shipped.sum(), split=(pl.col("shipments") > 1).sum(),
        shipments_per_order=pl.col("shipments").filter(shipped).mean(),
        warehouses_per_order=pl.col("warehouses").filter(shipped).mean(),
    )  # fmt: skip
    means = ("shipments_per_order", "warehouses_per_order")
    rate = share_of_whole(pl.col("split"), pl.col("orders")).alias("rate")
    return counts.select(*asked.by, "orders", "split", rate, *means)
