"""One build: the same tables, lineage and facts whoever does the work, wherever they are, and however much stays."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build_with
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from quivo_frames.storage.place import open_place
from tests.support.archived_orders import NOON, assert_same_dataset, record_answers
from tests.support.depth import sampled

IDS = range(100_001, 100_051)
DAY = timedelta(days=1)
SMALL = BuildSettings(
    orders_per_partition=4, partitions_per_file=2, orders_per_seek_point=1, bytes_per_process=10_000, orders_per_file=30
)
PLACES = ("folder", "store")
FORMS = ("parquet", "delta")
WORKERS = ("alone", "two jobs", "executor")
WAYS = list(product(PLACES, FORMS, WORKERS))
FACTS = ("orders", "inputs", "privacy", "version", "with_derived", "profile", "made", "counted")


@contextmanager
def workers_of(name: str) -> Iterator[dict[str, Any]]:
    if name != "executor":
        yield {"jobs": 1 if name == "alone" else 2}
        return
    with ThreadPoolExecutor(3) as executor:
        yield {"executor": executor}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "orders.sqlite") as made:
        answers = {order_id: order_json(order_id) for order_id in IDS}
        answers[100_008] = order_json(100_008)[:-1] + b', "novelty": 1}'
        answers[100_009] = b'{"orderId": 100009, "sellerId": "bad"}'
        record_answers(made, answers, NOON)
        yield made


def change_some(archive: Archive, day: int) -> int:
    """Some orders are answered again, some are new; returns how many."""
    drawn = random.Random(day)
    ids = {*drawn.sample(IDS[:12], 2), IDS[-1] + day, *([100_009] if day == 2 else [])}
    bodies = {order_id: order_json(order_id, seed=day) for order_id in ids}
    record_answers(archive, bodies, NOON + day * DAY)
    return len(ids)


def assert_same_build(one: Dataset, other: Dataset) -> None:
    assert_same_dataset(one, other)
    for fact in FACTS:
        assert one.manifest[fact] == other.manifest[fact], fact


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("way", sampled(WAYS), ids="-".join)
def test_every_way_gives_the_same_at_first_and_after_changes(
    way: tuple[str, str, str], archive: Archive, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place, form, workers = way
    out = str(tmp_path / "tables")
    if place == "store":
        request.getfixturevalue("s3")
        out = "s3://lake/tables"
    with workers_of(workers) as options:
        for day in range(4):
            changed = change_some(archive, day) if day else len(IDS)
            before = {entry.name for entry in open_place(out).list_entries()}
            made = build_with(SMALL, archive, out, form=form, progress=False, **options)
            here = build_with(SMALL, archive, tmp_path / "here", jobs=1, progress=False)
            assert_same_build(made, here)
            assert made.manifest["made"] == changed
            assert check(out).flaws.is_empty(), check(out)
            assert_same_dataset(build_with(BuildSettings(), archive, tmp_path / f"{day}"), here, notes=False)
            after = {file["file"] for file in made.manifest["tables"]["orders"]["files"]}
            if day:
                assert after - before
                assert len(after) < 4 or after & before  # files without such an order are the same
        then = build_with(SMALL, archive, out, form=form, progress=False, as_of=NOON, **options)
        assert 0 < then.manifest["made"] < len(IDS)
        assert_same_dataset(then, build_with(SMALL, archive, tmp_path / "then", as_of=NOON), notes=False)


@pytest.mark.long
def test_up_to_a_bound_a_table_is_one_file_and_above_it_several_of_which_others_stay(
    archive: Archive, tmp_path: Path
) -> None:
    settings = BuildSettings(orders_per_partition=5, orders_per_seek_point=1, orders_per_file=50)
    one = build_with(settings, archive, tmp_path / "out", jobs=1)
    assert one.files("orders") == [str(tmp_path / "out" / "orders.parquet")]
    record_answers(archive, {n: order_json(n) for n in range(100_051, 100_061)}, NOON + DAY)
    grown = build_with(settings, archive, tmp_path / "out", jobs=1)
    assert grown.manifest["made"] == 10
    files = grown.files("orders")
    assert len(files) == 2
    assert not (tmp_path / "out" / "orders.parquet").exists()
    record_answers(archive, {100_060: order_json(100_061).replace(b"100061", b"100060")}, NOON + 2 * DAY)
    renewed = build_with(settings, archive, tmp_path / "out", jobs=1)
    assert renewed.files("orders")[0] == files[0]
    assert renewed.files("orders")[1] != files[1]
    assert_same_dataset(renewed, build_with(BuildSettings(), archive, tmp_path / "full"), notes=False)


def test_a_table_is_joined_of_the_row_groups_that_stay(archive: Archive, tmp_path: Path) -> None:
    settings = BuildSettings(orders_per_partition=5, orders_per_seek_point=1)
    folder = build_with(settings, archive, tmp_path / "out", jobs=1).folder
    before = (folder / "orders.parquet").read_bytes()
    assert pl.read_parquet_metadata(folder / "orders.parquet")
    record_answers(archive, {IDS[-1]: order_json(IDS[-1], seed=7)}, NOON + DAY)
    assert build_with(settings, archive, folder, jobs=1).manifest["made"] == 1
    after = (folder / "orders.parquet").read_bytes()
    length = len(before) // 2
    assert after[:length] == before[:length]


@pytest.mark.long
def test_where_nothing_changed_no_table_is_read(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_with(SMALL, archive, tmp_path / "out", jobs=1).folder
    for name in TABLES:
        for file in Dataset.open(folder).files(name):
            Path(file).chmod(0)
    opened: list[str] = []
    scan, read = pl.scan_parquet, Path.read_bytes

    def scanned(files: Any, **options: Any) -> pl.LazyFrame:
        opened.append(str(files))
        return scan(files, **options)

    def read_bytes(self: Path) -> bytes:
        opened.append(self.name)
        return read(self)

    monkeypatch.setattr(pl, "scan_parquet", scanned)
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert build_with(SMALL, archive, folder, jobs=1).manifest["made"] == 0
    assert set(opened) <= {"manifest.json", "export.json", "answers.parquet", "parts.parquet", "failures.parquet"}


@pytest.mark.long
@pytest.mark.parametrize("table", ["orders", pytest.param("shipments", marks=pytest.mark.long)])
def test_damage_to_rows_that_would_stay_is_found_when_they_are_copied_and_all_is_rebuilt(
    archive: Archive, tmp_path: Path, table: str
) -> None:
    settings = BuildSettings(orders_per_partition=5, orders_per_seek_point=1)
    folder = build_with(settings, archive, tmp_path / "out", jobs=1).folder
    content = bytearray((folder / f"{table}.parquet").read_bytes())
    content[100] ^= 1
    (folder / f"{table}.parquet").write_bytes(content)
    record_answers(archive, {IDS[-1]: order_json(IDS[-2]).replace(b"100049", b"100050")}, NOON + DAY)
    renewed = build_with(settings, archive, folder, jobs=1)
    assert renewed.manifest["made"] == len(IDS)
    assert check(folder).flaws.is_empty()
