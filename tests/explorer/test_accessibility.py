"""No page keeps people from reading it: axe-core finds nothing serious, light and dark, on desks and phones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

import quivo_frames as qf
from quivo_frames.explorer.application import PAGES
from quivo_frames.explorer.explore import explore
from quivo_frames.standin.orders import write_ndjson
from tests.explorer.visitor import Visitor
from tests.support.real_browser import needs_browser, open_browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from quivo_frames.explorer.explore import Explorer

pytestmark = needs_browser

ORDER = 100_001
NO_PAGES = (".csv", ".xlsx", ".json", "/search")
"""Files, and what a script puts into a page."""
PATHS = [
    *(path.format(order_id=ORDER, table="shipments") for path in PAGES if not path.endswith(NO_PAGES)),
    "/findings?check=shipped_late&status=all", "/findings?check=nothing", "/orders?q=nothing-at-all", "/dictionary?q=key",
    "/dictionary/checks", "/dictionary/kpis", "/orders/1", "/nowhere",
]  # fmt: skip
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    folder = tmp_path_factory.mktemp("accessible")
    write_ndjson(folder / "orders.ndjson", 300)
    qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)
    with explore(folder / "tables", accepted=folder / "accepted.toml") as explorer:
        Visitor.enter(explorer).read("/")
        yield explorer


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.mark.long
@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        *(pytest.param(*how, marks=pytest.mark.long) for how in ((1280, "light"), (390, "light"), (1280, "dark"))),
    ],
)  # fmt: skip
def test_axe_finds_nothing_serious_on_any_page(explorer: Explorer, browser: Browser, width: int, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(explorer.address)
    found = []
    for path in PATHS:
        page.goto(explorer.address.partition("/enter")[0] + path)
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in SERIOUS:
                nodes = [node["html"][:120] for node in violation["nodes"][:3]]
                found.append((path, violation["id"], nodes))
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()
    assert found == []
