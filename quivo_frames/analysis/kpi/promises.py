"""What "on time" means: a promise, what keeps it, and how the two are compared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import polars as pl


@dataclass(frozen=True, slots=True)
class Promise:
    """A date that can be kept: what has to happen by then, who promises it, and whether it is a day."""

    name: str
    keeps: str
    by_order: bool = False
    """Whether the order promises it, as a day; else each shipment does, as an instant."""

    def is_kept(self, happened: pl.Expr, tolerance: timedelta, zone: str) -> pl.Expr:
        """Whether something that happened then kept the promise."""
        at_the_latest = happened - tolerance
        if self.by_order:
            at_the_latest = at_the_latest.dt.convert_time_zone(zone).dt.date()  # safe where a day has no midnight
        return at_the_latest <= pl.col(self.name)

    def shipment_was_on_time(self, tolerance: timedelta, zone: str) -> pl.Expr:
        """Of a shipment, whether it was on time; null while it may still be, and where that cannot be known."""
        happened, known_at = pl.col(self.keeps), pl.col("known_at")
        kept = self.is_kept(pl.coalesce(happened, known_at), tolerance, zone)
        untold = pl.lit(value=False) if self.keeps == "ship_date" else pl.col("is_untracked").fill_null(value=False)
        return pl.when(happened.is_not_null() | (~kept & ~untold)).then(kept)


PROMISES = {
    promise.name: promise
    for promise in (
        Promise("latest_delivery_date", "delivery_date", by_order=True),
        Promise("expected_delivery_date", "delivery_date"),
        Promise("delivery_window_end_time", "delivery_date"),
        Promise("latest_ship_date", "ship_date", by_order=True),
    )
}
"""The promises that "on time" can be measured against, by name."""
