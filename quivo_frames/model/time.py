"""Instants, days and time zones as users write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from quivo_frames.errors import ConfigError

InstantLike = datetime | date | str


def check_time_zone(name: str) -> str:
    """The time zone, which exists.

    Raises:
        ConfigError: it does not.
    """
    try:
        pl.Series([], dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(name or "?")
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"There is no time zone {name!r}. Write one such as Europe/Vienna, or UTC.") from error
    return name


def parse_instant(given: InstantLike) -> datetime:
    """An instant in UTC from an instant, a day (its end) or the text of either; without a zone it is UTC.

    Raises:
        ConfigError: the text is neither.
    """
    found: datetime | date
    if isinstance(given, str):
        try:
            found = date.fromisoformat(given) if len(given) <= len("2026-06-01") else datetime.fromisoformat(given)
        except ValueError as error:
            raise ConfigError(f"{given} is no day or instant. Write 2026-06-01 or 2026-06-01T12:00:00Z.") from error
    else:
        found = given
    if not isinstance(found, datetime):
        return datetime.combine(found, time(), UTC) + timedelta(days=1)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
