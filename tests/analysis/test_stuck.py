"""How long orders have been in their present status: from transitions, else from milestones; against a plain walk."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.standin.orders import ndjson_lines
from tests.support.archived_orders import record_answers
from tests.support.fair_order import GONE, audit_changed_order, changed_order

if TYPE_CHECKING:
    from pathlib import Path

PLAN = "fulfillmentOrders.0"
WAITING: dict[str, Any] = {
    f"{PLAN}.shipments": [],
    "completedAt": GONE,
    "latestShipDate": GONE,
    "orderStatus": "PROCESSING",
}
NOON = datetime(2026, 9, 4, 12, tzinfo=UTC)


def encoded(changes: dict[str, Any], order_id: int = 1001) -> bytes:
    return json.dumps(changed_order(changes, order_id)).encode()


def test_orders_stuck_in_picking_are_one_filter(tmp_path: Path) -> None:
    picking = WAITING | {f"{PLAN}.inPicking": True, f"{PLAN}.fulfillmentStatus": "PICKING"}
    planned = {f"{PLAN}.fulfillmentOrderCreated": "2026-09-09T00:00:00Z"}
    orders = [picking, picking | planned, WAITING, picking | {f"{PLAN}.cancelled": True}, {}]
    tables = qf.flatten([encoded(changes, 1001 + place) for place, changes in enumerate(orders)])
    found = qf.stuck(tables, as_of="2026-09-09")
    assert found.filter("in_picking", pl.col("days") > 2).to_dicts() == [
        {
            "order_id": 1001, "order_identifier": "S-1001", "seller": "Seller", "warehouse": "Wien",
            "order_status": "PROCESSING", "fulfillment_status": "PICKING", "in_picking": True, "last_event": "planned",
            "since": datetime(2026, 9, 1, 10, tzinfo=UTC), "days": pytest.approx(8 + 14 / 24), "known_by": "milestones",
        }
    ]  # fmt: skip
    assert found.select("order_id", "days").rows() == [
        (1001, pytest.approx(8 + 14 / 24)), (1003, pytest.approx(8 + 14 / 24)), (1002, pytest.approx(1)),
    ]  # fmt: skip


def test_a_change_that_answers_show_is_known_better_than_milestones(tmp_path: Path) -> None:
    path = tmp_path / "orders.sqlite"
    with Archive(path) as archive:
        for day, status in enumerate(["PROCESSING", "PROCESSING", "ON_HOLD", "ON_HOLD"]):
            picked = {f"{PLAN}.fulfillmentStatus": "PICKING"} if day == 3 else {}
            answers = {1001: WAITING | {"orderStatus": status}, 1002: WAITING, 1003: WAITING | picked}
            bodies = {order_id: encoded(changes, order_id) for order_id, changes in answers.items()}
            record_answers(archive, bodies, NOON + timedelta(days=day))
    tables = qf.build(path, tmp_path / "tables", jobs=1)
    found = qf.stuck(tables, path).select("order_id", "order_status", "since", "days", "known_by").sort("order_id")
    planned = datetime(2026, 9, 1, 10, tzinfo=UTC)
    assert found.rows() == [
        (1001, "ON_HOLD", NOON + timedelta(days=2), 1.0, "transitions"),
        (1002, "PROCESSING", planned, pytest.approx(6 + 2 / 24), "milestones"),
        (1003, "PROCESSING", NOON + timedelta(days=3), 0.0, "transitions"),
    ]
    assert set(qf.stuck(tables)["known_by"]) == {"milestones"}
    earlier = qf.stuck(tables, path, as_of=NOON + timedelta(days=1)).sort("order_id")
    assert set(earlier["known_by"]) == {"milestones"}  # what was seen later is not known then


def happened_last(order: dict[str, Any], now: datetime) -> datetime | None:
    """The last of an open order's instants up to now; None if the order is not open."""
    plans = order.get("fulfillmentOrders") or []
    shipments = [
        one for plan in plans for one in plan.get("shipments") or [] if not one.get("reversed")
    ]  # fmt: skip
    delivered = shipments and all(one.get("deliveryDate") for one in shipments)
    cancelled = (plans and all(plan.get("cancelled") for plan in plans)) or (
        order.get("cancelRequestedAt") and not shipments
    )
    if order.get("completedAt") or cancelled or delivered:
        return None
    texts = [order.get("orderDate") or order.get("created"), order.get("exportedAt"), order.get("cancelRequestedAt")]
    texts += [plan.get("fulfillmentOrderCreated") for plan in plans]
    names = ("shipDate", "carrierPickUpDate", "deliveryDate", "podDate")
    texts += [one.get(name) for one in shipments for name in names]
    instants = [datetime.fromisoformat(text) for text in texts if text]
    return max(instant for instant in instants if instant <= now)


def test_milestones_are_those_of_a_plain_walk() -> None:
    bodies = list(ndjson_lines(400, seed=9))
    tables = qf.flatten(bodies)
    now = tables["orders"]["last_modified"].max()
    assert isinstance(now, datetime)
    walked = {order["orderId"]: happened_last(order, now) for order in map(json.loads, bodies)}
    found = qf.stuck(tables)
    assert dict(found.select("order_id", "since").rows()) == {key: at for key, at in walked.items() if at}
    assert 50 < found.height < 350
    assert found["days"].to_list() == pytest.approx([(now - at) / timedelta(days=1) for at in found["since"]])
    assert found["days"].is_sorted(descending=True)


@pytest.mark.long
def test_an_order_that_stands_still_is_told_once() -> None:
    days = [f"2026-09-{day:02}T12:00:00Z" for day in (20, 25, 29)]
    names = ("orderDate", "created", "exportedAt", f"{PLAN}.fulfillmentOrderCreated")
    placed = [WAITING | {"earliestShipDate": GONE} | dict.fromkeys(names, day) for day in days]
    found = audit_changed_order(placed, as_of="2026-10-01", only=["stuck_in_status", "not_shipped"])
    assert set(found.select("order_id", "check").rows()) == {(1001, "not_shipped"), (1002, "stuck_in_status")}
    assert found.filter(check="stuck_in_status")["days_late"].to_list() == [pytest.approx(6.5 - 5)]
    second = {"warehouseId": 5, "fulfillmentOrderId": 5, "cancelled": False, "shipments": [], "positions": []}
    part = {"fulfillmentOrders.1": second, "completedAt": GONE, f"{PLAN}.shipments.0.deliveryDate": GONE,
            f"{PLAN}.shipments.0.podDate": GONE}  # fmt: skip
    checks = ["stuck_in_status", "not_completed"]
    for day, told in [("2026-09-06", []), ("2026-09-12", ["stuck_in_status"]), ("2026-09-20", ["not_completed"])]:
        assert audit_changed_order(part, as_of=day, only=checks)["check"].to_list() == told, day
    assert audit_changed_order(
        part | {"fulfillmentOrders.1": second | {"cancelled": True}}, as_of="2026-09-12", only=checks
    ).is_empty()


def test_what_lies_after_the_answer_has_not_happened_yet() -> None:
    found = qf.stuck(qf.flatten([encoded(WAITING | {"exportedAt": "2026-09-30T00:00:00Z"})]))  # known until 2026-09-06
    assert found.select("last_event", "days").rows() == [("planned", pytest.approx(5 + 2 / 24))]
