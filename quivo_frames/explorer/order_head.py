"""What is said of one order first: what it is, how far it came, and how late it is, in words."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from quivo_frames.analysis.report.sheets import format_amount
from quivo_frames.display.text import format_count, terminal_text
from quivo_frames.explorer.order_cells import value_text
from quivo_frames.explorer.order_places import Cell
from quivo_frames.explorer.order_rows import OrderRows
from quivo_frames.explorer.order_timeline_svg import describe_days
from quivo_frames.model.tables import TABLES

MOST_LISTED = 50


class HeadFact(NamedTuple):
    """A fact with its name, and its cell where it is a single one."""

    name: str
    text: str
    cell: Cell | None = None


class OrderHead(NamedTuple):
    """The head of the page of an order."""

    stage: str
    lateness: str
    is_late: bool
    facts: list[HeadFact]


def describe_head(rows: OrderRows) -> OrderHead:
    """The head of the page of an order."""
    order, overview = rows.order, rows.derived_row("overview")
    money = f"{format_amount(overview['value'])} {terminal_text(overview['currency'] or '')}".strip()
    open_money = f", {format_amount(overview['open_value'])} of it open" if overview["open_value"] else ""
    own = [
        ("Status", "order_status"), ("Identifier", "order_identifier"), ("Reference", "order_reference"),
        ("Purchase order", "customer_purchase_order_number"), ("Customer", "customer_identifier"),
    ]  # fmt: skip
    facts = [_own_fact(order, name, column) for name, column in own if order.get(column) is not None]
    facts += [
        HeadFact("Seller", _with_number(order["seller_name"], order["seller_id"])),
        HeadFact("Shop", _with_number(order["shop_system_name"] or order["shop_system"], order["shop_id"])),
        HeadFact("Warehouse", terminal_text(overview["warehouse"] or "")),
        HeadFact("Carrier", terminal_text(overview["carrier"] or "")),
        HeadFact("Value", f"{money}{open_money}" if overview["value"] is not None else ""),
        HeadFact("Deliver to", _destination(order, personal=rows.personal)),
        HeadFact("Shipping method", _text(order, "shipping_method_name", "shipping_method_identifier")),
        HeadFact("Pieces", _pieces(overview)),
    ]  # fmt: skip
    sentence, is_late = _lateness(rows)
    return OrderHead(overview["stage"], sentence, is_late, [fact for fact in facts if fact.text])


def _text(order: Any, *names: str) -> str:
    return next((terminal_text(order[name]) for name in names if order[name]), "")


def _own_fact(order: Any, name: str, column: str) -> HeadFact:
    return HeadFact(name, value_text(order[column]), Cell("orders", str(order["order_id"]), column))


def _with_number(name: str | None, number: int | None) -> str:
    known = [terminal_text(name)] if name else []
    if number is not None:
        known.append(f"({number})" if name else str(number))
    return " ".join(known)


def _destination(order: Any, *, personal: bool) -> str:
    columns = ["delivery_address_zip", "delivery_address_city", "delivery_address_country"]
    if personal:
        columns = ["delivery_address_name1", "delivery_address_company", "delivery_address_address1", *columns]
    return ", ".join(terminal_text(order[column]) for column in columns if order.get(column))


def _pieces(overview: Any) -> str:
    counted = [f"{overview[name]:,} {name}" for name in ("ordered", "planned", "shipped", "packed") if overview[name]]
    if overview["open"]:
        counted.append(f"{overview['open']:,} open")
    return ", ".join(counted)


def _lateness(rows: OrderRows) -> tuple[str, bool]:
    """How late the order is, in a sentence, and whether it is late."""
    overview, known = rows.derived_row("overview"), rows.order["fetched_at"]
    late, by_delivery, by_shipping = (
        overview["days_late"],
        overview["latest_delivery_date"],
        overview["latest_ship_date"],
    )
    if overview["stage"] == "called off":
        return "It was called off: nothing is late.", False
    done, by, verb = overview["delivered_last"], by_delivery, "delivered"
    if by is None or (done is None and known is None):
        done, by, verb = overview["shipped_last"], by_shipping, "shipped"
    if late is None or by is None:
        return "No last day is promised, or nobody knows up to when the order is known: it cannot be late.", False
    if done is not None:
        at = f"{verb.capitalize()} on {done:%Y-%m-%d}"
        return (f"{at}, {describe_days(late)} late: the last day was {by}.", True) if late else (
            f"{at}, in time: the last day was {by}.", False)  # fmt: skip
    as_of: date = known.date()
    if late:
        return f"Not {verb} when Quivo answered on {as_of}, {describe_days(late)} after the last day, {by}.", True
    return f"Not {verb} yet when Quivo answered on {as_of}; the last day is {by}.", False


class FactList(NamedTuple):
    """Entries of one kind: tags, errors, attributes, what the build noticed."""

    title: str
    entries: list[HeadFact]
    hidden: int
    note: str = ""


def list_further_facts(rows: OrderRows) -> list[FactList]:
    """Tags, errors that Quivo attached, custom attributes, and what the build noticed in the order."""
    lists = [
        _list_rows(rows, "order_tags", "Tags", "tag"),
        _list_rows(rows, "order_errors", "Errors attached to the order", "error_message", "error_code"),
        _list_rows(rows, "custom_attributes", "Custom attributes", "value", "key"),
        _list_notes(rows),
    ]
    return [one for one in lists if one.entries]


def _list_rows(rows: OrderRows, name: str, title: str, column: str, naming: str = "") -> FactList:
    frame, key = rows.tables[name], TABLES[name].key
    entries = []
    for row in frame.head(MOST_LISTED).iter_rows(named=True):
        there = row.get(column) is not None
        text = value_text(row[column]) if there else "" if column in row else "not shown"
        named = value_text(row[naming]) if naming and row[naming] is not None else ""
        shown = column if there else naming
        entries.append(
            HeadFact(named, text, Cell(name, row[key], shown) if shown and row.get(shown) is not None else None)
        )
    return FactList(title, entries, max(frame.height - MOST_LISTED, 0))


def _list_notes(rows: OrderRows) -> FactList:
    if rows.noticed.is_empty():
        return FactList("", [], 0)
    noted = rows.noticed.select("path", "kind", "count", "message").unique(maintain_order=True)
    entries = [
        HeadFact(terminal_text(path), f"{terminal_text(kind).replace('_', ' ')}" + (
            f", {format_count(count, 'time')}" if count > 1 else ""))
        for path, kind, count, _ in noted.head(MOST_LISTED).iter_rows()
    ]  # fmt: skip
    return FactList("What the build noticed in it", entries, max(noted.height - MOST_LISTED, 0))
