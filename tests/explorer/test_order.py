"""The page of one order: every cell leads to its place in the JSON and back, nothing personal, and large orders."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.errors import ConfigError
from quivo_frames.explorer import order_timeline_svg
from quivo_frames.explorer.order_json import MOST_ENTRIES
from quivo_frames.explorer.order_shipping import sscc_states
from quivo_frames.explorer.pages import order as pages
from quivo_frames.explorer.snapshot import ExplorerOptions, Snapshot
from quivo_frames.model.order import Kind, Order, Privacy, Record
from quivo_frames.model.tables import TABLES, fields_of
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, record_answers
from tests.support.drawn_orders import DRAWN_SETTINGS, drawn_orders
from tests.support.fair_order import changed_order, fair_order
from tests.support.hostile_values import TEXTS
from tests.support.independent_flattener import Pairs, _OrderReader, parse_json, value_columns
from tests.support.paths import DOCUMENTED_ORDER

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
        assert tag != "script" or given.get("src") == "/assets/explorer.js"
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


def ask(
    snapshot: Snapshot, page: Callable[[Snapshot, Request], Any], order_id: object, query: str = "", **more: str
) -> str:
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


class Follower:
    """Follows links from the page of an order to the elements that they lead to, as a browser does."""

    def __init__(self, snapshot: Snapshot, order_id: int) -> None:
        self._snapshot, self._order_id = snapshot, order_id
        self.page = PageReader(ask(snapshot, pages.show_order, order_id)).elements
        self._others: dict[str, Shown] = {}

    def follow(self, link: str) -> Element:
        """What a link leads to."""
        parts = urlsplit(link)
        return self._elements(parts.path, parts.query)[unquote(parts.fragment)]

    def _elements(self, path: str, query: str) -> Shown:
        if not path:
            return self.page
        address = f"{path}?{query}"
        if address not in self._others:
            _, _, asked, which, *table = path.split("/")
            assert unquote(asked) == str(self._order_id)
            page = pages.show_answer if which == "answer" else pages.show_order_rows
            more = {"table": table[0]} if table else {}
            self._others[address] = PageReader(ask(self._snapshot, page, self._order_id, query, **more)).elements
        return self._others[address]

    def cell(self, table: str, key: object, column: str) -> Element:
        """A cell: on the page of the order, else on that of the rows of its table."""
        name = cell_id(table, key, column)
        if name in self.page:
            return self.page[name]
        return self._elements(f"/orders/{self._order_id}/rows/{table}", urlencode({"at": str(key)}))[name]


def assert_cells_lead_to_values(snapshot: Snapshot, order_id: int, body: bytes, most: int = 10_000) -> int:
    """Follows each cell of an order to the JSON, compares, and back; returns how many there are."""
    follower, document, count = Follower(snapshot, order_id), parse_json(body.decode()), 0
    for name, table in TABLES.items():
        frame = snapshot.dataset.lazy(name).filter(pl.col("order_id") == order_id).collect()
        kinds = value_columns(name) if name != "custom_attributes" else {}
        for row in frame.head(most).iter_rows(named=True):
            for column in (one for one in frame.columns if row[one] is not None and one != "fetched_at"):
                (link,) = follower.cell(name, row[table.key], column).links
                place = follower.follow(link)
                count += 1
                anchor = unquote(urlsplit(link).fragment)
                found = walk(document, [] if anchor == "json-order" else anchor.removeprefix("json-").split("."))
                if column in kinds:
                    assert_same_value(kinds[column], found, row[column])
                    back = [
                        one for one in place.links if unquote(one).endswith(f"#{cell_id(name, row[table.key], column)}")
                    ]
                    assert back, (link, place.links)
                elif column == "order_id":
                    assert _OrderReader()._read_cell("id", found, ("", "", "", "")) == row[column]
                elif column.endswith("_id"):
                    assert int(float(found)) == row[column] or str(found) == str(row[column])
                elif column == table.key:
                    assert place.links
                elif column == "value" and not anchor.endswith("customAttributes"):  # else inside a text of JSON
                    assert row[column] == found if row["value_type"] == "string" else parse_json(row[column]) == found
    return count


def cell_id(table: str, key: object, column: str) -> str:
    return f"cell-{table}-{key}-{column}"


def assert_same_value(kind: str, found: Any, cell: Any) -> None:
    if kind == "free":
        assert parse_json(cell) == found
    else:
        assert _OrderReader()._read_cell(kind, found, ("", "", "", "$")) == cell


@pytest.mark.long
def test_every_cell_of_the_stand_in_leads_to_its_value_and_back(tmp_path: Path) -> None:
    bodies = {order_id: order_json(order_id) for order_id in range(100001, 100031)}
    tables, archive = build_orders(tmp_path, bodies)
    with opened(tables, personal=True, archive=archive) as snapshot:
        counts = [assert_cells_lead_to_values(snapshot, order_id, body) for order_id, body in bodies.items()]
    assert min(counts) > 40
    assert sum(counts) > 5000


IDS = (-(2**63), -7, 0, 1, 2**63 - 1)


@pytest.mark.drawn
@pytest.mark.long
@settings(DRAWN_SETTINGS, max_examples=3)  # of five orders each, with hundreds of cells that are looked up
@given(st.tuples(*map(drawn_orders, IDS)))
def test_every_cell_of_drawn_orders_leads_to_its_value(
    tmp_path_factory: pytest.TempPathFactory, texts: tuple[str, ...]
) -> None:  # fmt: skip
    bodies = {order_id: text.encode() for order_id, text in zip(IDS, texts, strict=True)}
    tables, archive = build_orders(tmp_path_factory.mktemp("drawn"), bodies)
    assert tables.failures.is_empty()
    with opened(tables, personal=True, archive=archive) as snapshot:
        for order_id, body in bodies.items():
            assert_cells_lead_to_values(snapshot, order_id, body, most=45)  # the deepest are on pages of their own


@pytest.mark.long
def test_a_large_order_is_cut_and_everything_has_an_address(tmp_path: Path) -> None:
    line = fair_order()["positions"][0]
    unit: dict[str, Any] = {"type": "BOX", "handlingPositions": [{"sku": "A", "quantity": 1}]}
    for _ in range(60):
        unit = {"type": "BOX", "childHandlingUnits": [unit]}
    lines = [
        line | {"positionId": place, "positionIdentifier": f"L{place}", "sku": f"S{place}"} for place in range(1000)
    ]
    body = json.dumps(fair_order() | {"positions": lines, "handlingUnits": [unit]}).encode()
    tables, archive = build_orders(tmp_path, {1001: body})
    with opened(tables, archive=archive) as snapshot:
        page = ask(snapshot, pages.show_order, 1001)
        assert len(page) < 2_500_000
        assert "1,002 lines, page 1 of 21" in page  # two belong to no ordered line
        further = ask(snapshot, pages.show_order, 1001, "lines=20")
        assert "S999</th>" in further
        assert "S999</th>" not in page
        follower = Follower(snapshot, 1001)
        for key, column in (("1001/999", "sku"), ("1001/57", "position_id"), ("1001/400", "order_position_key")):
            (link,) = follower.cell("order_positions", key, column).links
            assert follower.follow(link).links, link
        deepest = "1001/" + ".".join(["0"] * 61)
        (link,) = follower.cell("handling_units", deepest, "type").links
        assert "BOX" in follower.follow(link).text
        entries = [
            one for one in ask(snapshot, pages.show_answer, 1001, "at=$.positions[500]").split("S") if one[:1].isdigit()
        ]
        assert MOST_ENTRIES <= len(entries) < 3 * MOST_ENTRIES


@pytest.mark.long
def test_an_answer_of_ten_megabytes_has_a_page_of_its_own(tmp_path: Path) -> None:
    body = json.dumps(fair_order() | {"novelty": ["x" * 1000] * 10_000}).encode()
    tables, archive = build_orders(tmp_path, {1001: body})
    with opened(tables, archive=archive, personal=True) as snapshot:
        page = ask(snapshot, pages.show_order, 1001)
        assert "too many for this page" in page
        (link,) = PageReader(page).elements["cell-orders-1001-order_identifier"].links
        assert Follower(snapshot, 1001).follow(link).text.startswith('"orderIdentifier": "S-1001"')
        assert len(ask(snapshot, pages.show_answer, 1001)) < 1_000_000
        assert ask(snapshot, pages.download_answer, 1001).encode() == body


NUMBERS = (
    b'{"orderId": 7, "positions": [{"unitNetPrice": 1.10, "unitWeight": 1E2, "quantity": 2.0}], "novelty": 1.50e400}'
)


@pytest.mark.long
def test_the_answer_is_shown_as_it_was_written(tmp_path: Path) -> None:
    tables, archive = build_orders(tmp_path, {7: NUMBERS})
    with opened(tables, archive=archive, personal=True) as snapshot:
        elements = PageReader(ask(snapshot, pages.show_order, 7)).elements
        assert elements["json-positions.0.unitNetPrice"].text == '"unitNetPrice": 1.10,'
        assert elements["json-positions.0.unitWeight"].text == '"unitWeight": 1E2,'
        assert elements["json-positions.0.quantity"].text == '"quantity": 2.0'
        assert "1.50e400" in ask(snapshot, pages.show_order, 7)
        assert ask(snapshot, pages.download_answer, 7).encode() == NUMBERS
        assert "As Quivo answered at 2026-10-01 12:00" in PageReader(ask(snapshot, pages.show_order, 7)).text
    with opened(tables) as snapshot:  # without an archive
        shown = PageReader(ask(snapshot, pages.show_order, 7))
        assert "Built again from the tables" in shown.text
        assert "No archive is known" in shown.text
        assert shown.elements["json-positions.0.unitNetPrice"].text == '"unitNetPrice": 1.1'


def canary_order(order_id: int) -> bytes:
    """The documented order, with a text of its own in every field that is personal, secret or not documented."""
    order = json.loads(DOCUMENTED_ORDER.read_text())
    order |= {"orderId": order_id, "novelty": "canary-novelty", "customAttributes": {"note": "canary-attribute"}}

    def mark(record: Any, table_of: type[Record], path: str) -> None:
        for field in fields_of(table_of):
            here = f"{path}.{field.json_name}"
            if field.child_table is not None and field.record is not None:
                for entry in record.get(field.json_name) or []:
                    mark(entry, field.record, here)
            elif field.child_table is not None and field.child_table.privacy is not Privacy.NONE:
                record[field.json_name] = [f"canary-{here}"]
            elif field.record is not None and field.child_table is None:
                mark(record.setdefault(field.json_name, {}) or {}, field.record, here)
            elif field.field is not None and field.field.privacy is not Privacy.NONE and field.kind is Kind.TEXT:
                record[field.json_name] = f"canary-{here}"

    mark(order, Order, "")
    return json.dumps(order).encode()


@pytest.mark.long
def test_personal_values_are_nowhere_unless_asked_for(tmp_path: Path) -> None:
    body = canary_order(5)
    archive = Archive(tmp_path / "orders.sqlite")
    record_answers(archive, {5: body}, NOON)
    record_answers(archive, {5: body.replace(b"canary-", b"canary-other-")}, LATER)
    archive.close()
    tables = qf.build(archive.path, tmp_path / "tables", jobs=1, progress=False)
    asked = [
        (pages.show_order, "", {}), (pages.show_order, "findings=alone", {}), (pages.show_answer, "", {}),
        (pages.show_answer, "at=$.deliveryAddress.name1", {}), (pages.download_answer, "", {}),
        *((pages.show_order_rows, "", {"table": name}) for name in TABLES),
    ]  # fmt: skip
    with opened(tables, archive=archive) as snapshot:
        for page, query, more in asked:
            assert "canary" not in ask(snapshot, page, 5, query, **more), (page, query, more)
    with opened(tables, archive=archive, personal=True) as snapshot:
        shown = "".join(ask(snapshot, page, 5, query, **more) for page, query, more in asked)
    expected = set(re.findall(r"canary-[^\"]+", body.decode()))
    assert len(expected) > 20
    assert not [one for one in expected if one.replace("canary-", "canary-other-") not in shown]
    assert "canary-.deliveryAddress.name1" in shown  # what it was before, in the history


def test_tables_without_personal_values_show_none_of_the_archive(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "orders.sqlite")
    record_answers(archive, {5: canary_order(5)}, NOON)
    archive.close()
    tables = qf.build(archive.path, tmp_path / "tables", jobs=1, progress=False, privacy="none")
    with opened(tables, archive=archive, personal=True) as snapshot:
        assert "canary" not in ask(snapshot, pages.show_order, 5)


HOSTILE = [*TEXTS, "</script><script>alert(1)</script>", "' onload='x", "<!--", "]]>", "&lt;"]


@pytest.mark.long
def test_hostile_texts_are_shown_as_texts(tmp_path: Path) -> None:
    bodies = {}
    for order_id, text in enumerate(HOSTILE, 1001):
        order = changed_order(
            {"orderIdentifier": text, "positions.0.sku": text, "positions.0.name": text, "tags": [text]}
        )
        order |= {"orderId": order_id, f"new{text}": {text: [text]}, "customAttributes": {text: text}}
        bodies[order_id] = json.dumps(order).encode()
    tables, archive = build_orders(tmp_path, bodies)
    with opened(tables, archive=archive, personal=True) as snapshot:
        for order_id, text in enumerate(HOSTILE, 1001):
            page = ask(snapshot, pages.show_order, order_id)
            shown = PageReader(page).elements["json-positions.0.sku"].text
            assert json.loads(shown.partition(": ")[2].rstrip(",")) == text
            assert not [one for one in page if not one.isprintable() and one not in "\n\xa0"], text
            place = f"$[{json.loads(bodies[order_id]).keys().__len__() - 2}]"
            assert "new" in ask(snapshot, pages.show_answer, order_id, "at=" + quote(place))


@pytest.mark.long
def test_history_says_what_changed_and_what_the_request_was(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "orders.sqlite")
    record_answers(archive, {1001: json.dumps(fair_order()).encode()}, NOON)
    changed = changed_order({"orderStatus": "SHIPPED", "positions.0.quantity": 3})
    record_answers(archive, {1001: json.dumps(changed).encode()}, LATER)
    archive.close()
    tables = qf.build(archive.path, tmp_path / "tables", jobs=1, progress=False)
    with opened(tables, archive=archive) as snapshot:
        text = " ".join(PageReader(ask(snapshot, pages.show_order, 1001)).text.split())
    assert "2026-10-05 12:00 UTC fetched in the tables HTTP 200, 1 request, answered after 0.10 s" in text
    assert "orders.order_status: COMPLETED → SHIPPED" in text
    assert "order_positions.quantity 1001/0: 2 → 3" in text
    assert "The first answer." in text
    record_answers(archive, {1001: json.dumps(fair_order()).encode()}, LATER.replace(day=6))
    archive.close()
    with opened(tables, archive=archive) as snapshot:
        assert "newer answer" in ask(snapshot, pages.show_order, 1001)


@pytest.mark.long
def test_an_archive_that_cannot_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    tables, archive = build_orders(tmp_path, {1001: json.dumps(fair_order()).encode()})
    kept = archive.path.read_bytes()
    archive.path.write_bytes(kept[:8192] + b"\xff" * (len(kept) - 8192))
    with opened(tables, archive=archive) as snapshot:
        text = PageReader(ask(snapshot, pages.show_order, 1001)).text
        assert "damaged" in text
        assert "Built again from the tables, as the archive cannot be read" in text
    archive.path.unlink()
    with opened(tables, archive=archive) as snapshot:
        assert "There is no archive" in ask(snapshot, pages.show_order, 1001)


@pytest.mark.long
@pytest.mark.parametrize("asked", ["5", "-1", "abc", "9" * 30, "1001.0", "１", "1001/../1"])
def test_an_order_that_is_not_there_is_said(tmp_path: Path, asked: str) -> None:
    tables, archive = build_orders(
        tmp_path, {1001: json.dumps(fair_order()).encode(), 5: b'{"orderId": 5, "created": 1}'}
    )
    with opened(tables, archive=archive) as snapshot:
        for page in (pages.show_order, pages.show_answer, pages.download_answer):
            with pytest.raises(HTTPException) as raised:
                ask(snapshot, page, asked)
            assert raised.value.status_code == 404
            assert f"Order {asked} is " in raised.value.detail
            assert ("created" in raised.value.detail) == (asked == "5")


@pytest.mark.long
def test_unknown_tables_rows_and_places_are_said(tmp_path: Path) -> None:
    tables, _ = build_orders(tmp_path, {1001: json.dumps(fair_order()).encode()})
    with opened(tables) as snapshot:
        for query, table in (("", "nothing"), ("at=1001/9", "shipments")):
            with pytest.raises(HTTPException):
                ask(snapshot, pages.show_order_rows, 1001, query, table=table)
        with pytest.raises(HTTPException):
            ask(snapshot, pages.show_answer, 1001, "at=" + quote("<b>"))
        assert "orderId" in ask(snapshot, pages.show_answer, 1001, "at=$.positions[99].sku")
        assert "page 1" not in ask(snapshot, pages.show_order_rows, 1001, "page=999999999999", table="shipments")


@pytest.mark.long
def test_findings_lead_to_their_cells_and_checks(tmp_path: Path) -> None:
    body = json.dumps(changed_order({"fulfillmentOrders.0.shipments.0.deliveryDate": "2026-09-09T10:00:00Z"})).encode()
    tables, archive = build_orders(tmp_path, {1001: body})
    with opened(tables, archive=archive) as snapshot:
        page = ask(snapshot, pages.show_order, 1001, "findings=alone")
        assert "audited alone" in page
        shown = PageReader(page)
        links = [link for name, one in shown.elements.items() if name.startswith("finding-") for link in one.links]
    assert "/findings?check=delivered_late" in links
    assert "#cell-shipments-1001/0/0-delivery_date" in links
    assert "#json-fulfillmentOrders.0.shipments.0.deliveryDate" in links
    assert "#cell-orders-1001-latest_delivery_date" in links
    assert all(link[1:] in shown.elements for link in links if link.startswith("#"))


@pytest.mark.long
def test_every_link_within_the_page_leads_somewhere(tmp_path: Path) -> None:
    bodies = {order_id: order_json(order_id) for order_id in range(100001, 100041)}
    tables, archive = build_orders(tmp_path, bodies)
    with opened(tables, archive=archive) as snapshot:
        for order_id in bodies:
            page = ask(snapshot, pages.show_order, order_id)
            elements = PageReader(page).elements
            assert not [link for link in re.findall(r'href="#([^"]*)"', page) if unquote(link) not in elements]


def test_ssccs_have_the_state_of_their_check_digit() -> None:
    states = sscc_states(
        pl.Series(["340123450000000017", "(00)340123450000000017", "340123450000000018", "12", "N/A", None])
    )
    assert [state and state.words for state in states] == [
        "check digit right", "check digit right", "check digit 8, should be 7", "not 18 digits", None, None,
    ]  # fmt: skip


def test_a_time_line_reaches_to_both_ends_of_the_calendar() -> None:
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for instants in ([first], [last], [first, last]):
        scale = order_timeline_svg._Scale(instants)
        assert all(0 <= scale.place(at) <= 100 for at in instants)
        assert scale.draw_ticks()
    assert order_timeline_svg._is_soon_after(last, [first, last])
    assert not order_timeline_svg._is_soon_after(last, [first])
