"""KPIs of service: volume, perfect orders, on time, fill rate, orders shipped complete."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.kpi.kpi import define_kpi, share_of_whole
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.kpi.query import KpiQuery

_ALL_ORDERS = pl.col("order_id").is_not_null()
_NOT_CALLED_OFF = ~pl.col("called_off")
_SETTLED = pl.col("done") & _NOT_CALLED_OFF
_IN_FULL = pl.col("in_full")


@define_kpi("the API's own fields, no standard", _ALL_ORDERS)
def volume(query: KpiQuery) -> pl.DataFrame:
    """Volume.

    Orders that were placed; orders called off (all fulfillment orders cancelled, or cancellation requested and nothing
    shipped); orders of which something was shipped; orders whose shipments were all delivered; and completed orders.
    Lines and pieces are those ordered; a bundle counts as its parts if its parts are shipped. Reversed shipments do not
    count.

    Limits: pieces leave out lines of unknown quantity. Lines of one order that cannot be told apart count once.
    """
    orders = query.aggregate_by_group(
        query.orders_by_group,
        orders=pl.len(), called_off=pl.col("called_off").sum(), shipped=(pl.col("shipments") > 0).sum(),
        delivered=pl.col("delivered_last").count(), completed=pl.col("completed_at").count(),
        lines=pl.col("lines").sum(), pieces=pl.col("pieces").sum(),
    )  # fmt: skip
    shipments = query.aggregate_by_group(query.shipments, shipments=pl.len())
    if not query.by:
        return orders.hstack(shipments)
    joined = orders.join(shipments, on=query.by, how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(pl.col("shipments").fill_null(0))


@define_kpi("SCOR RL.1.1, perfect order fulfillment", _SETTLED)
def perfect_order(query: KpiQuery) -> pl.DataFrame:
    """Perfect orders.

    Share of the orders that were shipped in full and on time, among those where both are known. Only orders that were
    not called off and of which nothing more is on its way count: completed, or last shipped more than 14 days ago.

    Limits: SCOR also asks for complete documents and perfect condition, and for what was received; the data tells
    neither. So the true rate may be lower, never higher. In full means at least what was ordered.
    """
    on_time = pl.col(f"on_time_{query.against}")
    judged = _SETTLED & _IN_FULL.is_not_null() & on_time.is_not_null()
    counts = query.aggregate_by_group(
        query.orders_by_group, orders=judged.sum(), in_full=(judged & _IN_FULL).sum(),
        on_time=(judged & on_time).sum(), perfect=(judged & _IN_FULL & on_time).sum(),
    )  # fmt: skip
    return counts.with_columns(rate=share_of_whole(pl.col("perfect"), pl.col("orders")))


@define_kpi(
    "SCOR RL.2.2, delivery performance to customer commit date; WERC DC Measures, on-time shipments", _NOT_CALLED_OFF
)
def on_time(query: KpiQuery) -> pl.DataFrame:
    """On time.

    Share of the orders that kept a promise, among those where that is known, for each promise in the data: delivered by
    latest_delivery_date, expected_delivery_date or delivery_window_end_time (SCOR), shipped by latest_ship_date (WERC).
    An order is on time if all its shipments are. It is late if one of them is, or if it is past due and something is
    still to be shipped or delivered. The tolerance is added to the promise; a day is a day of the time zone.
    An instant that is a midnight is a day without a time: a promise of it is kept all day long.

    Limits: orders that were called off are left out. SCOR asks whether a complete order was on time; here completeness
    and punctuality are two figures, and a perfect order needs both. A shipment whose delivery nobody recorded looks
    late once it is past due, unless it is untracked.
    """
    frames = {name: query.aggregate_by_group(query.orders_by_group, **_on_time_figures(name)) for name in PROMISES}
    return query.stack_aggregates("reference", frames).with_columns(
        rate=share_of_whole(pl.col("on_time"), pl.col("judged"))
    )


def _on_time_figures(name: str) -> dict[str, pl.Expr]:
    on_time = pl.col(f"on_time_{name}").filter(_NOT_CALLED_OFF)
    return {
        "judged": on_time.count(), "on_time": on_time.sum(), "late": (~on_time).sum(), "unknown": on_time.null_count(),
    }  # fmt: skip


@define_kpi("WERC DC Measures, fill rate by line", _SETTLED)
def fill_rate(query: KpiQuery) -> pl.DataFrame:
    """Fill rate.

    Share of the ordered lines that were shipped in full, and of the ordered pieces that were shipped. Too many pieces
    of one line do not make up for too few of another. Only orders that were not called off and of which nothing more is
    on its way count.

    Limits: all shipments count, not only the first. Lines whose ordered or shipped quantity is not known are left out.
    """
    names = {"lines": "known_lines", "lines_filled": "filled_lines", "pieces": "known_pieces",
             "pieces_filled": "filled_pieces"}  # fmt: skip
    sums = {name: pl.col(column).filter(_SETTLED).sum() for name, column in names.items()}
    rates = {f"{one}_rate": share_of_whole(pl.col(f"{one}s_filled"), pl.col(f"{one}s")) for one in ("line", "piece")}
    found = query.aggregate_by_group(query.orders_by_group, **sums).with_columns(**rates)
    return found.select(*query.by, "lines", "lines_filled", "line_rate", "pieces", "pieces_filled", "piece_rate")


@define_kpi("SCOR RL.2.1, orders delivered in full; WERC DC Measures, percent of orders shipped complete", _SETTLED)
def ship_complete(query: KpiQuery) -> pl.DataFrame:
    """Orders shipped complete.

    Share of the orders whose lines were all shipped in full, in any number of shipments, among those where that is
    known. Only orders that were not called off and of which nothing more is on its way count.

    Limits: SCOR asks for what was delivered; the data has quantities only of what was shipped.
    """
    in_full = _IN_FULL.filter(_SETTLED)
    counts = query.aggregate_by_group(query.orders_by_group, orders=in_full.count(), complete=in_full.sum())
    return counts.with_columns(rate=share_of_whole(pl.col("complete"), pl.col("orders")))
