"""All pages that links lead to, of orders with a mark in each text: nothing personal, nothing that a browser would run."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import deque
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import pytest

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.explorer.explore import Explorer, explore
from tests.explorer.test_order import LATER, canary_order
from tests.explorer.visitor import Visitor
from tests.support.archived_orders import NOON, record_answers

if TYPE_CHECKING:
    from pathlib import Path

MARK = "\"'><i class=injected>&amp;"
"""It would end an attribute, and open an element."""
_FREE = re.compile(r"\d{4}-\d\d-\d\d.*|canary.*|\d+|true|false")
"""Texts that stay: times, numbers, and those that are personal."""
MOST_PAGES = 250


def marked_order(order_id: int) -> bytes:
    """The order with canaries in its personal fields, and in all other texts something that HTML must escape."""

    def mark(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: mark(entry, key) for key, entry in value.items()}
        if isinstance(value, list):
            return [mark(entry, name) for entry in value]
        return f"{value[:12]}{MARK}" if isinstance(value, str) and not _FREE.fullmatch(value) else value

    return json.dumps(mark(json.loads(canary_order(order_id)))).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    with Archive(folder / "orders.sqlite") as archive:
        record_answers(archive, {number: marked_order(number) for number in (5, 6)}, NOON)
        record_answers(archive, {5: marked_order(5).replace(b"canary-", b"canary-other-")}, LATER)
        qf.build(archive.path, folder / "tables", jobs=1, progress=False)
    return folder


def text_of(content: bytes, path: str) -> str:
    """What somebody can read in an answer: of a workbook its parts."""
    if not path.endswith(".xlsx"):
        return content.decode()
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        return "".join(parts.read(name).decode(errors="replace") for name in parts.namelist())


def visit_all(explorer: Explorer) -> dict[str, str]:
    """The text of all that links lead to, from the overview on, by address."""
    visitor = Visitor.enter(explorer)
    visitor.read("/")
    waiting, seen = (
        deque(["/", "/search?q=5", "/search?q=canary", "/orders?q=canary-", "/nothing", "/orders/77"]),
        dict[str, str](),
    )
    while waiting and len(seen) < MOST_PAGES:
        path = waiting.popleft()
        if path in seen:
            continue
        answered = visitor.get(path)
        assert answered.status_code == (404 if path in ("/nothing", "/orders/77") else 200), path
        seen[path] = text_of(answered.content, urlsplit(path).path)
        if "text/html" in answered.headers["content-type"]:
            for link in re.findall(r'(?:href|src|action)="([^"]*)"', seen[path]):
                there = urlsplit(urljoin(visitor.host + path, unescape(link)))
                if there.scheme == "data":
                    continue
                assert f"{there.scheme}://{there.netloc}" == visitor.host, (path, link)
                address = there.path + (f"?{there.query}" if there.query else "")
                if address != "/findings/accept":
                    waiting.append(address)
    visitor.session.close()
    return seen


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, str]:
    with explore(folder / "tables", accepted=folder / "accepted.toml") as explorer:
        return visit_all(explorer)


@pytest.mark.long
def test_all_kinds_of_pages_are_visited(pages: dict[str, str]) -> None:
    paths = {urlsplit(path).path for path in pages}
    assert {
        "/",
        "/orders",
        "/orders/5",
        "/orders/6",
        "/findings",
        "/lines",
        "/dictionary",
        "/dictionary/shipments",
    } <= paths
    assert {
        "/orders.csv",
        "/orders.xlsx",
        "/findings.csv",
        "/findings.xlsx",
        "/orders/5/answer",
        "/orders/5/answer.json",
    } <= paths
    assert len(pages) > 100


def test_no_personal_value_is_in_any_page_download_or_search(pages: dict[str, str]) -> None:
    assert [
        path for path, text in pages.items() if "canary" in text.replace("q=canary", "").replace('value="canary', "")
    ] == [
        path
        for path in pages
        if path.startswith("/orders?q=canary")
        and "canary" in pages[path].replace("q=canary", "").replace('value="canary', "")
    ]
    searched = pages["/orders?q=canary-"]
    assert "/orders/5" not in searched
    assert "/orders/5" not in pages["/search?q=canary"]


def test_no_value_becomes_markup(pages: dict[str, str]) -> None:
    html = {path: text for path, text in pages.items() if "<!doctype html>" in text[:200] or path.startswith("/search")}
    assert len(html) > 90
    assert [path for path, text in html.items() if re.search(r"<i[ >]", text)] == []
    assert sum("injected" in text for text in html.values()) > 20  # shown as text


@pytest.mark.long
def test_with_personal_they_are_shown_and_found(folder: Path) -> None:
    with explore(folder / "tables", personal=True) as explorer:
        seen = visit_all(explorer)
    assert "canary-other-.deliveryAddress.name1" in seen["/orders/5"]
    assert sum("canary" in text for text in seen.values()) > 10
    assert [path for path, text in seen.items() if "<!doctype html>" in text[:200] and re.search(r"<i[ >]", text)] == []
