"""The page of findings: filters against plain polars, what is new and resolved, accepting, downloads, escaping."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.accepted import read_accepted
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.explorer.explore import explore
from quivo_frames.standin.orders import write_ndjson
from tests.explorer.visitor import Visitor
from tests.support.fair_order import changed_order
from tests.support.personal_traces import marked_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNTIL = "2099-12-31"
LATE = {"latestDeliveryDate": "2026-09-03"}
EURO = {"currency": "EURO"}
SHORT = {"fulfillmentOrders.0.shipments.0.positions.0.quantity": 1}
HOSTILE = """<script>alert("x")</script>'"&amp;{{ 7*7 }}"""


def build_tables(folder: Path, *changes: dict[str, Any], modified: str = "2026-09-06T12:00:00Z") -> qf.Dataset:
    orders = [changed_order(change, 1001 + place) | {"lastModified": modified} for place, change in enumerate(changes)]
    (folder / "orders.ndjson").write_text("\n".join(map(json.dumps, orders)))
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)


def listed_rows(page: str) -> list[str]:
    """The findings on a page, by what their forms send."""
    return [html.unescape(name) for name in re.findall(r'name="finding" value="([^"]*)"', page)]


def facet_counts(page: str, parameter: str) -> dict[str, int]:
    """How many findings each value of a filter has, as a page says."""
    found = re.findall(r'<a href="(/findings[^"]*)"[^>]*><span[^>]*>([^<]*)</span> <span class="count">([\d,]+)', page)
    return {
        html.unescape(words): int(count.replace(",", ""))
        for address, words, count in found
        if parameter in parse_qs(urlsplit(html.unescape(address)).query) and words != "all of them"
    }


def form_of(shown: str, finding: str, **fields: str) -> dict[str, str]:
    token = re.search(r'name="form_token" value="([^"]+)"', shown)
    assert token
    return {"form_token": token[1], "finding": finding, "until": UNTIL, "because": "The customer asked for it"} | fields


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Visitor, pl.DataFrame]]:
    """An explorer of the stand-in's orders, and what an audit finds in them."""
    folder = tmp_path_factory.mktemp("many")
    write_ndjson(folder / "orders.ndjson", 600)
    tables = qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)
    with explore(tables, accepted=folder / "accepted.toml") as explorer:
        visitor = Visitor.enter(explorer)
        visitor.read("/findings")
        yield visitor, qf.audit(tables, remember=False)


@pytest.mark.parametrize(
    "chosen",
    [
        {}, {"severity": "error"}, {"check": "shipped_late"}, {"warehouse": "Lager Deutschland"},
        {"severity": "warning", "carrier": "DHL"}, {"seller": "Maple Trail Outfitters Inc", "status": "new"},
        {"status": "all"}, {"status": "resolved"}, {"warehouse": "–"}, {"check": "no_such_check"},
    ],
)  # fmt: skip
def test_a_filter_leaves_what_polars_leaves(many: tuple[Visitor, pl.DataFrame], chosen: dict[str, str]) -> None:
    visitor, findings = many
    expected = findings
    for name, value in chosen.items():
        if name == "status":
            expected = expected if value in ("new", "all") else expected.clear()
        else:
            expected = expected.filter(pl.col(name).is_null() if value == "–" else pl.col(name) == value)
    names: list[str] = []
    pages = max(1, -(-expected.height // 50))
    for number in range(1, pages + 1):
        page = visitor.session.get(f"{visitor.host}/findings", params={**chosen, "page": str(number)}).text
        names += listed_rows(page)
        assert f"<b>{expected.height:,}</b>" in page
        assert f"in {expected['order_id'].n_unique():,} order" in page
    assert names == expected["finding"].to_list()


def test_the_numbers_of_a_filter_are_those_that_the_other_filters_leave(many: tuple[Visitor, pl.DataFrame]) -> None:
    visitor, findings = many
    page = visitor.get("/findings?severity=error").text
    errors = findings.filter(severity="error")
    for name in ("check", "warehouse", "carrier", "seller"):
        expected = dict(errors.with_columns(pl.col(name).fill_null("–")).group_by(name).len().iter_rows())
        assert facet_counts(page, name) == expected, name
    assert re.findall(r'class="severity (\w+)">\w+</span> <span class="count">([\d,]+)', page) == [
        (name, f"{count:,}")
        for name in ("error", "warning", "info")
        if (count := findings.filter(severity=name).height)
    ]


@pytest.mark.long
def test_each_address_on_the_page_is_answered(many: tuple[Visitor, pl.DataFrame]) -> None:
    visitor, _ = many
    page = visitor.get("/findings?check=shipped_late").text
    links = {html.unescape(link) for link in re.findall(r'(?:href|action)="(/[^"#]*)', page)}
    assert any(link.startswith("/orders/") for link in links)
    for link in links - {"/findings/accept"}:
        assert visitor.get(link).status_code == 200, link


def test_the_chosen_check_is_defined(many: tuple[Visitor, pl.DataFrame]) -> None:
    page = many[0].get("/findings?check=short_shipped").text
    check = CHECKS["short_shipped"]
    assert html.escape(check.title, quote=False) in html.unescape(page).replace("&", "&amp;") or check.title in page
    assert check.reference.split("'")[0] in page
    assert "What it cannot see" in page


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 30, "999999", "²", ""])
def test_a_page_that_is_none_shows_one_that_is(many: tuple[Visitor, pl.DataFrame], number: str) -> None:
    answer = many[0].get(f"/findings?page={number}")
    assert answer.status_code == 200
    assert listed_rows(answer.text)


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_download_has_what_is_seen_on_all_pages(many: tuple[Visitor, pl.DataFrame], ending: str) -> None:
    visitor, findings = many
    answer = visitor.get(f"/findings.{ending}?severity=error")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="findings.{ending}"'
    expected = findings.filter(severity="error")["finding"].to_list()
    if ending == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
        assert [row["finding"] for row in rows] == expected
    else:
        read = pl.read_excel(io.BytesIO(answer.content), sheet_name="findings")
        assert read["finding"].to_list() == expected


@pytest.mark.long
def test_what_is_new_standing_and_resolved_since_the_last_audit(tmp_path: Path) -> None:
    build_tables(tmp_path, LATE, EURO)
    qf.audit(tmp_path / "tables", only=["delivered_late", "unknown_currency", "short_shipped"])
    build_tables(tmp_path, LATE, {}, SHORT, modified="2026-09-08T00:00:00Z")
    memory = (tmp_path / "tables" / "findings.parquet").read_bytes()
    with explore(tmp_path / "tables", accepted=tmp_path / "accepted.toml") as explorer:
        visitor = Visitor.enter(explorer)
        assert "delivered_late:1001/0/0" in listed_rows(visitor.read("/findings?status=standing"))
        assert "short_shipped:1003/0" in listed_rows(visitor.get("/findings?status=new").text)
        resolved = visitor.get("/findings?status=resolved").text
        assert "Order 1002</a>: not found any more." in resolved
        assert listed_rows(resolved) == []  # what is resolved cannot be accepted
        overview = visitor.read("/")
        assert re.search(r'status=resolved"><b>1</b> <span>resolved', overview)
        assert "The last audit was as of" in overview
    assert (tmp_path / "tables" / "findings.parquet").read_bytes() == memory


@pytest.mark.long
def test_an_audit_of_this_very_state_says_what_it_found_first(tmp_path: Path) -> None:
    build_tables(tmp_path, LATE)
    qf.audit(tmp_path / "tables")
    build_tables(tmp_path, LATE, SHORT, modified="2026-09-08T00:00:00Z")
    qf.audit(tmp_path / "tables")
    with explore(tmp_path / "tables", accepted=tmp_path / "accepted.toml") as explorer:
        visitor = Visitor.enter(explorer)
        standing = listed_rows(visitor.read("/findings?status=standing"))
        new = listed_rows(visitor.get("/findings?status=new").text)
    assert "delivered_late:1001/0/0" in standing
    assert "short_shipped:1002/0" in new
    assert not set(new) & set(standing)


@pytest.fixture
def accepting(tmp_path: Path) -> Iterator[tuple[Visitor, Path]]:
    """An explorer of an order that came late, and the file of accepted findings."""
    build_tables(tmp_path, LATE)
    file = tmp_path / "accepted.toml"
    with explore(tmp_path / "tables", accepted=file) as explorer:
        visitor = Visitor.enter(explorer)
        visitor.read("/findings")
        yield visitor, file


FINDING = "delivered_late:1001/0/0"


@pytest.mark.long
def test_accepting_writes_the_file_and_leads_back(accepting: tuple[Visitor, Path]) -> None:
    visitor, file = accepting
    page = visitor.get("/findings").text
    answer = visitor.post("/findings/accept", form_of(page, FINDING, severity="error", page="1"))
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/findings?severity=error&page=1&accepted=delivered_late")
    known = read_accepted(file, CHECKS)[FINDING]
    assert (known.until.isoformat(), known.because) == (UNTIL, "The customer asked for it")
    assert f"Accepted until {UNTIL}" in visitor.get(answer.headers["Location"]).text
    assert FINDING not in listed_rows(visitor.get("/findings").text)
    accepted = visitor.get("/findings?status=accepted").text
    assert FINDING in listed_rows(accepted)
    assert "The customer asked for it" in accepted
    assert 'status=accepted"><b>1</b>' in visitor.read("/")
    assert 'href="/orders/1001' not in visitor.get("/orders?check=delivered_late").text
    assert "accepted" in visitor.get("/orders/1001").text


def test_a_file_that_others_change_is_read_again(accepting: tuple[Visitor, Path]) -> None:
    visitor, file = accepting
    assert FINDING in listed_rows(visitor.get("/findings").text)
    file.write_text(f'[[accepted]]\nfinding = "{FINDING}"\nuntil = {UNTIL}\nbecause = "known"\n')
    assert FINDING not in listed_rows(visitor.get("/findings").text)
    file.write_text(f'[[accepted]]\nfinding = "{FINDING}"\nuntil = 2026-09-05\nbecause = "known"\n')
    assert FINDING in listed_rows(visitor.get("/findings").text)  # its last day is over


def test_a_form_from_elsewhere_is_refused(accepting: tuple[Visitor, Path]) -> None:
    visitor, file = accepting
    form = form_of(visitor.get("/findings").text, FINDING)
    for fields, origin in (
        (form | {"form_token": "x"}, None), ({**form, "form_token": ""}, None), (form, "http://evil.example"),
        (form, "null"), (form, "http://127.0.0.1"),
    ):  # fmt: skip
        assert visitor.post("/findings/accept", fields, origin=origin).status_code == 403
    assert visitor.get("/findings/accept").status_code == 405
    stranger = Visitor(type(visitor.session)(), visitor.host)
    assert stranger.post("/findings/accept", form).status_code == 403
    assert not file.exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"because": "  "}, "Give a reason"),
        ({"because": "x" * 501}, "Use at most 500"),
        ({"until": ""}, "The last day is no day"),
        ({"until": "31.12.2099"}, "The last day is no day"),
        ({"until": "2026-02-30"}, "The last day is no day"),
        ({"until": "2020-01-01"}, "2020-01-01 is over"),
        ({"finding": "delivered_late:1"}, "not there any more"),
        ({"finding": "<b>"}, "not there any more"),
        ({"because": "\ud800"}, ""),
    ],
)
def test_what_cannot_be_accepted_is_said_on_the_page(
    accepting: tuple[Visitor, Path], fields: dict[str, str], sentence: str
) -> None:
    visitor, file = accepting
    form = form_of(visitor.get("/findings").text, FINDING) | fields
    sent = {name: value.encode("utf-8", "surrogatepass") for name, value in form.items()}
    answer = visitor.post("/findings/accept", sent)  # type: ignore[arg-type]
    if sentence:
        assert answer.status_code == 400
        assert sentence in answer.text
        assert "<b>:" not in answer.text
        assert not file.exists()
    else:
        assert answer.status_code in (303, 400)
    assert "cannot be made" not in answer.text


def test_what_was_written_is_still_there_when_it_was_wrong(accepting: tuple[Visitor, Path]) -> None:
    visitor, _ = accepting
    answer = visitor.post(
        "/findings/accept", form_of(visitor.get("/findings").text, FINDING, because=HOSTILE, until="x")
    )
    assert html.escape(HOSTILE).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in answer.text
    assert "<script>alert" not in answer.text
    assert '<details class="accept" open>' in answer.text


def test_a_reason_of_any_text_is_escaped(accepting: tuple[Visitor, Path]) -> None:
    visitor, file = accepting
    answer = visitor.post("/findings/accept", form_of(visitor.get("/findings").text, FINDING, because=HOSTILE))
    assert answer.status_code == 303
    assert read_accepted(file, CHECKS)[FINDING].because == HOSTILE
    page = visitor.get("/findings?status=accepted").text
    assert "<script>alert" not in page
    assert HOSTILE in html.unescape(page)


def test_a_file_that_is_something_else_is_left_alone(accepting: tuple[Visitor, Path]) -> None:
    visitor, file = accepting
    form = form_of(visitor.get("/findings").text, FINDING)
    file.write_text('[tool]\nname = "something else"\n')
    page = visitor.get("/findings").text
    assert "No finding counts as accepted" in page
    assert "findings/accept" not in page
    answer = visitor.post("/findings/accept", form)
    assert answer.status_code == 400
    assert "Not accepted" in answer.text
    assert "something else" in file.read_text()


@pytest.mark.long
def test_without_a_file_nothing_can_be_accepted(tmp_path: Path) -> None:
    build_tables(tmp_path, LATE)
    with explore(tmp_path / "tables") as explorer:
        visitor = Visitor.enter(explorer)
        page = visitor.read("/findings")
        assert "delivered" in page
        assert "<form method" not in page


@pytest.mark.long
def test_no_personal_value_is_on_the_page(tmp_path: Path) -> None:
    mark = "CANARY7319"
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join(
        marked_order(100_000 + number, mark, piiDataRemoved=True, trackingNumber=mark) for number in range(40)
    ))  # fmt: skip
    qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)
    with explore(tmp_path / "tables", accepted=tmp_path / "accepted.toml") as explorer:
        visitor = Visitor.enter(explorer)
        assert "personal_data_left" in visitor.read("/findings")
        for path in ("/", "/findings?status=all", "/findings.csv", "/dictionary", "/dictionary/orders"):
            assert mark not in visitor.read(path), path


@pytest.mark.long
@pytest.mark.parametrize("column", ["sellerName", "currency"])
def test_hostile_names_are_escaped_and_filtered_by(tmp_path: Path, column: str) -> None:
    build_tables(tmp_path, LATE | {column: HOSTILE})
    with explore(tmp_path / "tables", accepted=tmp_path / "accepted.toml") as explorer:
        visitor = Visitor.enter(explorer)
        page = visitor.read("/findings")
        assert "<script>alert" not in page + visitor.read("/")
        if column == "sellerName":
            links = [html.unescape(link) for link in re.findall(r'href="(/findings\?[^"]*seller=[^"]*)"', page)]
            assert FINDING in listed_rows(visitor.get(links[0]).text)


@pytest.mark.long
def test_pages_answer_while_the_audit_is_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from quivo_frames.explorer import snapshot

    original, pages_were_read = snapshot.audit_in_other_process, threading.Event()

    def find_late(*args: Any, **options: Any) -> Any:
        assert pages_were_read.wait(60)
        return original(*args, **options)

    monkeypatch.setattr(snapshot, "audit_in_other_process", find_late)
    build_tables(tmp_path, LATE)
    with explore(tmp_path / "tables", accepted=tmp_path / "accepted.toml") as explorer:
        visitor = Visitor.enter(explorer)
        for path, words in (("/", "1 order"), ("/findings", "are being audited")):
            page = visitor.get(path).text
            assert words in page
            assert "data-working" in page
            assert '<noscript><meta http-equiv="refresh"' in page
        assert visitor.get("/findings.csv").status_code == 400
        pages_were_read.set()
        assert listed_rows(visitor.read("/findings"))
