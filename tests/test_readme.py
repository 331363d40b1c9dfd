"""The README: its commands and its code run as they stand, and its table of tables is the catalogue's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from quivo_frames.standin.server import StandIn
from schemas.generator.pages import render_table_overview
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def surroundings(tmp_path: Path):
    with StandIn(orders=30) as api:
        yield {
            "cwd": tmp_path,
            "env": {
                **os.environ,
                "QUIVO_BASE_URL": api.base_url,
                "QUIVO_API_KEY": api.api_key,
                "QUIVO_USERNAME": api.username,
                "QUIVO_PASSWORD": api.password,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
        }


def test_the_python_of_the_readme_runs_from_top_to_bottom(surroundings) -> None:
    code = "\n".join(blocks("python"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **surroundings)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Run 1: (\d+) orders in .* s: \1 fetched", done.stdout)
    assert (surroundings["cwd"] / "tables" / "shipments.parquet").exists()


@pytest.mark.long
def test_the_commands_of_the_readme_run_one_after_another(surroundings) -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("quivo-frames")]
    assert len(commands) == 16
    for command in commands:
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, **surroundings)
        fine = {0, 1} if command.startswith("quivo-frames audit") else {0}  # 1: it found something
        assert done.returncode in fine, (command, done.stderr)
        assert "Traceback" not in done.stderr


def test_the_readme_lists_the_tables_of_the_catalogue() -> None:
    shown = re.search(r"<!-- tables: .*? -->\n(.*?)<!-- /tables -->", README, re.DOTALL)
    assert shown, "the marks around the table are gone"
    assert shown[1].strip() == render_table_overview(), "put describing.overview() between the marks of README.md"


def test_every_file_that_the_readme_names_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
