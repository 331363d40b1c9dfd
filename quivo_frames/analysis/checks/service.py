"""Checks of service: the days and windows that were promised to the customer."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from quivo_frames.analysis.checks.check import (
    Severity,
    days_of,
    define_check,
    instant_text,
    instant_texts,
    report_rows,
    with_milestones,
)
from quivo_frames.analysis.checks.goods import orders_without_goods
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.instants import day_of, end_of_window, is_after_day, is_before_day, is_later, time_later
from quivo_frames.analysis.milestones import IS_WAITING, OrderView
from quivo_frames.model.derived import UNKNOWN_CARRIER

_COMMITTED = "SCOR RL.2.2, delivery performance to the customer's commit date"
_ON_TIME = "WERC DC Measures, on-time shipments"


def _late_tolerance(limits: Limits) -> timedelta:
    return timedelta(hours=limits.late_hours)


def _report_missed_days(rows: pl.LazyFrame, key: str, message: str, instant: str, day: str, zone: str) -> pl.LazyFrame:
    """Reports rows whose instant misses a day; `{}` are the day of the instant and the promised day."""
    happened = day_of(pl.col(instant), zone)
    evidence = {**instant_texts(instant), day: day, "time_zone": pl.lit(zone)}
    return report_rows(rows, key, message, happened, day, evidence=evidence, days_late=days_of(happened - pl.col(day)))


def _report_late(view: OrderView, limits: Limits, instant: str, day: str, message: str) -> pl.LazyFrame:
    """Reports shipments with an instant after the day that their order promises."""
    zone = view.day_zone(limits.time_zone)
    late = is_after_day(pl.col(instant), pl.col(day), _late_tolerance(limits), zone)
    return _report_missed_days(
        with_milestones(view.valid_shipments, view, day).filter(late), "shipment_key",
        f"{message}, but the last day for it was {{}}.", instant, day, zone,
    )  # fmt: skip


def _report_early(view: OrderView, limits: Limits, instant: str, day: str, message: str) -> pl.LazyFrame:
    """Reports shipments with an instant before the day that their order promises; they are late by minus some days."""
    zone = view.day_zone(limits.time_zone)
    early = is_before_day(pl.col(instant), pl.col(day), _late_tolerance(limits), zone)
    return _report_missed_days(
        with_milestones(view.valid_shipments, view, day).filter(early), "shipment_key",
        f"{message}, but the first day for it was {{}}.", instant, day, zone,
    )  # fmt: skip


@define_check(Severity.ERROR, "shipments", _COMMITTED, needs=("shipments.delivery_date", "orders.latest_delivery_date"))
def delivered_late(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment was delivered after the last day on which it might be.

    The day of its `delivery_date` in `time_zone` is later than the order's `latest_delivery_date`, also with
    `late_hours` less.

    Limits: reversed shipments are left out; the zone in which the API means its days is not documented.
    """
    return _report_late(view, limits, "delivery_date", "latest_delivery_date", "delivered on {}")


@define_check(
    Severity.WARNING,
    "shipments",
    _COMMITTED,
    needs=("shipments.ship_date", "shipments.delivery_date", "shipments.provider", "orders.latest_delivery_date"),
)
def delivery_overdue(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment is under way although the last day for its delivery is over.

    It has a `ship_date`, but no `delivery_date` and no proof of delivery (`pod_date`, documents); the day on which the
    answer arrived (or `as_of`, if that is earlier) is later than the order's `latest_delivery_date`, also with
    `late_hours` less. Only shipments of carriers that reported a delivery at least once in the tables count; the
    carrier of a shipment is its `provider`, else the one that mostly goes with its `provider_name`.

    Limits: reversed shipments are left out, and those that travel untracked; a carrier may report some deliveries only.
    """
    unproven = view.valid_shipments.join(view["pod_documents"], on="shipment_key", how="anti")
    rows = with_milestones(unproven, view, "latest_delivery_date", "known_at")
    under_way = pl.col("ship_date").is_not_null() & pl.col("delivery_date").is_null() & pl.col("pod_date").is_null()
    tracked = pl.col("is_untracked").ne_missing(other=True)
    delivering = view.valid_shipments.filter(pl.col("delivery_date").is_not_null())
    reporting = delivering.filter(pl.col("carrier") != UNKNOWN_CARRIER).select("carrier").unique()
    zone = view.day_zone(limits.time_zone)
    late = is_after_day(pl.col("known_at"), pl.col("latest_delivery_date"), _late_tolerance(limits), zone)
    overdue = rows.filter(under_way, tracked, late)
    overdue = overdue.join(reporting, on="carrier", how="semi")
    message = "not delivered by {}, but the last day for it was {}."
    return _report_missed_days(overdue, "shipment_key", message, "known_at", "latest_delivery_date", zone)


@define_check(
    Severity.WARNING, "shipments", _COMMITTED, needs=("shipments.delivery_date", "shipments.expected_delivery_date")
)
def later_than_expected(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment was delivered later than expected.

    Its `delivery_date` is later than its `expected_delivery_date` by more than `late_hours`. A midnight stands for a
    day without a time: then it is late on a later day, as whoever expects a parcel on a day has it all day long.

    Limits: reversed shipments are left out; whether an expectation is corrected on the way is not documented.
    """
    zone = view.day_zone(limits.time_zone)
    delivered, expected = pl.col("delivery_date"), pl.col("expected_delivery_date")
    late = is_later(delivered, expected, _late_tolerance(limits), zone)
    return report_rows(
        view.valid_shipments.filter(late), "shipment_key", "delivered at {}, but expected at {}.",
        instant_text("delivery_date"), instant_text("expected_delivery_date"),
        evidence=instant_texts("delivery_date", "expected_delivery_date"),
        days_late=days_of(time_later(delivered, expected, zone)),
    )  # fmt: skip


@define_check(Severity.WARNING, "shipments", _COMMITTED, needs=("shipments.delivery_date",))
def outside_window(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment was delivered before its delivery window began, or after it ended.

    Its `delivery_date` is earlier than `delivery_window_start_time`, or later than `delivery_window_end_time`, by more
    than `late_hours`. One end of the window is enough to compare with. Where one of two instants is a midnight, it
    stands for a day without a time, and days are compared.

    Limits: reversed shipments are left out; on its first and last day, a day without a time is within the window.
    """
    start, end = "delivery_window_start_time", "delivery_window_end_time"
    zone, tolerance, delivered = view.day_zone(limits.time_zone), _late_tolerance(limits), pl.col("delivery_date")
    before = is_later(pl.col(start), delivered, tolerance, zone)
    until = end_of_window(pl.col(start), pl.col(end), zone)
    after = is_later(delivered, until, tolerance, zone)
    missed_by = pl.when(before).then(-time_later(pl.col(start), delivered, zone)).otherwise(
        time_later(delivered, until, zone)
    )  # fmt: skip
    which = pl.when(before).then(pl.lit("before its window began")).otherwise(pl.lit("after its window ended"))
    return report_rows(
        view.valid_shipments.filter(before | after), "shipment_key", "delivered at {}, {} at {}.",
        instant_text("delivery_date"), which, pl.when(before).then(instant_text(start)).otherwise(instant_text(end)),
        evidence=instant_texts("delivery_date", start, end), days_late=days_of(missed_by),
    )  # fmt: skip


@define_check(
    Severity.INFO, "shipments", _COMMITTED, needs=("shipments.delivery_date", "orders.earliest_delivery_date")
)
def delivered_early(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment was delivered before the first day on which it might be.

    The day of its `delivery_date` in `time_zone` is earlier than the order's `earliest_delivery_date`, also with
    `late_hours` more.

    Limits: reversed shipments are left out; the zone in which the API means its days is not documented.
    """
    return _report_early(view, limits, "delivery_date", "earliest_delivery_date", "delivered on {}")


@define_check(Severity.ERROR, "shipments", _ON_TIME, needs=("shipments.ship_date", "orders.latest_ship_date"))
def shipped_late(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment left after the last day on which it might.

    The day of its `ship_date` in `time_zone` is later than the order's `latest_ship_date`, also with `late_hours` less.

    Limits: reversed shipments are left out; the zone in which the API means its days is not documented.
    """
    return _report_late(view, limits, "ship_date", "latest_ship_date", "shipped on {}")


@define_check(Severity.ERROR, "orders", _ON_TIME, needs=("orders.latest_ship_date",))
def shipping_overdue(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Nothing of an order was shipped although the last day for it is over.

    The day on which the answer arrived (or `as_of`, if that is earlier) is later than `latest_ship_date`, also with
    `late_hours` less; the order has no shipment that is not reversed, no `completed_at`, and was not called off. Orders
    whose lines all ask for no goods (see `never_shipped`) are left out.

    Limits: of orders that were shipped in part, the rest is not looked at; an answer that leaves out its shipments
    looks the same as if there were none.
    """
    zone = view.day_zone(limits.time_zone)
    late = is_after_day(pl.col("known_at"), pl.col("latest_ship_date"), _late_tolerance(limits), zone)
    message = "nothing shipped by {}, but the last day for it was {}."
    overdue = view.milestones.filter(IS_WAITING, late).join(
        orders_without_goods(view, limits), on="order_id", how="anti"
    )  # fmt: skip
    return _report_missed_days(overdue, "order_id", message, "known_at", "latest_ship_date", zone)


@define_check(Severity.INFO, "shipments", _ON_TIME, needs=("shipments.ship_date", "orders.earliest_ship_date"))
def shipped_early(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment left before the first day on which it might.

    The day of its `ship_date` in `time_zone` is earlier than the order's `earliest_ship_date`, also with `late_hours`
    more.

    Limits: reversed shipments are left out; the zone in which the API means its days is not documented.
    """
    return _report_early(view, limits, "ship_date", "earliest_ship_date", "shipped on {}")
