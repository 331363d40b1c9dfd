"""The tables of some orders in memory."""

from __future__ import annotations

import polars as pl
import pytest

from quivo_frames.errors import ConfigError
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.frames import Frames
from quivo_frames.model.records import Note
from quivo_frames.model.tables import REPORT_TABLES, TABLES


def frames_of_orders(*ids: int) -> Frames:
    return flatten([f'{{"orderId":{n},"tags":["a","b"],"new":1,"created":"2026-01-01"}}' for n in ids])


def test_a_table_is_an_attribute_and_an_item() -> None:
    frames = frames_of_orders(1)
    assert frames.order_tags is frames["order_tags"]
    assert frames.order_tags.height == 2
    assert set(TABLES) <= set(dir(frames))
    assert dict(frames).keys() == TABLES.keys()


def test_an_unknown_table_is_refused_with_its_name() -> None:
    with pytest.raises(ConfigError, match=r"no table 'tags'.*order_tags"):
        frames_of_orders(1)["tags"]
    with pytest.raises(AttributeError, match="no table 'tags'"):
        _ = frames_of_orders(1).tags


def test_concatenated_parts_equal_the_whole() -> None:
    whole, joined = (
        frames_of_orders(1, 2, 3),
        Frames.concat([frames_of_orders(1), frames_of_orders(2), frames_of_orders(3)]),
    )
    for name in TABLES:
        assert joined[name].equals(whole[name])
    assert joined.notes.equals(whole.notes)
    assert joined.notes["count"].to_list() == [3, 3]


def test_concatenating_nothing_gives_18_empty_tables() -> None:
    frames = Frames.concat([])
    assert frames.counts() == dict.fromkeys((*TABLES, "failures", "notes"), 0)
    for name, report in REPORT_TABLES.items():
        assert getattr(frames, name).schema == pl.Schema(report.schema)


def test_equal_notes_are_summed_and_keep_their_first_example() -> None:
    notes = [Note("k", "$.a", 2, 7, "x"), Note("k", "$.b", 1, 8, "x")]
    later = [Note("k", "$.b", 1, 9, "y"), Note("k", "$.a", 2, 6, "y")]
    frames = Frames.concat([Frames.of({}, notes=notes), Frames.of({}, notes=later)])
    assert frames.notes.select("path", "count", "order_id").rows() == [("$.a", 4, 7), ("$.b", 2, 8)]
    assert frames.notes["message"].to_list() == ["x", "x"]


def test_excluded_orders_are_in_no_table() -> None:
    remaining = frames_of_orders(1, 2, 3).without_orders([1, 3])
    assert remaining["orders"]["order_id"].to_list() == [2]
    assert remaining["order_tags"]["order_id"].to_list() == [2, 2]
    assert list(remaining) == list(TABLES)


def test_frames_are_shown_with_the_number_of_rows_of_each_table() -> None:
    frames = frames_of_orders(1, 2)
    assert "order_tags" in repr(frames)
    assert ">order_tags</td><td style='text-align:right'>4</td>" in frames._repr_html_()
    assert frames.counts()["order_tags"] == 4
    assert frames.counts()["notes"] == 2
