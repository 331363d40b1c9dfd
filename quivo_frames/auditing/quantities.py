"""Checks of quantities: what was ordered, planned, shipped and packed of a line (see `matching`)."""

from __future__ import annotations

import polars as pl

from quivo_frames.auditing.check import Severity, check, joined, told
from quivo_frames.auditing.limits import Limits
from quivo_frames.books import Books, done

_IN_FULL = "SCOR RL.2.1, orders delivered in full"


def _done(limits: Limits) -> pl.Expr:
    """Nothing more is on its way: completed, or last shipped long ago."""
    return done(limits.settled_days)


@check(Severity.ERROR, "order_positions", _IN_FULL)
def short_shipped(books: Books, limits: Limits) -> pl.LazyFrame:
    """Fewer pieces of an ordered line were shipped than ordered, and nothing more is on its way.

    The order is completed, or its last shipment left `settled_days` ago; some pieces of the line were shipped.

    Limits: orders that were called off are left out, and lines whose ordered or shipped quantity is not known.
    """
    lines = joined(books.lines, books, "completed_at", "known_at", "shipped_last", "called_off")
    short = (pl.col("shipped") < pl.col("ordered")) & (pl.col("shipped") > 0)
    return told(
        lines.filter(short, _done(limits), ~pl.col("called_off")), "order_position_key",
        "{} of {} pieces of {} were shipped.", "shipped", "ordered", "sku",
        evidence={"ordered": "ordered", "shipped": "shipped"},
    )  # fmt: skip
