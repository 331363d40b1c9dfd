"""How long, and how long ago, as people write it: 90s, 12h, 7d, 2w, `2 weeks`, `3 months ago`, today, yesterday."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime, timedelta

DURATION_FORMS = "90s, 30m, 12h, 7d, 2w or '2 weeks'"
INSTANT_FORMS = "2026-06-01, 2026-06-01T12:00:00Z, today, yesterday, or how long ago: 24h, 7d, 2w, '3 months ago'"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,8}(?:\.\d+)?) ?(?:([smhdw])|(second|minute|hour|day|week)s?)", re.ASCII | re.IGNORECASE)
_MONTHS = re.compile(r"(\d{1,4}) ?(month|year)s?", re.ASCII | re.IGNORECASE)
_DAYS = {"today": timedelta(), "yesterday": timedelta(days=1)}


def parse_duration(text: str) -> timedelta | None:
    """The duration that a text means, such as 90s, 12h, 7d, 2w or `2 weeks`; None for other texts."""
    found = _DURATION.fullmatch(text.strip())
    return timedelta(**{_UNITS[(found[2] or found[3])[0].lower()]: float(found[1])}) if found else None


def parse_past(text: str, now: datetime) -> date | datetime | None:
    """The day that `today` or `yesterday` is, or the instant so long ago as a text says; None for other texts.

    Months are those of the calendar: of a shorter month, it is the last day.

    Raises:
        OverflowError: it is longer ago than the calendar reaches.
    """
    word = text.strip().lower()
    if word in _DAYS:
        return now.date() - _DAYS[word]
    ago = word.removesuffix("ago").rstrip()
    if months := _MONTHS.fullmatch(ago):
        return _months_before(now, int(months[1]) * (12 if months[2] == "year" else 1))
    duration = parse_duration(ago)
    return None if duration is None else now - duration


def _months_before(now: datetime, months: int) -> datetime:
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    if year < 1:
        raise OverflowError("before the first year")
    return now.replace(year=year, month=month + 1, day=min(now.day, monthrange(year, month + 1)[1]))
