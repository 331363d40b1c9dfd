"""Real builds on real engines: the tables are those that this machine builds, whatever happens to the workers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.builder import build as building
from quivo_frames.builder.build import build_with
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.cli import main
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ArchiveError, ConfigError, DatasetError
from quivo_frames.executors.connect import worker_pool_of
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.tables import REPORT_TABLES, TABLES
from quivo_frames.standin.orders import order_json
from tests.clusters.clusters import ROOT, Cluster, wait_for
from tests.support.archived_orders import NOON, record_answers

IDS = range(100_001, 104_001)
build = partial(build_with, BuildSettings(orders_per_partition=100, partitions_per_file=1, orders_per_seek_point=50))


def order_with(order_id: int, **fields: Any) -> bytes:
    return json.dumps(json.loads(order_json(order_id)) | fields).encode()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What two archives were exported to: of the orders that both have, some are newer in the one, some in the other."""
    folder = tmp_path_factory.mktemp("raw")
    with Archive(folder / "a.sqlite") as one, Archive(folder / "b.sqlite") as other:
        odd = {n: b'{"orderId":%d,"sellerId":"x"}' % n for n in IDS[:3000:97]}
        noted = {n: order_with(n, novelty=n) for n in IDS[:3000:50]}
        record_answers(one, {n: order_json(n) for n in IDS[:3000]} | odd | noted, NOON)
        record_answers(other, {n: order_json(n) for n in IDS[2500:]}, NOON - timedelta(days=1))
        record_answers(other, {n: order_with(n, comment="newer") for n in IDS[2800:3000]}, NOON + timedelta(days=1))
        one.export(folder / "a")
        other.export(folder / "b")
    return [folder / "a", folder / "b"]


@pytest.fixture(scope="module")
def here(raw: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tables as this machine builds them: one file a table."""
    return build(raw, tmp_path_factory.mktemp("here") / "tables", jobs=2)


def _sums(dataset: Dataset) -> dict[str, object]:
    """Of each table: how many rows, and a sum over what they hold and where they stand."""
    with duckdb.connect() as db:
        rows = "SELECT row_number() OVER () AS place, * FROM read_parquet({!r})"
        sums = "SELECT count(*), sum(hash(row_)::HUGEINT) FROM ({}) AS row_"
        names = (*TABLES, *DERIVED_TABLES, *REPORT_TABLES)
        return {name: db.execute(sums.format(rows.format(dataset.files(name)))).fetchone() for name in names}


def assert_same(one: Dataset, other: Dataset) -> None:
    """Compares two datasets row for row, in their order, with DuckDB."""
    assert one.counts() == other.counts()
    assert one.manifest["orders"] == other.manifest["orders"]
    assert _sums(one) == _sums(other)
    assert check(other.address).flaws.is_empty()


def test_an_engine_builds_what_this_machine_builds(
    cluster: Cluster, raw: list[Path], here: Dataset, tmp_path: Path
) -> None:
    made = build(raw, tmp_path / "tables", executor=cluster.executor)
    assert_same(here, made)
    assert made.failures.height > 20
    assert made.notes.height
    assert len(made.files("orders")) > 20


def test_a_worker_that_dies_costs_nothing(cluster: Cluster, raw: list[Path], here: Dataset, tmp_path: Path) -> None:
    killed: list[bool] = []

    def kill() -> None:
        wait_for(lambda: len(list(tmp_path.glob("tables/orders/*.parquet"))) >= 3)
        cluster.kill_a_worker()
        killed.append(not (tmp_path / "tables" / "manifest.json").exists())

    killer = threading.Thread(target=kill)
    killer.start()
    made = build(raw, tmp_path / "tables", executor=cluster.executor)
    killer.join()
    assert killed == [True], "the worker was killed while the build was under way"
    assert_same(here, made)


class RunTwice:
    """Workers that do everything two times, and not in order."""

    def __init__(self, executor: Any) -> None:
        self._pool = worker_pool_of(executor)
        self.size = self._pool.size

    def map_unordered(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        seen: dict[int, Any] = {}
        for result in self._pool.map_unordered(work, [*items, *reversed(items)]):
            before = seen.setdefault(result.number, result)
            if before is result:
                yield result
            else:
                assert before.built.new_files == result.built.new_files
        assert len(seen) == len(items)


def test_parts_that_run_twice_are_there_once(
    cluster: Cluster, raw: list[Path], here: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "worker_pool_of", RunTwice)
    made = build(raw, tmp_path / "tables", executor=cluster.executor)
    assert_same(here, made)
    assert len(list(tmp_path.glob("tables/orders/*.parquet"))) == len(made.files("orders"))


def test_delta_tables_are_the_same(cluster: Cluster, raw: list[Path], here: Dataset, tmp_path: Path) -> None:
    from deltalake import DeltaTable

    made = build(raw, tmp_path / "tables", executor=cluster.executor, form="delta")
    assert_same(here, made)
    for name in TABLES:
        files = {Path(file).name for file in DeltaTable(str(tmp_path / "tables" / name)).file_uris()}
        assert files == {Path(file).name for file in made.files(name)}


def test_the_command_builds_on_an_engine(cluster: Cluster, raw: list[Path], here: Dataset, tmp_path: Path) -> None:
    from click.testing import CliRunner

    arguments = ["build", *map(str, raw), "--out", str(tmp_path / "tables"), "--on", cluster.address]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1, done.output  # some orders failed
    assert_same(here, Dataset.open(tmp_path / "tables"))


def test_a_broken_segment_ends_the_run_and_says_which(cluster: Cluster, raw: list[Path], tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "raw"
    shutil.copytree(raw[0], copy)
    (segment,) = copy.glob("segment-*.parquet")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    with pytest.raises(ArchiveError, match=rf"Part \d+ of the build .*{segment.name}.*export"):
        build(copy, tmp_path / "tables", executor=cluster.executor)
    assert not (tmp_path / "tables" / "manifest.json").exists()


def test_workers_that_may_not_write_there_say_so(cluster: Cluster, raw: list[Path], tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "orders").write_text("in the way")
    with pytest.raises(ConfigError, match="holds no dataset"):
        build(raw, tmp_path / "tables", executor=cluster.executor)


def test_a_part_that_fails_each_time_is_named(
    cluster: Cluster, raw: list[Path], here: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(raw, tmp_path / "tables", executor=cluster.executor)
    monkeypatch.setattr(building, "build_unit", build_all_but_the_seventh)
    with pytest.raises(DatasetError, match=r"Part 7 of the build .* failed each of 3 times \(MemoryError\)"):
        build(raw, tmp_path / "tables", executor=cluster.executor, full=True)
    assert_same(here, Dataset.open(tmp_path / "tables"))
    assert before.manifest == Dataset.open(tmp_path / "tables").manifest


def build_all_but_the_seventh(settings: Any, privacy_filter: Any, destination: Any, unit: Any) -> Any:
    """Builds parts, but the seventh never fits into memory."""
    from quivo_frames.builder import partition

    if unit.first_task != 7:
        return partition.build_unit(settings, privacy_filter, destination, unit)

    def fails(*_: object) -> Any:
        raise MemoryError("of the worker")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_read_orders", fails)
        return partition.build_unit(settings, privacy_filter, destination, unit)


@pytest.mark.parametrize("engine", ["dask", "spark"])
def test_the_lines_of_the_page_on_clusters_build(
    engine: str, raw: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cluster = request.getfixturevalue(f"{engine}_cluster")
    blocks = re.findall(r"```py\n(.*?)```", (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if {"dask": "Client(", "spark": "spark://"}[engine] in block)
    code = code.replace("tcp://scheduler:8786", cluster.address.replace("dask", "tcp"))
    code = code.replace("spark://master:7077", cluster.address)
    code = code.replace("s3://lake/raw", str(raw[1])).replace("s3://lake/tables", str(tmp_path / "tables"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=150)
    assert done.returncode == 0, done.stderr
    assert_same(build(raw[1], tmp_path / "here", jobs=1), Dataset.open(tmp_path / "tables"))
