"""Checks of tracing: tracking, proof of delivery, lots and serial numbers."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from quivo_frames.analysis.checks.check import (
    Severity,
    count_text,
    days_of,
    days_text,
    define_check,
    instant_text,
    instant_texts,
    report_rows,
    rows_with_repeated,
)
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.identifiers import comparison_form, stated_value
from quivo_frames.analysis.instants import is_later, time_later
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.model.derived import UNKNOWN_CARRIER

_DOCUMENTS = "SCOR RL.2.3, documentation accuracy"
_CONDITION = "SCOR RL.2.4, perfect condition"
_TRACKING = "Own rule: a tracked shipment has a number of its own"
_SERIALS = "Own rule: a serial number is one piece"


_STATED_NUMBER = stated_value(pl.col("tracking_number"))


def _shipments_without_number(view: OrderView) -> pl.LazyFrame:
    """Shipments without any tracking number; `link` is a tracking link, if they have one."""
    numbers = view["tracking_numbers"].filter(_STATED_NUMBER.is_not_null())
    links = view["tracking_links"].group_by("shipment_key").agg(listed=pl.col("tracking_link").drop_nulls().first())
    alone = view.valid_shipments.filter(_STATED_NUMBER.is_null()).join(numbers, on="shipment_key", how="anti")
    return alone.join(links, on="shipment_key", how="left").with_columns(link=pl.coalesce("tracking_link", "listed"))


@define_check(Severity.WARNING, "shipments", _TRACKING, needs=("shipments.ship_date",), misses_personal=True)
def tracking_missing(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """A shipment that should be tracked has no tracking number.

    It has a `ship_date`, but neither a tracking number nor a tracking link, neither alone nor in a list. It is not
    `is_untracked`, and its order does not have `tracking_enabled` set to false. N/A, zeros and the like are no number.

    Limits: reversed shipments are left out; a number that stands at a handling unit alone is not looked at. Tables
    without personal values have no tracking numbers: there it cannot look.
    """
    enabled = view["orders"].select("order_id", "tracking_enabled")
    rows = _shipments_without_number(view).join(enabled, on="order_id", how="left")
    wanted = pl.col("is_untracked").ne_missing(other=True) & pl.col("tracking_enabled").ne_missing(other=False)
    return report_rows(
        rows.filter(pl.col("ship_date").is_not_null(), pl.col("link").is_null(), wanted), "shipment_key",
        "shipped at {} without a tracking number.", instant_text("ship_date"),
        evidence={
            **instant_texts("ship_date"), "is_untracked": "is_untracked", "tracking_enabled": "tracking_enabled",
        },
    )  # fmt: skip


@define_check(Severity.INFO, "shipments", _TRACKING)
def link_without_number(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """A shipment has a tracking link, but no tracking number.

    There is a `tracking_link`, or one in the list, and no `tracking_number`, nor one in the list.

    Limits: reversed shipments are left out; a number that is part of the link is not read out of it.
    """
    return report_rows(
        _shipments_without_number(view).filter(pl.col("link").is_not_null()), "shipment_key",
        "its shipment by {} has a tracking link, but no tracking number.", "carrier",
        evidence={"carrier": "carrier", **instant_texts("ship_date")}, personal={"tracking_link": "link"},
    )  # fmt: skip


@define_check(Severity.WARNING, "shipments", _TRACKING, crosses_orders=True)
def tracking_twice(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """Two shipments have one tracking number.

    A number of the shipment, its `tracking_number` or one of the list, is also one of a shipment further up in the
    tables; neither is reversed. Each shipment after the first is found. Upper and lower case, and characters that
    nobody sees, make no difference; N/A, zeros and the like are no number.

    Limits: shipments that travel in one parcel rightly share its number; carriers may use a number again after years.
    """
    number = comparison_form(_STATED_NUMBER)
    tables = (view["shipments"], view["tracking_numbers"])
    every = pl.concat(table.select("order_id", "shipment_key", number=number) for table in tables)
    repeated = rows_with_repeated(every, "number", "shipment_key").unique()
    concerned = pl.col("shipment_key").is_in(repeated["shipment_key"].implode())
    places = view.valid_shipments.filter(concerned).select("shipment_key").with_row_index("place")
    first = pl.col("shipment_key").sort_by("place").first().over("number")
    shared = repeated.lazy().join(places, on="shipment_key").with_columns(other=first)
    again = shared.filter(pl.col("shipment_key") != pl.col("other")).sort("place", "number")
    rows = again.group_by("order_id", "shipment_key", maintain_order=True).agg(pl.col("other").first(), "number")
    return report_rows(
        rows, "shipment_key", "its shipment has a tracking number of shipment {}, too.", "other",
        evidence={"other_shipment": "other"}, personal={"tracking_number": pl.col("number").list.join(" ")},
    )  # fmt: skip


@define_check(
    Severity.INFO, "shipments", _DOCUMENTS, needs=("shipments.delivery_date", "shipments.provider"), crosses_orders=True
)
def pod_missing(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A shipment was delivered, and its delivery is not proven.

    It was delivered more than `pod_days` before the answer arrived (or `as_of`, if that is earlier), and has neither
    `pod_date` nor documents. Proof is expected of carriers that prove at least `pod_share` of such deliveries in
    the tables; the carrier of a shipment is its `provider`, else the one that mostly goes with its `provider_name`.

    Limits: reversed shipments are left out; proof may be agreed on for some shipments of a carrier alone.
    """
    documents = view["pod_documents"].select("shipment_key").unique().with_columns(documented=True)
    delivered = view.valid_shipments.select("order_id", "shipment_key", "delivery_date", "pod_date", "carrier")
    rows = delivered.join(view.answers, on="order_id", how="left").join(documents, on="shipment_key", how="left")
    proven = pl.col("pod_date").is_not_null() | pl.col("documented").is_not_null()
    waited = pl.col("known_at") - pl.col("delivery_date")
    due = rows.filter(waited > timedelta(days=limits.pod_days)).with_columns(proven=proven)
    missing = due.filter(pl.col("proven").mean().over("carrier") >= limits.pod_share, ~pl.col("proven"))
    return report_rows(
        missing.filter(pl.col("carrier") != UNKNOWN_CARRIER), "shipment_key",
        "delivered by {} {} days before {}, and not proven.", "carrier", days_text(waited),
        instant_text("known_at"), evidence=instant_texts("delivery_date", "known_at"),
        days_late=days_of(waited) - limits.pod_days,
    )  # fmt: skip


@define_check(Severity.INFO, "shipments", _DOCUMENTS, needs=("shipments.pod_date",))
def pod_without_delivery(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """Delivery is proven, but when it was delivered is missing.

    The shipment has `pod_date`, but no `delivery_date`.

    Limits: reversed shipments are left out; documents without `pod_date` say nothing here.
    """
    return report_rows(
        view.valid_shipments.filter(pl.col("pod_date").is_not_null(), pl.col("delivery_date").is_null()),
        "shipment_key", "delivery proven at {}, but it has no delivery date.", instant_text("pod_date"),
        evidence=instant_texts("pod_date"),
    )  # fmt: skip


def _expiring_lines(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """Shipped lines of lots that expire, each with when it left, whether it had `expired`, and the time that was left.

    What came back, a quantity below zero, was not shipped.
    """
    lots = view["shipment_positions"].filter(
        pl.col("expiration_date").is_not_null(), pl.col("quantity").fill_null(1) > 0
    )
    expires, ships, zone = pl.col("expiration_date"), pl.col("ship_date"), view.day_zone(limits.time_zone)
    return lots.join(view.valid_shipments.select("shipment_key", "ship_date"), on="shipment_key").with_columns(
        expired=is_later(ships, expires, zone=zone), left=time_later(expires, ships, zone)
    )


@define_check(
    Severity.ERROR, "shipment_positions", _CONDITION,
    needs=("shipment_positions.expiration_date", "shipments.ship_date"),
)  # fmt: skip
def expired_lot_shipped(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A lot was shipped that had expired.

    The `ship_date` of the shipment is later than the `expiration_date` of the shipped line. A midnight stands for a
    day without a time: goods are good on the day that is printed on them, and expired on the next.

    Limits: reversed shipments are left out.
    """
    return report_rows(
        _expiring_lines(view, limits).filter("expired"), "shipment_position_key",
        "{} was shipped at {}, but its lot had expired at {}.", "sku", instant_text("ship_date"),
        instant_text("expiration_date"), evidence={"lot": "lot", **instant_texts("ship_date", "expiration_date")},
        sku="sku", days_late=-days_of(pl.col("left")),
    )  # fmt: skip


@define_check(
    Severity.WARNING, "shipment_positions", _CONDITION,
    needs=("shipment_positions.expiration_date", "shipments.ship_date"),
)  # fmt: skip
def expiring_lot_shipped(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A lot was shipped that expires soon.

    It had not expired (see `expired_lot_shipped`) when it left, but does so within `expiry_days`; on the day itself,
    no day is left.

    Limits: reversed shipments are left out; how long the goods are to last after delivery is not known.
    """
    left = pl.col("left")
    soon = ~pl.col("expired") & (left <= timedelta(days=limits.expiry_days))
    return report_rows(
        _expiring_lines(view, limits).filter(soon), "shipment_position_key",
        "{} was shipped at {}, {} days before its lot expires.", "sku", instant_text("ship_date"), days_text(left),
        evidence={"lot": "lot", **instant_texts("ship_date", "expiration_date")},
        sku="sku", expected=pl.lit(limits.expiry_days), actual=days_of(left),
    )  # fmt: skip


@define_check(Severity.ERROR, "serial_numbers", _SERIALS, needs=("serial_numbers.serial_number",), crosses_orders=True)
def serial_twice(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """One serial number was shipped twice.

    The number is also that of a shipped line further up in the tables, of the same seller and SKU; neither of their
    shipments is reversed. Each number after the first is found. Upper and lower case, and characters that nobody sees,
    make no difference; N/A, zeros and the like are no number.

    Limits: a piece that came back and was sold again looks the same; lines without a SKU are left out, and those with a
    quantity of 0 or less, as of goods that came back.
    """
    number = comparison_form(stated_value(pl.col("serial_number")))
    numbers = view["serial_numbers"].select("serial_number_key", "shipment_position_key", serial_number=number)
    repeated = rows_with_repeated(numbers, "serial_number", "shipment_position_key").with_row_index("place")
    concerned = pl.col("shipment_position_key").is_in(repeated["shipment_position_key"].implode())
    sent = view["shipment_positions"].filter(concerned, pl.col("quantity").fill_null(1) > 0)
    shipped = sent.join(view.valid_shipments, on="shipment_key", how="semi")
    lines = shipped.select("order_id", "shipment_position_key", sku=comparison_form(pl.coalesce("sku", "seller_sku")))
    rows = repeated.lazy().join(lines.drop_nulls("sku"), on="shipment_position_key")
    rows = rows.join(view.answers.select("order_id", "seller_id"), on="order_id", how="left")
    first = pl.col("shipment_position_key").sort_by("place").first().over("seller_id", "sku", "serial_number")
    again = rows.with_columns(other=first).filter(pl.col("shipment_position_key") != pl.col("other"))
    return report_rows(
        again, "serial_number_key", "serial number {} of {} was shipped on line {}, too.", "serial_number", "sku",
        "other", evidence={"serial_number": "serial_number", "sku": "sku", "other_line": "other"}, sku="sku",
    )  # fmt: skip


@define_check(
    Severity.WARNING,
    "shipment_positions",
    _SERIALS,
    needs=("serial_numbers.serial_number", "shipment_positions.quantity"),
)
def serials_differ(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """A shipped line has fewer or more serial numbers than pieces.

    The line has serial numbers, but how many different ones is not its `quantity`. N/A, zeros and the like are none.

    Limits: reversed shipments are left out; so are lines without any serial number, of which none may be wanted, and
    lines with a quantity of 0 or less.
    """
    numbers = view["serial_numbers"].group_by("shipment_position_key").agg(
        serials=comparison_form(stated_value(pl.col("serial_number"))).drop_nulls().n_unique()
    )  # fmt: skip
    lines = view["shipment_positions"].join(numbers.filter(pl.col("serials") > 0), on="shipment_position_key")
    rows = lines.filter(pl.col("serials") != pl.col("quantity"), pl.col("quantity") > 0).join(
        view.valid_shipments, on="shipment_key", how="semi"
    )
    return report_rows(
        rows, "shipment_position_key", "shipped {} of {} with {}.", count_text("quantity", "piece"), "sku",
        count_text("serials", "serial number"), evidence=("quantity", "serials"), sku="sku", expected="quantity",
        actual="serials",
    )  # fmt: skip
