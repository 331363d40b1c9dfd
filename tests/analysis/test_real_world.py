"""Fair orders set off no alarm, however their systems write them; a true fault beside each oddity is found."""

from __future__ import annotations

import importlib
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.limits import Limits
from tests.support.depth import examples
from tests.support.fair_order import AS_OF, CheckCase, changed_order
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


@pytest.mark.parametrize("name", ODDITIES)
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
