"""Which instant is later, where some are days without a time, against the standard library; and placeholders."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from quivo_frames.analysis.instants import is_after_day, is_before_day, is_later, without_placeholders

INSTANTS = pl.Datetime("us", "UTC")


def is_day(instant: datetime, zone: str) -> bool:
    return any(
        instant.astimezone(ZoneInfo(each)).strftime("%H:%M:%S.%f") == "00:00:00.000000" for each in ("UTC", zone)
    )


def day(instant: datetime, zone: str) -> date:
    return instant.date() if is_day(instant, "UTC") else instant.astimezone(ZoneInfo(zone)).date()


def later(instant: datetime, other: datetime, tolerance: timedelta, zone: str) -> bool:
    """As README tells it: on a later day if one of them is a day, a day being moved by whole days alone."""
    if not is_day(instant, zone) and not is_day(other, zone):
        return instant - other > tolerance
    whole = timedelta(days=tolerance.days)
    moved = day(instant, zone) - whole if is_day(instant, zone) else day(instant - tolerance, zone)
    return instant > other and moved > day(other, zone)


def drawn_instants(dice: random.Random, zone: str) -> list[datetime]:
    """Times of five days of spring, a third of them midnights in UTC, and a third in the zone."""
    found = []
    for _ in range(400):
        moment = datetime(2026, 3, dice.randint(27, 31), dice.randrange(24), dice.randrange(60), tzinfo=UTC)
        midnight = moment.replace(hour=0, minute=0)
        in_zone = midnight.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        found.append(dice.choice([midnight, in_zone, moment]))
    return found


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "Europe/London", "Europe/Athens", "America/New_York"])
@pytest.mark.parametrize("tolerance", [timedelta(), timedelta(minutes=15), timedelta(hours=30)], ids=str)
def test_an_instant_is_later_as_the_standard_library_says(zone: str, tolerance: timedelta) -> None:
    dice = random.Random(7)
    ones, others = drawn_instants(dice, zone), drawn_instants(dice, zone)
    frame = pl.DataFrame({"one": ones, "other": others}, schema={"one": INSTANTS, "other": INSTANTS})
    found = frame.select(is_later(pl.col("one"), pl.col("other"), tolerance, zone)).to_series().to_list()
    assert found == [later(one, other, tolerance, zone) for one, other in zip(ones, others, strict=True)]
    assert 0 < sum(found) < len(found)


@pytest.mark.parametrize(
    ("instant", "zone", "hours", "after", "before"),
    [
        ("2026-03-07T22:59:59", "Europe/Vienna", 0, False, False),
        ("2026-03-07T23:00:00", "Europe/Vienna", 0, True, False),
        ("2026-03-08T01:00:00", "Europe/Vienna", 3, False, False),
        ("2026-03-06T22:59:59", "Europe/Vienna", 0, False, True),
        ("2026-03-06T22:59:59", "Europe/Vienna", 1, False, False),
        ("2026-03-07T00:00:00", "America/New_York", 0, False, False),  # the day itself, in whichever zone
        ("2026-03-08T00:00:00", "UTC", 12, True, False),  # a day is not late by hours
        ("2026-03-08T00:00:00", "UTC", 24, False, False),
    ],
)
def test_an_instant_is_compared_with_a_day(instant: str, zone: str, hours: int, after: bool, before: bool) -> None:
    frame = pl.DataFrame({"at": [datetime.fromisoformat(instant).replace(tzinfo=UTC)], "day": [date(2026, 3, 7)]})
    columns, tolerance = (pl.col("at"), pl.col("day")), timedelta(hours=hours)
    tests = [is_after_day(*columns, tolerance, zone).alias("after"), is_before_day(*columns, tolerance, zone)]
    assert frame.select(tests).row(0) == (after, before)


def test_placeholders_are_no_dates_and_others_stay() -> None:
    none = [
        "0001-01-01T00:00",
        "1900-01-01T00:00",
        "1970-01-01T00:00",
        "1969-12-31T23:00",
        "1970-01-01T05:30",
        "9999-12-31T23:59",
    ]
    real = ["1970-01-01T00:01", "1969-12-31T09:45", "1970-01-02T00:00", "2026-03-07T00:00", "1902-01-01T00:00"]
    instants = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (*none, *real)]
    kept = without_placeholders(pl.LazyFrame({"at": instants}, schema={"at": INSTANTS})).collect()["at"].to_list()
    assert kept == [None] * len(none) + instants[len(none) :]
