"""One order's life: who sells it to where, when, how far it is, what goes wrong, and how its JSON says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import cache
from random import Random
from typing import Any, TypeVar

from quivo_frames.standin import world

Record = dict[str, Any]
T = TypeVar("T")


class Stage(IntEnum):
    """How far an order has come."""

    NEW, EXPORTED, PICKING, SHIPPED, DELIVERED, PROVED = range(6)


HOUR, DAY = 3600, 86400

_FIRST_STAGES = tuple(Stage(stage) for stage, share in enumerate((2, 3, 3, 6, 6, 80)) for _ in range(share))
_FLAWS = (
    *("short", "short", "over", "unplanned", "substitute", "unpacked", "unlabelled", "sscc", "light"),
    *("expired", "serial", "backwards", "untraced", "same tracking", "empty"),
    *("cent", "cash", "country", "left"),
)
"""What goes wrong in an order, for an audit to find."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TODAY = datetime(2026, 10, 12, tzinfo=UTC)
"""The instant at which invented orders are as far as at the first visit: what is late is late by then."""
NOW = int(TODAY.timestamp())

# What stands in place of nothing: a key is left out (None), or has null, unless it is one of these.
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
_SILENCES: tuple[Record | None, ...] = (None, {}, _LISTS, _LISTS, _EMPTIES)


class Dice(Random):
    """Draws from random() alone, whose sequence is the same everywhere."""

    def upto(self, count: int) -> int:
        """One of 0 … count - 1."""
        return int(self.random() * count)

    def pick(self, choices: tuple[T, ...]) -> T:
        """One of the choices."""
        return choices[int(self.random() * len(choices))]

    def chance(self, share: float) -> bool:
        """True in such a share of draws."""
        return self.random() < share


@cache
def _lacks(gap: int, key: str) -> bool:
    """Whether orders with this gap lack the key: a tenth of all keys, others for each gap, never the order's id."""
    return key != "orderId" and Dice(f"{gap} {key}").chance(0.1)


class Life:
    """What is drawn once for an order; the order of the draws is part of the data, so a new draw belongs at the end."""

    def __init__(self, order_id: int, seed: int, visit: int) -> None:
        dice = self.dice = Dice(seed << 64 | order_id)
        self.id = order_id
        self.stem = order_id % 10**15  # of all ids in the order, which fit 64 bits
        self.seller = dice.pick(world.SELLERS)
        self.place = dice.pick(world.PLACES)
        self.form = dice.upto(32)
        self.silence = dice.pick(_SILENCES)
        self.gap = dice.upto(64) if dice.chance(0.04) else None
        self.flaw = dice.pick(_FLAWS) if dice.chance(0.05) else ""
        self.bulk = dice.chance(0.17)
        self.removed = dice.chance(0.03) or self.flaw == "left"
        self.personal = not self.removed or self.flaw == "left"
        self.stuck = dice.chance(0.03)
        self.centimetres = dice.chance(0.15)
        self._counter = 0
        self._date(visit)

    def _date(self, visit: int) -> None:
        """When everything happens, and how far the order is at this visit."""
        dice = self.dice
        cancelled, too_late = dice.chance(0.04), dice.chance(0.2)
        partial = dice.chance(0.04)
        self.behind = partial or dice.chance(0.1)
        first = Stage.SHIPPED if partial else dice.pick(_FIRST_STAGES)
        self.stage = min(first, Stage.EXPORTED) if self.stuck else min(first + visit, Stage.PROVED)
        if cancelled and not too_late:
            self.stage = min(self.stage, Stage.EXPORTED)
        late = dice.chance(0.06)
        created = 60 + dice.upto(HOUR)  # seconds after the order
        exported = created + 300 + dice.upto(HOUR)
        picked = exported + 2 * HOUR + dice.upto(DAY) + (3 * DAY if late else 0)
        shipped = picked + HOUR + dice.upto(11 * HOUR)
        self.transit = DAY + dice.upto(int(1.8 * DAY))
        delivered = shipped + self.transit + (4 * DAY if late else 0)
        proved = delivered + HOUR + dice.upto(DAY)
        times = (created, exported, picked, shipped, delivered, proved, proved + DAY)
        youngest = times[Stage.EXPORTED if self.stuck else first]
        oldest = 60 * DAY if self.stuck else 120 * DAY if first == Stage.PROVED else times[first + 1]
        self.ordered = NOW - youngest - int(dice.random() * (oldest - youngest))
        self.times = tuple(self.ordered + seconds for seconds in times)
        self.called_off = cancelled and not too_late
        self.asked_to_cancel = self.times[Stage.NEW] + 60 + dice.upto(240) if cancelled else None

    # What stands in the JSON.

    def tell(self, record: Record) -> Record:
        """The record with nothing written as this order writes it."""
        gap, silence = self.gap, self.silence
        if gap is not None:
            record = {key: None if _lacks(gap, key) else value for key, value in record.items()}
        if silence is None:
            return {key: value for key, value in record.items() if value is not None}
        if not silence:
            return record
        return {key: silence.get(key) if value is None else value for key, value in record.items()}

    def at(self, seconds: int) -> str:
        """The instant in the order's own form: mostly whole seconds and Z."""
        form = self.form
        if form > 3:
            return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19] + "Z"
        text = (_EPOCH + timedelta(seconds=seconds + (7200 if form == 0 else 0))).isoformat()[:19]
        return text + ("+02:00", f".{seconds * 7 % 1000:03d}Z", f".{seconds * 7919 % 1000000:06d}Z", ".5Z")[form]

    def when(self, stage: int, reached: int, behind: int = 0) -> str | None:
        """The instant of a stage, if it is reached."""
        return self.at(self.times[stage + behind]) if reached >= stage else None

    def day(self, seconds: int) -> str:
        """The date of an instant."""
        return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:10]

    def number(self) -> int:
        """The next id of this order's parts."""
        self._counter += 1
        return self.stem * 1000 + self._counter

    def sscc(self) -> str:
        """A new SSCC: extension digit, company prefix, serial number, and GS1's check digit."""
        digits = f"34012345{self.number() % 10**9:09d}"
        check = -(3 * sum(map(int, digits[::2])) + sum(map(int, digits[1::2]))) % 10
        return f"{digits}{check}"

    def lot(self, article: world.Article) -> tuple[str | None, str | None]:
        """A lot of the article and its expiry, for goods that have them."""
        if not self.seller.lots:
            return None, None
        batch = self.dice.upto(40)
        return f"L{26000 + article.number * 40 + batch}", self.at(NOW + (90 + batch * 9) * DAY)
