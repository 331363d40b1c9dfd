"""Cases of the checks of tracing."""

from tests.support.fair_order import GONE, OTHER_UNIT, CheckCase

_SHIPMENT = "fulfillmentOrders.0.shipments.0"
_LINE, _GROUP = f"{_SHIPMENT}.positions.0", f"{_SHIPMENT}.groupedPositions.0"
_UNNUMBERED = {f"{_SHIPMENT}.{name}": GONE for name in ("trackingNumber", "trackingNumbers")}
_UNTRACKED = _UNNUMBERED | {f"{_SHIPMENT}.{name}": GONE for name in ("trackingLink", "trackingLinks")}
_UNPROVEN = {f"{_SHIPMENT}.{name}": GONE for name in ("podDate", "podDocuments")}
_SAME_NUMBER = OTHER_UNIT | {f"{_SHIPMENT}.trackingNumber": "T1001"}
_SAME_SERIAL = OTHER_UNIT | {f"{_LINE}.serialNumbers.0": "1001-A-0", f"{_GROUP}.serialNumbers.0": "1001-A-0"}

CASES = {
    "tracking_missing": CheckCase(
        fires=_UNTRACKED,
        row="1001/0/0",
        quiet=_UNTRACKED | {"trackingEnabled": False},
        missing=_UNTRACKED | {f"{_SHIPMENT}.shipDate": GONE},
    ),
    "link_without_number": CheckCase(
        fires=_UNNUMBERED,
        row="1001/0/0",
        quiet={f"{_SHIPMENT}.trackingNumber": GONE},  # it is in the list
        missing=_UNTRACKED,
    ),
    "tracking_twice": CheckCase(
        fires=[{}, _SAME_NUMBER],
        row="1002/0/0",
        quiet=[{f"{_SHIPMENT}.reversed": True}, _SAME_NUMBER],
        missing=[_UNNUMBERED, _SAME_NUMBER],
    ),
    "pod_missing": CheckCase(
        fires=[{}, OTHER_UNIT | _UNPROVEN],
        row="1002/0/0",
        quiet=[{}, OTHER_UNIT | _UNPROVEN | {f"{_SHIPMENT}.provider": "POST"}],  # never gives proof
        missing=[{}, OTHER_UNIT | _UNPROVEN | {f"{_SHIPMENT}.deliveryDate": GONE}],
    ),
    "pod_without_delivery": CheckCase(
        fires={f"{_SHIPMENT}.deliveryDate": GONE},
        row="1001/0/0",
        quiet={f"{_SHIPMENT}.deliveryDate": GONE, f"{_SHIPMENT}.reversed": True},
        missing={f"{_SHIPMENT}.deliveryDate": GONE, f"{_SHIPMENT}.podDate": GONE},
    ),
    "expired_lot_shipped": CheckCase(
        fires={f"{_LINE}.expirationDate": "2026-09-01T00:00:00Z"},
        row="1001/0/0/0",
        quiet={f"{_LINE}.expirationDate": "2026-09-02T00:00:00Z"},  # good on its day
        missing={f"{_LINE}.expirationDate": "2026-09-01T00:00:00Z", f"{_SHIPMENT}.shipDate": GONE},
    ),
    "expiring_lot_shipped": CheckCase(
        fires={f"{_LINE}.expirationDate": "2026-10-02T12:00:00Z"},  # 30 days later
        row="1001/0/0/0",
        quiet={f"{_LINE}.expirationDate": "2026-10-02T12:00:01Z"},
        missing={f"{_LINE}.expirationDate": "2026-10-02T12:00:00Z", f"{_SHIPMENT}.shipDate": GONE},
    ),
    "serial_twice": CheckCase(
        fires=[{}, _SAME_SERIAL],
        row="1002/0/0/0/0",
        quiet=[{}, _SAME_SERIAL | {"sellerId": 8}],  # whose A is another article
        missing=[{}, _SAME_SERIAL | {f"{_LINE}.sku": GONE, f"{_LINE}.sellerSku": GONE}],
    ),
    "serials_differ": CheckCase(
        fires={f"{_LINE}.serialNumbers": ["1001-A-0"], f"{_GROUP}.serialNumbers": ["1001-A-0"]},
        row="1001/0/0/0",
        quiet={f"{_LINE}.serialNumbers": [], f"{_GROUP}.serialNumbers": []},
        missing={f"{_LINE}.serialNumbers": ["1001-A-0"], f"{_LINE}.quantity": GONE},
    ),
}
