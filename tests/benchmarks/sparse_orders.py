"""Orders of a second shape: few fields, ids of 19 digits, many free-form attributes, times with offsets and fractions.

About 4 kB and 20 rows an order, as a shop's export through several systems could look; all of it is invented. The same
number gives the same bytes.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec

FIRST_ID = 4_100_000_000_000_000_001
_BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
_ZONES = [timezone(timedelta(hours=hours)) for hours in (1, 2, -5)]
_WORDS = (
    "gift wrap requested by the shop", "Lieferung nur an die Empfangsstelle im Erdgeschoß", "two of three vouchers used",
    "web/checkout/v3", "no signature required", 'label says "fragile"', "repeat customer since 2019", "campaign=spring",
    "prices taken over from the contract of last year", "imported again after a correction\nof the address", "B2B",
)  # fmt: skip
_NAMES = ("source", "channel", "campaign", "warehouse_note", "import_batch", "checkout_version", "fraud_score", "gift")


def sparse_order(number: int) -> bytes:
    """The order of that number: compact UTF-8 JSON without the fields that it does not use."""
    chance = random.Random(number)
    order_id = FIRST_ID + 7 * number
    lines = [_line(chance, order_id, place) for place in range(chance.randint(1, 2))]
    at = _BEGIN + timedelta(seconds=97 * number, microseconds=chance.randrange(1_000_000))
    order = {
        "orderId": order_id,
        "created": _time(chance, at),
        "lastModified": _time(chance, at + timedelta(hours=30)),
        "orderIdentifier": f"SHOP-{order_id}",
        "orderReference": f"#{number}",
        "orderStatus": chance.choice(("PROCESSING", "COMPLETED")),
        "orderDate": _time(chance, at - timedelta(minutes=5)),
        "sellerId": chance.randint(1, 40),
        "warehouseId": chance.randint(1, 4),
        "deliveryAddress": {
            "name1": f"Customer {number}", "address1": f"{chance.randint(1, 99)} Sample Street", "zip": "10115",
            "city": "Sample City", "country": "DE", "email": f"customer{number}@mail.example",
        },
        "currency": "EUR",
        "positions": lines,
        "fulfillmentOrders": [_planned(chance, order_id, lines, at)],
        "tags": ["web"] if chance.random() < 0.5 else [],
        "customAttributes": _attributes(chance, 7),
    }  # fmt: skip
    return msgspec.json.encode(order)


def _line(chance: random.Random, order_id: int, place: int) -> dict[str, Any]:
    return {
        "positionId": order_id + 1_000_000 + place,
        "positionIdentifier": f"P-{order_id}-{place}",
        "name": f"Article {chance.randint(1, 500)}, {chance.choice(_WORDS)}",
        "sku": f"SKU-{chance.randint(1, 500):05}",
        "quantity": chance.randint(1, 5),
        "unitGrossPrice": chance.randint(100, 9999) / 100,
        "customAttributes": _attributes(chance, 3),
    }


def _planned(chance: random.Random, order_id: int, lines: list[dict[str, Any]], at: datetime) -> dict[str, Any]:
    shipped = [
        {"shipmentPositionId": order_id + 4_000_000 + place, "sku": line["sku"], "quantity": line["quantity"]}
        for place, line in enumerate(lines)
    ]
    shipment = {
        "shipmentId": order_id + 3_000_000,
        "provider": "DHL",
        "trackingNumber": f"{order_id:020}",
        "trackingNumbers": [f"{order_id:020}"],
        "trackingLink": f"https://track.example/parcels/{order_id}?lang=de",
        "shipDate": _time(chance, at + timedelta(hours=26)),
        "positions": shipped,
    }
    return {
        "warehouseId": 1,
        "fulfillmentOrderId": order_id + 2_000_000,
        "fulfillmentStatus": "SHIPPED",
        "positions": [
            {"fulfillmentOrderPositionId": order_id + 5_000_000 + place, "sku": line["sku"], "quantity": line["quantity"]}
            for place, line in enumerate(lines)
        ],
        "shipments": [shipment],
        "fulfillmentOrderCreated": _time(chance, at + timedelta(hours=2)),
    }  # fmt: skip


def _attributes(chance: random.Random, count: int) -> dict[str, Any]:
    """Free-form attributes of several types, most of them texts of some length."""
    values: list[Any] = [" · ".join(chance.choices(_WORDS, k=chance.randint(4, 11))) for _ in range(count)]
    values[0] = chance.random()
    values[-1] = {
        "by": chance.choice(_WORDS),
        "at": chance.randint(1, 10**9),
        "steps": [1, None, *chance.choices(_WORDS, k=5)],
    }
    return {f"{_NAMES[place]}_of_shop": value for place, value in enumerate(values)}


def _time(chance: random.Random, at: datetime) -> str:
    """Most with an offset other than UTC, and with fractions of a second of three or six digits."""
    with_zone = at.astimezone(chance.choice(_ZONES)).isoformat(timespec=chance.choice(("milliseconds", "microseconds")))
    return with_zone if chance.random() < 0.9 else at.strftime("%Y-%m-%dT%H:%M:%SZ")
