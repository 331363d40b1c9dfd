"""Orders sketched in short texts, one for each rule of line matching, with the lines that are expected of them.

A row is written as `2 A #L0 @X ~W <B /S`: 2 pieces of SKU A, with identifier L0, lot X, the warehouse's SKU W, in place
of the ordered SKU B, part of the bundle S. `?` and `-` stand for missing values. A bar separates two fulfillment
orders, shipments or handling units; those that begin with `gone` are cancelled or reversed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from unicodedata import normalize

if TYPE_CHECKING:
    import random

Row = dict[str, Any]
MARKS = {
    "positions": {"#": "positionIdentifier", "@": "lot", "/": "bundledBy"},
    "plan": {"<": "orderedSku", "@": "lot", "~": "warehouseSku", "/": "bundleSku"},
    "shipped": {"#": "positionIdentifier", "@": "lot", "~": "warehouseSku"},
    "packed": {"#": "positionIdentifier", "~": "warehouseSku"},
}
COUNTS = ("ordered", "planned", "shipped", "packed")


class OrderSketch(NamedTuple):
    """The rows of an order, and its lines: SKU and pieces ordered, planned, shipped, packed, `?` if not known."""

    ordered: str
    lines: str
    planned: str | None = None
    shipped: str | None = None
    packed: str | None = None


SKETCHES = {
    "an identifier leads to its line": OrderSketch(
        ordered="2 A #L0, 1 A #L1", shipped="2 A #L0, 1 A #L1", packed="1 A #L1", lines="A 2 0 2 0, A 1 0 1 1"
    ),
    "an identifier counts more than the SKU": OrderSketch(
        ordered="2 A #L0, 1 B #L1", shipped="2 X #L0, 1 A #L1", lines="A 2 0 2 0, B 1 0 1 0"
    ),
    "an identifier that two lines have leads nowhere": OrderSketch(
        ordered="2 A #L0, 1 B #L0", shipped="1 B #L0, 2 A #L0", lines="A 2 0 2 0, B 1 0 1 0"
    ),
    "an identifier that no line has leaves it to the SKU": OrderSketch(
        ordered="2 A #L0", shipped="2 A #0", lines="A 2 0 2 0"
    ),
    "without one, the SKU leads": OrderSketch(
        ordered="2 A, 1 B", planned="2 A | 1 B", shipped="1 A | 1 A, 1 B", packed="2 A | 1 B", lines="A 2 2 2 2, B 1 1 1 1"
    ),
    "lines of one SKU are told apart by lot": OrderSketch(
        ordered="2 A @X, 1 A @Y", planned="2 A @X, 1 A @Y", shipped="1 A @Y", lines="A 2 2 0 0, A 1 1 1 0"
    ),
    "a row without lot does not mean the line without lot": OrderSketch(
        ordered="2 A @X #L0, 1 A #L1", shipped="2 A @X, 1 A", packed="3 A", lines="A 3 0 3 3"
    ),
    "lines that cannot be told apart are taken together": OrderSketch(
        ordered="2 A #L0, 1 A #L1, 4 B", planned="3 A, 4 B", shipped="2 A #L0, 1 A #L1", lines="A 3 3 3 0, B 4 4 0 0"
    ),
    "what nobody ordered has a line of its own, one an SKU": OrderSketch(
        ordered="2 A", planned="1 G", shipped="2 A, 1 G | 2 G", lines="A 2 0 2 0, G 0 1 3 0"
    ),
    "a substitute counts for what was ordered": OrderSketch(
        ordered="2 A, 1 C", planned="2 B <A, 1 C", shipped="2 B, 1 C", packed="2 B", lines="A 2 2 2 2, C 1 1 1 0"
    ),
    "so it does in part": OrderSketch(ordered="2 A", planned="1 B <A, 1 A", shipped="1 B, 1 A", lines="A 2 2 2 0"),
    "a substitute for two may be for either": OrderSketch(
        ordered="2 A, 1 C", planned="2 B <A, 1 B <C", shipped="3 B", lines="A 2 2 ? 0, C 1 1 ? 0, B 0 0 ? 0"
    ),
    "what is ordered itself may be substitute or part": OrderSketch(
        ordered="2 A, 1 B", planned="2 B <A, 1 B", shipped="3 B", lines="B ? 3 3 0"
    ),
    "nor can it be told apart where some are what was ordered": OrderSketch(
        ordered="2 A, 1 B", planned="1 B <A, 1 A, 1 B", shipped="2 B, 1 A", lines="B ? ? ? 0, A 0 ? ? 0"
    ),
    "the warehouse's own SKU is what the plan says": OrderSketch(
        ordered="2 A, 1 B", planned="2 A ~W1, 1 B ~W2", shipped="2 - ~W1, 1 W2", packed="2 - ~W1", lines="A 2 2 2 2, B 1 1 1 0"
    ),
    "or it is the seller's": OrderSketch(ordered="2 A, 1 B", shipped="2 - ~A, 1 B", lines="A 2 0 2 0, B 1 0 1 0"),
    "one that two SKUs share says nothing": OrderSketch(
        ordered="2 A, 1 B", planned="2 A ~W, 1 B ~W", shipped="3 - ~W", lines="A 2 2 ? 0, B 1 1 ? 0, - ? ? ? ?"
    ),
    "parts of a bundle are compared in its place": OrderSketch(
        ordered="1 S #L0, 2 A /S, 1 B /S", planned="2 A <S /S, 1 B <S /S", shipped="2 A #L0, 1 B", lines="A 2 2 2 0, B 1 1 1 0"
    ),
    "the order may call the bundle by its identifier": OrderSketch(
        ordered="1 S #L0, 2 A /L0, 1 B /L0", planned="2 A <S /S, 1 B <S /S", lines="A 2 2 0 0, B 1 1 0 0"
    ),
    "so it may before anything is planned": OrderSketch(ordered="1 S #L0, 2 A /L0", lines="A 2 0 0 0"),
    "a line that is said to be its own part is none": OrderSketch(ordered="1 S /S", planned="1 S", lines="S 1 1 0 0"),
    "parts are compared before anything is planned, too": OrderSketch(
        ordered="1 S, 2 A /S, 1 B /S", lines="A 2 0 0 0, B 1 0 0 0"
    ),
    "a part may be ordered by itself as well": OrderSketch(
        ordered="1 S, 2 A /S, 1 A", planned="2 A <S /S, 1 A", shipped="3 A", lines="A 3 3 3 0"
    ),
    "parts that only the plan knows have no ordered quantity": OrderSketch(
        ordered="1 S, 1 A", planned="2 A <S /S, 1 B <S /S, 1 A", shipped="3 A, 1 B", lines="A ? 3 3 0, B ? 1 1 0"
    ),
    "several SKUs in place of one are parts of it": OrderSketch(
        ordered="1 S", planned="2 A <S, 1 B <S", shipped="2 A, 1 B", lines="A ? 2 2 0, B ? 1 1 0"
    ),
    "a part may be substituted": OrderSketch(
        ordered="1 S, 2 A /S", planned="2 X <A /S", shipped="2 X", lines="A 2 2 2 0"
    ),
    "a bundle that is planned and shipped as such is a line": OrderSketch(
        ordered="1 S, 2 A /S, 1 B /S", planned="1 S /S", shipped="1 S", packed="1 S", lines="S 1 1 1 1"
    ),
    "a bundle that is shipped as such but planned in parts": OrderSketch(
        ordered="1 S, 2 A /S, 3 C", planned="2 A <S /S, 3 C", shipped="1 S, 3 C", lines="S 1 ? 1 0, C 3 ? 3 0, A ? ? 0 0"
    ),
    "a bundle that is packed as such but shipped in parts": OrderSketch(
        ordered="1 S, 2 A /S", planned="2 A <S /S", shipped="2 A", packed="1 S", lines="A 2 2 2 ?, S 0 0 0 ?"
    ),
    "a bundle that the order does not list brings ordinary lines": OrderSketch(
        ordered="2 A /S", planned="2 A", lines="A 2 2 0 0"
    ),
    "cancelled fulfillment orders plan nothing": OrderSketch(ordered="2 A", planned="gone 2 A | 2 A", lines="A 2 2 0 0"),
    "reversed shipments ship nothing": OrderSketch(ordered="2 A", shipped="gone 2 A | 2 A | gone", lines="A 2 0 2 0"),
    "an unknown quantity makes the sum unknown": OrderSketch(
        ordered="2 A, ? B", planned="2 A, 1 B", shipped="? A, 1 A, 1 B", lines="A 2 2 ? 0, B ? 1 1 0"
    ),
    "a row without any SKU may belong to any line": OrderSketch(
        ordered="2 A, 1 B", shipped="1 B, 2 -", lines="A 2 0 ? 0, B 1 0 ? 0, - ? ? ? ?"
    ),
    "a line without SKU may be what a row leads to": OrderSketch(
        ordered="2 - #L0, 1 B #L1", planned="2 A, 1 B", shipped="2 A #L0, 1 B #L1", lines="- 2 ? 2 ?, B 1 ? 1 0, A 0 ? 0 0"
    ),
    "a shipment without lines leaves unknown what was shipped": OrderSketch(
        ordered="2 A", planned="2 A | gone", shipped="2 A |", packed="2 A |", lines="A 2 2 ? ?"
    ),
    "nothing is known to be ordered where no line is": OrderSketch(ordered="", shipped="2 A", lines="A ? 0 2 0"),
}  # fmt: skip


def sketched_rows(table: str, sketch: str) -> list[Row]:
    found = []
    for text in filter(None, map(str.strip, sketch.split(","))):
        quantity, sku, *marks = text.split()
        row: Row = {MARKS[table][mark[0]]: mark[1:] for mark in marks}
        if quantity != "?":
            row["quantity"] = int(quantity)
        if sku != "-":
            row["sku"] = sku
            if table == "plan":
                row.setdefault("orderedSku", sku)
        found.append(row)
    return found


def sketched_holders(table: str, sketch: str | None, flag: str) -> list[Row]:
    each = [] if sketch is None else [text.strip() for text in sketch.split("|")]
    return [
        {"positions": sketched_rows(table, text.removeprefix("gone")), flag: text.startswith("gone")} for text in each
    ]  # fmt: skip


def order_from_sketch(sketch: OrderSketch, order_id: int) -> Row:
    carrier = {"cancelled": True, "shipments": sketched_holders("shipped", sketch.shipped, "reversed")}
    units = sketched_holders("packed", sketch.packed, "unused")
    return {
        "orderId": order_id,
        "positions": sketched_rows("positions", sketch.ordered),
        "fulfillmentOrders": [*sketched_holders("plan", sketch.planned, "cancelled"), carrier],
        "handlingUnits": [{"handlingPositions": unit["positions"]} for unit in units],
    }


SKETCHED_ORDERS = {name: order_from_sketch(sketch, place) for place, (name, sketch) in enumerate(SKETCHES.items())}


_LOSABLE = (
    "sku", "sellerSku", "warehouseSku", "positionIdentifier", "lot", "quantity", "bundledBy", "bundleSku", "orderedSku",
    "positions", "handlingPositions", "cancelled", "reversed",
)  # fmt: skip


def damage_order(order: Row, dice: random.Random) -> Row:
    """The order with fewer SKUs and lots than it had, and some keys missing, here and there or everywhere."""
    names: dict[str, str] = {}
    few = dice.choice([2, 3, 30])
    everywhere = set(dice.sample(_LOSABLE, dice.choice([0, 0, 1, 2])))
    share = dice.choice([0, 0, 0.03])

    def changed(value: Any, key: str = "") -> Any:
        if isinstance(value, list):
            return [changed(entry) for entry in value]
        if not isinstance(value, dict):
            short = {"lot": "XYZ", "sku": "ABCDEF"}.get("lot" if key == "lot" else "sku" if key in _NAMES else "")
            return names.setdefault(value, short[len(names) % few % len(short)]) if short and value else value
        kept = {
            name: changed(inner, name)
            for name, inner in value.items()
            if name not in _LOSABLE or not (name in everywhere or dice.random() < share)
        }
        if "orderedSku" in kept and dice.random() < 0.1:
            kept["orderedSku"] = dice.choice("ABCDEF")
        return kept

    result: Row = changed(order)
    return result


_NAMES = {"sku", "sellerSku", "orderedSku", "bundleSku", "bundledBy", "warehouseSku"}


_SPELLINGS = (
    str.lower, lambda text: f" {text} ", lambda text: f"{text[:1]}\u200b{text[1:]}", lambda text: normalize("NFD", text)
)  # fmt: skip


def vary_order(order: Row, dice: random.Random) -> Row:
    """The order with other spellings, lots, kits, discounts, quantities below zero and reversed shipments."""
    positions = order.get("positions") or []
    held = order.get("fulfillmentOrders") or []
    shipments = [one for each in held for one in each.get("shipments") or []]
    if positions and dice.random() < 0.3:
        split_into_lots(positions, held, shipments, dice)
    if positions and held and dice.random() < 0.3:
        add_kit(positions, held, shipments, dice)
    if positions and dice.random() < 0.3:
        less: Row = dice.choice([{"quantity": -1}, {"quantity": 1, "totalNetAmount": -5.0}, {"quantity": 0}])
        positions.append({"sku": dice.choice(["DISCOUNT", positions[0].get("sku")]), **less})
    for one in shipments:
        one["reversed"] = one.get("reversed") or dice.random() < 0.1
        for row in one.get("positions") or []:
            if dice.random() < 0.05:
                row["quantity"] = -(row.get("quantity") or 1)
    plans = [row for each in held for row in each.get("positions") or []]
    sent = [row for one in shipments for row in one.get("positions") or []]
    for row in [*plans, *sent, *dice.sample(positions, len(positions) // 3)]:
        for name in ("sku", "sellerSku", "warehouseSku", "positionIdentifier", "lot", "orderedSku"):
            if row.get(name) and dice.random() < 0.1:
                row[name] = dice.choice(_SPELLINGS)(row[name])
    return order


def split_into_lots(positions: list[Row], held: list[Row], shipments: list[Row], dice: random.Random) -> None:
    """Makes two lines of different lots out of the first, also where it is planned and shipped."""
    sku = positions[0].get("sku")
    rows = [row for one in (*held, *shipments) for row in one.get("positions") or [] if row.get("sku") == sku]
    for row in (positions[0], *rows):
        row["lot"] = dice.choice(["Lot-X", "Lot-Y", None])
        if dice.random() < 0.7:
            row.pop("positionIdentifier", None)
    positions.append({**positions[0], "lot": "Lot-Y", "quantity": 2})
    positions[0]["lot"] = "Lot-X"


def add_kit(positions: list[Row], held: list[Row], shipments: list[Row], dice: random.Random) -> None:
    """Adds a kit of two parts, one of which is perhaps ordered by itself, too."""
    part = dice.choice(["Kit-Part", positions[0].get("sku")])
    positions += [{"sku": "Kit", "quantity": 1}, {"sku": part, "quantity": 2, "bundledBy": "Kit"}]
    rows = {"sku": part, "orderedSku": dice.choice(["Kit", part]), "bundleSku": "Kit", "quantity": 2}
    as_one = dice.random() < 0.2
    held[0]["positions"] = [*(held[0].get("positions") or []), {"sku": "Kit", "quantity": 1} if as_one else rows]
    if shipments:
        shipped = {"sku": "Kit", "quantity": 1} if as_one else {"sku": part, "quantity": 2}
        shipments[0]["positions"] = [*(shipments[0].get("positions") or []), shipped]
