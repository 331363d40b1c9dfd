"""Commands work on the places of quivo.toml in the working folder, else on the usual names; given ones come first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from click.testing import CliRunner, Result

import quivo_frames as qf
from quivo_frames.cli import default_places, main
from quivo_frames.dataset.manifest import MANIFEST
from quivo_frames.settings.project import PROJECT_FILE
from tests.support.archived_orders import NOON, record_answers
from tests.support.fair_order import changed_order

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = """
archive = "answers.sqlite"
tables = "built"

[build]
privacy = "none"

[audit]
limits = "limits.toml"
accepted = "agreed.toml"

[report]
file = "page.html"
on_time_against = "latest_ship_date"
"""
Run = "Callable[..., Result]"
READING = {
    "tables": (
        "audit", "kpis", "lines", "report", "show 1001", "export --to csv out", "export --check excel",
    ),
    "archive": ("build", "status", "changes", "history 1001", "export-raw raw", "check", "forget 1001 --yes"),
}  # fmt: skip
"""Commands without any place, by what they read."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("archive") / "orders.sqlite"
    with qf.Archive(file) as opened:
        late = {order_id: changed_order({"latestDeliveryDate": "2026-09-03"}, order_id) for order_id in (1001, 1002)}
        record_answers(opened, {order_id: json.dumps(order).encode() for order_id, order in late.items()}, NOON)
    return file


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda words: CliRunner().invoke(main, words.split())


def test_the_file_of_tables_is_the_one_that_is_written() -> None:
    assert (default_places.MANIFEST, default_places.PROJECT_FILE) == (MANIFEST, PROJECT_FILE)


@pytest.mark.long
def test_every_command_that_reads_a_place_finds_it_by_itself(run: Run, archive: Path) -> None:
    """After a refetch: each command without the name of any place."""
    shutil.copy(archive, "orders.sqlite")
    built = run("build --jobs 1")
    assert built.exit_code == 0, built.stderr
    assert pl.read_parquet("tables/orders.parquet")["order_id"].to_list() == [1001, 1002]
    for words in (*READING["tables"], *READING["archive"]):
        done = run(words)
        assert done.exit_code in (0, 1), (words, done.output)
        assert done.stdout, words
    assert Path("report.html").exists()
    assert Path("out/orders.csv").exists()
    assert Path("raw").exists()


@pytest.mark.parametrize("words", [*READING["tables"], *READING["archive"]])
def test_with_nothing_there_it_is_said_what_to_run_first(run: Run, tmp_path: Path, words: str) -> None:
    done = run(words)
    of_tables, of_archive = "The folder tables has no tables yet. ", "There is no archive orders.sqlite yet"
    assert done.exit_code == 2
    assert done.stderr.startswith(f"quivo-frames: {of_tables if words in READING['tables'] else of_archive}")
    assert "`quivo-frames refetch` fetches orders" in done.stderr or "refetch orders into it first" in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_to_run_first_depends_on_what_is_there(run: Run, archive: Path) -> None:
    Path("quivo.toml").write_text('tables = "built"\n')
    first = "The folder built has no tables yet. `quivo-frames sync` fetches the orders and makes them."
    assert first in run("kpis").stderr
    shutil.copy(archive, "orders.sqlite")
    assert "The folder built has no tables yet. `quivo-frames build` makes them. Or name other" in run("kpis").stderr


def test_every_command_named_in_what_to_run_first_is_there() -> None:
    assert {"refetch", "build", "init", "sync"} <= set(main.commands)


@pytest.mark.long
def test_the_project_file_names_the_places(run: Run, archive: Path) -> None:
    Path("quivo.toml").write_text(PROJECT)
    Path("limits.toml").write_text("late_hours = 900\n")
    shutil.copy(archive, "answers.sqlite")
    assert run("build --jobs 1").exit_code == 0
    built = qf.open("built")
    assert built.manifest["privacy"]["level"] == "none"
    assert run("status").stdout.startswith("answers.sqlite: ")
    assert run("audit").exit_code == 0  # nothing is late by 900 hours
    assert run("report").stdout.splitlines()[-1] == "Written: page.html"
    assert json.loads(run("kpis --json").stdout)["on_time_against"] == "latest_ship_date"
    assert json.loads(run("check --json").stdout.splitlines()[0])
    assert len(run("check --json").stdout.splitlines()) == 2


@pytest.mark.long
def test_what_is_given_comes_before_the_project_file(run: Run, archive: Path) -> None:
    Path("quivo.toml").write_text(PROJECT)
    Path("limits.toml").write_text("late_hours = 900\n")
    Path("strict.toml").write_text("late_hours = 1\n")
    shutil.copy(archive, "mine.sqlite")
    assert run("build mine.sqlite --out mine --jobs 1").exit_code == 0
    assert qf.open("mine").manifest["privacy"]["level"] == "full"  # what quivo.toml says is about its own tables
    assert run("status --archive mine.sqlite").exit_code == 0
    assert run("audit mine").exit_code == 0
    assert run("audit mine --limits strict.toml").exit_code == 1
    assert run("audit --limits strict.toml").exit_code == 2  # there are no tables of its own
    done = run("show 1001 --from mine")
    assert done.exit_code == 0
    assert run("export mine --to duckdb out.duckdb").exit_code == 0
    assert run("check mine").exit_code == 0


@pytest.mark.long
def test_accepted_findings_go_into_the_file_that_the_audit_reads(run: Run, archive: Path) -> None:
    Path("quivo.toml").write_text('[audit]\naccepted = "agreed.toml"\n')
    shutil.copy(archive, "orders.sqlite")
    run("build --jobs 1")
    assert run("audit").exit_code == 1
    accepted = run("accept delivered_late:1001/0/0 delivered_late:1002/0/0 --until 2099-01-01 --because agreed")
    assert accepted.stdout == "2 findings accepted until 2099-01-01; agreed.toml has 2.\n"
    done = run("audit")
    assert done.exit_code == 0
    assert "2 accepted" in done.stdout


@pytest.mark.long
def test_one_name_of_an_export_is_its_target_and_two_are_tables_and_target(run: Run, archive: Path) -> None:
    qf.build(archive, "tables", jobs=1, progress=False)
    qf.build(archive, "others", jobs=1, progress=False)
    assert run("export --to csv one").exit_code == 0
    assert run("export others --to csv two").exit_code == 0
    assert run("export --to csv others three").exit_code == 0
    assert Path("one/orders.csv").read_bytes() == Path("two/orders.csv").read_bytes()
    before = sorted(path.name for path in Path("tables").iterdir())
    done = run("export tables --to csv")  # the target was forgotten
    assert done.exit_code == 2
    assert sorted(path.name for path in Path("tables").iterdir()) == before


def test_to_forget_reaches_the_archive_and_the_tables_of_the_folder(run: Run, archive: Path) -> None:
    shutil.copy(archive, "orders.sqlite")
    shutil.copy(archive, "other.sqlite")
    run("build --jobs 1")
    refused = run("forget 1001")
    assert "This erases 1 order for good, from orders.sqlite and tables: give --yes" in refused.stderr
    assert run("forget 1001 --yes").exit_code in (0, 1)
    assert qf.open("tables").orders["order_id"].to_list() == [1002]
    assert [answer.order_id for answer in qf.Archive("orders.sqlite").responses()] == [1002]
    run("forget 1002 --yes --archive other.sqlite")  # as ever: tables only if they are named
    assert qf.open("tables").orders["order_id"].to_list() == [1002]


@pytest.mark.long
def test_to_forget_in_a_folder_with_tables_alone_needs_no_archive(run: Run, archive: Path) -> None:
    qf.build(archive, "tables", jobs=1, progress=False)
    done = run("forget 1001 --yes")
    assert done.exit_code in (0, 1), done.stderr
    assert qf.open("tables").orders["order_id"].to_list() == [1002]
    assert not Path("orders.sqlite").exists()


def test_the_help_says_what_is_used_by_default() -> None:
    for name, words in {
        "kpis": "TABLES is the folder or the address of the tables, by default tables, or what quivo.toml in this folder",
        "show": "[default: tables, or what quivo.toml in this folder names]",
        "status": "[default: orders.sqlite, or what quivo.toml names]",
        "refetch": "[default: orders.sqlite, or what quivo.toml names]",
        "report": "OUT is report.html by default, or what quivo.toml names.",
        "accept": "[default: accepted-findings.toml, or what quivo.toml names]",
        "build": "[default: tables, or what quivo.toml names]",
    }.items():
        shown = " ".join(CliRunner().invoke(main, [name, "--help"]).stdout.split())
        assert words in shown, name


def test_a_damaged_project_file_is_told_by_every_command_that_needs_it(run: Run) -> None:
    Path("quivo.toml").write_text("archive = 1\n")
    for words in ("status", "kpis", "refetch 1", "accept short_shipped:1/0 --until 2099-01-01 --because x"):
        done = run(words)
        assert done.exit_code == 2, words
        assert done.stderr.startswith("quivo-frames: quivo.toml"), done.stderr
