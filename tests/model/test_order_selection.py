"""Conditions that choose orders: how they are written, read, and named in words."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import msgspec
import polars as pl
import pytest

from quivo_frames.errors import ConfigError
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.frames import Frames
from quivo_frames.model.order_selection import OrderConditions
from quivo_frames.standin.orders import order_json


@pytest.fixture(scope="module")
def frames() -> Frames:
    return flatten(
        [order_json(order_id) for order_id in range(100_001, 100_061)] + [b'{"orderId": 7, "sellerId": "x"}']
    )


def test_frames_in_memory_are_divided_in_the_same_way(frames: Frames) -> None:
    part = frames.where(status="COMPLETED", since="2026-07-01")
    wanted = frames.orders.filter(
        pl.col("order_status") == "COMPLETED", pl.col("order_date") >= datetime(2026, 7, 1, tzinfo=UTC)
    )
    assert part.orders.equals(wanted)
    assert 0 < wanted.height < frames.orders.height
    ids = wanted["order_id"].implode()
    for name, frame in frames.items():
        assert part[name].equals(frame.filter(pl.col("order_id").is_in(ids))), name
    assert part.order_notes.equals(frames.order_notes.filter(pl.col("order_id").is_in(ids)))
    assert part.failures.is_empty()
    assert frames.only([7]).failures["order_id"].to_list() == [7]
    assert frames.where() is frames


@pytest.mark.parametrize("given", ["100031", [100_031, "100002"], 1.5, None, 2**63])
def test_ids_that_are_no_whole_numbers_are_refused(frames: Frames, given: object) -> None:
    with pytest.raises(ConfigError, match="Order ids are whole numbers"):
        frames.only(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-08-01", "2026-08-02"),
        (date(2026, 8, 1), date(2026, 8, 2)),
        ("2026-08-01T00:00:00", "2026-08-03T00:00:00"),
        ("2026-08-01T02:00:00+02:00", datetime(2026, 8, 3, 2, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_a_day_is_meant_from_its_beginning_to_its_end(
    frames: Frames, monkeypatch: pytest.MonkeyPatch, since: object, until: object
) -> None:
    asked: list[OrderConditions] = []
    monkeypatch.setattr(Frames, "_narrow_to", lambda _, conditions: asked.append(conditions))
    frames.where(since=since, until=until)  # type: ignore[arg-type]
    assert asked == [OrderConditions(since=datetime(2026, 8, 1, tzinfo=UTC), until=datetime(2026, 8, 3, tzinfo=UTC))]


def test_conditions_are_said_in_words_and_read_as_they_were_written() -> None:
    conditions = OrderConditions(
        ("Alpine \u2192", 7), (4,), datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 9, 1, 12, 30, 0, 5, tzinfo=UTC), (1, 2),
        ("SHIPPED",),
    )  # fmt: skip
    assert str(conditions) == (
        "seller Alpine \u2192 or 7, warehouse 4, status SHIPPED, since 2026-08-01 00:00, until 2026-09-01 12:30, 2 given ids"
    )
    assert str(OrderConditions(ids=(5,))) == "id 5"
    assert str(OrderConditions(seller=())) == "seller \u2013"
    assert msgspec.json.decode(msgspec.json.encode(conditions), type=OrderConditions) == conditions
    assert conditions.without_orders([2]).ids == (1,)
    assert OrderConditions(seller=(7,)).without_orders([2]) == OrderConditions(seller=(7,))
