"""Answers exported to a place: read there as they stand in the archive, whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
import zstandard
from click.testing import CliRunner

from quivo_frames.archive.archive import Archive
from quivo_frames.archive.raw_export import reader
from quivo_frames.archive.raw_export.export import read_responses
from quivo_frames.archive.raw_export.index import INDEX_FILE, metadata_digest
from quivo_frames.archive.raw_export.reader import RawExportReader, SegmentPosition
from quivo_frames.archive.raw_export.writer import ArchiveState, SegmentSizes, write_raw_export
from quivo_frames.archive.responses import ResponseRow
from quivo_frames.builder.build import build
from quivo_frames.builder.inputs import open_sources
from quivo_frames.builder.order_index import OrderIndex
from quivo_frames.cli import main
from quivo_frames.errors import ArchiveError, ConfigError, ExportError
from quivo_frames.maintenance.erasure import forget
from quivo_frames.model.records import Answer, Outcome
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from quivo_frames.storage.directory import Directory
from quivo_frames.storage.place import open_place
from tests.support.archived_orders import build_both_ways, record_answers

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
IDS = range(100_001, 100_061)


SMALL = SegmentSizes(rows=20, row_group_rows=6)
"""Segments of a few orders, in row groups of fewer."""
write_small_export = partial(write_raw_export, sizes=SMALL)


class SmallArchive(Archive):
    """An archive that is exported in small segments."""

    _segment_sizes = SMALL


def open_export(address: str | Path) -> RawExportReader:
    return RawExportReader.open(open_place(address), row_group_rows=SMALL.row_group_rows)


def record_refusals(archive: Archive, order_ids: range, body: bytes, at: datetime) -> None:
    run, _ = archive.begin(order_ids, new_run=True)
    for order_id in order_ids:
        archive.record(run, Answer(order_id, Outcome.REFUSED, at, 400, {}, body, 1, 0, 0.1, 0.1, "no"))


@pytest.fixture(scope="module")
def filled_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty orders, some of them answered again, badly, worse, or not at all."""
    path = tmp_path_factory.mktemp("filled") / "orders.sqlite"
    with SmallArchive(path) as made:
        answers = {order_id: order_json(order_id) for order_id in reversed(IDS)}
        answers[100_007] = b'{"orderId": 100007, "sellerId": "bad"}'
        answers[100_008] = order_json(100_008)[:-1] + b', "novelty": 1}'
        answers[100_009] = b"\x00\xff no order"
        record_answers(made, answers, NOON)
        record_answers(
            made, {order_id: order_json(order_id)[:-1] + b', "second": 2}' for order_id in IDS[::5]}, NOON + DAY
        )
        record_refusals(made, IDS[10:30], b"<html>", NOON + 2 * DAY)
        record_refusals(made, IDS[30:40], b"", NOON + 2 * DAY)
    return path


@pytest.fixture
def archive(filled_archive: Path, tmp_path: Path) -> Iterator[Archive]:
    with SmallArchive(shutil.copy(filled_archive, tmp_path / "orders.sqlite")) as copied:
        yield copied


@pytest.fixture(params=["folder", "bucket"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new place, of this machine and of an object store."""
    if request.param == "folder":
        return str(tmp_path / "raw of [2026]" / "size=10")
    request.getfixturevalue("s3")
    return "s3://lake/raw/orders"


def all_responses(archive: Archive) -> list[tuple[Any, ...]]:
    """All answers that have a body, as SQLite knows them."""
    sql = """SELECT order_id, fetched_at, response, good, http_status, size, sha256, body FROM responses
             WHERE size ORDER BY 1, 2, 3"""
    with closing(sqlite3.connect(archive.path)) as db:
        return [(*row[:7], zstandard.decompress(row[7])) for row in db.execute(sql)]


def read_files(address: str) -> dict[str, bytes]:
    where = open_place(address)
    return {entry.name: where.read(entry.name) or b"" for entry in where.list_entries()}


def segment_files(folder: Path | str) -> list[Path]:
    return sorted(Path(folder).glob("segment-*.parquet"))


def test_other_tools_read_every_answer_byte_for_byte(archive: Archive, tmp_path: Path) -> None:
    done = archive.export(tmp_path / "raw")
    expected = all_responses(archive)
    assert (done.answers, done.orders, done.segments, done.written) == (len(expected), 60, 5, 5)
    assert len(expected) == 60 + 12 + 20
    order = "ORDER BY order_id, fetched_at, response"
    text = "strftime(fetched_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    columns = f"order_id, {text}, response, good, http_status, size, sha256, body"
    found = duckdb.sql(f"SELECT {columns} FROM '{tmp_path}/raw/*.parquet' {order}").fetchall()
    assert found == [(*row[:3], bool(row[3]), *row[4:]) for row in expected]
    read = [row for file in segment_files(tmp_path / "raw") for row in pq.read_table(file).to_pylist()]  # in this order
    assert [(row["order_id"], row["response"], row["body"]) for row in read] == [(r[0], r[2], r[7]) for r in expected]


def test_segments_hold_all_about_an_order_and_the_index_says_what(archive: Archive, tmp_path: Path) -> None:
    archive.export(tmp_path / "raw")
    index = json.loads((tmp_path / "raw" / INDEX_FILE).read_bytes())
    assert (index["archive"], index["last"], len(index["segments"])) == ("orders.sqlite", archive.last_response(), 5)
    before = 0
    for segment in index["segments"]:
        file = tmp_path / "raw" / segment["name"]
        table = pq.ParquetFile(file)
        ids = table.read(["order_id"])["order_id"].to_pylist()
        assert hashlib.sha256(file.read_bytes()).hexdigest() == segment["sha256"]
        assert (len(ids), len(set(ids)), file.stat().st_size) == (segment["rows"], segment["orders"], segment["bytes"])
        assert (ids[0], ids[-1], sum(table.read(["size"])["size"].to_pylist())) == (
            segment["first"], segment["last"], segment["json_bytes"],
        )  # fmt: skip
        assert ids[0] > before
        assert len(ids) < 23
        statistics = table.metadata.row_group(0).column(0).statistics
        assert (statistics.min, statistics.max, table.metadata.row_group(0).num_rows) == (ids[0], ids[5], 6)
        before = ids[-1]


@pytest.mark.long
def test_the_same_archive_is_not_written_twice(archive: Archive, address: str) -> None:
    first = archive.export(address)
    before = read_files(address)
    second = archive.export(address)
    assert (first.written, second.written, second.removed) == (5, 0, 0)
    assert "nothing was to be written" in str(second)
    assert read_files(address) == before
    second_address = f"{address}-second"
    archive.export(second_address)
    assert read_files(second_address) == before


@pytest.mark.long
def test_another_export_replaces_what_is_no_more_and_writes_what_is_new(archive: Archive, address: str) -> None:
    archive.export(address)
    before = read_files(address)
    record_answers(archive, {100_090: order_json(100_090)}, NOON + 3 * DAY)
    done = archive.export(address)
    assert (done.written, done.removed, done.orders) == (1, 1, 61)
    after = read_files(address)
    assert len(after) == len(before)
    assert len(before.keys() - after.keys()) == 1
    archive.erase([100_001])
    done = archive.export(address)
    assert done.orders == 60
    assert all(b'"orderId":100001' not in row for row in read_bodies(address))
    assert set(read_files(address)) == {
        INDEX_FILE,
        *(found["name"] for found in json.loads(read_files(address)[INDEX_FILE])["segments"]),
    }


def read_bodies(address: str) -> list[bytes]:
    where = open_place(address)
    names = [entry.name for entry in where.list_entries() if entry.name != INDEX_FILE]
    scans = [pl.scan_parquet(where.uri(name), glob=False, hive_partitioning=False) for name in names]
    return [body for scan in scans for body in scan.select("body").collect()["body"]]


@pytest.mark.long
@pytest.mark.parametrize("as_of", [None, NOON])
def test_the_newest_good_answers_are_those_of_the_archive(
    archive: Archive, address: str, as_of: datetime | None
) -> None:
    archive.export(address)
    found: RawExportReader = pickle.loads(pickle.dumps(open_export(address)))  # as another process gets it
    assert len(pickle.dumps(found)) < 500
    expected = list(archive.newest(as_of))
    name = "size=10" if "size" in address else "orders"
    assert list(found.read_from(as_of=as_of)) == [raw._replace(source=name) for raw in expected]
    index = pl.concat(list(found.index_newest(as_of)))
    assert index.select(pl.exclude("segment", "row")).equals(
        pl.concat([*archive.index_newest(as_of), index.select(pl.exclude("segment", "row")).clear()])
    )
    positions = list(map(SegmentPosition._make, index.select("segment", "row").iter_rows()))
    for at in (0, 5, 6, 33, 59)[: len(positions)]:
        assert [raw.body for raw in found.read_from(positions[at], as_of)] == [raw.body for raw in expected[at:]]
    wanted = [100_059, 100_007, 100_001, 4711, 100_021]
    assert list(found.read_orders(wanted, as_of)) == [
        raw._replace(source=name) for raw in archive.newest(as_of, order_ids=wanted)
    ]


def test_segments_are_looked_at_side_by_side_and_once_for_partitions_in_a_row(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.export(tmp_path / "raw")
    looks, at_the_same_time = itertools.count(1), threading.Barrier(5)

    def look(metadata: pl.DataFrame) -> str:
        if next(looks) <= 5:
            at_the_same_time.wait(30)
        return metadata_digest(metadata)

    monkeypatch.setattr(reader, "metadata_digest", look)
    found = open_export(tmp_path / "raw")
    positions = [SegmentPosition(*row) for rows in found.index_newest() for row in rows["segment", "row"].iter_rows()]
    assert next(looks) == 6
    for position in positions[:9]:  # all in the first segment
        next(found.read_from(position))
    assert next(looks) == 8


def test_only_what_is_wanted_is_read(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.export(tmp_path / "raw")
    slices: list[tuple[int, int]] = []
    before = pl.LazyFrame.slice

    def spied(self: pl.LazyFrame, offset: int, length: int | None = None) -> pl.LazyFrame:
        slices.append((offset, length or 0))
        return before(self, offset, length)

    monkeypatch.setattr(pl.LazyFrame, "slice", spied)
    found = open_export(tmp_path / "raw")
    assert sum(frame.height for frame in found.index_newest()) == 60
    assert slices == []
    assert len(list(found.read_orders([100_001, 100_002, 100_060]))) == 3
    (last,) = (frame["row"][-1] for frame in list(found.index_newest())[-1:])
    assert slices == [(1, 2), (last, 1)]


def assert_same_dataset(one: Any, other: Any, source: str | None = None) -> None:
    for name in (*TABLES, "notes"):
        assert one[name].equals(other[name]), name
    failures = other.failures
    if source is not None:  # the messages name it too
        failures = failures.with_columns(pl.col("source", "message").str.replace("orders.sqlite", source, literal=True))
    assert one.failures.equals(failures)
    assert one.manifest["orders"] == other.manifest["orders"]


@pytest.mark.long
def test_a_build_from_an_export_is_a_build_from_the_archive(archive: Archive, address: str, tmp_path: Path) -> None:
    archive.export(address)
    as_of = None if "://" in address else NOON
    whole = build(archive, tmp_path / "whole", as_of=as_of)
    assert whole.failures.height == 2
    assert_same_dataset(
        build(address, tmp_path / "out", as_of=as_of), whole, "size=10" if "size" in address else "orders"
    )


@pytest.mark.long
def test_many_archives_in_many_places_are_one_dataset_of_the_newest_answers(archive: Archive, tmp_path: Path) -> None:
    with SmallArchive(tmp_path / "other.sqlite") as other:
        record_answers(
            other, {order_id: order_json(order_id) for order_id in range(100_050, 100_090)}, NOON + timedelta(hours=9)
        )
        other.export(tmp_path / "raw" / "other")
        archive.export(tmp_path / "raw" / "one")
        whole = build([archive, other], tmp_path / "whole")
        made = build([tmp_path / "raw" / "one", str(tmp_path / "raw" / "other")], tmp_path / "out")
        mixed = build([archive, tmp_path / "raw" / "other"], tmp_path / "mixed")
    assert whole.manifest["orders"]["superseded"] == 11
    assert_same_dataset(made, whole, "one")
    assert_same_dataset(mixed, whole)


@pytest.mark.long
def test_renewed_tables_are_those_of_a_full_build(archive: Archive, tmp_path: Path) -> None:
    archive.export(tmp_path / "raw")
    build(tmp_path / "raw", tmp_path / "out")
    assert build_both_ways(tmp_path / "raw", tmp_path / "out").manifest["made"] == 0
    record_answers(archive, {100_003: order_json(100_003), 99_999: b"{", 100_095: order_json(100_095)}, NOON + 3 * DAY)
    archive.erase([100_002])
    archive.export(tmp_path / "raw")  # all stand in other segments now
    assert build_both_ways(tmp_path / "raw", tmp_path / "out").manifest["made"] == 3
    assert_same_dataset(build_both_ways(tmp_path / "raw", tmp_path / "out"), build(archive, tmp_path / "whole"), "raw")


@pytest.mark.long
def test_nothing_was_fetched_before_there_was_anything(archive: Archive, tmp_path: Path) -> None:
    archive.export(tmp_path / "raw")
    assert build(tmp_path / "raw", tmp_path / "out", as_of=NOON - DAY).counts()["orders"] == 0


def test_a_folder_of_exports_is_not_taken_for_one_of_orders(archive: Archive, tmp_path: Path) -> None:
    archive.export(tmp_path / "raw" / "one")
    with pytest.raises(ConfigError, match=r"in folders of it, such as \S+/raw/one\. Name each"):
        open_sources([tmp_path / "raw"])


def test_an_archive_without_answers_is_an_export_without_segments(tmp_path: Path) -> None:
    with SmallArchive(tmp_path / "orders.sqlite") as archive:
        archive.begin([1])
        assert archive.export(tmp_path / "raw").segments == 0
    assert build(tmp_path / "raw", tmp_path / "out").counts()["orders"] == 0


def test_what_is_answered_meanwhile_waits_for_the_next_export(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = Directory.read, []

    def meanwhile(self: Directory, name: str) -> bytes | None:
        reads.append(name)
        if reads.count(INDEX_FILE) == 2:  # first it looks whether the place is its own
            monkeypatch.setattr(Directory, "read", read)
            record_answers(archive, {100_060: order_json(100_060), 100_099: order_json(100_099)}, NOON + 5 * DAY)
        return read(self, name)

    last = archive.last_response()
    monkeypatch.setattr(Directory, "read", meanwhile)
    done = archive.export(tmp_path / "raw")
    assert archive.last_response() == last + 2
    assert done.answers == 92
    assert json.loads((tmp_path / "raw" / INDEX_FILE).read_bytes())["last"] == last


Harm = Callable[[Path], object]
DAMAGES: dict[str, tuple[Harm, str]] = {
    "missing": (lambda file: file.unlink(), r"is missing\. Export the archive there again"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-9]), r"has [\d,]+ bytes, and [\d,]+ were exported\. Delete it"),
    "empty": (lambda file: file.write_bytes(b""), r"has 0 bytes, and [\d,]+ were exported\. Delete it"),
    "no parquet": (lambda file: file.write_bytes(bytes(file.stat().st_size)), r"is not what was exported\. Delete it"),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("harm", DAMAGES)
def test_a_segment_that_is_not_whole_is_named_with_the_cure(archive: Archive, tmp_path: Path, harm: str) -> None:
    damage, message = DAMAGES[harm]
    archive.export(tmp_path / "raw")
    whole = build(tmp_path / "raw", tmp_path / "whole")
    file = segment_files(tmp_path / "raw")[2]
    damage(file)
    pattern = rf"{file.name} in {tmp_path}/raw {message}.*export-raw --archive orders.sqlite {tmp_path}/raw"
    found = open_export(tmp_path / "raw")
    for reading_ in (
        lambda: list(found.index_newest()),
        lambda: list(found.read_from()),
        lambda: list(found.read_orders(IDS)),
    ):
        with pytest.raises(ArchiveError, match=pattern):
            reading_()
    with pytest.raises(ArchiveError, match=pattern):
        build(tmp_path / "raw", tmp_path / "out")
    if harm == "no parquet":  # what has another size is seen by itself
        file.unlink()
    assert archive.export(tmp_path / "raw").written == 1
    assert_same_dataset(build(tmp_path / "raw", tmp_path / "out"), whole)


def rewrite_segment(file: Path, change: pl.Expr) -> None:
    """The segment in a file with another value, as if its bytes had changed unseen."""
    pl.read_parquet(file).with_columns(change).write_parquet(file, row_group_size=6)


def test_a_body_that_is_another_is_reported_with_its_order(archive: Archive, tmp_path: Path) -> None:
    archive.export(tmp_path / "raw")
    place_of = pl.col("order_id") == 100_030
    other = pl.when(place_of).then(pl.lit(order_json(100_031), pl.Binary)).otherwise("body").alias("body")
    rewrite_segment(segment_files(tmp_path / "raw")[2], other)
    found = open_export(tmp_path / "raw")
    assert sum(frame.height for frame in found.index_newest()) == 60
    for reading_ in (lambda: list(found.read_from()), lambda: list(found.read_orders([100_030]))):
        with pytest.raises(
            ArchiveError, match=r"segment-00002-\S+ in \S+ has not what was received \(order 100030, re"
        ):
            reading_()
    assert len(list(found.read_orders([100_033]))) == 1  # stands in another row group


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [
        pl.col("order_id") + 1,
        pl.col("fetched_at") + timedelta(microseconds=1),
        ~pl.col("good"),
        pl.col("response") + 1,
        pl.col("sha256").reverse(),
        pl.col("size") * 2,
    ],
    ids=lambda change: change.meta.output_name(),
)
def test_no_other_value_of_a_damaged_segment_is_believed(archive: Archive, tmp_path: Path, change: pl.Expr) -> None:
    archive.export(tmp_path / "raw")
    rewrite_segment(segment_files(tmp_path / "raw")[0], change)
    with pytest.raises(ArchiveError, match=r"segment-00000-.* is not what was exported"):
        list(open_export(tmp_path / "raw").index_newest())


@pytest.mark.long
def test_a_flipped_byte_is_never_read_as_something_else(archive: Archive, tmp_path: Path) -> None:
    archive.export(tmp_path / "raw")
    expected = list(open_export(tmp_path / "raw").read_from())
    file = segment_files(tmp_path / "raw")[1]
    content = file.read_bytes()
    noticed = 0
    for at in range(5, len(content), len(content) // 30):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x11]) + content[at + 1 :])
        try:
            assert list(open_export(tmp_path / "raw").read_from()) == expected  # as in statistics, nobody looks
        except ArchiveError:
            noticed += 1
    assert noticed > 15


@pytest.mark.parametrize("kind", [pl.exceptions.ComputeError, pl.exceptions.PanicException])
def test_what_polars_says_is_not_passed_on(
    archive: Archive, tmp_path: Path, kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def collect(*_: object, **__: object) -> None:
        raise kind("a name and an address")

    archive.export(tmp_path / "raw")
    monkeypatch.setattr(pl.LazyFrame, "collect", collect)
    with pytest.raises(ArchiveError, match=f"cannot be read, though it is whole .{kind.__name__}.. Try again"):
        list(open_export(tmp_path / "raw").read_from())


def test_an_answer_that_is_damaged_in_the_archive_does_not_leave_it(archive: Archive, tmp_path: Path) -> None:
    archive.export(tmp_path / "raw")
    before = read_files(str(tmp_path / "raw"))
    archive.close()
    with closing(sqlite3.connect(archive.path)) as db:
        db.execute("UPDATE responses SET body = ? WHERE order_id = 100050", (zstandard.compress(b"other"),))
        db.commit()
    with pytest.raises(ArchiveError, match=r"response 11 \(order 100050\) was damaged"):
        archive.export(tmp_path / "raw")
    assert read_files(str(tmp_path / "raw")) == before


class FullDirectory(Directory):
    """A folder whose disk is full after so many files."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(path)
        self.left = most

    def write(self, name: str, data: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(28, "No space left on device")
        super().write(name, data)


def state_of(archive: Archive) -> ArchiveState:
    return ArchiveState(archive.path.name, 0, archive.last_response())


def exported_rows(archive: Archive) -> Iterator[ResponseRow]:
    return read_responses(archive.path, archive.last_response())


@pytest.mark.long
@pytest.mark.parametrize("most", range(5))
def test_an_export_that_is_cut_off_leaves_the_earlier_one_and_is_gone_on_with(
    archive: Archive, tmp_path: Path, most: int
) -> None:
    archive.export(tmp_path / "raw")
    before = [raw.body for raw in open_export(tmp_path / "raw").read_from()]
    archive.erase([100_001])  # so that all segments are others
    with pytest.raises(ExportError, match=r"disk is full.*What was exported earlier can be read as before\."):
        write_small_export(FullDirectory(tmp_path / "raw", most), exported_rows(archive), state_of(archive))
    assert [raw.body for raw in open_export(tmp_path / "raw").read_from()] == before
    done = archive.export(tmp_path / "raw")
    assert (done.segments, done.written, done.removed) == (5, 5 - most, 5)
    assert [raw.body for raw in open_export(tmp_path / "raw").read_from()] == before[1:]


def test_a_first_export_that_was_cut_off_is_none_and_is_gone_on_with(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ExportError):
        write_small_export(FullDirectory(tmp_path / "raw", 3), exported_rows(archive), state_of(archive))
    (tmp_path / "raw" / ".new-0a1b2c3d-segment-00003-0123456789abcdef.parquet").write_bytes(b"half")
    with pytest.raises(ConfigError, match=r"no answers that were exported.*export-raw"):
        open_export(tmp_path / "raw")
    done = archive.export(tmp_path / "raw")
    assert (done.written, done.removed) == (2, 1)
    assert {*read_files(str(tmp_path / "raw"))} == {
        INDEX_FILE,
        *(file.name for file in segment_files(tmp_path / "raw")),
    }


class InterruptedPlace:
    """A place where something happens before the index is swapped."""

    def __init__(self, where: Any, what: Callable[[], object]) -> None:
        self._where, self._what = where, what

    def __getattr__(self, name: str) -> Any:
        return getattr(self._where, name)

    def compare_and_swap(self, name: str, data: bytes, before: bytes | None) -> bool:
        self._what()
        return bool(self._where.compare_and_swap(name, data, before))


@pytest.mark.long
@pytest.mark.parametrize(("first", "newer"), [(True, True), (False, False)], ids=["first and newer", "of the same"])
def test_of_two_exports_at_once_one_fails_and_the_other_is_whole(
    archive: Archive, address: str, first: bool, newer: bool
) -> None:
    if not first:
        archive.export(address)
        archive.erase([100_002])
    earlier = exported_rows(archive), state_of(archive)

    def other() -> None:
        if newer:
            record_answers(archive, {100_030: order_json(100_030)}, NOON + 9 * DAY)
        archive.export(address)

    with pytest.raises(ArchiveError, match=r"Another export to .* was completed meanwhile"):
        write_small_export(InterruptedPlace(open_place(address), other), *earlier)
    expected = [raw.body for raw in archive.newest()]
    assert [raw.body for raw in open_export(address).read_from()] == expected
    archive.export(address)
    assert len(read_files(address)) == 6
    assert [raw.body for raw in open_export(address).read_from()] == expected


def test_an_export_whose_segments_another_one_removed_is_not_completed(archive: Archive, tmp_path: Path) -> None:
    """The other one writes what is there already, and so the index would be the same."""
    archive.export(tmp_path / "raw")
    archive.close()
    (tmp_path / "other").mkdir()
    shutil.copy(archive.path, tmp_path / "other")
    record_answers(archive, {100_030: order_json(100_030)}, NOON + 9 * DAY)

    def other() -> None:
        with SmallArchive(tmp_path / "other" / "orders.sqlite") as same_as_before:
            assert same_as_before.export(tmp_path / "raw").removed > 0

    with pytest.raises(ArchiveError, match="completed meanwhile"):
        write_small_export(
            InterruptedPlace(open_place(tmp_path / "raw"), other),
            exported_rows(archive),
            state_of(archive),
        )
    assert len(list(open_export(tmp_path / "raw").read_from())) == 60


@pytest.mark.long
def test_an_export_during_a_build_is_reported(archive: Archive, address: str) -> None:
    archive.export(address)
    inputs = OrderIndex(open_sources([address]))
    sent = pickle.dumps(inputs)
    archive.erase([100_001])
    archive.export(address)
    for kept in (inputs, pickle.loads(sent)):  # in this process, and where it was sent to
        with pytest.raises(ArchiveError, match=r"exported again to .* while they were read. Do the same again"):
            list(kept._sources[0].read_from(None))


OTHERS = {"manifest.json": "manifest.json", "orders.ndjson": "orders.ndjson", "2026/orders.parquet": "2026/orders"}


@pytest.mark.parametrize("name", OTHERS)
def test_a_place_that_holds_something_else_is_refused(archive: Archive, tmp_path: Path, name: str) -> None:
    file = tmp_path / "raw" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    with pytest.raises(ConfigError, match=f"holds something else, such as {OTHERS[name]}.*Nothing was written"):
        archive.export(tmp_path / "raw")
    assert read_files(str(tmp_path / "raw")) == {name: b"mine"}


def test_a_place_of_another_archive_is_refused(archive: Archive, tmp_path: Path) -> None:
    archive.export(tmp_path / "raw")
    before = read_files(str(tmp_path / "raw"))
    with SmallArchive(tmp_path / "other.sqlite") as other:
        record_answers(other, {1: order_json(1)}, NOON)
        with pytest.raises(ConfigError, match=r"another archive, orders\.sqlite\. Nothing was written"):
            other.export(tmp_path / "raw")
    assert read_files(str(tmp_path / "raw")) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"damaged \(it is not JSON\)\. Check the address"),
        (b"[]", r"damaged\. Check the address"),
        (b'{"kind": "quivo_frames segments", "layout": 1}', r"damaged\. Check the address"),
        (b'{"kind": "another", "layout": 1}', "damaged, or of something else"),
        (b'{"kind": "quivo_frames segments", "layout": 2}', "by a newer quivo_frames"),
    ],
)
def test_an_index_that_is_not_ours_is_neither_read_nor_replaced(
    archive: Archive, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / INDEX_FILE).write_bytes(content)
    for job in (lambda: archive.export(tmp_path / "raw"), lambda: build(tmp_path / "raw", tmp_path / "out")):
        with pytest.raises(ConfigError, match=message):
            job()
    assert read_files(str(tmp_path / "raw")) == {INDEX_FILE: content}


def test_a_file_or_nothing_is_no_place(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a file\. Give the name of a folder"):
        archive.export(archive.path)
    with pytest.raises(ConfigError, match="There is no archive"):
        Archive(tmp_path / "none.sqlite").export(tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_an_address_without_an_export_is_refused(s3: Any) -> None:
    with pytest.raises(ConfigError, match=r"In s3://lake/nothing are no answers.*export-raw"):
        open_sources(["s3://lake/nothing"])
    with pytest.raises(ConfigError, match="no such bucket"):
        open_sources(["s3://nobody/nothing"])
    del s3


def test_segments_end_where_their_bytes_are_enough(archive: Archive, tmp_path: Path) -> None:
    archive._segment_sizes = SMALL._replace(json_bytes=50_000)
    largest = max(map(len, (raw.body for raw in archive.newest())))
    archive.export(tmp_path / "raw")
    sizes = [segment.json_bytes for segment in open_export(tmp_path / "raw").export_index.segments]
    assert len(sizes) > 5
    assert max(sizes) < 50_000 + 3 * largest
    assert [raw.body for raw in open_export(tmp_path / "raw").read_from()] == [r.body for r in archive.newest()]


def test_no_more_than_a_segment_is_held_at_a_time(tmp_path: Path) -> None:
    there = 0

    def endless() -> Iterator[ResponseRow]:
        nonlocal there
        for n in range(200):
            there += 1
            yield ResponseRow(n, NOON, n + 1, True, 200, 2, hashlib.sha256(b"{}").digest(), b"{}")

    held: list[int] = []

    class Watching(Directory):
        def write(self, name: str, data: bytes) -> None:
            held.append(there)
            super().write(name, data)

    write_small_export(Watching(tmp_path / "raw"), endless(), ArchiveState("a", 0, 200))
    assert held == [*range(21, 200, 20), 200]  # the index is swapped in after the last


def test_the_command_writes_what_build_reads(archive: Archive, tmp_path: Path) -> None:
    def run(*words: str) -> Any:
        return CliRunner().invoke(main, words)

    archive.close()
    command = "export-raw", "--archive", str(archive.path), str(tmp_path / "raw")
    done = run(*command)
    assert done.exit_code == 0
    assert "92 answers about 60 orders of orders.sqlite are in" in done.stdout
    assert json.loads(run(*command, "--json").stdout)["written"] == 0
    built = run("build", str(tmp_path / "raw"), "--out", str(tmp_path / "tables"), "--json")
    assert json.loads(built.stdout)["orders"] == {"in": 60, "out": 58, "failed": 2, "superseded": 0}
    missing = run("export-raw", "--archive", str(tmp_path / "none.sqlite"), str(tmp_path / "raw"))
    assert (missing.exit_code, "There is no archive" in missing.stderr) == (2, True)


def test_what_is_forgotten_is_said_to_stay_in_exports_until_the_next(archive: Archive, tmp_path: Path) -> None:
    archive.export(tmp_path / "raw")
    receipt = forget([100_005], archive)
    assert "raw (raw export) still holds order 100005. Export the archive there again" in str(receipt)
    marked = b'"orderId":100005'
    assert any(marked in body for body in read_bodies(str(tmp_path / "raw")))
    archive.export(tmp_path / "raw")
    assert not any(marked in body for body in read_bodies(str(tmp_path / "raw")))
