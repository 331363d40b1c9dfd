"""The fulfillment orders, shipments and handling units of an invented order.

A later visit repeats the draws of an earlier one and adds to them: all fulfillment orders are drawn first, then the
shipments that have left. Those still waiting come last, so they cannot change what was drawn before.
"""

from __future__ import annotations

from typing import NamedTuple

from quivo_frames.standin import world
from quivo_frames.standin.order_state import DAY, HOUR, OrderState, Record, Stage


class OrderedLine(NamedTuple):
    """One line to ship; `bundle` is the SKU of the bundle it belongs to, `substitute` the article shipped instead."""

    identifier: str
    article: world.Article
    quantity: int
    bundle: str | None
    lot: str | None
    expires: str | None
    substitute: world.Article | None = None

    @property
    def shipped_article(self) -> world.Article:
        """The article that the warehouse ships for the line."""
        return self.substitute or self.article

    @property
    def warehouse_sku(self) -> str:
        """The SKU of the shipped article in the warehouse."""
        return f"W{self.shipped_article.number:03d}.{self.shipped_article.sku}"


class Fulfillment(NamedTuple):
    """`fulfillmentOrders` and `handlingUnits`, and whether a part still waits while the rest has left."""

    orders: list[Record]
    units: list[Record]
    waiting: bool


class _LotQuantity(NamedTuple):
    """A quantity of a line from one lot."""

    line: OrderedLine
    quantity: int
    lot: str | None
    expires: str | None


LineQuantities = list[tuple[OrderedLine, int]]


def fulfill_order(state: OrderState, ordered: list[OrderedLine]) -> Fulfillment:
    """All that the warehouses did with the ordered lines up to the order's stage."""
    if state.stage == Stage.NEW:
        return Fulfillment([], [], waiting=False)
    if state.flaw == "substitute" and ordered and not ordered[0].bundle:
        goods = world.seller_articles(state.seller)
        ordered = [ordered[0]._replace(substitute=goods[ordered[0].article.number - 1]), *ordered[1:]]
    parts = _split_by_warehouse(state, ordered)
    lags = [int(state.is_behind and 0 < place == len(parts) - 1) for place in range(len(parts))]
    orders = [_make_fulfillment_order(state, place, lines, lags[place]) for place, lines in enumerate(parts)]
    units: list[Record] = []
    waiting = False
    for place, lines in enumerate(parts):
        shipments: list[Record] = []
        for lag, reversed_, content in _plan_shipments(state, place, lines, lags[place], alone=len(parts) == 1):
            if state.stage - lag >= Stage.SHIPPED:
                shipment, packed = _make_shipment(state, content, lag, reversed_=reversed_)
                shipments.append(shipment)
                units += packed
            else:
                waiting = state.stage == Stage.SHIPPED
        orders[place]["shipments"] = shipments or None
    return Fulfillment([state.write_blanks(order) for order in orders], units, waiting)


def _split_by_warehouse(state: OrderState, ordered: list[OrderedLine]) -> list[LineQuantities]:
    """The lines by warehouse: mostly one warehouse, otherwise in turn, with some quantities split between two."""
    dice = state.dice
    count = 1
    if len(ordered) > 1 and dice.chance(0.17):
        count = 3 if len(ordered) > 2 and dice.chance(0.25) else 2
    parts: list[LineQuantities] = [[] for _ in range(count)]
    for place, line in enumerate(ordered):
        rest = line.quantity // 2 if count > 1 and dice.chance(0.3) else 0
        parts[place % count].append((line, line.quantity - rest))
        if rest:
            parts[(place + 1) % count].append((line, rest))
    if state.flaw == "unplanned" and parts[0]:
        line, quantity = parts[0][0]
        parts[0][0] = (line, quantity + 1)
    return parts if ordered else []


def _make_fulfillment_order(state: OrderState, place: int, lines: LineQuantities, lag: int) -> Record:
    dice = state.dice
    warehouses = (state.seller.warehouse, *(number for number in world.WAREHOUSES if number != state.seller.warehouse))
    number, stage = state.next_id(), max(state.stage - lag, Stage.NEW)
    in_stock = not state.is_stuck and not dice.chance(0.01)
    return {
        "warehouseId": warehouses[place],
        "warehouseName": world.WAREHOUSES[warehouses[place]],
        "fulfillmentOrderId": number,
        "fulfillmentOrderIdentifier": f"FO-{number}",
        "fulfillmentStatus": "CANCELLED" if state.is_cancelled else world.FULFILLMENT_STATUS[stage],
        "fulfillmentConnectorStatus": world.CONNECTOR_STATUS[stage] if dice.chance(0.9) else None,
        "fulfillmentInStock": in_stock,
        "cancelled": state.is_cancelled,
        "positions": [_make_fulfillment_position(state, line, quantity) for line, quantity in lines] or None,
        "shipments": None,
        "fulfillmentOrderCreated": state.stage_instant(Stage.EXPORTED, state.stage),
        "inPicking": stage == Stage.PICKING,
    }


def _make_fulfillment_position(state: OrderState, line: OrderedLine, quantity: int) -> Record:
    dice, article, number = state.dice, line.article, state.next_id()
    abroad = state.destination.country not in {"DE", "AT", "PL", "DK", "FR"}
    return state.write_blanks({
        "fulfillmentOrderPositionId": number,
        "orderedSku": line.bundle or article.sku,
        "sku": line.shipped_article.sku,
        "warehouseSku": line.warehouse_sku,
        "quantity": quantity,
        "lot": line.lot,
        "location": f"R{dice.draw_below(40):02d}-{dice.draw_below(9)}" if dice.chance(0.6) else None,
        "customsValue": article.cents * quantity / 100 if abroad else None,
        "expirationDate": line.expires,
        "fulfillmentOrderPositionIdentifier": f"FP-{number}" if dice.chance(0.9) else None,
        "bundleSku": line.bundle,
    })  # fmt: skip


def _plan_shipments(
    state: OrderState, place: int, lines: LineQuantities, lag: int, *, alone: bool
) -> list[tuple[int, bool, LineQuantities]]:
    """The shipments of one warehouse: how many stages late, whether it came back, and the lines."""
    dice = state.dice
    twice, comes_back = dice.chance(0.08), dice.chance(0.02)
    loads = [(lag, False, lines)]
    if alone and (twice or state.is_behind) and sum(quantity for _, quantity in lines) > 1:
        first, second = _halve_lines(lines)
        loads = [(0, False, first), (int(state.is_behind), False, second)]
    if place == 0 and state.flaw in {"short", "over"}:
        loads[0] = (loads[0][0], False, _miscount_first(loads[0][2], -1 if state.flaw == "short" else 1))
    if comes_back or state.flaw == "empty":
        loads.insert(0, (loads[0][0], True, loads[0][2]))
        loads[1:] = loads[1:] if state.flaw != "empty" else []  # all of it came back, and nothing left again
    return [load for load in loads if load[2]]


def _halve_lines(lines: LineQuantities) -> tuple[LineQuantities, LineQuantities]:
    if len(lines) > 1:
        return lines[::2], lines[1::2]
    line, quantity = lines[0]
    return [(line, quantity - quantity // 2)], [(line, quantity // 2)]


def _miscount_first(lines: LineQuantities, by: int) -> LineQuantities:
    line, quantity = lines[0]
    return ([(line, quantity + by)] if quantity + by else []) + lines[1:]


def _make_shipment(
    state: OrderState, lines: LineQuantities, lag: int, *, reversed_: bool
) -> tuple[Record, list[Record]]:
    dice, number, stage = state.dice, state.next_id(), state.stage - lag
    carrier = dice.pick_one(world.FREIGHT_CARRIERS if state.is_bulk and dice.chance(0.8) else world.PARCEL_CARRIERS)
    untracked, count, numbers = _draw_tracking(state, number, carrier)
    links = numbers and [f"https://track.example/{carrier.provider.lower()}/{text}" for text in numbers]
    labelled = state.is_bulk or dice.chance(0.06) or state.flaw in {"unpacked", "sscc"}
    sscc = state.next_sscc() if labelled else None
    expected = state.times[Stage.SHIPPED + lag] // DAY * DAY + 3 * DAY
    window = (state.times[Stage.SHIPPED + lag] + state.transit_seconds) // HOUR * HOUR - number % 7 * HOUR
    rows = [row for line, quantity in lines for row in _split_into_lots(state, line, quantity)]
    grouped = dice.chance(0.4)
    measured = dice.chance(0.6)
    grams = 150 + sum(line.shipped_article.grams * quantity for line, quantity in lines)
    delivered = state.stage_instant(Stage.DELIVERED, stage, lag)
    if delivered and state.flaw == "backwards":
        delivered = state.format_instant(state.times[Stage.SHIPPED + lag] - DAY)
    documents = [_make_pod_document(state, number, place) for place in range(1 + dice.draw_below(2))]
    proof = documents if dice.chance(0.95 if carrier.proves else 0.05) else None
    positions = [_make_shipment_position(state, row) for row in rows]
    packed = _pack_shipment(state, rows, sscc, carrier, numbers[0] if numbers else None) if sscc else []
    parcels = len(packed) or count
    if state.flaw == "unlabelled":
        sscc, packed = None, []
    return state.write_blanks({
        "shipmentId": number,
        "shipmentIdentifier": f"SH-{number}",
        "provider": carrier.provider,
        "trackingLink": links[0] if links else None,
        "trackingLinks": links,
        "trackingNumber": numbers[0] if numbers else None,
        "trackingNumbers": numbers,
        "shipDate": state.format_instant(state.times[Stage.SHIPPED + lag]),
        "isUntracked": untracked,
        "sscc": sscc,
        "predatedShipment": state.format_date(expected - 2 * DAY) if dice.chance(0.05) else None,
        "carrierPickUpDate": state.format_instant(state.times[Stage.SHIPPED + lag] + HOUR) if state.is_bulk else None,
        "deliveryWindowStartTime": state.format_instant(window) if state.is_bulk else None,
        "deliveryWindowEndTime": state.format_instant(window + 6 * HOUR) if state.is_bulk else None,
        "providerName": carrier.name,
        "numberOfPallets": parcels if state.is_bulk else None,
        "numberOfParcels": None if state.is_bulk else parcels,
        "grossWeight": grams / (20_000 if state.flaw == "light" else 1000),
        "width": _make_dimension(state, 40) if measured else None,
        "length": _make_dimension(state, 60) if measured else None,
        "height": _make_dimension(state, 30) if measured else None,
        "positions": positions or None,
        "reversed": reversed_,
        "bookedShipmentId": 5_000_000_000 + number if dice.chance(0.9) else None,
        "expectedDeliveryDate": state.format_instant(expected + 17 * HOUR) if dice.chance(0.8) else None,
        "deliveryDate": None if reversed_ else delivered,
        "podDate": None if reversed_ or not proof else state.stage_instant(Stage.PROVED, stage, lag),
        "groupedPositions": _make_grouped_positions(state, rows, positions) if grouped else None,
        "podDocuments": None if reversed_ or stage < Stage.PROVED else proof,
    }), packed  # fmt: skip


def _draw_tracking(state: OrderState, number: int, carrier: world.Carrier) -> tuple[bool, int, list[str] | None]:
    """Whether the shipment is untracked, its parcels, and their tracking numbers."""
    untracked = state.dice.chance(0.05)
    count = 1 if untracked or state.dice.chance(0.85) else 2 + state.dice.draw_below(2)
    if untracked or state.flaw == "untraced":
        return untracked, count, None
    first = 77_000_000 if state.flaw == "same tracking" else number * 10
    return untracked, count, [f"{carrier.tracking}{first + parcel}" for parcel in range(count)]


def _make_dimension(state: OrderState, centimetres: int) -> Record:
    size = centimetres // 2 + state.dice.draw_below(centimetres)
    return state.write_blanks(
        {"value": size, "unit": "CM"} if state.in_centimetres else {"value": size / 100, "unit": "M"}
    )


def _split_into_lots(state: OrderState, line: OrderedLine, quantity: int) -> list[_LotQuantity]:
    """The line, from one lot or two."""
    if state.flaw == "expired":
        lot, _ = state.draw_lot(line.shipped_article)
        return [_LotQuantity(line, quantity, lot, state.format_instant(state.times[Stage.SHIPPED] - 9 * DAY))]
    if line.lot:
        return [_LotQuantity(line, quantity, line.lot, line.expires)]
    rest = quantity // 2 if state.seller.lots and quantity > 1 and state.dice.chance(0.2) else 0
    rows = [_LotQuantity(line, quantity - rest, *state.draw_lot(line.shipped_article))]
    return [*rows, _LotQuantity(line, rest, *state.draw_lot(line.shipped_article))] if rest else rows


def _make_shipment_position(state: OrderState, row: _LotQuantity) -> Record:
    line, number = row.line, state.next_id()
    numbered = state.seller.serials and line.shipped_article.number % 3 != 0 and row.quantity > (state.flaw == "serial")
    return state.write_blanks({
        "shipmentPositionId": number,
        "sku": line.shipped_article.sku,
        "warehouseSku": line.warehouse_sku,
        "sellerSku": line.shipped_article.sku,
        "quantity": row.quantity,
        "lot": row.lot,
        "location": f"P{state.dice.draw_below(9)}" if state.dice.chance(0.2) else None,
        "expirationDate": row.expires,
        "serialNumbers": _serial_numbers(number, row.quantity - (state.flaw == "serial")) if numbered else None,
        "positionIdentifier": line.identifier,
    })  # fmt: skip


def _serial_numbers(number: int, count: int) -> list[str]:
    return [f"SN{number * 100 + piece:X}" for piece in range(count)]


def _make_grouped_positions(state: OrderState, rows: list[_LotQuantity], positions: list[Record]) -> list[Record]:
    """The shipped lines summed by SKU and lot."""
    groups: dict[tuple[str, str | None], list[tuple[_LotQuantity, Record]]] = {}
    for row, record in zip(rows, positions, strict=True):
        groups.setdefault((row.line.warehouse_sku, row.lot), []).append((row, record))
    return [
        state.write_blanks({
            "warehouseSku": sku,
            "sellerSku": group[0][0].line.shipped_article.sku,
            "quantity": sum(row.quantity for row, _ in group),
            "lot": lot,
            "expirationDate": group[0][0].expires,
            "serialNumbers": [text for _, record in group for text in record.get("serialNumbers") or ()] or None,
        })
        for (sku, lot), group in groups.items()
    ]  # fmt: skip


def _make_pod_document(state: OrderState, number: int, place: int) -> Record:
    kind, ending = (("application/pdf", "pdf"), ("image/jpeg", "jpg"))[place]
    key = f"pod/{number}/{place}.{ending}"
    link = f"https://documents.example/{key}?expires=900&signature=invented" if state.dice.chance(0.9) else None
    return state.write_blanks({
        "fileName": f"Empfangsbestätigung {number}.{ending}" if place == 0 else f"Foto.{ending}",
        "fileKey": key,
        "url": state.write_blanks({"link": link}) if link else None,
        "mimeType": kind,
    })  # fmt: skip


def _pack_shipment(
    state: OrderState, rows: list[_LotQuantity], sscc: str, carrier: world.Carrier, tracking: str | None
) -> list[Record]:
    """The handling units of a shipment as a tree; the first outermost unit carries the shipment's SSCC."""
    dice = state.dice
    kinds = world.PALLETS[world.PALLET_DEPTHS[dice.draw_below(20)]] if state.is_bulk else world.PARCEL
    contents = [(row.line, row.quantity) for row in rows]
    if state.flaw == "unpacked":
        contents = _miscount_first(contents, -1)
    size = 2 + dice.draw_below(3)
    units = [_PackedUnit(state.next_sscc(), contents[at : at + size], []) for at in range(0, len(contents), size)]
    for _ in kinds[1:]:
        size = 2 + dice.draw_below(3)
        units = [_PackedUnit(state.next_sscc(), [], units[at : at + size]) for at in range(0, len(units), size)]
    units[:1] = [unit._replace(sscc=sscc) for unit in units[:1]]
    if state.flaw == "sscc":
        units = [unit._replace(sscc=f"{unit.sscc[:-1]}{(int(unit.sscc[-1]) + 5) % 10}") for unit in units]
    truck = f"TRUCK-{state.order_id % 97}" if state.is_bulk and dice.chance(0.5) else None
    return [_make_handling_unit(state, unit, kinds, (carrier.name, tracking, truck)) for unit in units]


class _PackedUnit(NamedTuple):
    sscc: str
    contents: LineQuantities
    children: list[_PackedUnit]


def _make_handling_unit(
    state: OrderState, unit: _PackedUnit, kinds: tuple[str, ...], travels: tuple[str | None, ...] = (None, None, None)
) -> Record:
    carrier, tracking, truck = travels  # only the outermost unit has them
    return state.write_blanks({
        "type": kinds[0],
        "sscc": unit.sscc,
        "carrier": carrier,
        "tracking": tracking,
        "handlingUnitIdentifier": f"HU{unit.sscc[-9:-1]}" if state.dice.chance(0.8) else None,
        "truckHandlingUnitIdentifier": truck,
        "handlingPositions": [
            state.write_blanks({
                "sscc": unit.sscc,
                "positionIdentifier": line.identifier,
                "sku": line.shipped_article.sku,
                "warehouseSku": line.warehouse_sku,
                "quantity": quantity,
            })
            for line, quantity in unit.contents
        ] or None,
        "childHandlingUnits": [_make_handling_unit(state, child, kinds[1:]) for child in unit.children] or None,
    })  # fmt: skip
