"""`quivo-frames columns`, `checks` and `kpis --definitions`: what they say, with tables and without."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from click.testing import CliRunner, Result

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.cli import main
from quivo_frames.standin.orders import write_ndjson
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

Run = "Callable[..., Result]"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("definitions")
    write_ndjson(folder / "orders.ndjson", 60)
    qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in an empty folder, or in another one."""

    def run(*words: str, folder: Path = tmp_path, width: int = 100) -> Result:
        monkeypatch.chdir(folder)
        return CliRunner().invoke(main, words, env={"COLUMNS": str(width)})

    return run


def test_all_tables_are_listed_with_their_rows_where_there_are_some(run: Run, built: Path) -> None:
    counts = qf.open(built / "tables").counts()
    facts = json.loads(run("columns", "--json", folder=built).stdout)
    assert {fact["table"]: fact["rows"] for fact in facts} == counts
    without = json.loads(run("columns", "--json").stdout)
    assert [fact["table"] for fact in without] == list(counts)
    assert {fact["rows"] for fact in without} == {None}
    assert {fact["columns"] for fact in facts if fact["table"] == "shipments"} == {
        len(qf.open(built / "tables").shipments.columns)
    }
    printed = run("columns", folder=built).stdout
    assert all(re.search(rf"^{name} .* {count:,}$", printed, re.MULTILINE) for name, count in counts.items())


@pytest.mark.parametrize("table", ["orders", "shipments", "tracking_numbers", "lines", "overview", "notes"])
def test_columns_tell_how_far_they_are_filled_and_which_codes_occur(run: Run, built: Path, table: str) -> None:
    rows = pl.read_parquet(qf.open(built / "tables").files(table))
    facts = {fact["column"]: fact for fact in json.loads(run("columns", table, "--json", folder=built).stdout)}
    assert list(facts) == rows.columns
    for name, fact in facts.items():
        assert fact["rows"] == rows.height
        if fact["filled"] is not None:
            assert fact["filled"] == rows[name].count(), name
        if fact["codes"]:
            counts = dict(rows[name].drop_nulls().value_counts().iter_rows())
            assert fact["codes"] == counts, name
    if table == "shipments":
        assert set(facts["length_unit"]["codes"]) == {"M", "CM"}
        assert facts["tracking_number"]["privacy"] == "personal"


def test_the_columns_of_a_table_are_explained_without_tables(run: Run) -> None:
    done = run("columns", "shipments", width=200)
    assert done.exit_code == 0
    assert done.stdout.startswith("shipments: one row per shipment of a fulfillment order.")
    line = next(line for line in done.stdout.splitlines() if line.startswith("ship_date"))
    assert line.split()[:3] == ["ship_date", "Datetime", "–"]


@pytest.mark.parametrize(
    "words", [("columns", "orderz"), ("checks", "shorts"), ("kpis", "--definitions", "--only", "x")]
)
def test_an_unknown_name_is_told_with_the_known_ones(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert re.match(r"quivo-frames: There is no (table|check|KPI) '\w+'\. The \w+ are: \w+, ", done.stderr)


def test_every_check_and_threshold_is_listed(run: Run) -> None:
    printed = run("checks", width=200).stdout
    assert all(
        re.search(rf"^{name} .*{re.escape(check.title)}", printed, re.MULTILINE) for name, check in CHECKS.items()
    )
    assert re.search(r"^pod_days +7 +A delivery should be proven", printed, re.MULTILINE)


@pytest.mark.parametrize("name", ["pod_missing", "short_shipped", "sscc_check_digit"])
def test_a_check_is_defined_as_in_the_package(run: Run, built: Path, name: str) -> None:
    printed = " ".join(run("checks", name, folder=built).stdout.split())
    check = CHECKS[name]
    for text in (check.title, check.definition, check.limits, check.reference):
        assert " ".join(text.split()) in printed
    for column in check.needs:
        table, _, column_name = column.partition(".")
        rows = pl.read_parquet(built / "tables" / f"{table}.parquet")[column_name]
        assert f"{column} (filled in {100 * rows.count() / len(rows):.1f} % of the rows)" in printed
    assert "filled in" not in " ".join(run("checks", name).stdout.split()).replace("filled in no row", "")


def test_kpis_are_defined_without_tables(run: Run) -> None:
    printed = " ".join(run("kpis", "--definitions").stdout.split())
    for kpi in KPIS.values():
        assert all(" ".join(text.split()) in printed for text in kpi.definition)
    one = run("kpis", "--definitions", "--only", "fill_rate", "--json")
    assert json.loads(one.stdout) == [{"kpi": "fill_rate", **KPIS["fill_rate"].definition._asdict()}]


# What users read leads to what they have


_OF_THE_REPOSITORY = re.compile(r"\b(?:schemas|docs|tests|notebooks|data)/|\b[\w-]+\.md\b|README")


@pytest.mark.parametrize("command", [None, *sorted(main.commands)])
def test_no_help_text_points_to_files_of_the_repository(command: str | None) -> None:
    shown = CliRunner().invoke(main, [*([command] if command else []), "--help"]).stdout
    assert not _OF_THE_REPOSITORY.findall(shown)


def texts_of(path: Path) -> list[str]:
    """The texts in the code of a module, without the docstrings of modules, which users do not see."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {id(tree.body[0].value)} if tree.body and isinstance(tree.body[0], ast.Expr) else set()
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in own]
    return [node.value for node in constants if isinstance(node.value, str)]


@pytest.mark.long
def test_no_text_of_the_package_points_to_files_of_the_repository() -> None:
    for path in sorted((ROOT / "quivo_frames").rglob("*.py")):
        for text in texts_of(path):
            assert not _OF_THE_REPOSITORY.search(re.sub(r"\w+://\S+", "", text)), (path, text)
