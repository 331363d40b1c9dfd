"""Damaged orders: never an exception, nothing lost, nothing changed silently. `make fuzz` runs more of them."""

from __future__ import annotations

import os
import random
from typing import Any

import polars as pl
import pytest

from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.frames import Frames
from tests.support import fuzz, independent_flattener
from tests.support.depth import examples
from tests.support.fuzz import find_broken_promises, fuzz_orders, shrink_order
from tests.support.mutations import ORDERS_MUTATED, mutated_order, unmutated_order

SEED = int(os.environ.get("FUZZ_SEED", "0"))
COUNT = int(os.environ.get("FUZZ_COUNT", examples(3000)))


@pytest.mark.long
@pytest.mark.drawn
def test_mutants_break_nothing() -> None:
    reports: list[str] = []
    finds = fuzz_orders(COUNT, SEED, report=lambda text: reports.append(str(text)))
    assert not finds, f"{len(finds)} finds, the first ones:\n\n" + "\n\n".join(reports[:5])


def test_a_mutant_is_the_same_each_time_whatever_came_before() -> None:
    first = [mutated_order(number, 5) for number in range(40)]
    random.seed(1)
    assert [mutated_order(number, 5) for number in reversed(range(40))] == first[::-1]
    assert len({mutated_order(3, seed) for seed in range(20)}) == 20


@pytest.mark.long
def test_mutants_are_of_all_sorts() -> None:
    bodies = [mutated_order(number, 1) for number in range(ORDERS_MUTATED)]
    frames = flatten(bodies)
    assert ORDERS_MUTATED / 5 < frames.orders.height < ORDERS_MUTATED * 4 / 5
    assert len(set(frames.failures["rule"])) > 5
    assert len(set(frames.notes["kind"])) > 7


@pytest.mark.long
def test_undamaged_orders_are_read_as_the_independent_flattener_reads_them() -> None:
    bodies = [unmutated_order(number, 4) for number in range(ORDERS_MUTATED)]
    assert find_broken_promises(bodies) == []
    assert sum(len(independent_flattener.read_order(body).cells) for body in bodies) == sum(
        frame.height for frame in flatten(bodies).values()
    )


def flatten_with_change(change: Any) -> Any:
    def changed(bodies: Any) -> Frames:
        frames = flatten(bodies)
        tables = dict(frames)
        change(tables)
        return Frames(tables, frames.failures, frames.notes)

    return changed


def _no_row(tables: Any) -> None:
    tables["serial_numbers"] = tables["serial_numbers"].head(-1)


def _no_value(tables: Any) -> None:
    tables["orders"] = tables["orders"].with_columns(currency=pl.lit(None, pl.String))


def _a_cent_more(tables: Any) -> None:
    cent = pl.lit("0.01").cast(pl.Decimal(18, 4))
    tables["order_positions"] = tables["order_positions"].with_columns(pl.col("total_net_amount") + cent)


def _an_hour_later(tables: Any) -> None:
    tables["orders"] = tables["orders"].with_columns(pl.col("created") + pl.duration(hours=1))


def _swapped_columns(tables: Any) -> None:
    frame = tables["orders"]
    tables["orders"] = frame.with_columns(seller_id="shop_id", shop_id="seller_id")


@pytest.mark.long
@pytest.mark.parametrize("change", [_no_row, _no_value, _a_cent_more, _an_hour_later, _swapped_columns])
def test_a_change_of_the_tables_is_found(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    bodies = [unmutated_order(number, 4) for number in range(1, 9)]
    monkeypatch.setattr(fuzz, "flatten", flatten_with_change(change))
    assert {find.promise for find in find_broken_promises(bodies)} <= {
        "each value stands in a cell", "each cell holds its value exactly", "each row is an object of the JSON",
    }  # fmt: skip
    assert find_broken_promises(bodies)


def test_an_exception_a_lost_order_and_a_name_in_a_message_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(bodies: Any) -> Frames:
        raise KeyError("x")

    def loses(bodies: Any) -> Frames:
        return flatten(bodies[:-1])

    def tells(bodies: Any) -> Frames:
        frames = flatten(bodies)
        return Frames(dict(frames), frames.failures.with_columns(pl.col("message") + " Ida Lund"), frames.notes)

    found = []
    for broken in (raises, loses, tells):
        monkeypatch.setattr(fuzz, "flatten", broken)
        found.append(
            {find.promise for find in find_broken_promises([b'{"orderId":1,"shopId":"x"}'], private=[{"Ida Lund"}])}
        )
    assert found == [{"raises"}, {"orders in = orders out + failures"}, {"no message tells a name or an address"}]


def test_a_find_is_made_small() -> None:
    body = shrink_order(unmutated_order(1, 0), lambda candidate: b'"currency"' in candidate)
    assert len(body) < 20
    assert b'"currency"' in body
