"""The page of one order: every cell leads to its place in the JSON and back, nothing personal, and large orders."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

import quivo_frames as qf
from quivo_frames.errors import ConfigError
from quivo_frames.archive.archive import Archive
from quivo_frames.explorer.order_json import MOST_ENTRIES, parse_answer
from quivo_frames.explorer.pages import order as pages
from quivo_frames.explorer.snapshot import ExplorerOptions, Snapshot
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, record_answers
from tests.support.drawn_orders import DRAWN_SETTINGS, drawn_orders
from tests.support.fair_order import changed_order, fair_order
from tests.support.independent_flattener import Number, Pairs, _OrderReader, parse_json, value_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LATER = datetime(2026, 10, 5, 12, tzinfo=UTC)
Shown = dict[str, "Element"]


class Element:
    """An element with an id: its text, and where its links lead."""

    def __init__(self) -> None:
        self.text, self.links = "", list[str]()


class PageReader(HTMLParser):
    """Collects the elements that have an id; an inner one belongs to those around it."""

    VOID = ("meta", "link", "input", "br", "line", "circle", "rect", "hr", "img")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: Shown = {}
        self._open: list[Element | None] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag not in ("script",) or given.get("src") == "/assets/explorer.js"
        name, link = given.get("id"), given.get("href")
        if name is not None:
            assert name not in self.elements, f"{name} is there twice"
            self.elements[name] = Element()
        if tag not in self.VOID:
            self._open.append(self.elements[name] if name is not None else None)
        if link:
            for element in filter(None, self._open):
                element.links.append(link)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        for element in filter(None, self._open):
            element.text += data


def ask(snapshot: Snapshot, page: Callable[[Snapshot, Request], Any], order_id: object, query: str = "", **more: str) -> str:
    """The page of an order as a handler makes it."""
    scope = {
        "type": "http", "method": "GET", "scheme": "http", "server": ("127.0.0.1", 80), "path": f"/orders/{order_id}",
        "query_string": query.encode(), "headers": [], "path_params": {"order_id": str(order_id), **more},
    }  # fmt: skip
    body: bytes = page(snapshot, Request(scope)).body
    return body.decode()


class QuietSnapshot(Snapshot):
    """A state of tables that are not audited."""

    def _audit(self) -> Any:
        raise ConfigError("not audited")


@contextmanager
def opened(tables: qf.Dataset, **options: Any) -> Iterator[Snapshot]:
    """A state of tables, without the work in the background."""
    snapshot = QuietSnapshot(tables, ExplorerOptions(**options))
    try:
        yield snapshot
    finally:
        snapshot.close()


def build_orders(folder: Path, bodies: dict[int, bytes]) -> tuple[qf.Dataset, Archive]:
    """Tables that are built from an archive with these answers."""
    archive = Archive(folder / "orders.sqlite")
    record_answers(archive, bodies, NOON)
    archive.close()
    return qf.build(archive.path, folder / "tables", jobs=1, progress=False), archive


def walk(document: Any, steps: list[str]) -> Any:
    """What steps lead to in JSON that `parse_json` has read: names of fields, places in lists and among names."""
    for step in steps:
        if isinstance(document, Pairs):
            fields = dict(document)
            document = fields[step] if step in fields else list(fields.values())[int(step)]
        else:
            assert isinstance(document, list)
            document = document[int(step)]
    return document


def assert_cells_lead_to_values(snapshot: Snapshot, order_id: int, body: bytes) -> int:
    """Follows each cell of a page to the JSON, compares, and back; returns how many there are."""
    page = PageReader(ask(snapshot, pages.show_order, order_id)).elements
    document, count = parse_json(body.decode()), 0
    for name, table in TABLES.items():
        frame = snapshot.dataset.lazy(name).filter(pl.col("order_id") == order_id).collect()
        kinds = value_columns(name) if name != "custom_attributes" else {}
        for row in frame.iter_rows(named=True):
            for column in (one for one in frame.columns if row[one] is not None and one != "fetched_at"):
                cell = page[f"cell-{name}-{row[table.key]}-{column}"]
                (link,) = cell.links
                assert link.startswith("#json-"), (name, column, link)
                place = page[link[1:]]
                count += 1
                steps = [] if link == "#json-order" else link.removeprefix("#json-").split(".")
                found = walk(document, steps)
                if column in kinds:
                    assert_same_value(kinds[column], found, row[column])
                    assert f"#{cell_id(name, row[table.key], column)}" in place.links, link
                elif column == "order_id":
                    assert _OrderReader()._read_cell("id", found, ("", "", "", "")) == row[column]
                elif column.endswith("_id"):
                    assert int(float(found)) == row[column] or str(found) == str(row[column])
                elif column == table.key:
                    assert place.links
    return count


def cell_id(table: str, key: object, column: str) -> str:
    return f"cell-{table}-{key}-{column}"


def assert_same_value(kind: str, found: Any, cell: Any) -> None:
    if kind == "free":
        assert parse_json(cell) == found
    else:
        assert _OrderReader()._read_cell(kind, found, ("", "", "", "$")) == cell


def test_every_cell_of_the_stand_in_leads_to_its_value_and_back(tmp_path: Path) -> None:
    bodies = {order_id: order_json(order_id) for order_id in range(100001, 100031)}
    tables, archive = build_orders(tmp_path, bodies)
    with opened(tables, personal=True, archive=archive) as snapshot:
        counts = [assert_cells_lead_to_values(snapshot, order_id, body) for order_id, body in bodies.items()]
    assert min(counts) > 40
    assert sum(counts) > 5000


IDS = (-(2**63), -7, 0, 1, 2**63 - 1)


@settings(DRAWN_SETTINGS, max_examples=4)
@given(st.tuples(*map(drawn_orders, IDS)))
def test_every_cell_of_drawn_orders_leads_to_its_value(tmp_path_factory: pytest.TempPathFactory, texts: tuple[str, ...]) -> None:
    bodies = {order_id: text.encode() for order_id, text in zip(IDS, texts, strict=True)}
    tables, archive = build_orders(tmp_path_factory.mktemp("drawn"), bodies)
    assert tables.failures.is_empty()
    with opened(tables, personal=True, archive=archive) as snapshot:
        for order_id, body in bodies.items():
            if len(parse_answer(body)) and snapshot.dataset.handling_units["depth"].max() in (None, 0, 1, 2, 3):
                assert_cells_lead_to_values(snapshot, order_id, body)
            else:
                ask(snapshot, pages.show_order, order_id)  # deeper than a page shows
