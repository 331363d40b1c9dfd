"""Cases of the checks of service."""

from tests.support.fair_order import GONE, OTHER_UNIT, CheckCase

_SHIPMENT = "fulfillmentOrders.0.shipments.0"
_UNDELIVERED = {f"{_SHIPMENT}.{name}": GONE for name in ("deliveryDate", "podDate", "podDocuments")}
_WAITING = {"fulfillmentOrders.0.shipments": [], "completedAt": GONE, "orderDate": GONE, "created": GONE}

CASES = {
    "delivered_late": CheckCase(
        fires={"latestDeliveryDate": "2026-09-03"},
        row="1001/0/0",
        quiet={"latestDeliveryDate": "2026-09-04"},  # the day itself
        missing={"latestDeliveryDate": "2026-09-03", f"{_SHIPMENT}.deliveryDate": GONE},
    ),
    "delivery_overdue": CheckCase(
        fires=[{}, OTHER_UNIT | _UNDELIVERED],
        row="1002/0/0",
        quiet=[{}, OTHER_UNIT | _UNDELIVERED | {f"{_SHIPMENT}.provider": "POST"}],  # never reports a delivery
        missing=[{}, OTHER_UNIT | _UNDELIVERED | {"latestDeliveryDate": GONE}],
    ),
    "later_than_expected": CheckCase(
        fires={f"{_SHIPMENT}.expectedDeliveryDate": "2026-09-04T09:59:59Z"},
        row="1001/0/0",
        quiet={f"{_SHIPMENT}.expectedDeliveryDate": "2026-09-04T10:00:00Z"},
        missing={f"{_SHIPMENT}.expectedDeliveryDate": "2026-09-04T09:59:59Z", f"{_SHIPMENT}.deliveryDate": GONE},
    ),
    "outside_window": CheckCase(
        fires={f"{_SHIPMENT}.deliveryWindowStartTime": "2026-09-04T10:00:01Z"},
        row="1001/0/0",
        quiet={f"{_SHIPMENT}.deliveryWindowEndTime": "2026-09-04T10:00:00Z"},
        missing={f"{_SHIPMENT}.deliveryWindowStartTime": "2026-09-04T10:00:01Z", f"{_SHIPMENT}.deliveryDate": GONE},
    ),
    "delivered_early": CheckCase(
        fires={"earliestDeliveryDate": "2026-09-05"},
        row="1001/0/0",
        quiet={"earliestDeliveryDate": "2026-09-04"},
        missing={"earliestDeliveryDate": "2026-09-05", f"{_SHIPMENT}.deliveryDate": GONE},
    ),
    "shipped_late": CheckCase(
        fires={"latestShipDate": "2026-09-01"},
        row="1001/0/0",
        quiet={"latestShipDate": "2026-09-02"},
        missing={"latestShipDate": "2026-09-01", f"{_SHIPMENT}.shipDate": GONE},
    ),
    "shipping_overdue": CheckCase(
        fires=_WAITING,
        row="1001",
        quiet=_WAITING | {"latestShipDate": "2026-10-12"},  # it is not over
        missing=_WAITING | {"latestShipDate": GONE},
    ),
    "shipped_early": CheckCase(
        fires={"earliestShipDate": "2026-09-03"},
        row="1001/0/0",
        quiet={"earliestShipDate": "2026-09-02"},
        missing={"earliestShipDate": "2026-09-03", f"{_SHIPMENT}.shipDate": GONE},
    ),
}
