"""What the checks of time, tracking and serial numbers should find, in plain Python over the JSON of the orders."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from quivo_frames.standin.orders import order_json

if TYPE_CHECKING:
    from collections.abc import Iterator

LATE = timedelta(hours=1)


def orders_with_faults() -> list[dict[str, Any]]:
    """Stand-in orders; every tenth repeats the tracking number of the one before, and others lack a serial number."""
    orders = [json.loads(order_json(order_id)) for order_id in range(100001, 101501)]
    for before, order in pairwise(orders):
        theirs, own = (next((shipment for _, shipment in valid_shipments(each)), {}) for each in (before, order))
        if order["orderId"] % 10 == 0 and "trackingNumber" in own:
            own["trackingNumber"] = theirs.get("trackingNumber")
        if order["orderId"] % 10 == 1:
            for line in own.get("positions") or ():
                line["serialNumbers"] = (line.get("serialNumbers") or ["1", "2"])[1:]
    return orders


def valid_shipments(order: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The shipments that were not reversed, with their keys."""
    for f, held in enumerate(order.get("fulfillmentOrders") or ()):
        for s, shipment in enumerate(held.get("shipments") or ()):
            if not shipment.get("reversed"):
                yield f"{order['orderId']}/{f}/{s}", shipment


def read_instant(record: dict[str, Any], key: str) -> datetime | None:
    return datetime.fromisoformat(record[key]) if record.get(key) else None


def read_day(record: dict[str, Any], key: str) -> date | None:
    return date.fromisoformat(record[key]) if record.get(key) else None


def is_after_day(when: datetime | None, last: date | None) -> bool:
    """Whether the instant is later than the last moment of the day in Vienna, and an hour."""
    if when is None or last is None:
        return False
    next_day = last + timedelta(days=1)
    midnight = datetime(next_day.year, next_day.month, next_day.day, tzinfo=ZoneInfo("Europe/Vienna"))
    return when >= midnight.astimezone(UTC) + LATE


def is_after(when: datetime | None, other: datetime | None) -> bool:
    return when is not None and other is not None and when > other + LATE


def expected_findings(orders: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Keys of the rows that each check should find."""
    found: dict[str, set[str]] = defaultdict(set)
    seen: set[str] = set()
    for order in orders:
        count = 0
        for key, shipment in valid_shipments(order):
            count += 1
            delivered, shipped = read_instant(shipment, "deliveryDate"), read_instant(shipment, "shipDate")
            if is_after_day(delivered, read_day(order, "latestDeliveryDate")):
                found["delivered_late"].add(key)
            if is_after_day(shipped, read_day(order, "latestShipDate")):
                found["shipped_late"].add(key)
            if is_after(delivered, read_instant(shipment, "expectedDeliveryDate")):
                found["later_than_expected"].add(key)
            start, end = (read_instant(shipment, f"deliveryWindow{which}Time") for which in ("Start", "End"))
            if is_after(delivered, end) or is_after(start, delivered):
                found["outside_window"].add(key)
            numbers = {shipment.get("trackingNumber"), *(shipment.get("trackingNumbers") or ())} - {None, ""}
            if numbers & seen:
                found["tracking_twice"].add(key)
            seen |= numbers
            for place, line in enumerate(shipment.get("positions") or ()):
                serials, quantity = set(line.get("serialNumbers") or ()), line.get("quantity")
                if serials and quantity is not None and len(serials) != quantity:
                    found["serials_differ"].add(f"{key}/{place}")
        held = order.get("fulfillmentOrders") or []
        cancelled = bool(held) and all(each.get("cancelled") for each in held)
        called_off = cancelled or bool(order.get("cancelRequestedAt"))
        kept = [each for each in held if not each.get("cancelled")]
        if order.get("completedAt") and order.get("positions") and kept and not count and not called_off:
            found["completed_without_shipment"].add(str(order["orderId"]))
    return found
