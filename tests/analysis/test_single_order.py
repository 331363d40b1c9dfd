"""One order: found by what people have in hand, and shown with its days, findings, events, lines and units."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.order_search import find_orders
from quivo_frames.errors import ConfigError
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import write_ndjson
from tests.analysis.test_order_page import DOCUMENTED, with_canary_values
from tests.support.fair_order import OTHER_SSCC, OTHER_UNIT, SSCC, THIRD_SSCC, changed_order

LATE = {
    "earliestDeliveryDate": "2026-09-02",
    "latestDeliveryDate": "2026-09-03",
    "latestShipDate": "2026-09-30",
    "earliestShipDate": None,
}
ORDERS: dict[int, dict[str, Any]] = {
    1001: LATE | {"orderReference": "#77", "customerPurchaseOrderNumber": "PO-9"},
    1002: OTHER_UNIT | {"orderReference": "#77", "fulfillmentOrders.0.shipments.0.trackingNumber": "TRACK-2"},
    1003: {"orderIdentifier": "1001", "orderReference": "N/A"},
    1004: {"orderReference": "N/A"},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single")
    lines = [json.dumps(changed_order(change, order_id)) for order_id, change in ORDERS.items()]
    (folder / "orders.ndjson").write_text("\n".join([*lines, '{"orderId":5,"sellerId":1.5}']))
    qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)
    qf.build(folder / "orders.ndjson", folder / "nameless", jobs=1, progress=False, privacy="none")
    return folder


@pytest.fixture(scope="module")
def tables(built: Path) -> qf.Dataset:
    return qf.open(built / "tables")


@pytest.mark.parametrize(
    ("wanted", "found", "found_as"),
    [
        ("1001", [1001], "order number"),  # and not the order that another system calls so
        ("S-1001", [1001], "order identifier"),
        (" s-1001\u200b", [1001], "order identifier"),
        ("#77", [1001, 1002], "order reference"),
        ("po-9", [1001], "customer's purchase order"),
        ("TRACK-2", [1002], "tracking number"),
        (OTHER_SSCC, [1002], "SSCC"),
        (f"(00){OTHER_SSCC}", [1002], "SSCC"),
        (f"00 {OTHER_SSCC[:9]} {OTHER_SSCC[9:]}", [1002], "SSCC"),
        (SSCC, [1001, 1003, 1004], "SSCC"),
        (THIRD_SSCC, [], ""),
        ("N/A", [], ""),
        ("4711", [], ""),
        ("9" * 30, [], ""),
    ],
)
def test_an_order_is_found_by_what_people_have_in_hand(
    tables: qf.Dataset, wanted: str, found: list[int], found_as: str
) -> None:
    hits = find_orders(tables, wanted)
    assert hits["order_id"].to_list() == found
    assert set(hits["found_as"]) == ({found_as} if found else set())


@pytest.mark.long
def test_every_identifier_of_the_stand_in_finds_its_order(tmp_path: Path) -> None:
    """Compared with the raw orders: whatever stands in one of these fields, anywhere."""
    write_ndjson(tmp_path / "orders.ndjson", 40)
    tables = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)
    wanted = {"orderIdentifier", "orderReference", "customerPurchaseOrderNumber", "trackingNumber", "sscc"}

    def values_of(node: Any, name: str = "") -> set[str]:
        if isinstance(node, dict):
            return {text for key, value in node.items() for text in values_of(value, key)}
        if isinstance(node, list):
            return {text for value in node for text in values_of(value, name)}
        return {node} if name in wanted and isinstance(node, str) else set()

    orders = [json.loads(line) for line in (tmp_path / "orders.ndjson").read_text().splitlines()][::4]
    texts = [(order["orderId"], text) for order in orders for text in sorted(values_of(order))[:6]]
    assert len(texts) > 15
    for order_id, text in texts:
        assert order_id in find_orders(tables, text)["order_id"].to_list(), text


@pytest.mark.long
def test_an_order_in_python_has_its_rows_lines_findings_and_document(tables: qf.Dataset) -> None:
    order = tables.order("po-9")
    assert order.order_id == 1001
    assert order.tables.orders["order_id"].to_list() == [1001]
    assert order.lines["ordered"].sum() == 3
    assert json.loads(order.json())["orderIdentifier"] == "S-1001"
    whole = qf.audit(tables, remember=False)
    assert sorted(order.findings["finding"]) == sorted(whole.filter(order_id=1001)["finding"])
    assert order.findings.height
    assert qf.order(tables, 1001).findings.equals(order.findings)


@pytest.mark.long
def test_findings_of_an_order_are_those_of_the_audit_also_where_orders_are_compared(tables: qf.Dataset) -> None:
    whole = qf.audit(tables, remember=False)
    assert "sscc_on_two_orders" in set(whole["check"])
    for order_id in ORDERS:
        of_order = whole.filter(order_id=order_id).select("finding", "evidence").sort("finding")
        assert tables.order(order_id).findings.select("finding", "evidence").sort("finding").rows() == of_order.rows()


def test_what_a_slice_does_not_have_is_not_found_in_it(tables: qf.Dataset) -> None:
    with pytest.raises(ConfigError, match="Order 1002 is not among"):
        tables.only([1001]).order(1002)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("#77", r"2 orders are called #77: 1001, 1002\. Give the number of one\."),
        ("nothing", r"Order nothing is not among the 5 orders of .* \(searched: order number, .* SSCC\)\. Refetch it"),
        (5, r"Order 5 is in no table of .*seller_id of orders must be a whole number"),
    ],
)
def test_none_and_several_are_told(tables: qf.Dataset, wanted: int | str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tables.order(wanted)


def test_without_personal_values_tracking_numbers_are_not_found_and_it_is_said_why(built: Path) -> None:
    with pytest.raises(ConfigError, match=r"Tracking numbers cannot be found: the privacy of these is none\."):
        qf.order(built / "nameless", "TRACK-2")


def test_frames_in_memory_are_no_dataset() -> None:
    with pytest.raises(ConfigError, match="An order is shown from a dataset"):
        qf.order(qf.flatten([b'{"orderId":1}']), 1)


@pytest.mark.long
def test_the_text_of_an_order_has_its_promises_and_what_the_checks_saw(
    tables: qf.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = repr(tables.order(1001))
    assert re.search(r"^  to be delivered  2026-09-02 to 2026-09-03$", text, re.MULTILINE)
    assert re.search(r"^  to be shipped    by 2026-09-30$", text, re.MULTILINE)
    assert re.search(r"^  carrier          DHL$", text, re.MULTILINE)
    assert "error delivered_late: delivered on 2026-09-04, but the last day for it was 2026-09-03." in text
    assert "saw delivery_date 2026-09-04 " in text
    assert "latest_delivery_date 2026-09-03" in text
    assert text == "\n".join(line.rstrip() for line in text.splitlines())


@pytest.mark.long
def test_in_a_notebook_it_shows_findings_timeline_lines_and_units_and_no_personal_value(tables: qf.Dataset) -> None:
    page = tables.order(1001)._repr_html_()
    shown = html.unescape(re.sub(r"<[^>]+>", "|", page))
    for title in ("Order 1001", "Findings", "Dates (UTC)", "Timeline", "Lines", "Handling units"):
        assert f"|{title}|" in shown
    assert "|To be delivered by|" in shown
    assert "|It was shipped|" in shown
    assert "2 × A" in shown
    for personal in ("a@b.example", "1010", "Wien|"):
        assert personal not in shown.replace("|Wien|", "")
    assert "<script" not in page


@pytest.mark.long
def test_a_text_of_an_order_is_no_markup_in_a_notebook(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    change = {"orderStatus": hostile, "positions.0.sku": hostile, "handlingUnits.0.type": hostile}
    (tmp_path / "orders.ndjson").write_text(json.dumps(changed_order(change, 1)))
    tables = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)
    page = tables.order(1)._repr_html_()
    assert "<script" not in page
    assert html.escape(hostile) in page


@pytest.mark.long
def test_thresholds_and_accepted_findings_count(tables: qf.Dataset, tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("late_hours = 900\n")
    assert "delivered_late" in set(tables.order(1001).findings["check"])
    assert "delivered_late" not in set(qf.order(tables, 1001, limits=tmp_path / "limits.toml").findings["check"])
    (tmp_path / "agreed.toml").write_text(
        '[[accepted]]\nfinding = "delivered_late:1001/0/0"\nuntil = 2099-01-01\nbecause = "x"\n'
    )
    agreed = qf.order(tables, 1001, accepted=tmp_path / "agreed.toml").findings
    assert agreed.filter(pl.col("check") == "delivered_late")["status"].to_list() == ["accepted"]


@pytest.mark.long
def test_no_personal_and_no_secret_value_is_on_either_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text of the documented order is another one, which says what it is; findings are there as well."""
    monkeypatch.setenv("COLUMNS", "1000")
    (tmp_path / "orders.ndjson").write_text(json.dumps(with_canary_values(DOCUMENTED)))
    tables = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)
    order = tables.order(tables.orders["order_id"][0])
    classes = {
        str(value): column.privacy
        for name, table in TABLES.items()
        for column in table.columns
        for value in tables[name][column.name]
    }
    assert order.findings.height
    for face in (repr(order), html.unescape(order._repr_html_())):
        seen = set(re.findall(r"canary[\w.]*|free[.]\w*", face))
        assert seen
        assert {classes[value] for value in seen if value in classes} == {Privacy.NONE}
        hidden = [value for value, privacy in classes.items() if privacy is not Privacy.NONE and "canary" in value]
        assert len(hidden) > 20
        assert not [value for value in hidden if value in face]
    assert "canary.deliveryAddress.name1" in order.json()
