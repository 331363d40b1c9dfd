"""The state of one invented order: seller, destination, times, stage, flaw, and how its JSON writes blanks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import cache
from random import Random
from typing import Any, TypeVar

from quivo_frames.standin import world

Record = dict[str, Any]
Choice = TypeVar("Choice")


class Stage(IntEnum):
    """How far an order is."""

    NEW, EXPORTED, PICKING, SHIPPED, DELIVERED, PROVED = range(6)


HOUR, DAY = 3600, 86400

_FIRST_STAGES = tuple(Stage(stage) for stage, share in enumerate((2, 3, 3, 6, 6, 80)) for _ in range(share))
_FLAWS = (
    *("short", "short", "over", "unplanned", "substitute", "unpacked", "unlabelled", "sscc", "light"),
    *("expired", "serial", "backwards", "untraced", "same tracking", "empty"),
    *("cent", "cash", "country", "left"),
)
"""What can be wrong with an order on purpose, for an audit to find."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TODAY = datetime(2026, 10, 12, tzinfo=UTC)
"""The instant at which the first visit sees every invented order: measure lateness against it."""
NOW = int(TODAY.timestamp())

# What an order writes for a value that it does not have: no key at all (None), null ({}), or an empty value of these.
_LISTS: Record = {
    key: []
    for key in (
        "positions", "fulfillmentOrders", "handlingUnits", "tags", "entityErrors", "additionalIdentifiers", "shipments",
        "trackingLinks", "trackingNumbers", "serialNumbers", "groupedPositions", "podDocuments", "handlingPositions",
        "childHandlingUnits",
    )
}  # fmt: skip
_OBJECTS: Record = {key: {} for key in ("customAttributes", "invoiceAddress", "url", "width", "length", "height")}
_TEXTS: Record = dict.fromkeys(
    (
        "lot", "location", "bundledBy", "bundleSku", "name2", "company", "address2", "address3", "state",
        "phone", "email", "comment", "deliveryInstruction", "customerPurchaseOrderNumber", "orderReference",
        "trackingLink", "trackingNumber", "sscc", "carrier", "tracking", "errorMessage", "type", "customerIdentifier",
        "shopSystemName", "cashOnDeliveryCurrency", "addressIdentifier",
    ),
    "",
)  # fmt: skip
_EMPTIES = _LISTS | _OBJECTS | _TEXTS
_BLANK_FORMS: tuple[Record | None, ...] = (None, {}, _LISTS, _LISTS, _EMPTIES)


class Dice(Random):
    """A random generator that uses random() alone, whose sequence is the same on every platform and Python version."""

    def draw_below(self, count: int) -> int:
        """An integer from 0 to count - 1."""
        return int(self.random() * count)

    def pick_one(self, choices: tuple[Choice, ...]) -> Choice:
        """One of the choices."""
        return choices[int(self.random() * len(choices))]

    def chance(self, share: float) -> bool:
        """True with this probability."""
        return self.random() < share


@cache
def _is_left_out(number: int, key: str) -> bool:
    """Whether orders with this number lack the key: a tenth of all keys, others for each number, never orderId."""
    return key != "orderId" and Dice(f"{number} {key}").chance(0.1)


class OrderState:
    """All that is drawn once for an order.

    The sequence of draws decides the data: add a new draw at the end, or every order changes.
    """

    def __init__(self, order_id: int, seed: int, visit: int) -> None:
        dice = self.dice = Dice(seed << 64 | order_id)
        self.order_id = order_id
        self.id_stem = order_id % 10**15  # the ids inside the order are built from it and fit 64 bits
        self.seller = dice.pick_one(world.SELLERS)
        self.destination = dice.pick_one(world.CITIES)
        self.instant_form = dice.draw_below(32)
        self.blank_form = dice.pick_one(_BLANK_FORMS)
        self.missing_keys = dice.draw_below(64) if dice.chance(0.04) else None
        self.flaw = dice.pick_one(_FLAWS) if dice.chance(0.05) else ""
        self.is_bulk = dice.chance(0.17)
        self.is_anonymised = dice.chance(0.03) or self.flaw == "left"
        self.shows_person = not self.is_anonymised or self.flaw == "left"
        self.is_stuck = dice.chance(0.03)
        self.in_centimetres = dice.chance(0.15)
        self._counter = 0
        self._draw_times(visit)

    def _draw_times(self, visit: int) -> None:
        """Draw when each stage happens, and how far the order is at this visit."""
        dice = self.dice
        cancelled, too_late = dice.chance(0.04), dice.chance(0.2)
        partial = dice.chance(0.04)
        self.is_behind = partial or dice.chance(0.1)
        first = Stage.SHIPPED if partial else dice.pick_one(_FIRST_STAGES)
        self.stage = min(first, Stage.EXPORTED) if self.is_stuck else min(first + visit, Stage.PROVED)
        if cancelled and not too_late:
            self.stage = min(self.stage, Stage.EXPORTED)
        late = dice.chance(0.06)
        created = 60 + dice.draw_below(HOUR)  # seconds after the order
        exported = created + 300 + dice.draw_below(HOUR)
        picked = exported + 2 * HOUR + dice.draw_below(DAY) + (3 * DAY if late else 0)
        shipped = picked + HOUR + dice.draw_below(11 * HOUR)
        self.transit_seconds = DAY + dice.draw_below(int(1.8 * DAY))
        delivered = shipped + self.transit_seconds + (4 * DAY if late else 0)
        proved = delivered + HOUR + dice.draw_below(DAY)
        times = (created, exported, picked, shipped, delivered, proved, proved + DAY)
        youngest = times[Stage.EXPORTED if self.is_stuck else first]
        oldest = 60 * DAY if self.is_stuck else 120 * DAY if first == Stage.PROVED else times[first + 1]
        self.ordered_at = NOW - youngest - int(dice.random() * (oldest - youngest))
        self.times = tuple(self.ordered_at + seconds for seconds in times)
        self.is_cancelled = cancelled and not too_late
        self.cancel_requested_at = self.times[Stage.NEW] + 60 + dice.draw_below(240) if cancelled else None

    # How the order writes its JSON

    def write_blanks(self, record: Record) -> Record:
        """The record with absent values as this order writes them: no key, null, or an empty value."""
        if self.missing_keys is not None:
            record = {key: None if _is_left_out(self.missing_keys, key) else value for key, value in record.items()}
        if self.blank_form is None:
            return {key: value for key, value in record.items() if value is not None}
        return {key: self.blank_form.get(key) if value is None else value for key, value in record.items()}

    def format_instant(self, seconds: int) -> str:
        """An instant (Unix seconds) as ISO 8601 in the order's own form: mostly whole seconds and Z."""
        form = self.instant_form
        if form > 3:
            return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19] + "Z"
        text = (_EPOCH + timedelta(seconds=seconds + (7200 if form == 0 else 0))).isoformat()[:19]
        return text + ("+02:00", f".{seconds * 7 % 1000:03d}Z", f".{seconds * 7919 % 1000000:06d}Z", ".5Z")[form]

    def stage_instant(self, stage: int, reached: int, behind: int = 0) -> str | None:
        """The instant of a stage, None if it is not reached."""
        return self.format_instant(self.times[stage + behind]) if reached >= stage else None

    def format_date(self, seconds: int) -> str:
        """The date of an instant, YYYY-MM-DD."""
        return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:10]

    def next_id(self) -> int:
        """A new id for a part of this order."""
        self._counter += 1
        return self.id_stem * 1000 + self._counter

    def next_sscc(self) -> str:
        """A new SSCC: extension digit, company prefix, serial number, and GS1's check digit."""
        digits = f"34012345{self.next_id() % 10**9:09d}"
        check = -(3 * sum(map(int, digits[::2])) + sum(map(int, digits[1::2]))) % 10
        return f"{digits}{check}"

    def draw_lot(self, article: world.Article) -> tuple[str | None, str | None]:
        """A lot of the article and its expiry date, (None, None) where the seller has no lots."""
        if not self.seller.lots:
            return None, None
        batch = self.dice.draw_below(40)
        return f"L{26000 + article.number * 40 + batch}", self.format_instant(NOW + (90 + batch * 9) * DAY)
