"""Parses instants, days and time zones as users write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from quivo_frames.errors import ConfigError

InstantLike = datetime | date | str


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


def parse_instant(given: InstantLike) -> datetime:
    """The instant in UTC that an instant, a day (its end) or the text of either stands for; without a zone it is UTC.

    Raises:
        ConfigError: the text is neither an instant nor a day.
    """
    if isinstance(given, str):
        parse = date.fromisoformat if len(given) <= len("2026-06-01") else datetime.fromisoformat
        try:
            given = parse(given)
        except ValueError as error:
            raise ConfigError(
                f"{given} is neither a day nor an instant. Write 2026-06-01 or 2026-06-01T12:00:00Z."
            ) from error
    if not isinstance(given, datetime):
        return datetime.combine(given, time(), UTC) + timedelta(days=1)
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
