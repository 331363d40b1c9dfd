"""`quivo-frames show`: one order, a list of several, and its history."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

import quivo_frames as qf
from quivo_frames.cli import main
from tests.support.archived_orders import NOON, record_answers
from tests.support.fair_order import changed_order

if TYPE_CHECKING:
    from collections.abc import Callable

Run = "Callable[..., Result]"
CANARY = "canary@secret.example"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two orders with the same reference, one of them refetched with another status."""
    folder = tmp_path_factory.mktemp("show")
    change = {"orderReference": "#77", "latestDeliveryDate": "2026-09-03", "deliveryAddress.email": CANARY}
    change |= {"exportedAt": "2026-09-01T09:00:00.123456Z"}
    with qf.Archive(folder / "orders.sqlite") as archive:
        for hours, status in enumerate(("PROCESSING", "COMPLETED")):
            orders = {order_id: changed_order(change | {"orderStatus": status}, order_id) for order_id in (1001, 1002)}
            answers = {order_id: json.dumps(order).encode() for order_id, order in orders.items()}
            record_answers(archive, answers, NOON + timedelta(hours=hours))
    qf.build(folder / "orders.sqlite", folder / "tables", jobs=1, progress=False)
    return folder


@pytest.fixture
def run(work: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(work)

    def run(*words: str, width: int = 100) -> Result:
        return CliRunner().invoke(main, ["show", *words], env={"COLUMNS": str(width)})

    return run


@pytest.mark.long
def test_an_order_is_shown_by_its_identifier_with_findings_and_what_was_seen(run: Run) -> None:
    done = run("S-1001")
    assert done.exit_code == 0
    assert done.stdout == run("1001").stdout
    assert re.search(r"to be delivered .*2026-09-03", done.stdout)
    assert "error delivered_late: delivered on 2026-09-04, but the last day for it was 2026-09-03." in done.stdout
    assert "saw delivery_date 2026-09-04" in done.stdout
    assert CANARY not in done.stdout


def test_several_orders_are_a_list_without_a_fault(run: Run) -> None:
    done = run("#77")
    assert done.exit_code == 0
    assert done.stdout.startswith("2 orders have #77. Give the number of one:\n")
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("100")]
    assert rows == [
        ["1001", "order", "reference", "S-1001", "COMPLETED", "2026-09-01"],
        ["1002", "order", "reference", "S-1002", "COMPLETED", "2026-09-01"],
    ]
    assert [hit["order_id"] for hit in json.loads(run("#77", "--json").stdout)] == [1001, 1002]


def test_nothing_found_says_what_was_searched(run: Run) -> None:
    done = run("4712")
    assert done.exit_code == 2
    assert "Order 4712 is not among the 2 orders of tables (searched: order number, order identifier, " in done.stderr


def test_no_instant_has_a_fraction_of_a_second(run: Run) -> None:
    shown = run("1001").stdout
    assert "2026-09-01 09:00:00  " in shown
    assert not re.search(r":\d\d\.\d", shown)


@pytest.mark.long
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_page_is_as_wide_as_the_terminal(run: Run, width: int) -> None:
    shown = run("1001", width=width).stdout.splitlines()
    assert max(map(len, shown)) <= width
    times = [line for line in shown if re.match(r"  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line)]
    assert len(times) > 5  # no instant is broken


@pytest.mark.long
def test_the_history_comes_from_the_archive(run: Run) -> None:
    done = run("1001", "--history")
    assert done.exit_code == 0
    page, _, told = done.stdout.partition("\nHistory\n")
    assert page.rstrip() == run("1001").stdout.rstrip()
    assert "~ orders.order_status: PROCESSING -> COMPLETED" in told
    assert CANARY not in told
    assert run("1001", "--history", "--archive", "none.sqlite").exit_code == 2
    assert run("1001", "--history", "--json").exit_code == 2


def test_the_whole_order_is_printed_as_json(run: Run) -> None:
    assert json.loads(run("S-1002", "--json").stdout)["deliveryAddress"]["email"] == CANARY
