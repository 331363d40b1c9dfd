"""No CSV that a command writes holds a text that a spreadsheet would run as a formula."""

from __future__ import annotations

import ast
import csv
import re
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from quivo_frames.cli import main
from tests.support.paths import ROOT
from tests.support.working_commands import (
    IDS,
    WORKING_COMMANDS,
    WorkingCommand,
    environment_of,
    make_hostile_folder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FORMULA = '=HYPERLINK("http://x.example","a")'
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
CSV_COMMANDS = [
    (name, case)
    for name, cases in WORKING_COMMANDS.items()
    for case in cases
    if any(word == "csv" or word.endswith(".csv") for word in case.arguments) and case.status < 2 and name != "refetch"
]
"""Commands that write CSV; refetch reads it."""


@pytest.fixture(scope="module")
def formulas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formulas")
    make_hostile_folder(folder, value=FORMULA)
    return folder


@pytest.fixture
def run(formulas: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command in a copy of the folder, and returns what it printed."""

    def run(name: str, arguments: Sequence[str], status: int) -> str:
        monkeypatch.chdir(shutil.copytree(formulas, tmp_path / "work"))
        with environment_of(WorkingCommand(())) as environment:
            ended = CliRunner().invoke(main, [name, *arguments], env=environment)
        assert ended.exit_code == status, ended.output
        return ended.stdout

    return run


def cells_of(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8") as stream:
        return [cell for row in csv.reader(stream) for cell in row]


@pytest.mark.long
@pytest.mark.parametrize(("name", "case"), CSV_COMMANDS, ids=[name for name, _ in CSV_COMMANDS])
def test_no_cell_of_a_written_csv_file_is_a_formula(
    name: str, case: WorkingCommand, run: Callable[..., str], tmp_path: Path
) -> None:
    printed = run(name, case.arguments, case.status)
    cells = [
        cell
        for file in tmp_path.rglob("work/**/*.csv")
        if file.is_file() and file.name != IDS
        for cell in cells_of(file)
    ]
    assert any(FORMULA in cell for cell in cells)
    assert [cell for cell in cells if cell.startswith(FORMULA_STARTS)] == []
    if any(cell.startswith(f"'{FORMULA}") for cell in cells) and "--json" not in case.arguments:
        assert re.search(r"[0-9]+ texts that begin with one of = \+ - @ ", printed)


@pytest.mark.long
@pytest.mark.parametrize(("name", "case"), CSV_COMMANDS, ids=[name for name, _ in CSV_COMMANDS])
def test_no_cell_of_a_written_workbook_is_a_formula(
    name: str, case: WorkingCommand, run: Callable[..., str], tmp_path: Path
) -> None:
    words = ["excel" if word == "csv" else word for word in case.arguments]
    words = [
        re.sub(r"^(c.*)$|^(.*)\.csv$", lambda found: f"{found[1] or found[2]}.xlsx", word, flags=re.DOTALL)
        for word in words
    ]
    run(name, words, case.status)
    (workbook,) = tmp_path.rglob("work/*.xlsx")
    with zipfile.ZipFile(workbook) as parts:
        sheets = [parts.read(part).decode() for part in parts.namelist() if "worksheets/" in part]
    assert sheets
    ours = re.compile(  # the sheet of key figures: over tables of the workbook, and cells of its own
        r'IFERROR\((SUBTOTAL\(\d+,\w+\[\w+\]\)(/MIN\(1,SUBTOTAL\(\d+,\w+\[\w+\]\)\))?|_xlfn\.AGGREGATE\(16,5,\w+\[\w+\],[\d.]+\)|\$C\$\d+([/-]\$C\$\d+)*),""\)'
    )
    formulas = [formula for sheet in sheets for formula in re.findall(r"<f[ >](.*?)</f>", sheet, re.DOTALL)]
    assert not [formula for formula in formulas if not ours.fullmatch(formula)]


def test_every_command_with_an_output_file_is_tried() -> None:
    for name, command in main.commands.items():
        if any("csv" in (getattr(option, "help", None) or "") for option in command.params if option.name == "out"):
            assert name in dict(CSV_COMMANDS), name


@pytest.mark.long
def test_csv_is_written_in_one_place() -> None:
    writers = {"write_csv", "sink_csv"}
    writing = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "quivo_frames").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and (node.attr in writers or ast.unparse(node) in ("csv.writer", "csv.DictWriter"))
    }
    digest = "quivo_frames/archive/raw_export/index.py"  # of rows, in memory
    assert writing == {"quivo_frames/export/csv.py", digest}
