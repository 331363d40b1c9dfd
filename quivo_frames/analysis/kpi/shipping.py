"""How shipments travel: carriers, delivery windows, proof of delivery."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.kpi.kpi import days_between, define_kpi, share_of_whole
from quivo_frames.analysis.kpi.question import KpiQuery

_SHIPPED = pl.col("shipments") > 0
_DELIVERED = pl.col("delivery_date").is_not_null()


@define_kpi("no standard", _SHIPPED)
def carriers(asked: KpiQuery) -> pl.DataFrame:
    """Carriers.

    Of each carrier: its shipments, how many were delivered, the median (p50) and 90th percentile (p90) of the days from
    shipping to delivery, the share on time (of those where that is known), the share with a tracking number or link,
    and the share of the delivered ones with a proof of delivery, as a date or a document.

    Limits: a carrier is what the shipment names as its provider. Instants that are out of order are left out.
    """
    on_time, transit = pl.col(f"on_time_{asked.against}"), days_between("ship_date", "delivery_date")
    return asked.aggregate_by_group(
        asked.shipments, dict.fromkeys((*asked.by, "carrier")),
        shipments=pl.len(), delivered=_DELIVERED.sum(),
        transit_p50=transit.quantile(0.5, "linear"), transit_p90=transit.quantile(0.9, "linear"),
        on_time_rate=share_of_whole(on_time.sum(), on_time.count()), tracked_rate=share_of_whole(pl.col("tracked").sum(), pl.len()),
        proven_rate=share_of_whole((pl.col("proven") & _DELIVERED).sum(), _DELIVERED.sum()),
    )  # fmt: skip


@define_kpi("no standard", _SHIPPED)
def delivery_window(asked: KpiQuery) -> pl.DataFrame:
    """Delivery window.

    Share of the delivered shipments that came within their delivery window, of those that have one; the others came
    early or late. The tolerance is added to the end of the window.

    Limits: a window of which start or end is missing, or that ends before it starts, is none.
    """
    start, end, came = (pl.col(f"delivery_{name}") for name in ("window_start_time", "window_end_time", "date"))
    judged = (start <= end) & _DELIVERED
    early, late = judged & (came < start), judged & (came - asked.tolerance > end)
    counts = asked.aggregate_by_group(
        asked.shipments, shipments=judged.sum(), within=(judged & ~early & ~late).sum(), early=early.sum(),
        late=late.sum(),
    )  # fmt: skip
    return counts.with_columns(rate=share_of_whole(pl.col("within"), pl.col("shipments")))


@define_kpi("no standard", _SHIPPED)
def pod_lag(asked: KpiQuery) -> pl.DataFrame:
    """Proof of delivery.

    Share of the delivered shipments with a proof of delivery, as a date or a document, and the median (p50) and 90th
    percentile (p90) of the days from delivery to the date of the proof.

    Limits: documents have no date. Instants that are out of order are left out.
    """
    lag = days_between("delivery_date", "pod_date")
    counts = asked.aggregate_by_group(
        asked.shipments, delivered=_DELIVERED.sum(), proven=(pl.col("proven") & _DELIVERED).sum(),
        p50=lag.quantile(0.5, "linear"), p90=lag.quantile(0.9, "linear"),
    )  # fmt: skip
    rate = share_of_whole(pl.col("proven"), pl.col("delivered"))
    return counts.select(*asked.by, "delivered", "proven", rate.alias("rate"), "p50", "p90")
