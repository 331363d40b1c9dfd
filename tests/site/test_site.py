"""The site: made without a warning, every link leads somewhere, nothing from elsewhere, everything public has its place."""

from __future__ import annotations

import os
import re
import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from filelock import FileLock

import quivo_frames
from docs.site.links import find_flaws
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.cli import main
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.messages import NOTES, RULES
from quivo_frames.model.tables import REPORT_TABLES, TABLES
from quivo_frames.nightly.project_file import ProjectAnswers, write_project
from quivo_frames.settings.settings import Settings
from tests.support.paths import ROOT
from tests.support.real_browser import needs_browser, open_browser

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = ROOT / ".venv-docs" / "bin" / "python"
SERIOUS = ("serious", "critical")
LOOKED_AT = (
    "start.html", "tutorials/01-quickstart.html", "reference/dictionary.html", "reference/commands/build.html",
    "reference/api/class-Dataset.html",
)  # fmt: skip
IS_TOO_WIDE = (
    "[document.documentElement, document.querySelector('.content')].some(one => one.scrollWidth > one.clientWidth)"
)
CONTRACTS = TABLES | DERIVED_TABLES | REPORT_TABLES


class Anchors(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids |= {values["id"]} if values.get("id") else set()
        self.links |= {values["href"]} if tag == "a" and values.get("href") else set()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` makes it, once for all processes that run tests."""
    if not PYTHON.exists():
        pytest.skip("There is no .venv-docs: make .venv-docs/.made")
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the folder above is that of all processes of this run
        folder = folder.parent
    with FileLock(folder / "site.lock"):
        if not (folder / "site.log").exists():
            done = subprocess.run(
                [PYTHON, "-m", "docs.site", folder / "site"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
            )
            (folder / "site.log").write_text(f"{done.returncode}\n{done.stdout}{done.stderr}", encoding="utf-8")
    return folder / "site"


def anchors(site: Path, page: str) -> Anchors:
    return Anchors((site / page).read_text(encoding="utf-8"))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_site_is_made_without_a_warning_or_a_broken_link(site: Path) -> None:
    log = site.with_suffix(".log").read_text(encoding="utf-8")
    assert log.startswith("0\n"), log
    assert not re.search("warning|error", log, re.IGNORECASE), log
    assert find_flaws(site) == []


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_public_name_command_option_table_column_check_and_figure_has_a_place(site: Path) -> None:
    for name in quivo_frames.__all__:
        file = name if name.islower() else f"class-{name}"
        assert f"quivo_frames.{name}" in anchors(site, f"reference/api/{file}.html").ids
    for name, command in main.commands.items():
        page = anchors(site, f"reference/commands/{name}.html")
        options = [param.opts[0] for param in command.params if param.opts[0].startswith("-") and not param.hidden]
        assert [
            option for option in options if f"cmdoption-quivo-frames-{name}-{option.lstrip('-')}" not in page.ids
        ] == []
    dictionary, diagram = anchors(site, "reference/dictionary.html").ids, anchors(site, "reference/erd.html").links
    for table in CONTRACTS.values():
        assert table.name.replace("_", "-") in dictionary
        columns = [f"{table.name}.{column.name}" for column in table.columns]
        assert [column for column in columns if column not in dictionary] == []
        if table.name not in REPORT_TABLES:
            assert [column for column in columns if f"dictionary.html#{column}" not in diagram] == []
    for page, names in {"checks": CHECKS, "kpis": KPIS, "messages": RULES | NOTES}.items():
        known = anchors(site, f"reference/{page}.html").ids
        assert [name for name in names if name.replace("_", "-") not in known] == []


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_setting_is_described(site: Path, tmp_path: Path) -> None:
    text = re.sub("<[^>]+>", "", (site / "reference" / "configuration.html").read_text(encoding="utf-8"))
    write_project(tmp_path / "quivo.toml", ProjectAnswers(exports=("csv",)))
    written = (tmp_path / "quivo.toml").read_text(encoding="utf-8")
    keys = set(re.findall(r"^(?:# )?(\w+) = ", written, re.MULTILINE))
    assert len(keys) > 10
    variables = {f"QUIVO_{name.upper()}" for name in Settings.model_fields}
    others = {"QUIVO_PSEUDONYM_KEY", "QUIVO_MAX_ORDER_MIB", "QUIVO_FRAMES_CORE", "QUIVO_DEBUG"}
    assert [name for name in keys | variables | others if name not in text.split()] == []


@pytest.mark.long
@pytest.mark.timeout(900)
def test_examples_of_commands_are_code(site: Path) -> None:
    page = (site / "reference" / "commands" / "build.html").read_text(encoding="utf-8")
    assert "Example:" not in page
    examples = re.sub("<[^>]+>", "", "".join(re.findall(r"<pre>.*?</pre>", page, re.DOTALL)))
    assert "$ quivo-frames build orders.sqlite --out tables-in-june --as-of 2026-06-30 --privacy none" in examples


@pytest.mark.long
@pytest.mark.timeout(900)
@needs_browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_pages_can_be_read_by_everybody_and_load_nothing_from_elsewhere(site: Path, width: int, scheme: Any) -> None:
    found, asked = [], []
    with open_browser() as browser:
        page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: found.append(str(error)))
        for name in LOOKED_AT:
            page.goto((site / name).as_uri())
            violations = (one for one in Axe().run(page).response["violations"] if one["impact"] in SERIOUS)
            found += [(name, one["id"], [node["html"][:150] for node in one["nodes"][:3]]) for one in violations]
        for path in site.glob("*/*.html"):
            page.goto(path.as_uri())
            if page.evaluate(IS_TOO_WIDE):
                found.append(f"{path.name} is wider than the window")
    assert found == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert len(asked) > len(LOOKED_AT)


@pytest.mark.long
@pytest.mark.timeout(900)
@needs_browser
def test_words_find_columns_in_the_dictionary_and_pages_in_the_search(site: Path) -> None:
    with open_browser() as browser:
        page = browser.new_page()
        page.goto((site / "reference" / "dictionary.html").as_uri())
        page.get_by_label("Find a column").fill("shipments delivery date")
        shown = page.locator("article td span[id*='.']:visible").evaluate_all("all => all.map(one => one.id)")
        assert {"shipments.delivery_date", "shipments.expected_delivery_date"} <= set(shown)
        assert len(shown) < 20
        assert page.get_by_role("status").inner_text().startswith(f"{len(shown)} of ")
        page.get_by_label("Find a column").fill("")
        assert page.locator("article td span[id*='.']:visible").count() == sum(
            len(t.columns) for t in CONTRACTS.values()
        )
        page.goto((site / "search.html").as_uri() + "?q=pseudonym")
        page.get_by_role("link", name="Personal data").first.wait_for()


def test_links_that_lead_nowhere_and_things_from_elsewhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "assets.css").write_text("@import '//fonts.example/x.css'; a { background: url(here.png) }")
    (tmp_path / "other.html").write_text('<h1 id="there">There</h1>')
    (tmp_path / "page.html").write_text(
        '<link rel="stylesheet" href="assets.css"><script src="https://cdn.example/a.js"></script><img src="gone.png">'
        '<a href="other.html#there">fine</a><a href="other.html#nowhere">no</a><a href="gone.html">no</a>'
        '<a href="#here">no</a><a href="https://example.com/elsewhere">fine</a><svg><a href="other.html#x">no</a></svg>'
    )
    assert find_flaws(tmp_path) == [
        "page.html loads https://cdn.example/a.js from elsewhere",
        "page.html loads gone.png, which is not there",
        "page.html leads to other.html#nowhere, where there is no such place",
        "page.html leads to gone.html, which is not there",
        "page.html leads to #here, where there is no such place",
        "page.html leads to other.html#x, where there is no such place",
        "assets.css loads //fonts.example/x.css from elsewhere",
    ]
