"""The report says what the frames say, nothing more, and always the same."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.report.charts import findings_by_warehouse
from quivo_frames.analysis.report.findings_summary import WORST_ROWS
from quivo_frames.analysis.report.report import report
from quivo_frames.analysis.report.sheets import UNKNOWN, format_percent
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES
from tests.support.fair_order import AS_OF, GONE, changed_order

if TYPE_CHECKING:
    from pathlib import Path

    from quivo_frames.analysis.checks.findings import Findings
    from quivo_frames.model.frames import Frames

SHIPMENT = "fulfillmentOrders.0.shipments.0"
NASTY = "</style></svg><script>alert(1)</script><img src=x onerror=\"alert('2')\">&amp;{{ 7 * 7 }}\x07"


class Page(HTMLParser):
    """A parsed page: its figures, its tables by caption, its text, its tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.attributes: list[tuple[str, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.figures: dict[str, str] = {}
        self.text = ""
        self._inside: list[tuple[str, str]] = []
        self._said: dict[str, str] = {}
        self._rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(name, value or "") for name, value in attrs]
        self._inside.append((tag, dict(attrs).get("class") or ""))
        self._said[tag] = ""
        if tag == "tr":
            self._rows.append([])
        elif tag == "table":
            self._rows = []

    def handle_data(self, data: str) -> None:
        for tag, _ in self._inside:
            self._said[tag] += data
        if not any(tag == "style" for tag, _ in self._inside):
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        while self._inside:
            ended, kind = self._inside.pop()
            if ended == tag:
                break
        if tag in ("th", "td"):
            self._rows[-1].append(self._said[tag].strip())
        elif tag == "table":
            self.tables[self._said["caption"]] = self._rows[1:]
        elif tag == "dd" and kind == "value":
            self.figures[self._said["dt"]] = self._said["dd"]


def fair_orders(*changes: dict[str, Any]) -> Frames:
    """Fair orders 1001, 1002, … with these changes."""
    return qf.flatten(
        [json.dumps(changed_order(change, 1001 + place)).encode() for place, change in enumerate(changes)]
    )


def short_shipment(shipped: int = 1) -> dict[str, Any]:
    return {f"{SHIPMENT}.positions.0.quantity": shipped}


LATE = {f"{SHIPMENT}.deliveryDate": "2026-09-09T10:00:00Z", f"{SHIPMENT}.podDate": "2026-09-09T11:00:00Z"}


def read_page(file: Path) -> Page:
    return Page(file.read_text(encoding="utf-8"))


def write_and_read_report(tables: Any, tmp_path: Path, **options: Any) -> tuple[Page, Findings]:
    findings = report(tables, tmp_path / "report.html", **{"as_of": AS_OF, **options})
    return read_page(tmp_path / "report.html"), findings


@pytest.mark.long
def test_the_numbers_are_those_of_the_frames(tmp_path: Path) -> None:
    tables = fair_orders(
        {}, short_shipment(), LATE, LATE | short_shipment(), {"completedAt": GONE, "fulfillmentOrders.0.shipments": []}
    )
    page, findings = write_and_read_report(tables, tmp_path)
    assert findings.equals(qf.audit(tables, AS_OF))
    kpis = qf.kpis(tables, as_of=AS_OF)
    errors = findings.filter(severity="error")
    of = errors["order_id"].n_unique() / 5
    assert page.figures == {
        "Orders": "5",
        "Errors": str(errors.height),
        "Orders with errors": format_percent(of),
        "Perfect orders": format_percent(kpis.perfect_order["rate"].item()),
        "On time": format_percent(kpis.on_time.filter(reference="latest_delivery_date")["rate"].item()),
        "Line fill rate": format_percent(kpis.fill_rate["line_rate"].item()),
        "Order to delivery": f"{kpis.cycle_time.filter(stage='order to delivery')['p50'].item():.1f}",
        "Open orders": str(kpis.about["backlog"]),
    }
    assert 0 < of < 1
    assert all(UNKNOWN not in value for value in page.figures.values())
    rates = {row[0]: row[1:4] for row in page.tables["Rates"]}
    fill = kpis.fill_rate.row(0, named=True)
    assert rates["Lines filled"] == [format_percent(fill["line_rate"]), str(fill["lines_filled"]), str(fill["lines"])]
    assert {name: int(number) for name, number in page.tables["Volume"]} == {
        name.replace("_", " ").capitalize(): number for name, number in kpis.volume.row(0, named=True).items()
    }


@pytest.mark.long
def test_groups_are_compared_by_their_kpis(tmp_path: Path) -> None:
    other = {"sellerId": 8, "sellerName": "Another"}
    tables = fair_orders({}, LATE, other, other, other)
    page, _ = write_and_read_report(tables, tmp_path)
    assert [row[0] for row in page.tables["By seller"]] == ["Another", "Seller"]  # the most orders first
    kpis = qf.kpis(tables, "seller", AS_OF)
    rates = dict(kpis.on_time.filter(reference="latest_delivery_date").select("seller", "rate").iter_rows())
    assert {row[0]: row[3] for row in page.tables["By seller"]} == {
        name: format_percent(rate) for name, rate in rates.items()
    }


@pytest.mark.long
def test_the_chart_of_days_shows_the_orders_of_the_kpi(tmp_path: Path) -> None:
    called_off = {"fulfillmentOrders.0.cancelled": True}
    rest_to_come = short_shipment() | {
        "completedAt": GONE, f"{SHIPMENT}.shipDate": "2026-10-08T12:00:00Z",
        f"{SHIPMENT}.deliveryDate": "2026-10-09T12:00:00Z",
    }  # fmt: skip
    tables = fair_orders({}, LATE, LATE, called_off, rest_to_come)
    page, _ = write_and_read_report(tables, tmp_path)
    taken = qf.kpis(tables, as_of=AS_OF).cycle_time.filter(stage="order to delivery").row(0, named=True)
    bars = page.tables["Orders by days from order to delivery"]
    assert taken["orders"] == 3
    assert sum(int(number) for _, number in bars) == taken["orders"]
    assert f"Half of the {taken['orders']} delivered orders arrived within {taken['p50']:.1f} days" in page.text


@pytest.mark.long
def test_each_check_is_told_with_its_first_rows_and_the_way_to_all(tmp_path: Path) -> None:
    number = WORST_ROWS + 3
    qf_tables = _build_fair_orders(tmp_path, [short_shipment() for _ in range(number)])
    page, findings = write_and_read_report(qf_tables, tmp_path, only=["short_shipped"])
    assert findings.height == number
    rows = page.tables[f"The worst {WORST_ROWS} of {number}"]
    assert [int(row[0]) for row in rows] == findings["order_id"].head(WORST_ROWS).to_list()
    assert rows[0][1:] == [
        "order_positions 1001/0",
        "1 of 2 pieces of A were shipped.",
        "ordered: 2, shipped: 1",
        f"{findings['value_at_risk'][0]:.2f} EUR",
    ]
    as_of = "2026-10-12T00:00:00+00:00"
    assert f"quivo-frames audit 'my tables' --as-of {as_of} --only short_shipped --out findings.csv" in page.text
    assert f"qf.audit(qf.open('my tables'), as_of='{as_of}', only=['short_shipped'])" in page.text
    assert "Left out, as requested: " in page.text
    assert str(tmp_path) not in page.text


def _build_fair_orders(tmp_path: Path, changes: list[dict[str, Any]], broken: int = 0) -> qf.Dataset:
    orders = [json.dumps(changed_order(change, 1001 + place)) for place, change in enumerate(changes)]
    lines = [*orders, *(json.dumps({"orderId": 9000 + n, "positions": "<b>none</b>"}) for n in range(broken))]
    (tmp_path / "orders.ndjson").write_text("\n".join(lines), encoding="utf-8")
    return qf.build(tmp_path / "orders.ndjson", tmp_path / "my tables")


@pytest.mark.long
def test_failures_and_notes_of_the_build_are_told(tmp_path: Path) -> None:
    tables = _build_fair_orders(tmp_path, [{"newField": 1}], broken=25)
    page, _ = write_and_read_report(tables, tmp_path)
    assert len(page.tables["Failures"]) == 20
    assert page.tables["Failures"][0][3] == tables.failures["message"][0]
    assert "5 more." in page.text
    assert "25 more failed in the build" in page.text
    assert page.tables["Notes"][0][0] == tables.notes["message"][0]


@pytest.mark.long
def test_what_comes_from_the_orders_is_text_only(tmp_path: Path) -> None:
    nasty = {
        "sellerName": f"Seller {NASTY}", "positions.0.sku": NASTY, "deliveryAddress.country": NASTY,
        "fulfillmentOrders.0.warehouseName": f"Warehouse {NASTY}", f"{SHIPMENT}.provider": f"Carrier {NASTY}",
        f"{SHIPMENT}.positions.0.sku": NASTY, **short_shipment(),
    }  # fmt: skip
    plain, _ = write_and_read_report(fair_orders(short_shipment() | {"deliveryAddress.country": "??"}), tmp_path)
    page, findings = write_and_read_report(fair_orders(nasty), tmp_path)
    assert "short_shipped" in set(findings["check"])
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert page.tags["svg"] == plain.tags["svg"]
    assert page.tags["style"] == 1
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert f"Seller {NASTY}" in page.text
    assert "alert(1)" in "".join(re.findall("<svg.*?</svg>", (tmp_path / "report.html").read_text(), re.DOTALL))


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    ["\0", "\b\f\n\r\t", "\x1e\x7f\x9b", "\u2028\u2029\ufeff", "\U0010ffff\uffff\ufdd0", "\ue000", "\u202eabc", "مرحبا", "日本語",
     "\\", '"', "{}", "null", "]]>--&amp;", "'+datum+'", "a" * 3000, "😀👩\u200d🔬"],
)  # fmt: skip
def test_any_name_can_be_drawn(name: str) -> None:
    found = pl.DataFrame({"warehouse": [name, None], "orders": 5, "error": [1, 2], "warning": [0, 1], "info": [3, 0]})
    picture = findings_by_warehouse(found)
    assert len(picture.drawings) == 2
    assert all(drawing.count("<title>") == 4 for drawing in picture.drawings)


@pytest.mark.long
def test_no_script_no_address_and_a_policy_that_forbids_both(tmp_path: Path) -> None:
    page, _ = write_and_read_report(fair_orders({}, LATE), tmp_path)
    assert not {"script", "iframe", "object", "embed", "image", "use", "form", "base"} & set(page.tags)
    addresses = [value for name, value in page.attributes if name in ("href", "src", "xlink:href", "action")]
    assert all(value.startswith("#") or value == "data:," for value in addresses)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in addresses if value.startswith("#")} <= set(ids)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert ("content", policy) in page.attributes
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text


@pytest.mark.long
def test_no_personal_value_is_in_the_file(tmp_path: Path) -> None:
    orders = qf.flatten([json.dumps(changed_order(change, 1001 + place)).encode() for place, change in enumerate(
        [{}, LATE, short_shipment(), {"entityErrors": [{"errorCode": "E", "errorMessage": "m"}], "piiDataRemoved": True,
                             "deliveryAddress.additionalIdentifiers": [{"identifier": "i", "type": "t"}],
                             "customAttributes": {"a": "b"}, "positions.0.customAttributes": {"a": "b"}}]
    )])  # fmt: skip
    hidden: list[str] = []
    marked = {}
    for name, table in TABLES.items():
        private = [column for column in table.columns if column.privacy is not Privacy.NONE]
        assert not private or not orders[name].is_empty(), f"{name} has no row to mark"
        values = {}
        for column in private:
            if column.dtype == pl.String:
                values[column.name] = pl.lit(f"canary-{name}-{column.name}")
                hidden.append(f"canary-{name}-{column.name}")
            else:
                values[column.name] = pl.lit(48.98765).cast(column.dtype)
                hidden.append("48.98765")
        marked[name] = orders[name].with_columns(**values)
    tables = qf.Frames(marked, orders.failures, orders.notes)
    assert len(hidden) > 30
    _, findings = write_and_read_report(tables, tmp_path)
    assert not findings.is_empty()
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert [canary for canary in hidden if canary in text] == []
    assert "holds no personal data" in text
    page, _ = write_and_read_report(tables, tmp_path, personal=True)
    assert "This page may hold personal data" in page.text
    assert "holds no personal data" not in page.text


@pytest.mark.long
def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    tables = fair_orders({}, short_shipment(), LATE)
    for name in ("one.html", "two.html"):
        report(tables, tmp_path / name, AS_OF)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@pytest.mark.long
def test_a_folder_gives_the_same_page_as_its_dataset(tmp_path: Path) -> None:
    dataset = _build_fair_orders(tmp_path, [{}, LATE], broken=1)
    by_dataset = report(dataset, tmp_path / "dataset.html", AS_OF)
    for name, folder in {"path.html": tmp_path / "my tables", "text.html": str(tmp_path / "my tables")}.items():
        assert report(folder, tmp_path / name, AS_OF).equals(by_dataset)
        assert (tmp_path / name).read_bytes() == (tmp_path / "dataset.html").read_bytes()


def test_tables_without_a_build_are_refused_in_a_sentence(tmp_path: Path) -> None:
    for tables, message in (
        (tmp_path / "nowhere", "nowhere is not a dataset of quivo_frames"),
        (dict(fair_orders({})), "failures and notes of a build, which a dict of frames does not have"),
        ([1], "This is a list"),
    ):
        with pytest.raises(ConfigError, match=message):
            report(tables, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_without_orders_it_says_so(tmp_path: Path) -> None:
    page, findings = write_and_read_report(qf.flatten([]), tmp_path)
    assert findings.is_empty()
    assert page.figures == {
        "Orders": "0", "Errors": "0", "Orders with errors": UNKNOWN, "Perfect orders": UNKNOWN, "On time": UNKNOWN,
        "Line fill rate": UNKNOWN, "Order to delivery": UNKNOWN, "Open orders": "0",
    }  # fmt: skip
    assert "but there is no finished order to judge" in page.text
    ran = findings.checks.filter(outcome="ran").height
    assert ran == sum(not check.needs for check in CHECKS.values())  # what needs a column has none here
    assert f"{ran} checks ran, and none found anything" in page.text
    assert "svg" not in page.tags
    assert page.text.count("Nothing to draw") == 5
    assert "No order failed" in page.text
    assert "nan" not in page.text.lower().split()
    assert "None" not in page.text


@pytest.mark.long
def test_of_an_order_that_says_nothing_but_its_id_nothing_is_made_up(tmp_path: Path) -> None:
    page, _ = write_and_read_report(qf.flatten([b'{"orderId": 1}']), tmp_path, as_of=None)
    assert page.figures["Orders"] == "1"
    assert page.figures["Perfect orders"] == UNKNOWN
    assert "Orders without a named seller" in page.text


@pytest.mark.long
def test_nothing_found_in_a_fair_order(tmp_path: Path) -> None:
    page, _ = write_and_read_report(fair_orders({}), tmp_path)
    assert "The most telling findings" not in page.text
    assert page.figures["Perfect orders"] == format_percent(1.0)
    assert "svg" in page.tags


@pytest.mark.long
def test_a_million_findings_do_not_make_it_longer(tmp_path: Path) -> None:
    few, _ = write_and_read_report(fair_orders(*[short_shipment()] * 20), tmp_path)
    many, findings = write_and_read_report(fair_orders(*[short_shipment()] * 400), tmp_path)
    assert findings.height >= 400
    assert len(many.text) < 1.05 * len(few.text)


@pytest.mark.parametrize(
    ("share", "told"),
    [(None, "–"), (0.0, "0.0 %"), (0.0001, "< 0.1 %"), (0.974, "97.4 %"), (0.9999, "> 99.9 %"), (1.0, "100.0 %")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share: float | None, told: str) -> None:
    assert format_percent(share).replace("\u00a0", " ") == told


def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    tables = fair_orders({})
    with pytest.raises(ConfigError, match="is a folder"):
        report(tables, tmp_path)
    with pytest.raises(ConfigError, match="there is no folder"):
        report(tables, tmp_path / "no" / "report.html")
    with pytest.raises(ConfigError, match="no check 'nothing'"):
        report(tables, tmp_path / "report.html", only=["nothing"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_without_what_draws_charts_it_says_what_to_install_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, package in (("altair", "altair"), ("vl_convert", "vl-convert-python")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(
                ConfigError, match=rf"^The report needs {package}\. .* pip install 'quivo-frames\[report\]'"
            ):
                report("no tables", tmp_path / "report.html")


@pytest.mark.long
def test_the_file_before_stays_when_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path as AnyPath

    file = tmp_path / "report.html"
    report(fair_orders({}), file, AS_OF)
    before = file.read_bytes()

    def refuse(self: Path, *args: Any, **kwargs: Any) -> int:
        with self.open("w") as half:
            half.write("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AnyPath, "write_bytes", refuse)
    with pytest.raises(ExportError, match=r"report\.html cannot be written: the disk is full\."):
        report(fair_orders(LATE), file, AS_OF)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.long
def test_thresholds_apply_to_the_audit_and_to_the_figures(tmp_path: Path) -> None:
    tables = fair_orders(LATE)
    (tmp_path / "mine.toml").write_text("late_hours = 240\n")
    strict, _ = write_and_read_report(tables, tmp_path)
    lenient, _ = write_and_read_report(tables, tmp_path, limits=tmp_path / "mine.toml")
    assert strict.figures["On time"] == format_percent(0.0)
    assert lenient.figures["On time"] == format_percent(1.0)
    assert ["late_hours", "240.0"] in [row[:2] for row in lenient.tables["Thresholds"]]


@pytest.mark.long
def test_the_rows_of_a_check_are_the_worst_and_each_leads_to_its_order_and_back(tmp_path: Path) -> None:
    number = WORST_ROWS + 4
    orders = [short_shipment() | {"positions.0.totalNetAmount": 100.0 + place} for place in range(number)]
    page, findings = write_and_read_report(fair_orders(*orders), tmp_path, only=["short_shipped"])
    rows = page.tables[f"The worst {WORST_ROWS} of {number}"]
    assert [int(row[0]) for row in rows] == list(range(1000 + number, 1000 + number - WORST_ROWS, -1))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    blocks = {
        int(n): block
        for n, block in re.findall(r'<article class="order" id="order-(\d+)"(.*?)</article>', text, re.DOTALL)
    }
    links = {int(n) for n in re.findall(r'<a href="#order-(\d+)">', text)}
    assert links == set(blocks) >= {int(row[0]) for row in rows}
    assert len(blocks) <= findings["check"].n_unique() * WORST_ROWS
    block = blocks[1000 + number]
    for said in ("S-1012", "Wien", "DHL", "To be delivered by", "2026-09-05", "2026-09-02</span> 12:00", "1 of 2 pieces of A were shipped.",
                 'href="#found-short_shipped"', 'href="#findings"', "2 lines"):  # fmt: skip
        assert said in block
    assert page.tables[f"Lines of order {1000 + number}"] == [["A", "2", "2", "1", "2"], ["B", "1", "1", "1", "1"]]


@pytest.mark.long
def test_checks_that_could_not_look_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = CHECKS["unknown_currency"]
    blind = dataclasses.replace(found, needs=("orders.shop_system",))
    monkeypatch.setitem(CHECKS, "unknown_currency", blind)
    page, findings = write_and_read_report(fair_orders(LATE), tmp_path)
    skipped = findings.checks.filter(outcome="skipped")["check"].to_list()
    assert "unknown_currency" in skipped
    assert "Checks that could not look" in page.text
    assert "unknown_currency: no order has orders.shop_system" in page.text
    assert "Needs: orders.shop_system." in page.text
    ran, told = len(CHECKS) - len(skipped), re.search(r"Of (\d+) checks", page.text)
    assert told
    assert int(told[1]) == ran


@pytest.mark.long
def test_the_page_says_what_is_new_since_the_last_audit(tmp_path: Path) -> None:
    tables = _build_fair_orders(tmp_path, [LATE])
    for said in (False, True):
        found = report(tables, tmp_path / "report.html")
        assert (f"0 new, {found.height} standing, 0 resolved since" in read_page(tmp_path / "report.html").text) is said
