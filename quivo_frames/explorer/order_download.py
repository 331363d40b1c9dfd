"""The orders of a list as a file to download."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, NamedTuple

import polars as pl
from starlette.responses import FileResponse

from quivo_frames.analysis.checks.check import Severity
from quivo_frames.explorer.order_list import OrdersByCheck
from quivo_frames.explorer.row_download import send_rows
from quivo_frames.model.tables import cast_to_schema, table_of_named_tuple

_UTC, _CURRENCY = "UTC", "currency of the order"
FINDING_COUNTS = {Severity.ERROR: "errors", Severity.WARNING: "warnings", Severity.INFO: "infos"}


class ListedOrder(NamedTuple):
    """One row of a list of orders."""

    order_id: Annotated[int, "The order."]
    order_identifier: Annotated[str | None, "Identifier of the order, presumably the shop's."]
    order_reference: Annotated[str | None, "Reference of the order."]
    seller: Annotated[str | None, "Name of the seller, else the number."]
    warehouse: Annotated[str | None, "Names of its warehouses, in alphabetical order."]
    carrier: Annotated[str | None, "Carriers of its shipments, in alphabetical order; null if nothing was shipped."]
    country: Annotated[str | None, "Country of delivery."]
    order_status: Annotated[str | None, "Status of the order, as Quivo has it."]
    stage: Annotated[str, "How far it came."]
    placed: Annotated[datetime | None, "When the customer ordered, else when the order was created.", _UTC]
    week: Annotated[str | None, "The ISO week of that."]
    latest_delivery_date: Annotated[date | None, "Last day on which it may be delivered."]
    days_late: Annotated[int | None, "Days after its last day; null without such a day.", "days"]
    currency: Annotated[str | None, "Currency of the order."]
    value: Annotated[Decimal | None, "Net amounts of its lines; null if a line states none.", _CURRENCY]
    open_value: Annotated[Decimal | None, "Net amount of what is open.", _CURRENCY]
    ordered: Annotated[int, "Pieces that were ordered.", "pieces"]
    shipped: Annotated[int, "Pieces in shipments that were not reversed.", "pieces"]
    open: Annotated[int | None, "Pieces that were ordered and not shipped; null if that is not certain.", "pieces"]
    errors: Annotated[int | None, "Findings that are errors; null if the audit was not done.", "findings"]
    warnings: Annotated[int | None, "Findings that are warnings; null if the audit was not done.", "findings"]
    infos: Annotated[int | None, "Findings that are worth knowing; null if the audit was not done.", "findings"]


LISTED_ORDERS = table_of_named_tuple("orders", "order of a list", ListedOrder, "order_id")


def with_finding_counts(rows: pl.DataFrame, by_check: OrdersByCheck | None) -> pl.DataFrame:
    """Rows of the order list, with how many findings of each severity they have; null if that is not known."""
    if by_check is None:
        return rows.with_columns(pl.lit(None, pl.Int64).alias(name) for name in FINDING_COUNTS.values())
    counts = by_check.counts.rename({str(severity): name for severity, name in FINDING_COUNTS.items()})
    joined = rows.join(counts, on="order_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col(FINDING_COUNTS.values()).fill_null(0))


def download_rows(rows: pl.DataFrame, ending: str) -> FileResponse:
    """Rows of the order list as a file with an ending."""
    return send_rows(rows.select(cast_to_schema(LISTED_ORDERS.schema)), LISTED_ORDERS, ending)
