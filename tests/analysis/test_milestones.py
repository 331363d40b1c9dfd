"""The view of the tables at an instant: what had happened by then, and what counts."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

import quivo_frames as qf
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.model.frames import Frames
from quivo_frames.model.time import parse_instant
from tests.support.fair_order import changed_order


def flatten_orders(*orders: dict[str, Any]) -> Frames:
    return qf.flatten([json.dumps(order).encode() for order in orders])


def test_without_as_of_all_that_is_known_counts_and_time_is_that_of_the_last_change() -> None:
    view = OrderView(flatten_orders(changed_order({}), changed_order({"lastModified": "2026-09-09T01:00:00Z"}, 1002)))
    assert view.as_of == datetime(2026, 9, 9, 1, tzinfo=UTC)
    assert view.milestones.collect()["delivered_last"].null_count() == 0


def test_what_came_later_had_not_happened() -> None:
    later = {"orderDate": "2026-09-20T08:00:00Z", "created": "2026-09-20T08:00:00Z"}
    view = OrderView(flatten_orders(changed_order({}), changed_order(later, 1002)), "2026-09-03")
    order = view.milestones.collect().row(0, named=True)
    assert view.milestones.collect()["order_id"].to_list() == [1001]
    assert (order["shipments"], order["delivered_last"], order["completed_at"]) == (1, None, None)
    assert order["known_at"] == datetime(2026, 9, 4, tzinfo=UTC)
    assert view.matched_lines.collect()["order_id"].unique().to_list() == [1001]
    assert view["order_positions"].collect()["order_id"].unique().to_list() == [1001]
    assert view.whole_table("order_positions").collect()["order_id"].n_unique() == 2
    assert view.whole_table("orders").collect()["completed_at"].null_count() == 0


def test_what_was_not_planned_or_shipped_yet_is_not_counted() -> None:
    lines = {
        day: OrderView(flatten_orders(changed_order({})), f"2026-09-0{day}T10:00:00Z")
        .matched_lines.collect()
        .sum()
        .row(0, named=True)
        for day in (1, 2, 3)
    }
    assert [(day["ordered"], day["planned"], day["shipped"]) for day in lines.values()] == [
        (3, 0, 0),
        (3, 3, 0),
        (3, 3, 3),
    ]


def test_an_order_is_delivered_when_all_its_shipments_are() -> None:
    second = {"fulfillmentOrders.0.shipments.1": {"shipDate": "2026-09-02T12:00:00Z"}}
    gone = {"fulfillmentOrders.0.shipments.1": {"shipDate": "2026-09-02T12:00:00Z", "reversed": True}}
    orders = (
        OrderView(flatten_orders(changed_order({}), changed_order(second, 1002), changed_order(gone, 1003)))
        .milestones.collect()
        .sort("order_id")
    )
    assert orders["delivered_last"].is_null().to_list() == [False, True, False]


def test_an_order_is_called_off_when_it_was_to_be_cancelled_in_time_or_all_of_it_is_cancelled() -> None:
    asked = {"cancelRequestedAt": "2026-09-01T10:30:00Z"}
    unshipped = {"fulfillmentOrders.0.shipments": []}
    cases = [asked, asked | unshipped, unshipped, {"fulfillmentOrders.0.cancelled": True}]
    orders = flatten_orders(*(changed_order(case, 1001 + place) for place, case in enumerate(cases)))
    assert OrderView(orders).milestones.collect().sort("order_id")["called_off"].to_list() == [False, True, False, True]


def test_empty_texts_are_null() -> None:
    view = OrderView(flatten_orders(changed_order({"currency": "", "orderReference": ""})))
    assert view["orders"].collect().select("currency", "order_reference").row(0) == (None, None)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (date(2026, 6, 1), "2026-06-02T00:00:00+00:00"),
        ("2026-06-01", "2026-06-02T00:00:00+00:00"),
        ("2026-06-01T12:00:00", "2026-06-01T12:00:00+00:00"),
        ("2026-06-01T12:00:00+02:00", "2026-06-01T10:00:00+00:00"),
        (datetime(2026, 6, 1, 12), "2026-06-01T12:00:00+00:00"),  # noqa: DTZ001 - taken as UTC
    ],
)
def test_a_day_means_its_end_and_no_zone_means_utc(given: Any, meant: str) -> None:
    assert parse_instant(given).isoformat() == meant


@pytest.mark.parametrize("wrong", ["last week", "", "2026-13-01", "01.06.2026"])
def test_what_is_no_date_is_refused(wrong: str) -> None:
    with pytest.raises(qf.ConfigError, match="is neither a day nor an instant"):
        OrderView(flatten_orders(), wrong)
