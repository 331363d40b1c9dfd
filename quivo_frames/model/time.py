"""Parses instants, days and time zones as users write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.settings.durations import INSTANT_FORMS, parse_past

InstantLike = datetime | date | str
FIRST_YEAR, LAST_YEAR = 1900, 8999


def check_time_zone(name: str) -> str:
    """The name of a time zone, checked to exist.

    Raises:
        ConfigError: there is no such time zone.
    """
    try:
        pl.Series([], dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(name or "?")
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"There is no time zone {name!r}. Write one such as Europe/Vienna, or UTC.") from error
    return name


def day_or_instant(given: InstantLike) -> date | datetime:
    """The day or instant that a text stands for, also as a word, or as how long ago it is; others as they are.

    Raises:
        ConfigError: the text is neither an instant nor a day.
    """
    if not isinstance(given, str):
        return given
    try:
        if (past := parse_past(given, datetime.now(UTC))) is not None:
            return past
        return date.fromisoformat(given) if len(given) <= len("2026-06-01") else datetime.fromisoformat(given)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{given} is neither a day nor an instant. Write {INSTANT_FORMS}.") from error


def parse_instant(given: InstantLike) -> datetime:
    """The instant in UTC that an instant, a day (its end) or the text of either stands for; without a zone it is UTC.

    Raises:
        ConfigError: the text is neither an instant nor a day, or the instant lies before 1900 or after 8999.
    """
    moment = day_or_instant(given)
    if not isinstance(moment, datetime):
        return instant_in_utc(datetime.combine(moment, time())) + timedelta(days=1)
    return instant_in_utc(moment)


def parse_beginning(given: InstantLike) -> datetime:
    """As `parse_instant`, but a day stands for its beginning."""
    moment = day_or_instant(given)
    return instant_in_utc(moment if isinstance(moment, datetime) else datetime.combine(moment, time()))


def instant_in_utc(given: datetime) -> datetime:
    """An instant in UTC; without a zone it is UTC already.

    Raises:
        ConfigError: it lies before 1900 or after 8999, where reckoning with it would leave the calendar.
    """
    if not FIRST_YEAR <= given.year <= LAST_YEAR:
        raise ConfigError(f"{given.isoformat()} is not between the years {FIRST_YEAR} and {LAST_YEAR}. Give another.")
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
