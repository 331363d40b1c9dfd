"""The list of orders: searched, filtered, sorted, cut into pages and downloaded; nothing hostile and nothing personal."""

from __future__ import annotations

import html
import io
import json
import re
import tempfile
import threading
import zipfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import polars as pl
import pytest
import requests

import quivo_frames as qf
from quivo_frames.explorer import snapshot
from quivo_frames.explorer.background import StopRequest
from quivo_frames.explorer.order_list import OPEN_STAGES, OrderFilter, read_order_list
from quivo_frames.explorer.order_query import OrderQuery
from quivo_frames.explorer.search_terms import SearchTerms
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import write_ndjson
from tests.analysis.test_order_page import DOCUMENTED, with_canary_values
from tests.support.fair_order import changed_order

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 400
HOSTILE = """<script>alert('x')</script>"&amp;{{7*7}}"""


class Reader:
    """A browser of some pages."""

    def __init__(self, explorer: Any) -> None:
        self.session = requests.Session()
        self.base = explorer.address.partition("/enter")[0]
        self.session.get(explorer.address, timeout=30)

    def get(self, path: str, **parameters: str) -> requests.Response:
        return self.session.get(self.base + path, params=parameters, allow_redirects=False, timeout=60)

    def text(self, path: str = "/orders", **parameters: str) -> str:
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.text

    def wait(self) -> Reader:
        """Until index and audit are done."""
        for _ in range(600):
            if not re.search("still", self.text(q="x")):
                return self
            threading.Event().wait(0.1)
        raise AssertionError("the index is not done")


def ids_on(page: str) -> list[int]:
    return [int(order_id) for order_id in re.findall(r'<th scope="row"><a href="/orders/(\d+)"', page)]


def count_on(page: str) -> int:
    found = re.search(r'<p class="how-much"><b>([\d,]+)</b>', page)
    assert found
    return int(found[1].replace(",", ""))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("orders")
    write_ndjson(folder / "orders.ndjson", COUNT)
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)


@pytest.fixture(scope="module")
def reader(tables: qf.Dataset) -> Iterator[Reader]:
    with qf.explore(tables) as explorer:
        yield Reader(explorer).wait()


def build_orders(folder: Path, orders: list[Any]) -> qf.Dataset:
    folder.mkdir(exist_ok=True)
    (folder / "orders.ndjson").write_text("\n".join(map(json.dumps, orders)), encoding="utf-8")
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)


@pytest.mark.long
def test_filters_give_the_orders_of_a_plain_computation(tables: qf.Dataset, reader: Reader) -> None:
    orders = qf.overview(tables)
    split = pl.col("carrier").str.split(", ")
    some = orders.filter(split.list.len() > 1).row(0, named=True)
    week = orders["placed"].dt.strftime("%G-W%V").mode()[0]
    checks = qf.audit(tables, remember=False).unaccepted()
    check = checks["check"].mode()[0]
    of_check = checks.filter(check=check)["order_id"].unique()
    placed = pl.col("placed").dt.date()
    cases: list[tuple[dict[str, str], pl.Expr]] = [
        ({}, pl.lit(value=True)),
        ({"seller": some["seller"]}, pl.col("seller") == some["seller"]),
        ({"status": "COMPLETED"}, pl.col("order_status") == "COMPLETED"),
        ({"stage": "shipped in part"}, pl.col("stage") == "shipped in part"),
        ({"month": "2026-06"}, pl.col("placed").dt.strftime("%Y-%m") == "2026-06"),
        ({"week": week}, pl.col("placed").dt.strftime("%G-W%V") == week),
        ({"since": "2026-06-10", "until": "2026-06-20"}, placed.is_between(date(2026, 6, 10), date(2026, 6, 20))),
        ({"late": "yes"}, pl.col("days_late") > 0),
        ({"open": "yes"}, pl.col("stage").is_in(OPEN_STAGES)),
        ({"check": check}, pl.col("order_id").is_in(of_check.implode())),
        ({"seller": some["seller"], "status": "COMPLETED", "late": "yes"},
         (pl.col("seller") == some["seller"]) & (pl.col("order_status") == "COMPLETED") & (pl.col("days_late") > 0)),
        *(({"carrier": name}, split.list.contains(name)) for name in some["carrier"].split(", ")),
        *(({"warehouse": name}, pl.col("warehouse").str.split(", ").list.contains(name))
          for name in ("Lager Deutschland", "Warehouse United States")),
    ]  # fmt: skip
    for parameters, condition in cases:
        expected = set(orders.filter(condition)["order_id"])
        assert expected, parameters
        assert listed(reader, parameters) == expected, parameters


def listed(reader: Reader, parameters: dict[str, str]) -> set[int]:
    """The ids on all pages of a list; none is on two of them."""
    page, ids = reader.text(**parameters), []
    while True:
        ids += ids_on(page)
        following = re.search(r'<a rel="next" href="/orders\?([^"]*)"', page)
        if not following:
            assert len(set(ids)) == len(ids) == count_on(page)
            return set(ids)
        page = reader.text(**dict(parse_qsl(html.unescape(following[1]))))


def test_open_orders_are_those_of_the_key_figure(tables: qf.Dataset, reader: Reader) -> None:
    assert count_on(reader.text(open="yes")) == qf.kpis(tables).about["backlog"]


@pytest.mark.long
def test_each_entry_of_a_select_says_how_many_orders_it_gives(reader: Reader) -> None:
    for given in ({}, {"late": "yes", "carrier": "UPS"}, {"q": "S", "stage": "completed"}):
        page, seen = reader.text(**given), 0
        for name, inner in re.findall(r'<select id="filter-\w+" name="(\w+)">(.*?)</select>', page, re.DOTALL):
            for value, count in re.findall(r'<option value="([^"]+)"[^>]*>[^<]*\(([\d,]+)\)</option>', inner)[::5]:
                found = reader.text(**{**given, name: html.unescape(value)})
                assert count_on(found) == int(count.replace(",", "")), (given, name, value)
                seen += 1
        assert seen > 7


@pytest.mark.parametrize(
    ("sort", "column", "descending"), [("late", "days_late", True), ("value", "value", True), ("placed", "placed", True),
                                       ("order", "order_id", False)],
)  # fmt: skip
def test_lists_are_sorted_either_way_with_the_unknown_last(
    tables: qf.Dataset, reader: Reader, sort: str, column: str, *, descending: bool
) -> None:
    orders = qf.overview(tables)
    for turned in (False, True):
        by, down = ([column, "order_id"], [descending != turned, False]) if column != "order_id" else (column, turned)
        expected = orders.sort(by, descending=down, nulls_last=True)["order_id"].to_list()
        direction = {"dir": "asc" if sort != "order" else "desc"} if turned else {}
        page = reader.text(sort=sort, **direction)
        assert ids_on(page) == expected[:50]
        assert ids_on(reader.text(sort=sort, page="8", **direction)) == expected[350:]
        word = "descending" if (descending != turned) else "ascending"
        assert page.count("aria-sort") == page.count(f'aria-sort="{word}"') == 1
        link = re.search(r'aria-sort[^>]*><a class="sort" href="([^"]*)"', page)
        assert link
        assert ids_on(reader.text(html.unescape(link[1]))) == ids_on(
            reader.text(sort=sort, **({} if turned else {"dir": "asc" if sort != "order" else "desc"}))
        )


def test_pages_have_fifty_rows_and_the_last_the_rest(reader: Reader) -> None:
    first, last = reader.text(), reader.text(page="8")
    assert len(ids_on(first)) == len(ids_on(last)) == 50
    assert "Orders 1 to 50 of 400" in first
    assert 'rel="prev"' not in first
    assert 'rel="next"' not in last
    assert "Orders 351 to 400 of 400" in last
    assert ids_on(reader.text(page="99")) == ids_on(last)


@pytest.mark.parametrize(
    "query",
    ["page=-1", "page=x", "page=99999999999999999999", "page=%C2%B2", "sort=nothing", "dir=up", "since=2026-13-45",
     "until=never", "since=9999-12-31", "late=perhaps", "week=2026-W99", "seller=nobody", "check=nothing",
     "as=nothing&q=a", "q=" + "%00" * 5, "q=%FF%FE", "q=" + "a" * 5000, "q=%5B(*%25_%5C", "q=a&q=b&page=1&page=2",
     "short=nothing", "begins=yes", "q=-&begins=yes", "q=9223372036854775807", "q=-9223372036854775809", "=&&=="],
)  # fmt: skip
def test_odd_addresses_are_answered(reader: Reader, query: str) -> None:
    for path in ("/orders", "/search", "/orders.csv", "/lines"):
        answer = reader.get(f"{path}?{query}")
        assert answer.status_code in (200, 303, 400), (path, answer.text)


def test_a_search_that_names_one_order_leads_to_it(tables: qf.Dataset, reader: Reader) -> None:
    order = qf.overview(tables).row(7, named=True)
    for wanted in (str(order["order_id"]), order["order_identifier"], f" {order['order_identifier'].lower()} "):
        answer = reader.get("/orders", q=wanted)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/orders/{order['order_id']}"
    assert ids_on(reader.text(q=order["order_identifier"], sort="value")) == [order["order_id"]]


def test_a_search_says_as_what_each_order_was_found(tables: qf.Dataset, reader: Reader) -> None:
    sku = tables.order_positions["sku"].drop_nulls().mode()[0]
    found = set(tables.order_positions.filter(sku=sku)["order_id"])
    page = reader.text(q=sku.lower(), **{"as": "SKU"})
    assert f"SKU <b>{sku}</b>" in page
    assert listed(reader, {"q": sku.lower(), "as": "SKU"}) == found
    some = listed(reader, {"q": sku, "as": "SKU", "stage": "completed"})
    assert some == found & set(qf.overview(tables).filter(stage="completed")["order_id"])
    beginning = reader.text(q=sku[:4])
    assert "with something that begins with" in beginning
    assert found <= listed(reader, {"q": sku[:4], "begins": "yes"})


def test_suggestions_are_a_short_list_of_links(tables: qf.Dataset, reader: Reader) -> None:
    identifier = qf.overview(tables)["order_identifier"][3]
    text = reader.text("/search", q=identifier[:4].lower())
    assert 1 < text.count('role="option"') <= 9
    assert f"<b>{qf.overview(tables)['order_id'][3]}</b> {identifier}" in reader.text("/search", q=identifier)
    assert "Nothing is called so" in reader.text("/search", q="zzzzzz")
    exact = reader.text("/search", q=identifier)
    assert re.search(r'data-address="/orders/(\d+)"', exact)


@pytest.mark.long
def test_without_its_index_order_numbers_are_found_and_pages_say_so(
    tables: qf.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    build = SearchTerms.index_dataset

    def slow(dataset: qf.Dataset, stop_request: StopRequest, *, personal: bool) -> SearchTerms:
        assert goes_on.wait(60)
        return build(dataset, stop_request, personal=personal)

    monkeypatch.setattr(snapshot.SearchTerms, "index_dataset", slow)
    order_id = qf.overview(tables)["order_id"][0]
    with qf.explore(tables) as explorer:
        reader = Reader(explorer)
        try:
            assert reader.get("/orders", q=str(order_id)).headers["location"] == f"/orders/{order_id}"
            page = reader.text(q="UPS")
            assert "index of search terms is still being made" in page
            assert count_on(page) == 0
            assert "still being made" in reader.text("/search", q="UPS")
            page = reader.text(check="sscc_check_digit")
            assert "audit is still running" in page
            assert count_on(page) == 0
            assert reader.get("/orders.csv", check="sscc_check_digit").status_code == 503
        finally:
            goes_on.set()
        reader.wait()


def test_an_index_that_cannot_be_made_is_said(tables: qf.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> SearchTerms:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot.SearchTerms, "index_dataset", full)
    with qf.explore(tables) as explorer:
        reader = Reader(explorer)
        assert "could not be made" in reader.text(q="x")


@pytest.mark.long
def test_downloads_have_all_orders_of_the_list_as_it_is_sorted(tables: qf.Dataset, reader: Reader) -> None:
    answer = reader.get("/orders.csv", late="yes", sort="value")
    assert answer.headers["content-disposition"] == 'attachment; filename="orders.csv"'
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = pl.read_csv(io.BytesIO(answer.content), infer_schema=False)
    late = qf.overview(tables).filter(pl.col("days_late") > 0)
    expected = late.sort(["value", "order_id"], descending=[True, False], nulls_last=True)
    assert rows["order_id"].cast(pl.Int64).to_list() == expected["order_id"].to_list()
    assert rows["warehouse"].to_list() == expected["warehouse"].to_list()
    counted = qf.audit(tables, remember=False).unaccepted().filter(severity="error").group_by("order_id").len()
    errors = dict(counted.iter_rows())
    assert rows["errors"].cast(int).to_list() == [errors.get(order_id, 0) for order_id in expected["order_id"]]
    answer = reader.get("/orders.xlsx", late="yes")
    assert answer.headers["content-disposition"] == 'attachment; filename="orders.xlsx"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        assert "xl/worksheets/sheet3.xml" in book.namelist()


def test_nothing_is_left_of_a_download(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for ending in ("csv", "xlsx"):
        assert reader.get(f"/orders.{ending}", late="yes").status_code == 200
    for _ in range(100):  # removed once it is sent, which is when the client may have read it already
        if not list(tmp_path.iterdir()):
            return
        threading.Event().wait(0.05)
    raise AssertionError(list(tmp_path.iterdir()))


@pytest.mark.long
def test_texts_of_orders_are_no_markup_and_no_formulas(tmp_path: Path) -> None:
    changes = {"orderIdentifier": HOSTILE, "orderReference": f"=1+1{HOSTILE}", "sellerName": f"@{HOSTILE}",
               "fulfillmentOrders.0.warehouseName": HOSTILE, "fulfillmentOrders.0.shipments.0.provider": HOSTILE,
               "orderStatus": HOSTILE, "currency": HOSTILE, "positions.0.sku": HOSTILE,
               "positions.0.quantity": 9}  # fmt: skip
    tables = build_orders(tmp_path, [changed_order(changes, order_id) for order_id in (1, 2)])
    with qf.explore(tables) as explorer:
        reader = Reader(explorer).wait()
        found = [
            reader.text(), reader.text(q=HOSTILE), reader.text("/search", q="<script"), reader.text("/lines"),
            reader.text(seller=f"@{HOSTILE}"), reader.text(week=HOSTILE, short=HOSTILE, **{"as": HOSTILE}),
            reader.text("/lines", seller=HOSTILE), reader.text(check=HOSTILE),
        ]  # fmt: skip
        for page in found:
            assert "<script>alert" not in page.lower()
            assert "49" not in re.findall(r"\{\{.*?\}\}|49", page)
            assert html.escape(HOSTILE.lower()).partition("&")[0] in page.lower()
        assert ids_on(found[1]) == [1, 2]
        assert len(ids_on(reader.text(warehouse=HOSTILE))) == 2
        csv = pl.read_csv(io.BytesIO(reader.get("/orders.csv").content), infer_schema=False)
        assert csv["order_reference"][0] == f"'=1+1{HOSTILE}"
        assert csv["seller"][0] == f"'@{HOSTILE}"
        assert csv["order_identifier"][0] == HOSTILE


@pytest.mark.long
def test_nothing_personal_is_shown_found_or_downloaded_without_leave(tmp_path: Path) -> None:
    tables = build_orders(tmp_path, [with_canary_values(DOCUMENTED), changed_order({}, 7)])
    personal, known = set(), set()
    for table in TABLES.values():
        for column in table.columns:
            values = set(map(str, tables[table.name].filter(pl.col("order_id") != 7)[column.name].drop_nulls()))
            (known if column.privacy is Privacy.NONE else personal).update(v for v in values if len(v) > 6)
    personal -= known
    assert len(personal) > 20
    for leave in (False, True):
        with qf.explore(tables, personal=leave) as explorer:
            reader = Reader(explorer).wait()
            pages = [reader.text(path) for path in ("/orders", "/lines")]
            pages.append(reader.get("/orders.csv").text)
            with zipfile.ZipFile(io.BytesIO(reader.get("/orders.xlsx").content)) as book:
                pages += [book.read(name).decode(errors="replace") for name in book.namelist()]
            for value in personal:
                assert not [page for page in pages if html.escape(value) in page or value in page], value
                found = reader.text("/search", q=value)
                if not leave:
                    assert "Nothing is called so" in found, value
            tracking = tables.shipments["tracking_number"].drop_nulls()[0]
            assert ("Nothing is called so" in reader.text("/search", q=tracking)) is not leave


def test_names_with_commas_and_orders_of_several_warehouses_are_found_by_each(tmp_path: Path) -> None:
    def at(*names: str) -> dict[str, Any]:
        order = changed_order({}, 0)
        (one,) = order["fulfillmentOrders"]
        order["fulfillmentOrders"] = [
            {**one, "warehouseName": name, "fulfillmentOrderId": place, "shipments": []}
            for place, name in enumerate(names)
        ]
        return order

    names = [("Wien",), ("Linz, Ost",), ("Wien", "Linz, Ost"), ("Graz", "Ost"), ("Linz",), ()]
    orders = [{**at(*some), "orderId": order_id} for order_id, some in enumerate(names, 1)]
    listing = read_order_list(build_orders(tmp_path, orders))
    found = {
        name: set(listing.rows.filter(listing.match_rows(OrderFilter({"warehouse": name})))["order_id"])
        for name in listing.count_names("warehouse", listing.match_rows(OrderFilter()))
    }
    assert found["Wien"] == {1, 3}
    assert found["Linz, Ost"] == {2, 3}
    assert found["Graz"] == {4}
    assert {4} <= found["Ost"]
    assert {5} <= found["Linz"]
    assert found["4"] == {6}
    assert listing.count_names("warehouse", listing.match_rows(OrderFilter()))["Wien"] == 2


@pytest.mark.long
def test_a_list_without_orders_and_tables_without_derived_ones_are_shown(tmp_path: Path) -> None:
    (tmp_path / "none.ndjson").write_text("{}")
    none = qf.build(tmp_path / "none.ndjson", tmp_path / "none", jobs=1, progress=False)
    with qf.explore(none) as explorer:
        reader = Reader(explorer).wait()
        assert count_on(reader.text()) == 0
        assert "No SKU is short" in reader.text("/lines")
        assert reader.get("/orders.csv").content.count(b"\n") == 1
    write_ndjson(tmp_path / "some.ndjson", 30)
    plain = qf.build(tmp_path / "some.ndjson", tmp_path / "plain", jobs=1, derived=False, progress=False)
    whole = qf.build(tmp_path / "some.ndjson", tmp_path / "whole", jobs=1, progress=False)
    with qf.explore(plain) as one, qf.explore(whole) as other:
        first, second = (Reader(explorer).wait() for explorer in (one, other))
        assert ids_on(first.text(late="yes")) == ids_on(second.text(late="yes"))
        assert first.text("/lines").count("<tr>") == second.text("/lines").count("<tr>")


def test_an_address_says_what_is_asked_for_and_nothing_else() -> None:
    given = {"q": "a b", "as": "SKU", "seller": "Ä & Co", "status": "X", "since": "2026-06-01", "late": "yes",
             "check": "c", "sort": "value", "dir": "asc", "begins": "yes", "short": "s", "week": "2026-W01"}  # fmt: skip
    query = OrderQuery.from_parameters(given)
    assert query.address_parameters() == given
    assert OrderQuery.from_parameters(dict(parse_qsl(urlencode(query.address_parameters())))) == query
    assert OrderQuery.from_parameters({"sort": "late", "dir": "desc", "page": "1", "x": "y"}).address_parameters() == {}
    assert replace(query, page=3).sorted_by("value").address_parameters()["sort"] == "value"
    assert "dir" not in query.sorted_by("value").address_parameters()
