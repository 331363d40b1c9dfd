"""What line matching should find, worked out in plain Python over the JSON of one order."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.support.sketched_orders import COUNTS, Row


class Line:
    """A line, or several that are taken together, with the pieces of each of its rows."""

    def __init__(self, sku: str | None, lot: str | None = None) -> None:
        self.sku, self.lot = sku, lot
        self.pieces: dict[str, list[int | None]] = {what: [] for what in COUNTS}
        self.unordered_parts = self.ordered_as_part = False


def first_text(row: Row, *keys: str) -> str | None:
    return next((row[key] for key in keys if row.get(key)), None)


def list_entries(row: Row, key: str) -> list[Row]:
    return [entry for entry in row.get(key) or [] if entry is not None]


def all_units(units: list[Row]) -> list[Row]:
    return [one for unit in units for one in (unit, *all_units(list_entries(unit, "childHandlingUnits")))]


def line_facts(line: Row) -> tuple[Any, ...]:
    return (line["sku"], line["lot"], *(line[what] for what in COUNTS))


def bundle_of_row(row: Row, plan: list[Row], asked_for: set[str | None]) -> str | None:
    """The bundle that a planned row is a part of."""
    told, sku, instead_of = first_text(row, "bundleSku"), first_text(row, "sku"), first_text(row, "orderedSku")
    if told:
        return told if told != sku else None
    if not sku or not instead_of or sku == instead_of:
        return None
    same = {
        first_text(other, "sku") for other in plan
        if first_text(other, "orderedSku") == instead_of and not first_text(other, "bundleSku")
    } - {None, instead_of}  # fmt: skip
    return instead_of if sku in asked_for or asked_for & same or len(same) > 1 else None


def expected_lines(order: Row) -> Counter[tuple[Any, ...]]:
    """The lines of an order, as `line_facts`, with how often each occurs."""
    positions, units = list_entries(order, "positions"), list_entries(order, "handlingUnits")
    planning = [one for one in list_entries(order, "fulfillmentOrders") if not one.get("cancelled")]
    shipping = [
        one
        for fulfillment in list_entries(order, "fulfillmentOrders")
        for one in list_entries(fulfillment, "shipments")
        if not one.get("reversed")
    ]
    plan = [row for one in planning for row in list_entries(one, "positions")]
    shipped = [row for one in shipping for row in list_entries(one, "positions")]
    packed = [row for unit in all_units(units) for row in list_entries(unit, "handlingPositions")]

    skus = {first_text(position, "sku") for position in positions}
    bundle_of = [bundle_of_row(row, plan, skus) for row in plan]
    goods = {first_text(row, "sku") for row in plan} | {first_text(row, "sku", "sellerSku") for row in shipped}
    kept = lines_to_compare(positions, plan, bundle_of, goods - {None})
    compared = {line.sku for _, line in kept}
    meanings = sku_meanings(plan, bundle_of, compared)
    unclear = {name for name, meant in meanings.items() if len(meant) > 1}

    # Rows to lines.
    lost: list[tuple[str, str | None, Row, str | None]] = []
    doubtful: set[str] = set()
    rows_of = [("planned", row, wanted_sku(row, bundle), bundle) for row, bundle in zip(plan, bundle_of, strict=True)]
    rows_of += [("shipped", row, first_text(row, "sku", "sellerSku"), None) for row in shipped]
    rows_of += [("packed", row, first_text(row, "sku"), None) for row in packed]
    for what, row, sku, bundle in rows_of:
        if bundle in compared and bundle:
            doubtful.add(what)
        identifier = first_text(row, "positionIdentifier") if what != "planned" else None
        found = [
            line for position, line in kept if identifier and first_text(position, "positionIdentifier") == identifier
        ]
        if len(found) != 1:
            found = [line for _, line in kept if sku and line.sku == sku]
        if len(found) != 1:
            names = [meanings.get(name or "", set()) for name in (sku, first_text(row, "warehouseSku"))]
            sku = next((min(meant) for meant in names if len(meant) == 1), sku)
            found = [line for _, line in kept if sku and line.sku == sku]
        if len(found) != 1 and what != "packed" and first_text(row, "lot"):
            found = [line for line in found if line.lot == first_text(row, "lot")]
        if len(found) == 1:
            found[0].pieces[what].append(row.get("quantity"))
            found[0].unordered_parts |= bundle is not None
            continue
        lost.append((what, sku, row, bundle))
        if sku is None or sku in unclear or sku in skus - compared or None in skus:
            doubtful.add(what)

    # What cannot be told apart.
    lines = [line for _, line in kept]
    for what, sku, row, bundle in lost:
        same = [line for line in lines if line.sku == sku and (sku or line not in [one for _, one in kept])]
        if not same:
            lines.append(home := Line(sku))
        else:
            home = merge_lines(same)
            lines = [line for line in lines if line is home or line not in same]
        home.pieces[what].append(row.get("quantity"))
        home.unordered_parts |= bundle is not None

    doubtful |= {"ordered"} if not positions else set()
    doubtful |= {"planned"} if any(not list_entries(one, "positions") for one in planning) else set()
    doubtful |= {"shipped"} if any(not list_entries(one, "positions") for one in shipping) else set()
    doubtful |= (
        {"packed"}
        if any(
            not list_entries(unit, "handlingPositions")
            for unit in all_units(units)
            if not list_entries(unit, "childHandlingUnits")
        )
        else set()
    )
    return Counter(
        (line.sku, line.lot, *(None if what in doubtful else count_known_pieces(line, what) for what in COUNTS))
        for line in lines
    )


def lines_to_compare(
    positions: list[Row], plan: list[Row], bundle_of: list[str | None], goods: set[str | None]
) -> list[tuple[Row, Line]]:
    """The positions without bundles that stand for their parts, or without those parts."""
    heads_of: list[list[Row]] = [
        [
            head for head in positions
            if head is not part and first_text(part, "bundledBy")
            and first_text(part, "bundledBy") in (first_text(head, "sku"), first_text(head, "positionIdentifier"))
        ]
        for part in positions
    ]  # fmt: skip
    sure = {first_text(head, "sku") for heads in heads_of for head in heads}
    sure |= {bundle for row, bundle in zip(plan, bundle_of, strict=True) if bundle and first_text(row, "bundleSku")}
    whole = sure & goods
    in_parts = ((sure | set(bundle_of)) - whole) - {None}
    kept = []
    for position, heads in zip(positions, heads_of, strict=True):
        line = Line(first_text(position, "sku"), first_text(position, "lot"))
        if line.sku not in in_parts and not any(first_text(head, "sku") in whole for head in heads):
            line.pieces["ordered"].append(position.get("quantity"))
            line.ordered_as_part = bool(first_text(position, "bundledBy"))
            kept.append((position, line))
    return kept


def sku_meanings(plan: list[Row], bundle_of: list[str | None], compared: set[str | None]) -> dict[str, set[str]]:
    """The SKUs that a name stands for."""
    meanings: dict[str, set[str]] = {sku: {sku} for sku in compared if sku}
    for row, bundle in zip(plan, bundle_of, strict=True):
        meant = wanted_sku(row, bundle)
        for name in (first_text(row, "sku"), first_text(row, "warehouseSku")):
            if name and meant and name != meant and name not in compared:
                meanings.setdefault(name, set()).add(meant)
    return meanings


def wanted_sku(row: Row, bundle: str | None) -> str | None:
    """The SKU of the ordered line that a planned row is for."""
    if bundle and first_text(row, "orderedSku") == bundle:
        return first_text(row, "sku")
    return first_text(row, "orderedSku", "sku")


def merge_lines(same: list[Line]) -> Line:
    first = same[0]
    for other in same[1:]:
        for what in COUNTS:
            first.pieces[what] += other.pieces[what]
        first.unordered_parts |= other.unordered_parts
        first.ordered_as_part |= other.ordered_as_part
    return first


def count_known_pieces(line: Line, what: str) -> int | None:
    pieces = line.pieces[what]
    if what == "ordered" and line.unordered_parts and not line.ordered_as_part:
        return None
    if not pieces:
        return 0 if line.sku else None
    return None if None in pieces else sum(piece for piece in pieces if piece is not None)
