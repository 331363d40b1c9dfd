"""Building anywhere: parts delivered by name and content, one commit, and what is read is the old dataset or the new."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Barrier, Event
from typing import Any, ClassVar

import duckdb
import polars as pl
import pytest

from quivo_frames.analysis.checks.audit import audit
from quivo_frames.archive.archive import Archive
from quivo_frames.builder import partition
from quivo_frames.builder.build import build_with
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.dataset import parts, place_commit
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ArchiveError, ConfigError, DatasetError, QuivoError
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.frames import Frames
from quivo_frames.model.tables import REPORT_TABLES, TABLES, Table
from quivo_frames.standin.orders import order_json
from quivo_frames.storage.bucket import Bucket
from quivo_frames.storage.directory import Directory
from quivo_frames.storage.place import Place, open_place
from tests.support.archived_orders import NOON, record_answers
from tests.support.paths import ROOT

IDS = range(100_001, 100_025)
DAY = timedelta(days=1)
SECRET = "Ms Secret lives here"


def order_body(order_id: int, **fields: Any) -> bytes:
    return json.dumps(json.loads(order_json(order_id)) | fields).encode()


SETTINGS = BuildSettings(orders_per_partition=8, partitions_per_file=1, orders_per_seek_point=1)
"""Of 24 orders three partitions, each with files of its own."""
build = partial(build_with, SETTINGS)
build_shared = partial(build_with, replace(SETTINGS, orders_per_partition=12))
"""With two partitions."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same kind of orders in each form of input; some answered again, some odd, some of no use."""
    folder = tmp_path_factory.mktemp("inputs")
    with Archive(folder / "a.sqlite") as one, Archive(folder / "b.sqlite") as other:
        odd = {100_004: b'{"orderId":100004,"sellerId":"x"}', 100_019: order_body(100_019, novelty=[1, "a"])}
        record_answers(one, {n: order_json(n) for n in IDS[:16]}, NOON)
        record_answers(one, {n: order_body(n, comment="newer") for n in IDS[3:9]} | odd, NOON + DAY)
        record_answers(other, {n: order_body(n, comment="other") for n in IDS[10:]}, NOON + DAY / 2)
        one.export(folder / "a")
        other.export(folder / "b")
    lines = [order_body(n, lastModified=f"2026-0{n % 7 + 1}-01T00:00:00Z") for n in IDS] + [b"{", *odd.values()]
    (folder / "orders.ndjson").write_bytes(
        b"\n".join([*lines, order_body(IDS[1], lastModified="2026-09-01T00:00:00Z")])
    )
    return {
        "archive": folder / "a.sqlite",
        "segments": folder / "a",
        "files": folder / "orders.ndjson",
        "many": [folder / "a", folder / "b.sqlite"],
        "mixed": [folder / "b", folder / "orders.ndjson"],
    }


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def assert_same_dataset(one: Dataset, other: Dataset) -> None:
    """The same rows in the same order, as DuckDB reads them from this machine, and the same said of them."""
    with duckdb.connect() as db:
        for name in (*TABLES, *DERIVED_TABLES, *REPORT_TABLES):
            rows = [
                f"SELECT row_number() OVER () AS place, * FROM read_parquet({of.files(name)})" for of in (one, other)
            ]
            for first, second in (rows, rows[::-1]):
                found = db.execute(f"SELECT count(*) FROM (({first}) EXCEPT ALL ({second}))").fetchone()
                assert found == (0,), name
            assert db.execute(f"DESCRIBE {rows[0]}").fetchall() == db.execute(f"DESCRIBE {rows[1]}").fetchall()
    for fact in ("orders", "inputs", "privacy", "version", "counted", "profile", "made"):
        assert one.manifest[fact] == other.manifest[fact], fact
    assert one.counts() == other.counts()


def files_at(where: str | os.PathLike[str]) -> set[str]:
    return {entry.name for entry in open_place(where).list_entries()}


def files_named(dataset: Dataset) -> set[str]:
    files = (facts["files"] for kind in ("tables", "derived", "lineage") for facts in dataset.manifest[kind].values())
    return {file["file"] for one in files for file in one} | {"manifest.json"}


def assert_only_named_files(dataset: Dataset, others: Iterable[str] = ()) -> None:
    """As it was written, and nothing else there but what is of others."""
    assert check(dataset.address).flaws.is_empty(), check(dataset.address)
    assert files_at(dataset.address) == files_named(dataset) | set(others)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{kind: (kind, {}) for kind in ("archive", "segments", "files", "many", "mixed")},
    "as of": ("many", {"as_of": NOON + DAY * 3 / 4}),
    "pseudonyms": ("segments", {"privacy": "pseudonym"}),
    "nothing personal": ("files", {"privacy": "none"}),
}


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_workers_build_what_this_process_builds(
    case: str, inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIVO_PSEUDONYM_KEY", "0123456789abcdef0123456789abcdef")
    kind, options = CASES[case]
    two_per_file = replace(SETTINGS, orders_per_partition=4, partitions_per_file=2)
    settings = two_per_file if kind == "files" else SETTINGS
    here = build_with(settings, inputs[kind], tmp_path / "here", jobs=1, **options)
    made = build_with(settings, inputs[kind], tmp_path / "anywhere", executor=pool, **options)
    assert_same_dataset(here, made)
    assert len(made.files("orders")) > 1
    assert made.notes.height
    assert_only_named_files(made)


class RunTwice(ThreadPoolExecutor):
    """Does everything two times, at the same time."""

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Iterator[Any]:
        both = [(self.submit(fn, *item), self.submit(fn, *item)) for item in zip(*iterables, strict=True)]
        return (pair[0].result() if number % 2 else self._later(pair) for number, pair in enumerate(both))

    @staticmethod
    def _later(pair: Sequence[Future[Any]]) -> Any:
        return [future.result() for future in pair][1]


class RunAgainAfterwards(ThreadPoolExecutor):
    """Does once more what a worker died of."""

    deaths: ClassVar[list[str]] = []

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Iterator[Any]:
        for item in zip(*iterables, strict=True):
            try:
                yield self.submit(fn, *item).result()
            except SystemExit:
                yield self.submit(fn, *item).result()


@pytest.mark.long
def test_parts_that_run_twice_are_there_once(
    inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = build(inputs["segments"], tmp_path / "here", jobs=1)
    write, names = Directory.write, []

    def seen(self: Directory, name: str, data: bytes) -> None:
        names.append(name)
        write(self, name, data)

    monkeypatch.setattr(Directory, "write", seen)
    with RunTwice(4) as executor:
        made = build(inputs["segments"], tmp_path / "anywhere", executor=executor)
    assert_same_dataset(here, made)
    assert_only_named_files(made)
    assert {*names, "manifest.json"} == files_named(made)  # which is swapped in
    by_workers = [name for table in TABLES if made.counts()[table] for name in made.manifest["tables"][table]["files"]]
    assert all(names.count(file["file"]) == 2 for file in by_workers)  # a table without rows is written at last


@pytest.mark.long
def test_what_a_worker_left_that_died_is_no_more_than_that(
    inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = build(inputs["segments"], tmp_path / "here", jobs=1)
    write, calls = Directory.write, []

    def dies(self: Directory, name: str, data: bytes) -> None:
        calls.append(name)
        if len(calls) in (3, 30):
            write(self, f"{Path(name).parent}/.new-0123abcd-{Path(name).name}", data[: len(data) // 2])
            raise SystemExit
        write(self, name, data)

    monkeypatch.setattr(Directory, "write", dies)
    with RunAgainAfterwards(1) as executor:
        made = build(inputs["segments"], tmp_path / "anywhere", executor=executor)
    assert_same_dataset(here, made)
    assert_only_named_files(made)


@pytest.mark.long
@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("out", ["", "s3://lake/tables"])
def test_files_that_no_receipt_names_are_not_read_and_go_those_of_others_stay(
    out: str, inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    out = out or str(tmp_path / "tables")
    made = build(inputs["segments"], out, executor=pool)
    counts, rows = made.counts(), made.orders
    content = open_place(out).read(made.manifest["tables"]["orders"]["files"][0]["file"]) or b""
    ours = ["orders/0123-000001-abcdef.parquet", "orders/.new-12ab-0123-000001-abcdef.parquet", "orders.parquet",
            ".lineage/answers.parquet", "notes/0123-000000-ab.parquet"]  # fmt: skip
    others = ["notes.txt", "orders/mine.parquet", "orders/part-0.parquet", "other/orders.parquet"]
    for name in (*ours, *others):
        open_place(out).write(name, content)
    found = Dataset.open(out)
    assert found.counts() == counts
    assert found.orders.equals(rows)
    assert found.scan.orders.collect().equals(rows)
    new = build(inputs["segments"], out, executor=pool, full=True)
    assert new.orders.equals(rows)
    assert_only_named_files(new, others)


@pytest.mark.parametrize(
    "name", ["notes.txt", "orders.parquet", "orders/part-0.parquet", "exports.json", "findings.parquet"]
)
def test_a_place_with_files_of_others_is_refused_as_it_is(
    name: str, inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    open_place(tmp_path / "out").write(name, b"mine")
    for way in ({"executor": pool}, {"jobs": 1}):
        with pytest.raises(ConfigError, match=f"there is {name.split('/')[0]}.*Nothing was written"):
            build(inputs["segments"], tmp_path / "out", **way)  # type: ignore[arg-type]
        assert files_at(tmp_path / "out") == {name}
        assert open_place(tmp_path / "out").read(name) == b"mine"


KILLED = """
import json, os, signal, sys
from concurrent.futures import ThreadPoolExecutor
from quivo_frames.builder.build import build_with
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.storage import atomic
from quivo_frames.storage.directory import Directory

settings = BuildSettings(orders_per_partition=8, partitions_per_file=1, orders_per_seek_point=1)
given, out, of, name, nth = json.loads(sys.argv[1])
owner = {"Directory": Directory, "atomic": atomic}[of]
original, calls = getattr(owner, name), []

def kill(*arguments, **options):
    calls.append(1)
    if len(calls) == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)

setattr(owner, name, kill)
with ThreadPoolExecutor(2) as pool:
    build_with(settings, given, out, executor=pool)
"""
MOMENTS = {
    "before the first part": ("Directory", "write", 1),
    "in the midst of a file": ("atomic", "sync_file", 40),
    "before the manifest": ("Directory", "compare_and_swap", 1),
    "before the sweep": ("Directory", "remove", 1),
}


@pytest.mark.long
def test_a_driver_that_is_killed_leaves_the_old_or_the_new_dataset_and_the_same_again_ends_it(
    inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    before = build(inputs["archive"], tmp_path / "before", executor=pool)
    shutil.copytree(before.address, tmp_path / "fresh")
    fresh = build(inputs["many"], tmp_path / "fresh", executor=pool)
    running = []
    for moment, (of, name, nth) in MOMENTS.items():
        shutil.copytree(before.address, tmp_path / moment)
        if moment == "before the manifest":  # there it is the first build
            shutil.rmtree(tmp_path / moment)
        arguments = json.dumps([list(map(str, inputs["many"])), str(tmp_path / moment), of, name, nth])
        running.append(subprocess.Popen([sys.executable, "-c", KILLED, arguments], cwd=ROOT))
    assert [killed.wait() for killed in running] == [-9] * len(MOMENTS)
    for moment in MOMENTS:
        out = tmp_path / moment
        if moment == "before the manifest":
            with pytest.raises(DatasetError, match="or a build of it was cut off"):
                Dataset.open(out)
        else:
            assert_same_dataset(Dataset.open(out), fresh if moment == "before the sweep" else before)
            assert set(check(out).flaws["what"]) <= {"leftover"}  # what the next build removes
        assert files_at(out) > {".lock"}, moment
        made = build(inputs["many"], out, executor=pool, full=moment == "before the sweep")
        if moment in ("before the first part", "in the midst of a file"):  # else they tell other changes, or none
            assert made.notes.equals(fresh.notes)
        assert all(made[name].equals(fresh[name]) for name in (*TABLES, "failures"))
        assert_only_named_files(made)


@pytest.mark.long
def test_a_build_of_this_machine_ends_what_was_cut_off(
    inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place_commit.PlaceCommit, "commit_dataset", raising(DatasetError("cut off")))
    with pytest.raises(DatasetError):
        build(inputs["segments"], tmp_path / "out", executor=pool)
    left = files_at(tmp_path / "out")
    assert left
    made = build(inputs["segments"], tmp_path / "out", jobs=1)
    assert not left & files_at(made.address)
    assert check(made.address).flaws.is_empty()


def file_states(folder: str) -> dict[str, tuple[int, int]]:
    found = [file for file in Path(folder).rglob("*") if file.is_file()]
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_ino) for file in found}


@pytest.mark.long
def test_the_same_again_writes_nothing_and_anything_else_builds(
    inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    archive = Path(shutil.copy(inputs["archive"], tmp_path / "a.sqlite"))

    def again(**options: Any) -> bool:
        """Whether it was written."""
        before = file_states(str(tmp_path / "out"))
        made = build(archive, tmp_path / "out", executor=pool, **options)
        assert_only_named_files(made)
        return file_states(str(tmp_path / "out")) != before

    def flip(name: str) -> None:
        file = Path(Dataset.open(tmp_path / "out").files(name)[0])
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)

    assert again()
    assert not again()
    assert again(full=True)
    assert again(privacy="none")
    assert not again(privacy="none")
    assert again()
    Path(Dataset.open(tmp_path / "out").files("shipments")[0]).unlink()
    assert again()
    flip("orders")
    assert again(full=True)
    with Archive(archive) as opened:
        record_answers(opened, {IDS[0]: order_body(IDS[0], comment="once more")}, NOON + 2 * DAY)
    assert again()
    assert again(as_of=NOON)
    assert not again(as_of=NOON)


class RunMeanwhile(ThreadPoolExecutor):
    """Before its first item, something else happens."""

    def __init__(self, what: Callable[[], object]) -> None:
        super().__init__(2)
        self.what = what

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **options: Any) -> Iterator[Any]:
        self.what()
        return super().map(fn, *iterables, **options)


@pytest.mark.long
def test_a_second_build_in_a_folder_is_refused_whichever_way(
    inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    refused = []

    def meanwhile() -> None:
        for way in ({"executor": pool}, {"jobs": 1}):
            with pytest.raises(DatasetError, match="Another build is writing to"):
                build(inputs["files"], tmp_path / "out", **way)  # type: ignore[arg-type]
            refused.append(way)

    with RunMeanwhile(meanwhile) as executor:
        made = build(inputs["segments"], tmp_path / "out", executor=executor)
    assert len(refused) == 2
    assert_only_named_files(made)


@pytest.fixture(params=["a folder that cannot be locked", "s3"])
def shared(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place where nobody is kept out: whoever commits first wins."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return "s3://lake/tables"
    monkeypatch.setattr(place_commit, "lock_folder", lambda _: nullcontext())
    return str(tmp_path / "tables")


@pytest.mark.long
def test_of_two_builds_the_one_that_commits_first_wins_and_the_other_is_reported(
    shared: str, inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Here of two of the very same answers, whose files have the same names."""
    first: list[Dataset] = []
    with (
        RunMeanwhile(lambda: first.append(build_shared(inputs["segments"], shared, executor=pool))) as executor,
        pytest.raises(DatasetError, match=f"Another build into {shared} ended first, and its tables stand"),
    ):
        build_shared(inputs["segments"], shared, executor=executor)
    found = Dataset.open(shared)
    assert found.manifest == first[0].manifest
    assert check(shared).flaws.is_empty()
    made = build_shared(inputs["segments"], shared, executor=pool, full=True)
    assert_only_named_files(made)


@pytest.mark.long
def test_the_sweep_of_a_build_takes_nothing_of_one_that_began_after_its_commit(
    shared: str, inputs: dict[str, Any], pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here of one of the very answers whose earlier files are about to be removed."""
    build_shared(inputs["segments"], shared, executor=pool)
    later: list[Dataset] = []
    owner = Bucket if "://" in shared else Directory
    remove = owner.remove

    def late(self: Place, names: Iterable[str]) -> None:
        names = list(names)
        if not later and any(name.startswith("orders/") for name in names):
            later.append(Dataset.open(shared))
            later[0] = build_shared(inputs["segments"], shared, executor=pool)
        remove(self, names)  # type: ignore[arg-type]

    monkeypatch.setattr(owner, "remove", late)
    build_shared(inputs["many"], shared, executor=pool)
    assert later
    assert Dataset.open(shared).manifest == later[0].manifest
    assert_only_named_files(later[0])


@pytest.mark.long
def test_the_sweep_takes_nothing_of_one_that_is_under_way(
    shared: str, inputs: dict[str, Any], pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins after the commit of the first, has delivered all when this sweeps, and commits then."""
    owner = Bucket if "://" in shared else Directory
    swap, delivered, swept = owner.compare_and_swap, Event(), Event()
    second: list[Future[Dataset]] = []

    def held(self: Place, name: str, data: bytes, before: bytes | None) -> bool:
        if second:
            delivered.set()
            assert swept.wait(60)
            return swap(self, name, data, before)  # type: ignore[arg-type]
        won = swap(self, name, data, before)  # type: ignore[arg-type]
        second.append(thread.submit(build_shared, inputs["segments"], shared, executor=pool))
        assert delivered.wait(60)
        return won

    monkeypatch.setattr(owner, "compare_and_swap", held)
    with ThreadPoolExecutor(1) as thread:
        with ThreadPoolExecutor(2) as own:
            build_shared(inputs["files"], shared, executor=own)
        swept.set()
        assert_only_named_files(second[0].result())


@pytest.mark.long
def test_builds_that_begin_together_leave_one_whole_dataset(shared: str, inputs: dict[str, Any]) -> None:
    together = Barrier(3)

    def one(kind: str) -> Dataset | str:
        try:
            with RunMeanwhile(together.wait) as executor:
                return build_shared(inputs[kind], shared, executor=executor)
        except DatasetError as error:
            return str(error)

    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(one, ["segments", "segments", "files"]))
    won = [one for one in made if isinstance(one, Dataset)]
    assert len(won) == 1
    assert all("ended first" in message for message in made if isinstance(message, str))
    assert Dataset.open(shared).manifest == won[0].manifest
    assert check(shared).flaws.is_empty()


@pytest.mark.long
def test_the_two_ways_of_writing_replace_one_another(
    inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    archive, out = Path(shutil.copy(inputs["archive"], tmp_path / "a.sqlite")), tmp_path / "out"
    one_file = {
        f"{name}.parquet" for name in (*TABLES, *REPORT_TABLES, *(f"derived/{name}" for name in DERIVED_TABLES))
    }
    lineage = {f".lineage/{name}.parquet" for name in ("answers", "noticed", "parts")}
    build(archive, out, jobs=1)
    (out / "notes.txt").write_text("mine")
    assert_only_named_files(build(archive, out, executor=pool), ["notes.txt"])
    (out / "orders").joinpath("0123-000001-abcdef.parquet").write_bytes(b"left")
    here = build(archive, out, jobs=1)
    assert files_at(out) == {*one_file, *lineage, "manifest.json", "notes.txt"}
    with Archive(archive) as opened:
        record_answers(opened, {IDS[0]: order_body(IDS[0], comment="once more")}, NOON + 2 * DAY)
    renewed = build(archive, out, jobs=1)
    assert renewed.manifest["made"] == 1
    assert files_at(out) == files_at(here.address)
    assert check(out).flaws.is_empty()
    assert renewed.orders.equals(build(archive, tmp_path / "beside", executor=pool).orders)
    assert not [folder for folder in out.iterdir() if folder.is_dir() and folder.name not in (".lineage", "derived")]


@pytest.mark.long
def test_delta_tables_are_not_replaced_by_others(
    inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    pytest.importorskip("deltalake")
    build(inputs["segments"], tmp_path / "out", jobs=1, form="delta")
    before = file_states(str(tmp_path / "out"))
    for way in ({"executor": pool}, {"jobs": 1}):
        with pytest.raises(ConfigError, match=r"holds Delta tables\. Nothing was written"):
            build(inputs["segments"], tmp_path / "out", **way)  # type: ignore[arg-type]
    assert file_states(str(tmp_path / "out")) == before


def raising(error: BaseException) -> Callable[..., Any]:
    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


@pytest.fixture(scope="module")
def earlier(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    with ThreadPoolExecutor(2) as pool:
        return build(inputs["files"], tmp_path_factory.mktemp("earlier"), executor=pool)


@pytest.fixture
def current(earlier: Dataset, tmp_path: Path) -> Iterator[Dataset]:
    """A dataset that is there before, and is the one that is read after."""
    made = Dataset.open(shutil.copytree(earlier.address, tmp_path / "out"))
    rows = made.orders
    yield made
    found = Dataset.open(tmp_path / "out")
    assert found.manifest == made.manifest
    assert found.orders.equals(rows)
    assert check(found.address).flaws.is_empty()


@pytest.mark.long
@pytest.mark.parametrize(
    "error", [MemoryError(SECRET), OSError(errno.EIO, SECRET), pl.exceptions.PanicException(SECRET)], ids=repr
)
def test_a_part_that_fails_each_time_is_reported_with_its_source_and_without_values(
    error: BaseException, current: Dataset, inputs: dict[str, Any], pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    validate, tries = partition.validate_frames, []

    def fails(frames: Frames, origins: Any) -> Frames:
        if IDS[20] in frames.orders["order_id"]:
            tries.append(error)
            raise error
        return validate(frames, origins)

    monkeypatch.setattr(partition, "validate_frames", fails)
    message = (
        rf"Part \d of the build \({inputs['files']}\) failed each of 3 times \({type(error).__name__}\)\. .*memory"
    )
    with pytest.raises(DatasetError, match=message) as caught:
        build(inputs["files"], current.address, executor=pool)
    assert SECRET not in str(caught.value)
    assert len(tries) == 3


@pytest.mark.long
def test_a_part_that_fails_once_costs_nothing(
    inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = build(inputs["files"], tmp_path / "here", jobs=1)
    write, failed = parts.write_parquet_table, []

    def fails(rows: pl.LazyFrame, path: Path, table: Table) -> int:
        if not failed and table.name == "shipments":
            failed.append(path)
            raise MemoryError
        return write(rows, path, table)

    monkeypatch.setattr(parts, "write_parquet_table", fails)
    made = build(inputs["files"], tmp_path / "out", executor=pool)
    assert failed
    assert_same_dataset(here, made)
    assert_only_named_files(made)


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.EACCES, ConfigError, "cannot be written to {out}: the folder may not be written to"),
        (errno.ENOSPC, DatasetError, "cannot be written to {out}: the disk is full"),
    ],
)
def test_a_worker_that_cannot_write_says_where_and_why(
    number: int, kind: type[QuivoError], message: str, current: Dataset, inputs: dict[str, Any],
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write = Directory.write

    def refused(self: Directory, name: str, data: bytes) -> None:
        if name.startswith("handling_units/"):
            raise OSError(number, os.strerror(number), SECRET)
        write(self, name, data)

    monkeypatch.setattr(Directory, "write", refused)
    with pytest.raises(kind, match=r"Part \d of the build .* cannot be made\. ") as caught:
        build(inputs["files"], current.address, executor=pool)
    assert message.format(out=current.address) in str(caught.value)
    assert "earlier tables are still there" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.long
def test_a_worker_without_room_for_its_parts_says_where(
    current: Dataset, inputs: dict[str, Any], pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "write_parquet_table", raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    message = r"Part \d of the build .* cannot be made\. .* cannot be written to \S+quivo-frames-\w+: the disk is full"
    with pytest.raises(DatasetError, match=message):
        build(inputs["files"], current.address, executor=pool)


def test_a_broken_segment_is_reported_by_name(
    current: Dataset, inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    raw = shutil.copytree(inputs["segments"], tmp_path / "raw")
    file = next(raw.glob("*.parquet"))
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(ArchiveError, match=rf"{file.name} in {raw}"):
        build(raw, current.address, executor=pool)


@pytest.mark.long
def test_a_dataset_in_a_store_is_like_one_in_a_folder(
    s3: Any, inputs: dict[str, Any], pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    with Archive(inputs["archive"]) as archive:
        archive.export("s3://lake/raw")
    here = build(inputs["archive"], tmp_path / "here", jobs=1)
    in_store = build("s3://lake/raw", "s3://lake/tables", jobs=1)
    shared = build("s3://lake/raw", "s3://lake/shared/tables", executor=pool)
    for made in (in_store, shared):
        opened = Dataset.open(made.address)
        assert all(opened[name].equals(here[name]) for name in TABLES)
        assert_only_named_files(opened)
    assert "All is as it was written" in str(check("s3://lake/tables"))
    assert audit(in_store).equals(audit(here))
    in_store.export("duckdb", tmp_path / "orders.duckdb")
    with duckdb.connect(tmp_path / "orders.duckdb") as db:
        assert db.execute("SELECT count(*) FROM orders").fetchone() == (here.orders.height,)
    assert [export.form for export in Dataset.open("s3://lake/tables").exports()] == ["duckdb"]
    then = build("s3://lake/raw", "s3://lake/then", executor=pool, as_of=NOON)
    assert then.orders.equals(build(inputs["archive"], tmp_path / "then", as_of=NOON).orders)
    file = in_store.files("orders")[0].removeprefix("s3://lake/")
    content = bytearray(s3.get_object(Bucket="lake", Key=file)["Body"].read())
    content[50] ^= 1
    s3.put_object(Bucket="lake", Key=file, Body=bytes(content))
    assert check("s3://lake/tables").flaws["what"].to_list() == ["file"]


@pytest.mark.long
@pytest.mark.parametrize(
    "lines", [[], [b"{"], [order_json(IDS[0])], [b"{", order_json(IDS[0]), b"[]"]], ids=["none", "bad", "one", "some"]
)
def test_few_orders_or_none_are_a_dataset_too(lines: list[bytes], tmp_path: Path) -> None:
    file = tmp_path / ("orders.ndjson" if lines else "orders.json")  # a file with nothing in it is refused
    file.write_bytes(b"\n".join(lines) or b"[]")
    here = build(file, tmp_path / "here", jobs=1)
    with ThreadPoolExecutor(8) as executor:
        made = build(file, tmp_path / "out", executor=executor)
    assert_same_dataset(here, made)
    assert_only_named_files(made)
