"""Measures for BI tools, put together from a few expressions, each of which is one plain function of each tool.

They are data: each export writes them in the language of its tool, and a test computes the same from exported files.
"""

from __future__ import annotations

from typing import NamedTuple


class RowCount(NamedTuple):
    """How many rows."""

    table: str


class Aggregate(NamedTuple):
    """A plain aggregate of a column; nulls (BLANK) do not count: SUM, COUNT, AVERAGE or MAX."""

    function: str
    table: str
    column: str


class Percentile(NamedTuple):
    """The value below which a share of the values is, interpolated between two values; nulls do not count."""

    share: float
    table: str
    column: str


class SumOfOneCurrency(NamedTuple):
    """The sum of an amount; BLANK where the rows are of several currencies."""

    table: str
    column: str


class Share(NamedTuple):
    """A measure divided by another; BLANK where that is 0."""

    part: str
    whole: str


class Difference(NamedTuple):
    """A measure less others."""

    whole: str
    parts: tuple[str, ...]


class ByOtherDate(NamedTuple):
    """A measure by another date of its table than the one that is related to the calendar by default."""

    measure: str
    table: str
    column: str


Expression = RowCount | Aggregate | Percentile | SumOfOneCurrency | Share | Difference | ByOtherDate


class Measure(NamedTuple):
    """A measure: what it computes, how it is written, the folder that shows it, and what it means."""

    expression: Expression
    written: str
    folder: str
    meaning: str


WHOLE, RATE, DAYS, MONEY = "#,0", "0.0 %", "#,0.00", "#,0.00"
"""How measures are written: format strings."""


def _sum_of(table: str, column: str) -> Aggregate:
    return Aggregate("SUM", table, column)


_ONE_CURRENCY = "BLANK where orders of several currencies are added up: filter or group by the currency."
TABLE_MEASURES: dict[str, dict[str, Measure]] = {
    "overview": {
        "Order count": Measure(RowCount("overview"), WHOLE, "Orders", "How many orders."),
        "Order value": Measure(
            SumOfOneCurrency("overview", "value"), MONEY, "Orders", f"Net amounts of the orders. {_ONE_CURRENCY}"
        ),
        "Open order value": Measure(
            SumOfOneCurrency("overview", "open_value"), MONEY, "Orders", f"Net amounts of what is open. {_ONE_CURRENCY}"
        ),
        "Orders by last shipment": Measure(
            ByOtherDate("Order count", "overview", "shipped_day"), WHOLE, "Orders by other dates",
            "How many orders, by the day on which their last shipment left.",
        ),
        "Orders by last delivery": Measure(
            ByOtherDate("Order count", "overview", "delivered_day"), WHOLE, "Orders by other dates",
            "How many orders, by the day on which their last shipment was delivered.",
        ),
        "Orders by completion": Measure(
            ByOtherDate("Order count", "overview", "completed_day"), WHOLE, "Orders by other dates",
            "How many orders, by the day on which they were completed.",
        ),
        "Orders to be shipped": Measure(
            ByOtherDate("Order count", "overview", "latest_ship_date"), WHOLE, "Orders by other dates",
            "How many orders, by the last day on which they may be shipped.",
        ),
        "Orders to be delivered": Measure(
            ByOtherDate("Order count", "overview", "latest_delivery_date"), WHOLE, "Orders by other dates",
            "How many orders, by the last day on which they may be delivered.",
        ),
    },
    "lines": {
        "Line count": Measure(RowCount("lines"), WHOLE, "Lines", "How many lines, also those that nobody ordered."),
        "Pieces ordered": Measure(_sum_of("lines", "ordered"), WHOLE, "Lines", "Pieces that the lines ask for."),
        "Pieces planned": Measure(_sum_of("lines", "planned"), WHOLE, "Lines", "Pieces in fulfillment orders."),
        "Pieces shipped": Measure(
            _sum_of("lines", "shipped"), WHOLE, "Lines", "Pieces in shipments that were not reversed."
        ),
        "Pieces packed": Measure(_sum_of("lines", "packed"), WHOLE, "Lines", "Pieces in handling units."),
        "Pieces reversed": Measure(_sum_of("lines", "reversed"), WHOLE, "Lines", "Pieces in reversed shipments."),
        "Pieces open": Measure(_sum_of("lines", "open"), WHOLE, "Lines", "Pieces that were ordered and not shipped."),
        "Line value": Measure(
            SumOfOneCurrency("lines", "value"), MONEY, "Lines", f"Net amounts of the lines. {_ONE_CURRENCY}"
        ),
        "Open line value": Measure(
            SumOfOneCurrency("lines", "open_value"), MONEY, "Lines", f"Net amounts of what is open. {_ONE_CURRENCY}"
        ),
    },
    "milestones": {
        "Mean days to ship": Measure(
            Aggregate("AVERAGE", "milestones", "days_to_ship"), DAYS, "Milestones",
            "Mean days from placing to shipping."
        ),
        "Mean days to deliver": Measure(
            Aggregate("AVERAGE", "milestones", "days_to_deliver"), DAYS, "Milestones",
            "Mean days from the last shipment to its delivery.",
        ),
    },
    "events": {"Event count": Measure(RowCount("events"), WHOLE, "Events", "How many events.")},
}  # fmt: skip
"""The measures of the tables that every Power BI export has, by table and name."""
