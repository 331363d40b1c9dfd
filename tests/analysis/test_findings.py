"""The findings: a frame, worst first, with a summary; and values that are just within the bounds of a check."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.checks.check import Check, Severity, report_rows
from quivo_frames.analysis.checks.findings import FINDINGS_SCHEMA, Findings
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.milestones import OrderView
from tests.support.fair_order import AS_OF, GONE, OTHER_UNIT, audit_changed_order, changed_order, fair_order

WRONG: list[dict[str, Any]] = [
    {"currency": "EURO"},
    OTHER_UNIT
    | {"latestShipDate": "2026-09-01", "fulfillmentOrders.0.shipments.0.deliveryDate": "2026-09-02T18:00:00Z"},
    OTHER_UNIT | {"currency": "EURO", "cashOnDeliveryAmount": 5},
]
"""A warning; an error and an info; a warning and an error."""


def audit_wrong_orders() -> Findings:
    only = ("unknown_currency", "shipped_late", "delivered_early", "cash_without_currency", "sscc_twice")
    return audit_changed_order(WRONG, only=only)


@pytest.fixture(scope="module")
def wrong_findings() -> Findings:
    return audit_wrong_orders()


def test_findings_are_sorted_by_severity_and_what_has_a_value_at_risk_stands_first() -> None:
    assert audit_wrong_orders().select("severity", "check", "order_id").rows() == [
        ("error", "shipped_late", 1002),
        ("error", "cash_without_currency", 1003),
        ("warning", "unknown_currency", 1001),
        ("warning", "unknown_currency", 1003),
        ("info", "delivered_early", 1002),
    ]


def test_by_check_counts_and_gives_an_example_the_most_orders_of_a_severity_first() -> None:
    more = [*WRONG, OTHER_UNIT | {"latestShipDate": "2026-09-01"}]
    counted = audit_changed_order(more, only=["shipped_late", "cash_without_currency", "unknown_currency"]).by_check()
    assert counted.select("check", "findings", "orders").rows() == [
        ("shipped_late", 2, 2), ("cash_without_currency", 1, 1), ("unknown_currency", 2, 2),
    ]  # fmt: skip
    assert counted["example"][2] == "Order 1001: EURO is no code of a currency."


def test_findings_are_a_frame_and_count_by_severity() -> None:
    findings = audit_wrong_orders()
    assert isinstance(findings, pl.DataFrame)
    assert findings.schema == FINDINGS_SCHEMA
    assert findings.counts() == {Severity.ERROR: 2, Severity.WARNING: 2, Severity.INFO: 1}


def test_the_html_is_escaped_and_has_the_headline() -> None:
    shown = audit_changed_order({"currency": "<b>"})._repr_html_()
    assert "1 finding in 1 order, as of 2026-10-12 00:00 UTC" in shown
    assert "&lt;b&gt; is no code of a currency." in shown
    assert "<b> is" not in shown


@pytest.mark.parametrize(
    "fine",
    [
        {f"positions.0.{name}": -12 for name in ("unitGrossPrice", "totalGrossAmount")},  # a refund
        {"piiDataRemoved": True} | {f"{a}Address.name1": "000" for a in ("delivery", "invoice")} | {"deliveryAddress.email": ""},
        {"positions.0.unitWeight": 0},
        {"positions.0.totalWeight": 0},
    ],
)  # fmt: skip
def test_values_within_bounds_are_not_found(fine: dict[str, Any]) -> None:
    only = ["gross_below_net", "personal_data_left", "weight_total_differs"]
    assert audit_changed_order(fine, only=only).to_dicts() == []


@pytest.mark.long
def test_more_codes_can_be_accepted() -> None:
    changes = {"currency": "XBT", "deliveryAddress.country": "EU"}
    assert audit_changed_order(changes)["check"].to_list() == ["unknown_country", "unknown_currency"]
    assert audit_changed_order(changes, limits=Limits(currencies=("XBT",), countries=("EU",))).is_empty()
    assert audit_changed_order({"deliveryAddress.country": "XK"}, limits=Limits(countries=())).height == 1


SHIPMENT = "fulfillmentOrders.0.shipments.0"
SHORT = {f"{SHIPMENT}.positions.0.quantity": 1}
EURO = {"currency": "EURO"}


def audit_orders(*changes: dict[str, Any], **options: Any) -> Findings:
    orders = [json.dumps(changed_order(change, 1001 + place)).encode() for place, change in enumerate(changes)]
    return qf.audit(qf.flatten(orders), AS_OF, **options)


def test_a_finding_says_of_its_order_what_the_json_says() -> None:
    (row,) = audit_orders(SHORT, only=["short_shipped"]).to_dicts()
    assert row["finding"] == "short_shipped:1001/0"
    assert (row["order_identifier"], row["seller"], row["warehouse"], row["carrier"], row["currency"]) == (
        "S-1001", "Seller", "Wien", "DHL", "EUR",
    )  # fmt: skip
    assert {entry["name"]: entry["value"] for entry in row["evidence"]} == {"ordered": "2", "shipped": "1"}
    assert (row["status"], row["found_at"], row["first_seen"]) == ("new", AS_OF, AS_OF)


def test_the_warehouse_and_carrier_are_those_of_the_row_else_the_only_ones_of_the_order() -> None:
    second = copy.deepcopy(fair_order()["fulfillmentOrders"][0]) | {"warehouseId": 5, "warehouseName": "Graz"}
    second["shipments"][0] |= {"provider": None, "providerName": "A friend", "shipDate": "2026-09-04T00:00:00Z"}
    one = {"latestShipDate": "2026-09-01", "currency": "EURO"}
    two = one | {"fulfillmentOrders.1": second}
    found = audit_orders(one, two, two | {"warehouseId": 9}, only=["shipped_late", "unknown_currency"])
    places = {name: rest for name, *rest in found.select("finding", "warehouse", "carrier").iter_rows()}
    assert places["shipped_late:1001/0/0"] == ["Wien", "DHL"]
    assert places["shipped_late:1002/1/0"] == ["Graz", "unknown"]
    assert places["unknown_currency:1001"] == ["Wien", "DHL"]
    assert places["unknown_currency:1002"] == ["Wien", None]  # the order's own warehouse; two carriers
    assert places["unknown_currency:1003"] == ["9", None]


def probe(name: str, module: str, table: str, rows: list[dict[str, Any]], **options: Any) -> Check:
    """A check of a module that reports these rows."""

    def function(view: OrderView, limits: Limits) -> pl.LazyFrame:
        numbers = dict.fromkeys(("expected", "actual", "days"), pl.Float64)
        frame = pl.LazyFrame(rows, schema={"order_id": pl.Int64, "row": pl.String, "sku": pl.String} | numbers)
        return report_rows(
            frame, "row", "probed.", expected="expected", actual="actual", days_late=pl.col("days"), sku="sku"
        )

    function.__module__ = f"quivo_frames.analysis.checks.{module}"
    function.__name__ = name
    return Check(name, options.pop("severity", Severity.ERROR), table, "probe", function, **options)


def probed_row(order_id: int, row: str, **values: Any) -> dict[str, Any]:
    return {"order_id": order_id, "row": row, "expected": None, "actual": None, "days": None, "sku": None} | values


def audit_probes(monkeypatch: pytest.MonkeyPatch, *checks: Check, orders: int = 1, **options: Any) -> Findings:
    for check in checks:
        monkeypatch.setitem(CHECKS, check.name, check)
    return audit_orders(*[{}] * orders, only=[check.name for check in checks], **options)


@pytest.mark.parametrize(
    ("module", "table", "row", "severity", "value"),
    [
        ("quantities", "order_positions", probed_row(1001, "1001/0", expected=2, actual=1), Severity.ERROR, 10),
        ("quantities", "order_positions", probed_row(1001, "1001/0"), Severity.ERROR, 20),
        ("quantities", "shipment_positions", probed_row(1001, "1001/0/0/1", sku="B"), Severity.ERROR, 10),
        ("quantities", "shipment_positions", probed_row(1001, "1001/0/0/1", sku="C"), Severity.ERROR, None),
        ("service", "shipments", probed_row(1001, "1001/0/0", days=2), Severity.ERROR, 30),
        ("chronology", "orders", probed_row(1001, "1001"), Severity.WARNING, 30),
        ("tracing", "shipment_positions", probed_row(1001, "1001/0/0/0", sku="A", expected=2, actual=1), Severity.ERROR, 20),
        ("service", "shipments", probed_row(1001, "1001/0/0", days=2), Severity.INFO, None),
        ("data", "orders", probed_row(1001, "1001"), Severity.ERROR, None),
        ("money", "order_positions", probed_row(1001, "1001/0", expected=2, actual=1), Severity.ERROR, None),
        ("packing", "handling_units", probed_row(1001, "1001/0"), Severity.ERROR, None),
    ],
)  # fmt: skip
def test_the_value_at_risk_is_that_of_the_pieces_the_line_or_the_order(
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    table: str,
    row: dict[str, Any],
    severity: Severity,
    value: float | None,
) -> None:
    found = audit_probes(monkeypatch, probe("probe", module, table, [row], severity=severity))
    assert found["value_at_risk"].to_list() == [value]
    assert found.schema == FINDINGS_SCHEMA


def test_the_worst_stands_first_whatever_its_check_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    late = probe("late", "service", "shipments", [
        probed_row(1001, "1001/0/0", days=1), probed_row(1002, "1002/0/0", days=9), probed_row(1003, "1003/0/0"),
    ])  # fmt: skip
    short = probe("short", "quantities", "order_positions", [
        probed_row(1001, "1001/0", expected=2, actual=1), probed_row(1003, "1003/0"), probed_row(1002, "1002/1"),
    ])  # fmt: skip
    warning = probe("warned", "service", "orders", [probed_row(1001, "1001", days=99)], severity=Severity.WARNING)
    found = audit_probes(monkeypatch, warning, short, late, orders=3)
    assert found["finding"].to_list() == [
        "late:1002/0/0", "late:1001/0/0", "late:1003/0/0", "short:1003/0", "short:1001/0", "short:1002/1", "warned:1001",
    ]  # fmt: skip


def test_of_equals_the_older_order_stands_first() -> None:
    changes = [EURO | {"orderDate": f"2026-09-01T0{hour}:00:00Z"} for hour in (8, 6, 7)]
    assert audit_orders(*changes, only=["unknown_currency"])["order_id"].to_list() == [1002, 1003, 1001]


def test_rows_of_several_tables_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = probe("probe", "service", "orders", [probed_row(1001, "1001/0")])

    def function(view: OrderView, limits: Limits) -> pl.LazyFrame:
        rows = own.function(view, limits)
        tables = ("orders", "order_positions", "handling_units")
        return pl.concat([rows.with_columns(table=pl.lit(name)) for name in tables])

    found = audit_probes(monkeypatch, Check("probe", Severity.ERROR, "orders", "probe", function))
    assert sorted(found["finding"]) == ["probe:1001/0", "probe:handling_units/1001/0", "probe:order_positions/1001/0"]


def test_a_check_whose_columns_are_filled_in_no_order_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ("shipments.pod_date", "orders.latest_delivery_date")
    looked = probe("looked", "service", "orders", [], needs=needs)
    blind = probe("blind", "service", "orders", [], needs=(*needs, "orders.shop_system"))
    never_both = probe("never_both", "service", "orders", [], needs=needs)
    for check in (looked, blind):
        monkeypatch.setitem(CHECKS, check.name, check)
    no_pod = {f"{SHIPMENT}.podDate": GONE}
    found = audit_orders({}, {}, no_pod, only=["looked", "blind", "unknown_currency"])
    runs = {name: rest for name, *rest in found.checks.select("check", "outcome", "reason", "judged").iter_rows()}
    assert runs == {
        "looked": ["ran", None, 2],
        "blind": ["skipped", "no order has orders.shop_system", 0],
        "unknown_currency": ["ran", None, 3],
    }
    assert str(found).splitlines()[1:] == ["Skipped: blind (no order has orders.shop_system)"]
    assert found.facts()["skipped"] == {"blind": "no order has orders.shop_system"}
    assert "Skipped: blind" in found._repr_html_()
    monkeypatch.setitem(CHECKS, "never_both", never_both)
    apart = audit_orders(no_pod, {"latestDeliveryDate": GONE}, only=["never_both"])
    assert apart.checks["reason"].to_list() == ["no order has all of shipments.pod_date, orders.latest_delivery_date"]


def test_many_skipped_checks_are_told_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = [probe(f"blind_{n}", "service", "orders", [], needs=("orders.shop_system",)) for n in range(9)]
    assert str(audit_probes(monkeypatch, *blind)).endswith("blind_5 (no order has orders.shop_system), and 3 more")


@pytest.mark.long
def test_only_new_leaves_out_what_stands_and_knows_checks(tmp_path: Any) -> None:
    (tmp_path / "orders.ndjson").write_text(json.dumps(changed_order(EURO | {"latestDeliveryDate": "2026-09-03"})))
    tables = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)
    assert "new" not in CHECKS
    assert qf.audit(tables, only=["new", "unknown_currency"])["check"].to_list() == ["unknown_currency"]
    assert set(qf.audit(tables, only=["new"])["check"]) == {"delivered_late"}
    assert qf.audit(tables, only=["new"]).is_empty()


IN_PLACE = {"extend", "insert_column", "replace_column", "deserialize"}
"""Methods that change the frame itself, and the one that makes a frame of a file."""
NO_LISTS = {
    "join_asof",
    "transpose",
    "corr",
    "interpolate",
    "product",
    "quantile",
    "upsample",
    "to_pandas",
    "glimpse",
    "iter_slices",
    "partition_by",
}
"""Methods that do not work on frames with texts and lists, or return several frames."""
ARGUMENTS: dict[str, Callable[[pl.DataFrame], tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "bottom_k": lambda _: ((1,), {"by": "order_id"}), "top_k": lambda _: ((1,), {"by": "order_id"}),
    "cast": lambda _: (({"order_id": pl.Int32},), {}), "explode": lambda _: (("evidence",), {}),
    "fill_nan": lambda _: ((0,), {}), "fill_null": lambda _: ((0,), {}), "gather": lambda _: (([0],), {}),
    "gather_every": lambda _: ((2,), {}), "hstack": lambda f: (([f["order_id"].alias("again")],), {}),
    "join": lambda f: ((f.select("finding"),), {"on": "finding"}),
    "join_where": lambda f: ((f.select(other="order_id"), pl.col("order_id") < pl.col("other")), {}),
    "map_columns": lambda _: (("sku", lambda column: column), {}), "map_rows": lambda _: ((lambda row: row[:1],), {}),
    "match_to_schema": lambda f: ((f.schema,), {}), "merge_sorted": lambda f: ((f, "order_id"), {}),
    "pivot": lambda _: (("severity",), {"index": "check", "values": "order_id", "aggregate_function": "first"}),
    "remove": lambda _: ((pl.col("order_id") < 0,), {}), "rename": lambda _: (({"sku": "article"},), {}),
    "select": lambda _: (("check",), {}), "select_seq": lambda _: (("check",), {}), "set_sorted": lambda _: (("order_id",), {}),
    "slice": lambda _: ((0, 1), {}), "sort": lambda _: (("order_id",), {}), "sql": lambda _: (("select * from self",), {}),
    "to_dummies": lambda _: (("severity",), {}), "unique": lambda _: (("order_id",), {}), "unnest": lambda f: (([],), {}), "unpivot": lambda _: ((["sku"],), {}),
    "unstack": lambda _: ((), {"step": 2, "columns": "check"}), "update": lambda f: ((f.select("sku"),), {}),
    "vstack": lambda f: ((f.clone(),), {}),
}  # fmt: skip


def methods_that_return_frames() -> list[str]:
    found = []
    for name in dir(pl.DataFrame):
        member = inspect.getattr_static(pl.DataFrame, name)
        function = getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(function):
            returned = str(inspect.signature(function).return_annotation)
            found += [name] if "DataFrame" in returned else []
    return found


@pytest.mark.parametrize("name", sorted({*methods_that_return_frames()} - IN_PLACE - NO_LISTS))
def test_what_is_derived_from_findings_is_a_frame_and_shows_its_rows(name: str, wrong_findings: Findings) -> None:
    findings = wrong_findings
    arguments, options = ARGUMENTS.get(name, lambda _: ((), {}))(findings)
    derived = getattr(findings, name)(*arguments, **options)
    assert type(derived) is pl.DataFrame
    assert str(derived).startswith("shape: (")
    assert "<table" in derived._repr_html_()
    assert str(findings).startswith("5 findings in ")


def test_parts_of_findings_are_frames() -> None:
    findings = audit_wrong_orders()
    parts = [findings[:2], findings[["check", "sku"]], findings[0:2, ["check"]], *findings.partition_by("check"),
             *findings.iter_slices(2), copy.copy(findings), findings.lazy().collect(), findings.group_by("check").len(),
             pl.concat([findings, findings])]  # fmt: skip
    assert {type(part) for part in parts} == {pl.DataFrame}


def test_other_objects_with_a_face_give_frames_of_rows() -> None:
    tables = qf.flatten([json.dumps(changed_order({})).encode()])
    kpis = qf.kpis(tables)
    for whole, part in (
        (tables, tables["orders"]),
        (tables, tables.orders.head(1)),
        (kpis, kpis.fill_rate),
        (kpis, kpis["volume"]),
    ):
        assert not str(whole).startswith("shape: (")
        assert type(part) is pl.DataFrame
        assert str(part).startswith("shape: (")
