"""The README and the pages of docs/: commands and code run as written, tables, links and versions are up to date."""

from __future__ import annotations

import os
import re
import shutil
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

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
FROM_NOTHING = ("README.md", "docs/refetching.md")
"""Pages that begin in an empty folder; those of the others begin with an archive and tables."""
RUN_COMMANDS = {
    "README.md": 6, "docs/answers.md": 8, "docs/clusters.md": 2, "docs/dbt.md": 1, "docs/every-night.md": 5, "docs/exports.md": 5,
    "docs/personal-data.md": 1, "docs/power-bi.md": 1, "docs/refetching.md": 7,
}  # fmt: skip
"""How many commands of each page are run."""
IMPORTS = """
import polars as pl
import quivo_frames as qf
tables = qf.open("tables")
"""


def code_blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def commands_of(page: str) -> list[str]:
    return [line for block in code_blocks(page, "sh") for line in block.splitlines() if line.startswith("quivo-frames")]


@pytest.fixture(scope="module")
def api():
    with StandIn(orders=120) as api:
        yield api


@pytest.fixture(scope="module")
def environment(api: StandIn) -> dict[str, str]:
    credentials = {name: getattr(api, name) for name in ("base_url", "api_key", "username", "password")}
    return {
        **os.environ,
        **{f"QUIVO_{name.upper()}": value for name, value in credentials.items()},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.fixture(scope="module")
def worked_in(tmp_path_factory: pytest.TempPathFactory, api: StandIn, environment: dict[str, str]) -> Path:
    """A folder after the first pages: with an archive of all orders, and tables."""
    folder = tmp_path_factory.mktemp("worked")
    ids = " ".join(map(str, api.order_ids))
    for command in (f"quivo-frames refetch --yes {ids}", "quivo-frames build orders.sqlite --out tables"):
        subprocess.run(["bash", "-c", command], cwd=folder, env=environment, check=True, capture_output=True)
    return folder


@pytest.fixture
def run_options(tmp_path: Path, environment: dict[str, str], request: pytest.FixtureRequest):
    """Where the code of a page runs, and with which environment."""
    page = request.getfixturevalue("page")
    if page not in FROM_NOTHING:
        shutil.copytree(request.getfixturevalue("worked_in"), tmp_path / "folder")
    (tmp_path / "folder").mkdir(exist_ok=True)
    return {"cwd": tmp_path / "folder", "env": environment, "capture_output": True, "text": True}


def test_every_command_of_the_pages_is_run() -> None:
    assert {page: count for page in PAGES if (count := len(commands_of(page)))} == RUN_COMMANDS


@pytest.mark.long
@pytest.mark.parametrize("page", list(PAGES))
def test_the_code_of_a_page_runs_from_top_to_bottom(page: str, run_options) -> None:
    for command in commands_of(page):
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], check=False, **run_options)
        # 1: an audit found something, or something still holds what is to be forgotten, as the raw export here does
        fine = {0, 1} if command.startswith(MAY_FIND) else {0}
        assert done.returncode in fine, (command, done.stderr)
        assert "Traceback" not in done.stderr
    code = "\n".join(code_blocks(page, "python"))
    imports = "" if page in FROM_NOTHING else IMPORTS
    done = subprocess.run([sys.executable, "-c", imports + code], check=False, **run_options)
    assert done.returncode == 0, done.stderr
    if page == "docs/refetching.md":
        assert re.search(r"Run 2: (\d+) orders in .* s: \1 fetched", done.stdout)
    assert "shape: (0, " not in done.stdout, "an example finds nothing"


MAY_FIND = tuple(f"quivo-frames {name}" for name in ("audit", "forget", "sync", "report"))


def test_the_searches_that_are_shown_find_orders_of_the_stand_in() -> None:
    shown = PAGES["docs/refetching.md"] + (ROOT / "quivo_frames" / "cli" / "fetch_commands.py").read_text(
        encoding="utf-8"
    )
    searches = set(re.findall(r"find '([^']+)'(?: --since (\d{4}-\d\d-\d\d))?", shown))
    assert len(searches) == 4
    with StandIn() as api:
        names = ("api_key", "username", "password", "base_url")
        client = Client(Settings.load(**{name: getattr(api, name) for name in names}))
        for query, since in searches:
            assert any(client.find(query, since=datetime.fromisoformat(since) if since else None)), query


def test_the_pages_list_the_tables_of_the_catalogue() -> None:
    shown = re.search(r"<!-- tables: .*? -->\n(.*?)<!-- /tables -->", PAGES["docs/tables.md"], re.DOTALL)
    assert shown, "the marks around the table are gone"
    assert shown[1].strip() == render_table_overview(), (
        "put render_table_overview() between the marks of docs/tables.md"
    )
    derived = re.search(r"<!-- derived: .*? -->\n(.*?)<!-- /derived -->", PAGES["docs/tables.md"], re.DOTALL)
    assert derived[1].strip() == render_derived_overview(), "put render_derived_overview() there as well"


LINKING_PAGES = [
    *PAGES, "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "tests/flattening/cases/README.md",
    *(f"schemas/{path.name}" for path in sorted((ROOT / "schemas").glob("*.md"))),
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs" / "site" / "pages").rglob("*.md"))),
]  # fmt: skip
MADE_WITH_THE_SITE = re.compile(
    r"docs/site/pages/(?:start|(?:tutorials|how-to|reference|explanation|project)/[\w-]+)\.md"
)


def heading_anchors(path: Path) -> set[str]:
    """The anchors of a page as GitHub makes them of its headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKING_PAGES)
def test_every_file_and_heading_that_a_page_links_to_is_there(page: str) -> None:
    path = ROOT / page
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        file = path.parent / target if target else path
        name = os.path.relpath(file, ROOT)
        if page.startswith("docs/site/") and MADE_WITH_THE_SITE.fullmatch(name):
            continue  # a page of the site alone, whose links are checked where it is made
        assert file.exists(), target
        assert not anchor or anchor in heading_anchors(file), f"{target}#{anchor}"


def test_the_readme_is_three_screens_and_leads_to_every_page() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 120
    for page in PAGES:
        assert page == "README.md" or f"]({page}" in PAGES["README.md"], page


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
    assert (citation["version"], citation["license"]) == (project["version"], project["license"].split(" AND ")[0])
    assert citation["repository-code"] == project["urls"]["Source"]
    assert citation["abstract"] == project["description"]
    assert citation["authors"] == project["authors"]
    workflow, wheels = (
        yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
        for name in ("ci", "wheels")
    )
    versions = workflow["jobs"]["quick"]["strategy"]["matrix"]["python"]
    assert [f"Programming Language :: Python :: {version}" for version in versions] == [
        name for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)
    ]
    assert project["requires-python"] == f">={versions[0]}"
    pinned = re.search(r"uv==[\d.]+", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert pinned
    assert pinned[0] in str(workflow)
    assert pinned[0] in str(wheels)


def test_there_is_a_machine_for_every_platform_of_which_a_wheel_is_made() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "wheels.yml").read_text(encoding="utf-8"))
    machines = workflow["jobs"]["wheels"]["strategy"]["matrix"]["include"]
    names = {"linux": "ubuntu", "macos": "macos", "windows": "windows"}
    made = {(names[system], arch) for system in names for arch in tool[system]["archs"]}
    assert {(machine["os"].split("-")[0], machine["arch"]) for machine in machines} == made
