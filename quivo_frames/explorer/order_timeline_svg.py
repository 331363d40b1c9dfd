"""The time line of one order: promised days as bars, milestones as dots, days late as a bar, on one scale.

Each row has a drawing of its own with places in percent, so that words beside it keep their size at any width.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from quivo_frames.explorer.order_places import Cell
from quivo_frames.explorer.order_rows import OrderRows, Row

MOST_ROWS = 24
_DAY = timedelta(days=1)
_MARGIN = 3.0
"""Percent of the width that stay free at both ends."""
_STEPS = (1, 2, 7, 14, 30, 91, 182, 365, 730, 1826, 3652, 18262, 36525, 182625)
_MOST_TICKS = 6


class TimelineBar(NamedTuple):
    """A bar from a place to another, in percent."""

    start: float
    width: float
    kind: str
    """promise or late."""


class TimelineRow(NamedTuple):
    """A row: what it is, when, in words, and what is drawn."""

    what: str
    when: str
    words: str
    cell: Cell | None
    bars: list[TimelineBar]
    dots: list[float]
    kind: str
    """promise, happened, or known."""
    is_later: bool = False
    """Whether it lies after the end of the scale."""


class TimelineTick(NamedTuple):
    """A line of the scale with its day."""

    place: float
    text: str


class Timeline(NamedTuple):
    """The rows of a time line and its scale."""

    rows: list[TimelineRow]
    ticks: list[TimelineTick]
    summary: str
    """What it shows, in a sentence, for those who do not see it."""


class _Scale:
    """The places of instants, from the first day to the last."""

    def __init__(self, instants: list[datetime]) -> None:
        self.first = datetime.combine(min(instants).date(), time(), UTC)
        self.last = max(max(instants), min(self.first, datetime.max.replace(tzinfo=UTC) - _DAY) + _DAY)

    def place(self, at: datetime) -> float:
        share = (at - self.first) / (self.last - self.first)
        return round(_MARGIN + (100 - 2 * _MARGIN) * min(max(share, 0), 1), 2)

    def draw_ticks(self) -> list[TimelineTick]:
        days = (self.last - self.first) / _DAY
        step = next((step for step in _STEPS if days / step <= _MOST_TICKS), _STEPS[-1])
        form = "%m-%d" if self.first.year == self.last.year or step < _STEPS[5] else "%Y-%m"
        count = int(days // step) + 1
        instants = (self.first + number * step * _DAY for number in range(count))
        return [TimelineTick(self.place(at), at.strftime(form)) for at in instants]


_EVENT_WORDS = {
    "ordered": "Ordered", "created": "Created at Quivo", "exported": "Exported",
    "cancellation requested": "Cancellation requested", "planned": "Planned", "shipped": "Shipped",
    "picked up": "Picked up", "delivered": "Delivered", "proven": "Delivery proven", "completed": "Completed",
}  # fmt: skip


def draw_timeline(rows: OrderRows) -> Timeline | None:
    """The time line of an order; None if nothing of it has a date."""
    promises, events = _promises(rows.order), _events(rows)
    known_at = rows.order["fetched_at"]
    instants = [at for _, first, last, _ in promises for at in (first, last) if at is not None]
    instants += [at for event in events for at in event["times"]]
    if not instants:
        return None
    until = known_at is not None and (_is_waiting(rows) or _is_soon_after(known_at, instants))
    scale = _Scale([*instants, *([known_at] if until else [])])
    deadlines = _late_parts(rows)
    drawn = [_draw_promise(scale, *promise, deadlines) for promise in promises]
    drawn += [_draw_event(scale, event) for event in events[:MOST_ROWS]]
    if known_at is not None:
        cell = Cell("orders", str(rows.order_id), "fetched_at")
        when, said = f"{known_at:%Y-%m-%d %H:%M}", "nothing later is known"
        dots = [scale.place(known_at)] if until else []
        drawn.append(TimelineRow("Answer of Quivo", when, said, cell, [], dots, "known", is_later=not until))
    return Timeline(drawn, scale.draw_ticks(), f"Time line from {min(instants):%Y-%m-%d} to {scale.last:%Y-%m-%d}")


def _is_waiting(rows: OrderRows) -> bool:
    """Whether the order waits for something, so that the time until the answer counts."""
    overview = rows.derived_row("overview")
    return overview["delivered_last"] is None and overview["completed_at"] is None


def _is_soon_after(known_at: datetime, instants: list[datetime]) -> bool:
    """Whether an answer is drawn: a later one would leave no room for what happened."""
    return known_at - max(instants) <= (max(instants) - min(instants)) / 2


Promise = tuple[str, datetime | None, datetime | None, Cell]


def _promises(order: Row) -> list[Promise]:
    """The promised days that are known: words, beginning of the first day, end of the last, the cell of the last."""
    found = []
    for words, which in (("To be shipped", "ship"), ("To be delivered", "delivery")):
        days = [_usable_day(order[f"{end}_{which}_date"]) for end in ("earliest", "latest")]
        if any(days):
            begin = datetime.combine(days[0], time(), UTC) if days[0] else None
            end = datetime.combine(days[1], time(), UTC) + _DAY if days[1] else None
            cell = Cell("orders", str(order["order_id"]), f"{'latest' if days[1] else 'earliest'}_{which}_date")
            found.append((words, begin, end, cell))
    return found


def _usable_day(day: date | None) -> date | None:
    """The day; None for days that stand for no day."""
    return day if day is not None and 1970 < day.year < 9000 and day != date(1970, 1, 1) else None


def _late_parts(rows: OrderRows) -> dict[str, datetime]:
    """Until when what was promised was late, by ship and delivery."""
    overview, known = rows.derived_row("overview"), rows.order["fetched_at"]
    if overview["stage"] == "called off":
        return {}
    until = {"ship": overview["shipped_last"] or known, "delivery": overview["delivered_last"] or known}
    return {which: at for which, at in until.items() if at is not None}


def _draw_promise(
    scale: _Scale, words: str, begin: datetime | None, end: datetime | None, cell: Cell, late: dict[str, datetime]
) -> TimelineRow:
    first = scale.place(begin if begin is not None else scale.first)
    last = scale.place(end if end is not None else scale.last)
    bars = [TimelineBar(first, round(max(last - first, 0.5), 2), "promise")]
    until = late.get("ship" if "_ship_" in cell.column else "delivery")
    said = ""
    if end is not None and until is not None and until >= end:
        until_place = scale.place(until)
        bars.append(TimelineBar(last, round(max(until_place - last, 0.5), 2), "late"))
        said = describe_days((until.date() - (end - _DAY).date()).days) + " late"
    last_day = (end - _DAY).date() if end is not None else None
    return TimelineRow(words, _days_text(begin.date() if begin else None, last_day), said, cell, bars, [], "promise")


def _days_text(first: date | None, last: date | None) -> str:
    if first and last:
        return f"{first}" if first == last else f"{first} to {last}"
    return f"by {last}" if last else f"from {first}"


def describe_days(days: int) -> str:
    """A number of days in words."""
    return "1 day" if days == 1 else f"{days:,} days"


def _events(rows: OrderRows) -> list[dict[str, Any]]:
    """What happened, by time; the same event of several rows is one, from the first to the last."""
    grouped: dict[str, dict[str, Any]] = {}
    for row in rows.derived["events"].iter_rows(named=True):
        event = grouped.setdefault(row["event"], row | {"times": [], "days": True})
        event["times"].append(row["at"])
        event["days"] = event["days"] and row["precision"] == "day"
    return sorted(grouped.values(), key=lambda event: event["times"][0])


def _draw_event(scale: _Scale, event: dict[str, Any]) -> TimelineRow:
    name, times = event["event"], event["times"]
    is_undone = name.startswith("reversed: ")
    words = _EVENT_WORDS.get(name.removeprefix("reversed: "), name)
    what = f"{words} (reversed)" if is_undone else words
    form = "%Y-%m-%d" if event["days"] else "%Y-%m-%d %H:%M"
    when = times[0].strftime(form)
    said = f"{len(times)} times, until {times[-1].strftime(form)}" if len(times) > 1 else ""
    dots = sorted({scale.place(at) for at in times})
    return TimelineRow(what, when, said, Cell(event["table"], event["key"], event["column"]), [], dots, "happened")
