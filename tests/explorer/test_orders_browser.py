"""Lists of orders and shortages in a real browser: search as one types, filters, sorts, pages, downloads, small and dark."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import quivo_frames as qf
from quivo_frames.standin.orders import write_ndjson
from tests.explorer.test_orders import count_on, ids_on
from tests.support.real_browser import needs_browser, open_browser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = needs_browser

DESK, PHONE = 1280, 390


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("browser")
    write_ndjson(folder / "orders.ndjson", 400)
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)


@pytest.fixture(scope="module")
def address(tables: qf.Dataset) -> Iterator[str]:
    with qf.explore(tables) as explorer:
        yield explorer.address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens a page when index and audit are done; there must be no error, and no request to anywhere else."""
    base = address.partition("/enter")[0]
    asked: list[str] = []
    errors: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    def open_page(path: str = "/orders", width: int = DESK, scheme: Any = "light", *, scripts: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        for _ in range(300):
            page.goto(f"{base}/orders?q=zzz")
            if "still" not in page.content():
                break
            threading.Event().wait(0.1)
        page.goto(base + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in asked if not url.startswith((base, "data:,"))] == []


@pytest.mark.long
@pytest.mark.parametrize("scripts", [True, False])
def test_a_search_leads_to_its_orders_also_without_scripts(
    open_page: Callable[..., Page], tables: qf.Dataset, *, scripts: bool
) -> None:
    page = open_page("/lines", scripts=scripts)
    page.get_by_label("Search orders").fill("ups")
    page.get_by_role("button", name="Search").click()
    assert page.url.endswith("/orders?q=ups")
    page.goto(page.url)
    serial = tables.serial_numbers.row(0, named=True)
    page.get_by_label("Search orders").fill(serial["serial_number"].lower())
    page.get_by_role("button", name="Search").click()
    assert page.url.endswith(f"/orders/{serial['order_id']}")


@pytest.mark.long
def test_orders_are_suggested_as_one_types_and_reached_by_the_keyboard(
    open_page: Callable[..., Page], tables: qf.Dataset
) -> None:
    page = open_page()
    identifier = qf.overview(tables)["order_identifier"][0]
    page.keyboard.press("/")
    field = page.locator("#search")
    assert field.evaluate("field => field === document.activeElement")
    assert page.locator("#hits").is_hidden()
    page.keyboard.type(identifier[:5].lower())
    options = page.locator("#hits [role=option]")
    options.first.wait_for()
    assert field.get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    chosen = page.locator("#hits [aria-selected=true]")
    assert chosen.count() == 1
    assert field.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert chosen.count() == 0
    page.keyboard.press("ArrowUp")  # from the field to the last one
    assert options.last.get_attribute("aria-selected") == "true"
    page.keyboard.press("Escape")
    assert page.locator("#hits").is_hidden()
    page.keyboard.type(identifier[5:])
    options.first.wait_for()
    page.wait_for_function("document.querySelectorAll('#hits [role=option]').length < 3")
    page.keyboard.press("ArrowDown")
    target = chosen.get_attribute("data-address")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{target}")


@pytest.mark.long
def test_enter_without_a_choice_searches(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.locator("#search").press_sequentially("wien")
    page.locator("#hits [role=option]").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders?q=wien")
    assert "city WIEN" in page.locator("table.orders tbody tr").first.inner_text().replace("\n", " ")


@pytest.mark.long
def test_filters_sorts_and_pages_keep_each_other(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.get_by_label("Stage").select_option("completed")
    page.get_by_role("button", name="Filter").click()
    assert page.get_by_label("Stage").input_value() == "completed"
    count = count_on(page.content())
    assert 50 < count < 400
    page.get_by_role("link", name="Value", exact=True).click()
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Value")
    assert count_on(page.content()) == count
    first = ids_on(page.content())
    page.get_by_role("link", name="Next").click()
    assert not set(first) & set(ids_on(page.content()))
    assert "stage=completed" in page.url
    page.get_by_role("link", name="Previous").click()
    assert ids_on(page.content()) == first
    page.get_by_role("link", name="All orders").click()
    assert count_on(page.content()) == 400
    page.locator("table.orders tbody th a").first.click()
    page.wait_for_url("**/orders/*")


@pytest.mark.long
@pytest.mark.parametrize("name", ["CSV", "Excel"])
def test_the_list_is_downloaded(open_page: Callable[..., Page], name: str) -> None:
    page = open_page("/orders?late=yes")
    with page.expect_download() as waiting:
        page.get_by_role("link", name=name).click()
    download = waiting.value
    assert download.suggested_filename == f"orders{'.csv' if name == 'CSV' else '.xlsx'}"
    content = download.path().read_bytes()
    if name == "CSV":
        assert content.count(b"\r\n") == count_on(page.content()) + 1
    else:
        assert content.startswith(b"PK")


def test_a_sku_that_is_short_leads_to_its_orders(open_page: Callable[..., Page]) -> None:
    page = open_page("/lines")
    row = page.locator("table.shortages tbody tr").first
    sku, orders = row.locator("a").inner_text(), row.locator("td").nth(2).inner_text()
    row.locator("a").click()
    page.wait_for_url("**/orders?short=*")
    assert count_on(page.content()) == int(orders)
    assert sku in page.locator(".how-much").inner_text()


@pytest.mark.long
@pytest.mark.parametrize("path", ["/orders", "/orders?q=wien&late=yes", "/lines", "/orders?seller=nobody"])
@pytest.mark.parametrize(
    "width", [PHONE, pytest.param(800, marks=pytest.mark.long), pytest.param(1600, marks=pytest.mark.long)]
)
def test_no_page_scrolls_sideways(open_page: Callable[..., Page], path: str, width: int) -> None:
    page = open_page(path, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#search").press_sequentially("1")
    page.locator("#hits [role=option]").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.long
@pytest.mark.parametrize("path", ["/orders", "/orders?q=wien", "/lines"])
def test_pages_are_built_for_screen_readers(open_page: Callable[..., Page], path: str) -> None:
    page = open_page(path)
    assert page.locator("h1").count() == page.locator("main").count() == 1
    assert page.locator("table:not(:has(caption)), th:not([scope]), [role=region]:not([aria-label])").count() == 0
    nameless = """() => [...document.querySelectorAll('main input:not([type=hidden]), main select')]
        .filter(field => !field.labels.length || !field.labels[0].textContent.trim()).length"""
    assert page.evaluate(nameless) == 0
    repeated = """() => { const ids = [...document.querySelectorAll('[id]')].map(node => node.id);
                          return ids.filter((id, place) => ids.indexOf(id) !== place); }"""
    assert page.evaluate(repeated) == []


@pytest.mark.long
@pytest.mark.parametrize("path", ["/orders?q=wien", pytest.param("/lines", marks=pytest.mark.long)])
def test_dark_is_dark_and_paper_is_light(open_page: Callable[..., Page], path: str) -> None:
    colours = "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('select')).color]"
    light, dark = (open_page(path, scheme=scheme).evaluate(colours) for scheme in ("light", "dark"))
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    page = open_page(path, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".filters").is_hidden()
    assert page.locator(".list-pages").is_hidden()
