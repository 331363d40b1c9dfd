"""The calendar of the warehouses, and how long orders take to leave: against a walk in steps of 15 minutes."""

from __future__ import annotations

import json
import random
import re
import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

import quivo_frames as qf
from quivo_frames.analysis.calendar import Calendar, WarehouseCalendar, describe_calendar
from quivo_frames.analysis.checks.limits import Limits, read_limits
from quivo_frames.analysis.kpi.query import KpiQuery
from quivo_frames.analysis.milestones import OrderView
from tests.support.depth import examples
from tests.support.fair_order import GONE, changed_order

if TYPE_CHECKING:
    from pathlib import Path

PLAN = "fulfillmentOrders.0"
STEP = timedelta(minutes=15)
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
VIENNA = Calendar(
    cut_off="14:00", working_days=("mon", "tue", "wed", "thu", "fri"), holidays=("2026-10-26", "2026-12-08"),
    work_hours=("08:00", "18:00"), time_zone="Europe/Vienna", ship_hours=12,
    warehouses={
        "Linz": WarehouseCalendar(cut_off="10:30", working_days=("mon", "sat"), holidays=(), ship_hours=5),
        "9": WarehouseCalendar(time_zone="America/New_York", work_hours=("00:00", "24:00"), ship_hours=30.5),
    },
)  # fmt: skip


def order(placed: str, shipped: str | None, warehouse: str = "Wien", number: int = 4) -> dict[str, Any]:
    """Changes to the fair order: when it was placed, and when it left its warehouse."""
    left = (
        {f"{PLAN}.shipments": [], "completedAt": GONE} if shipped is None else {f"{PLAN}.shipments.0.shipDate": shipped}
    )
    return {"orderDate": placed, f"{PLAN}.warehouseName": warehouse, f"{PLAN}.warehouseId": number, **left}


def tables_of(*changes: dict[str, Any]) -> qf.Frames:
    return qf.flatten([json.dumps(changed_order(change, 1001 + n)).encode() for n, change in enumerate(changes)])


def order_to_ship(
    *changes: dict[str, Any], as_of: str, calendar: Calendar, by: str | None = None
) -> list[tuple[Any, ...]]:
    """The figures judged, within, due, in_time, open and at_risk, after the group."""
    found = qf.kpis(tables_of(*changes), by, as_of=as_of, limits=Limits(calendar=calendar)).order_to_ship
    return found.select(*([by] if by else []), "judged", "within", "due", "in_time", "open", "at_risk").rows()


def local_clock(instant: datetime, zone: str) -> datetime:
    """What the clock on the wall shows; a midnight of UTC is a day without a time, which begins with it."""
    if instant.time() == time():
        return instant.replace(tzinfo=None)
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


class Walk:
    """The calendar of one warehouse, walked in steps."""

    def __init__(self, calendar: Calendar, name: str, number: int) -> None:
        own = calendar.warehouses.get(name) or calendar.warehouses.get(str(number)) or WarehouseCalendar()
        self.rules = {
            key: value if getattr(own, key) is None else getattr(own, key)
            for key, value in msgspec.structs.asdict(calendar).items()
            if key != "warehouses"
        }

    def is_working_day(self, day: date) -> bool:
        return WEEKDAYS[day.weekday()] in self.rules["working_days"] and day.isoformat() not in self.rules["holidays"]

    def hours(self, start: datetime, end: datetime) -> float:
        opens, closes = self.rules["work_hours"]
        steps = 0
        while start < end:
            shown = start.strftime("%H:%M")
            steps += self.is_working_day(start.date()) and opens <= shown < closes
            start += STEP
        return steps / 4

    def due(self, placed: datetime) -> date:
        day = placed.date()
        if self.is_working_day(day) and placed.strftime("%H:%M") < self.rules["cut_off"]:
            return day
        day += timedelta(days=1)
        while not self.is_working_day(day):
            day += timedelta(days=1)
        return day

    def expected(self, placed: datetime, shipped: datetime | None, now: datetime) -> tuple[Any, ...]:
        """hours, within, in_time, open, at_risk."""
        zone, most = self.rules["time_zone"], self.rules["ship_hours"]
        begun, due = local_clock(placed, zone), self.due(local_clock(placed, zone))
        today = local_clock(now - timedelta(microseconds=1), zone).date()
        if shipped is None:
            late = self.hours(begun, local_clock(now, zone)) > most
            return (
                None,
                False if late else None,
                False if local_clock(now, zone).date() > due else None,
                True,
                due <= today,
            )
        hours = self.hours(begun, local_clock(shipped, zone))
        return hours, hours <= most, local_clock(shipped, zone).date() <= due, False, False


@pytest.mark.drawn
def test_ship_times_are_what_a_walk_through_the_calendar_finds() -> None:
    dice = random.Random(5)
    now, drawn, changes = datetime(2026, 11, 2, 16, 15, tzinfo=UTC), [], []
    for _ in range(examples(400)):
        placed = datetime(2026, 10, 8, tzinfo=UTC) + STEP * dice.randrange(25 * 96)
        shipped = placed + STEP * dice.randrange(8 * 96)
        name, number = dice.choice([("Wien", 4), ("Linz", 5), ("New York", 9)])
        left = None if shipped >= now or dice.random() < 0.3 else shipped
        drawn.append((placed, left, name, number))
        changes.append(order(placed.isoformat(), left and left.isoformat(), name, number))
    found = KpiQuery(
        OrderView(tables_of(*changes), now), (), "latest_delivery_date", timedelta(), "UTC", VIENNA
    ).facts.ship_times
    told = {order_id: tuple(row) for order_id, *row in found.iter_rows()}
    for place, (placed, left, name, number) in enumerate(drawn):
        expected = Walk(VIENNA, name, number).expected(placed, left, now)
        assert told[1001 + place] == pytest.approx(expected), (placed, left, name)
    assert len({row[1:] for row in told.values()}) >= 6


@pytest.mark.long
def test_orders_before_the_cut_off_are_due_on_the_same_working_day() -> None:
    friday = {  # 14:00 in Vienna is 12:00 UTC in summer
        order("2026-09-04T11:59:59Z", "2026-09-04T21:59:00Z")["orderDate"]: (
            "2026-09-04T21:59:00Z",
            "2026-09-04T22:00:00Z",
        ),
        "2026-09-04T12:00:00Z": ("2026-09-07T21:59:00Z", "2026-09-07T22:00:00Z"),
        "2026-09-05T06:00:00Z": ("2026-09-07T21:59:00Z", "2026-09-07T22:00:00Z"),
    }
    for placed, (in_time, late) in friday.items():
        (figures,) = order_to_ship(order(placed, in_time), order(placed, late), as_of="2026-09-30", calendar=VIENNA)
        assert figures[2:4] == (2, 1), placed


@pytest.mark.long
def test_open_orders_are_at_risk_on_the_day_they_are_due() -> None:
    waiting = order("2026-09-04T12:00:00Z", None)  # on Friday after the cut-off: due on Monday
    for day, at_risk, judged in [("2026-09-06", 0, 0), ("2026-09-07", 1, 0), ("2026-09-08", 1, 1)]:
        (figures,) = order_to_ship(waiting, as_of=day, calendar=VIENNA)
        assert figures[2:] == (judged, 0, 1, at_risk), day
    called_off = waiting | {f"{PLAN}.cancelled": True}
    assert order_to_ship(called_off, as_of="2026-09-08", calendar=VIENNA) == [(0, 0, 0, 0, 0, 0)]


@pytest.mark.long
def test_without_a_calendar_each_day_counts_with_24_hours() -> None:
    placed = "2026-09-04T12:00:00Z"
    shipped = [order(placed, "2026-09-05T12:00:00Z"), order(placed, "2026-09-05T12:00:01Z")]
    assert order_to_ship(*shipped, as_of="2026-09-30", calendar=Calendar()) == [(2, 1, 0, 0, 0, 0)]
    for day, at_risk in [("2026-09-04", 0), ("2026-09-05", 1)]:
        (figures,) = order_to_ship(order(placed, None), as_of=day, calendar=Calendar())
        assert figures[-1] == at_risk, day
    assert order_to_ship(order(placed, "2026-09-04T11:00:00Z"), as_of="2026-09-30", calendar=VIENNA) == [
        (0, 0, 0, 0, 0, 0)
    ]


@pytest.mark.long
def test_a_warehouse_has_its_own_calendar_and_groups_have_their_own_figures(tmp_path: Path) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text("""
        time_zone = "Europe/Vienna"
        [calendar]
        cut_off = 14:00:00
        working_days = ["mon", "tue", "wed", "thu", "fri"]
        holidays = ["AT", 2026-10-27]
        [calendar.warehouses.Linz]
        working_days = ["mon", "tue", "wed", "thu", "fri", "sat"]
    """)
    placed, left = "2026-10-23T13:00:00Z", "2026-10-28T08:00:00Z"  # Friday afternoon; the 26th is a holiday in Austria
    tables = tables_of(order(placed, left), order(placed, left, "Linz", 5))
    found = qf.kpis(tables, "warehouse", limits=limits).order_to_ship
    assert found.select("warehouse", "due", "in_time").rows() == [("Linz", 1, 0), ("Wien", 1, 1)]
    assert qf.kpis(tables, limits=read_limits(limits)).order_to_ship["in_time"].to_list() == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('cut_off = "25:00"', "cut_off has '25:00', which is no time"),
        ('holidays = "XX"', "neither a day nor a country with known holidays"),
        ('holidays = ["AT-99"]', "neither a day nor a country with known holidays"),
        ('working_days = ["fre"]', r"working_days are fre\. Write some of mon, tue"),
        ("working_days = []", "working_days are none"),
        ('work_hours = ["18:00", "08:00"]', "before they begin"),
        ('time_zone = "Wien"', "There is no time zone 'Wien'"),
        ("ship_hours = 0", "ship_hours is 0"),
        ('cutoff = "14:00"', "unknown field `cutoff`"),
        ('warehouses.Wien.cut_off = "late"', "cut_off has 'late'"),
    ],
)
def test_what_is_no_calendar_is_refused_in_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(f"[calendar]\n{text}\n")
    with pytest.raises(qf.ConfigError, match=message) as told:
        read_limits(file)
    assert str(file) in str(told.value)


def test_public_holidays_without_their_package_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(qf.ConfigError, match=r"pip install 'quivo-frames\[calendar\]'"):
        Calendar(holidays="FI")
    assert Calendar(holidays="2026-12-06").holidays == "2026-12-06"


def test_each_key_of_a_calendar_is_described() -> None:
    assert list(describe_calendar()) == list(Calendar.__struct_fields__)


@pytest.mark.long
def test_the_report_shows_the_figures_of_the_calendar(tmp_path: Path) -> None:
    placed = "2026-09-04T12:00:00Z"  # on Friday after the cut-off: due on Monday
    orders = [order(placed, "2026-09-07T12:00:00Z"), order(placed, "2026-09-08T12:00:00Z"), order(placed, None)]
    qf.report(tables_of(*orders), tmp_path / "report.html", "2026-09-08", limits=Limits(calendar=VIENNA))
    page = " ".join(re.sub("<[^>]*>", " ", (tmp_path / "report.html").read_text(encoding="utf-8")).split())
    for figures in (
        "Shipped within the working hours 33.3 % 1 3 orders",
        "Shipped in time for the cut-off 33.3 % 1 3 orders",
    ):
        assert figures in page
    assert "To be shipped today or overdue 100.0 % 1 1 open orders" in page
