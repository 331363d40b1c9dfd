"""What a killed export leaves is found by check, removed by the next run, and erased by forget."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.cli import main
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.export.formats import ExportFormat
from quivo_frames.maintenance.erasure import forget
from quivo_frames.maintenance.integrity import check
from tests.support.archived_orders import NOON, record_answers
from tests.support.depth import sampled
from tests.support.personal_traces import files_with, marked_order

IDS = range(100_001, 100_007)
GONE = 100_003
WHO = "Ida-Lund-of-Harbour-Road"
TARGETS = {"duckdb": "x.duckdb", "excel": "x.xlsx", "ocel": "x.sqlite"}
WRITE_CALLS = {
    "delta": "LazyFrame.collect_batches",
    "excel": "ZipFile.write",
    "csv": "LazyFrame.sink_csv",
    "ocel": "LazyFrame.collect",
    "powerbi": "LazyFrame.collect",
}
"""The method by which a format writes a table; others write parquet."""

KILLED_PROGRAM = """
import os, signal, sys
from pathlib import Path
from zipfile import ZipFile
from polars import LazyFrame
from quivo_frames.dataset.dataset import Dataset
tables, form, out, call, when = sys.argv[1:]
dataset, calls = Dataset.open(tables), 0
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if when == "half":
    owner, call = {"LazyFrame": LazyFrame, "ZipFile": ZipFile}[call.split(".")[0]], call.split(".")[1]
    write = getattr(owner, call)
    def die_at_half(*given, **options):
        global calls
        calls += 1
        return die() if calls == 12 else write(*given, **options)
    setattr(owner, call, die_at_half)
else:
    rename = Path.rename
    Path.rename = lambda path, to: die() if path.name.startswith(".new.") else rename(path, to)
    Path.replace = die if when == "complete" else Path.replace
dataset.export(form, out)
"""


@pytest.fixture
def tables(tmp_path: Path) -> Dataset:
    """Tables in work/tables, of orders with a mark for each."""
    (tmp_path / "work").mkdir()
    with Archive(tmp_path / "work" / "orders.sqlite") as archive:
        record_answers(archive, {order_id: marked_order(order_id, f"{WHO}-{order_id}") for order_id in IDS}, NOON)
    return build(tmp_path / "work" / "orders.sqlite", tmp_path / "work" / "tables")


def target_of(form: str, folder: Path) -> Path:
    return folder / TARGETS.get(form, form)


def kill_export(tables: Dataset, form: str, out: Path, when: str = "half") -> None:
    """An export that is killed when half of its tables are written, or all."""
    call = WRITE_CALLS.get(form, "LazyFrame.sink_parquet")
    killed = subprocess.run([sys.executable, "-c", KILLED_PROGRAM, tables.address, form, str(out), call, when])
    assert killed.returncode == -signal.SIGKILL


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize(
    "form",
    sampled(
        form for form in ExportFormat if form not in (ExportFormat.OCEL, ExportFormat.DUCKLAKE, ExportFormat.POWERBI)
    ),
)  # nothing personal; tests/lake
@pytest.mark.parametrize("is_first", [True, False], ids=["first export", "later export"])
def test_what_a_killed_export_left_is_reported_and_forgotten(tables: Dataset, form: str, is_first: bool) -> None:
    folder = tables.folder.parent
    out = target_of(form, folder)
    if not is_first:
        tables.export(form, out)
        record = marked_order(100_001, f"{WHO}-100001", comment="later")
        with Archive(folder / "orders.sqlite") as archive:
            record_answers(archive, {100_001: record}, NOON.replace(day=2))
        tables = build(folder / "orders.sqlite", tables.folder)
    kill_export(tables, form, out)
    held = files_with(folder, f"{WHO}-{GONE}")
    assert any("tables" not in name and "orders.sqlite" not in name for name in held), "it was killed too early"
    kinds = set(check(tables.folder).flaws["what"])
    assert kinds == ({"export"} if form == "delta" else {"leftover"})
    receipt = forget([GONE], folder / "orders.sqlite", [tables.folder])
    assert not receipt.left
    assert len(receipt.exports) == 1
    assert not files_with(folder, f"{WHO}-{GONE}")
    assert check(tables.folder).flaws.is_empty()
    assert not list(folder.rglob(".new*"))
    if not is_first:
        assert files_with(folder, f"{WHO}-100004")


@pytest.mark.drawn
@pytest.mark.parametrize("form", sampled(form for form in ExportFormat if form is not ExportFormat.DUCKLAKE))
def test_the_next_export_removes_what_a_killed_one_left(tables: Dataset, form: str) -> None:
    folder = tables.folder.parent
    kill_export(tables, form, target_of(form, folder))
    tables.export(form, target_of(form, folder))
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert check(tables.folder).flaws.is_empty()


@pytest.mark.long
@pytest.mark.parametrize("next_run", ["another export", "build"])
def test_the_next_run_removes_what_a_killed_export_left_elsewhere(tables: Dataset, next_run: str) -> None:
    folder = tables.folder.parent
    kill_export(tables, "duckdb", folder / "x.duckdb")
    if next_run == "build":
        build(folder / "orders.sqlite", tables.folder)
    else:
        tables.export("csv", folder / "csv")
    assert not list(folder.glob(".new*"))
    assert check(tables.folder).flaws.is_empty()


@pytest.mark.long
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_folder_that_a_killed_export_had_moved_away_is_put_back_and_erased(tables: Dataset, form: str) -> None:
    folder = tables.folder.parent
    out = folder / form
    tables.export(form, out)
    kill_export(tables, form, out, "renaming")
    assert not out.exists()
    assert list(folder.glob(".before*"))
    forget([GONE], folder / "orders.sqlite", [tables.folder])
    assert files_with(out, f"{WHO}-100004")
    assert not files_with(folder, f"{WHO}-{GONE}")
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.long
def test_what_killed_exports_of_earlier_versions_left_is_forgotten_too(tables: Dataset) -> None:
    folder = tables.folder.parent
    tables.export("duckdb", folder / "x.duckdb")
    left = folder / ".new.x.duckdb.a1b2_c3d"
    left.mkdir()
    (left / ".new.x.duckdb").write_text(f"{WHO}-{GONE}")
    mine = folder / ".new.x.duckdb.of-mine-that-is-longer"
    mine.mkdir()
    assert set(check(tables.folder).flaws["place"]) == {left.name}
    forget([GONE], folder / "orders.sqlite", [tables.folder])
    assert not left.exists()
    assert mine.exists()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["--out", "--html"])
def test_what_a_killed_audit_left_is_reported_and_forgotten(tables: Dataset, kind: str) -> None:
    folder = tables.folder.parent
    program = """
import os, signal, sys
from pathlib import Path
replace = Path.replace
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
Path.replace = lambda path, to: die() if path.name.startswith(".new.") else replace(path, to)
from quivo_frames.cli import main
main()
"""
    out = folder / {"--out": "found.csv", "--html": "report.html"}[kind]
    words = ["audit", tables.address, "--personal", kind, str(out)]
    assert subprocess.run([sys.executable, "-c", program, *words]).returncode == -signal.SIGKILL
    assert list(folder.glob(".new*"))
    assert "leftover" in check(tables.folder).flaws["what"]
    forget([GONE], folder / "orders.sqlite", [tables.folder])
    assert not list(folder.glob(".new*"))
    assert check(tables.folder).flaws.is_empty()


@pytest.mark.long
def test_an_export_that_is_running_is_no_leftover_and_forget_says_so(tables: Dataset) -> None:
    from quivo_frames.storage.atomic import Workspace, exclusive_workspace

    folder = tables.folder.parent
    tables.export("csv", folder / "csv")
    with exclusive_workspace(folder / "csv") as workspace:
        workspace.new.mkdir()
        assert Workspace.of(folder / "csv") == workspace
        assert check(tables.folder).flaws.is_empty()
        command = ["forget", str(GONE), "--archive", str(folder / "orders.sqlite"), "--tables", tables.address, "--yes"]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 1
        assert "Another process is writing" in done.output
    assert not forget([GONE], folder / "orders.sqlite", [tables.folder]).left
    assert not files_with(folder, f"{WHO}-{GONE}")


@pytest.mark.long
def test_an_export_of_tables_that_were_replaced_meanwhile_is_not_completed(
    tables: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quivo_frames.errors import DatasetError

    folder, sink = tables.folder.parent, pl.LazyFrame.sink_parquet

    def forget_meanwhile(*given: object, **options: object) -> object:
        monkeypatch.undo()
        forget([GONE], folder / "orders.sqlite", [tables.folder])
        return sink(*given, **options)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", forget_meanwhile)
    with pytest.raises(DatasetError, match="was rebuilt while it was exported"):
        tables.export("duckdb", folder / "x.duckdb")
    assert not files_with(folder, f"{WHO}-{GONE}")
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
