"""The report in a real browser: charts are drawn, nothing throws, nothing is asked of the network, everybody can read it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

import quivo_frames as qf
from quivo_frames.analysis.report.report import report
from quivo_frames.standin.orders import write_ndjson
from tests.support.real_browser import needs_browser, open_browser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = needs_browser

DESK, PHONE = 1280, 390
FIGURES = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports of many orders, and of none."""
    folder = tmp_path_factory.mktemp("report")
    write_ndjson(folder / "orders.ndjson", 400)
    many = qf.build(folder / "orders.ndjson", folder / "tables", jobs=1)
    for name, tables in {"many": many, "none": qf.flatten([])}.items():
        report(tables, folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in ("many", "none")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def open_report(browser: Browser, files: dict[str, Path]) -> Iterator[Callable[..., Page]]:
    """Opens a report; afterwards there must be no error and no request other than for the file."""
    asked: list[str] = []
    errors: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    def open_report(name: str = "many", width: int = DESK, scheme: Any = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(files[name].as_uri())
        page.wait_for_load_state("networkidle")
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert errors == []
    assert set(asked) <= {file.as_uri() for file in files.values()} | {"data:,"}
    assert len([url for url in asked if url != "data:,"]) == len(contexts)


@pytest.mark.long
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_every_chart_is_drawn(open_report: Callable[..., Page], width: int) -> None:
    charts = open_report(width=width).evaluate(
        """() => [...document.querySelectorAll('figure')].map(figure => {
            const drawn = [...figure.querySelectorAll('svg')].filter(svg => svg.getBoundingClientRect().width > 0);
            const marks = drawn.flatMap(svg => [...svg.querySelectorAll('.role-mark > path, .role-mark > line')]);
            const sizes = marks.map(mark => mark.getBoundingClientRect()).map(box => box.width + box.height);
            const texts = drawn.flatMap(svg => [...svg.querySelectorAll('text')])
            const low = Math.min(...texts.map(text => text.getBoundingClientRect().height));
            return [figure.id, drawn.length, sizes.filter(size => size > 0).length, sizes.length, low];
        })"""
    )
    assert len(charts) == FIGURES
    for name, drawn, with_size, marks, lowest_text in charts:
        assert drawn == 1, name
        assert marks == with_size > 0, name
        assert lowest_text > 9, name


@pytest.mark.long
def test_a_mark_says_what_it_is_under_the_pointer(open_report: Callable[..., Page]) -> None:
    titles = open_report().locator("#over-time svg.wide .role-mark title").all_text_contents()
    assert titles
    assert all(": " in title for title in titles)


@pytest.mark.long
def test_charts_stay_inside_their_figure(open_report: Callable[..., Page]) -> None:
    for width in (DESK, PHONE):
        beyond = open_report(width=width).evaluate(
            """() => [...document.querySelectorAll('figure svg text')].filter(text => {
                const box = text.getBoundingClientRect(), page = document.documentElement.clientWidth;
                return box.width && (box.left < 0 || box.right > page);
            }).map(text => text.textContent)"""
        )
        assert beyond == []


@pytest.mark.long
@pytest.mark.parametrize("name", ["many", "none"])
def test_nothing_hangs_over_on_a_phone(open_report: Callable[..., Page], name: str) -> None:
    page = open_report(name, PHONE)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE


@pytest.mark.long
def test_every_part_opens_and_closes_by_keyboard(open_report: Callable[..., Page]) -> None:
    page = open_report()
    parts = page.locator("details")
    assert parts.count() > FIGURES
    for place in range(parts.count()):
        part = parts.nth(place)
        before = part.evaluate("part => part.open")
        part.locator("> summary").focus()
        page.keyboard.press("Enter")
        assert part.evaluate("part => part.open") != before
        page.keyboard.press("Space")
        assert part.evaluate("part => part.open") == before


@pytest.mark.long
def test_the_keyboard_comes_first_to_the_figures_and_shows_where_it_is(open_report: Callable[..., Page]) -> None:
    page = open_report()
    page.keyboard.press("Tab")
    skip = page.evaluate(
        """() => [document.activeElement.className, document.activeElement.getBoundingClientRect().left,
                  getComputedStyle(document.activeElement).outlineStyle]"""
    )
    assert skip[0] == "skip"
    assert skip[1] >= 0
    assert skip[2] == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "glance"


def test_a_link_to_a_finding_leads_there(open_report: Callable[..., Page]) -> None:
    page = open_report()
    link = page.locator(".telling a").first
    target = link.get_attribute("href")
    assert target
    link.click()
    assert page.locator(target).bounding_box() is not None
    assert page.evaluate("location.hash") == target


@pytest.mark.long
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_a_row_leads_to_its_order_and_the_order_back(open_report: Callable[..., Page], width: int) -> None:
    page = open_report(width=width)
    check = page.locator("details.found").first
    check.locator("> summary").click()
    link = check.locator("tbody th a").first
    target = link.get_attribute("href")
    assert target
    assert target == f"#order-{link.text_content()}"
    link.click()
    order = page.locator(f"article{target}")
    assert order.evaluate("order => Math.abs(order.getBoundingClientRect().top)") < 60
    order.locator("summary").click()
    assert order.locator("table").is_visible()
    order.locator(".of-order a").first.click()
    assert page.evaluate("location.hash").startswith("#found-")
    order.locator(".note a").last.click()
    assert page.evaluate("location.hash") == "#findings"


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_stand_out(open_report: Callable[..., Page], scheme: str) -> None:
    page = open_report(scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    low = page.evaluate(
        """() => {
            const parts = colour => colour.match(/[\\d.]+/g).map(Number);
            const light = colour => {
                const [r, g, b] = parts(colour).map(part => part / 255)
                    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const behind = node => {
                for (; node; node = node.parentElement) {
                    const colour = getComputedStyle(node).backgroundColor, alpha = parts(colour)[3];
                    if (alpha === undefined || alpha > 0) return colour;
                }
            };
            const contrast = (one, two) => {
                const [dark, bright] = [light(one), light(two)].sort((a, b) => a - b);
                return (bright + 0.05) / (dark + 0.05);
            };
            const found = [];
            const judge = (node, colour, least) => {
                const ratio = contrast(colour, behind(node));
                if (!(ratio >= least)) found.push([node.tagName, node.textContent.slice(0, 40), colour, ratio]);
                judged += 1;
            };
            let judged = 0;
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                const node = walker.currentNode.parentElement;
                if (walker.currentNode.data.trim() && node.tagName !== 'title')
                    judge(node, node.closest('svg') ? getComputedStyle(node).fill : getComputedStyle(node).color, 4.5);
            }
            for (const mark of document.querySelectorAll('.role-mark > path')) {
                const style = getComputedStyle(mark);
                judge(mark, style.fill !== 'none' ? style.fill : style.stroke, 3);
            }
            return {found, judged};
        }"""
    )
    assert low["judged"] > 500
    assert low["found"] == []


@pytest.mark.long
def test_dark_is_dark(open_report: Callable[..., Page]) -> None:
    look = """() => [getComputedStyle(document.body).backgroundColor,
                     getComputedStyle(document.querySelector('#over-time .role-mark > path')).fill]"""
    light, dark = (open_report(scheme=scheme).evaluate(look) for scheme in ("light", "dark"))
    assert light[0] != dark[0]
    assert light[1] != dark[1]


@pytest.mark.long
@pytest.mark.parametrize("name", ["many", "none"])
def test_the_page_is_built_for_screen_readers(open_report: Callable[..., Page], name: str) -> None:
    page = open_report(name)
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(node => +node.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.title")
    assert page.locator("main").count() == 1
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("[role=region]:not([aria-label])").count() == 0
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('svg')].filter(svg => svg.getAttribute('role') !== 'img' ||
            !document.getElementById(svg.getAttribute('aria-labelledby'))?.textContent.trim()).length"""
    )
    assert nameless == 0
    repeated = page.evaluate(
        """() => { const ids = [...document.querySelectorAll('[id]')].map(node => node.id);
                   return ids.filter((id, place) => ids.indexOf(id) !== place); }"""
    )
    assert repeated == []


@pytest.mark.long
def test_paper_is_light_and_shows_the_numbers(open_report: Callable[..., Page]) -> None:
    page = open_report(scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden()
    assert page.locator("#over-time svg.wide").is_visible()
    assert page.locator("#over-time table").is_visible()
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
