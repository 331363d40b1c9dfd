"""The books as they stood at an earlier instant."""

from __future__ import annotations

import polars as pl

from quivo_frames.books import Books

_HAPPENED = {
    "orders": ("exported_at", "cancel_requested_at", "completed_at"),
    "shipments": ("carrier_pick_up_date", "ship_date", "delivery_date", "pod_date"),
}
_BEGAN = {
    "orders": pl.coalesce("order_date", "created"),
    "fulfillment_orders": pl.col("fulfillment_order_created"),
}


class PastBooks(Books):
    """The tables as of an instant: what came then or later had not happened yet.

    Cancellations and reversals have no date, and are taken as they are now.
    """

    def __getitem__(self, name: str) -> pl.LazyFrame:
        rows = super().__getitem__(name)
        now = pl.lit(self.as_of)
        if name == "shipments":  # as if reversed: so its lines are not counted either
            rows = rows.with_columns(reversed=pl.col("reversed") | (pl.col("ship_date") >= now).fill_null(value=False))
        if name in _BEGAN:
            rows = rows.filter(_BEGAN[name].is_null() | (_BEGAN[name] < now))
        happened = pl.col(_HAPPENED.get(name, ()))
        return rows.with_columns(pl.when(happened < now).then(happened)) if name in _HAPPENED else rows
