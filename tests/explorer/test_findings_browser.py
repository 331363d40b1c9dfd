"""Findings in a real browser: filter, follow one to its order, accept it; nothing is asked of anybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.accepted import read_accepted
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.explorer.explore import explore
from quivo_frames.standin.orders import write_ndjson
from tests.explorer.visitor import Visitor
from tests.support.real_browser import needs_browser, open_browser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Page

    from quivo_frames.explorer.explore import Explorer

pytestmark = needs_browser

DESK, PHONE = 1280, 390


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    write_ndjson(folder / "orders.ndjson", 300)
    qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)
    return folder


@pytest.fixture(scope="module")
def explorer(folder: Path) -> Iterator[Explorer]:
    with explore(folder / "tables", accepted=folder / "accepted.toml") as explorer:
        Visitor.enter(explorer).read("/")
        yield explorer


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, explorer: Explorer) -> Iterator[Callable[..., Page]]:
    """Opens a page; afterwards there must be no error, and no request to anybody else."""
    host = explorer.address.partition("/enter")[0]
    asked: list[str] = []
    errors: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    def open_page(path: str, width: int = DESK, scheme: Any = "light", *, scripts: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(explorer.address)
        page.goto(host + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in asked if not url.startswith((f"{host}/", "data:,"))] == []


@pytest.mark.long
@pytest.mark.parametrize("scripts", [True, False])
def test_filters_narrow_and_are_taken_back(open_page: Callable[..., Page], *, scripts: bool) -> None:
    page = open_page("/findings", scripts=scripts)
    severity = page.locator(".facets a", has_text="error").first
    count = severity.locator(".count").inner_text()
    severity.click()
    assert page.locator(".lead b").inner_text() == count
    assert page.locator(".findings > li .severity.warning").count() == 0
    page.locator(".facets details", has_text="Check").locator("a").first.click()
    assert page.locator(".definition h2").is_visible()
    assert page.locator(".chosen li").count() == 3  # the filters, and a way to remove all
    page.locator(".chosen .all a").click()
    assert page.locator(".chosen").count() == 0


@pytest.mark.long
def test_a_finding_leads_to_its_order(open_page: Callable[..., Page]) -> None:
    page = open_page("/findings")
    link = page.locator(".findings .what a").first
    order = link.inner_text().removeprefix("Order ")
    link.click()
    assert page.url.endswith(f"/orders/{order}#findings")


@pytest.mark.long
@pytest.mark.parametrize(("width", "scripts"), [(DESK, True), (PHONE, True), (DESK, False)])
def test_a_finding_is_accepted_by_its_form(
    open_page: Callable[..., Page], folder: Path, width: int, *, scripts: bool
) -> None:
    page = open_page("/findings?severity=info", width, scripts=scripts)
    row = page.locator(".findings > li").first
    finding = row.locator("[name=finding]").get_attribute("value")
    assert finding
    before = page.locator(".lead b").inner_text()
    row.locator(".accept summary").click()
    row.locator("[name=because]").fill("Known, and <b>fine</b>")
    row.locator("[name=until]").fill("2098-05-06")
    row.locator("button").click()
    assert finding in page.locator(".said").inner_text()
    assert int(page.locator(".lead b").inner_text()) == int(before) - 1
    known = read_accepted(folder / "accepted.toml", CHECKS)[finding]
    assert (known.until.isoformat(), known.because) == ("2098-05-06", "Known, and <b>fine</b>")
    page.locator(".said a").click()
    assert "Known, and <b>fine</b>" in page.locator(".findings").inner_text()


@pytest.mark.long
def test_a_figure_leads_to_what_is_behind_it(open_page: Callable[..., Page]) -> None:
    page = open_page("/")
    errors = page.locator(".figures .value a").nth(1)
    count = errors.inner_text()
    errors.click()
    assert page.locator(".lead b").inner_text() == count
    page = open_page("/")
    chart = page.locator("#by-warehouse")
    chart.locator("summary").click()
    chart.locator("tbody th a").first.click()
    assert "Warehouse: " in page.locator(".chosen li").inner_text()


@pytest.mark.long
@pytest.mark.parametrize(
    "path", ["/", "/findings", "/findings?check=shipped_late", "/dictionary", "/dictionary/orders"]
)
@pytest.mark.parametrize("width", [PHONE, 800, 1600])
def test_nothing_hangs_over(open_page: Callable[..., Page], path: str, width: int) -> None:
    page = open_page(path, width)
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.long
def test_the_keyboard_reaches_search_and_content(open_page: Callable[..., Page]) -> None:
    page = open_page("/findings")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"


def test_the_diagram_leads_to_tables(open_page: Callable[..., Page]) -> None:
    page = open_page("/dictionary")
    page.locator(".diagram a", has_text="handling_positions").click()
    assert page.locator("h1").inner_text() == "handling_positions"


@pytest.mark.long
def test_dark_is_dark_and_paper_is_light(open_page: Callable[..., Page]) -> None:
    page = open_page("/findings", scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(21, 24, 27)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert page.locator(".bar").is_hidden()
    assert page.locator(".facets").is_hidden()
