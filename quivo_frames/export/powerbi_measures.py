"""Measures of a Power BI model, put together from a few expressions, each of which is one plain function of DAX.

They are data, so that a test can compute the same from the exported files and compare: nothing here can run DAX.
"""

from __future__ import annotations

from typing import NamedTuple


class RowCount(NamedTuple):
    """How many rows."""

    table: str

    def dax(self) -> str:
        """The expression in DAX."""
        return f"COUNTROWS('{self.table}')"


class Aggregate(NamedTuple):
    """A plain aggregate of a column; nulls (BLANK) do not count: SUM, COUNT, AVERAGE or MAX."""

    function: str
    table: str
    column: str

    def dax(self) -> str:
        """The expression in DAX."""
        return f"{self.function}({_column(self)})"


class Percentile(NamedTuple):
    """The value below which a share of the values is, interpolated between two values; nulls do not count."""

    share: float
    table: str
    column: str

    def dax(self) -> str:
        """The expression in DAX."""
        column = _column(self)
        return f"CALCULATE(PERCENTILE.INC({column}, {self.share}), KEEPFILTERS(NOT(ISBLANK({column}))))"


class SumOfOneCurrency(NamedTuple):
    """The sum of an amount; BLANK where the rows are of several currencies."""

    table: str
    column: str

    def dax(self) -> str:
        """The expression in DAX."""
        return f"IF(HASONEVALUE('{self.table}'[currency]), SUM({_column(self)}))"


class Share(NamedTuple):
    """A measure divided by another; BLANK where that is 0."""

    part: str
    whole: str

    def dax(self) -> str:
        """The expression in DAX."""
        return f"DIVIDE([{self.part}], [{self.whole}])"


class Difference(NamedTuple):
    """A measure less others."""

    whole: str
    parts: tuple[str, ...]

    def dax(self) -> str:
        """The expression in DAX."""
        return " - ".join(f"[{name}]" for name in (self.whole, *self.parts))


class ByOtherDate(NamedTuple):
    """A measure by another date of its table than the one that is related to the calendar by default."""

    measure: str
    table: str
    column: str

    def dax(self) -> str:
        """The expression in DAX."""
        return f"CALCULATE([{self.measure}], USERELATIONSHIP({_column(self)}, 'date'[date]))"


Expression = RowCount | Aggregate | Percentile | SumOfOneCurrency | Share | Difference | ByOtherDate


class Measure(NamedTuple):
    """A measure: what it computes, how it is written, the folder that shows it, and what it means."""

    expression: Expression
    written: str
    folder: str
    meaning: str


WHOLE, RATE, DAYS, MONEY = "#,0", "0.0 %", "#,0.00", "#,0.00"
"""How measures are written: format strings."""


def _column(named: Aggregate | Percentile | SumOfOneCurrency | ByOtherDate) -> str:
    return f"'{named.table}'[{named.column}]"


def _sum(table: str, column: str) -> Aggregate:
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
        "Pieces ordered": Measure(_sum("lines", "ordered"), WHOLE, "Lines", "Pieces that the lines ask for."),
        "Pieces planned": Measure(_sum("lines", "planned"), WHOLE, "Lines", "Pieces in fulfillment orders."),
        "Pieces shipped": Measure(
            _sum("lines", "shipped"), WHOLE, "Lines", "Pieces in shipments that were not reversed."
        ),
        "Pieces packed": Measure(_sum("lines", "packed"), WHOLE, "Lines", "Pieces in handling units."),
        "Pieces reversed": Measure(_sum("lines", "reversed"), WHOLE, "Lines", "Pieces in reversed shipments."),
        "Pieces open": Measure(_sum("lines", "open"), WHOLE, "Lines", "Pieces that were ordered and not shipped."),
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
"""The measures of the tables that every export has, by table and name."""
