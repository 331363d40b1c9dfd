"""An order in which nothing is wrong, changes to it, and what an audit finds then."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import quivo_frames as qf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quivo_frames.analysis.checks.findings import Findings

AS_OF = datetime(2026, 10, 12, tzinfo=UTC)
GONE = object()
"""As the value of a change: the field is missing."""
SSCC, OTHER_SSCC, THIRD_SSCC = "340123450000000017", "340123450000000024", "340123450000000031"

_SSCCS = (
    "fulfillmentOrders.0.shipments.0.sscc",
    "handlingUnits.0.sscc",
    *(f"handlingUnits.0.handlingPositions.{place}.sscc" for place in (0, 1)),
)
OTHER_UNIT = dict.fromkeys(_SSCCS, OTHER_SSCC)
"""Changes that give an order a handling unit of its own."""


class CheckCase(NamedTuple):
    """Changes to the fair order that one check must find, similar ones that it must not, and ones that lack a field."""

    fires: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    row: str
    """Key of the row that is found."""
    quiet: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    missing: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    """As `fires`, without a field that the check needs: it must find nothing."""
    also: frozenset[str] = frozenset()
    """Other checks that rightly find something as well."""


def fair_order(order_id: int = 1001) -> dict[str, Any]:
    """Two lines, planned, packed on one pallet, shipped, delivered and proven in time, completed."""
    return {
        "orderId": order_id,
        "created": "2026-09-01T08:05:00Z",
        "lastModified": "2026-09-06T12:00:00Z",
        "orderIdentifier": f"S-{order_id}",
        "orderStatus": "COMPLETED",
        "orderDate": "2026-09-01T08:00:00Z",
        "exportedAt": "2026-09-01T09:00:00Z",
        "completedAt": "2026-09-06T12:00:00Z",
        "ssccLabel": True,
        "sellerId": 7,
        "warehouseId": 4,
        "sellerName": "Seller",
        "deliveryAddress": {"name1": "A", "zip": "1010", "city": "Wien", "country": "AT", "email": "a@b.example"},
        "invoiceAddress": {"name1": "A", "zip": "1010", "city": "Wien", "country": "AT"},
        "currency": "EUR",
        "positions": [
            {
                "positionId": order_id * 10 + place, "positionIdentifier": f"L{place}", "sku": sku, "name": sku,
                "quantity": quantity, "unitWeight": 1.5, "totalWeight": 1.5 * quantity, "unitNetPrice": 10.0,
                "unitGrossPrice": 12.0, "totalNetAmount": 10.0 * quantity, "totalGrossAmount": 12.0 * quantity,
            }
            for place, (sku, quantity) in enumerate([("A", 2), ("B", 1)])
        ],
        "fulfillmentOrders": [
            {
                "warehouseId": 4, "warehouseName": "Wien", "fulfillmentOrderId": order_id * 10, "cancelled": False,
                "fulfillmentStatus": "DELIVERED", "fulfillmentOrderCreated": "2026-09-01T10:00:00Z",
                "positions": [
                    {"orderedSku": sku, "sku": sku, "warehouseSku": f"W-{sku}", "quantity": quantity}
                    for sku, quantity in [("A", 2), ("B", 1)]
                ],
                "shipments": [
                    {
                        "shipmentId": order_id * 100, "provider": "DHL", "providerName": "DHL", "isUntracked": False,
                        "trackingLink": f"https://t.example/T{order_id}", "trackingLinks": [f"https://t.example/T{order_id}"],
                        "trackingNumber": f"T{order_id}", "trackingNumbers": [f"T{order_id}"],
                        "shipDate": "2026-09-02T12:00:00Z", "carrierPickUpDate": "2026-09-02T13:00:00Z",
                        "deliveryWindowStartTime": "2026-09-04T08:00:00Z", "deliveryWindowEndTime": "2026-09-04T18:00:00Z",
                        "expectedDeliveryDate": "2026-09-04T17:00:00Z", "deliveryDate": "2026-09-04T10:00:00Z",
                        "podDate": "2026-09-04T11:00:00Z", "podDocuments": [{"fileName": "pod.pdf", "fileKey": "k"}],
                        "sscc": SSCC, "numberOfPallets": 1, "grossWeight": 5.0, "reversed": False,
                        "positions": [
                            {
                                "shipmentPositionId": order_id * 1000 + place, "sku": sku, "warehouseSku": f"W-{sku}",
                                "sellerSku": sku, "quantity": quantity, "lot": f"LOT-{sku}",
                                "expirationDate": "2027-09-01T00:00:00Z", "positionIdentifier": f"L{place}",
                                "serialNumbers": [f"{order_id}-{sku}-{piece}" for piece in range(quantity)],
                            }
                            for place, (sku, quantity) in enumerate([("A", 2), ("B", 1)])
                        ],
                        "groupedPositions": [
                            {
                                "warehouseSku": f"W-{sku}", "sellerSku": sku, "quantity": quantity, "lot": f"LOT-{sku}",
                                "serialNumbers": [f"{order_id}-{sku}-{piece}" for piece in range(quantity)],
                            }
                            for sku, quantity in [("A", 2), ("B", 1)]
                        ],
                    }
                ],
            }
        ],
        "handlingUnits": [
            {
                "type": "PALLET", "sscc": SSCC, "carrier": "DHL", "tracking": f"T{order_id}",
                "handlingPositions": [
                    {"sscc": SSCC, "positionIdentifier": f"L{place}", "sku": sku, "quantity": quantity}
                    for place, (sku, quantity) in enumerate([("A", 2), ("B", 1)])
                ],
            }
        ],
        "earliestDeliveryDate": "2026-09-03",
        "latestDeliveryDate": "2026-09-05",
        "earliestShipDate": "2026-09-01",
        "latestShipDate": "2026-09-03",
        "piiDataRemoved": False,
    }  # fmt: skip


def evidence_text(entries: Sequence[Mapping[str, str]]) -> str:
    """The evidence of a finding as a text."""
    return ", ".join(f"{entry['name']}={entry['value']}" for entry in entries)


def changed_order(changes: Mapping[str, Any], order_id: int = 1001) -> dict[str, Any]:
    """The fair order with changes: paths such as positions.0.quantity, and the new values.

    An index one past the end of a list appends to it.
    """
    order = copy.deepcopy(fair_order(order_id))
    for path, value in changes.items():
        *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
        inside: Any = order
        for step in way:
            inside = inside[step]
        if value is GONE:
            del inside[last]
        elif isinstance(inside, list) and last == len(inside):
            inside.append(copy.deepcopy(value))
        else:
            inside[last] = copy.deepcopy(value)
    return order


def audit_changed_order(changes: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (), **options: Any) -> Findings:
    """What an audit finds in the fair order with these changes; of a list of changes, one order each (1001, 1002, …)."""
    each = changes if isinstance(changes, list | tuple) and changes else [changes or {}]
    orders = [changed_order(change, 1001 + place) for place, change in enumerate(each)]
    tables = qf.flatten([json.dumps(order).encode() for order in orders])
    assert tables.failures.is_empty(), tables.failures["message"].to_list()
    return qf.audit(tables, **{"as_of": AS_OF, **options})
