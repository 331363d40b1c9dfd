"""Fair orders with what real systems write: placeholders, days without time, masks, discounts; and ones with a fault."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.fair_order import GONE, OTHER_UNIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHIPMENT = "fulfillmentOrders.0.shipments.0"
_PLAN = "fulfillmentOrders.0.positions"
_PACKED = "handlingUnits.0.handlingPositions"
_PEOPLE = ["deliveryAddress.name1", "deliveryAddress.email", "invoiceAddress.name1"]
_PRICES = ("unitNetPrice", "unitGrossPrice", "totalNetAmount", "totalGrossAmount")


class Oddity(NamedTuple):
    """Changes to a fair order with which it stays fair."""

    changes: Mapping[str, Any]
    told: frozenset[str] = frozenset()
    """Checks that rightly say something all the same: worth knowing, or a warning."""
    hides: frozenset[str] = frozenset()
    """Checks that rightly keep still about a fault beside it, as something is not known any more."""


def _line(sku: str, quantity: int, price: float = 0.0) -> dict[str, Any]:
    prices = dict(zip(_PRICES, (price, price, price * quantity, price * quantity), strict=True))
    return {"positionId": 7, "positionIdentifier": "L2", "sku": sku, "quantity": quantity, **prices}


def _pack_of_six() -> dict[str, Any]:
    """One pack was ordered; the warehouse plans, packs and ships its six pieces."""
    goods = {"sku": "BOX6", "warehouseSku": "W-BOX6", "sellerSku": "BOX6", "quantity": 6}
    return {
        "positions.2": _line("BOX6", 1, 30.0), f"{_PLAN}.2": goods | {"orderedSku": "BOX6"},
        f"{_SHIPMENT}.positions.2": goods | {"positionIdentifier": "L2"}, f"{_SHIPMENT}.groupedPositions.2": goods,
        f"{_PACKED}.2": {"sku": "BOX6", "positionIdentifier": "L2", "quantity": 6},
    }  # fmt: skip


def _serials(*numbers: str) -> dict[str, Any]:
    return {f"{_SHIPMENT}.{rows}.0.serialNumbers": list(numbers) for rows in ("positions", "groupedPositions")}


def _masked(text: str, email: str) -> dict[str, Any]:
    return {"piiDataRemoved": True, **dict.fromkeys(_PEOPLE, text), "deliveryAddress.email": email}


_NONE = "0001-01-01T00:00:00Z"
_WRITTEN, _COUNTRY = frozenset({"written_differently"}), frozenset({"country_not_coded"})
ODDITIES = {
    "no order date": Oddity({"orderDate": _NONE, "created": _NONE}, hides=frozenset({"not_shipped", "exported_before_ordered"})),
    "no cancel request": Oddity({"cancelRequestedAt": _NONE}),
    "no expected day": Oddity({f"{_SHIPMENT}.expectedDeliveryDate": "1970-01-01T00:00:00Z"}),
    "no pick-up": Oddity({f"{_SHIPMENT}.carrierPickUpDate": "1970-01-01T01:00:00+01:00"}),
    "no window": Oddity({f"{_SHIPMENT}.deliveryWindow{which}Time": _NONE for which in ("Start", "End")}),
    "no last days": Oddity({"latestDeliveryDate": "0001-01-01", "latestShipDate": "1900-01-01"}, hides=frozenset({"shipping_overdue"})),
    "no first days": Oddity({"earliestDeliveryDate": "9999-12-31", "earliestShipDate": "9999-12-31"}),
    "no expiry": Oddity({f"{_SHIPMENT}.positions.0.expirationDate": "9999-12-31T00:00:00Z"}),
    "expected on a day": Oddity({f"{_SHIPMENT}.expectedDeliveryDate": "2026-09-04T00:00:00Z"}),
    "expected on a bare day": Oddity({f"{_SHIPMENT}.expectedDeliveryDate": "2026-09-04"}),
    "a day as window": Oddity({f"{_SHIPMENT}.deliveryWindow{which}Time": "2026-09-04" for which in ("Start", "End")}),
    "until midnight": Oddity({f"{_SHIPMENT}.deliveryWindowEndTime": "2026-09-05T00:00:00Z"}),
    "shipped on a day": Oddity({f"{_SHIPMENT}.shipDate": "2026-09-02"}, hides=frozenset({"completed_before_shipped", "shipped_before_planned", "shipped_after_cancel_request"})),
    "picked up on a day": Oddity({f"{_SHIPMENT}.carrierPickUpDate": "2026-09-04"}),
    "delivered on a day": Oddity({f"{_SHIPMENT}.deliveryDate": "2026-09-04T00:00:00Z"}, hides=frozenset({"delivered_before_pickup", "delivered_before_shipped", "pod_before_delivery", "outside_window"})),
    "proven on a day": Oddity({f"{_SHIPMENT}.podDate": "2026-09-04"}),
    "planned on a day": Oddity({"fulfillmentOrders.0.fulfillmentOrderCreated": "2026-09-01"}, hides=frozenset({"picked_up_before_planned"})),
    "exported on a day": Oddity({"exportedAt": "2026-09-01"}, hides=frozenset({"planned_before_exported"})),
    "completed on a day": Oddity({"completedAt": "2026-09-02"}),
    "good until the day": Oddity(
        {f"{_SHIPMENT}.positions.0.expirationDate": "2026-09-02T00:00:00Z"}, frozenset({"expiring_lot_shipped"})
    ),
    "lot in small letters": Oddity({"positions.0.lot": " lot-a\u200b"}, _WRITTEN),
    "no lot": Oddity({"positions.0.lot": "N/A"}),
    "no serial": Oddity(_serials("N/A", "n/a"), hides=frozenset({"serials_differ"})),
    "no tracking number": Oddity({
        **{f"{_SHIPMENT}.{name}": "-" for name in ("trackingNumber", "trackingLink")}, f"{_SHIPMENT}.isUntracked": True,
        f"{_SHIPMENT}.trackingNumbers": ["0000"], f"{_SHIPMENT}.trackingLinks": [],
    }, frozenset({"link_without_number"})),
    "blank country": Oddity({"deliveryAddress.country": " \u00a0"}),
    "name of a country": Oddity({"invoiceAddress.country": "Austria"}, _COUNTRY),
    "country in its language": Oddity({"invoiceAddress.country": "O\u0308sterreich"}, _COUNTRY),
    "three letters": Oddity({"invoiceAddress.country": "AUT"}, _COUNTRY),
    "UK": Oddity({"deliveryAddress.country": "UK"}, _COUNTRY),
    "fewer than none": Oddity({"positions.2": _line("R", -1, 10.0)}),
    "none": Oddity({"positions.2": _line("N", 0, 10.0)}),
    "discount": Oddity({"positions.2": _line("DISCOUNT", 1, -5.0)}),
    "gift card": Oddity({"positions.2": _line("gift-50", 1, 50.0)}),
    "fee": Oddity({"positions.2": _line("SHIPPING", 1, 4.9)}),
    "pack": Oddity(_pack_of_six(), hides=frozenset({"too_light", "too_heavy"})),
    "exact net": Oddity(
        {f"positions.1.{name}": price for name, price in zip(_PRICES, (9.9917, 9.99, 9.99, 9.99), strict=True)}
    ),
    "no gross": Oddity({"positions.1.unitGrossPrice": 0, "positions.1.totalGrossAmount": 0}),
    "rebate": Oddity(
        {"positions.1.totalNetAmount": 9.0, "positions.1.totalGrossAmount": 10.8}, frozenset({"line_discount"})
    ),
    "not weighed": Oddity({f"{_SHIPMENT}.grossWeight": 0}),
    "pallets not counted": Oddity({f"{_SHIPMENT}.numberOfPallets": 0}),
    "parcels not counted": Oddity({f"{_SHIPMENT}.numberOfParcels": 0}),
    "returned": Oddity({"fulfillmentOrders.0.shipments.1": {
        "shipDate": "2026-09-06T08:00:00Z", "isUntracked": True, "reversed": False,
        "positions": [{"sku": "B", "warehouseSku": "W-B", "sellerSku": "B", "quantity": -1, "positionIdentifier": "L1"}],
    }}, frozenset({"goods_returned"}), hides=frozenset({
        "shipped_not_packed", "unpacked_line", "pallets_differ", "parcels_differ", "sscc_missing", "not_completed",
    })),
    "masked": Oddity(_masked("***", "x***@mail.com")),
    "masked by words": Oddity(_masked("Anonymized", "deleted@deleted.invalid")),
    "masked by xxx": Oddity(_masked("xxx", "-")),
}  # fmt: skip


def is_apart(changes: Mapping[str, Any], others: Iterable[str]) -> bool:
    """Whether no path of the changes is, or lies within, one of the others, or the other way round."""
    return not any(f"{a}.".startswith(f"{b}.") or f"{b}.".startswith(f"{a}.") for a in changes for b in others)


def own_unit(order_id: int, dice: random.Random) -> Oddity:
    """The SSCC of an order, with a check digit of our own arithmetic; sometimes with its application identifier."""
    number = f"34012345{order_id:09}"
    check = -sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(number)) % 10
    sscc = f"{number}{check}"
    changes: dict[str, Any] = dict.fromkeys(OTHER_UNIT, sscc)
    if dice.random() < 0.1:
        changes["handlingUnits.0.sscc"] = dice.choice(["00", "(00)", "(00) "]) + sscc
        return Oddity(changes, _WRITTEN)
    if dice.random() < 0.1:
        return Oddity(dict.fromkeys(OTHER_UNIT, "0" * 18) | {"ssccLabel": False}, hides=frozenset({
            "unpacked_line", "shipped_not_packed", "sscc_missing", "sscc_twice", "pallets_differ", "parcels_differ",
        }))  # fmt: skip
    return Oddity(changes)


def draw_oddities(
    order_id: int, dice: random.Random, fault: Mapping[str, Any] | None = None, check: str = ""
) -> Oddity:
    """An SSCC and up to four oddities that leave a fault as it is, together."""
    changes = dict(fault or {})
    told: frozenset[str] = frozenset()
    for oddity in (own_unit(order_id, dice), *dice.sample(list(ODDITIES.values()), dice.randint(0, 4))):
        if check not in oddity.hides and is_apart(oddity.changes, changes):
            changes |= oddity.changes
            told |= oddity.told
    # What is taken away comes last: places in lists are those of the fair order.
    in_turn = sorted(changes.items(), key=lambda change: change[1] is GONE)
    return Oddity(dict(in_turn), told)
