"""`quivo-frames changes`: a summary first, then the changes; a touch is none, and a file takes one line."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

import quivo_frames as qf
from quivo_frames.cli import main
from tests.support.archived_orders import NOON, record_answers
from tests.support.fair_order import changed_order

if TYPE_CHECKING:
    from collections.abc import Callable

Run = "Callable[..., Result]"
TOUCH = {"lastModified": "2026-09-07T12:00:00Z"}
LATER: dict[int, dict[str, Any]] = {
    1: TOUCH,
    2: TOUCH | {"orderStatus": "CHANGED"},
    3: TOUCH | {"orderStatus": "CHANGED", "positions.0.quantity": 9, "positions.1.quantity": 9},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command beside an archive of three orders: one was touched, two have changed."""
    monkeypatch.chdir(tmp_path)
    with qf.Archive("orders.sqlite") as archive:
        for hours, changes in enumerate(({1: {}, 2: {}, 3: {}}, LATER)):
            bodies = {number: json.dumps(changed_order(change, number)).encode() for number, change in changes.items()}
            record_answers(archive, bodies, NOON + timedelta(hours=hours))
    return lambda *words: CliRunner().invoke(main, words)


def test_that_quivo_touched_an_order_is_no_change(run: Run) -> None:
    found = qf.changes("orders.sqlite")
    assert found["order_id"].unique().to_list() == [2, 3]
    assert found.filter(column="last_modified")["order_id"].to_list() == [2, 3]  # beside other changes it stays
    assert qf.history("orders.sqlite", 1).is_empty()
    assert run("history", "1").stdout == "No changes\n"


def test_a_summary_by_table_and_field_comes_first(run: Run) -> None:
    head, *rest = run("changes").stdout.splitlines()
    assert head == "6 changes in 2 orders"
    summary = rest[: [line.startswith("Order") for line in rest].index(True)]
    rows = qf.changes("orders.sqlite").rows(named=True)
    counted = Counter(f"{row['kind']} {row['table']}.{row['column']}" for row in rows)
    assert [line.split(" in ")[0].split(maxsplit=1) for line in summary] == [
        [str(counted["changed order_positions.quantity"]), "changed  order_positions.quantity"],
        [str(counted["changed orders.order_status"]), "changed  orders.order_status"],
    ]
    assert [line.split(" in ")[1] for line in summary] == ["1 order", "2 orders"]


def test_a_file_of_changes_takes_one_line(run: Run) -> None:
    assert run("changes", "--out", "changes.csv").stdout == "Written: changes.csv, 6 changes in 2 orders\n"
    assert len(Path("changes.csv").read_text().splitlines()) == 7


def test_without_changes_that_is_all_that_is_said(run: Run) -> None:
    assert run("changes", "--since", "1s").stdout == "No changes\n"
