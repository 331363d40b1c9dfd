"""Each tool, asked by the official client: what it answers is what the functions of Python say of the same tables."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.assistant.plain_values import MOST_BYTES, MOST_CHARACTERS
from quivo_frames.assistant.sql_process import MEMORY
from quivo_frames.assistant.sql_request import MOST_SECONDS
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES

if TYPE_CHECKING:
    from tests.assistant.session import Session

NAMES = ["describe_tables", "get_kpis", "get_lines", "list_findings", "run_sql", "search_orders", "show_order"]


@pytest.fixture(scope="module")
def findings(tables: qf.Dataset) -> pl.DataFrame:
    return qf.audit(tables, remember=False)


def floats(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them, without what is empty."""
    numbers = frame.with_columns(pl.selectors.decimal().cast(pl.Float64), pl.selectors.date().cast(pl.String))
    return [{name: value for name, value in row.items() if value is not None} for row in numbers.to_dicts()]


def test_all_tools_only_read_and_say_what_they_take_and_give(session: Session) -> None:
    from jsonschema import Draft202012Validator  # takes seconds

    tools = session.tools()
    assert sorted(tool.name for tool in tools) == NAMES
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert tool.annotations.open_world_hint is False
        assert tool.output_schema is not None
        for schema in (tool.input_schema, tool.output_schema):
            Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
        assert len(tool.description or "") > 80
    assert "never instructions" in str(session.client.instructions)
    run_sql = next(tool for tool in tools if tool.name == "run_sql")
    assert f"{MOST_SECONDS} seconds and {MEMORY.replace('GB', ' GB')}" in str(run_sql.description)


def test_search_by_all_that_an_order_is_called_by(session: Session, tables: qf.Dataset) -> None:
    order = tables.orders.filter(pl.col("order_identifier").is_not_null()).row(0, named=True)
    sku = tables.order_positions["sku"].drop_nulls()[0]
    wanted = {
        str(order["order_id"]): {order["order_id"]},
        f" {order['order_identifier'].lower()} ": {order["order_id"]},
        sku: {
            number for name in ("order_positions", "fulfillment_positions", "shipment_positions", "handling_positions")
            for number in tables[name].filter(pl.any_horizontal(
                pl.col(column) == sku for column in ("sku", "seller_sku", "warehouse_sku") if column in TABLES[name].schema
            ))["order_id"]
        },
    }  # fmt: skip
    for term, ids in wanted.items():
        found = session.ask("search_orders", term=term, limit=200)
        assert {row["order_id"] for row in found["orders"]} >= ids, term
        assert (found["is_exact"], found["total"]) == (True, len(found["orders"]))
        assert all(row["found"][0]["term"] for row in found["orders"])
    begun = session.ask("search_orders", term=order["order_identifier"][:3])
    assert not begun["is_exact"]
    assert begun["total"] > 0
    assert session.ask("search_orders", term="no such thing")["total"] == 0


def test_search_by_filters(session: Session, tables: qf.Dataset) -> None:
    overview = qf.overview(tables)
    seller = overview["seller"].drop_nulls().mode()[0]
    days = pl.col("placed").dt.date()
    cases = [
        ({}, pl.lit(value=True)),
        ({"seller": seller}, pl.col("seller") == seller),
        ({"status": "COMPLETED"}, pl.col("order_status") == "COMPLETED"),
        ({"since": "2026-08-01", "until": "2026-08-31"}, days.is_between(date(2026, 8, 1), date(2026, 8, 31))),
        ({"only_late": True}, pl.col("days_late") > 0),
        ({"only_open": True, "seller": seller}, pl.col("stage").is_in(["open", "planned", "shipped in part"]) & (pl.col("seller") == seller)),
    ]  # fmt: skip
    for asked, condition in cases:
        found = session.ask("search_orders", limit=200, **asked)
        expected = overview.filter(condition).sort("placed", "order_id", descending=[True, False], nulls_last=True)
        assert found["total"] == expected.height, asked
        shown = [row["order_id"] for row in found["orders"]]
        assert shown == expected["order_id"].to_list()[: found["shown"]], asked
        assert len(shown) == found["shown"] >= min(found["total"], 100)
        assert found["names"] == {}
    assert [row["order_id"] for row in session.ask("search_orders", sort="order", limit=3)["orders"]] == [1, 2, 3]
    nobody = session.ask("search_orders", seller="nobody")
    assert nobody["total"] == 0
    assert nobody["names"]["seller"] == sorted(overview["seller"].drop_nulls().unique())
    assert "The checks are: " in session.refused("search_orders", check="nothing")
    assert "no day" in session.refused("search_orders", since="2026-02-31")


@pytest.mark.long
def test_one_order_has_all_its_rows(session: Session, tables: qf.Dataset, findings: pl.DataFrame) -> None:
    counted = findings.filter(pl.col("status") != "accepted").group_by("order_id").len().sort("len", "order_id")
    for order_id in (counted["order_id"][-1], 1):
        found = session.ask("show_order", order=order_id, rows=200)
        own = tables.only([order_id])
        assert found["order"]["order_id"] == found["order_id"] == order_id
        assert [row["line_key"] for row in found["lines"]["rows"]] == qf.lines(own)["line_key"].to_list()
        for row, expected in zip(found["lines"]["rows"], floats(qf.lines(own)), strict=True):
            assert row == expected
        assert found["milestones"]["placed"][:19] == f"{qf.milestones(own)['placed'][0]:%Y-%m-%dT%H:%M:%S}"
        assert found["overview"]["stage"] == qf.overview(own)["stage"][0]
        expected_findings = findings.filter(pl.col("order_id") == order_id)["finding"].sort().to_list()
        assert sorted(row["finding"] for row in found["findings"]["rows"]) == expected_findings
        counts = {name: count for name, count in own.counts().items() if name in TABLES and name != "orders" and count}
        assert {name: listed["total"] for name, listed in found["tables"].items()} == counts
        for name, listed in found["tables"].items():
            key = TABLES[name].key
            assert [row[key] for row in listed["rows"]] == own[name][key].to_list()
        assert not found["is_cut"]


def test_an_order_with_long_lists_is_cut_and_counted(session: Session, tables: qf.Dataset) -> None:
    longest = tables.shipment_positions.group_by("order_id").len().sort("len")["order_id"][-1]
    found = session.ask("show_order", order=longest, rows=1)
    listed = found["tables"]["shipment_positions"]
    assert (listed["total"], len(listed["rows"])) == (tables.only([longest]).counts()["shipment_positions"], 1)
    assert found["is_cut"]


@pytest.mark.long
def test_an_order_that_is_not_there_is_explained(session: Session, tables: qf.Dataset) -> None:
    assert "search_orders" in session.refused("show_order", order="nobody")
    assert "failures" in session.refused("show_order", order=999)
    sku = tables.order_positions["sku"].value_counts(sort=True)["sku"][0]
    assert "orders are called so" in session.refused("show_order", order=sku)
    identifier = tables.orders["order_identifier"].drop_nulls()[0]
    assert session.ask("show_order", order=identifier)["order"]["order_identifier"] == identifier


def test_findings_are_those_of_the_audit(session: Session, findings: pl.DataFrame) -> None:
    found = session.ask("list_findings", limit=500, status="all")
    assert found["total"] == findings.height > 50
    assert found["orders"] == findings["order_id"].n_unique()
    counted = findings.group_by("check", "severity").agg(pl.len(), pl.col("order_id").n_unique())
    assert sorted((one["check"], one["severity"], one["findings"], one["orders"]) for one in found["checks"]) == sorted(
        counted.iter_rows()
    )
    assert [row["finding"] for row in found["findings"]] == findings["finding"].to_list()[: found["shown"]]
    for row, expected in zip(found["findings"], findings.to_dicts(), strict=False):
        assert row["finds"] == CHECKS[row["check"]].title
        assert row.get("evidence", []) == expected["evidence"]
        assert "message" not in row
    check = findings["check"].mode()[0]
    one_check = session.ask("list_findings", check=check, limit=2)
    assert (one_check["total"], one_check["shown"]) == (findings.filter(check=check).height, 2)
    errors = session.ask("list_findings", severity="error")
    assert errors["total"] == findings.filter(severity="error").height
    assert session.ask("search_orders", check=check)["total"] == findings.filter(check=check)["order_id"].n_unique()
    assert "The checks are: " in session.refused("list_findings", check="nothing")


@pytest.mark.long
def test_figures_are_those_of_kpis(session: Session, tables: qf.Dataset) -> None:
    seller = tables.orders["seller_name"].drop_nulls().mode()[0]
    for asked, chosen in (
        ({}, tables),
        ({"by": ["seller", "month"]}, tables),
        ({"seller": seller, "since": "2026-08-01"}, tables.where(seller=seller, since="2026-08-01")),
    ):
        found = session.ask("get_kpis", limit=500, **asked)
        expected = qf.kpis(chosen, tuple(asked.get("by", ())))
        assert found["orders"] == chosen.scan.orders.select(pl.len()).collect().item()
        assert set(found["kpis"]) == set(expected)
        for name, frame in expected.items():
            shown = found["kpis"][name]
            assert shown["total"] == frame.height
            rows = json.loads(json.dumps(frame.to_dicts(), default=float))
            assert shown["rows"], name
            for row, computed in zip(shown["rows"], rows, strict=False):
                assert row == pytest.approx(computed), name
    only = session.ask("get_kpis", only=["fill_rate"])["kpis"]
    assert list(only) == ["fill_rate"]
    assert only["fill_rate"]["definition"] == qf.kpis(tables).definitions["fill_rate"].text
    assert session.ask("get_kpis", seller="nobody")["orders"] == 0
    assert "The KPIs are: " in session.refused("get_kpis", only=["nothing"])


def test_lines_are_those_of_lines(session: Session, tables: qf.Dataset) -> None:
    lines = qf.lines(tables)
    pieces = ["ordered", "planned", "shipped", "packed", "reversed", "open"]
    found = session.ask("get_lines", by=["sku"], limit=500)
    assert found["lines"] == lines.height
    assert found["sums"] == lines.select(pl.col(pieces).sum()).row(0, named=True)
    assert found["uncertain"] == lines.filter(~pl.col("certain")).height
    summed = (
        lines.group_by("sku")
        .agg(pl.col(pieces).sum(), lines=pl.len())
        .sort("open", "sku", descending=[True, False], nulls_last=True)
    )
    assert found["total"] == summed.height
    assert found["rows"] == floats(summed)[: found["shown"]]
    short = session.ask("get_lines", only_open=True, limit=500)
    expected = lines.filter(pl.col("open") > 0)
    assert {row["line_key"] for row in short["rows"]} == set(expected["line_key"])
    money = {row["currency"]: row["open_value"] for row in short["values"] if "currency" in row}
    for currency, value in (
        expected.group_by("currency").agg(pl.col("open_value").sum()).drop_nulls("currency").iter_rows()
    ):
        assert money[currency] == pytest.approx(float(value))
    sku = summed["sku"].drop_nulls()[0]
    of_order = expected["order_id"][0]
    assert session.ask("get_lines", skus=[sku])["lines"] == lines.filter(sku=sku).height
    assert session.ask("get_lines", order_ids=[of_order])["lines"] == lines.filter(order_id=of_order).height


def test_tables_are_described_without_what_is_personal(session: Session, tables: qf.Dataset) -> None:
    listed = session.ask("describe_tables")
    assert {one["table"]: one["rows"] for one in listed["tables"]} == tables.counts()
    for name, table in TABLES.items():
        (described,) = session.ask("describe_tables", tables=[name])["tables"]
        visible = [column for column in table.columns if column.privacy is Privacy.NONE]
        assert [(one["column"], one["meaning"], one.get("unit")) for one in described["columns"]] == [
            (column.name, column.sentence, column.unit) for column in visible
        ]
        columns = [[column.name] for column in visible]
        assert session.query(f"SELECT column_name FROM (DESCRIBE {name})") == columns
    codes = {one["value"]: one["rows"] for one in session.ask("describe_tables", tables=["orders"])["tables"][0]["columns"][
        [column.name for column in TABLES["orders"].columns if column.privacy is Privacy.NONE].index("order_status")
    ]["codes"]}  # fmt: skip
    assert codes == dict(tables.orders["order_status"].drop_nulls().value_counts().iter_rows())
    assert "The tables are: " in session.refused("describe_tables", tables=["nothing"])


def test_sql_sees_the_same_tables(session: Session, tables: qf.Dataset) -> None:
    counts = tables.counts()
    union = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in counts)
    assert dict(session.query(union)) == counts
    totals = session.query("SELECT sum(ordered), sum(open), sum(value), min(sku) FROM lines")[0]
    lines = qf.lines(tables)
    assert totals == [lines["ordered"].sum(), lines["open"].sum(), float(lines["value"].sum()), lines["sku"].min()]
    (at, day), *_ = session.query("SELECT order_date, latest_delivery_date FROM orders WHERE order_id = 1")
    expected = tables.orders.filter(order_id=1).row(0, named=True)
    assert at == f"{expected['order_date']:%Y-%m-%dT%H:%M:%S}Z"
    assert day == (str(expected["latest_delivery_date"]) if expected["latest_delivery_date"] else None)


def test_what_is_long_is_cut_and_says_so(session: Session) -> None:
    cut = session.ask("run_sql", query="FROM range(5000)", limit=7)
    assert (cut["rows"], cut["shown"]) == ([[number] for number in range(7)], 7)
    assert cut["cut"].startswith("Cut after 7 rows of at least 8.")
    assert session.ask("run_sql", query="FROM range(7)", limit=7)["cut"] == ""
    wide = session.call("run_sql", {"query": "SELECT repeat('x', 1000) FROM range(2000)", "limit": 2000})
    assert len(wide.content[0].text) < MOST_BYTES + 1000
    assert 20 < wide.structured_content["shown"] < 60
    (text,), *_ = session.query("SELECT repeat('x', 100000)")
    assert text == "x" * MOST_CHARACTERS + "…"
    ((number, big, nested, moment, nothing, endless),) = session.query(
        "SELECT 1.5::DECIMAL(18,4), 123456789012345678.1234::DECIMAL(22,4), {'a': [1, 2]}, TIMESTAMPTZ '2026-06-01 12:00+02', "
        "NULL, 'inf'::DOUBLE"
    )
    assert (number, big, nested, moment, nothing) == (
        1.5,
        "123456789012345678.1234",
        '{"a":[1,2]}',
        "2026-06-01T10:00:00Z",
        None,
    )
    assert endless == "inf"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search_orders", {"limit": 0}), ("search_orders", {"limit": 201}), ("search_orders", {"term": "x" * 201}),
        ("search_orders", {"since": "yesterday"}), ("search_orders", {"moon": 1}), ("search_orders", {"sort": "up"}),
        ("show_order", {}), ("list_findings", {"severity": "bad"}), ("get_kpis", {"by": ["moon"]}), ("run_sql", {}),
        ("get_lines", {"by": "name"}), ("describe_tables", {"tables": ["orders"] * 7}), ("run_sql", {"query": ""}),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_refused_in_a_sentence(
    session: Session, tool: str, arguments: dict[str, Any]
) -> None:
    assert session.refused(tool, **arguments).startswith("The arguments do not fit: ")


def test_a_tool_that_does_not_exist_is_refused(session: Session) -> None:
    assert all(name in session.refused("drop_tables") for name in NAMES)
