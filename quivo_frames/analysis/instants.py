"""What an instant of an order tells: nothing if it is a placeholder, a day if it is a midnight."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from quivo_frames.model.placeholders import is_placeholder, is_placeholder_day


def without_placeholders(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The rows, with null for instants and days that stand for "no date"."""
    instants, days = pl.col(pl.Datetime("us", "UTC")), pl.col(pl.Date)
    return frame.with_columns(
        pl.when(~is_placeholder(instants)).then(instants), pl.when(~is_placeholder_day(days)).then(days)
    )


_DAY = timedelta(days=1) // timedelta(microseconds=1)


def is_midnight(instant: pl.Expr, zone: str = "UTC") -> pl.Expr:
    """Whether an instant is a midnight, in UTC or in a time zone: a day without a time is written so."""
    in_utc = instant.dt.timestamp("us") % _DAY == 0
    if zone == "UTC":
        return in_utc
    return in_utc | _is_local_midnight(instant, zone)


def day_of(instant: pl.Expr, zone: str = "UTC") -> pl.Expr:
    """The day of an instant in a time zone; of a midnight in UTC, which is a day without a time, that day."""
    in_utc = instant.dt.timestamp("us") % _DAY == 0
    return pl.when(in_utc).then(instant.dt.date()).otherwise(instant.dt.convert_time_zone(zone).dt.date())


def time_later(instant: pl.Expr, other: pl.Expr, zone: str = "UTC") -> pl.Expr:
    """How much later an instant is than another; in whole days, if one of them is a day."""
    by_day = is_midnight(instant, zone) | is_midnight(other, zone)
    return pl.when(by_day).then(day_of(instant, zone) - day_of(other, zone)).otherwise(instant - other)


def is_later(instant: pl.Expr, other: pl.Expr, tolerance: timedelta = timedelta(0), zone: str = "UTC") -> pl.Expr:
    """Whether an instant is later than another by more than a tolerance; if one of them is a day, on a later day."""
    by_day = is_midnight(instant, zone) | is_midnight(other, zone)
    on_later_day = (_shifted_day(instant, -tolerance, zone) > day_of(other, zone)) & (instant > other)
    return pl.when(by_day).then(on_later_day).otherwise(instant - other > tolerance)


def end_of_window(start: pl.Expr, end: pl.Expr, zone: str = "UTC") -> pl.Expr:
    """The end of a window; the microsecond before, if it is a midnight and no day: 18:00 to 24:00 is of one day."""
    until_midnight = is_midnight(end, zone) & ~is_midnight(start, zone)
    return pl.when(until_midnight).then(end - timedelta(microseconds=1)).otherwise(end)


def is_after_day(instant: pl.Expr, day: pl.Expr, tolerance: timedelta = timedelta(0), zone: str = "UTC") -> pl.Expr:
    """Whether an instant, less a tolerance, is on a later day than the given one."""
    return _shifted_day(instant, -tolerance, zone) > day


def is_before_day(instant: pl.Expr, day: pl.Expr, tolerance: timedelta = timedelta(0), zone: str = "UTC") -> pl.Expr:
    """Whether an instant and a tolerance are on an earlier day than the given one."""
    return _shifted_day(instant, tolerance, zone) < day


def _shifted_day(instant: pl.Expr, shift: timedelta, zone: str) -> pl.Expr:
    """The day of an instant that is moved; a day without a time is moved by whole days alone."""
    whole_days = timedelta(days=int(shift / timedelta(days=1)))
    return day_of(instant + pl.when(is_midnight(instant, zone)).then(whole_days).otherwise(shift), zone)


DAY_ZONES = ("Europe/Vienna", "Europe/London", "Europe/Athens")
"""Time zones whose midnights are looked for: those of central, western and eastern Europe."""


def zone_of_days(tables: Sequence[pl.LazyFrame]) -> str:
    """The time zone in which days are written as instants, such as 2026-03-06T23:00Z for 7 March in Vienna, else UTC.

    The columns of the tables are instants. The zone is one of `DAY_ZONES` if of a column at least five values, and nine
    of ten, are a midnight there, and fewer are one in UTC. Of several columns, the one with the most of them decides.
    """
    best, most = "UTC", 0
    for midnights in pl.collect_all([_count_midnights(table) for table in tables]):
        for known, in_utc, *in_zones in midnights.transpose().iter_rows():
            count = max(in_zones)
            if count > max(most, in_utc) and count >= max(5, 0.9 * known):
                best, most = DAY_ZONES[in_zones.index(count)], count
    return best


def _count_midnights(table: pl.LazyFrame) -> pl.LazyFrame:
    """A column for each column: how many values it has, how many are a midnight in UTC, and in each of `DAY_ZONES`."""
    values = pl.all()
    counts = [values.count(), *(_is_local_midnight(values, zone).sum() for zone in ("UTC", *DAY_ZONES))]
    return pl.concat([table.select(count.cast(pl.UInt32)) for count in counts])


def _is_local_midnight(instant: pl.Expr, zone: str) -> pl.Expr:
    local = instant.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return local.dt.timestamp("us") % _DAY == 0
