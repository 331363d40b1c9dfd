"""What the exports to CSV, DuckDB and Excel have in common: a target is replaced as a whole, or stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export.formats import ExportFormat
from tests.support.round_trips import export_orders

LOCAL_FORMATS = ["csv", "duckdb", "excel", "ocel", "powerbi"]


def files_below(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in ([path] if path.is_file() else path.iterdir())}


@pytest.mark.long
@pytest.mark.parametrize(
    ("form", "limit"),
    [
        ("csv", 20_000), ("duckdb", 5_000), ("duckdb", 300_000),
        ("excel", 2_000), ("excel", 40_000), ("excel", 60_000), ("excel", 100_000),
    ],
)  # fmt: skip
def test_a_full_disk_is_reported_and_leaves_what_was_there(
    dataset: Dataset, tmp_path: Path, form: str, limit: int
) -> None:
    dataset.export(form, tmp_path / "all" / "out")
    assert limit < max(len(content) for content in files_below(tmp_path / "all" / "out").values())
    out = tmp_path / "new" / "out"
    export_orders([b'{"orderId":1,"tags":["a"]}'], ExportFormat(form), out)
    before = files_below(out)
    code = f"""
import resource, signal
import quivo_frames as qf
from quivo_frames.export.formats import load_writer_module
load_writer_module({form!r})
tables = qf.open({str(dataset.folder)!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    tables.export({form!r}, {str(out)!r})
except qf.QuivoError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("ExportError The tables cannot be written to"), done.stderr
    assert done.stderr == ""
    assert files_below(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("form", LOCAL_FORMATS)
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_reported(dataset: Dataset, tmp_path: Path, form: str) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ExportError, match="Permission denied"):
        dataset.export(form, tmp_path / "out")


@pytest.mark.parametrize("form", LOCAL_FORMATS)
def test_a_place_that_cannot_be_written_is_reported(dataset: Dataset, tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="file is a file, not a folder"):
        dataset.export(form, tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("form", LOCAL_FORMATS)
def test_by_month_is_for_parquet_alone(dataset: Dataset, tmp_path: Path, form: str) -> None:
    with pytest.raises(ConfigError, match="Only parquet exports can be written by month"):
        dataset.export(form, tmp_path / "out", by_month=True)
    assert not list(tmp_path.iterdir())


def test_a_format_that_does_not_exist_is_named_with_those_that_do(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"no export format 'xml'\. The formats are: parquet, delta, duckdb, excel, csv, ocel, ducklake, powerbi",
    ):
        dataset.export("xml", tmp_path / "out")
