"""How ordered, planned, shipped and packed rows find the line that they belong to.

First in sketched orders, one for each rule; then compared with an independent implementation of the rules.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import cache
from typing import Any

import pytest

import quivo_frames as qf
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.standin.orders import order_json
from tests.support.independent_line_matching import expected_lines, line_facts
from tests.support.sketched_orders import COUNTS, SKETCHED_ORDERS, SKETCHES, Row, damage_order


def audit_lines(orders: list[Row]) -> list[Row]:
    tables = qf.flatten([json.dumps(order).encode() for order in orders])
    assert tables.failures.is_empty()
    return OrderView(tables).matched_lines.collect().to_dicts()


@cache
def found_in_sketches() -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for line in audit_lines([*SKETCHED_ORDERS.values()]):
        found.setdefault(line["order_id"], []).append(line)
    return found


@pytest.mark.parametrize("name", SKETCHES)
def test_sketched_orders_have_the_expected_lines(name: str) -> None:
    wanted = [text.split() for text in SKETCHES[name].lines.split(",")]
    found = [
        [line["sku"] or "-", *("?" if line[what] is None else str(line[what]) for what in COUNTS)]
        for line in found_in_sketches()[SKETCHED_ORDERS[name]["orderId"]]
    ]
    assert sorted(found) == sorted(wanted)


def test_the_independent_implementation_finds_the_same_in_sketched_orders() -> None:
    assert_same_lines([*SKETCHED_ORDERS.values()])


@pytest.mark.long
def test_both_implementations_agree_about_ordinary_orders() -> None:
    assert_same_lines([json.loads(order_json(500_000 + number, seed=3)) for number in range(1500)])


@pytest.mark.long
def test_both_implementations_agree_about_orders_that_lack_things_and_repeat_others() -> None:
    dice = random.Random(11)
    assert_same_lines([damage_order(json.loads(order_json(700_000 + number, seed=4)), dice) for number in range(3000)])


def assert_same_lines(orders: list[Row]) -> None:
    found: dict[int, Counter[tuple[Any, ...]]] = {order["orderId"]: Counter() for order in orders if "orderId" in order}
    for line in audit_lines(orders):
        found[line["order_id"]][line_facts(line)] += 1
    for order in orders:
        assert found[order["orderId"]] == expected_lines(order), json.dumps(order)
