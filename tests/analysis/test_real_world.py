"""Fair orders set off no alarm, however their systems write them; a true fault beside each oddity is found."""

from __future__ import annotations

import functools
import importlib
import json
import random
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.milestones import OrderView
from tests.support.depth import examples, sampled
from tests.support.fair_order import AS_OF, CheckCase, changed_order
from tests.support.memory import grows_by_less_than
from tests.support.odd_orders import ODDITIES, draw_oddities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIMITS = Limits(services=("GIFT-*", "SHIPPING"), packs={"BOX6": 6})
CASES: dict[str, CheckCase] = {}
for module in sorted(path.stem for path in (Path(__file__).parent / "check_cases").glob("[a-z]*.py")):
    CASES |= importlib.import_module(f"tests.analysis.check_cases.{module}").CASES
FAULTS = {name: case.fires for name, case in CASES.items() if isinstance(case.fires, dict)}
SHIPMENT = "fulfillmentOrders.0.shipments.0"


def found_by_order(orders: Sequence[Mapping[str, Any]], first: int = 1001, **options: Any) -> dict[int, set[str]]:
    """The checks that find something in each of the fair orders with these changes."""
    bodies = [json.dumps(changed_order(changes, first + place)) for place, changes in enumerate(orders)]
    tables = qf.flatten(bodies)
    assert tables.failures.is_empty(), tables.failures["message"].to_list()
    found = defaultdict(set)
    for order_id, check in (
        qf.audit(tables, **{"as_of": AS_OF, "limits": LIMITS, **options}).select("order_id", "check").rows()
    ):
        found[order_id].add(check)
    return found


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("name", sampled(ODDITIES))
def test_a_fair_order_with_one_oddity_is_fair(name: str) -> None:
    oddity = ODDITIES[name]
    assert found_by_order([oddity.changes])[1001] == oddity.told


@pytest.mark.long
@pytest.mark.drawn
def test_fair_orders_with_all_oddities_are_fair() -> None:
    dice = random.Random(19)
    drawn = [draw_oddities(1001 + place, dice) for place in range(examples(2_000))]
    found = found_by_order([oddity.changes for oddity in drawn])
    wrong = {
        1001 + at: found[1001 + at] ^ oddity.told for at, oddity in enumerate(drawn) if found[1001 + at] != oddity.told
    }
    assert not wrong


@pytest.mark.long
@pytest.mark.drawn
def test_a_true_fault_among_oddities_is_found() -> None:
    dice = random.Random(20)
    checks = [dice.choice(list(FAULTS)) for _ in range(examples(2_000))]
    drawn = [draw_oddities(1001 + place, dice, FAULTS[check], check) for place, check in enumerate(checks)]
    found = found_by_order([oddity.changes for oddity in drawn])
    missed = {(at, check): drawn[at].changes for at, check in enumerate(checks) if check not in found[1001 + at]}
    assert not missed


@pytest.mark.long
@pytest.mark.parametrize(
    ("zone", "summer", "winter"),
    [("Europe/Vienna", 22, 23), ("Europe/London", 23, 0), ("Europe/Athens", 21, 22)],
)
def test_midnights_of_a_zone_are_days_if_most_of_a_column_are(zone: str, summer: int, winter: int) -> None:
    """Expected on 4 September, and on 4 December; delivered at 18:00 UTC on that day, or at noon on the day after."""
    orders = []
    for month, hour in (("09", summer), ("12", winter)):
        day_before = f"2026-{month}-{'04' if hour == 0 else '03'}"
        orders += [
            {
                f"{SHIPMENT}.expectedDeliveryDate": f"{day_before}T{hour:02}:00:00Z",
                f"{SHIPMENT}.deliveryDate": f"2026-{month}-{delivered}:00Z",
            }
            for delivered in ("04T18:00", "04T19:00", "05T12:00")
        ]
    options: dict[str, Any] = {"only": ["later_than_expected"], "as_of": None}
    assert set(found_by_order(orders, **options)) == {1003, 1006}
    if zone != "Europe/London":  # half of its midnights are those of UTC
        assert len(found_by_order(orders[:4], **options)) == 4  # too few to tell
    tables = qf.flatten([json.dumps(changed_order(changes, 1001 + place)) for place, changes in enumerate(orders)])
    on_time = qf.kpis(tables, on_time_against="expected_delivery_date").on_time
    assert on_time.filter(reference="expected_delivery_date").select("on_time", "late").row(0) == (4, 2)


def test_ten_orders_that_came_on_their_day_are_on_time() -> None:
    changes = {f"{SHIPMENT}.expectedDeliveryDate": "2026-09-04T00:00:00Z"}
    tables = qf.flatten([json.dumps(changed_order(changes, 1001 + place)) for place in range(10)])
    on_time = qf.kpis(tables, on_time_against="expected_delivery_date").on_time
    assert on_time.filter(reference="expected_delivery_date")["on_time"].item() == 10


def test_a_placeholder_is_no_date_in_kpis_and_stays_in_the_tables() -> None:
    none = {"orderDate": "0001-01-01T00:00:00Z", "created": "0001-01-01T00:00:00Z"}
    bodies = [json.dumps(changed_order(none if place == 0 else {}, 1001 + place)) for place in range(10)]
    tables = qf.flatten(bodies)
    assert tables.orders["order_date"][0].year == 1
    (count,) = tables.notes.filter(kind="placeholder_date", path="$.orderDate")["count"]
    assert count == 1
    fair, odd = (qf.kpis(qf.flatten(some)).cycle_time for some in (bodies[1:], bodies))
    stages = [frame.filter(pl.col("stage") == "order to ship") for frame in (fair, odd)]
    assert stages[0].equals(stages[1])


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({f"{SHIPMENT}.deliveryDate": "1970-01-01T00:00:00Z", "latestDeliveryDate": "2026-09-05"}, "pod_without_delivery"),
        (
            {"cancelRequestedAt": "0001-01-01T00:00:00Z", "fulfillmentOrders.0.shipments": [], "completedAt": None},
            "shipping_overdue",
        ),
        ({"positions.2": {"sku": "T-SHIRT", "quantity": 1}}, "never_shipped"),
        ({"positions.2": {"sku": "BOX6", "quantity": 2}, f"{SHIPMENT}.positions.2": {"sku": "BOX6", "quantity": 6}}, "short_shipped"),
        ({"positions.0.lot": "LOT-B"}, "other_lot_shipped"),
        ({"positions.1.unitNetPrice": 10.02, "positions.1.unitGrossPrice": 10.0}, "gross_below_net"),
        ({"piiDataRemoved": True, "deliveryAddress.name1": "Anna", "deliveryAddress.email": "-"}, "personal_data_left"),
        ({"deliveryAddress.country": "Osterland"}, "unknown_country"),
        ({f"{SHIPMENT}.positions.0.expirationDate": "2026-09-01"}, "expired_lot_shipped"),
        ({f"{SHIPMENT}.expectedDeliveryDate": "2026-09-03"}, "later_than_expected"),
        ({f"{SHIPMENT}.trackingNumber": "N/A", f"{SHIPMENT}.trackingNumbers": ["0"]}, "link_without_number"),
    ],
)  # fmt: skip
def test_the_true_fault_that_looks_like_an_oddity_is_found(changes: dict[str, Any], check: str) -> None:
    assert found_by_order([changes], only=[check])[1001] == {check}


@pytest.mark.parametrize("written", ["1001-a-0", "1001-A-0\u200b", " 1001-A-0"])
def test_a_serial_number_is_the_same_however_it_is_written(written: str) -> None:
    own = {f"{SHIPMENT}.{rows}.0.serialNumbers": [written, "other"] for rows in ("positions", "groupedPositions")}
    assert found_by_order([{}, own], only=["serial_twice"]) == {1002: {"serial_twice"}}


@pytest.mark.long
@pytest.mark.parametrize("place", ["services", "packs"])
def test_a_threshold_file_names_services_and_packs(tmp_path: Path, place: str) -> None:
    file = tmp_path / "limits.toml"
    file.write_text('services = ["A"]\n' if place == "services" else "[packs]\nA = 3\n")
    short = {"positions.0.quantity": 1, f"{SHIPMENT}.positions.0.quantity": 3}
    found = found_by_order([short], limits=file)[1001]
    assert ("over_shipped" in found) is (place == "services")
    file.write_text("[packs]\nA = 0\n")
    with pytest.raises(qf.ConfigError, match="packs: A is 0"):
        qf.audit(qf.flatten([b'{"orderId": 1}']), limits=file)


def order_of_lots(count: int) -> bytes:
    """An order of so many lines of one SKU, each with a lot of its own, planned, shipped and packed."""
    numbers = range(count)
    shipped = [
        {"sku": "A", "quantity": 1, "lot": f"X{n}", "positionIdentifier": f"L{n}", "serialNumbers": [f"S{n}"]} for n in numbers
    ]  # fmt: skip
    listed = [
        {"positionIdentifier": f"L{n}", "sku": "A", "quantity": 1, "lot": f"X{n}", "unitWeight": 1} for n in numbers
    ]
    grouped = [{"sellerSku": "A", "quantity": 1, "lot": f"X{n}"} for n in numbers]
    order = changed_order({
        "positions": listed, "fulfillmentOrders.0.positions": [{"sku": "A", "quantity": 1, "lot": f"X{n}"} for n in numbers],
        f"{SHIPMENT}.positions": shipped, f"{SHIPMENT}.groupedPositions": grouped[:-1],
        "handlingUnits.0.handlingPositions": [{"sku": "A", "quantity": 1, "positionIdentifier": f"L{n}"} for n in numbers],
    })  # fmt: skip
    return json.dumps(order).encode()


@functools.cache
def view_of_lots() -> OrderView:
    """10,000 such lines, matched: that is what all checks share, and others test."""
    view = OrderView(qf.flatten([order_of_lots(10_000)]), AS_OF)
    assert view.milestones.collect().height == 1
    assert view.matched_lines.collect().height == 10_000
    return view


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.parametrize("name", CHECKS)
def test_a_check_takes_memory_and_time_as_the_rows_of_an_order(name: str) -> None:
    view = view_of_lots()
    begun = time.monotonic()
    with grows_by_less_than(300):
        CHECKS[name].find_violations(view, LIMITS).collect()
    assert time.monotonic() - begun < 5
