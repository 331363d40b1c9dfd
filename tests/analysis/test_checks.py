"""Every check finds what it should, nothing else, and nothing where the fields that it needs are missing."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECK_MODULES, CHECKS
from quivo_frames.analysis.checks.check import Check
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import ndjson_lines
from tests.support.depth import sampled
from tests.support.fair_order import AS_OF, CheckCase, audit_changed_order, changed_order

COUNTS = {
    "quantities": 13, "packing": 12, "chronology": 15, "service": 8, "tracing": 9, "money": 6, "writing": 1, "data": 6,
}  # fmt: skip
"""How many checks each module has: a check that is lost when code moves is noticed."""
CASE_MODULES = sorted(path.stem for path in (Path(__file__).parent / "check_cases").glob("[a-z]*.py"))
CASES: dict[str, CheckCase] = {}
for module_name in CASE_MODULES:
    CASES |= importlib.import_module(f"tests.analysis.check_cases.{module_name}").CASES


def test_every_check_has_its_cases() -> None:
    assert set(CASES) == set(CHECKS)


def test_every_module_has_all_its_checks() -> None:
    found = {
        module.__name__.rpartition(".")[2]: sum(isinstance(value, Check) for value in vars(module).values())
        for module in CHECK_MODULES
    }
    assert found == COUNTS
    assert len(CHECKS) == sum(COUNTS.values())


@pytest.mark.long
def test_nothing_is_found_in_a_fair_order() -> None:
    assert audit_changed_order().to_dicts() == []


@pytest.mark.parametrize("name", CASES)
def test_a_check_finds_its_row(name: str) -> None:
    case = CASES[name]
    found = audit_changed_order(case.fires, only=[name])
    assert found["key"].to_list() == [case.row]
    row = found.row(0, named=True)
    assert (row["severity"], row["table"], row["reference"]) == (
        CHECKS[name].severity,
        CHECKS[name].table,
        CHECKS[name].reference,
    )
    assert row["message"].startswith(f"Order {row['order_id']}: ")
    assert row["message"].endswith(".")
    assert row["evidence"]


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("name", sampled(CASES))
def test_no_other_check_finds_what_one_finds(name: str) -> None:
    assert set(audit_changed_order(CASES[name].fires)["check"]) == {name, *CASES[name].also}


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("name", sampled(CASES))
def test_a_check_finds_nothing_in_an_order_that_is_nearly_the_same(name: str) -> None:
    assert audit_changed_order(CASES[name].quiet, only=[name]).to_dicts() == []


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("name", sampled(CASES))
def test_a_check_finds_nothing_without_the_fields_that_it_needs(name: str) -> None:
    assert audit_changed_order(CASES[name].missing, only=[name]).to_dicts() == []


@pytest.mark.long
def test_the_same_tables_have_the_same_findings_in_the_same_order() -> None:
    tables = qf.flatten(list(ndjson_lines(2_000, seed=6)))
    first, *others = (qf.audit(tables) for _ in range(4))
    assert first["check"].n_unique() > 25
    assert all(first.equals(other) for other in others)


def test_nothing_is_found_where_an_order_says_nothing_but_its_id() -> None:
    assert qf.audit(qf.flatten([b'{"orderId": 1}'])).to_dicts() == []


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_needs_columns_that_there_are(name: str) -> None:
    for column in CHECKS[name].needs:
        table, _, own = column.partition(".")
        assert own in TABLES[table].schema, column


@pytest.mark.parametrize(
    ("name", "sku", "expected", "actual", "days_late"),
    [
        ("short_shipped", "A", 2, 1, None),
        ("over_shipped", "A", 2, 3, None),
        ("sent_again", "A", 2, 4, None),
        ("packed_not_shipped", "A", 2, 3, None),
        ("serials_differ", "A", 2, 1, None),
        ("line_discount", "A", 20, 18, None),
        ("gross_below_net", "B", 10, 9, None),
        ("too_light", None, 4.5, 4.2, None),
        ("delivered_late", None, None, None, 1),
        ("delivered_early", None, None, None, -1),
        ("not_completed", None, None, None, 25.5),  # shipped 39.5 days ago
        ("expired_lot_shipped", "A", None, None, 1),
        ("completed_before_shipped", None, None, None, 0.041667),  # an hour; days have six decimals
    ],
)
def test_a_finding_has_its_numbers(
    name: str, sku: str | None, expected: float | None, actual: float | None, days_late: float | None
) -> None:
    fires = CASES[name].fires
    assert isinstance(fires, dict)
    view = OrderView(qf.flatten([json.dumps(changed_order(fires)).encode()]), AS_OF)
    row = CHECKS[name].find_violations(view, Limits()).collect().row(0, named=True)
    assert (row["sku"], row["expected"], row["actual"]) == (sku, expected, actual)
    assert row["days_late"] == (None if days_late is None else pytest.approx(days_late))


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_has_title_definition_and_limits(name: str) -> None:
    check = CHECKS[name]
    assert check.title.endswith(".")
    assert check.definition.endswith(".")
    assert check.limits.endswith(".")
    assert check.reference


def test_tables_in_many_chunks_are_audited() -> None:
    """A filter leaves chunks empty, on which `pl.format` panics."""
    fine, wrong = (
        qf.flatten([json.dumps(changed_order(changes, 1001 + number)).encode() for number in range(3)])
        for changes in ({}, CASES["gross_below_net"].fires)
    )
    tables = {name: pl.concat([wrong[name], fine[name], wrong[name]], rechunk=False) for name in fine}
    assert tables["order_positions"]["sku"].n_chunks() == 3
    assert qf.audit(tables, only=["gross_below_net"]).height == 6


@pytest.mark.long
def test_a_dataset_is_audited_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(b"".join(ndjson_lines(200, seed=6)))
    built = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1)
    found = qf.audit(built)
    assert found.height > 0
    for given in (tmp_path / "tables", str(tmp_path / "tables"), dict(built)):
        again = qf.audit(given)
        assert again.drop("status").equals(found.drop("status"))
        assert set(again["status"]) == {"new" if isinstance(given, dict) else "standing"}


@pytest.mark.parametrize("given", [None, ["tables"], pl.DataFrame({"order_id": [1]})], ids=repr)
def test_what_are_no_tables_is_refused_in_a_sentence(given: Any) -> None:
    for function in (qf.audit, lambda tables: qf.join(tables, "shipments", "orders")):
        with pytest.raises(qf.ConfigError, match=r"^Give the tables: the folder of a dataset, .* This is .*\.$"):
            function(given)


def test_a_table_that_is_missing_is_named() -> None:
    tables = qf.flatten([b'{"orderId": 1}'])
    with pytest.raises(qf.ConfigError, match=r"There is no \w+ among the frames that were given: orders\."):
        qf.audit({"orders": tables.orders})


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(qf.ConfigError, match="is not a dataset of quivo_frames"):
        qf.audit(tmp_path)


@pytest.mark.parametrize("name", CHECKS)
def test_what_a_check_needs_are_columns_of_the_tables(name: str) -> None:
    columns = {f"{table.name}.{column.name}" for table in TABLES.values() for column in table.columns}
    assert {*CHECKS[name].needs} <= columns
