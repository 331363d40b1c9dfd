"""KPIs of shipments: carriers, delivery windows, proof of delivery."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.instants import is_later
from quivo_frames.analysis.kpi.kpi import days_between, define_kpi, share_of_whole
from quivo_frames.analysis.kpi.query import KpiQuery

_SHIPPED = pl.col("shipments") > 0
_DELIVERED = pl.col("delivery_date").is_not_null()


@define_kpi("no standard", _SHIPPED)
def carriers(query: KpiQuery) -> pl.DataFrame:
    """Carriers.

    For each carrier: its shipments, how many were delivered, the median (p50) and 90th percentile (p90) of the days
    from shipping to delivery, the share on time (among those where that is known), the share with a tracking number or
    link, and the share of the delivered ones with a proof of delivery, as a date or a document.

    Limits: a carrier is what the shipment names as its provider, else the one that most often goes with its
    provider_name in the tables, else "unknown". Instants in the wrong order are left out.
    """
    on_time, transit = pl.col(f"on_time_{query.against}"), days_between("ship_date", "delivery_date")
    return query.aggregate_by_group(
        query.shipments, dict.fromkeys((*query.by, "carrier")),
        shipments=pl.len(), delivered=_DELIVERED.sum(),
        transit_p50=transit.quantile(0.5, "linear"), transit_p90=transit.quantile(0.9, "linear"),
        on_time_rate=share_of_whole(on_time.sum(), on_time.count()),
        tracked_rate=share_of_whole(pl.col("tracked").sum(), pl.len()),
        proven_rate=share_of_whole((pl.col("proven") & _DELIVERED).sum(), _DELIVERED.sum()),
    )  # fmt: skip


def judge_window(query: KpiQuery) -> dict[str, pl.Expr]:
    """Whether a shipment was delivered and has a window (judged), and came within, before or after it."""
    start, end, came = (pl.col(f"delivery_{name}") for name in ("window_start_time", "window_end_time", "date"))
    judged = (start <= end) & _DELIVERED
    early = judged & is_later(start, came, zone=query.day_zone)
    late = judged & is_later(came, end, query.tolerance, query.day_zone)
    return {"judged": judged, "within": judged & ~early & ~late, "early": early, "late": late}


@define_kpi("no standard", _SHIPPED)
def delivery_window(query: KpiQuery) -> pl.DataFrame:
    """Delivery window.

    Share of the delivered shipments that arrived within their delivery window, among those that have one; the others
    arrived early or late. The tolerance is added to the end of the window. An instant that is a midnight is a day
    without a time: then days are compared.

    Limits: a window without a start or an end, or that ends before it starts, does not count as one.
    """
    window = judge_window(query)
    counts = query.aggregate_by_group(
        query.shipments, shipments=window["judged"].sum(), within=window["within"].sum(), early=window["early"].sum(),
        late=window["late"].sum(),
    )  # fmt: skip
    return counts.with_columns(rate=share_of_whole(pl.col("within"), pl.col("shipments")))


@define_kpi("no standard", _SHIPPED)
def pod_lag(query: KpiQuery) -> pl.DataFrame:
    """Proof of delivery.

    Share of the delivered shipments with a proof of delivery, as a date or a document, and the median (p50) and 90th
    percentile (p90) of the days from delivery to the date of the proof.

    Limits: documents have no date. Instants in the wrong order are left out.
    """
    lag = days_between("delivery_date", "pod_date")
    counts = query.aggregate_by_group(
        query.shipments, delivered=_DELIVERED.sum(), proven=(pl.col("proven") & _DELIVERED).sum(),
        p50=lag.quantile(0.5, "linear"), p90=lag.quantile(0.9, "linear"),
    )  # fmt: skip
    rate = share_of_whole(pl.col("proven"), pl.col("delivered"))
    return counts.select(*query.by, "delivered", "proven", rate.alias("rate"), "p50", "p90")
