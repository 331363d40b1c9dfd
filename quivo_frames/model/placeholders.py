"""Dates that stand for no date."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl

_FIRST_REAL_DAY, _LAST_REAL_DAY = date(1902, 1, 1), date(9000, 1, 1)
_FIRST_REAL, _LAST_REAL, _EPOCH_START, _EPOCH_END = (  # made once: literals of instants are slow to make
    pl.lit(instant)
    for instant in (
        datetime(1902, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 10, tzinfo=UTC), datetime(1970, 1, 1, 12, tzinfo=UTC),
    )
)  # fmt: skip
"""The epoch is the midnight of 1970-01-01 in every time zone, from UTC+14 to UTC-12."""
_QUARTER_HOUR = 15 * 60 * 1_000_000


def is_placeholder(instant: pl.Expr) -> pl.Expr:
    """Whether an instant stands for "no date".

    Such are the year 1 and all before 1902 (1900-01-01 is another), midnight of 1970-01-01 in any time zone, and the
    years from 9000.
    """
    at_epoch = instant.is_between(_EPOCH_START, _EPOCH_END) & (instant.dt.timestamp("us") % _QUARTER_HOUR == 0)
    return (instant < _FIRST_REAL) | (instant >= _LAST_REAL) | at_epoch


def is_placeholder_day(day: pl.Expr) -> pl.Expr:
    """Whether a day stands for "no date"; as `is_placeholder`."""
    return (day < _FIRST_REAL_DAY) | (day >= _LAST_REAL_DAY) | (day == date(1970, 1, 1))
