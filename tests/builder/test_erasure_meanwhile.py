"""An order that is erased while a build or an export runs is in nothing that it leaves."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quivo_frames.archive import erasures
from quivo_frames.archive.archive import Archive
from quivo_frames.archive.raw_export.reader import RawExportReader
from quivo_frames.builder.build import build
from quivo_frames.builder.inputs import open_sources
from quivo_frames.builder.order_index import OrderIndex
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.place_commit import PlaceCommit
from quivo_frames.errors import ArchiveError
from quivo_frames.maintenance.erasure import honour_removed
from quivo_frames.maintenance.integrity import check
from quivo_frames.storage.place import open_place
from tests.support.archived_orders import NOON, assert_same_dataset, record_answers
from tests.support.paused_command import PausedCommand, paused_command, run_command
from tests.support.personal_traces import files_with, marked_order

IDS = range(100_001, 100_021)
GONE = 100_005
WHO = "Ida-Lund-of-Harbour-Road"
BEFORE_COMMIT = {
    "folder": "quivo_frames.dataset.folder_commit FolderCommit.commit_dataset",
    "delta": "quivo_frames.dataset.place_commit PlaceCommit.commit_dataset",
}
BEFORE_SEGMENT = "quivo_frames.storage.directory Directory.write"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Archive(tmp_path / "orders.sqlite") as made:
        record_answers(made, {order_id: marked_order(order_id, f"{WHO}-{order_id}-") for order_id in IDS}, NOON)
    return tmp_path / "orders.sqlite"


def printed_by(ended: PausedCommand) -> str:
    """What a command printed, which must have ended well."""
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def forget_in_archive(path: Path) -> None:
    done = run_command("forget", GONE, "--archive", path, "--yes")
    assert done.returncode in (0, 1), done.stderr  # 1: a raw export still holds the order


def assert_forgotten(folder: Path) -> Dataset:
    """The dataset of a folder, in which all orders are but the forgotten one."""
    built = Dataset.open(folder)
    assert built.orders["order_id"].to_list() == [order_id for order_id in IDS if order_id != GONE]
    assert built.manifest["orders"] == {"in": 19, "out": 19, "failed": 0, "superseded": 0}
    assert files_with(folder, f"{WHO}-{GONE}-") == []
    assert files_with(folder, f"{WHO}-{IDS[0]}-") != []
    assert check(folder).flaws.is_empty()
    return built


@pytest.mark.parametrize("form", ["folder", pytest.param("delta", marks=pytest.mark.long)])
def test_a_build_that_has_read_a_forgotten_order_does_not_bring_it_back(path: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "tables"
    options = ("--format", "delta") if form == "delta" else ()
    with paused_command(BEFORE_COMMIT[form], tmp_path / "p", "build", path, "--out", out, "--full", *options) as ended:
        forget_in_archive(path)
    printed = printed_by(ended)
    built = assert_forgotten(out)
    assert built.notes.filter(kind="erased_meanwhile").select("count", "order_id").rows() == [(1, None)]
    assert "1 x $.orderId: Orders were erased from an input while the tables were built" in printed
    assert build(path, tmp_path / "again").orders.equals(built.orders)


@pytest.mark.long
def test_a_build_on_an_executor_that_has_read_a_forgotten_order_does_not_bring_it_back(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = PlaceCommit.commit_dataset

    def erase_before_the_first(self: PlaceCommit, *args: Any, **options: Any) -> Any:
        monkeypatch.setattr(PlaceCommit, "commit_dataset", commit)
        forget_in_archive(path)
        return commit(self, *args, **options)

    monkeypatch.setattr(PlaceCommit, "commit_dataset", erase_before_the_first)
    with ThreadPoolExecutor(2) as pool:
        build(path, tmp_path / "tables", executor=pool, progress=False)
    assert_forgotten(tmp_path / "tables")


@pytest.mark.long
def test_an_incremental_build_that_has_read_a_forgotten_order_does_not_bring_it_back(
    path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tables"
    build(path, out)
    changed = {order_id: marked_order(order_id, f"{WHO}-{order_id}-", orderStatus="ODD") for order_id in (GONE, IDS[0])}
    with Archive(path) as archive:
        record_answers(archive, changed, NOON + timedelta(days=1))
    with paused_command(BEFORE_COMMIT["folder"], tmp_path / "p", "build", path, "--out", out) as ended:
        forget_in_archive(path)
    assert printed_by(ended)
    built = assert_forgotten(out)
    assert built.manifest["made"] == 1
    assert_same_dataset(build(path, tmp_path / "full"), build(path, out))


@pytest.mark.long
def test_a_build_from_a_raw_export_that_was_replaced_does_not_bring_an_order_back(path: Path, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "tables"
    assert run_command("export-raw", "--archive", path, raw).returncode == 0
    with paused_command(BEFORE_COMMIT["folder"], tmp_path / "p", "build", raw, "--out", out) as ended:
        forget_in_archive(path)
        assert run_command("export-raw", "--archive", path, raw).returncode == 0
    assert printed_by(ended)
    assert_forgotten(out)


@pytest.mark.long
def test_a_raw_export_that_has_read_a_forgotten_order_does_not_bring_it_back(path: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    with paused_command(BEFORE_SEGMENT, tmp_path / "p", "export-raw", "--archive", path, raw) as ended:
        forget_in_archive(path)
    assert "1 order erased meanwhile: left out." in printed_by(ended)
    assert files_with(raw, f"{WHO}-{GONE}-") == []
    assert len(list(RawExportReader.open(open_place(raw)).read_from())) == 19
    assert check(raw).flaws.is_empty()


@pytest.mark.long
def test_forget_in_tables_that_are_being_built_says_what_is_left_and_the_next_one_finds_nothing(
    path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tables"
    build(path, out)
    erase = ("forget", GONE, "--archive", path, "--tables", out, "--yes")
    with paused_command(BEFORE_COMMIT["folder"], tmp_path / "p", "build", path, "--out", out, "--full") as ended:
        done = run_command(*erase)
        assert done.returncode == 1
        assert f"LEFT, to be erased by hand: {out} and its exports: Another build is writing to {out}." in done.stdout
    assert printed_by(ended)
    assert_forgotten(out)
    assert run_command(*erase).returncode == 0
    assert_forgotten(out)


@pytest.mark.long
def test_an_order_that_is_erased_between_index_and_reading_is_left_out(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition_all = OrderIndex.partition_all

    def erase_first(self: OrderIndex, workers: int) -> Any:
        monkeypatch.setattr(OrderIndex, "partition_all", partition_all)
        Archive(path).erase([GONE])
        return partition_all(self, workers)

    monkeypatch.setattr(OrderIndex, "partition_all", erase_first)
    built = build(path, tmp_path / "tables", jobs=1)
    assert_forgotten(built.folder)
    assert "erased_meanwhile" in built.notes["kind"]


@pytest.mark.long
def test_personal_values_that_are_removed_from_an_older_answer_meanwhile_are_not_in_the_tables(
    path: Path, tmp_path: Path
) -> None:
    with Archive(path) as archive:
        removed = marked_order(GONE, "none", piiDataRemoved=True)
        record_answers(archive, {GONE: removed}, NOON + timedelta(days=1))
    out = tmp_path / "tables"
    as_of = ("--as-of", NOON.isoformat())
    with paused_command(BEFORE_COMMIT["folder"], tmp_path / "p", "build", path, "--out", out, *as_of) as ended:
        assert honour_removed(path).responses == 1
    assert printed_by(ended)
    assert files_with(out, f"{WHO}-{GONE}-") == []
    assert Dataset.open(out).counts()["orders"] == 20


def test_a_build_gives_up_where_orders_are_erased_again_and_again_and_leaves_the_tables(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(path, tmp_path / "tables")
    gone = iter(IDS)
    partition_all = OrderIndex.partition_all

    def erase_first(self: OrderIndex, workers: int) -> Any:
        Archive(path).erase([next(gone)])
        return partition_all(self, workers)

    monkeypatch.setattr(OrderIndex, "partition_all", erase_first)
    with pytest.raises(ArchiveError, match=r"again and again.* Nothing was changed\. Build again"):
        build(path, tmp_path / "tables", full=True)
    assert Dataset.open(tmp_path / "tables").manifest == before.manifest
    assert next(gone) == IDS[erasures.ATTEMPTS]


def test_an_erasure_waits_while_tables_are_published(path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with erasures.hold_off_erasures(path):
            erased = pool.submit(Archive(path).erase, [GONE])
            time.sleep(0.3)
            assert erasures.last_erasure(path) == 0
        assert erased.result().responses == 1
    assert erasures.last_erasure(path) == 1
    assert open_sources([path])[0].count_erased() == 0


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, 2.0])
def test_a_running_build_leaves_a_forgotten_order_out_at_any_moment(tmp_path: Path, seconds: float) -> None:
    path, out = tmp_path / "orders.sqlite", tmp_path / "tables"
    ids = range(100_001, 104_001)
    with Archive(path) as made:
        record_answers(made, {order_id: marked_order(order_id, f"{WHO}-{order_id}-") for order_id in ids}, NOON)
    build(path, out)
    command = [sys.executable, "-m", "quivo_frames.cli", "build", str(path), "--out", str(out), "--full"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while not (out / ".building").exists():
            time.sleep(0.01)
        time.sleep(seconds)
        while run_command("forget", GONE, "--archive", path, "--yes").returncode:  # the build was reading
            time.sleep(0.1)
        is_meanwhile = running.poll() is None
        _, err = running.communicate(timeout=120)
        assert running.returncode == 0, err
    if is_meanwhile:
        assert files_with(out, f"{WHO}-{GONE}-") == []
        assert Dataset.open(out).counts()["orders"] == len(ids) - 1
