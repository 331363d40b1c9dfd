"""How an order is fulfilled: its fulfillment orders, their shipments, and the handling units they are packed in.

Draws come in an order that a later visit repeats: first every fulfillment order, then the shipments that have left;
those still waiting are always the last.
"""

from __future__ import annotations

from typing import NamedTuple

from quivo_frames.standin import world
from quivo_frames.standin.order_state import DAY, HOUR, Life, Record, Stage


class Ordered(NamedTuple):
    """One line to ship; `bundle` is the SKU of the bundle that it is a part of."""

    identifier: str
    article: world.Article
    quantity: int
    bundle: str | None
    lot: str | None
    expires: str | None
    instead: world.Article | None = None

    @property
    def goods(self) -> world.Article:
        """What is shipped for it."""
        return self.instead or self.article

    @property
    def warehouse_sku(self) -> str:
        """What the warehouse calls it."""
        return f"W{self.goods.number:03d}.{self.goods.sku}"


class Fulfillment(NamedTuple):
    """The lists of the order, and whether something waits while the rest has left."""

    orders: list[Record]
    units: list[Record]
    waiting: bool


class _Row(NamedTuple):
    """So many of a line, from one lot."""

    line: Ordered
    quantity: int
    lot: str | None
    expires: str | None


Lines = list[tuple[Ordered, int]]


def fulfill(life: Life, ordered: list[Ordered]) -> Fulfillment:
    """Everything that the warehouses did with the ordered lines, as far as the life has come."""
    if life.stage == Stage.NEW:
        return Fulfillment([], [], waiting=False)
    if life.flaw == "substitute" and ordered and not ordered[0].bundle:
        goods = world.articles(life.seller)
        ordered = [ordered[0]._replace(instead=goods[ordered[0].article.number - 1]), *ordered[1:]]
    parts = _split(life, ordered)
    lags = [int(life.behind and 0 < place == len(parts) - 1) for place in range(len(parts))]
    orders = [_fulfillment_order(life, place, lines, lags[place]) for place, lines in enumerate(parts)]
    units: list[Record] = []
    waiting = False
    for place, lines in enumerate(parts):
        shipments: list[Record] = []
        for lag, reversed_, content in _loads(life, place, lines, lags[place], alone=len(parts) == 1):
            if life.stage - lag >= Stage.SHIPPED:
                shipment, packed = _shipment(life, content, lag, reversed_=reversed_)
                shipments.append(shipment)
                units += packed
            else:
                waiting = life.stage == Stage.SHIPPED
        orders[place]["shipments"] = shipments or None
    return Fulfillment([life.tell(told) for told in orders], units, waiting)


def _split(life: Life, ordered: list[Ordered]) -> list[Lines]:
    """The lines by warehouse: mostly one; else each in turn, and some quantities divided."""
    dice = life.dice
    count = 1
    if len(ordered) > 1 and dice.chance(0.17):
        count = 3 if len(ordered) > 2 and dice.chance(0.25) else 2
    parts: list[Lines] = [[] for _ in range(count)]
    for place, line in enumerate(ordered):
        rest = line.quantity // 2 if count > 1 and dice.chance(0.3) else 0
        parts[place % count].append((line, line.quantity - rest))
        if rest:
            parts[(place + 1) % count].append((line, rest))
    if life.flaw == "unplanned" and parts[0]:
        line, quantity = parts[0][0]
        parts[0][0] = (line, quantity + 1)
    return parts if ordered else []


def _fulfillment_order(life: Life, place: int, lines: Lines, lag: int) -> Record:
    dice = life.dice
    warehouses = (life.seller.warehouse, *(number for number in world.WAREHOUSES if number != life.seller.warehouse))
    number, stage = life.number(), max(life.stage - lag, Stage.NEW)
    in_stock = not life.stuck and not dice.chance(0.01)
    return {
        "warehouseId": warehouses[place],
        "warehouseName": world.WAREHOUSES[warehouses[place]],
        "fulfillmentOrderId": number,
        "fulfillmentOrderIdentifier": f"FO-{number}",
        "fulfillmentStatus": "CANCELLED" if life.called_off else world.FULFILLMENT_STATUS[stage],
        "fulfillmentConnectorStatus": world.CONNECTOR_STATUS[stage] if dice.chance(0.9) else None,
        "fulfillmentInStock": in_stock,
        "cancelled": life.called_off,
        "positions": [_fulfillment_position(life, line, quantity) for line, quantity in lines] or None,
        "shipments": None,
        "fulfillmentOrderCreated": life.when(Stage.EXPORTED, life.stage),
        "inPicking": stage == Stage.PICKING,
    }


def _fulfillment_position(life: Life, line: Ordered, quantity: int) -> Record:
    dice, article, number = life.dice, line.article, life.number()
    abroad = life.place.country not in {"DE", "AT", "PL", "DK", "FR"}
    return life.tell({
        "fulfillmentOrderPositionId": number,
        "orderedSku": line.bundle or article.sku,
        "sku": line.goods.sku,
        "warehouseSku": line.warehouse_sku,
        "quantity": quantity,
        "lot": line.lot,
        "location": f"R{dice.upto(40):02d}-{dice.upto(9)}" if dice.chance(0.6) else None,
        "customsValue": article.cents * quantity / 100 if abroad else None,
        "expirationDate": line.expires,
        "fulfillmentOrderPositionIdentifier": f"FP-{number}" if dice.chance(0.9) else None,
        "bundleSku": line.bundle,
    })  # fmt: skip


def _loads(life: Life, place: int, lines: Lines, lag: int, *, alone: bool) -> list[tuple[int, bool, Lines]]:
    """What leaves together: by how many stages later, whether it came back, and the lines."""
    dice = life.dice
    twice, comes_back = dice.chance(0.08), dice.chance(0.02)
    loads = [(lag, False, lines)]
    if alone and (twice or life.behind) and sum(quantity for _, quantity in lines) > 1:
        first, second = _halves(lines)
        loads = [(0, False, first), (int(life.behind), False, second)]
    if place == 0 and life.flaw in {"short", "over"}:
        loads[0] = (loads[0][0], False, _miscounted(loads[0][2], -1 if life.flaw == "short" else 1))
    if comes_back or life.flaw == "empty":
        loads.insert(0, (loads[0][0], True, loads[0][2]))
        loads[1:] = loads[1:] if life.flaw != "empty" else []  # all of it came back, and nothing left again
    return [load for load in loads if load[2]]


def _halves(lines: Lines) -> tuple[Lines, Lines]:
    if len(lines) > 1:
        return lines[::2], lines[1::2]
    line, quantity = lines[0]
    return [(line, quantity - quantity // 2)], [(line, quantity // 2)]


def _miscounted(lines: Lines, by: int) -> Lines:
    line, quantity = lines[0]
    return ([(line, quantity + by)] if quantity + by else []) + lines[1:]


def _shipment(life: Life, lines: Lines, lag: int, *, reversed_: bool) -> tuple[Record, list[Record]]:
    dice, number, stage = life.dice, life.number(), life.stage - lag
    carrier = dice.pick(world.FREIGHT_CARRIERS if life.bulk and dice.chance(0.8) else world.PARCEL_CARRIERS)
    untracked = dice.chance(0.05)
    count = 1 if untracked or dice.chance(0.85) else 2 + dice.upto(2)
    first = 77_000_000 if life.flaw == "same tracking" else number * 10
    numbers = None if untracked else [f"{carrier.tracking}{first + parcel}" for parcel in range(count)]
    if life.flaw == "untraced":
        numbers = None
    links = numbers and [f"https://track.example/{carrier.provider.lower()}/{text}" for text in numbers]
    labelled = life.bulk or dice.chance(0.06) or life.flaw in {"unpacked", "sscc"}
    sscc = life.sscc() if labelled else None
    expected = life.times[Stage.SHIPPED + lag] // DAY * DAY + 3 * DAY
    window = (life.times[Stage.SHIPPED + lag] + life.transit) // HOUR * HOUR - number % 7 * HOUR
    rows = [row for line, quantity in lines for row in _rows(life, line, quantity)]
    grouped = dice.chance(0.4)
    measured = dice.chance(0.6)
    grams = 150 + sum(line.goods.grams * quantity for line, quantity in lines)
    delivered = life.when(Stage.DELIVERED, stage, lag)
    if delivered and life.flaw == "backwards":
        delivered = life.at(life.times[Stage.SHIPPED + lag] - DAY)
    documents: list[Record] | None = [_document(life, number, place) for place in range(1 + dice.upto(2))]
    documents = documents if dice.chance(0.95 if carrier.proves else 0.05) else None
    told = [_shipped(life, row) for row in rows]
    packed = _packed(life, rows, sscc, carrier, numbers[0] if numbers else None) if sscc else []
    parcels = len(packed) or count
    if life.flaw == "unlabelled":
        sscc, packed = None, []
    return life.tell({
        "shipmentId": number,
        "shipmentIdentifier": f"SH-{number}",
        "provider": carrier.provider,
        "trackingLink": links[0] if links else None,
        "trackingLinks": links,
        "trackingNumber": numbers[0] if numbers else None,
        "trackingNumbers": numbers,
        "shipDate": life.at(life.times[Stage.SHIPPED + lag]),
        "isUntracked": untracked,
        "sscc": sscc,
        "predatedShipment": life.day(expected - 2 * DAY) if dice.chance(0.05) else None,
        "carrierPickUpDate": life.at(life.times[Stage.SHIPPED + lag] + HOUR) if life.bulk else None,
        "deliveryWindowStartTime": life.at(window) if life.bulk else None,
        "deliveryWindowEndTime": life.at(window + 6 * HOUR) if life.bulk else None,
        "providerName": carrier.name,
        "numberOfPallets": parcels if life.bulk else None,
        "numberOfParcels": None if life.bulk else parcels,
        "grossWeight": grams / (20_000 if life.flaw == "light" else 1000),
        "width": _dimension(life, 40) if measured else None,
        "length": _dimension(life, 60) if measured else None,
        "height": _dimension(life, 30) if measured else None,
        "positions": told or None,
        "reversed": reversed_,
        "bookedShipmentId": 5_000_000_000 + number if dice.chance(0.9) else None,
        "expectedDeliveryDate": life.at(expected + 17 * HOUR) if dice.chance(0.8) else None,
        "deliveryDate": None if reversed_ else delivered,
        "podDate": None if reversed_ or not documents else life.when(Stage.PROVED, stage, lag),
        "groupedPositions": _grouped(life, rows, told) if grouped else None,
        "podDocuments": None if reversed_ or stage < Stage.PROVED else documents,
    }), packed  # fmt: skip


def _dimension(life: Life, centimetres: int) -> Record:
    size = centimetres // 2 + life.dice.upto(centimetres)
    return life.tell({"value": size, "unit": "CM"} if life.centimetres else {"value": size / 100, "unit": "M"})


def _rows(life: Life, line: Ordered, quantity: int) -> list[_Row]:
    """The line from one lot or two."""
    if life.flaw == "expired":
        return [_Row(line, quantity, life.lot(line.goods)[0], life.at(life.times[Stage.SHIPPED] - 9 * DAY))]
    if line.lot:
        return [_Row(line, quantity, line.lot, line.expires)]
    rest = quantity // 2 if life.seller.lots and quantity > 1 and life.dice.chance(0.2) else 0
    rows = [_Row(line, quantity - rest, *life.lot(line.goods))]
    return [*rows, _Row(line, rest, *life.lot(line.goods))] if rest else rows


def _shipped(life: Life, row: _Row) -> Record:
    line, number = row.line, life.number()
    numbered = life.seller.serials and line.goods.number % 3 != 0 and row.quantity > (life.flaw == "serial")
    return life.tell({
        "shipmentPositionId": number,
        "sku": line.goods.sku,
        "warehouseSku": line.warehouse_sku,
        "sellerSku": line.goods.sku,
        "quantity": row.quantity,
        "lot": row.lot,
        "location": f"P{life.dice.upto(9)}" if life.dice.chance(0.2) else None,
        "expirationDate": row.expires,
        "serialNumbers": _serials(number, row.quantity - (life.flaw == "serial")) if numbered else None,
        "positionIdentifier": line.identifier,
    })  # fmt: skip


def _serials(number: int, count: int) -> list[str]:
    return [f"SN{number * 100 + piece:X}" for piece in range(count)]


def _grouped(life: Life, rows: list[_Row], told: list[Record]) -> list[Record]:
    """The shipped rows, one a SKU and lot."""
    groups: dict[tuple[str, str | None], list[tuple[_Row, Record]]] = {}
    for row, record in zip(rows, told, strict=True):
        groups.setdefault((row.line.warehouse_sku, row.lot), []).append((row, record))
    return [
        life.tell({
            "warehouseSku": sku,
            "sellerSku": group[0][0].line.goods.sku,
            "quantity": sum(row.quantity for row, _ in group),
            "lot": lot,
            "expirationDate": group[0][0].expires,
            "serialNumbers": [text for _, record in group for text in record.get("serialNumbers") or ()] or None,
        })
        for (sku, lot), group in groups.items()
    ]  # fmt: skip


def _document(life: Life, number: int, place: int) -> Record:
    kind, ending = (("application/pdf", "pdf"), ("image/jpeg", "jpg"))[place]
    key = f"pod/{number}/{place}.{ending}"
    link = f"https://documents.example/{key}?expires=900&signature=invented" if life.dice.chance(0.9) else None
    return life.tell({
        "fileName": f"Empfangsbestätigung {number}.{ending}" if place == 0 else f"Foto.{ending}",
        "fileKey": key,
        "url": life.tell({"link": link}) if link else None,
        "mimeType": kind,
    })  # fmt: skip


def _packed(life: Life, rows: list[_Row], sscc: str, carrier: world.Carrier, tracking: str | None) -> list[Record]:
    """The handling units of a shipment, outermost first; the first of them bears the shipment's SSCC."""
    dice = life.dice
    kinds = world.PALLETS[world.PALLET_DEPTHS[dice.upto(20)]] if life.bulk else world.PARCEL
    contents = [(row.line, row.quantity) for row in rows]
    if life.flaw == "unpacked":
        contents = _miscounted(contents, -1)
    size = 2 + dice.upto(3)
    units = [_Unit(life.sscc(), contents[at : at + size], []) for at in range(0, len(contents), size)]
    for _ in kinds[1:]:
        size = 2 + dice.upto(3)
        units = [_Unit(life.sscc(), [], units[at : at + size]) for at in range(0, len(units), size)]
    units[:1] = [unit._replace(sscc=sscc) for unit in units[:1]]
    if life.flaw == "sscc":
        units = [unit._replace(sscc=f"{unit.sscc[:-1]}{(int(unit.sscc[-1]) + 5) % 10}") for unit in units]
    truck = f"TRUCK-{life.id % 97}" if life.bulk and dice.chance(0.5) else None
    return [_unit(life, unit, kinds, (carrier.name, tracking, truck)) for unit in units]


class _Unit(NamedTuple):
    sscc: str
    contents: Lines
    children: list[_Unit]


def _unit(
    life: Life, unit: _Unit, kinds: tuple[str, ...], travels: tuple[str | None, ...] = (None, None, None)
) -> Record:
    carrier, tracking, truck = travels  # known of the outermost alone
    return life.tell({
        "type": kinds[0],
        "sscc": unit.sscc,
        "carrier": carrier,
        "tracking": tracking,
        "handlingUnitIdentifier": f"HU{unit.sscc[-9:-1]}" if life.dice.chance(0.8) else None,
        "truckHandlingUnitIdentifier": truck,
        "handlingPositions": [
            life.tell({
                "sscc": unit.sscc,
                "positionIdentifier": line.identifier,
                "sku": line.goods.sku,
                "warehouseSku": line.warehouse_sku,
                "quantity": quantity,
            })
            for line, quantity in unit.contents
        ] or None,
        "childHandlingUnits": [_unit(life, child, kinds[1:]) for child in unit.children] or None,
    })  # fmt: skip
