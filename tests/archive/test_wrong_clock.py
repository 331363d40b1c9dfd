"""An answer with a wrong time hides no later one: what was recorded last counts, and every command says so."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quivo_frames.analysis.changes.changes import changes
from quivo_frames.archive.archive import Archive
from quivo_frames.archive.raw_export.export import read_responses
from quivo_frames.archive.raw_export.writer import ArchiveState, write_raw_export
from quivo_frames.archive.responses import MAX_INT64
from quivo_frames.builder.build import build
from quivo_frames.fetch.run import plan
from quivo_frames.maintenance.erasure import honour_removed
from quivo_frames.maintenance.integrity import check
from quivo_frames.standin.orders import order_json
from quivo_frames.storage.place import open_place
from tests.support.archived_orders import build_both_ways, record_answers

ORDER, OTHER = 100_001, 100_002
NOW = datetime.now(UTC).replace(microsecond=0)
AHEAD = NOW + timedelta(days=400)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive with an answer of a clock that was 400 days ahead, and one of now."""
    with Archive(tmp_path / "orders.sqlite") as made:
        record_answers(made, {ORDER: b'{"orderId": 100001, "orderStatus": "AHEAD"}'}, AHEAD)
        late = {ORDER: b'{"orderId": 100001, "orderStatus": "LATER"}', OTHER: order_json(OTHER)}
        record_answers(made, late, NOW)
    return tmp_path / "orders.sqlite"


def test_a_build_takes_the_answer_that_was_recorded_last_and_notes_the_clock(path: Path, tmp_path: Path) -> None:
    built = build(path, tmp_path / "tables")
    assert built.orders.filter(order_id=ORDER)["order_status"].to_list() == ["LATER"]
    noted = built.notes.filter(kind="clock_ran_backwards")
    assert noted.select("count", "order_id").rows() == [(1, ORDER)]
    assert "the answer that was recorded last was taken" in noted["message"][0]


def test_a_time_in_the_future_is_not_fetched_recently(tmp_path: Path) -> None:
    with Archive(tmp_path / "orders.sqlite") as archive:
        record_answers(archive, {ORDER: b"{}"}, AHEAD)
        record_answers(archive, {OTHER: b"{}"}, NOW)
        planned = plan([ORDER, OTHER], archive, max_age=timedelta(hours=12))
        assert (planned.skipped, planned.requests) == (1, 1)
        run, _ = archive.begin([ORDER, OTHER], fresh_since=NOW - timedelta(hours=12))
        assert list(archive.pending(run)) == [ORDER]


def test_check_names_answers_of_the_future_and_those_that_a_clock_put_before_an_earlier_one(path: Path) -> None:
    found = check(path).flaws
    assert found.select("what", "order_id").rows() == [("clock", ORDER), ("clock", ORDER)]
    ahead, behind = found["message"]
    assert "Response 1 is of" in ahead
    assert "lies in the future" in ahead
    assert "Response 2 was recorded after response 1, and has an earlier time" in behind
    assert "recorded last counts" in behind


@pytest.mark.long
def test_a_raw_export_and_an_incremental_build_take_the_same_answer(path: Path, tmp_path: Path) -> None:
    whole = build(path, tmp_path / "tables")
    Archive(path).export(tmp_path / "raw")
    exported = build(tmp_path / "raw", tmp_path / "exported")
    assert exported.orders.equals(whole.orders)
    assert exported.notes.equals(whole.notes)
    with Archive(path) as archive:
        record_answers(archive, {ORDER: b'{"orderId": 100001, "orderStatus": "LAST"}'}, NOW - timedelta(days=3))
    renewed = build_both_ways(path, tmp_path / "tables")
    assert renewed.orders.filter(order_id=ORDER)["order_status"].to_list() == ["LAST"]
    assert renewed.manifest["made"] == 1
    assert build_both_ways(path, tmp_path / "tables").manifest["made"] == 0


def test_a_raw_export_of_an_earlier_version_is_read_by_number_too(path: Path, tmp_path: Path) -> None:
    """Earlier versions sorted the answers of an order by time, so that the last row is not the last answer."""
    with closing(read_responses(path, MAX_INT64)) as rows:
        by_time = sorted(rows, key=lambda row: (row.order_id, row.fetched_at, row.response))
    assert [row.response for row in by_time if row.order_id == ORDER] == [2, 1]
    write_raw_export(open_place(tmp_path / "raw"), by_time, ArchiveState("orders.sqlite", 0, 3))
    built = build(tmp_path / "raw", tmp_path / "tables")
    assert built.orders.filter(order_id=ORDER)["order_status"].to_list() == ["LATER"]


@pytest.mark.long
def test_a_point_in_time_has_what_says_that_it_had_arrived_by_then(path: Path, tmp_path: Path) -> None:
    with Archive(path) as archive:
        record_answers(archive, {ORDER: b'{"orderId": 100001, "orderStatus": "LAST"}'}, NOW + timedelta(hours=1))
    for as_of, status in ((NOW, "LATER"), (NOW + timedelta(hours=1), "LAST"), (AHEAD, "LAST")):
        built = build(path, tmp_path / "tables", as_of=as_of)
        assert built.orders.filter(order_id=ORDER)["order_status"].to_list() == [status]


def test_between_archives_the_time_decides(path: Path, tmp_path: Path) -> None:
    with Archive(tmp_path / "other.sqlite") as other:
        record_answers(other, {ORDER: b'{"orderId": 100001, "orderStatus": "ELSEWHERE"}'}, NOW + timedelta(seconds=1))
    built = build([path, tmp_path / "other.sqlite"], tmp_path / "tables")
    assert built.orders.filter(order_id=ORDER)["order_status"].to_list() == ["ELSEWHERE"]
    assert built.manifest["orders"]["superseded"] == 1


def test_changes_follow_the_order_in_which_answers_were_recorded(path: Path) -> None:
    found = changes(path).filter(column="order_status")
    assert found.select("before", "after", "seen_at").rows() == [("AHEAD", "LATER", NOW)]
    assert changes(path, NOW - timedelta(days=1)).filter(column="order_status").height == 1


def test_personal_values_stay_in_the_answer_that_was_recorded_last(tmp_path: Path) -> None:
    with Archive(tmp_path / "orders.sqlite") as archive:
        record_answers(archive, {ORDER: b'{"orderId": 100001, "comment": "old"}'}, AHEAD)
        last = b'{"orderId": 100001, "comment": "new", "piiDataRemoved": true}'
        record_answers(archive, {ORDER: last}, NOW)
        assert honour_removed(archive).responses == 1
        assert [raw.body for raw in archive.newest()] == [last]
        assert b"old" not in b"".join(raw.body for raw in archive.responses())


def test_equal_times_are_no_wrong_clock(tmp_path: Path) -> None:
    with Archive(tmp_path / "orders.sqlite") as archive:
        record_answers(archive, {ORDER: order_json(ORDER)}, NOW)
        record_answers(archive, {ORDER: order_json(ORDER)}, NOW)
    assert check(tmp_path / "orders.sqlite").flaws.is_empty()
    assert "clock_ran_backwards" not in build(tmp_path / "orders.sqlite", tmp_path / "tables").notes["kind"]
    with closing(sqlite3.connect(tmp_path / "orders.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM responses").fetchone() == (2,)
