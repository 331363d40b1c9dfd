"""How much was ordered, and how well it was served: perfect orders, on time, in full."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.kpi.kpi import define_kpi, share_of_whole
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.kpi.question import KpiQuery

_EVERY = pl.col("order_id").is_not_null()
_WANTED = ~pl.col("called_off")
_SETTLED = pl.col("done") & _WANTED
_IN_FULL = pl.col("in_full")


@define_kpi("the API's own fields, no standard", _EVERY)
def volume(asked: KpiQuery) -> pl.DataFrame:
    """Volume.

    Orders that were placed; that were called off (all fulfillment orders cancelled, or to be cancelled and not
    shipped); of which something was shipped, all shipments were delivered, and that are completed. Lines and pieces are
    those of the orders, a bundle counted as its parts where its parts are shipped; shipments are those not reversed.

    Limits: pieces leave out lines of unknown quantity. Lines of one order that cannot be told apart count once.
    """
    orders = asked.aggregate_by_group(
        asked.orders_by_group,
        orders=pl.len(), called_off=pl.col("called_off").sum(), shipped=(pl.col("shipments") > 0).sum(),
        delivered=pl.col("delivered_last").count(), completed=pl.col("completed_at").count(),
        lines=pl.col("lines").sum(), pieces=pl.col("pieces").sum(),
    )  # fmt: skip
    shipments = asked.aggregate_by_group(asked.shipments, shipments=pl.len())
    if not asked.by:
        return orders.hstack(shipments)
    joined = orders.join(shipments, on=asked.by, how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(pl.col("shipments").fill_null(0))


@define_kpi("SCOR RL.1.1, perfect order fulfillment", _SETTLED)
def perfect_order(asked: KpiQuery) -> pl.DataFrame:
    """Perfect orders.

    Share of the orders that were shipped in full and on time, of those where both are known. Looked at are orders that
    were not called off and of which nothing more is on its way: completed, or last shipped 14 days ago.

    Limits: SCOR also asks for complete documents and perfect condition, and for what was received; the data tells
    neither. So the true rate may be lower, never higher. In full means at least what was ordered.
    """
    on_time = pl.col(f"on_time_{asked.against}")
    judged = _SETTLED & _IN_FULL.is_not_null() & on_time.is_not_null()
    counts = asked.aggregate_by_group(
        asked.orders_by_group, orders=judged.sum(), in_full=(judged & _IN_FULL).sum(),
        on_time=(judged & on_time).sum(), perfect=(judged & _IN_FULL & on_time).sum(),
    )  # fmt: skip
    return counts.with_columns(rate=share_of_whole(pl.col("perfect"), pl.col("orders")))


@define_kpi("SCOR RL.2.2, delivery performance to customer commit date; WERC DC Measures, on-time shipments", _WANTED)
def on_time(asked: KpiQuery) -> pl.DataFrame:
    """On time.

    Share of the orders that kept a promise, of those where that is known, for each promise that the data holds:
    delivered by latest_delivery_date, expected_delivery_date or delivery_window_end_time (SCOR), shipped by
    latest_ship_date (WERC). An order is on time when all its shipments are, and late when one is, or when something is
    still to be shipped or delivered and it is past due. The tolerance is added to the promise; a day is one of the time
    zone.

    Limits: orders that were called off are left out. SCOR asks whether a complete order was on time; here that is two
    questions, and perfect orders are those with both answers. A shipment whose delivery nobody recorded looks late once
    it is past due, unless it is untracked.
    """
    frames = {name: asked.aggregate_by_group(asked.orders_by_group, **_on_time_figures(name)) for name in PROMISES}
    return asked.stack_aggregates("reference", frames).with_columns(
        rate=share_of_whole(pl.col("on_time"), pl.col("judged"))
    )


def _on_time_figures(name: str) -> dict[str, pl.Expr]:
    on_time = pl.col(f"on_time_{name}").filter(_WANTED)
    return {
        "judged": on_time.count(), "on_time": on_time.sum(), "late": (~on_time).sum(), "unknown": on_time.null_count(),
    }  # fmt: skip


@define_kpi("WERC DC Measures, fill rate by line", _SETTLED)
def fill_rate(asked: KpiQuery) -> pl.DataFrame:
    """Fill rate.

    Share of the ordered lines that were shipped in full, and of the ordered pieces that were shipped. Too many of one
    line do not make up for too few of another. Looked at are orders that were not called off and of which nothing more
    is on its way.

    Limits: all shipments count, not the first alone. Lines whose ordered or shipped quantity is not known are left out.
    """
    names = {"lines": "known_lines", "lines_filled": "filled_lines", "pieces": "known_pieces",
             "pieces_filled": "filled_pieces"}  # fmt: skip
    sums = {name: pl.col(column).filter(_SETTLED).sum() for name, column in names.items()}
    rates = {f"{one}_rate": share_of_whole(pl.col(f"{one}s_filled"), pl.col(f"{one}s")) for one in ("line", "piece")}
    found = asked.aggregate_by_group(asked.orders_by_group, **sums).with_columns(**rates)
    return found.select(*asked.by, "lines", "lines_filled", "line_rate", "pieces", "pieces_filled", "piece_rate")


@define_kpi("SCOR RL.2.1, orders delivered in full; WERC DC Measures, percent of orders shipped complete", _SETTLED)
def ship_complete(asked: KpiQuery) -> pl.DataFrame:
    """Orders shipped complete.

    Share of the orders of which every line was shipped in full, with however many shipments, of those where that is
    known. Looked at are orders that were not called off and of which nothing more is on its way.

    Limits: SCOR asks for what was delivered; the data tells pieces only of what was shipped.
    """
    in_full = _IN_FULL.filter(_SETTLED)
    counts = asked.aggregate_by_group(asked.orders_by_group, orders=in_full.count(), complete=in_full.sum())
    return counts.with_columns(rate=share_of_whole(pl.col("complete"), pl.col("orders")))
