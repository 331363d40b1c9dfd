"""build: in = out + failed, the newest answer wins, memory stays flat."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.builder import partition
from quivo_frames.builder.build import build, build_with
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError, Fault
from quivo_frames.executors.local import LocalPool
from quivo_frames.flattening.core_choice import compiled_core
from quivo_frames.flattening.flatten import Flattener, flatten
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.frames import Frames
from quivo_frames.model.records import Answer, Outcome, RawOrder
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import write_ndjson

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def order_body(order_id: int, status: str, **more: object) -> bytes:
    return json.dumps({"orderId": order_id, "orderStatus": status, **more}).encode()


def record_in_archive(path: Path, *answers: tuple[int, bytes, datetime]) -> Archive:
    archive = Archive(path)
    run, _ = archive.begin([order_id for order_id, *_ in answers])
    for order_id, content, at in answers:
        archive.record(run, Answer(order_id, Outcome.FETCHED, at, 200, {}, content, 1, 0, 0.1, 0.1, ""))
    return archive


def read_statuses(folder: Path) -> dict[int, str]:
    return dict(pl.read_parquet(folder / "orders.parquet").select("order_id", "order_status").iter_rows())


def write_lines(path: Path, *bodies: bytes) -> Path:
    path.write_bytes(b"\n".join(bodies))
    return path


def test_of_an_archive_the_newest_answer_of_an_order_is_taken(tmp_path: Path) -> None:
    archive = record_in_archive(
        tmp_path / "a.sqlite",
        (1, order_body(1, "old"), NOON - timedelta(hours=1)),
        (2, order_body(2, "only"), NOON),
        (1, order_body(1, "new"), NOON),
    )
    with archive:
        built = build(archive, tmp_path / "out")
    assert read_statuses(tmp_path / "out") == {1: "new", 2: "only"}
    assert built.orders["fetched_at"].to_list() == [NOON, NOON]


def test_of_files_the_newest_last_modified_is_taken_else_the_later_one(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "o.ndjson",
        order_body(1, "newest", lastModified="2026-03-02T00:00:00+02:00"),
        order_body(1, "older", lastModified="2026-03-01T21:00:00Z"),
        order_body(2, "first"),
        order_body(2, "later"),
        order_body(3, "dated", lastModified="2026-01-01T00:00:00Z"),
        order_body(3, "undated"),
    )
    built = build(file, tmp_path / "out")
    assert read_statuses(tmp_path / "out") == {1: "newest", 2: "later", 3: "dated"}
    assert built.notes.select("kind", "path", "count", "order_id").rows() == [("repeated_order", "$.orderId", 3, 1)]
    assert built.manifest["orders"] == {"in": 3, "out": 3, "failed": 0, "superseded": 3}


def test_an_order_of_two_sellers_is_noted(tmp_path: Path) -> None:
    lines = [
        order_body(1, "first", sellerId=7), order_body(2, "once", sellerId=8), order_body(1, "later", sellerId=8),
        order_body(3, "again", sellerId=7), order_body(3, "again", sellerId=7), order_body(4, "no seller"),
        order_body(4, "seller", sellerId=7),
    ]  # fmt: skip
    built = build(write_lines(tmp_path / "o.ndjson", *lines), tmp_path / "out")
    expected = [("repeated_order", 3, 1), ("repeated_order_of_two_sellers", 1, 1)]
    assert sorted(built.notes.select("kind", "count", "order_id").rows()) == expected
    assert sorted(flatten(lines).notes.select("kind", "count", "order_id").rows()) == expected


@pytest.mark.long
def test_repeated_orders_are_counted_once_in_any_partition(tmp_path: Path) -> None:
    settings = BuildSettings(orders_per_partition=2, orders_per_seek_point=1)
    bodies = [order_body(n, status) for status in ("first", "later") for n in range(1, 8)]
    built = build_with(settings, write_lines(tmp_path / "o.ndjson", *bodies), tmp_path / "out")
    assert built.notes.select("kind", "count", "order_id").rows() == [("repeated_order", 7, 1)]
    assert read_statuses(tmp_path / "out") == dict.fromkeys(range(1, 8), "later")


def test_an_answer_with_a_time_beats_one_without_across_inputs(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "o.ndjson", order_body(1, "file", lastModified="2026-12-01T00:00:00Z"), order_body(2, "file")
    )
    with record_in_archive(tmp_path / "a.sqlite", (1, order_body(1, "archive"), NOON)) as archive:
        built = build([archive, file], tmp_path / "out")
    assert read_statuses(tmp_path / "out") == {1: "archive", 2: "file"}
    assert built.manifest["inputs"] == [
        {"name": str(tmp_path / "a.sqlite"), "orders": 1},
        {"name": str(file), "orders": 2},
    ]


def test_an_archive_is_known_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    record_in_archive(tmp_path / "answers.bin", (1, order_body(1, "x"), NOON)).close()
    assert build(tmp_path / "answers.bin", tmp_path / "out").orders.height == 1


def test_nothing_is_built_when_one_input_is_missing(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "o.ndjson", order_body(1, "x"))
    with pytest.raises(ConfigError, match=re.escape("gone.json")):
        build([file, tmp_path / "gone.json"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_broken_orders_cost_no_other_in_any_batch_and_partition(tmp_path: Path) -> None:
    settings = BuildSettings(orders_per_batch=4, orders_per_partition=10, orders_per_seek_point=3)
    bodies = [order_body(n, "ok") for n in range(1, 31)]
    for n in (0, 9, 10, 29):
        bodies[n] = order_body(n + 1, "bad", created="yesterday")
    bodies.insert(5, b'{"orderId": 77, "positions": [')
    built = build_with(settings, write_lines(tmp_path / "o.ndjson", *bodies), tmp_path / "out")
    assert built.manifest["orders"] == {"in": 31, "out": 26, "failed": 5, "superseded": 0}
    assert built.failures["order_id"].sort().to_list() == [1, 10, 11, 30, 77]
    assert set(built.orders["order_id"]) == set(range(1, 31)) - {1, 10, 11, 30}


def test_tables_are_rebuilt_from_the_archive_byte_for_byte(tmp_path: Path) -> None:
    with record_in_archive(tmp_path / "a.sqlite", *((n, order_body(n, "x"), NOON) for n in range(1, 20))) as archive:
        before = {f.name: f.read_bytes() for f in build(archive, tmp_path / "out").folder.glob("*.parquet")}
        shutil.rmtree(tmp_path / "out")
        after = {f.name: f.read_bytes() for f in build(archive, tmp_path / "out").folder.glob("*.parquet")}
    assert before == after


SMALL_PARTITIONS = BuildSettings(
    orders_per_partition=40, bytes_per_process=1, bytes_per_thread=1, orders_per_seek_point=10
)


@pytest.mark.parametrize("jobs", [pytest.param(2, marks=pytest.mark.long), 3])
def test_the_tables_are_the_same_however_many_processes_made_them(tmp_path: Path, jobs: int) -> None:
    file = tmp_path / "orders.ndjson"
    write_ndjson(file, 300, broken_every=50)
    with file.open("ab") as more:
        for n in range(20):
            more.write(b"\n" + order_body(100_295 + n, "again", unknown=[n], created="2026-01-01", lot=None))
    alone = build_with(SMALL_PARTITIONS, file, tmp_path / "alone", jobs=1)
    shared = build_with(SMALL_PARTITIONS, file, tmp_path / "shared", jobs=jobs)
    assert {**alone.manifest, "built_at": ""} == {**shared.manifest, "built_at": ""}
    assert alone.manifest["orders"]["failed"] > 0
    assert alone.notes.height > 1
    files = [f"{name}.parquet" for name in (*TABLES, "failures", "notes", *(f"derived/{n}" for n in DERIVED_TABLES))]
    for name in files:
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "shared" / name).read_bytes(), name
    found = {path.relative_to(shared.folder).as_posix() for path in shared.folder.rglob("*") if path.is_file()}
    assert found == {*files, ".lineage/noticed.parquet", ".lineage/parts.parquet", "manifest.json"}


@pytest.mark.long
def test_processes_share_an_archive_that_is_being_written(tmp_path: Path) -> None:
    orders = [(n, order_body(n, "old", comment="x" * n), NOON) for n in range(1, 200)]
    newer = [(n, order_body(n, "new"), NOON + timedelta(hours=1)) for n in range(7, 200, 7)]
    with record_in_archive(tmp_path / "a.sqlite", *orders, *newer) as archive:
        alone = build_with(SMALL_PARTITIONS, archive, tmp_path / "alone", jobs=1)
        shared = build_with(SMALL_PARTITIONS, archive, tmp_path / "shared", jobs=2)
    assert read_statuses(tmp_path / "shared") == {n: "old" if n % 7 else "new" for n in range(1, 200)}
    assert all(alone[name].equals(shared[name]) for name in TABLES)


@pytest.mark.long
def test_files_are_shared_among_threads_archives_among_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[bool] = []

    class SpiedPool(LocalPool):
        def __init__(self, *given: Any, in_threads: bool) -> None:
            chosen.append(in_threads)
            super().__init__(1, 1)

    monkeypatch.setattr("quivo_frames.builder.build.LocalPool", SpiedPool)
    file = write_lines(tmp_path / "o.ndjson", order_body(1, "x"))
    with record_in_archive(tmp_path / "a.sqlite", (2, order_body(2, "x"), NOON)) as archive:
        archive.export(tmp_path / "raw")
        for inputs in ([file], [tmp_path / "raw", file], [archive], [file, archive]):
            build(inputs, tmp_path / "out", full=True)
    has_core = compiled_core() is not None
    assert chosen == [has_core, has_core, False, False]


@pytest.mark.long
def test_one_partition_or_many_give_the_same_tables(tmp_path: Path) -> None:
    file = tmp_path / "orders.ndjson"
    write_ndjson(file, 300, broken_every=50)
    many = build_with(SMALL_PARTITIONS, file, tmp_path / "many", jobs=1)
    one = build(file, tmp_path / "one", jobs=1)
    for name in TABLES:
        assert many[name].equals(one[name]), name
    assert many.failures.equals(one.failures)
    assert many.manifest["counted"] == one.manifest["counted"]
    assert many.manifest["profile"] == one.manifest["profile"]


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_value_that_gets_lost_on_the_way_is_a_fault_and_no_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    file = tmp_path / "orders.ndjson"
    write_ndjson(file, 300)
    before = build_with(SMALL_PARTITIONS, file, tmp_path / "out", jobs=1).manifest

    def forgetful(frames: Frames, origins: dict[int, RawOrder]) -> Frames:
        loses = frames.shipments.with_columns(sscc=pl.lit(None, pl.String))
        return Frames({**frames, "shipments": loses}, frames.failures, frames.notes)

    monkeypatch.setattr(partition, "validate_frames", forgetful)
    with pytest.raises(Fault, match=r"at \$\.fulfillmentOrders\[\]\.shipments\[\]\.sscc but 0 in sscc of shipments"):
        build_with(replace(SMALL_PARTITIONS, counted_one_in=1), file, tmp_path / "out", jobs=jobs)
    assert Dataset.open(tmp_path / "out").manifest == before


@pytest.mark.long
def test_a_build_counts_a_sample_both_ways_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "orders.ndjson"
    write_ndjson(file, 300)
    counted = build(file, tmp_path / "out").manifest["counted"]
    assert counted["orders"] == 20
    assert counted["values_in_json"] == counted["values_in_tables"] > 100 * counted["orders"]
    counted = build(write_lines(tmp_path / "one.ndjson", order_body(7, "x")), tmp_path / "one").manifest["counted"]
    assert counted == {"orders": 1, "values_in_json": 2, "values_in_tables": 2}


@pytest.mark.long
def test_large_orders_come_in_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    flatten = Flattener.flatten_batch

    def watched(self: Flattener, raws: list[RawOrder], origins: dict[int, RawOrder]) -> Frames:
        sizes.append(len(raws))
        return flatten(self, raws, origins)

    monkeypatch.setattr(Flattener, "flatten_batch", watched)
    file = write_lines(tmp_path / "o.ndjson", *(order_body(n, "x", comment="y" * 1000) for n in range(1, 11)))
    built = build_with(BuildSettings(bytes_per_batch=3000), file, tmp_path / "o")
    assert built.orders.height == 10
    assert sizes == [3, 3, 3, 1]


@pytest.mark.long
@pytest.mark.alone
def test_twenty_thousand_orders_with_broken_ones_in_flat_memory(tmp_path: Path) -> None:
    file = tmp_path / "orders.ndjson"
    write_ndjson(file, 20_000, broken_every=1000)
    measured = f"""
import re
import shutil
from quivo_frames.cli import main
try:
    main(["build", {str(file)!r}, "--out", {str(tmp_path / "out")!r}, "--jobs", "1"])
finally:
    # getrusage would tell of the process that this one was forked from
    print("peak", int(re.search("VmHWM:[^0-9]*([0-9]+)", open("/proc/self/status").read())[1]) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", measured], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["orders"] == {"in": 20_000, "out": 19_980, "failed": 20, "superseded": 0}
    failures = pl.read_parquet(tmp_path / "out" / "failures.parquet")
    assert failures["place"].to_list() == [f"line {n}" for n in range(1000, 20_001, 1000)]
    assert failures["order_id"].to_list() == [100_000 + n for n in range(1000, 20_001, 1000)]
    assert all(
        f"Order {order_id} (orders.ndjson, {place})" in message and "at $" in message
        for order_id, place, message in failures.select("order_id", "place", "message").iter_rows()
    )
    assert int(done.stdout.rsplit("peak ", 1)[1]) < 450  # of this, about 100 MB for derived tables of a partition
