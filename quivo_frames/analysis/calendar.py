"""The calendar of the warehouses: working days and hours, holidays, and until when an order leaves on the same day."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterable
from datetime import date, time, timedelta
from typing import Annotated, Any

import msgspec
import polars as pl

from quivo_frames.analysis.instants import day_of, is_midnight
from quivo_frames.errors import ConfigError
from quivo_frames.model.time import check_time_zone

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOST_HOURS = 10_000
_YEARS = range(2000, 2051)
_US_PER_HOUR = 3_600_000_000


class WarehouseCalendar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When one warehouse works; what is missing is as for all of them."""

    ship_hours: Annotated[float | None, "An order should be shipped within this many working hours; 24."] = None
    cut_off: Annotated[
        str | None, 'An order that is placed before this time of a working day is to leave on it: "14:00"; none.'
    ] = None
    working_days: Annotated[tuple[str, ...] | None, 'Days of the week: ["mon", "tue"]; all.'] = None
    holidays: Annotated[
        tuple[str, ...] | str | None,
        'Days without work: ["2026-12-24"], public holidays of a country or part of one: "AT", "DE-BY", or both; none.',
    ] = None
    work_hours: Annotated[tuple[str, str] | None, 'Begin and end of a working day: ["08:00", "18:00"]; 24 hours.'] = (
        None
    )
    time_zone: Annotated[str | None, "Zone of these times, such as Europe/Vienna; that of the days."] = None

    def __post_init__(self) -> None:
        """Refuses what is no calendar."""
        WorkingTime(self)


class Calendar(WarehouseCalendar, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the warehouses work: `[calendar]` of a limits file, and `[calendar.warehouses.NAME]` for single ones."""

    warehouses: Annotated[
        dict[str, WarehouseCalendar], "Warehouses by name or number, each with what differs there."
    ] = {}

    def of_warehouse(self, name: str | None, zone: str = "UTC") -> WorkingTime:
        """When the warehouse of that name works; `zone` is that of calendars without one."""
        own = self.warehouses.get(name or "", WarehouseCalendar())
        differs = {key: value for key, value in msgspec.structs.asdict(own).items() if value is not None}
        return WorkingTime(msgspec.structs.replace(self, **differs, warehouses={}), zone)


class WorkingTime:
    """A calendar that reckons: working hours between instants, and the day by which an order is to leave.

    Raises:
        ConfigError: a value that is no time, day, country or time zone.
    """

    def __init__(self, calendar: WarehouseCalendar, zone: str = "UTC") -> None:
        self.zone = check_time_zone(calendar.time_zone or zone)
        self.ship_hours = 24.0 if calendar.ship_hours is None else calendar.ship_hours
        if not 0 < self.ship_hours <= _MOST_HOURS:
            raise ConfigError(f"ship_hours is {self.ship_hours:g}. Write a number above 0, up to {_MOST_HOURS:,}.")
        self.cut_off = None if calendar.cut_off is None else _time_of_day("cut_off", calendar.cut_off)
        self.start, self.end = (_time_of_day("work_hours", text) for text in calendar.work_hours or ("00:00", "24:00"))
        if self.start >= self.end:
            raise ConfigError(f"work_hours end at {self.end}, before they begin at {self.start}. Write them in order.")
        days = _WEEKDAYS if calendar.working_days is None else calendar.working_days
        if not days or not set(days) <= set(_WEEKDAYS):
            raise ConfigError(f"working_days are {', '.join(days) or 'none'}. Write some of {', '.join(_WEEKDAYS)}.")
        given = calendar.holidays or ()
        self._days: dict[str, Any] = {
            "week_mask": tuple(day in days for day in _WEEKDAYS),
            "holidays": sorted(_parse_holidays((given,) if isinstance(given, str) else given)),
        }

    def hours_between(self, start: pl.Expr, end: pl.Expr) -> pl.Expr:
        """Working hours from one instant to another, by the clock of the zone; null if they are in the wrong order."""
        hours = self._hours_until_day(start, day_of(end, self.zone)) + self._hours_of_day_until(end)
        return pl.when(start <= end).then(hours.clip(lower_bound=0))

    def hours_until_end_of(self, start: pl.Expr, day: pl.Expr) -> pl.Expr:
        """Working hours from an instant to the end of a day."""
        return self._hours_until_day(start, day + pl.duration(days=1))

    def due_day(self, placed: pl.Expr) -> pl.Expr:
        """The day by whose end an order is to leave, from its cut-off; null without one."""
        if self.cut_off is None:
            return pl.lit(None, pl.Date)
        day = day_of(placed, self.zone)
        same_day = self._is_working_day(day) & (self._time_of_day(placed) < self.cut_off)
        following = (day + pl.duration(days=1)).dt.add_business_days(0, **self._days, roll="forward")
        return pl.when(same_day).then(day).otherwise(following)

    def _is_working_day(self, day: pl.Expr) -> pl.Expr:
        return day.dt.is_business_day(**self._days)

    def _time_of_day(self, instant: pl.Expr) -> pl.Expr:
        """The time since midnight, by the clock of the zone; 0 of a day without a time."""
        local = instant.dt.convert_time_zone(self.zone).dt.replace_time_zone(None)
        return pl.when(~is_midnight(instant)).then(local - local.dt.truncate("1d")).otherwise(pl.duration())

    def _hours_until_day(self, start: pl.Expr, day: pl.Expr) -> pl.Expr:
        """Working hours from an instant to the begin of a day."""
        days = pl.business_day_count(day_of(start, self.zone), day, **self._days)
        return days * ((self.end - self.start) / timedelta(hours=1)) - self._hours_of_day_until(start)

    def _hours_of_day_until(self, instant: pl.Expr) -> pl.Expr:
        """Working hours of its day before an instant."""
        worked = self._time_of_day(instant).clip(self.start, self.end) - self.start
        working = self._is_working_day(day_of(instant, self.zone))
        return pl.when(working).then(worked.dt.total_microseconds() / _US_PER_HOUR).otherwise(0.0)


def describe_calendar() -> dict[str, str]:
    """The keys of a calendar, each with a sentence and its default."""
    hints = typing.get_type_hints(Calendar, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def _time_of_day(name: str, text: str) -> timedelta:
    """A time such as 14:00, since midnight; 24:00 is the end of the day."""
    if text == "24:00":
        return timedelta(hours=24)
    try:
        found = time.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{name} has {text!r}, which is no time. Write one such as 14:00.") from error
    if found.tzinfo:
        raise ConfigError(f"{name} has {text!r}, with a zone. Write 14:00, and the zone as time_zone.")
    return timedelta(hours=found.hour, minutes=found.minute, seconds=found.second)


def _parse_holidays(given: Iterable[str]) -> set[date]:
    """The days in a list of days, and of countries with their public holidays."""
    days: set[date] = set()
    for text in given:
        try:
            days.add(date.fromisoformat(text))
        except ValueError:
            days |= _public_holidays(text)
    return days


@functools.cache
def _public_holidays(country: str) -> set[date]:
    """The public holidays of a country such as AT, or a part of one such as DE-BY, from 2000 to 2050."""
    try:
        import holidays
    except ImportError as error:
        raise ConfigError(
            f"holidays has {country!r}: public holidays need the package holidays. "
            "Install it: pip install 'quivo-frames[calendar]', or write the days, as in [\"2026-12-25\"]."
        ) from error
    code, _, part = country.partition("-")
    try:
        return set(holidays.country_holidays(code, subdiv=part or None, years=_YEARS))
    except NotImplementedError as error:
        raise ConfigError(
            f"holidays has {country!r}, which is neither a day nor a country with known holidays. "
            "Write 2026-12-25, AT or DE-BY."
        ) from error
