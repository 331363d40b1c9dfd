"""Cases of the checks of quantities."""

from tests.support.fair_order import GONE, CheckCase

_PLAN = "fulfillmentOrders.0.positions"
_FIRST = "fulfillmentOrders.0.shipments.0"
_PACKED = "handlingUnits.0.handlingPositions"
_SOON = {"completedAt": GONE, f"{_FIRST}.shipDate": "2026-10-10T12:00:00Z"}  # the rest may follow
_B_STAYS = {f"{_FIRST}.positions.1": GONE, f"{_FIRST}.groupedPositions.1": GONE, f"{_PACKED}.1": GONE}
_GIFT = {"sku": "G", "warehouseSku": "W-G", "sellerSku": "G", "quantity": 1}
_GIFT_SENT = {f"{_FIRST}.positions.2": _GIFT, f"{_FIRST}.groupedPositions": GONE}
_ALL_OF_A = {"sku": "A", "warehouseSku": "W-A", "sellerSku": "A", "quantity": 2, "positionIdentifier": "L0"}
_ONE_OF_A = _ALL_OF_A | {"quantity": 1, "lot": "LOT-A"}
_RETURNED = {"fulfillmentOrders.0.shipments.1": {"reversed": True, "positions": [_ALL_OF_A]}}
_BACK = {"reversed": False, "positions": [_ALL_OF_A | {"quantity": -2}]}
_AGAIN = {
    f"{_FIRST}.deliveryDate": GONE,
    f"{_FIRST}.podDate": GONE,
    f"{_FIRST}.podDocuments": GONE,
    "fulfillmentOrders.0.shipments.1": {
        "shipDate": "2026-09-03T12:00:00Z", "deliveryDate": "2026-09-04T12:00:00Z", "provider": "DHL", "trackingNumber": "T2",
        "sscc": "340123450000000017", "reversed": False, "positions": [_ALL_OF_A],
    },
}  # fmt: skip


def _sent(pieces: int) -> dict[str, object]:
    """So many pieces of A were packed and shipped, instead of 2."""
    return {
        f"{_FIRST}.positions.0.quantity": pieces,
        f"{_FIRST}.positions.0.serialNumbers": GONE,
        f"{_FIRST}.groupedPositions.0.quantity": pieces,
        f"{_FIRST}.groupedPositions.0.serialNumbers": GONE,
        f"{_FIRST}.grossWeight": GONE,
        f"{_PACKED}.0.quantity": pieces,
    }


CASES = {
    "short_shipped": CheckCase(
        fires=_sent(1),
        row="1001/0",
        quiet=_sent(1) | _SOON,
        missing=_sent(1) | {"positions.0.quantity": GONE},
    ),
    "never_shipped": CheckCase(
        fires=_B_STAYS,
        row="1001/1",
        quiet=_B_STAYS | _SOON,
        missing=_B_STAYS | {"positions.1.sku": GONE},
    ),
    "over_shipped": CheckCase(
        fires=_sent(3),
        row="1001/0",
        quiet=_RETURNED,
        missing={"fulfillmentOrders.0.shipments.1": {"positions": [_ALL_OF_A]}},  # perhaps reversed
    ),
    "sent_again": CheckCase(
        fires=_AGAIN,
        row="1001/0",
        quiet=_AGAIN | {f"{_FIRST}.deliveryDate": "2026-09-04T10:00:00Z"},  # both came: too much was shipped
        missing=_AGAIN | {f"{_FIRST}.shipDate": GONE},
        also=frozenset({"delivery_overdue", "shipped_not_packed"}),
    ),
    "goods_returned": CheckCase(
        fires={"fulfillmentOrders.0.shipments.1": _BACK},
        row="1001/0/1/0",
        quiet={"fulfillmentOrders.0.shipments.1": _BACK | {"reversed": True}},
        missing={"fulfillmentOrders.0.shipments.1": _BACK | {"positions": []}},
        also=frozenset(),
    ),
    "not_ordered": CheckCase(
        fires=_GIFT_SENT,
        row="1001/0/0/2",
        quiet=_GIFT_SENT | {f"{_PLAN}.2": _GIFT},  # the warehouse was told to add it
        missing=_GIFT_SENT | {"positions.1.sku": GONE},  # may be what was sent
    ),
    "short_planned": CheckCase(
        fires={f"{_PLAN}.0.quantity": 1},
        row="1001/0",
        quiet={
            f"{_PLAN}.0.quantity": 1,
            "fulfillmentOrders.1": {"cancelled": False, "positions": [{"orderedSku": "A", "sku": "A", "quantity": 1}]},
        },
        missing={f"{_PLAN}.0.quantity": GONE},
    ),
    "over_planned": CheckCase(
        fires={f"{_PLAN}.0.quantity": 3},
        row="1001/0",
        quiet={"fulfillmentOrders.1": {"cancelled": True, "positions": [{"sku": "A", "quantity": 2}]}},
        missing={"fulfillmentOrders.1": {"positions": [{"sku": "A", "quantity": 2}]}},  # perhaps cancelled
    ),
    "substituted": CheckCase(
        fires={f"{_PLAN}.0.sku": "A2"},
        row="1001/0/0",
        quiet={f"{_PLAN}.0.sku": "A2", f"{_PLAN}.0.bundleSku": "S"},
        missing={f"{_PLAN}.0.sku": "A2", f"{_PLAN}.0.orderedSku": GONE},
    ),
    "other_lot_shipped": CheckCase(
        fires={"positions.0.lot": "LOT-X"},
        row="1001/0/0/0",
        quiet={"positions.0.lot": "LOT-A"},
        missing={"positions.0.lot": "LOT-X", f"{_FIRST}.positions.0.lot": GONE},
    ),
    "packed_not_shipped": CheckCase(
        fires={f"{_PACKED}.0.quantity": 3},
        row="1001/0/0",
        quiet={f"{_PACKED}.0.quantity": 3} | _RETURNED,  # may have been packed for that one
        missing={f"{_PACKED}.0.quantity": 3, f"{_FIRST}.positions.0.quantity": GONE},
    ),
    "shipped_not_packed": CheckCase(
        fires={f"{_PACKED}.0.quantity": 1, f"{_FIRST}.sscc": GONE},
        row="1001/0",
        quiet=_sent(1) | {"fulfillmentOrders.0.shipments.1": {"positions": [_ONE_OF_A]}},  # which needs no unit
        missing={f"{_PACKED}.0.quantity": GONE},
    ),
    "grouped_differs": CheckCase(
        fires={f"{_FIRST}.groupedPositions.0.quantity": 1},
        row="1001/0/0/0",
        quiet={f"{_FIRST}.positions.0.quantity": 1, f"{_FIRST}.positions.2": _ONE_OF_A},
        missing={f"{_FIRST}.groupedPositions.0.quantity": GONE},
    ),
}
