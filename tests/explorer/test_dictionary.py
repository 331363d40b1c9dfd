"""The dictionary: every table and column, as far as it is filled here, and the codes in it; a search; the diagram."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.explorer.explore import explore
from quivo_frames.explorer.table_diagram import BOX_HEIGHT, BOX_WIDTH, draw_diagram
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.tables import REPORT_TABLES
from quivo_frames.standin.orders import write_ndjson
from tests.explorer.visitor import Visitor
from tests.support.fair_order import changed_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KNOWN = dataset_tables(derived=True) | REPORT_TABLES


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("dictionary")
    write_ndjson(folder / "orders.ndjson", 200)
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)


@pytest.fixture(scope="module")
def visitor(tables: qf.Dataset) -> Iterator[Visitor]:
    with explore(tables) as explorer:
        yield Visitor.enter(explorer)


@pytest.mark.parametrize("name", KNOWN)
def test_each_column_is_described_and_how_far_it_is_filled(visitor: Visitor, tables: qf.Dataset, name: str) -> None:
    page = visitor.get(f"/dictionary/{name}").text
    rows = tables.lazy(name).collect()
    for column in KNOWN[name].columns:
        part = page[page.index(f'<tr id="{column.name}">') :].partition("</tr>")[0]
        assert column.sentence.split("`")[0].split("'")[0] in html.unescape(part)
        share = re.search(r'value="([\d.]+)"', part)
        if share:
            assert float(share[1]) == pytest.approx(1 - rows[column.name].null_count() / rows.height, abs=1e-4)
        assert (f'privacy">{column.privacy}<' in part) == (str(column.privacy) != "none")


def test_codes_are_counted(visitor: Visitor, tables: qf.Dataset) -> None:
    page = visitor.get("/dictionary/orders").text
    part = page[page.index('<tr id="order_status">') :].partition("</tr>")[0]
    shown = re.findall(r'<li><a href="/orders\?status=([^"]+)">[^<]+</a> <span class="count">([\d,]+)', part)
    counted = dict(tables.orders.group_by("order_status").len().drop_nulls().iter_rows())
    assert {code: int(count.replace(",", "")) for code, count in shown} == counted


@pytest.mark.long
def test_hostile_codes_are_escaped(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    (tmp_path / "orders.ndjson").write_text(json.dumps(changed_order({"orderStatus": hostile})))
    qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)
    with explore(tmp_path / "tables") as explorer:
        page = Visitor.enter(explorer).get("/dictionary/orders").text
    assert hostile not in page
    assert html.escape(hostile) in page


@pytest.mark.parametrize(
    ("words", "address"),
    [("sscc", "/dictionary/shipments#sscc"), ("SSCC check", "/dictionary/checks#sscc_check_digit"),
     ("split", "/dictionary/kpis#split_shipments"), ("handling units", "/dictionary/handling_units")],
)  # fmt: skip
def test_the_search_finds(visitor: Visitor, words: str, address: str) -> None:
    page = visitor.session.get(f"{visitor.host}/dictionary", params={"q": words}).text
    assert f'href="{address}"' in page
    found = re.search(r"([\d,]+) entr(?:y|ies) with", page)
    assert found
    assert int(found[1]) == page.count("<div><dt>")


def test_the_search_says_when_there_is_nothing_and_escapes(visitor: Visitor) -> None:
    page = visitor.session.get(f"{visitor.host}/dictionary", params={"q": "<b>zzz"}).text
    assert "Nothing with “&lt;b&gt;zzz”" in page
    assert "<b>zzz" not in page


def test_each_link_of_the_dictionary_leads_to_what_it_names(visitor: Visitor) -> None:
    pages: dict[str, str] = {}
    for path in ("/dictionary", "/dictionary?q=e", "/dictionary/checks", "/dictionary/kpis",
                 *(f"/dictionary/{name}" for name in KNOWN)):  # fmt: skip
        for link in re.findall(r'href="(/dictionary[^"]*)"', visitor.get(path).text):
            address, _, anchor = html.unescape(link).partition("#")
            if address not in pages:
                answer = visitor.get(address)
                assert answer.status_code == 200, link
                pages[address] = answer.text
            assert not anchor or f'id="{anchor}"' in pages[address], link
    assert pages.keys() >= {f"/dictionary/{name}" for name in KNOWN}


def test_checks_and_key_figures_are_defined(visitor: Visitor) -> None:
    checks, figures = (visitor.get(f"/dictionary/{name}").text for name in ("checks", "kpis"))
    assert re.findall(r'<div id="(\w+)">', checks) == list(CHECKS)
    assert re.findall(r'<div id="(\w+)">', figures) == list(KPIS)
    assert "late_hours" in checks


@pytest.mark.parametrize(
    "path", ["/dictionary/nothing", "/dictionary/orders/x", "/dictionary/..%2f..%2fetc", "/dictionary/"]
)
def test_what_is_not_there_is_a_page(visitor: Visitor, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status_code == 404 or answer.url.endswith("/dictionary")
    assert "<h1>" in answer.text


def test_the_diagram_has_each_table_once_apart_from_the_others() -> None:
    diagram = draw_diagram({})
    assert sorted(box.name for box in diagram.boxes) == sorted(dataset_tables(derived=True))
    places = pl.DataFrame([(box.x, box.y) for box in diagram.boxes], schema=["x", "y"], orient="row")
    assert places.n_unique() == len(diagram.boxes)
    assert places["x"].max() + BOX_WIDTH <= diagram.width  # type: ignore[operator]
    assert places["y"].max() + BOX_HEIGHT <= diagram.height  # type: ignore[operator]
    assert len(diagram.lines) == len(diagram.boxes) - 1
