"""A build that makes only what changed gives the tables that a build of everything gives."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.builder import build as building
from quivo_frames.builder.build import build, build_with
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.core_choice import compiled_core
from quivo_frames.maintenance.erasure import forget, honour_removed
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, assert_same_dataset, build_both_ways, record_answers

IDS = range(100_001, 100_061)


def change_order(chance: random.Random, order_id: int) -> bytes:
    """An order as it may be answered later: with fewer, more, or other lines, new fields, and values that are bad."""
    order = json.loads(order_json(order_id))
    for _ in range(chance.randint(1, 3)):
        way = chance.choice(["status", "vanished", "grown", "unknown", "noted", "bad", "same", "sent"])
        if way == "status":
            order["orderStatus"] = chance.choice(["COMPLETED", "ODD", "PROCESSING"])
        elif way == "vanished":
            order[chance.choice(["positions", "fulfillmentOrders", "handlingUnits", "tags"])] = []
        elif way == "grown":
            order["positions"] = order.get("positions", []) * 2
        elif way == "unknown":
            order[chance.choice(["novelty", "surprise"])] = chance.choice([1, "text", {"a": []}])
        elif way == "noted":
            order["created"] = "2026-06-01T12:00:00"
        elif way == "bad":
            order["sellerId"] = "a text"
        elif way == "sent":
            for planned in order.get("fulfillmentOrders") or []:
                planned["shipments"] = [{"shipmentId": chance.randint(1, 10**9), "trackingNumbers": ["A", None, "B"]}]
    return json.dumps(order).encode()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "orders.sqlite") as made:
        answers = {order_id: order_json(order_id) for order_id in IDS}
        answers[100_007] = b'{"orderId": 100007, "sellerId": "bad"}'
        answers[100_008] = order_json(100_008)[:-1] + b', "novelty": 1}'
        record_answers(made, answers, NOON)
        yield made


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 6))])
@pytest.mark.parametrize("orders_per_partition", [pytest.param(10_000, marks=pytest.mark.long), 5])
def test_renewed_tables_are_those_of_a_full_build(
    archive: Archive, tmp_path: Path, seed: int, orders_per_partition: int
) -> None:
    settings = BuildSettings(orders_per_partition=orders_per_partition)
    chance = random.Random(seed)
    build_with(settings, archive, tmp_path / "out")
    for day in range(1, 4):
        ids = chance.sample([*IDS, *range(100_100, 100_103), 99_000 + day], chance.randint(0, 20))
        record_answers(
            archive, {order_id: change_order(chance, order_id) for order_id in ids}, NOON + timedelta(days=day)
        )
        assert build_both_ways(archive, tmp_path / "out", settings).manifest["made"] == len(ids)


@pytest.mark.long
def test_where_nothing_changed_no_table_is_written_again(archive: Archive, tmp_path: Path) -> None:
    first = build(archive, tmp_path / "out")
    times = {file.name: file.stat().st_mtime_ns for file in first.folder.glob("*.parquet")}
    second = build_both_ways(archive, tmp_path / "out")
    assert second.manifest["made"] == 0
    untouched = [f"{name}.parquet" for name in TABLES]
    assert {name: (second.folder / name).stat().st_mtime_ns for name in untouched} == {
        name: times[name] for name in untouched
    }


@pytest.mark.long
def test_a_table_without_a_change_keeps_its_file(archive: Archive, tmp_path: Path) -> None:
    folder = build(archive, tmp_path / "out").folder
    before = {name: (folder / f"{name}.parquet").stat().st_ino for name in TABLES}
    old, new = b'"orderStatus":"COMPLETED"', b'"orderStatus":"ODD"'
    order_id = next(order_id for order_id in IDS if old in order_json(order_id))
    record_answers(archive, {order_id: order_json(order_id).replace(old, new)}, NOON + timedelta(days=1))
    assert build_both_ways(archive, tmp_path / "out").manifest["made"] == 1
    assert [n for n in TABLES if (folder / f"{n}.parquet").stat().st_ino != before[n]] == ["orders"]


@pytest.mark.long
def test_of_several_archives_each_order_stands_where_it_would(archive: Archive, tmp_path: Path) -> None:
    with Archive(tmp_path / "other.sqlite") as other:
        record_answers(other, {order_id: order_json(order_id) for order_id in range(100_050, 100_090)}, NOON)
        build([archive, other], tmp_path / "out")
        record_answers(archive, {100_055: order_json(100_055), 100_080: order_json(100_080)}, NOON + timedelta(days=1))
        record_answers(other, {100_002: order_json(100_002)}, NOON + timedelta(days=1))
        assert build_both_ways([archive, other], tmp_path / "out").manifest["made"] == 3
        assert build_both_ways([archive, other], tmp_path / "out").manifest["made"] == 0


@pytest.mark.long
def test_the_same_answer_of_another_archive_stands_where_that_one_stands(archive: Archive, tmp_path: Path) -> None:
    with Archive(tmp_path / "other.sqlite") as other:
        bad = b'{"orderId": 100007, "sellerId": "bad"}'
        record_answers(
            other, {100_007: bad, **{order_id: order_json(order_id) for order_id in range(100_050, 100_070)}}, NOON
        )
        build([archive, other], tmp_path / "out")
        other.erase([100_007, 100_055])
        renewed = build_both_ways([archive, other], tmp_path / "out")
    assert renewed.manifest["made"] == 2
    assert renewed.failures["source"].to_list() == [archive.path.name]


@pytest.mark.long
def test_more_than_half_of_the_orders_are_made_by_making_all(archive: Archive, tmp_path: Path) -> None:
    build(archive, tmp_path / "out")
    record_answers(archive, {order_id: order_json(order_id) for order_id in IDS[:31]}, NOON + timedelta(days=1))
    assert build_both_ways(archive, tmp_path / "out").manifest["made"] == len(IDS)
    record_answers(archive, {order_id: order_json(order_id) for order_id in IDS[:30]}, NOON + timedelta(days=2))
    assert build_both_ways(archive, tmp_path / "out").manifest["made"] == 30


@pytest.mark.long
def test_more_gone_than_half_of_what_is_left_is_made_by_making_all(archive: Archive, tmp_path: Path) -> None:
    build(archive, tmp_path / "out")
    archive._writer.commit_job(lambda db: db.execute("DELETE FROM responses WHERE order_id > 100035").rowcount)
    assert build_both_ways(archive, tmp_path / "out").manifest["made"] == 35
    archive._writer.commit_job(lambda db: db.execute("DELETE FROM responses WHERE order_id > 100024").rowcount)
    assert build_both_ways(archive, tmp_path / "out").manifest["made"] == 0


@pytest.mark.long
def test_an_answer_that_was_blanked_since_is_rebuilt(archive: Archive, tmp_path: Path) -> None:
    build(archive, tmp_path / "out")
    removed = order_json(100_003)[:-1] + b', "piiDataRemoved": true}'
    record_answers(archive, {100_003: removed}, NOON + timedelta(days=1))
    honour_removed(archive)  # the older answer is another now, of the same instant
    then = build_both_ways(archive, tmp_path / "out", as_of=NOON)
    assert then.manifest["made"] == 1


@pytest.mark.long
def test_tables_without_orders_are_followed_by_whatever_comes(archive: Archive, tmp_path: Path) -> None:
    build(archive, tmp_path / "out", as_of=NOON - timedelta(days=1))
    assert build_both_ways(archive, tmp_path / "out").manifest["made"] == len(IDS)


@pytest.mark.long
@pytest.mark.parametrize("change", ["version", "file", "lineage", "other archive", "privacy", "no manifest"])
def test_what_is_not_as_it_was_built_is_built_as_a_whole(
    archive: Archive, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(archive, tmp_path / "out").folder
    given, options = archive, {}
    if change == "version":
        monkeypatch.setattr(building, "version", lambda _: "99")
    elif change == "file":
        content = bytearray((folder / "shipments.parquet").read_bytes())
        content[200] ^= 1
        (folder / "shipments.parquet").write_bytes(content)
        gone = b'{"orderId": 100004}'  # without its shipments
        record_answers(archive, {100_004: gone}, NOON + timedelta(days=1))
    elif change == "lineage":
        (folder / ".lineage" / "answers.parquet").unlink()
    elif change == "other archive":
        archive.close()
        given = Archive(shutil.copy(archive.path, tmp_path / "copy.sqlite"))
    elif change == "privacy":
        options = {"privacy": "none"}
    else:
        (folder / "manifest.json").unlink()
        (folder / ".building").mkdir()
    assert build(given, tmp_path / "out", **options).manifest["made"] == len(IDS)  # type: ignore[arg-type]


@pytest.mark.skipif(compiled_core() is None, reason="There is no compiled core here")
def test_the_core_is_a_fact_and_no_reason_to_rebuild(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both cores make the same tables."""
    assert build(archive, tmp_path / "out").manifest["core"] == "compiled"
    record_answers(archive, {100_001: b'{"orderId": 100001}'}, NOON + timedelta(days=1))
    with monkeypatch.context() as patched:
        patched.setenv("QUIVO_FRAMES_CORE", "python")
        compiled_core.cache_clear()
        again = build(archive, tmp_path / "out")
    compiled_core.cache_clear()
    assert (again.manifest["core"], again.manifest["made"]) == ("python", 1)


@pytest.mark.long
def test_a_dataset_of_files_is_built_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join(map(order_json, IDS)))
    build(tmp_path / "orders.ndjson", tmp_path / "out")
    again = build(tmp_path / "orders.ndjson", tmp_path / "out")
    assert again.manifest["made"] == len(IDS)
    assert again.manifest["lineage"].keys() == {"noticed", "parts"}


def test_failures_stand_by_their_orders_and_those_of_no_known_order_last(tmp_path: Path) -> None:
    bad = b'{"orderId": %d, "sellerId": "bad"}'
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join([b"{", bad % 7, b"[]", bad % 3]))
    failures = build(tmp_path / "orders.ndjson", tmp_path / "out").failures
    assert failures["order_id"].to_list() == [3, 7, None, None]
    assert failures["place"].to_list() == ["line 4", "line 2", "line 1", "line 3"]


def test_only_what_is_new_is_read(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(archive, tmp_path / "out")
    record_answers(archive, {100_003: order_json(100_003)}, NOON + timedelta(days=1))
    read = []
    newest = Archive.newest

    def spied(self: Archive, *args: object, **options: object) -> Iterator[object]:
        for raw in newest(self, *args, **options):  # type: ignore[arg-type]
            read.append(raw.order_id)
            yield raw

    monkeypatch.setattr(Archive, "newest", spied)
    build(archive, tmp_path / "out")
    assert read == [100_003]


@pytest.mark.long
def test_as_of_gives_the_tables_as_they_were_known_then(archive: Archive, tmp_path: Path) -> None:
    chance = random.Random(7)
    then = build(archive, tmp_path / "then")
    record_answers(
        archive,
        {order_id: change_order(chance, order_id) for order_id in (*IDS[::7], 100_200)},
        NOON + timedelta(days=1),
    )
    now = build(archive, tmp_path / "now")
    assert_same_dataset(build(archive, tmp_path / "back", as_of=NOON), then)
    assert_same_dataset(build(archive, tmp_path / "back", as_of="2026-10-01"), then)
    assert_same_dataset(build(archive, tmp_path / "back", as_of=NOON + timedelta(days=1)), now)
    assert_same_dataset(
        build_both_ways(archive, tmp_path / "now", as_of=NOON), then
    )  # and back again, only what differs
    assert build(archive, tmp_path / "never", as_of=NOON - timedelta(days=1)).counts()["orders"] == 0


def test_as_of_wants_archives(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(order_json(100_001))
    with pytest.raises(ConfigError, match=r"orders\.ndjson does not say when its orders were fetched"):
        build(tmp_path / "orders.ndjson", tmp_path / "out", as_of=NOON)


@pytest.mark.long
def test_orders_that_are_gone_from_the_archive_leave_the_tables(archive: Archive, tmp_path: Path) -> None:
    build(archive, tmp_path / "out")
    archive._writer.commit_job(
        lambda db: db.execute("DELETE FROM responses WHERE order_id IN (100007, 100008)").rowcount
    )
    renewed = build_both_ways(archive, tmp_path / "out")
    assert renewed.manifest["made"] == 0
    assert not {100_007, 100_008} & {*renewed.orders["order_id"], *renewed.failures["order_id"]}


@pytest.mark.long
def test_more_orders_than_the_limit_are_built_in_full(archive: Archive, tmp_path: Path) -> None:
    settings = BuildSettings(max_incremental_orders=3)
    build(archive, tmp_path / "out")
    record_answers(archive, {order_id: order_json(order_id) for order_id in IDS[:3]}, NOON + timedelta(days=1))
    assert build_both_ways(archive, tmp_path / "out", settings).manifest["made"] == 3
    record_answers(archive, {order_id: order_json(order_id) for order_id in IDS[:4]}, NOON + timedelta(days=2))
    assert build_both_ways(archive, tmp_path / "out", settings).manifest["made"] == len(IDS)


@pytest.mark.long
def test_a_renewal_that_fails_leaves_the_tables_as_they_were(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(archive, tmp_path / "out")
    frames = {name: before[name] for name in TABLES}
    record_answers(archive, {100_003: change_order(random.Random(1), 100_003)}, NOON + timedelta(days=1))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pl.LazyFrame, "sink_parquet", full)
        with pytest.raises(Exception, match="disk is full"):
            build(archive, tmp_path / "out")
    after = Dataset.open(tmp_path / "out")
    assert all(after[name].equals(frames[name]) for name in TABLES)
    assert build_both_ways(archive, tmp_path / "out").manifest["made"] == 1


@pytest.mark.long
def test_an_archive_is_read_on_from_where_the_last_build_stopped(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(archive, tmp_path / "out")
    record_answers(
        archive,
        {100_003: order_json(100_003)[:-1] + b', "novelty": 3}', 100_090: order_json(100_090)},
        NOON + timedelta(days=1),
    )
    indexed = []
    index_newest = Archive.index_newest

    def spied(self: Archive, *args: object, **options: object) -> Iterator[pl.DataFrame]:
        for orders in index_newest(self, *args, **options):  # type: ignore[arg-type]
            indexed.extend(orders["order_id"])
            yield orders

    monkeypatch.setattr(Archive, "index_newest", spied)
    build(archive, tmp_path / "out")
    assert indexed == [100_003, 100_090]
    indexed.clear()
    build(archive, tmp_path / "out")
    assert indexed == []


@pytest.mark.long
@pytest.mark.parametrize("how", ["erased", "replaced", "shorter", "forgotten", "blanked"])
def test_an_archive_that_does_not_go_on_is_compared_with_the_tables(archive: Archive, tmp_path: Path, how: str) -> None:
    record_answers(archive, {100_003: order_json(100_003)}, NOON + timedelta(days=1))
    build(archive, tmp_path / "out")
    if how == "erased":
        archive.erase([100_010])
    elif how == "blanked":
        archive.remove_personal_values([100_003])
    elif how == "forgotten":
        forget([100_010], tables=[tmp_path / "out"])
    else:
        content = {order_id: order_json(order_id)[:-1] + b', "novelty": 2}' for order_id in IDS}
        archive.close()
        for file in tmp_path.glob("orders.sqlite*"):
            file.unlink()
        with Archive(tmp_path / "orders.sqlite") as replaced:
            record_answers(replaced, content if how == "replaced" else dict(list(content.items())[:9]), NOON)
            if how == "replaced":  # with more answers than there were
                record_answers(replaced, {100_001: order_json(100_001), 100_002: order_json(100_002)}, NOON)
    build_both_ways(tmp_path / "orders.sqlite", tmp_path / "out")


@pytest.mark.long
def test_answers_with_a_clock_that_ran_backwards_are_not_read_on_from(archive: Archive, tmp_path: Path) -> None:
    assert build(archive, tmp_path / "out").manifest["read_until"]
    record_answers(archive, {100_003: order_json(100_003)}, NOON - timedelta(days=1))
    noted = build_both_ways(archive, tmp_path / "out")
    assert "clock_ran_backwards" in noted.notes["kind"].to_list()
    record_answers(archive, {100_004: order_json(100_004)[:-1] + b', "novelty": 3}'}, NOON + timedelta(days=1))
    assert "clock_ran_backwards" in build_both_ways(archive, tmp_path / "out").notes["kind"].to_list()
