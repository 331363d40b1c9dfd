"""The orders as lists show them: one row an order, filtered, sorted and cut into pages."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import polars as pl

from quivo_frames.analysis.checks.check import Severity
from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.derived_tables import overview
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.text_columns import name_or_number
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.model.carriers import carrier_of

PAGE_ROWS = 50
GROUPS = ("seller", "warehouse", "carrier", "order_status", "stage", "month", "week")
"""The columns with few values by which lists are filtered: each has a select."""
JOINED = ("warehouse", "carrier")
"""Those in which an order may have several names, joined by a comma."""
OPEN_STAGES = ("open", "planned", "shipped in part")
"""Of open orders something is still to be shipped."""
SORTS = {"late": "days_late", "value": "value", "placed": "placed", "order": "order_id"}
"""What lists are sorted by, in the words of addresses, with the column."""
_SEPARATOR = ", "
_LISTED = ("seller", "warehouse", "carrier", "order_status", "stage", "country", "currency")
"""The columns of `overview` with few values."""
_PERIODS = {"month": ("1mo", "%Y-%m"), "week": ("1w", "%G-W%V")}
_COUNTS = ("lines", "ordered", "shipped", "open", "days_late")


@dataclass(frozen=True)
class OrderFilter:
    """Which orders a list has; what is empty asks for nothing."""

    groups: Mapping[str, str] = field(default_factory=dict)
    """The wanted value of columns of GROUPS."""
    since: date | None = None
    until: date | None = None
    late: bool = False
    open: bool = False
    check: str = ""

    def without_filter(self, column: str) -> OrderFilter:
        """The same, but for one of GROUPS, or for the check."""
        rest = {name: value for name, value in self.groups.items() if name != column}
        return replace(self, groups=rest, check="" if column == "check" else self.check)


class OrdersByCheck:
    """Which orders an audit found something in: by check, and how many findings of each severity an order has.

    Accepted findings do not count.
    """

    def __init__(self, findings: Findings, order_ids: pl.Series) -> None:
        places = pl.DataFrame({"order_id": order_ids}).with_row_index("place")
        found = findings.unaccepted().select("order_id", "check", "severity").join(places, on="order_id")
        by_check = found.select("check", "place").unique().sort("check", "place")
        self.places: dict[str, pl.Series] = {
            str(check): rows["place"] for (check,), rows in by_check.partition_by("check", as_dict=True).items()
        }
        """The places of the orders in the list, by check."""
        counted = found.group_by("order_id").agg(
            (pl.col("severity") == str(severity)).sum().cast(pl.Int32).alias(str(severity)) for severity in Severity
        )
        self.counts = counted.sort("order_id")
        """One row an order with findings: how many there are of each severity."""


class OrderList:
    """All orders of a dataset, one row each, in little memory: see `read_order_list`."""

    def __init__(self, rows: pl.DataFrame, values: Mapping[str, Mapping[str, frozenset[str]]]) -> None:
        self.rows = rows
        self._values = values
        """For each of GROUPS, its names, and the values of its column that have them."""
        self._lock = threading.Lock()
        self._places: dict[tuple[str, bool], pl.Series] = {}
        self._by_check: tuple[Findings, OrdersByCheck] | None = None

    def sorted_places(self, sort: str, *, descending: bool) -> pl.Series:
        """The places of all rows, sorted by one of SORTS; unknown values last, then by order."""
        with self._lock:
            if (found := self._places.get((sort, descending))) is None:
                order = pl.arg_sort_by(SORTS[sort], "order_id", descending=[descending, False], nulls_last=True)
                found = self._places[sort, descending] = self.rows.select(order).to_series()
            return found

    def by_check(self, findings: Findings) -> OrdersByCheck:
        """Which orders the findings are of."""
        with self._lock:
            if self._by_check is None or self._by_check[0] is not findings:
                self._by_check = findings, OrdersByCheck(findings, self.rows["order_id"])
            return self._by_check[1]

    def match_rows(self, wanted: OrderFilter, by_check: OrdersByCheck | None = None) -> pl.Series:
        """For each row, whether a filter lets it through; without `by_check`, a check lets nothing through."""
        conditions = [self._has_name(column, name) for column, name in wanted.groups.items() if name]
        if wanted.since:
            conditions.append(pl.col("placed").dt.date() >= wanted.since)
        if wanted.until:
            conditions.append(pl.col("placed").dt.date() <= wanted.until)
        if wanted.late:
            conditions.append(pl.col("days_late") > 0)
        if wanted.open:
            conditions.append(pl.col("stage").cast(pl.String).is_in(OPEN_STAGES))
        met = pl.all_horizontal(conditions).fill_null(value=False) if conditions else pl.lit(value=True)
        found = self.rows.select(pl.repeat(value=True, n=pl.len()).alias("is_wanted") & met).to_series()
        if wanted.check:
            places = None if by_check is None else by_check.places.get(wanted.check)
            found &= self.at_places(pl.Series(dtype=pl.UInt32) if places is None else places)
        return found

    def at_places(self, places: pl.Series) -> pl.Series:
        """For each row, whether its place is among these."""
        return pl.repeat(value=False, n=self.rows.height, eager=True).scatter(places, values=True)

    def with_ids(self, order_ids: pl.Series) -> pl.Series:
        """For each row, whether its order is among these."""
        return self.rows["order_id"].is_in(order_ids.implode())

    def count_names(self, column: str, is_wanted: pl.Series) -> dict[str, int]:
        """How many of the wanted rows have each name of one of GROUPS, in alphabetical order."""
        counted = dict(self.rows[column].filter(is_wanted).drop_nulls().value_counts().iter_rows())
        names = self._values[column]
        return {name: sum(counted.get(value, 0) for value in values) for name, values in names.items()}

    def _has_name(self, column: str, name: str) -> pl.Expr:
        values = sorted(self._values[column].get(name, ()))
        dtype = self.rows.schema[column]
        return pl.col(column).is_in(pl.Series(values, dtype=dtype).implode())


def read_order_list(dataset: Dataset) -> OrderList:
    """One row an order, with what lists of orders show, filter and sort by.

    Columns of the derived table `overview`, of which those with few values are enumerations, and: order_reference, the
    month (2026-06) and the ISO week (2026-W23) in which it was placed.
    """
    stored = dataset.lazy("overview") if "overview" in dataset.derived else overview(dataset).lazy()
    references = dataset.lazy("orders").select("order_id", "order_reference")
    lean = stored.join(references, on="order_id", how="left", maintain_order="left").select(
        "order_id", "order_identifier", "order_reference", pl.col(_LISTED).cast(pl.Categorical),
        "value", "open_value", pl.col(_COUNTS).cast(pl.Int32, strict=False), "placed", "latest_delivery_date",
    ).collect(engine="streaming")  # fmt: skip
    values = {column: lean[column].unique().drop_nulls().cast(pl.String).sort() for column in _LISTED}
    lean = lean.with_columns(pl.col(column).cast(pl.Enum(values[column])) for column in _LISTED)
    for column, (every, label) in _PERIODS.items():
        starts = lean["placed"].dt.date().dt.truncate(every)
        known = starts.drop_nulls().unique().sort()
        values[column] = known.dt.strftime(label)
        lean = lean.with_columns(
            starts.replace_strict(known, values[column], return_dtype=pl.Enum(values[column])).alias(column)
        )
    lean = lean.rechunk()
    view = OrderView(dataset)
    named = {
        "warehouse": view["fulfillment_orders"].select(name_or_number("warehouse_name", "warehouse_id")),
        "carrier": view["shipments"].select(carrier_of(view.usual_providers).alias("carrier")),
    }
    names = {column: set(named[column].unique().collect().to_series().drop_nulls()) for column in JOINED}
    return OrderList(lean, {column: _values_by_name(values[column], names.get(column)) for column in GROUPS})


def _values_by_name(values: Iterable[str], names: set[str] | None) -> dict[str, frozenset[str]]:
    """The values of a column by the names that are in them; each value is a name, if the names are not given."""
    if names is None:
        return {value: frozenset([value]) for value in values}
    found: dict[str, set[str]] = {}
    for value in values:
        for name in _names_within(value, names):
            found.setdefault(name, set()).add(value)
    return {name: frozenset(found[name]) for name in sorted(found)}


def _names_within(value: str, names: set[str]) -> set[str]:
    """The names that are joined in a value; a name may have a comma itself."""
    parts = value.split(_SEPARATOR)
    runs = (
        _SEPARATOR.join(parts[start:end]) for start in range(len(parts)) for end in range(start + 1, len(parts) + 1)
    )
    return {run for run in runs if run in names} or {value}
