"""The page of an order in a real browser: from a finding to its cell, to the JSON and back; at every width, by keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.explorer.explore import explore
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, record_answers
from tests.support.fair_order import changed_order
from tests.support.real_browser import needs_browser, open_browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from quivo_frames.explorer.explore import Explorer

pytestmark = needs_browser

LATE = {"fulfillmentOrders.0.shipments.0.deliveryDate": "2026-09-09T10:00:00Z"}
WIDTHS = (390, 800, 1600)


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    """Two orders: one that was delivered late, and a larger one."""
    folder = tmp_path_factory.mktemp("explorer")
    archive = Archive(folder / "orders.sqlite")
    record_answers(archive, {1001: json.dumps(changed_order(LATE)).encode(), 100119: order_json(100119)}, NOON)
    archive.close()
    tables = qf.build(archive.path, folder / "tables", jobs=1, progress=False)
    with explore(tables) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


class Visit:
    """Pages of the explorer, and what went wrong on them."""

    def __init__(self, browser: Browser, explorer: Explorer, **options: Any) -> None:
        self._context = browser.new_context(**options)
        self.page: Page = self._context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type != "log" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.base = explorer.address.partition("/enter")[0]
        self.page.goto(explorer.address)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.base}{path}")
        return self.page

    def close(self) -> None:
        self._context.close()
        assert self.errors == []
        assert all(url.startswith((self.base, "data:")) for url in self.asked)


def place_in_view(page: Page, anchor: str) -> bool:
    """Whether an element is seen: not folded away, and where the page was scrolled to."""
    found: bool = page.evaluate(
        """name => {
            const element = document.getElementById(name), box = element.getBoundingClientRect();
            return element.checkVisibility() && box.height > 0 && box.top >= 0 && box.top < innerHeight;
        }""",
        anchor,
    )
    return found


@pytest.mark.long
@pytest.mark.parametrize("scripts", [True, False])
def test_a_finding_leads_to_its_cell_and_to_the_answer_and_back(
    browser: Browser, explorer: Explorer, scripts: bool
) -> None:
    visit = Visit(browser, explorer, java_script_enabled=scripts)
    page = visit.open("/orders/1001?findings=alone")
    compared = page.locator(".found-here li", has_text="delivered_late").locator(
        ".compared div", has_text="delivery_date"
    )
    compared.first.locator("a").first.click()
    cell = "cell-shipments-1001/0/0-delivery_date"
    assert page.url.endswith(f"#{cell}")
    assert place_in_view(page, cell)
    page.locator(f'[id="{cell}"] a').click()
    place = "json-fulfillmentOrders.0.shipments.0.deliveryDate"
    assert page.url.endswith(f"#{place}")
    assert place_in_view(page, place)
    assert page.locator(f'[id="{place}"]').inner_text() == '"deliveryDate": "2026-09-09T10:00:00Z",'
    page.locator(f'[id="{place}"] a').click()
    assert place_in_view(page, cell)
    visit.close()


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(browser: Browser, explorer: Explorer, width: int, scheme: Any) -> None:
    visit = Visit(browser, explorer, viewport={"width": width, "height": 900}, color_scheme=scheme)
    for path in ("/orders/100119", "/orders/100119/answer", "/orders/100119/rows/shipments"):
        page = visit.open(path)
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page = visit.open("/orders/100119")
    dots = page.locator(".timeline .dot").evaluate_all(
        "dots => dots.map(dot => [dot.getBoundingClientRect(), dot.closest('li').getBoundingClientRect()])"
        ".every(([dot, row]) => dot.width > 5 && dot.left >= row.left && dot.right <= row.right + 1)"
    )
    assert dots
    visit.close()


def test_a_number_of_a_line_leads_to_its_rows(browser: Browser, explorer: Explorer) -> None:
    visit = Visit(browser, explorer)
    page = visit.open("/orders/1001")
    page.locator("#lines tbody tr").first.get_by_role("link", name="2 shipped, its rows").click()
    anchor = "sum-shipped-1001/0"
    assert place_in_view(page, anchor)
    page.locator(f'[id="{anchor}"] a').click()
    assert place_in_view(page, "cell-shipment_positions-1001/0/0/0-quantity")
    visit.close()
