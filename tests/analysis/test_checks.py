"""Every check speaks when it should, only then, and never without the fields that it needs."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.standin.orders import lines
from tests.support.fair_order import CheckCase, audit_changed_order

CASE_MODULES = sorted(path.stem for path in (Path(__file__).parent / "check_cases").glob("[a-z]*.py"))
CASES: dict[str, CheckCase] = {}
for room in CASE_MODULES:
    CASES |= importlib.import_module(f"tests.analysis.check_cases.{room}").CASES


def test_every_check_has_its_cases() -> None:
    assert set(CASES) == set(CHECKS)


def test_nothing_is_found_in_a_fair_order() -> None:
    assert audit_changed_order().to_dicts() == []


@pytest.mark.parametrize("name", CASES)
def test_a_check_speaks(name: str) -> None:
    case = CASES[name]
    found = audit_changed_order(case.fires)
    mine = found.filter(check=name)
    assert mine["row_key"].to_list() == [case.row]
    assert set(found["check"]) == {name, *case.also}
    row = mine.row(0, named=True)
    assert (row["severity"], row["table"], row["reference"]) == (
        CHECKS[name].severity,
        CHECKS[name].table,
        CHECKS[name].reference,
    )
    assert row["message"].startswith(f"Order {row['order_id']}: ")
    assert row["message"].endswith(".")
    assert row["evidence"]


@pytest.mark.parametrize("name", CASES)
def test_a_check_is_quiet_about_what_is_nearly_the_same(name: str) -> None:
    assert audit_changed_order(CASES[name].quiet, only=[name]).to_dicts() == []


@pytest.mark.parametrize("name", CASES)
def test_a_check_is_silent_without_the_fields_that_it_needs(name: str) -> None:
    assert audit_changed_order(CASES[name].missing, only=[name]).to_dicts() == []


def test_the_same_tables_have_the_same_findings_in_the_same_order() -> None:
    tables = qf.flatten(list(lines(2_000, seed=6)))
    first, *others = (qf.audit(tables) for _ in range(4))
    assert first["check"].n_unique() > 25
    assert all(first.equals(other) for other in others)


def test_nothing_is_found_where_an_order_says_nothing_but_its_id() -> None:
    assert qf.audit(qf.flatten([b'{"orderId": 1}'])).to_dicts() == []


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_says_what_it_is(name: str) -> None:
    check = CHECKS[name]
    assert check.title.endswith(".")
    assert check.definition.endswith(".")
    assert check.limits.endswith(".")
    assert check.reference
