"""Instants and durations as users write them in options."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import click
import pytest

from quivo_frames.cli import main
from quivo_frames.cli.params import DayOrInstantParam, DayParam, DurationParam, InstantParam, _parse_past

NOW = datetime(2026, 5, 31, 15, 30, 12, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", date(2026, 5, 31)),
        ("Yesterday", date(2026, 5, 30)),
        ("24h", datetime(2026, 5, 30, 15, 30, 12, 123456, tzinfo=UTC)),
        ("7d", datetime(2026, 5, 24, 15, 30, 12, 123456, tzinfo=UTC)),
        ("2w", datetime(2026, 5, 17, 15, 30, 12, 123456, tzinfo=UTC)),
        ("1 month", datetime(2026, 4, 30, 15, 30, 12, 123456, tzinfo=UTC)),
        ("3 months", datetime(2026, 2, 28, 15, 30, 12, 123456, tzinfo=UTC)),
        ("27months", datetime(2024, 2, 29, 15, 30, 12, 123456, tzinfo=UTC)),
        ("2026-05-01", None),
        ("3 month ago", None),
        ("-1d", None),
    ],
)
def test_words_and_times_ago_count_back_from_now(text: str, expected: object) -> None:
    assert _parse_past(text, NOW) == expected


def test_a_day_begins_in_utc_as_an_instant_and_ends_as_a_date() -> None:
    today = datetime.now(UTC).date()
    for text, day in (("today", today), ("yesterday", today - timedelta(days=1)), ("2026-05-01", date(2026, 5, 1))):
        assert InstantParam().convert(text, None, None) == datetime(day.year, day.month, day.day, tzinfo=UTC)
        assert DayOrInstantParam().convert(text, None, None) == day.isoformat()  # a day means its end there
    offset = InstantParam().convert("2026-05-01T12:00:00+02:00", None, None)
    assert (offset, offset.tzinfo) == (datetime(2026, 5, 1, 10, tzinfo=UTC), UTC)
    assert DurationParam().convert("2w", None, None) == timedelta(days=14)


@pytest.mark.parametrize("text", ["tomorrow", "", "7", "9999999w", "9999 months", "12026-01-01", "last week"])
def test_what_is_none_is_told(text: str) -> None:
    for kind in (InstantParam(), DayOrInstantParam()):
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)


def test_every_option_that_takes_an_instant_takes_it_in_these_ways_and_names_the_zone() -> None:
    options = [
        option
        for command in main.commands.values()
        for option in command.params
        if isinstance(option, click.Option)
        and option.name in ("since", "as_of", "until")
        and not isinstance(option.type, DayParam)  # of `accept`: a day to come, no instant
    ]
    assert len(options) == 4
    for option in options:
        assert isinstance(option.type, InstantParam | DayOrInstantParam)
        assert option.help
        assert "UTC" in option.help
        assert "yesterday" in option.help
