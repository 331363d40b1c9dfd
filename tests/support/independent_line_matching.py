"""What line matching should find, worked out in plain Python over the JSON of one order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple
from unicodedata import category, normalize

from tests.support.sketched_orders import COUNTS, Row

if TYPE_CHECKING:
    from collections.abc import Iterable


class PlacedRow(NamedTuple):
    """A row of the JSON: what it states, its address, its own SKU, and the bundle that it is a part of."""

    states: str
    key: str
    row: Row
    sku: str | None
    bundle: str | None = None


class Line:
    """A line, or several that are taken together, with the pieces and the keys of each of its rows."""

    def __init__(self, sku: str | None, lot: str | None = None) -> None:
        self.sku, self.lot = sku, lot
        self.pieces: dict[str, list[int | None]] = {what: [] for what in (*COUNTS, "reversed")}
        self.keys: list[str] = []
        self.unordered_parts = self.ordered_as_part = False

    def take(self, placed: PlacedRow) -> None:
        self.pieces[placed.states].append(placed.row.get("quantity"))
        self.keys.append(f"{placed.states}:{placed.key}")
        self.unordered_parts |= placed.bundle is not None


class MatchedOrder(NamedTuple):
    """The lines of an order, what is not known of them, and the keys of ordered rows that are not compared."""

    lines: list[Line]
    doubtful: set[str]
    left_out: list[str]


def first_text(row: Row, *keys: str) -> str | None:
    return next((row[key] for key in keys if row.get(key)), None)


def list_entries(row: Row, key: str) -> list[Row]:
    return [entry for entry in row.get(key) or [] if entry is not None]


def all_units(units: list[Row]) -> list[Row]:
    return [one for unit in units for one in (unit, *all_units(list_entries(unit, "childHandlingUnits")))]


def keyed_entries(row: Row, name: str, key: str, mark: str = "/") -> list[tuple[str, Row]]:
    """The entries of a list with their addresses: that of the list's owner, and the place."""
    return [(f"{key}{mark}{place}", one) for place, one in enumerate(row.get(name) or []) if one is not None]


def keyed_units(units: list[tuple[str, Row]]) -> list[tuple[str, Row]]:
    return [
        one
        for key, unit in units
        for one in ((key, unit), *keyed_units(keyed_entries(unit, "childHandlingUnits", key, ".")))
    ]


def written_form(identifier: str | None) -> str | None:
    """An identifier without what nobody sees in it."""
    if identifier is None:
        return None
    seen = "".join(sign for sign in normalize("NFC", identifier) if category(sign) not in ("Cf", "Cc"))
    return seen.strip().upper()


def line_facts(line: Row) -> tuple[Any, ...]:
    return (line["sku"], line["lot"], *(line[what] for what in COUNTS))


def bundle_of_row(row: Row, plan: list[Row], asked_for: set[str | None]) -> str | None:
    """The bundle that a planned row is a part of."""
    told, sku, instead_of = first_text(row, "bundleSku"), first_text(row, "sku"), first_text(row, "orderedSku")
    if told:
        return told if told != sku else None
    if not sku or not instead_of or written_form(sku) == written_form(instead_of):
        return None
    same = {
        first_text(other, "sku") for other in plan
        if first_text(other, "orderedSku") == instead_of and not first_text(other, "bundleSku")
        and written_form(first_text(other, "sku")) not in (None, written_form(instead_of))
    }  # fmt: skip
    return instead_of if sku in asked_for or asked_for & same or len(same) > 1 else None


def expected_lines(order: Row) -> Counter[tuple[Any, ...]]:
    """The lines of an order, as `line_facts`, with how often each occurs."""
    lines, doubtful, _ = match_order(order)
    return Counter(
        (line.sku, line.lot, *(None if what in doubtful else count_known_pieces(line, what) for what in COUNTS))
        for line in lines
    )


def expected_groups(order: Row) -> set[frozenset[str]]:
    """The rows of an order by line: what each states, and its address."""
    lines, _, left_out = match_order(order)
    groups = [frozenset(line.keys) for line in lines] + [frozenset([key]) for key in left_out]
    assert sum(map(len, groups)) == len(frozenset().union(*groups)), order["orderId"]
    return set(groups)


def match_order(order: Row) -> MatchedOrder:
    """The lines of an order with the rows of each."""
    number = str(order["orderId"])
    positions = keyed_entries(order, "positions", number)
    units = keyed_units(keyed_entries(order, "handlingUnits", number))
    fulfillments = keyed_entries(order, "fulfillmentOrders", number)
    sent = [one for key, held in fulfillments for one in keyed_entries(held, "shipments", key)]
    planning = [(key, one) for key, one in fulfillments if not one.get("cancelled")]
    shipping = [(key, one) for key, one in sent if not one.get("reversed")]
    returning = [(key, one) for key, one in sent if one.get("reversed")]
    plan, shipped, back = (
        [entry for key, one in holders for entry in keyed_entries(one, "positions", key)]
        for holders in (planning, shipping, returning)
    )
    packed = [entry for key, unit in units for entry in keyed_entries(unit, "handlingPositions", key)]

    skus = {first_text(position, "sku") for _, position in positions}
    plan_rows = [row for _, row in plan]
    bundle_of = [bundle_of_row(row, plan_rows, skus) for row in plan_rows]
    goods = {first_text(row, "sku") for row in plan_rows} | {first_text(row, "sku", "sellerSku") for _, row in shipped}
    kept = lines_to_compare(positions, plan_rows, bundle_of, goods - {None})
    compared = {line.sku for _, line in kept}
    meanings = sku_meanings(plan_rows, bundle_of, compared)
    unclear = {name for name, meant in meanings.items() if len(meant) > 1}

    # Rows to lines.
    rows = [
        PlacedRow("planned", key, row, wanted_sku(row, bundle), bundle)
        for (key, row), bundle in zip(plan, bundle_of, strict=True)
    ]
    rows += [PlacedRow("shipped", key, row, first_text(row, "sku", "sellerSku")) for key, row in shipped]
    rows += [PlacedRow("packed", key, row, first_text(row, "sku")) for key, row in packed]
    rows += [PlacedRow("reversed", key, row, first_text(row, "sku", "sellerSku")) for key, row in back]
    doubtful = {placed.states for placed in rows if placed.bundle and placed.bundle in compared}
    lost: list[PlacedRow] = []
    for placed in rows:
        found, sku = find_line(placed, kept, meanings)
        if found:
            found.take(placed)
            continue
        lost.append(placed._replace(sku=sku))
        if sku is None or sku in unclear or sku in skus - compared or None in skus:
            doubtful.add(placed.states)

    lines = take_lost_rows(lost, [line for _, line in kept])
    doubtful |= {"ordered"} if not positions else set()
    doubtful |= {"planned"} if any(not list_entries(one, "positions") for _, one in planning) else set()
    doubtful |= {"shipped"} if any(not list_entries(one, "positions") for _, one in shipping) else set()
    inner = [unit for _, unit in units if not list_entries(unit, "childHandlingUnits")]
    doubtful |= {"packed"} if any(not list_entries(unit, "handlingPositions") for unit in inner) else set()
    compared_keys = {key for (key, _), _ in kept}
    return MatchedOrder(lines, doubtful, [f"ordered:{key}" for key, _ in positions if key not in compared_keys])


def find_line(
    placed: PlacedRow, kept: list[tuple[tuple[str, Row], Line]], meanings: dict[str, set[str]]
) -> tuple[Line | None, str | None]:
    """The only line that a row fits, or the SKU that it is for after all."""
    states, row, sku = placed.states, placed.row, placed.sku
    identifiers = [first_text(position, "positionIdentifier") for (_, position), _ in kept]
    identifier = first_text(row, "positionIdentifier") if states != "planned" else None
    found = [line for (_, line), its in zip(kept, identifiers, strict=True) if identifier and its == identifier]
    if len(found) != 1:
        found = [line for _, line in kept if sku and line.sku == sku]
    if len(found) == 1:
        return found[0], sku
    identifier = as_it_is_written(identifier, identifiers)
    found = [line for (_, line), its in zip(kept, identifiers, strict=True) if identifier and its == identifier]
    if len(found) != 1:
        names = [as_it_is_written(name, meanings) for name in (sku, first_text(row, "warehouseSku"))]
        meant = [meanings.get(name or "", set()) for name in names]
        sku = next((min(skus) for skus in meant if len(skus) == 1), names[0])
        found = [line for _, line in kept if sku and line.sku == sku]
    lot = first_text(row, "lot") if states != "packed" else None
    if len(found) != 1 and lot:
        lot = as_it_is_written(lot, [line.lot for _, line in kept])
        found = [line for line in found if line.lot == lot]
    return (found[0] if len(found) == 1 else None), sku


def as_it_is_written(name: str | None, known: Iterable[str | None]) -> str | None:
    """The only one of the known names that is written like this one; else the name itself."""
    names = {other for other in known if other}
    if not name or name in names:
        return name
    alike = [other for other in names if written_form(other) == written_form(name)]
    return alike[0] if len(alike) == 1 else name


def take_lost_rows(lost: list[PlacedRow], compared: list[Line]) -> list[Line]:
    """The lines after the rows that fit several or none: a pool of those of the SKU, or a line of nobody's order.

    Reversed rows pool nothing, and come last.
    """
    lines = list(compared)
    for placed in lost:
        same = [line for line in lines if line.sku == placed.sku and (placed.sku or line not in compared)]
        if not same:
            lines.append(home := Line(placed.sku))
        elif placed.states == "reversed":
            home = same[0]
        else:
            home = merge_lines(same)
            lines = [line for line in lines if line is home or line not in same]
        home.take(placed)
    return lines


def lines_to_compare(
    positions: list[tuple[str, Row]], plan: list[Row], bundle_of: list[str | None], goods: set[str | None]
) -> list[tuple[tuple[str, Row], Line]]:
    """The positions without bundles that stand for their parts, or without those parts."""
    heads_of: list[list[Row]] = [
        [
            head for _, head in positions
            if head is not part and first_text(part, "bundledBy")
            and first_text(part, "bundledBy") in (first_text(head, "sku"), first_text(head, "positionIdentifier"))
        ]
        for _, part in positions
    ]  # fmt: skip
    sure = {first_text(head, "sku") for heads in heads_of for head in heads}
    sure |= {bundle for row, bundle in zip(plan, bundle_of, strict=True) if bundle and first_text(row, "bundleSku")}
    whole = sure & goods
    in_parts = ((sure | set(bundle_of)) - whole) - {None}
    kept = []
    for (key, position), heads in zip(positions, heads_of, strict=True):
        line = Line(first_text(position, "sku"), first_text(position, "lot"))
        if line.sku not in in_parts and not any(first_text(head, "sku") in whole for head in heads):
            line.take(PlacedRow("ordered", key, position, line.sku))
            line.ordered_as_part = bool(first_text(position, "bundledBy"))
            kept.append(((key, position), line))
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
        for what, pieces in other.pieces.items():
            first.pieces[what] += pieces
        first.keys += other.keys
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
