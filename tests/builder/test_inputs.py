"""Where a build reads from: any range of places gives the same orders as one reading from the beginning."""

from __future__ import annotations

import gzip
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
import zstandard

from quivo_frames.archive.archive import Archive
from quivo_frames.builder import order_files
from quivo_frames.builder.build import build
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.builder.inputs import open_sources
from quivo_frames.builder.order_index import OrderIndex, Partition, SourceRange
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.decode import OrderIdentity, read_identity, scan_identity
from quivo_frames.model.records import Answer, Outcome
from quivo_frames.storage.compressed import open_decompressed

if TYPE_CHECKING:
    from quivo_frames.model.records import RawOrder

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def order_body(order_id: int, size: int = 0) -> bytes:
    return json.dumps({"orderId": order_id, "comment": "x" * size}).encode()


@pytest.fixture
def given(tmp_path: Path) -> list[Path]:
    """An archive, lines with blank ones between, compressed lines, and a list: 12, 20, 20 and 8 orders, 5 of them twice."""
    with Archive(tmp_path / "a.sqlite") as archive:
        run, _ = archive.begin(range(1, 13))
        for n in range(12, 0, -1):
            archive.record(
                run, Answer(n, Outcome.FETCHED, NOON + timedelta(hours=n), 200, {}, order_body(n), 1, 0, 0.1, 0.1, "")
            )
    lines = tmp_path / "b.ndjson"
    lines.write_bytes(b"\n\r\n".join(order_body(n) for n in range(101, 121)) + b"\n")
    packed = tmp_path / "c.ndjson.gz"
    packed.write_bytes(gzip.compress(b"\n".join(order_body(n) for n in range(201, 221))))
    whole = tmp_path / "d.json"
    whole.write_bytes(b"[" + b",".join(order_body(n) for n in (1, 2, 301, 302, 201, 101, 303, 301)) + b"]")
    return [tmp_path / "a.sqlite", lines, packed, whole]


def index_orders(given: list[Path], **settings: int) -> OrderIndex:
    """An index with many seek points; `bytes_per_partition` limits no partition unless it is given."""
    wanted = BuildSettings(**{"orders_per_seek_point": 3, "bytes_per_partition": 10**9, **settings})
    return OrderIndex(open_sources(given), wanted)


def read_all(index: OrderIndex, workers: int = 1) -> list[RawOrder]:
    partitions = pickle.loads(pickle.dumps(index.partition_all(workers)))  # as another process gets them
    return [raw for partition in partitions for raw in partition.read_orders()]


def count_orders(partition: Partition) -> int:
    return sum(piece.order_count for piece in partition.pieces if isinstance(piece, SourceRange))


@pytest.mark.long
@pytest.mark.parametrize("orders", [1, 3, 7, 10, 25, 59, 60, 1000])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_partitions_together_hold_each_order_once_in_its_order(given: list[Path], orders: int, workers: int) -> None:
    index = index_orders(given, orders_per_partition=orders)
    assert list(index.orders_by_source.values()) == [12, 20, 20, 8]
    assert (index.orders_left, len(index.superseded_positions)) == (55, 5)
    found = read_all(index, workers)
    whole = read_all(index_orders(given, orders_per_partition=10**6))
    assert found == whole
    ids = [json.loads(raw.body)["orderId"] for raw in found]
    assert sorted(ids) == [*range(1, 13), *range(101, 121), *range(201, 221), 301, 302, 303]
    assert [raw.place for raw in found if raw.source == "b.ndjson"][:2] == ["line 3", "line 5"]


def test_partitions_are_even_and_as_many_as_can_be_shared(given: list[Path]) -> None:
    assert [count_orders(one) for one in index_orders(given, orders_per_partition=60).partition_all(1)] == [60]
    for orders, workers in ((30, 1), (30, 2), (30, 4), (10, 4)):
        index = index_orders(given, orders_per_partition=orders)
        sizes = [count_orders(partition) for partition in index.partition_all(workers)]
        assert sum(sizes) == 60
        assert max(sizes) <= orders + 3
        assert len(sizes) <= -(-60 // orders // workers) * workers


@pytest.mark.parametrize("form", ["lines.ndjson.gz", "lines.ndjson.zst", "list.json", "list.json.gz", "lines.json"])
def test_a_file_that_is_read_from_its_beginning_is_cut_as_well_and_unpacked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    bodies = [order_body(n) for n in range(100)]
    content = b"[" + b",".join(bodies) + b"]" if "list" in form else b"\n".join(bodies)
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}.get(Path(form).suffix, bytes)
    (tmp_path / form).write_bytes(pack(content))
    opened: list[Path] = []

    def count_opened(path: Path) -> IO[bytes]:
        opened.append(path)
        return open_decompressed(path)

    monkeypatch.setattr(order_files, "open_decompressed", count_opened)
    partitions = index_orders([tmp_path / form], orders_per_partition=9).partition_all(1)
    assert max(map(count_orders, partitions)) <= 12
    sent = [pickle.dumps(partition) for partition in partitions]
    for given in (partitions, map(pickle.loads, sent)):  # here, and as another process gets them
        opened.clear()
        assert [raw.body for partition in given for raw in partition.read_orders()] == bodies
        assert len(opened) == 2  # to see how it is laid out, and to read it
    bodies_of = {partition.number: [raw.body for raw in partition.read_orders()] for partition in partitions[::-1]}
    assert [body for number in sorted(bodies_of) for body in bodies_of[number]] == bodies
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda partition: [raw.body for raw in partition.read_orders()], partitions * 5))
    assert [body for part in found for body in part] == bodies * 5


def test_large_orders_make_small_partitions(tmp_path: Path) -> None:
    file = tmp_path / "o.ndjson"
    file.write_bytes(b"\n".join(order_body(n, 500 if n < 50 else 0) for n in range(100)))
    settings = BuildSettings(bytes_per_partition=5000, bytes_per_seek_point=1000)
    partitions = OrderIndex(open_sources([file]), settings).partition_all(1)
    assert all(sum(len(raw.body) for raw in one.read_orders()) < 5000 + 1000 + 600 for one in partitions)
    assert len(partitions) >= 5
    assert [json.loads(raw.body)["orderId"] for one in partitions for raw in one.read_orders()] == list(range(100))


@pytest.mark.parametrize(("orders", "size"), [(4, 10**9), (10**9, 1000), (3, 700), (1, 1)])
def test_partitions_of_answers_keep_the_limits_and_hold_each_order_once(tmp_path: Path, orders: int, size: int) -> None:
    for name, ids in (("a", range(1, 13)), ("b", range(101, 110))):
        with Archive(tmp_path / f"{name}.sqlite") as archive:
            run, _ = archive.begin(ids)
            for n in ids:
                answer = Answer(
                    n, Outcome.FETCHED, NOON, 200, {}, order_body(n, 200 if n < 7 else 0), 1, 0, 0.1, 0.1, ""
                )
                archive.record(run, answer)
    settings = BuildSettings(orders_per_partition=orders, bytes_per_partition=size)
    index = OrderIndex(open_sources([tmp_path / "a.sqlite", tmp_path / "b.sqlite"]), settings)
    assert index.current_answers is not None
    partitions = index.partition_answers(index.current_answers)
    assert [partition.number for partition in partitions] == list(range(len(partitions)))
    orders_of = [list(partition.read_orders()) for partition in partitions]
    assert all(len(raws) <= orders for raws in orders_of)
    assert all(sum(len(raw.body) for raw in raws) < size + 300 for raws in orders_of)
    assert [raw.order_id for raws in orders_of for raw in raws] == [*range(1, 13), *range(101, 110)]


def test_what_is_refetched_during_a_build_waits_for_the_next(given: list[Path]) -> None:
    index = index_orders(given[:1], orders_per_partition=100)
    assert index.current_answers is not None
    with Archive(given[0]) as archive:
        run, _ = archive.begin([3, 13])
        for n in (3, 13):
            archive.record(
                run, Answer(n, Outcome.FETCHED, NOON + timedelta(days=9), 200, {}, order_body(n, 7), 1, 0, 0.1, 0.1, "")
            )
    (partition,) = index.partition_answers(index.current_answers)
    expected = [order_body(n) for n in range(1, 13)]
    assert [raw.body for raw in read_all(index)] == [raw.body for raw in partition.read_orders()] == expected


def test_a_file_that_lost_orders_since_the_first_look_is_told(tmp_path: Path) -> None:
    file = tmp_path / "o.ndjson"
    file.write_bytes(b"\n".join(order_body(n) for n in range(30)))
    index = index_orders([file], orders_per_partition=1000)
    file.write_bytes(b"\n".join(order_body(n) for n in range(20)))
    with pytest.raises(ConfigError, match="changed while it was read"):
        read_all(index)


def test_a_broken_answer_replaces_no_good_one(tmp_path: Path) -> None:
    head = b'{"orderId":1,"created":null,"lastModified":"2026-01-0%dT00:00:00Z","comment":"x"}'
    file = tmp_path / "o.ndjson"
    file.write_bytes(b"\n".join([head % 1, (head % 2)[:-1], head % 1]))
    assert OrderIndex(open_sources([file])).superseded_positions == {0: 1}  # the later one of the two that are whole


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (b'{"orderId":7,"created":null,"lastModified":"2026-01-01T00:00:00Z","x":1}', (7, "2026-01-01T00:00:00Z")),
        (b'{"orderId":7,"created":"2026","lastModified":null,"x":1}', (7, None)),
        (b'{"orderId": 7, "created": null, "lastModified": "a"}', (7, "a")),
        (b'{"lastModified":"a","orderId":7.0}', (7, "a")),
        (b'{"orderId":7,"created":null,"lastModified":"\\u0061","x":1}', (7, "a")),
        (b'{"orderId":99999999999999999999,"created":null,"lastModified":null,"x":1}', (None, None)),
        (b"[]", (None, None)),
    ],
)
def test_a_glance_sees_what_a_closer_look_sees(text: bytes, seen: tuple[int | None, str | None]) -> None:
    assert scan_identity(text) == read_identity(text) == OrderIdentity(*seen)


def test_tables_are_no_orders(tmp_path: Path) -> None:
    (tmp_path / "o.ndjson").write_bytes(order_body(1))
    build(tmp_path / "o.ndjson", tmp_path / "tables")
    with pytest.raises(ConfigError, match="holds tables that were built"):
        open_sources([tmp_path / "tables"])
