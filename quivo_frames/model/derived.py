"""The derived tables: what belongs to what in an order, and when it happened, worked out once from its 18 tables.

Each row depends on its own order alone, so that a build can derive them for any part of the orders.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, NamedTuple

from quivo_frames.model.tables import TABLES, Reference, Table, table_of_named_tuple

_PIECES, _UTC, _CURRENCY, _DAYS = "pieces", "UTC", "currency of the order", "days"
UNKNOWN_CARRIER = "unknown"
"""The carrier of a shipment that names none."""


class LineQuantities(NamedTuple):
    """One row of `lines`: an ordered line, or what belongs to none.

    Every piece of the tables is counted in one row, so that sums over any rows are right. Quantities are those that the
    order states; `certain` says whether they are all of this line's.
    """

    line_key: Annotated[str, "The line: its order_position_key; what belongs to no ordered line has a key of its own."]
    order_id: Annotated[int, "The order."]
    order_position_key: Annotated[str | None, "The ordered line; null for what belongs to none."]
    pool_key: Annotated[
        str | None, "The first of the lines that it cannot be told apart from: only their sums are certain."
    ]
    position_identifier: Annotated[str | None, "Identifier of the ordered line."]
    sku: Annotated[str | None, "SKU that was ordered; of what belongs to no ordered line, its own."]
    name: Annotated[str | None, "Name of the article."]
    lot: Annotated[str | None, "Lot that was asked for."]
    seller: Annotated[str | None, "Name of the seller, else the number."]
    warehouse: Annotated[str | None, "Name of the first warehouse that plans it, else that of the order's number."]
    carrier: Annotated[str | None, "Carrier of its first shipment; null while nothing of it was shipped."]
    carrier_name: Annotated[str | None, "Name of the carrier as the shipment has it (provider_name)."]
    listed: Annotated[int, "Quantity in the order's list; 0 for what belongs to no ordered line.", _PIECES]
    ordered: Annotated[
        int, "Pieces that the line asks for: as listed, but 0 if they are counted by parts or bundle.", _PIECES
    ]
    planned: Annotated[int, "Pieces in fulfillment orders that are not cancelled.", _PIECES]
    shipped: Annotated[int, "Pieces in shipments that were not reversed.", _PIECES]
    packed: Annotated[int, "Pieces in handling units.", _PIECES]
    reversed: Annotated[int, "Pieces in reversed shipments.", _PIECES]
    open: Annotated[
        int | None,
        "Pieces that were ordered and not shipped; 0 if the order was called off; null if one is not known.",
        _PIECES,
    ]
    is_bundle: Annotated[bool, "Whether the line is a bundle, of which the order or the plan lists the parts."]
    counted_by: Annotated[
        str | None, "parts: a bundle whose parts are counted; bundle: a part of one that is counted as one piece."
    ]
    matched_by: Annotated[
        str | None, "The rule by which its rows were found: the least strict one, as in line_rows; null if it has none."
    ]
    certain: Annotated[
        bool,
        "Whether all quantities are known, and are those of this very line; more than 10^12 pieces count as not known.",
    ]
    currency: Annotated[str | None, "Currency of the order."]
    value: Annotated[Decimal | None, "Net amount of the line, else net price times pieces.", _CURRENCY]
    open_value: Annotated[Decimal | None, "The share of the open pieces in it.", _CURRENCY]


class LineRow(NamedTuple):
    """One row of `line_rows`: an ordered, planned, shipped, reversed or packed row, and the line that it belongs to."""

    line_row_key: Annotated[str, "The row: what it states, and its key."]
    order_id: Annotated[int, "The order."]
    line_key: Annotated[str, "The line that it belongs to; of lines that cannot be told apart, the first."]
    states: Annotated[str, "What its quantity is: ordered, planned, shipped, reversed or packed."]
    found_in: Annotated[str, "The table of the row."]
    found_key: Annotated[str, "Its primary key there."]
    quantity: Annotated[int | None, "Its quantity.", _PIECES]
    matched_by: Annotated[
        str | None,
        "The rule: position_identifier, sku, sku+lot, planned_for (a substitute, a part of a bundle), "
        "warehouse_sku, each perhaps followed by ', normalized' (written differently), or pool; null for ordered rows, "
        "and for those that belong to no ordered line.",
    ]
    certain: Annotated[bool, "Whether it belongs to that very line; false in a pool, and where it may be of another."]


class OrderOverview(NamedTuple):
    """One row of `overview`: an order in one row."""

    order_id: Annotated[int, "The order."]
    order_identifier: Annotated[str | None, "Identifier of the order, presumably the shop's."]
    order_status: Annotated[str | None, "Status of the order, as Quivo has it."]
    stage: Annotated[
        str, "How far it came: called off, completed, delivered, shipped, shipped in part, planned, or open."
    ]
    seller: Annotated[str | None, "Name of the seller, else the number."]
    warehouse: Annotated[str | None, "Names of its warehouses, in alphabetical order."]
    carrier: Annotated[str | None, "Carriers of its shipments, in alphabetical order; null if nothing was shipped."]
    country: Annotated[str | None, "Country of delivery."]
    currency: Annotated[str | None, "Currency of the order."]
    value: Annotated[
        Decimal | None,
        "Net amounts of its lines; null if a line states none, or if they have over 14 digits.",
        _CURRENCY,
    ]
    open_value: Annotated[Decimal | None, "Net amount of what is open.", _CURRENCY]
    lines: Annotated[int, "Ordered lines; a bundle counts as its parts if these are counted.", "lines"]
    ordered: Annotated[int, "Pieces that were ordered.", _PIECES]
    planned: Annotated[int, "Pieces in fulfillment orders that are not cancelled.", _PIECES]
    shipped: Annotated[int, "Pieces in shipments that were not reversed.", _PIECES]
    packed: Annotated[int, "Pieces in handling units.", _PIECES]
    reversed: Annotated[int, "Pieces in reversed shipments.", _PIECES]
    open: Annotated[int | None, "Pieces that were ordered and not shipped; null if that is not certain.", _PIECES]
    certain: Annotated[bool, "Whether all quantities are known."]
    fulfillment_orders: Annotated[int, "Fulfillment orders that are not cancelled.", "fulfillment orders"]
    shipments: Annotated[int, "Shipments that were not reversed.", "shipments"]
    handling_units: Annotated[int, "Handling units that are in no other.", "handling units"]
    placed: Annotated[datetime | None, "When the customer ordered, else when the order was created.", _UTC]
    latest_ship_date: Annotated[date | None, "Last day on which it may be shipped."]
    shipped_last: Annotated[datetime | None, "When the last shipment left.", _UTC]
    latest_delivery_date: Annotated[date | None, "Last day on which it may be delivered."]
    delivered_last: Annotated[datetime | None, "When the last shipment was delivered; null while one is not.", _UTC]
    completed_at: Annotated[datetime | None, "When the order was completed.", _UTC]
    days_late: Annotated[
        int | None,
        "Days of UTC from the last day for delivery, else for shipping, to when it was, else to the "
        "answer; 0 if that is in time, null without such a day or if the order was called off.",
        _DAYS,
    ]


class OrderMilestones(NamedTuple):
    """One row of `milestones`: when an order came how far, and the time between."""

    order_id: Annotated[int, "The order."]
    known_at: Annotated[datetime | None, "When Quivo's answer arrived: nothing later is known.", _UTC]
    placed: Annotated[datetime | None, "When the customer ordered, else when the order was created.", _UTC]
    exported_at: Annotated[datetime | None, "When the order was exported.", _UTC]
    planned: Annotated[datetime | None, "When its first fulfillment order was created.", _UTC]
    shipped_first: Annotated[datetime | None, "When its first shipment left.", _UTC]
    shipped_last: Annotated[datetime | None, "When its last shipment left.", _UTC]
    delivered_first: Annotated[datetime | None, "When its first shipment was delivered.", _UTC]
    delivered_last: Annotated[datetime | None, "When its last shipment was delivered; null while one is not.", _UTC]
    proven_last: Annotated[datetime | None, "When its last delivery was proven; null while one is not.", _UTC]
    completed_at: Annotated[datetime | None, "When the order was completed.", _UTC]
    cancel_requested_at: Annotated[datetime | None, "When cancellation was requested.", _UTC]
    called_off: Annotated[
        bool, "Whether all its fulfillment orders are cancelled, or cancelling was requested and nothing was shipped."
    ]
    days_to_ship: Annotated[float | None, "From placed to shipped_last; null if one is missing or earlier.", _DAYS]
    days_to_deliver: Annotated[
        float | None, "From shipped_last to delivered_last; null if one is missing or earlier.", _DAYS
    ]
    days_to_complete: Annotated[float | None, "From placed to completed_at; null if one is missing or earlier.", _DAYS]


class OrderEvent(NamedTuple):
    """One row of `events`: something that happened to an order."""

    event_key: Annotated[str, "The event: what happened, and the key of its row."]
    order_id: Annotated[int, "The order."]
    event: Annotated[
        str,
        "What happened: ordered, created, exported, cancellation requested, planned, shipped, picked up, "
        "delivered, proven or completed; for reversed shipments, with 'reversed: ' before it.",
    ]
    at: Annotated[datetime, "When; of a day, its midnight.", _UTC]
    precision: Annotated[str, "day if only the day is known (the value is a midnight), else instant."]
    table: Annotated[str, "The table that has it."]
    key: Annotated[str, "The key of its row there; of orders, the order's number."]
    column: Annotated[str, "The column that has it."]
    value: Annotated[str | None, "Of shipments the carrier, of fulfillment orders the warehouse, else null."]


def _derived_table(name: str, grain: str, row_type: type, key: str, **more: str) -> Table:
    """A derived table; `more` names tables that further columns refer to, by columns that are called the same."""
    table = table_of_named_tuple(name, grain, row_type, key)
    own = tuple(Reference(column, to, column) for column, to in more.items())
    return replace(table, references=(*table.references, *own))


DERIVED_TABLES: dict[str, Table] = {
    "lines": _derived_table(
        "lines", "ordered line, and per SKU of an order that no line asks for", LineQuantities, "line_key"
    ),
    "line_rows": _derived_table(
        "line_rows", "ordered, planned, shipped, reversed or packed row", LineRow, "line_row_key", line_key="lines"
    ),
    "overview": _derived_table("overview", "order", OrderOverview, "order_id"),
    "milestones": _derived_table("milestones", "order", OrderMilestones, "order_id"),
    "events": _derived_table("events", "event of an order", OrderEvent, "event_key"),
}
"""All derived tables by name."""


def dataset_tables(*, derived: bool) -> dict[str, Table]:
    """The tables of a dataset by name: the 18, then the derived ones if it has them."""
    return TABLES | DERIVED_TABLES if derived else dict(TABLES)
