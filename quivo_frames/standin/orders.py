"""Orders that look like trade, the same bytes from the same id and seed on every machine.

An order's life is drawn at once; a visit shows it as far as it has come, and a later visit may show more of it, never
anything else ordered. About one order in twenty has something wrong on purpose, for an audit to find. What may be
missing is missing, null or empty, order by order, and some orders lack a few fields altogether.
A bundle is a position of its own, never shipped itself; its parts name its SKU in `bundledBy` (order) and `bundleSku`
(fulfillment order). That reading, and every status but PROCESSING and PENDING, is invented: none is documented.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from quivo_frames.standin import world
from quivo_frames.standin.fulfillment import Ordered, fulfill
from quivo_frames.standin.order_state import DAY, Life, Record, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_ID = 100001
LAST_VISIT = 5  # after so many refetches an order changes no more
_SET_SIZE = 3


def order(order_id: int, seed: int = 0, visit: int = 0) -> Record:
    """The order as decoded JSON; bytes as in `order_json`, which alone keep the text of free-form numbers."""
    decoded: Record = msgspec.json.decode(order_json(order_id, seed, visit))
    return decoded


def order_json(order_id: int, seed: int = 0, visit: int = 0) -> bytes:
    """The answer to the refetch of the order after `visit` earlier ones: compact UTF-8 JSON."""
    return msgspec.json.encode(_order(Life(order_id, seed, min(visit, LAST_VISIT))))


def lines(count: int, seed: int = 0, first_id: int = FIRST_ID, broken_every: int | None = None) -> Iterator[bytes]:
    """NDJSON lines of `count` orders; each `broken_every`-th is cut off in the middle."""
    for number in range(count):
        body = order_json(first_id + number, seed)
        if broken_every and (number + 1) % broken_every == 0:
            body = body[: len(body) // 2]
        yield body + b"\n"


def write_ndjson(
    path: str | Path, count: int, seed: int = 0, *, first_id: int = FIRST_ID, broken_every: int | None = None
) -> None:
    """Writes `count` orders to `path`, one a line; each `broken_every`-th line is cut off."""
    with Path(path).open("wb") as file:
        file.writelines(lines(count, seed, first_id, broken_every))


def _order(life: Life) -> Record:
    """The whole order, keys as documented."""
    dice, seller = life.dice, life.seller
    ordered, positions, gross = _positions(life)
    dated = life.bulk or dice.chance(0.35)
    cod = dice.chance(0.04) or life.flaw == "cash"
    shipping = world.SHIPPING[3] if life.bulk else world.SHIPPING[dice.upto(3)]
    delivery = _delivery_address(life)
    invoice = _address(life) if dice.chance(0.8) else None
    errors = [_error(life)] if life.stuck or dice.chance(0.01) else None
    order = {
        "orderId": life.id,
        "created": life.at(life.times[0]),
        "lastModified": life.at(max(life.times[life.stage], life.asked_to_cancel or 0)),
        "orderIdentifier": f"{seller.prefix}{life.id}",
        "orderReference": f"#{life.id % 100000}" if dice.chance(0.8) else None,
        "orderStatus": None,
        "orderDate": life.at(life.ordered),
        "exportedAt": life.when(Stage.EXPORTED, life.stage),
        "cancelRequestedAt": life.at(life.asked_to_cancel) if life.asked_to_cancel else None,
        "completedAt": life.when(Stage.PROVED, life.stage),
        "customerIdentifier": f"C-{life.id * 7919 % 99991}" if life.personal and dice.chance(0.7) else None,
        "customerPurchaseOrderNumber": f"PO {life.id % 9973}/{dice.upto(90)}" if life.bulk else None,
        "ssccLabel": life.bulk,
        "sellerId": seller.seller_id,
        "warehouseId": seller.warehouse,
        "sellerName": seller.name,
        "shopAvailableAt": life.at(life.ordered) if dice.chance(0.5) else None,
        "shopActive": not dice.chance(0.02),
        "shopId": seller.shop_id,
        "shopSystem": seller.shop_system,
        "shopSystemName": seller.shop_name or None,
        "deliveryAddress": delivery,
        "invoiceAddress": invoice,
        "currency": life.place.currency,
        "positions": positions or None,
        "fulfillmentOrders": None,
        "handlingUnits": None,
        "earliestDeliveryDate": life.day(life.ordered + 2 * DAY) if dated else None,
        "latestDeliveryDate": life.day(life.ordered + 6 * DAY) if dated else None,
        "comment": dice.pick(world.COMMENTS) if life.personal and dice.chance(0.2) else None,
        "transportInsuranceAmount": gross / 100 if dice.chance(0.06) else None,
        "cashOnDeliveryAmount": gross / 100 if cod else None,
        "cashOnDeliveryCurrency": life.place.currency if cod and life.flaw != "cash" else None,
        "deliveryInstruction": dice.pick(world.INSTRUCTIONS) if life.personal and dice.chance(0.15) else None,
        "shippingMethodIdentifier": shipping[0],
        "shippingMethodName": shipping[1],
        "tags": dice.pick(world.TAGS) if dice.chance(0.25) else None,
        "earliestShipDate": life.day(life.ordered) if dated else None,
        "latestShipDate": life.day(life.ordered + 3 * DAY) if dated else None,
        "piiDataRemoved": life.removed,
        "paymentType": dice.pick(world.PAYMENTS) if dice.chance(0.9) else None,
        "trackingEnabled": not dice.chance(0.1),
        "orderPriority": dice.upto(4) if dice.chance(0.5) else None,
        "fulfillmentConfirmed": life.stage >= Stage.EXPORTED if dice.chance(0.8) else None,
        "entityErrors": errors,
        "customAttributes": dice.pick(world.ATTRIBUTES) if dice.chance(0.4) else None,
    }
    fulfilled = fulfill(life, ordered)  # last, as its draws grow with the visits
    order["orderStatus"] = _status(life, waiting=fulfilled.waiting)
    order["fulfillmentOrders"] = fulfilled.orders or None
    order["handlingUnits"] = fulfilled.units or None
    return life.tell(order)


def _status(life: Life, *, waiting: bool) -> str:
    if life.called_off:
        return "CANCELLED"
    if waiting:
        return "PARTIALLY_SHIPPED"
    return "ERROR" if life.stuck else world.ORDER_STATUS[life.stage]


def _error(life: Life) -> Record:
    code, text = life.dice.pick(world.ERRORS)
    return life.tell({"errorCode": code, "errorMessage": text and text.format(life.seller.prefix)})


def _address(life: Life) -> Record:
    dice, place, personal = life.dice, life.place, life.personal
    name = dice.pick(place.names)
    return life.tell({
        "name1": name if personal else None,
        "name2": "z. Hd. Einkauf" if personal and life.bulk else None,
        "company": dice.pick(world.COMPANIES) if life.bulk or dice.chance(0.08) else None,
        "address1": place.street.format(1 + dice.upto(180)) if personal else None,
        "address2": "c/o Empfang" if personal and dice.chance(0.06) else None,
        "address3": "2. OG" if personal and dice.chance(0.02) else None,
        "zip": place.postcode,
        "city": place.city,
        "state": place.state,
        "country": {"GB": "UK"}.get(place.country, "EU") if life.flaw == "country" else place.country,
        "phone": f"{place.phone}{dice.upto(1000):03d}" if personal and dice.chance(0.6) else None,
        "email": f"customer{life.id}@mail.example" if personal and dice.chance(0.85) else None,
    })  # fmt: skip


def _delivery_address(life: Life) -> Record:
    dice, place = life.dice, life.place
    located = life.personal and dice.chance(0.3)
    known = [dice.pick(world.IDENTIFIERS) for _ in range(1 + dice.upto(2))] if dice.chance(0.1) else ()
    return _address(life) | life.tell({
        "addressIdentifier": f"ADR-{life.id % 997}" if life.bulk else None,
        "additionalIdentifiers": [life.tell({"identifier": text, "type": kind}) for text, kind in known] or None,
        "latitude": round(place.latitude + dice.upto(1000) / 1e5, 6) if located else None,
        "longitude": round(place.longitude + dice.upto(1000) / 1e5, 6) if located else None,
    })  # fmt: skip


def _positions(life: Life) -> tuple[list[Ordered], list[Record], int]:
    """The lines to ship, the positions as told, and the gross total in cents."""
    dice, goods = life.dice, world.articles(life.seller)
    count = _count(life)
    start, bundled = dice.upto(len(goods)), count > 1 and not life.bulk and dice.chance(0.15)
    ordered: list[Ordered] = []
    told: list[Record] = []
    total = 0
    head: Ordered | None = None
    for place in range(count):
        line = _line(life, place, goods[(start + place) % len(goods)], head if place <= _SET_SIZE else None)
        if bundled and place == 0:
            article = line.article._replace(sku=f"SET-{line.article.sku}", name=f"Set: {line.article.name}")
            head = line = line._replace(article=article, lot=None, expires=None)
        else:
            ordered.append(line)
        cents = 0 if line.bundle else line.article.cents // _step(life) * _step(life)
        total += _gross(life, cents) * line.quantity
        told.append(_position(life, line, place, cents))
    return ordered, told, total


def _count(life: Life) -> int:
    share = life.dice.random()
    if life.bulk:
        return 5 + int(share * 10)
    if share < 0.45:
        return int(share > 0.003)
    return 2 + int((share - 0.45) ** 2 * 25)


def _line(life: Life, place: int, article: world.Article, head: Ordered | None) -> Ordered:
    """An ordered line; a part of the bundle `head` if there is one."""
    dice = life.dice
    if life.bulk:
        quantity = 1 + dice.upto(8 if life.seller.serials else 60)
    else:
        quantity = 1 if dice.chance(0.72) else 2 + dice.upto(3)
    if head:
        quantity = head.quantity * (1 + quantity % 2)
    lot = life.lot(article) if life.seller.lots and dice.chance(0.1) else (None, None)
    return Ordered(f"L{life.id}{place:02d}", article, quantity, head.article.sku if head else None, *lot)


def _step(life: Life) -> int:
    """Cents of the smallest coin."""
    return 100 if life.place.currency == "JPY" else 1


def _gross(life: Life, cents: int) -> int:
    step = _step(life)
    return (cents // step * (100 + life.place.tax) + 50) // 100 * step


def _position(life: Life, line: Ordered, place: int, cents: int) -> Record:
    dice, article, quantity = life.dice, line.article, line.quantity
    slip = 1 if life.flaw == "cent" and place == 0 else 0
    return life.tell({
        "positionId": life.stem * 100 + place,
        "positionIdentifier": line.identifier,
        "name": article.name,
        "sku": article.sku,
        "customAttributes": dice.pick(world.ATTRIBUTES) if dice.chance(0.3) else None,
        "productIdentifier": f"{8000 + article.number // 3}",
        "variantIdentifier": f"{8000 + article.number // 3}-{article.number % 3}" if dice.chance(0.8) else None,
        "quantity": quantity,
        "lot": line.lot,
        "location": "A-PICK" if dice.chance(0.03) else None,
        "bundledBy": line.bundle,
        "unitWeight": article.grams / 1000,
        "unitNetPrice": cents / 100,
        "unitGrossPrice": _gross(life, cents) / 100,
        "totalWeight": article.grams * quantity / 1000,
        "totalNetAmount": (cents * quantity + slip) / 100,
        "totalGrossAmount": _gross(life, cents) * quantity / 100,
        "expirationDate": line.expires,
    })  # fmt: skip


def main() -> None:
    """Writes NDJSON to standard output."""
    parser = argparse.ArgumentParser("python -m quivo_frames.standin.orders", description="Invented orders as NDJSON.")
    parser.add_argument("count", type=int, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first-id", type=int, default=FIRST_ID)
    parser.add_argument("--broken-every", type=int, metavar="K", help="cut off one line in K")
    given = parser.parse_args()
    sys.stdout.buffer.writelines(lines(given.count, given.seed, given.first_id, given.broken_every))


if __name__ == "__main__":
    main()
