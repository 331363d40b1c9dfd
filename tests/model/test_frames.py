"""The tables of some orders in memory."""

from __future__ import annotations

import polars as pl
import pytest

from quivo_frames.errors import ConfigError
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.frames import Frames
from quivo_frames.model.records import Note
from quivo_frames.model.tables import REPORT_TABLES, TABLES


def orders(*ids: int) -> Frames:
    return flatten([f'{{"orderId":{n},"tags":["a","b"],"new":1,"created":"2026-01-01"}}' for n in ids])


def test_a_table_is_an_attribute_and_an_item() -> None:
    frames = orders(1)
    assert frames.order_tags is frames["order_tags"]
    assert frames.order_tags.height == 2
    assert set(TABLES) <= set(dir(frames))
    assert dict(frames).keys() == TABLES.keys()


def test_a_table_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"no table 'tags'.*order_tags"):
        orders(1)["tags"]
    with pytest.raises(AttributeError, match="no table 'tags'"):
        _ = orders(1).tags


def test_parts_put_together_are_the_whole() -> None:
    whole, parts = orders(1, 2, 3), Frames.concat([orders(1), orders(2), orders(3)])
    for name in TABLES:
        assert parts[name].equals(whole[name])
    assert parts.notes.equals(whole.notes)
    assert parts.notes["count"].to_list() == [3, 3]


def test_no_part_at_all_is_18_empty_tables() -> None:
    frames = Frames.concat([])
    assert frames.counts() == dict.fromkeys((*TABLES, "failures", "notes"), 0)
    for name, report in REPORT_TABLES.items():
        assert getattr(frames, name).schema == pl.Schema(report.schema)


def test_equal_notes_are_added_up_and_keep_their_first_example() -> None:
    notes = [Note("k", "$.a", 2, 7, "x"), Note("k", "$.b", 1, 8, "x")]
    later = [Note("k", "$.b", 1, 9, "y"), Note("k", "$.a", 2, 6, "y")]
    frames = Frames.concat([Frames.of({}, notes=notes), Frames.of({}, notes=later)])
    assert frames.notes.select("path", "count", "order_id").rows() == [("$.a", 4, 7), ("$.b", 2, 8)]
    assert frames.notes["message"].to_list() == ["x", "x"]


def test_orders_leave_all_tables_at_once() -> None:
    left = orders(1, 2, 3).without_orders([1, 3])
    assert left["orders"]["order_id"].to_list() == [2]
    assert left["order_tags"]["order_id"].to_list() == [2, 2]
    assert list(left) == list(TABLES)


def test_frames_show_themselves_with_their_rows() -> None:
    frames = orders(1, 2)
    assert "order_tags" in repr(frames)
    assert ">order_tags</td><td style='text-align:right'>4</td>" in frames._repr_html_()
    assert frames.counts()["order_tags"] == 4
    assert frames.counts()["notes"] == 2
