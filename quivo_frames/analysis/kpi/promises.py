"""What "on time" means: a promised date, the event that keeps it, and how the two are compared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from quivo_frames.analysis.instants import is_after_day, is_later


@dataclass(frozen=True, slots=True)
class Promise:
    """A promised date, and the event (`keeps`) that has to happen by then."""

    name: str
    keeps: str
    by_order: bool = False
    """Whether it is a day of the order; otherwise it is an instant of each shipment."""

    def is_kept(self, happened: pl.Expr, tolerance: timedelta, zone: str) -> pl.Expr:
        """Whether an event at that instant kept the promise."""
        promised = pl.col(self.name)
        is_late = is_after_day if self.by_order else is_later
        return ~is_late(happened, promised, tolerance, zone)

    def shipment_was_on_time(self, tolerance: timedelta, zone: str) -> pl.Expr:
        """Whether a shipment was on time; null while it still may be, and where it cannot be known."""
        happened, known_at = pl.col(self.keeps), pl.col("known_at")
        kept = self.is_kept(pl.coalesce(happened, known_at), tolerance, zone)
        unrecorded = pl.lit(value=False) if self.keeps == "ship_date" else pl.col("is_untracked").fill_null(value=False)
        return pl.when(happened.is_not_null() | (~kept & ~unrecorded)).then(kept)


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
