"""Invented orders: the same id and seed give the same bytes on every machine.

    python -m quivo_frames.standin.orders 12 --seed 7     # NDJSON on standard output

Everything about an order is drawn at once. A visit shows it up to the stage it has reached; a later visit may show a
later stage, but what was ordered stays the same. About one order in twenty has a flaw on purpose, for an audit to find.
Optional values are missing, null or empty, in one way for each order, and some orders lack a few fields altogether.
A bundle is a position of its own that is never shipped; its parts name its SKU in `bundledBy` (order) and `bundleSku`
(fulfillment order). This reading, and every status but PROCESSING and PENDING, is invented: none is documented.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from quivo_frames.standin import world
from quivo_frames.standin.fulfillment import OrderedLine, fulfill_order
from quivo_frames.standin.order_state import DAY, OrderState, Record, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_ID = 100001
LAST_VISIT = 5  # an order no longer changes after this many refetches
_BUNDLE_SIZE = 3


def order_json(order_id: int, seed: int = 0, visit: int = 0) -> bytes:
    """The order as a refetch after `visit` earlier ones answers it: compact UTF-8 JSON."""
    return msgspec.json.encode(_make_order(OrderState(order_id, seed, min(visit, LAST_VISIT))))


def ndjson_lines(
    count: int, seed: int = 0, first_id: int = FIRST_ID, broken_every: int | None = None
) -> Iterator[bytes]:
    """NDJSON lines of `count` orders; every `broken_every`-th line is cut off in the middle."""
    for number in range(count):
        body = order_json(first_id + number, seed)
        if broken_every and (number + 1) % broken_every == 0:
            body = body[: len(body) // 2]
        yield body + b"\n"


def write_ndjson(
    path: str | Path, count: int, seed: int = 0, *, first_id: int = FIRST_ID, broken_every: int | None = None
) -> None:
    """Write `count` orders to `path`, one per line; every `broken_every`-th line is cut off in the middle."""
    with Path(path).open("wb") as file:
        file.writelines(ndjson_lines(count, seed, first_id, broken_every))


def _make_order(state: OrderState) -> Record:
    """The whole order with the documented keys in their documented order."""
    ordered, positions, gross = _make_positions(state)
    is_dated = state.is_bulk or state.dice.chance(0.35)
    has_cod = state.dice.chance(0.04) or state.flaw == "cash"
    shipping = world.SHIPPING[3] if state.is_bulk else world.SHIPPING[state.dice.draw_below(3)]
    addresses = {
        "deliveryAddress": _make_delivery_address(state),
        "invoiceAddress": _make_address(state) if state.dice.chance(0.8) else None,
    }
    errors = [_make_error(state)] if state.is_stuck or state.dice.chance(0.01) else None
    order = {
        **_make_identity(state),
        **addresses,
        "currency": state.destination.currency,
        "positions": positions or None,
        "fulfillmentOrders": None,
        "handlingUnits": None,
        **_make_terms(state, gross, shipping, is_dated=is_dated, has_cod=has_cod),
        "entityErrors": errors,
        "customAttributes": state.dice.pick_one(world.ORDER_ATTRIBUTES) if state.dice.chance(0.4) else None,
    }
    fulfilled = fulfill_order(state, ordered)  # last, because a later visit makes more draws
    order["orderStatus"] = _order_status(state, waiting=fulfilled.waiting)
    order["fulfillmentOrders"] = fulfilled.orders or None
    order["handlingUnits"] = fulfilled.units or None
    return state.write_blanks(order)


def _make_identity(state: OrderState) -> Record:
    """Ids, times, seller and shop of the order."""
    dice, seller = state.dice, state.seller
    return {
        "orderId": state.order_id,
        "created": state.format_instant(state.times[0]),
        "lastModified": state.format_instant(max(state.times[state.stage], state.cancel_requested_at or 0)),
        "orderIdentifier": f"{seller.prefix}{state.order_id}",
        "orderReference": f"#{state.order_id % 100000}" if dice.chance(0.8) else None,
        "orderStatus": None,
        "orderDate": state.format_instant(state.ordered_at),
        "exportedAt": state.stage_instant(Stage.EXPORTED, state.stage),
        "cancelRequestedAt": state.format_instant(state.cancel_requested_at) if state.cancel_requested_at else None,
        "completedAt": state.stage_instant(Stage.PROVED, state.stage),
        "customerIdentifier": f"C-{state.order_id * 7919 % 99991}" if state.shows_person and dice.chance(0.7) else None,
        "customerPurchaseOrderNumber": f"PO {state.order_id % 9973}/{dice.draw_below(90)}" if state.is_bulk else None,
        "ssccLabel": state.is_bulk,
        "sellerId": seller.seller_id,
        "warehouseId": seller.warehouse,
        "sellerName": seller.name,
        "shopAvailableAt": state.format_instant(state.ordered_at) if dice.chance(0.5) else None,
        "shopActive": not dice.chance(0.02),
        "shopId": seller.shop_id,
        "shopSystem": seller.shop_system,
        "shopSystemName": seller.shop_name or None,
    }


def _make_terms(state: OrderState, gross: int, shipping: tuple[str, str], *, is_dated: bool, has_cod: bool) -> Record:
    """Dates, instructions, amounts, shipping method and flags of the order; `gross` is in cents."""
    dice = state.dice
    return {
        "earliestDeliveryDate": state.format_date(state.ordered_at + 2 * DAY) if is_dated else None,
        "latestDeliveryDate": state.format_date(state.ordered_at + 6 * DAY) if is_dated else None,
        "comment": dice.pick_one(world.COMMENTS) if state.shows_person and dice.chance(0.2) else None,
        "transportInsuranceAmount": gross / 100 if dice.chance(0.06) else None,
        "cashOnDeliveryAmount": gross / 100 if has_cod else None,
        "cashOnDeliveryCurrency": state.destination.currency if has_cod and state.flaw != "cash" else None,
        "deliveryInstruction": dice.pick_one(world.INSTRUCTIONS) if state.shows_person and dice.chance(0.15) else None,
        "shippingMethodIdentifier": shipping[0],
        "shippingMethodName": shipping[1],
        "tags": dice.pick_one(world.TAGS) if dice.chance(0.25) else None,
        "earliestShipDate": state.format_date(state.ordered_at) if is_dated else None,
        "latestShipDate": state.format_date(state.ordered_at + 3 * DAY) if is_dated else None,
        "piiDataRemoved": state.is_anonymised,
        "paymentType": dice.pick_one(world.PAYMENTS) if dice.chance(0.9) else None,
        "trackingEnabled": not dice.chance(0.1),
        "orderPriority": dice.draw_below(4) if dice.chance(0.5) else None,
        "fulfillmentConfirmed": state.stage >= Stage.EXPORTED if dice.chance(0.8) else None,
    }


def _order_status(state: OrderState, *, waiting: bool) -> str:
    if state.is_cancelled:
        return "CANCELLED"
    if waiting:
        return "PARTIALLY_SHIPPED"
    return "ERROR" if state.is_stuck else world.ORDER_STATUS[state.stage]


def _make_error(state: OrderState) -> Record:
    code, text = state.dice.pick_one(world.ERRORS)
    return state.write_blanks({"errorCode": code, "errorMessage": text and text.format(state.seller.prefix)})


def _make_address(state: OrderState) -> Record:
    dice, place, personal = state.dice, state.destination, state.shows_person
    name = dice.pick_one(place.names)
    return state.write_blanks({
        "name1": name if personal else None,
        "name2": "z. Hd. Einkauf" if personal and state.is_bulk else None,
        "company": dice.pick_one(world.COMPANIES) if state.is_bulk or dice.chance(0.08) else None,
        "address1": place.street.format(1 + dice.draw_below(180)) if personal else None,
        "address2": "c/o Empfang" if personal and dice.chance(0.06) else None,
        "address3": "2. OG" if personal and dice.chance(0.02) else None,
        "zip": place.postcode,
        "city": place.city,
        "state": place.state,
        "country": {"GB": "UK"}.get(place.country, "EU") if state.flaw == "country" else place.country,
        "phone": f"{place.phone}{dice.draw_below(1000):03d}" if personal and dice.chance(0.6) else None,
        "email": f"customer{state.order_id}@mail.example" if personal and dice.chance(0.85) else None,
    })  # fmt: skip


def _make_delivery_address(state: OrderState) -> Record:
    dice, place = state.dice, state.destination
    located = state.shows_person and dice.chance(0.3)
    known = [dice.pick_one(world.IDENTIFIERS) for _ in range(1 + dice.draw_below(2))] if dice.chance(0.1) else ()
    return _make_address(state) | state.write_blanks({
        "addressIdentifier": f"ADR-{state.order_id % 997}" if state.is_bulk else None,
        "additionalIdentifiers": [
            state.write_blanks({"identifier": text, "type": kind}) for text, kind in known
        ] or None,
        "latitude": round(place.latitude + dice.draw_below(1000) / 1e5, 6) if located else None,
        "longitude": round(place.longitude + dice.draw_below(1000) / 1e5, 6) if located else None,
    })  # fmt: skip


def _make_positions(state: OrderState) -> tuple[list[OrderedLine], list[Record], int]:
    """The lines to ship, `positions`, and the gross total in cents."""
    dice, goods = state.dice, world.seller_articles(state.seller)
    count = _draw_line_count(state)
    start, bundled = dice.draw_below(len(goods)), count > 1 and not state.is_bulk and dice.chance(0.15)
    ordered: list[OrderedLine] = []
    positions: list[Record] = []
    total = 0
    head: OrderedLine | None = None
    for place in range(count):
        line = _draw_line(state, place, goods[(start + place) % len(goods)], head if place <= _BUNDLE_SIZE else None)
        if bundled and place == 0:
            article = line.article._replace(sku=f"SET-{line.article.sku}", name=f"Set: {line.article.name}")
            head = line = line._replace(article=article, lot=None, expires=None)
        else:
            ordered.append(line)
        cents = 0 if line.bundle else line.article.cents // _smallest_coin(state) * _smallest_coin(state)
        total += _gross_cents(state, cents) * line.quantity
        positions.append(_make_position(state, line, place, cents))
    return ordered, positions, total


def _draw_line_count(state: OrderState) -> int:
    share = state.dice.random()
    if state.is_bulk:
        return 5 + int(share * 10)
    if share < 0.45:
        return int(share > 0.003)
    return 2 + int((share - 0.45) ** 2 * 25)


def _draw_line(state: OrderState, place: int, article: world.Article, head: OrderedLine | None) -> OrderedLine:
    """An ordered line; part of the bundle `head` if there is one."""
    dice = state.dice
    if state.is_bulk:
        quantity = 1 + dice.draw_below(8 if state.seller.serials else 60)
    else:
        quantity = 1 if dice.chance(0.72) else 2 + dice.draw_below(3)
    if head:
        quantity = head.quantity * (1 + quantity % 2)
    lot = state.draw_lot(article) if state.seller.lots and dice.chance(0.1) else (None, None)
    return OrderedLine(f"L{state.order_id}{place:02d}", article, quantity, head.article.sku if head else None, *lot)


def _smallest_coin(state: OrderState) -> int:
    """The smallest coin of the currency, in cents."""
    return 100 if state.destination.currency == "JPY" else 1


def _gross_cents(state: OrderState, cents: int) -> int:
    step = _smallest_coin(state)
    return (cents // step * (100 + state.destination.tax) + 50) // 100 * step


def _make_position(state: OrderState, line: OrderedLine, place: int, cents: int) -> Record:
    dice, article, quantity = state.dice, line.article, line.quantity
    slip = 1 if state.flaw == "cent" and place == 0 else 0
    return state.write_blanks({
        "positionId": state.id_stem * 100 + place,
        "positionIdentifier": line.identifier,
        "name": article.name,
        "sku": article.sku,
        "customAttributes": dice.pick_one(world.POSITION_ATTRIBUTES) if dice.chance(0.3) else None,
        "productIdentifier": f"{8000 + article.number // 3}",
        "variantIdentifier": f"{8000 + article.number // 3}-{article.number % 3}" if dice.chance(0.8) else None,
        "quantity": quantity,
        "lot": line.lot,
        "location": "A-PICK" if dice.chance(0.03) else None,
        "bundledBy": line.bundle,
        "unitWeight": article.grams / 1000,
        "unitNetPrice": cents / 100,
        "unitGrossPrice": _gross_cents(state, cents) / 100,
        "totalWeight": article.grams * quantity / 1000,
        "totalNetAmount": (cents * quantity + slip) / 100,
        "totalGrossAmount": _gross_cents(state, cents) * quantity / 100,
        "expirationDate": line.expires,
    })  # fmt: skip


def main() -> None:
    """Write NDJSON to standard output: the command `python -m quivo_frames.standin.orders`."""
    parser = argparse.ArgumentParser(
        "python -m quivo_frames.standin.orders", description="Print invented orders as NDJSON."
    )
    parser.add_argument("count", type=int, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first-id", type=int, default=FIRST_ID)
    parser.add_argument("--broken-every", type=int, metavar="K", help="cut off every K-th line")
    given = parser.parse_args()
    sys.stdout.buffer.writelines(ndjson_lines(given.count, given.seed, given.first_id, given.broken_every))


if __name__ == "__main__":
    main()
