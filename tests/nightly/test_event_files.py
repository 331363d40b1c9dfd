"""Webhook events: each is read once, from files that grow and folders of files; what is broken waits."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import quivo_frames as qf
from quivo_frames.nightly.event_files import read_new_events


def event(order_id: int, entity: str = "ORDERS") -> str:
    return json.dumps({"events": [{"id": order_id, "entity": entity}]}) + "\n"


def test_a_file_that_grows_is_read_from_where_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text(event(1) + event(2, "SHIPMENTS") + '{"events": [{"id"')
    first = read_new_events([str(file)], {})
    assert first.order_ids == [1]
    assert not first.problems
    file.write_text(event(1) + event(2, "SHIPMENTS") + event(3) + event(4))
    second = read_new_events([str(file)], first.marks)
    assert second.order_ids == [3, 4]
    assert read_new_events([str(file)], second.marks).order_ids == []


def test_a_file_that_was_replaced_is_read_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text(event(1) + event(2))
    known = read_new_events([str(file)], {}).marks
    file.write_text(event(7) + event(8) + event(9))
    assert read_new_events([str(file)], known).order_ids == [7, 8, 9]


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(event(1))
    (tmp_path / "b.ndjson.gz").write_bytes(gzip.compress(event(2).encode()))
    (tmp_path / "notes.txt").write_text("3")
    (tmp_path / ".hidden.json").write_text(event(4))
    first = read_new_events([str(tmp_path)], {})
    assert first.order_ids == [1, 2]
    (tmp_path / "c.json").write_text(event(5))
    second = read_new_events([str(tmp_path)], first.marks)
    assert second.order_ids == [5]
    (tmp_path / "a.json").unlink()
    assert sorted(read_new_events([str(tmp_path)], second.marks).marks) == [
        str(tmp_path / "b.ndjson.gz"), str(tmp_path / "c.json"),
    ]  # fmt: skip


def test_a_broken_file_is_a_problem_and_waits(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(event(1))
    (tmp_path / "b.ndjson").write_text(event(2) + "{broken\n")
    found = read_new_events([str(tmp_path)], {})
    assert found.order_ids == [1]
    assert len(found.problems) == 1
    assert "b.ndjson, line 2" in found.problems[0]
    (tmp_path / "b.ndjson").write_text(event(2))
    assert read_new_events([str(tmp_path)], found.marks).order_ids == [2]


def test_a_broken_line_in_what_was_added_is_named_by_its_line_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "b.ndjson"
    file.write_text(event(1) + event(2))
    known = read_new_events([str(file)], {}).marks
    file.write_text(event(1) + event(2) + "{broken\n")
    found = read_new_events([str(file)], known)
    assert "b.ndjson, line 3" in found.problems[0]
    assert found.marks == known


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(qf.ConfigError, match=r"There is no file or folder .*nowhere"):
        read_new_events([str(tmp_path / "nowhere")], {})
