"""What an instant of an order tells: nothing if it is a placeholder, a day if it is a midnight."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

_FIRST_REAL, _LAST_REAL = datetime(1902, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1969, 12, 31, 10, tzinfo=UTC), datetime(1970, 1, 1, 12, tzinfo=UTC)
"""Midnight of 1970-01-01 in every time zone, from UTC+14 to UTC-12."""


def without_placeholders(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The rows, with null for instants and days that stand for "no date".

    These are the year 1 and all before 1902 (1900-01-01 is another), midnight of 1970-01-01 in any time zone, and the
    years from 9000.
    """
    instants, days = pl.col(pl.Datetime("us", "UTC")), pl.col(pl.Date)
    return frame.with_columns(
        pl.when(~is_placeholder(instants)).then(instants), pl.when(~_is_placeholder_day(days)).then(days)
    )


def is_placeholder(instant: pl.Expr) -> pl.Expr:
    """Whether an instant stands for "no date"."""
    at_epoch = instant.is_between(*_EPOCH) & (instant.dt.timestamp("us") % _QUARTER_HOUR == 0)
    return (instant < _FIRST_REAL) | (instant >= _LAST_REAL) | at_epoch


def _is_placeholder_day(day: pl.Expr) -> pl.Expr:
    return (day < _FIRST_REAL.date()) | (day >= _LAST_REAL.date()) | (day == date(1970, 1, 1))


_QUARTER_HOUR = 15 * 60 * 1_000_000
_DAY = timedelta(days=1) // timedelta(microseconds=1)


def is_midnight(instant: pl.Expr, zone: str = "UTC") -> pl.Expr:
    """Whether an instant is a midnight, in UTC or in a time zone: a day without a time is written so."""
    in_utc = instant.dt.timestamp("us") % _DAY == 0
    if zone == "UTC":
        return in_utc
    local = instant.dt.convert_time_zone(zone)
    return in_utc | (local.dt.replace_time_zone(None).dt.timestamp("us") % _DAY == 0)


def day_of(instant: pl.Expr, zone: str = "UTC") -> pl.Expr:
    """The day of an instant in a time zone; of a midnight in UTC, which is a day without a time, that day."""
    in_utc = instant.dt.timestamp("us") % _DAY == 0
    return pl.when(in_utc).then(instant.dt.date()).otherwise(instant.dt.convert_time_zone(zone).dt.date())


def is_later(instant: pl.Expr, other: pl.Expr, tolerance: timedelta = timedelta(0), zone: str = "UTC") -> pl.Expr:
    """Whether an instant is later than another by more than a tolerance; on a later day, if one of them is a day."""
    by_day = is_midnight(instant, zone) | is_midnight(other, zone)
    later_day = day_of(pl.when(is_midnight(instant, zone)).then(instant).otherwise(instant - tolerance), zone)
    return pl.when(by_day).then(later_day > day_of(other, zone)).otherwise(instant - other > tolerance)
