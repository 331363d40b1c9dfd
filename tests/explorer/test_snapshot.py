"""What a page shows is of one state of the tables, also while they are rebuilt; of a slice, of its orders alone."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import requests

import quivo_frames as qf
from quivo_frames.explorer.explore import explore
from quivo_frames.explorer.snapshot import ExplorerOptions, Snapshot, SnapshotKeeper
from quivo_frames.standin.orders import order_json

if TYPE_CHECKING:
    from pathlib import Path

STATES = {"Erstling": range(100_001, 100_041), "Zweitling": range(100_021, 100_091)}


def write_orders(folder: Path, state: str) -> Path:
    file = folder / "orders.ndjson"
    marked = (
        order_json(order_id).replace(b'"sellerName":"', b'"sellerName":"' + state.encode() + b" ", 1)
        for order_id in STATES[state]
    )
    file.write_bytes(b"\n".join(marked))
    return file


def state_of(page: str) -> set[str]:
    """The states that a page of orders shows something of: in its rows, and in its numbers."""
    shown = {state for state in STATES if f"{state} " in page.partition("<main")[2]}
    counts = {int(found) for found in re.findall(r"(\d+) orders in, ", page)}
    return shown | {state for state, ids in STATES.items() if len(ids) in counts}


@pytest.mark.long
def test_fifty_requests_at_once_while_the_tables_are_rebuilt_see_one_state_each(tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    qf.build(write_orders(tmp_path, "Erstling"), tables, jobs=1)
    over = threading.Event()

    def rebuild() -> None:
        try:
            for state in ("Zweitling", "Erstling", "Zweitling"):
                qf.build(write_orders(tmp_path, state), tables, jobs=1, progress=False)
        finally:
            over.set()

    with explore(tables) as explorer, ThreadPoolExecutor(50) as pool, requests.Session() as browser:
        base = explorer.address.partition("/enter")[0]
        browser.get(explorer.address)
        cookies = dict(browser.cookies)
        builder = threading.Thread(target=rebuild)
        builder.start()
        answers: list[requests.Response] = []
        while not over.is_set():
            paths = ["/orders", "/orders?sort=id", "/orders/100030", "/orders?late=1", "/lines"] * 10
            answers += pool.map(lambda path: requests.get(base + path, cookies=cookies, timeout=60), paths)
        builder.join()
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert sum(answer.status_code == 200 for answer in answers) >= 50
        lists = [answer for answer in answers if "/orders" in answer.url and answer.status_code == 200]
        assert {len(state_of(answer.text)) for answer in lists} == {1}
        assert state_of(requests.get(f"{base}/orders", cookies=cookies, timeout=60).text) == {"Zweitling"}


@pytest.mark.long
def test_a_slice_stays_a_slice_when_the_tables_are_rebuilt(tmp_path: Path) -> None:
    tables = qf.build(write_orders(tmp_path, "Erstling"), tmp_path / "tables", jobs=1)
    with explore(tables.only([100_030, 100_031])) as explorer, requests.Session() as browser:
        base = explorer.address.partition("/enter")[0]
        browser.get(explorer.address)
        assert "2 orders" in browser.get(f"{base}/orders").text
        qf.build(write_orders(tmp_path, "Zweitling"), tmp_path / "tables", jobs=1)
        page = browser.get(f"{base}/orders").text
        assert "Zweitling " in page
        assert "100032" not in page
        assert browser.get(f"{base}/orders/100032").status_code == 404


@pytest.mark.long
def test_tables_that_are_gone_are_said_to_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quivo_frames.explorer.snapshot._SECONDS_TO_WAIT", 0.3)
    tables = qf.build(write_orders(tmp_path, "Erstling"), tmp_path / "tables", jobs=1)
    with explore(tables) as explorer, requests.Session() as browser:
        browser.get(explorer.address)
        (tmp_path / "tables" / "manifest.json").unlink()
        answered = browser.get(explorer.address.partition("/enter")[0] + "/orders")
        assert answered.status_code in (400, 503)
        assert "tables" in answered.text
        assert "Traceback" not in answered.text


@pytest.mark.long
def test_what_was_read_while_the_tables_were_replaced_is_read_again(tmp_path: Path) -> None:
    tables = qf.build(write_orders(tmp_path, "Erstling"), tmp_path / "tables", jobs=1)
    keeper = SnapshotKeeper(tables, ExplorerOptions())
    seen: list[int] = []

    def read_slowly(snapshot: Snapshot) -> int:
        seen.append(snapshot.table("orders").collect().height)
        if len(seen) == 1:
            qf.build(write_orders(tmp_path, "Zweitling"), tmp_path / "tables", jobs=1)
        return seen[-1]

    with closing(keeper):
        assert keeper.read_one_state(read_slowly) == len(STATES["Zweitling"])
    assert seen == [len(STATES["Erstling"]), len(STATES["Zweitling"])]


def test_what_is_asked_of_a_state_that_was_closed_is_given_up(tmp_path: Path) -> None:
    tables = qf.build(write_orders(tmp_path, "Erstling"), tmp_path / "tables", jobs=1)
    keeper = SnapshotKeeper(tables, ExplorerOptions(begins_at_once=False))
    with closing(keeper):
        snapshot = keeper.read_one_state(lambda found: found)
    assert snapshot.search_terms.cancelled()
    assert snapshot.list_findings() is None
    assert snapshot.describe_overview() is None
