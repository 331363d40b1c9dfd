"""The findings: a frame, worst first, with a summary; and values that are just within the bounds of a check."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from quivo_frames.analysis.checks.check import Severity
from quivo_frames.analysis.checks.findings import FINDINGS_SCHEMA, Findings
from quivo_frames.analysis.checks.limits import Limits
from tests.support.fair_order import OTHER_UNIT, audit_changed_order

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
