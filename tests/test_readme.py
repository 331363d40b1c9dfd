"""The README and its neighbours: commands and code run as written, tables, links and versions are up to date."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from quivo_frames.fetch.client import Client
from quivo_frames.settings.settings import Settings
from quivo_frames.standin.server import StandIn
from schemas.generator.pages import render_derived_overview, render_table_overview
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def run_options(tmp_path: Path):
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


@pytest.mark.long
def test_the_python_of_the_readme_runs_from_top_to_bottom(run_options) -> None:
    code = "\n".join(code_blocks("python"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **run_options)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Run 1: (\d+) orders in .* s: \1 fetched", done.stdout)
    assert (run_options["cwd"] / "tables" / "shipments.parquet").exists()


@pytest.mark.long
def test_the_commands_of_the_readme_run_one_after_another(run_options) -> None:
    commands = [line for block in code_blocks("sh") for line in block.splitlines() if line.startswith("quivo-frames")]
    assert len(commands) == 19
    for command in commands:
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, **run_options)
        # 1: an audit found something, or something still holds what is to be forgotten, as the raw export here does
        fine = {0, 1} if command.startswith(("quivo-frames audit", "quivo-frames forget")) else {0}
        assert done.returncode in fine, (command, done.stderr)
        assert "Traceback" not in done.stderr


def test_the_searches_that_are_shown_find_orders_of_the_stand_in() -> None:
    shown = README + (ROOT / "quivo_frames" / "cli" / "fetch_commands.py").read_text(encoding="utf-8")
    searches = set(re.findall(r"find '([^']+)'(?: --since (\d{4}-\d\d-\d\d))?", shown))
    assert len(searches) == 4
    with StandIn() as api:
        names = ("api_key", "username", "password", "base_url")
        client = Client(Settings.load(**{name: getattr(api, name) for name in names}))
        for query, since in searches:
            assert any(client.find(query, since=datetime.fromisoformat(since) if since else None)), query


def test_the_readme_lists_the_tables_of_the_catalogue() -> None:
    shown = re.search(r"<!-- tables: .*? -->\n(.*?)<!-- /tables -->", README, re.DOTALL)
    assert shown, "the marks around the table are gone"
    assert shown[1].strip() == render_table_overview(), "put render_table_overview() between the marks of README.md"
    derived = re.search(r"<!-- derived: .*? -->\n(.*?)<!-- /derived -->", README, re.DOTALL)
    assert derived[1].strip() == render_derived_overview(), "put render_derived_overview() there as well"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_file_that_a_page_links_to_is_there(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_the_page_for_contributors_describes_every_room_and_names_files_that_are_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in (ROOT / "quivo_frames").iterdir():
        if path.is_dir() and path.name != "__pycache__":
            assert f"| `{path.name}/`" in page, path
    for name in re.findall(r"`((?:tests|analysis|export|model|cli|schemas)/[\w/.]*)`", page):
        assert (ROOT / name).exists() or (ROOT / "quivo_frames" / name).exists(), name


def test_citation_classifiers_and_workflow_say_the_same_as_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert citation["abstract"] == project["description"]
    assert citation["authors"] == project["authors"]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    versions = workflow["jobs"]["quick"]["strategy"]["matrix"]["python"]
    assert [f"Programming Language :: Python :: {version}" for version in versions] == [
        name for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)
    ]
    assert project["requires-python"] == f">={versions[0]}"
    pinned = re.search(r"uv==[\d.]+", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert pinned
    assert pinned[0] in str(workflow)
