"""Cases of the checks of chronology."""

from typing import Any

from tests.support.fair_order import GONE, OTHER_UNIT, CheckCase

_PLAN = "fulfillmentOrders.0"
_SHIPMENT = f"{_PLAN}.shipments.0"
_UNSHIPPED: dict[str, Any] = {f"{_PLAN}.shipments": []}
_OPEN = {"completedAt": GONE}
_WAITING = _UNSHIPPED | _OPEN | {"latestShipDate": GONE}
_STANDING = _WAITING | {
    "orderDate": "2026-10-05T12:00:00Z", "created": "2026-10-05T12:00:00Z", "exportedAt": "2026-10-05T12:10:00Z",
    f"{_PLAN}.fulfillmentOrderCreated": "2026-10-05T12:20:00Z", "earliestShipDate": GONE,
}  # fmt: skip

CASES = {
    "exported_before_ordered": CheckCase(
        fires={"exportedAt": "2026-09-01T07:00:00Z"},
        row="1001",
        quiet={"exportedAt": "2026-09-01T07:50:00Z"},  # clocks differ
        missing={"exportedAt": "2026-09-01T07:00:00Z", "orderDate": GONE},
    ),
    "planned_before_exported": CheckCase(
        fires={f"{_PLAN}.fulfillmentOrderCreated": "2026-09-01T08:30:00Z"},
        row="1001/0",
        quiet={f"{_PLAN}.fulfillmentOrderCreated": "2026-09-01T08:50:00Z"},
        missing={f"{_PLAN}.fulfillmentOrderCreated": "2026-09-01T08:30:00Z", "exportedAt": GONE},
    ),
    "shipped_before_planned": CheckCase(
        fires={f"{_PLAN}.fulfillmentOrderCreated": "2026-09-02T12:30:00Z"},
        row="1001/0/0",
        quiet={f"{_PLAN}.fulfillmentOrderCreated": "2026-09-02T12:10:00Z"},
        missing={f"{_PLAN}.fulfillmentOrderCreated": "2026-09-02T12:30:00Z", f"{_SHIPMENT}.shipDate": GONE},
    ),
    "picked_up_before_planned": CheckCase(
        fires={f"{_SHIPMENT}.carrierPickUpDate": "2026-09-01T09:00:00Z"},
        row="1001/0/0",
        quiet={f"{_SHIPMENT}.carrierPickUpDate": "2026-09-01T09:50:00Z"},
        missing={f"{_SHIPMENT}.carrierPickUpDate": "2026-09-01T09:00:00Z", f"{_PLAN}.fulfillmentOrderCreated": GONE},
    ),
    "delivered_before_shipped": CheckCase(
        fires={f"{_SHIPMENT}.shipDate": "2026-09-04T12:00:00Z", "latestShipDate": "2026-09-04"},
        row="1001/0/0",
        quiet={f"{_SHIPMENT}.shipDate": "2026-09-04T10:10:00Z", "latestShipDate": "2026-09-04"},
        missing={f"{_SHIPMENT}.shipDate": "2026-09-04T12:00:00Z", f"{_SHIPMENT}.deliveryDate": GONE},
    ),
    "delivered_before_pickup": CheckCase(
        fires={f"{_SHIPMENT}.carrierPickUpDate": "2026-09-04T12:00:00Z"},
        row="1001/0/0",
        quiet={f"{_SHIPMENT}.carrierPickUpDate": "2026-09-04T12:00:00Z", f"{_SHIPMENT}.reversed": True},
        missing={f"{_SHIPMENT}.carrierPickUpDate": "2026-09-04T12:00:00Z", f"{_SHIPMENT}.deliveryDate": GONE},
    ),
    "pod_before_delivery": CheckCase(
        fires={f"{_SHIPMENT}.podDate": "2026-09-04T09:00:00Z"},
        row="1001/0/0",
        quiet={f"{_SHIPMENT}.podDate": "2026-09-04T09:50:00Z"},
        missing={f"{_SHIPMENT}.podDate": "2026-09-04T09:00:00Z", f"{_SHIPMENT}.deliveryDate": GONE},
    ),
    "completed_before_shipped": CheckCase(
        fires={"completedAt": "2026-09-02T11:00:00Z"},
        row="1001",
        quiet={
            "completedAt": "2026-09-02T11:00:00Z",
            f"{_PLAN}.shipments.1": {"shipDate": "2026-09-02T10:00:00Z"},  # the first one
        },
        missing={"completedAt": "2026-09-02T11:00:00Z", f"{_PLAN}.shipments.1": {"provider": "DHL"}},  # perhaps first
    ),
    "in_the_future": CheckCase(
        fires={"completedAt": "2026-10-13T00:00:01Z"},
        row="1001",
        quiet={"completedAt": "2026-10-13T00:00:00Z"},
        missing={"completedAt": "2026-10-13T00:00:01Z", "lastModified": GONE},
        also=frozenset({"not_completed"}),  # by then it was not
    ),
    "shipped_though_cancelled": CheckCase(
        fires={f"{_PLAN}.cancelled": True},
        row="1001/0",
        quiet={f"{_PLAN}.cancelled": True, f"{_SHIPMENT}.reversed": True},
        missing={f"{_PLAN}.cancelled": True, f"{_SHIPMENT}.shipDate": GONE},
    ),
    "shipped_after_cancel_request": CheckCase(
        fires={"cancelRequestedAt": "2026-09-02T11:00:00Z"},
        row="1001/0/0",
        quiet={"cancelRequestedAt": "2026-09-02T11:50:00Z"},
        missing={"cancelRequestedAt": "2026-09-02T11:00:00Z", f"{_SHIPMENT}.shipDate": GONE},
    ),
    "completed_without_shipment": CheckCase(
        fires=_UNSHIPPED,
        row="1001",
        quiet=_UNSHIPPED | {"cancelRequestedAt": "2026-09-01T11:00:00Z"},  # called off in time
        missing={"fulfillmentOrders": GONE, "handlingUnits": GONE},
    ),
    "not_completed": CheckCase(
        fires=_OPEN,
        row="1001",
        quiet=_OPEN | {f"{_SHIPMENT}.shipDate": "2026-09-28T00:00:00Z"},  # 14 days ago
        missing=_OPEN | {f"{_SHIPMENT}.shipDate": GONE},
    ),
    "not_shipped": CheckCase(
        fires=_WAITING,
        row="1001",
        quiet=_WAITING | {"orderDate": "2026-10-05T00:00:00Z"},  # 7 days ago
        missing=_WAITING | {"orderDate": GONE, "created": GONE},
    ),
    "stuck_in_status": CheckCase(
        fires=_STANDING,
        row="1001",
        quiet=[
            _STANDING | {f"{_PLAN}.fulfillmentOrderCreated": "2026-10-07T00:00:00Z"},  # 5 days ago
            _STANDING | {"earliestShipDate": "2026-10-08"},  # not to be shipped before
            _STANDING | {"latestShipDate": "2026-10-11"},  # which is overdue, and told so
            _STANDING | {"cancelRequestedAt": "2026-10-05T13:00:00Z"},  # called off
            OTHER_UNIT
            | _OPEN
            | {
                f"{_SHIPMENT}.deliveryDate": GONE,
                f"{_SHIPMENT}.isUntracked": True,
                f"{_SHIPMENT}.shipDate": "2026-09-28T12:00:00Z",
            },  # with the carrier
        ],
        missing=_STANDING
        | {
            "orderDate": GONE,
            "created": GONE,
            "exportedAt": GONE,
            f"{_PLAN}.fulfillmentOrderCreated": GONE,
        },
    ),
}
