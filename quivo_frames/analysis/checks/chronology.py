"""Checks of chronology: events in the wrong order, and events that are overdue."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from quivo_frames.analysis.checks.check import (
    Severity,
    days_of,
    days_text,
    define_check,
    instant_text,
    instant_texts,
    report_rows,
    with_milestones,
)
from quivo_frames.analysis.checks.goods import orders_without_goods
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.instants import is_after_day, is_later, time_later
from quivo_frames.analysis.milestones import IS_WAITING, OrderView
from quivo_frames.analysis.stuck import last_events
from quivo_frames.analysis.text_columns import format_columns
from quivo_frames.model.tables import primary_key_of

_EVENTS = "Own rule: ordered, exported, planned, shipped, delivered, proven, completed, in this order"
_FUTURE = "Own rule: no answer knows the future"
_CANCELLED = "Own rule: what was cancelled is not shipped"
_BACKLOG = "Own rule: orders do not stand still"

_PAST_EVENTS = {
    "orders": ("created", "order_date", "exported_at", "cancel_requested_at", "completed_at"),
    "fulfillment_orders": ("fulfillment_order_created",),
    "shipments": ("ship_date", "delivery_date", "pod_date"),
}
"""Columns with instants of what has happened; others may be plans."""


def _report_too_early(
    rows: pl.LazyFrame, key: str, event: str, before: str, message: str, view: OrderView, limits: Limits
) -> pl.LazyFrame:
    """Reports rows whose event is earlier than the one it should follow; `{}` are the two instants.

    An instant that is a midnight is a day without a time: then the event must be on an earlier day.
    """
    too_late, tolerance = pl.col(before), timedelta(minutes=limits.clock_minutes)
    zone = view.day_zone(limits.time_zone)
    early = rows.filter(is_later(too_late, pl.col(event), tolerance, zone))
    instants, missed_by = instant_texts(event, before), time_later(too_late, pl.col(event), zone)
    return report_rows(early, key, message, *instants.values(), evidence=instants, days_late=days_of(missed_by))


def _with_planning_time(rows: pl.LazyFrame, view: OrderView) -> pl.LazyFrame:
    """Shipments, each with when its fulfillment order was created."""
    plans = view["fulfillment_orders"].select("fulfillment_order_key", "fulfillment_order_created")
    return rows.join(plans, on="fulfillment_order_key", how="left")


@define_check(Severity.WARNING, "orders", _EVENTS, needs=("orders.exported_at", "orders.order_date"))
def exported_before_ordered(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """An order was exported before the customer ordered.

    `exported_at` is earlier than `order_date` by more than `clock_minutes`.

    Limits: orders without one of the two instants are left out.
    """
    return _report_too_early(
        view.milestones,
        "order_id",
        "exported_at",
        "order_date",
        "exported at {}, but ordered only at {}.",
        view,
        limits,
    )


@define_check(
    Severity.INFO,
    "fulfillment_orders",
    _EVENTS,
    needs=("fulfillment_orders.fulfillment_order_created", "orders.exported_at"),
)
def planned_before_exported(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A fulfillment order was created before its order was exported.

    `fulfillment_order_created` is earlier than the order's `exported_at` by more than `clock_minutes`.

    Limits: what an export is, is not documented; an order that is exported once more looks the same.
    """
    return _report_too_early(
        with_milestones(view["fulfillment_orders"], view, "exported_at"), "fulfillment_order_key",
        "fulfillment_order_created", "exported_at",
        "its fulfillment order was created at {}, but the order exported only at {}.", view, limits,
    )  # fmt: skip


@define_check(
    Severity.WARNING,
    "shipments",
    _EVENTS,
    needs=("shipments.ship_date", "fulfillment_orders.fulfillment_order_created"),
)
def shipped_before_planned(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment left before its fulfillment order was created.

    `ship_date` is earlier than `fulfillment_order_created` by more than `clock_minutes`.

    Limits: reversed shipments are left out, and days without a time (midnights) are compared as days.
    """
    return _report_too_early(
        _with_planning_time(view.valid_shipments, view), "shipment_key", "ship_date", "fulfillment_order_created",
        "shipped at {}, but its fulfillment order was created only at {}.", view, limits,
    )  # fmt: skip


@define_check(
    Severity.INFO,
    "shipments",
    _EVENTS,
    needs=("shipments.carrier_pick_up_date", "fulfillment_orders.fulfillment_order_created"),
)
def picked_up_before_planned(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The carrier's pick-up lies before the fulfillment order was created.

    `carrier_pick_up_date` is earlier than `fulfillment_order_created` by more than `clock_minutes`.

    Limits: reversed shipments are left out; whether the carrier came then, or was only to come, is not documented.
    """
    return _report_too_early(
        _with_planning_time(view.valid_shipments, view), "shipment_key", "carrier_pick_up_date",
        "fulfillment_order_created", "picked up at {}, but its fulfillment order was created only at {}.", view, limits,
    )  # fmt: skip


@define_check(Severity.ERROR, "shipments", _EVENTS, needs=("shipments.delivery_date", "shipments.ship_date"))
def delivered_before_shipped(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment was delivered before it was shipped.

    `delivery_date` is earlier than `ship_date` by more than `clock_minutes`.

    Limits: reversed shipments are left out; days without a time (midnights) are compared as days.
    """
    return _report_too_early(
        view.valid_shipments, "shipment_key", "delivery_date", "ship_date",
        "delivered at {}, but shipped only at {}.", view, limits,
    )  # fmt: skip


@define_check(
    Severity.WARNING, "shipments", _EVENTS, needs=("shipments.delivery_date", "shipments.carrier_pick_up_date")
)
def delivered_before_pickup(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment was delivered before the carrier's pick-up.

    `delivery_date` is earlier than `carrier_pick_up_date` by more than `clock_minutes`.

    Limits: reversed shipments are left out; whether the carrier came then, or was only to come, is not documented.
    """
    return _report_too_early(
        view.valid_shipments, "shipment_key", "delivery_date", "carrier_pick_up_date",
        "delivered at {}, but picked up only at {}.", view, limits,
    )  # fmt: skip


@define_check(Severity.WARNING, "shipments", _EVENTS, needs=("shipments.pod_date", "shipments.delivery_date"))
def pod_before_delivery(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Delivery was proven before it took place.

    `pod_date` is earlier than `delivery_date` by more than `clock_minutes`.

    Limits: reversed shipments are left out; days without a time (midnights) are compared as days.
    """
    return _report_too_early(
        view.valid_shipments, "shipment_key", "pod_date", "delivery_date",
        "delivery proven at {}, but delivered only at {}.", view, limits,
    )  # fmt: skip


def _departure_times(view: OrderView) -> pl.LazyFrame:
    """Orders, each with when its first and its last shipment left; null if one of its shipments has no date."""
    left = pl.col("ship_date")
    known = left.null_count() == 0
    departures = view.valid_shipments.group_by("order_id").agg(
        ship_date=pl.when(known).then(left.min()), last_ship_date=pl.when(known).then(left.max())
    )
    return view.milestones.join(departures, on="order_id")


@define_check(Severity.WARNING, "orders", _EVENTS, needs=("orders.completed_at", "shipments.ship_date"))
def completed_before_shipped(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """An order was completed before its first shipment left.

    `completed_at` is earlier than the first `ship_date` of its shipments by more than `clock_minutes`.

    Limits: reversed shipments are left out, and orders with a shipment that has no `ship_date`; what makes an order
    complete is not documented.
    """
    return _report_too_early(
        _departure_times(view), "order_id", "completed_at", "ship_date",
        "completed at {}, but first shipped only at {}.", view, limits,
    )  # fmt: skip


@define_check(Severity.WARNING, "orders", _FUTURE)
def in_the_future(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Something that has happened is dated later than anybody could know of it.

    An instant of an order, a fulfillment order or a shipment is later than `as_of` and later than when the order's
    answer arrived (where that is not known: when the order was last modified), by more than `future_hours`. Looked at
    are those of what has happened: created, ordered, exported, to be cancelled, completed, planned, shipped, delivered
    and proven.

    Limits: a day without a time counts from its midnight, so that it is in the future as late as can be. Dates that may
    be plans are not looked at, such as the carrier's pick-up; orders of which neither is known,
    when their answer arrived nor when they were modified, are left out.
    """
    answered = pl.coalesce("fetched_at", "last_modified")
    known = pl.when(answered.is_not_null()).then(pl.max_horizontal(answered, pl.lit(view.as_of)))
    answers = view.whole_table("orders").select("order_id", known_at=known)
    rows = {table: view.whole_table(table) for table in _PAST_EVENTS}
    rows["shipments"] = rows["shipments"].filter(pl.col("reversed").ne_missing(other=True))
    return pl.concat(
        _report_future_instants(frame.join(answers, on="order_id"), table, limits) for table, frame in rows.items()
    )


def _report_future_instants(rows: pl.LazyFrame, table: str, limits: Limits) -> pl.LazyFrame:
    allowed = timedelta(hours=limits.future_hours)
    ahead = {name: pl.col(name) - pl.col("known_at") > allowed for name in _PAST_EVENTS[table]}
    which = [pl.when(wrong).then(format_columns(f"{name} {{}}", instant_text(name))) for name, wrong in ahead.items()]
    return report_rows(
        rows.filter(pl.any_horizontal(*ahead.values())), primary_key_of(table), "{}: later than {}, when it was known.",
        pl.concat_str(which, separator=", ", ignore_nulls=True), instant_text("known_at"),
        evidence=instant_texts(*ahead, "known_at"), table=table,
        days_late=days_of(pl.max_horizontal(list(ahead)) - pl.col("known_at")),
    )  # fmt: skip


@define_check(
    Severity.ERROR, "fulfillment_orders", _CANCELLED, needs=("fulfillment_orders.cancelled", "shipments.ship_date")
)
def shipped_though_cancelled(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """A fulfillment order was cancelled, and yet something of it was shipped.

    It is `cancelled` and has shipments with a `ship_date` that are not reversed.

    Limits: the API does not say when it was cancelled, so goods that left before look the same.
    """
    shipped = view.valid_shipments.group_by("fulfillment_order_key").agg(
        shipments=pl.col("ship_date").count(), ship_date=pl.col("ship_date").min()
    )
    cancelled = view["fulfillment_orders"].filter("cancelled")
    return report_rows(
        cancelled.join(shipped.filter(pl.col("shipments") > 0), on="fulfillment_order_key"), "fulfillment_order_key",
        "its fulfillment order is cancelled, but was shipped at {}.", instant_text("ship_date"),
        evidence={"shipments": "shipments", "ship_date": instant_text("ship_date")},
    )  # fmt: skip


@define_check(Severity.WARNING, "shipments", _CANCELLED, needs=("shipments.ship_date", "orders.cancel_requested_at"))
def shipped_after_cancel_request(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment left after the order was to be cancelled.

    `ship_date` is later than the order's `cancel_requested_at` by more than `clock_minutes`; it is not reversed.

    Limits: the API does not say whether the request was accepted; it may have been too late. Of a day without a time,
    only a later day is after it.
    """
    rows = with_milestones(view.valid_shipments, view, "cancel_requested_at")
    shipped, asked, zone = pl.col("ship_date"), pl.col("cancel_requested_at"), view.day_zone(limits.time_zone)
    after = is_later(shipped, asked, timedelta(minutes=limits.clock_minutes), zone)
    return report_rows(
        rows.filter(after), "shipment_key", "shipped at {}, although it was to be cancelled since {}.",
        instant_text("ship_date"), instant_text("cancel_requested_at"),
        evidence=instant_texts("ship_date", "cancel_requested_at"), days_late=days_of(time_later(shipped, asked, zone)),
    )  # fmt: skip


@define_check(
    Severity.ERROR,
    "orders",
    _EVENTS,
    needs=("orders.completed_at", "order_positions.order_position_key", "fulfillment_orders.fulfillment_order_key"),
)
def completed_without_shipment(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """An order is completed, and nothing of it was shipped.

    It has `completed_at`, ordered lines, a fulfillment order that is not cancelled, and no shipment that is not
    reversed; it was not called off, and one of its lines asks for goods (see `never_shipped`).

    Limits: an answer that leaves out its shipments looks the same.
    """
    planned = (pl.col("fulfillment_orders") > 0) & ~pl.col("called_off")
    nothing = (pl.col("shipments") == 0) & pl.col("completed_at").is_not_null()
    return report_rows(
        view.milestones.filter(nothing, planned).join(view["order_positions"], on="order_id", how="semi").join(
            orders_without_goods(view, limits), on="order_id", how="anti"
        ), "order_id",
        "completed at {}, but nothing was shipped.", instant_text("completed_at"),
        evidence={"completed_at": instant_text("completed_at"), "shipments": "shipments"},
    )  # fmt: skip


@define_check(Severity.WARNING, "orders", _BACKLOG, needs=("shipments.ship_date",))
def not_completed(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """An order was shipped long ago and is not completed.

    Its last shipment left more than `complete_days` before the answer arrived (or `as_of`, if that is earlier); it has
    no `completed_at` and was not called off.

    Limits: orders with a shipment that has no `ship_date` are left out; what makes an order complete is not documented,
    nor whether each order comes to be so.
    """
    waited = pl.col("known_at") - pl.col("last_ship_date")
    open_ = pl.col("completed_at").is_null() & ~pl.col("called_off")
    return report_rows(
        _departure_times(view).filter(waited > timedelta(days=limits.complete_days), open_), "order_id",
        "last shipped {} days before {}, and not completed.", days_text(waited), instant_text("known_at"),
        evidence=instant_texts("last_ship_date", "known_at"),
        days_late=days_of(waited) - limits.complete_days,
    )  # fmt: skip


@define_check(Severity.WARNING, "orders", _BACKLOG)
def not_shipped(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """An order was placed long ago, and nothing of it was shipped.

    It was placed (`order_date`, else `created`) more than `ship_days` before the answer arrived (or `as_of`, if that is
    earlier); it has no shipment that is not reversed, no `completed_at`, and was not called off. Orders whose lines all
    ask for no goods (see `never_shipped`) are left out.

    Limits: an answer that leaves out its shipments looks the same; what is ordered ahead of its sale does, too.
    """
    waited = pl.col("known_at") - pl.col("placed")
    return report_rows(
        view.milestones.filter(waited > timedelta(days=limits.ship_days), IS_WAITING).join(
            orders_without_goods(view, limits), on="order_id", how="anti"
        ), "order_id",
        "placed {} days before {}, and nothing was shipped.", days_text(waited), instant_text("known_at"),
        evidence={**instant_texts("placed", "known_at"), "shipments": "shipments"},
        days_late=days_of(waited) - limits.ship_days,
    )  # fmt: skip


@define_check(Severity.WARNING, "orders", _BACKLOG)
def stuck_in_status(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Nothing has happened to an order for days, although something of it is still to be shipped.

    What happened to it last (placed, exported, to be cancelled, planned, shipped, picked up, delivered, proven),
    and its `earliest_ship_date`, lie more than `stuck_days` before the answer arrived (or `as_of`, if that is earlier).
    It is neither completed, nor called off, nor delivered, and nothing was shipped of it, or nothing of one of its
    fulfillment orders that is not cancelled.

    Orders that not_shipped, not_completed or shipping_overdue report are left out: one that stands still is reported
    once.

    Limits: that a status changed without a date is seen only by `qf.stuck` with an archive; of a fulfillment order that
    was shipped in part, the rest is not looked at.
    """
    shipped = view.valid_shipments.select("fulfillment_order_key")
    held = view["fulfillment_orders"].filter(pl.col("cancelled").ne_missing(other=True))
    unshipped = held.join(shipped, on="fulfillment_order_key", how="anti").select("order_id").unique()
    unshipped = unshipped.with_columns(unshipped=True)
    departed = _departure_times(view).select("order_id", "last_ship_date")
    rows = with_milestones(last_events(view), view, "shipments", "placed", "earliest_ship_date", "latest_ship_date")
    rows = rows.join(unshipped, on="order_id", how="left").join(departed, on="order_id", how="left")
    rows = rows.join(view["orders"].select("order_id", "order_status"), on="order_id", how="left")
    nothing, known_at = pl.col("shipments") == 0, pl.col("known_at")
    tolerance, zone = timedelta(hours=limits.late_hours), view.day_zone(limits.time_zone)
    overdue = is_after_day(known_at, pl.col("latest_ship_date"), tolerance, zone).fill_null(value=False)
    waits = (known_at - pl.col("placed") > timedelta(days=limits.ship_days)).fill_null(value=False)
    ended = (known_at - pl.col("last_ship_date") > timedelta(days=limits.complete_days)).fill_null(value=False)
    reported = pl.when(nothing).then(overdue | waits).otherwise(ended)
    released = pl.col("earliest_ship_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    waited = known_at - pl.max_horizontal("since", released)
    stands = rows.filter(waited > timedelta(days=limits.stuck_days), nothing | pl.col("unshipped"), ~reported)
    return report_rows(
        stands.sort("order_id"), "order_id",
        "nothing has happened for {} days, since it was {} at {}; its status is {}.", days_text(waited), "last_event",
        instant_text("since"), "order_status",
        evidence={"order_status": "order_status", "last_event": "last_event", **instant_texts("since", "known_at")},
        days_late=days_of(waited) - limits.stuck_days,
    )  # fmt: skip
