"""The bounds of the checks of time: zones, tolerances, what was known when; compared with an independent audit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.checks.limits import Limits, read_limits
from tests.analysis.check_cases import chronology, service, tracing
from tests.support.fair_order import AS_OF, GONE, OTHER_UNIT, audit_changed_order, changed_order, evidence_text
from tests.support.independent_audit import LATE, expected_findings, orders_with_faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHIPMENT = "fulfillmentOrders.0.shipments.0"
CASES = chronology.CASES | service.CASES | tracing.CASES
VIENNA = Limits(time_zone="Europe/Vienna")


def check_speaks(check: str, changes: Any, **options: Any) -> bool:
    """Whether a check finds something in the fair order with these changes."""
    return not audit_changed_order(changes, only=[check], **options).is_empty()


def checks_speaking(changes: Any, fetched_at: datetime | None, **options: Any) -> set[str]:
    """Names of the checks that find something if the answer arrived at `fetched_at`."""
    each = changes if isinstance(changes, list) else [changes]
    tables = qf.flatten([json.dumps(changed_order(change, 1001 + n)).encode() for n, change in enumerate(each)])
    orders = tables["orders"].with_columns(fetched_at=pl.lit(fetched_at, tables["orders"].schema["fetched_at"]))
    return set(qf.audit({**tables, "orders": orders}, **options)["check"])


@pytest.mark.long
@pytest.mark.parametrize(
    ("check", "promise", "event", "day", "last_second"),
    [
        ("delivered_late", "latestDeliveryDate", "deliveryDate", "2026-09-05", "2026-09-05T21:59:59Z"),
        ("shipped_late", "latestShipDate", "shipDate", "2026-09-05", "2026-09-05T21:59:59Z"),
        ("delivered_late", "latestDeliveryDate", "deliveryDate", "2026-11-05", "2026-11-05T22:59:59Z"),  # winter time
    ],
)
def test_a_day_ends_at_midnight_in_its_zone(check: str, promise: str, event: str, day: str, last_second: str) -> None:
    first_of_next = (datetime.fromisoformat(last_second) + timedelta(seconds=1)).isoformat()
    in_time, late = ({promise: day, f"{SHIPMENT}.{event}": instant} for instant in (last_second, first_of_next))
    then: dict[str, Any] = {"as_of": "2026-12-01"}
    assert not check_speaks(check, in_time, limits=VIENNA, **then)
    assert check_speaks(check, late, limits=VIENNA, **then)
    assert not check_speaks(check, late, **then)  # in UTC it is still that day


@pytest.mark.parametrize(
    ("check", "promise", "event"),
    [
        ("delivered_early", "earliestDeliveryDate", "deliveryDate"),
        ("shipped_early", "earliestShipDate", "shipDate"),
    ],
)
def test_a_day_begins_at_midnight_in_its_zone(check: str, promise: str, event: str) -> None:
    day = {promise: "2026-09-05"}
    early, in_time = (day | {f"{SHIPMENT}.{event}": f"2026-09-04T{time}Z"} for time in ("21:59:59", "22:00:00"))
    assert check_speaks(check, early, limits=VIENNA)
    assert not check_speaks(check, in_time, limits=VIENNA)
    assert check_speaks(check, in_time)


@pytest.mark.parametrize("check", ["delivery_overdue", "shipping_overdue"])
def test_a_day_is_over_at_midnight_in_its_zone(check: str) -> None:
    day = {"latestDeliveryDate": "2026-09-05", "latestShipDate": "2026-09-05"}
    fires = service.CASES[check].fires
    changes = [change | day for change in (fires if isinstance(fires, list) else [fires])]
    assert not check_speaks(check, changes, as_of="2026-09-05T21:59:59Z", limits=VIENNA)
    assert check_speaks(check, changes, as_of="2026-09-05T22:00:00Z", limits=VIENNA)
    assert not check_speaks(check, changes, as_of="2026-09-05T23:59:59Z")


def test_the_message_tells_the_day_in_the_zone_and_the_evidence_the_instant() -> None:
    changes = {f"{SHIPMENT}.deliveryDate": "2026-09-05T22:30:00Z"}
    row = audit_changed_order(changes, only=["delivered_late"], limits=VIENNA).row(0, named=True)
    assert row["message"] == "Order 1001: delivered on 2026-09-06, but the last day for it was 2026-09-05."
    assert evidence_text(row["evidence"]) == (
        "delivery_date=2026-09-05 22:30 UTC, latest_delivery_date=2026-09-05, time_zone=Europe/Vienna"
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("check", "field", "just", "too_far"),
    [
        ("delivered_late", "deliveryDate", "2026-09-06T01:59:59Z", "2026-09-06T02:00:00Z"),
        ("shipped_late", "shipDate", "2026-09-04T01:59:59Z", "2026-09-04T02:00:00Z"),
        ("delivered_early", "deliveryDate", "2026-09-02T22:00:00Z", "2026-09-02T21:59:59Z"),
        ("shipped_early", "shipDate", "2026-08-31T22:00:00Z", "2026-08-31T21:59:59Z"),
        ("later_than_expected", "deliveryDate", "2026-09-04T19:00:00Z", "2026-09-04T19:00:01Z"),
        ("outside_window", "deliveryDate", "2026-09-04T20:00:00Z", "2026-09-04T20:00:01Z"),
        ("outside_window", "deliveryDate", "2026-09-04T06:00:00Z", "2026-09-04T05:59:59Z"),
    ],
)
def test_a_promise_may_be_missed_by_late_hours(check: str, field: str, just: str, too_far: str) -> None:
    two_hours = Limits(late_hours=2)
    assert not check_speaks(check, {f"{SHIPMENT}.{field}": just}, limits=two_hours)
    assert check_speaks(check, {f"{SHIPMENT}.{field}": just})
    assert check_speaks(check, {f"{SHIPMENT}.{field}": too_far}, limits=two_hours)


@pytest.mark.parametrize("end", [GONE, None])
@pytest.mark.parametrize(
    ("missing", "delivered", "words"),
    [
        ("Start", "2026-09-04T18:00:01Z", "after its window ended at 2026-09-04 18:00 UTC"),
        ("End", "2026-09-04T07:59:59Z", "before its window began at 2026-09-04 08:00 UTC"),
    ],
)
def test_one_end_of_a_window_is_enough(missing: str, delivered: str, words: str, end: object) -> None:
    changes = {f"{SHIPMENT}.deliveryWindow{missing}Time": end, f"{SHIPMENT}.deliveryDate": delivered}
    (message,) = audit_changed_order(changes, only=["outside_window"])["message"]
    assert words in message


@pytest.mark.long
@pytest.mark.parametrize(
    ("check", "field", "follows"),
    [
        ("exported_before_ordered", "exportedAt", "2026-09-01T08:00:00Z"),
        ("planned_before_exported", "fulfillmentOrders.0.fulfillmentOrderCreated", "2026-09-01T09:00:00Z"),
        ("shipped_before_planned", f"{SHIPMENT}.shipDate", "2026-09-01T10:00:00Z"),
        ("picked_up_before_planned", f"{SHIPMENT}.carrierPickUpDate", "2026-09-01T10:00:00Z"),
        ("delivered_before_shipped", f"{SHIPMENT}.deliveryDate", "2026-09-02T12:00:00Z"),
        ("delivered_before_pickup", f"{SHIPMENT}.deliveryDate", "2026-09-02T13:00:00Z"),
        ("pod_before_delivery", f"{SHIPMENT}.podDate", "2026-09-04T10:00:00Z"),
        ("completed_before_shipped", "completedAt", "2026-09-02T12:00:00Z"),
    ],
)
def test_clocks_may_differ_by_clock_minutes(check: str, field: str, follows: str) -> None:
    just = (datetime.fromisoformat(follows) - timedelta(minutes=15)).isoformat()
    too_far = (datetime.fromisoformat(follows) - timedelta(minutes=15, seconds=1)).isoformat()
    assert not check_speaks(check, {field: just})
    assert check_speaks(check, {field: too_far})
    assert not check_speaks(check, {field: follows}, limits=Limits(clock_minutes=0))
    assert check_speaks(check, {field: just}, limits=Limits(clock_minutes=0.5))


SHIPPED = {"shipments", "shipment_positions", "serial_numbers"}


@pytest.mark.long
@pytest.mark.parametrize("check", [name for name in CASES if CHECKS[name].table in SHIPPED])
def test_a_reversed_shipment_is_not_looked_at(check: str) -> None:
    fires: Any = CASES[check].fires
    *others, last = [fires] if isinstance(fires, dict) else fires
    assert not check_speaks(check, [*others, last | {f"{SHIPMENT}.reversed": True}])


def test_an_order_does_not_leave_with_a_reversed_shipment() -> None:
    changes = {
        "completedAt": "2026-09-02T11:00:00Z",
        "fulfillmentOrders.0.shipments.1": {"shipDate": "2026-09-02T10:00:00Z", "reversed": True},
    }
    assert check_speaks("completed_before_shipped", changes)


def test_what_was_shipped_just_before_it_was_cancelled_is_fine() -> None:
    wish = {"cancelRequestedAt": "2026-09-02T11:45:00Z"}
    assert not check_speaks("shipped_after_cancel_request", wish)
    assert check_speaks("shipped_after_cancel_request", wish, limits=Limits(clock_minutes=14))


WAITED = ["delivery_overdue", "shipping_overdue", "not_completed", "not_shipped", "pod_missing"]


@pytest.mark.long
@pytest.mark.parametrize("check", WAITED)
def test_an_old_answer_is_not_late_by_being_old(check: str) -> None:
    changes = CASES[check].fires
    assert checks_speaking(changes, AS_OF, as_of=AS_OF, only=[check]) == {check}
    assert checks_speaking(changes, datetime(2026, 9, 3, tzinfo=UTC), as_of=AS_OF, only=[check]) == set()


@pytest.mark.long
@pytest.mark.parametrize("check", WAITED)
def test_nothing_is_late_before_its_time(check: str) -> None:
    changes = CASES[check].fires
    assert checks_speaking(changes, AS_OF, as_of="2026-09-02", only=[check]) == set()
    assert checks_speaking(changes, None, as_of="2026-09-02", only=[check]) == set()


@pytest.mark.parametrize(
    ("check", "limits", "known_at"),
    [
        ("not_completed", Limits(complete_days=0.5), "2026-09-03T00:00:00Z"),
        ("not_shipped", Limits(ship_days=0.5), "2026-09-01T20:00:00Z"),
        ("pod_missing", Limits(pod_days=0.5), "2026-09-04T22:00:00Z"),
    ],
)
def test_time_to_wait_is_counted_to_the_second(check: str, limits: Limits, known_at: str) -> None:
    changes, just = CASES[check].fires, datetime.fromisoformat(known_at)
    assert checks_speaking(changes, just, limits=limits, only=[check]) == set()
    assert checks_speaking(changes, just + timedelta(seconds=1), limits=limits, only=[check]) == {check}


def test_proof_is_expected_of_a_carrier_that_mostly_gives_it() -> None:
    proven, unproven = CASES["pod_missing"].fires
    assert audit_changed_order([proven, unproven], only=["pod_missing"]).height == 1
    assert audit_changed_order([proven, unproven, unproven], only=["pod_missing"]).is_empty()
    assert (
        audit_changed_order([proven, unproven, unproven], only=["pod_missing"], limits=Limits(pod_share=0.3)).height
        == 2
    )


@pytest.mark.long
@pytest.mark.parametrize("fetched_at", [None, datetime(2026, 9, 7, tzinfo=UTC)])
def test_an_as_of_in_the_past_makes_nothing_the_future(fetched_at: datetime | None) -> None:
    assert checks_speaking([{}, OTHER_UNIT | {"lastModified": GONE}], fetched_at, as_of="2026-08-01") == set()


def test_the_future_is_named_field_by_field_in_each_table() -> None:
    far = "2027-01-01T00:00:00Z"
    paths = ["created", "completedAt", "fulfillmentOrders.0.fulfillmentOrderCreated", f"{SHIPMENT}.podDate"]
    found = audit_changed_order(dict.fromkeys(paths, far), only=["in_the_future"])
    then = "2027-01-01 00:00 UTC"
    assert dict(zip(found["table"], found["key"], strict=True)) == {
        "orders": "1001", "fulfillment_orders": "1001/0", "shipments": "1001/0/0",
    }  # fmt: skip
    (message,) = found.filter(table="orders")["message"]
    assert f"created {then}, completed_at {then}: later than 2026-10-12 00:00 UTC" in message
    assert not check_speaks("in_the_future", {f"{SHIPMENT}.podDate": far, f"{SHIPMENT}.reversed": True})


@pytest.mark.parametrize("known", ["deliveryDate", "podDate", "podDocuments"])
def test_what_is_delivered_or_proven_is_not_overdue(known: str) -> None:
    unknown = {f"{SHIPMENT}.{name}": GONE for name in ("deliveryDate", "podDate", "podDocuments") if name != known}
    assert not check_speaks("delivery_overdue", [{}, OTHER_UNIT | {"latestDeliveryDate": "2026-09-03"} | unknown])


@pytest.mark.parametrize("field", [f"{SHIPMENT}.shipDate", "latestDeliveryDate"])
def test_what_may_not_have_left_is_not_overdue(field: str) -> None:
    delivered, under_way = CASES["delivery_overdue"].fires
    assert check_speaks("delivery_overdue", [delivered, under_way])
    assert not check_speaks("delivery_overdue", [delivered, under_way | {field: GONE}])


def test_an_order_waits_to_be_completed_from_its_last_shipment_on() -> None:
    changes: dict[str, Any] = {"completedAt": GONE}
    assert check_speaks("not_completed", changes)
    for last in ({"shipDate": "2026-10-10T12:00:00Z"}, {"provider": "DHL"}):
        assert not check_speaks("not_completed", changes | {"fulfillmentOrders.0.shipments.1": last})


@pytest.mark.parametrize("check", ["not_shipped", "shipping_overdue", "completed_without_shipment"])
@pytest.mark.parametrize(
    "changes",
    [
        {"fulfillmentOrders.0.shipments": [{"provider": "DHL"}]},  # which may have left
        {"fulfillmentOrders.0.cancelled": True},
        {"cancelRequestedAt": "2026-09-01T11:00:00Z"},
    ],
)
def test_what_left_or_was_called_off_is_not_waited_for(check: str, changes: dict[str, Any]) -> None:
    fires: Any = CASES[check].fires
    assert not check_speaks(check, fires | changes)


@pytest.mark.parametrize("check", ["not_shipped", "shipping_overdue"])
def test_what_is_completed_is_not_waited_for(check: str) -> None:
    fires: Any = CASES[check].fires
    assert not check_speaks(check, fires | {"completedAt": "2026-09-06T12:00:00Z"})


@pytest.mark.parametrize("zone", ["Mars", "", "../UTC"])
def test_a_time_zone_that_does_not_exist_is_refused_first(zone: str, tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(f'time_zone = "{zone}"')
    ways: list[Callable[[], object]] = [lambda: Limits(time_zone=zone), lambda: read_limits(file)]
    for way in ways:
        with pytest.raises(qf.ConfigError, match=r"There is no time zone .*\. Write one such as Europe/Vienna"):
            way()


def test_a_tracking_number_is_told_once_a_shipment_and_only_to_those_who_ask() -> None:
    both: dict[str, Any] = {f"{SHIPMENT}.trackingNumbers": ["T1001", "T1001", "SECOND"]}
    changes = [both, both, {f"{SHIPMENT}.trackingNumber": "SECOND"}]
    found = audit_changed_order(changes, only=["tracking_twice"])
    assert found["key"].to_list() == ["1002/0/0", "1003/0/0"]
    assert [evidence_text(row) for row in found["evidence"]] == ["other_shipment=1001/0/0"] * 2
    assert not found["message"].str.contains("T1001|SECOND").any()
    asked = audit_changed_order(changes, only=["tracking_twice"], personal=True)
    assert [evidence_text(row).partition(", ")[2] for row in asked["evidence"]] == [
        "tracking_number=SECOND T1001", "tracking_number=SECOND",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["podDate", "podDocuments"])
def test_one_kind_of_proof_is_enough(kind: str) -> None:
    only = {f"{SHIPMENT}.{name}": GONE for name in ("podDate", "podDocuments") if name != kind}
    none = only | {f"{SHIPMENT}.{kind}": GONE}
    assert audit_changed_order([only, none], only=["pod_missing"])["key"].to_list() == ["1002/0/0"]


def test_empty_texts_are_no_serial_numbers() -> None:
    assert not check_speaks("serials_differ", {f"{SHIPMENT}.positions.0.serialNumbers": ["", None]})


def test_a_serial_number_twice_on_one_line_is_a_piece_less() -> None:
    changes = {f"{SHIPMENT}.positions.0.serialNumbers": ["1", "1"]}
    assert set(audit_changed_order(changes, only=["serial_twice", "serials_differ"])["check"]) == {"serials_differ"}


@pytest.mark.long
def test_an_independent_audit_finds_the_same() -> None:
    orders = orders_with_faults()
    tables = qf.flatten([json.dumps(order).encode() for order in orders])
    expected = expected_findings(orders)
    limits = Limits(time_zone="Europe/Vienna", late_hours=LATE / timedelta(hours=1))
    found = qf.audit(tables, only=expected, limits=limits)
    assert tables["orders"].height == len(orders)
    assert {name: set(found.filter(check=name)["key"]) for name in expected} == expected
    assert found.height == sum(map(len, expected.values()))
    assert set(expected) == {
        "delivered_late", "shipped_late", "later_than_expected", "outside_window", "tracking_twice", "serials_differ",
        "completed_without_shipment",
    }  # fmt: skip


def test_what_a_carrier_proves_and_reports_counts_for_shipments_that_name_it_otherwise() -> None:
    unnamed = {f"{SHIPMENT}.provider": GONE}
    undelivered = {f"{SHIPMENT}.deliveryDate": GONE, f"{SHIPMENT}.podDate": GONE, f"{SHIPMENT}.podDocuments": []}
    unproven = {f"{SHIPMENT}.podDate": GONE, f"{SHIPMENT}.podDocuments": []}
    both = ["delivery_overdue", "pod_missing"]
    by_name = audit_changed_order([{}, {}, OTHER_UNIT | unnamed | undelivered, unnamed | unproven], only=both)
    assert set(by_name.select("check", "order_id").rows()) == {("delivery_overdue", 1003), ("pod_missing", 1004)}
    nobody = unnamed | {f"{SHIPMENT}.providerName": "Somebody"}
    orders = [nobody, nobody, OTHER_UNIT | nobody | undelivered, nobody | unproven]
    assert audit_changed_order(orders, only=both).is_empty()
