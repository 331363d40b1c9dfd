"""Instants and durations as users write them in options."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
import pytest

import quivo_frames as qf
from quivo_frames.cli import main
from quivo_frames.cli.params import DayOrInstantParam, DayParam, DurationParam, InstantParam
from quivo_frames.errors import ConfigError
from quivo_frames.fetch.search import narrow_to_changes
from quivo_frames.model.time import day_or_instant, parse_beginning, parse_instant
from quivo_frames.settings.durations import parse_duration, parse_past
from tests.support.archived_orders import record_answers

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
        ("3 months ago", datetime(2026, 2, 28, 15, 30, 12, 123456, tzinfo=UTC)),
        ("1 year", datetime(2025, 5, 31, 15, 30, 12, 123456, tzinfo=UTC)),
        ("2 weeks ago", datetime(2026, 5, 17, 15, 30, 12, 123456, tzinfo=UTC)),
        ("2 Weeks", datetime(2026, 5, 17, 15, 30, 12, 123456, tzinfo=UTC)),
        ("1 day ago", datetime(2026, 5, 30, 15, 30, 12, 123456, tzinfo=UTC)),
        ("90 minutes", datetime(2026, 5, 31, 14, 0, 12, 123456, tzinfo=UTC)),
        ("7d ago", datetime(2026, 5, 24, 15, 30, 12, 123456, tzinfo=UTC)),
        ("ago", None),
        ("2 fortnights", None),
        ("-1d", None),
    ],
)
def test_words_and_times_ago_count_back_from_now(text: str, expected: object) -> None:
    assert parse_past(text, NOW) == expected


def test_a_day_begins_in_utc_as_an_instant_and_ends_as_a_date() -> None:
    today = datetime.now(UTC).date()
    for text, day in (("today", today), ("yesterday", today - timedelta(days=1)), ("2026-05-01", date(2026, 5, 1))):
        assert InstantParam().convert(text, None, None) == datetime(day.year, day.month, day.day, tzinfo=UTC)
        assert DayOrInstantParam().convert(text, None, None) == day.isoformat()  # a day means its end there
    offset = InstantParam().convert("2026-05-01T12:00:00+02:00", None, None)
    assert (offset, offset.tzinfo) == (datetime(2026, 5, 1, 10, tzinfo=UTC), UTC)
    assert DurationParam().convert("2w", None, None) == timedelta(days=14)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("12h", 43_200),
        ("1.5h", 5_400),
        ("2w", 1_209_600),
        ("2 weeks", 1_209_600),
        ("1 day", 86_400),
        ("7", None),
    ],
)
def test_a_duration_is_written_in_letters_or_in_words(text: str, expected: int | None) -> None:
    duration = parse_duration(text)
    assert (duration and duration.total_seconds()) == expected


def test_functions_take_the_same_texts_as_options(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    assert parse_instant("yesterday") == datetime(today.year, today.month, today.day, tzinfo=UTC)  # its end
    assert parse_beginning("today") == datetime(today.year, today.month, today.day, tzinfo=UTC)
    assert day_or_instant("today") == today
    a_week_ago = datetime.now(UTC) - timedelta(days=7)
    assert abs(parse_instant("1 week ago") - a_week_ago) < timedelta(minutes=1)
    with pytest.raises(ConfigError, match=r"last week is neither a day nor an instant. Write 2026-06-01, .*yesterday"):
        parse_instant("last week")
    with qf.Archive(tmp_path / "orders.sqlite") as archive:
        for hours, status in enumerate(("A", "B", "C")):
            body = f'{{"orderId":1,"orderStatus":"{status}"}}'.encode()
            record_answers(archive, {1: body}, datetime.now(UTC) - timedelta(days=10 - 4 * hours))
        assert qf.changes(archive, "1 week ago")["after"].to_list() == ["B", "C"]
        assert qf.changes(archive, today - timedelta(days=3))["after"].to_list() == ["C"]
        assert qf.transitions(archive, "3d")["after"].to_list() == ["C"]
    assert "2026-06-01T00:00:00Z TO *" in narrow_to_changes("", "2026-06-01", datetime.now(UTC))


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
    assert len(options) == 16
    for option in options:
        assert isinstance(option.type, InstantParam | DayOrInstantParam)
        assert option.help
        assert "UTC" in option.help
        assert "yesterday" in option.help
