"""The wheel without any extra, in `.venv-plain`: it does all of the core, and says what the rest needs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import polars as pl
import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, record_answers
from tests.support.paths import ROOT

PYTHON = ROOT / ".venv-plain" / "bin" / "python"
MAX_MEGABYTES = 240
"""Of everything that is installed, beside pip."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PYTHON.exists(), reason="There is no .venv-plain: make .venv-plain/.made"),
]


def run_python(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("QUIVO_", "PYTHON"))}
    return subprocess.run(
        [PYTHON, *arguments], cwd=folder, capture_output=True, text=True, encoding="utf-8", env=settings | env
    )


def run_command(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run_python(folder, "-m", "quivo_frames.cli", *words, **env)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive, and the tables that the wheel built from it."""
    folder = tmp_path_factory.mktemp("plain")
    with Archive(folder / "orders.sqlite") as archive:
        record_answers(archive, {number: order_json(number) for number in range(1, 101)}, NOON)
    (folder / "ids.txt").write_text("17\n")
    done = run_command(folder, "build", "orders.sqlite", "--out", "tables")
    assert (done.returncode, "100 in the tables, 0 failed" in done.stdout + done.stderr) == (0, True)
    return folder


def test_only_the_core_is_installed_and_it_is_small() -> None:
    """Sizes as the disk has them, with the .pyc files that there are."""
    packages = Path(run_python(ROOT, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    blocks = sum(file.lstat().st_blocks for file in packages.rglob("*") if file.suffix != ".pyc")
    assert blocks * 512 / 1e6 < MAX_MEGABYTES
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {re.split(r"[^\w-]", one)[0] for of in project["optional-dependencies"].values() for one in of}
    core = {re.split(r"[^\w.-]", one)[0] for one in project["dependencies"]}
    installed = {re.sub("[-_.]+", "-", file.name.split("-")[0]) for file in packages.glob("*.dist-info")}
    assert not (extras - core - {"quivo-frames"}) & installed


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["find", "--help"], 0),
        (["audit", "tables"], 1),
        (["audit", "tables", "--out", "findings.csv"], 1),
        (["kpis", "tables"], 0),
        (["lines", "tables"], 0),
        (["show", "17"], 0),
        (["export", "tables", "--to", "parquet", "slice", "--ids", "ids.txt"], 0),
        (["changes", "--archive", "orders.sqlite"], 0),
        (["check", "tables"], 0),
        (["check", "orders.sqlite"], 0),
        (["export", "tables", "--to", "parquet", "parquet"], 0),
        (["export", "tables", "--to", "csv", "csv"], 0),
        (["export-raw", "--archive", "orders.sqlite", "raw"], 0),
        (["demo", "--orders", "40"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_core_needs_no_extra(folder: Path, words: list[str], status: int) -> None:
    done = run_command(folder, *words)
    assert done.returncode == status, done.stderr
    assert done.stdout


def test_figures_and_frames_in_python_need_no_extra(folder: Path) -> None:
    code = """
import quivo_frames as qf
tables = qf.open("tables")
for made in (qf.kpis(tables), qf.audit(tables), tables.only([17]), qf.lines(tables), qf.schema("orders"), qf.stuck(tables)):
    assert str(made)
    getattr(made, "_repr_html_", str)()
print(qf.flatten([b'{"orderId": 7}']).orders["order_id"].to_list())
"""
    done = run_python(folder, "-c", code)
    assert done.stdout == "[7]\n", done.stderr


def test_what_the_core_wrote_is_whole(folder: Path) -> None:
    run_command(folder, "export", "tables", "--to", "csv", "whole")
    rows = pl.read_csv(folder / "whole" / "orders.csv", infer_schema=False)["order_id"].to_list()
    assert rows == [str(number) for number in range(1, 101)]


def test_the_demo_without_the_report_says_how_to_get_it(folder: Path) -> None:
    done = run_command(folder, "demo", "--orders", "40", "--out", "other")
    assert "Findings and KPIs need nothing more.\n" in done.stdout
    assert "pip install 'quivo-frames[explorer]'" in done.stdout
    assert "pip install 'quivo-frames[report]'" in done.stdout
    assert not (folder / "other" / "report.html").exists()


MISSING = {
    "report": (["audit", "tables", "--html", "report.html"], {}),
    "report, as a command": (["report", "tables"], {}),
    "explorer": (["explore", "tables"], {}),
    "mcp": (["mcp", "tables"], {}),
    "export": (["export", "tables", "--to", "excel", "orders.xlsx"], {}),
    "export, for Delta": (["export", "tables", "--to", "delta", "delta"], {}),
    "export, for DuckDB": (["export", "tables", "--to", "duckdb", "orders.duckdb"], {}),
    "export, for DuckLake": (["export", "tables", "--to", "ducklake", "lake"], {}),
    "export, to read": (["refetch", "--ids", "ids.xlsx"], {}),
    "export, for findings": (["audit", "tables", "--out", "findings.xlsx"], {}),
    "stores": (["build", "orders.sqlite", "--out", "s3://bucket/tables"], {}),
    "keyring": (["find"], {}),
    "socks": (
        ["find"],
        dict.fromkeys(("QUIVO_API_KEY", "QUIVO_USERNAME", "QUIVO_PASSWORD"), "x") | {"HTTPS_PROXY": "socks5://a.test"},
    ),
    "calendar": (["audit", "tables", "--limits", "limits.toml"], {}),
    "dask": (["build", "orders.sqlite", "--out", "new", "--on", "dask://127.0.0.1:9"], {}),
    "spark": (["build", "orders.sqlite", "--out", "new", "--on", "spark://127.0.0.1:9"], {}),
}  # fmt: skip


@pytest.mark.parametrize("what", MISSING)
def test_a_missing_extra_is_told_with_the_command_before_anything_is_done(folder: Path, what: str) -> None:
    words, env = MISSING[what]
    (folder / "limits.toml").write_text('[calendar]\nholidays = "AT"\n')
    (folder / "ids.xlsx").write_bytes(b"PK\x03\x04")
    before = sorted(path.name for path in folder.iterdir())
    done = run_command(folder, *words, **env)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"pip install 'quivo-frames[{what.split(',')[0]}]'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == before


def test_each_extra_is_told_by_a_sentence_or_is_for_notebooks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {what.split(",")[0] for what in MISSING} | {"lab", "all"} == set(project["optional-dependencies"])


def test_python_says_what_a_report_needs(folder: Path) -> None:
    code = """
import json, quivo_frames as qf
try: qf.report("tables", "report.html")
except qf.ConfigError as error: print(json.dumps(str(error)))
"""
    told = json.loads(run_python(folder, "-c", code).stdout)
    assert told.startswith(
        "The report needs altair and vl-convert-python. Install it: pip install 'quivo-frames[report]'"
    )
