"""Finds orders by what people have in hand: an order's number, its identifier, a tracking number, an SSCC."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import polars as pl

from quivo_frames.analysis.identifiers import comparison_form, sscc_digits, stated_value
from quivo_frames.analysis.report.sheets import make_sheet
from quivo_frames.analysis.terminal_sheets import open_console, print_sheet
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.text import format_count, print_text, terminal_text
from quivo_frames.errors import ConfigError
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.model.tables import TABLES

ORDER_NUMBER = "order number"


def _columns_named(*names: str) -> tuple[tuple[str, str], ...]:
    """All columns with these names, each with its table before it."""
    return tuple((table.name, name) for table in TABLES.values() for name in names if name in table.schema)


SearchedColumns = Mapping[str, tuple[tuple[str, str], ...]]
SSCC = "SSCC"
SEARCHED: dict[str, tuple[tuple[str, str], ...]] = {
    "order identifier": _columns_named("order_identifier"),
    "order reference": _columns_named("order_reference"),
    "customer's purchase order": _columns_named("customer_purchase_order_number"),
    "tracking number": _columns_named("tracking_number"),
    SSCC: _columns_named("sscc"),
}
"""What is searched besides the numbers of orders, in words: tables and their columns. Few orders share a value."""
SEARCHED_IN_LISTS: SearchedColumns = SEARCHED | {
    "serial number": _columns_named("serial_number"),
    "SKU": _columns_named("sku", "warehouse_sku", "seller_sku"),
    "city": _columns_named("delivery_address_city", "invoice_address_city"),
    "tag": _columns_named("tag"),
}
"""What lists of orders are searched by: also what many orders share."""
_MOST_HITS = 100
"""At most this many orders are listed."""


def find_orders(dataset: Dataset, wanted: str) -> pl.DataFrame:
    """The orders that a text names: order_id, found_as (in words), order_identifier, order_status, placed.

    Texts are compared as identifiers are: in upper case, without outer white space and invisible characters, SSCCs
    without their application identifier. An order whose number it is comes alone.
    """
    number = read_order_number(wanted)
    orders = dataset.lazy("orders")
    is_number = pl.col("order_id") == pl.lit(number, pl.Int64)
    found = orders.filter(is_number).select("order_id", found_as=pl.lit(ORDER_NUMBER)).collect()
    if found.is_empty():
        hits = [
            _rows_with(dataset.lazy(table), column, wanted, words).select("order_id", found_as=pl.lit(words))
            for words, columns in SEARCHED.items()
            for table, column in columns
        ]
        found = pl.concat(pl.collect_all(hits))
    named = found.group_by("order_id").agg(pl.col("found_as").unique(maintain_order=True).str.join(", ")).lazy()
    described = orders.select(
        "order_id", "order_identifier", "order_status", placed=pl.coalesce("order_date", "created")
    )
    return named.join(described, on="order_id", how="left").sort("order_id").collect()


def read_order_number(wanted: str) -> int | None:
    """The number that a text is, if it can be that of an order."""
    number = int(wanted) if re.fullmatch(r"-?\d{1,19}", wanted, re.ASCII) else None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def term_form(words: str) -> Callable[[pl.Expr], pl.Expr]:
    """The form in which values of something that is searched are compared; null where they state nothing."""
    return sscc_digits if words == SSCC else lambda text: comparison_form(stated_value(text))


def _rows_with(rows: pl.LazyFrame, column: str, wanted: str, words: str) -> pl.LazyFrame:
    form = term_form(words)
    return rows.filter(form(pl.col(column)) == form(pl.lit(wanted)))


def print_orders(found: pl.DataFrame, wanted: str) -> None:
    """Print several orders that a text names."""
    print_text(
        f"{format_count(found.height, 'order')} have {terminal_text(wanted)}. Give the number of one:", bold=True
    )
    placed = pl.col("placed").dt.strftime("%Y-%m-%d")
    shown = found.head(_MOST_HITS).with_columns(pl.col("order_id").cast(pl.String), placed)
    heads = {"order_id": "order", "found_as": "as its", "order_identifier": "identifier", "order_status": "status"}
    hidden = found.height - shown.height
    note = f"… and {format_count(hidden, 'more order')}; --json has all." if hidden else ""
    print_sheet(open_console(), make_sheet(shown, "", heads | {"placed": "placed"}, note))


def find_order_id(dataset: Dataset, wanted: int | str) -> int:
    """The number of the only order that a number or a text names.

    Raises:
        ConfigError: no order is called so, or several are.
    """
    found = find_orders(dataset, str(wanted).strip())
    if found.is_empty():
        raise ConfigError(explain_nothing_found(dataset, str(wanted)))
    if found.height > 1:
        ids = ", ".join(map(str, found["order_id"].head(10)))
        raise ConfigError(f"{found.height:,} orders are called {wanted}: {ids}. Give the number of one.")
    return int(found["order_id"][0])


def explain_nothing_found(dataset: Dataset, wanted: str) -> str:
    """Why no order is shown: it failed in the build, or nothing in the tables is called so."""
    failed = dataset.failures.filter(pl.col("order_id") == pl.lit(read_order_number(wanted), pl.Int64))
    if failed.height:
        return f"Order {wanted} is in no table of {dataset.address}. {failed['message'][0]}"
    count = dataset.manifest["orders"]["in"]
    level = dataset.level
    hidden = (
        "" if level is PrivacyLevel.FULL else f" Tracking numbers cannot be found: the privacy of these is {level}."
    )
    return (
        f"Order {wanted} is not among the {count:,} orders of {dataset.address} (searched: {ORDER_NUMBER}, "
        f"{', '.join(SEARCHED)}).{hidden} Refetch it, or add the file that has it, and build the tables again."
    )
