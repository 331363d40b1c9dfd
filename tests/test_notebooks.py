"""The notebooks run from top to bottom, and hold no outputs in git."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quivo_frames.standin.server import StandIn
from tests.support.notebook_pages import NOTEBOOKS, page_of, read_cells, run_notebook

if TYPE_CHECKING:
    from jupyter_client.blocking import BlockingKernelClient
    from nbformat import NotebookNode


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


CHARTS = {"01-quickstart": 1, "03-explore": 2, "04-audit": 4, "06-fifteen-questions": 2}
"""How many charts a notebook has."""


def outputs_of(notebook: NotebookNode, kind: str) -> list[str]:
    """What the cells show in one of the kinds in which it can be shown."""
    outputs = (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_and_its_page_loads_nothing(path: Path, tmp_path: Path) -> None:
    notebook = run_notebook(path, tmp_path)
    charts = outputs_of(notebook, "image/svg+xml")
    assert len(charts) == CHARTS.get(path.stem, 0)
    assert all("<svg" in chart and "<script" not in chart for chart in charts)
    page = page_of(notebook)
    assert page.count('src="data:image/svg+xml;base64') == len(charts)
    assert re.findall(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?https?:[^>]*>""", page) == []
    assert re.findall(r"""https?://[^"'\s]*\.js\b""", page) == []
    if path.stem.startswith(("01", "02")):  # failures say what to do: in full
        shown = [table for table in outputs_of(notebook, "text/html") if ">message<" in table]
        assert shown
        assert not [table for table in shown if "…" in table]


def test_the_notebooks_have_at_least_six_charts() -> None:
    assert sum(CHARTS.values()) >= 6


def test_the_quickstart_answers_the_first_question_within_ten_cells() -> None:
    cells = read_cells(NOTEBOOKS[0])[:10]
    assert [words for words in ("days_late", "warehouse", "value") if words not in cells[-1]["source"]] == []
    assert "which orders are late, where, and worth how much" in cells[-2]["source"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_outputs(path: Path) -> None:
    cells = read_cells(path)
    assert cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


def cell(client: BlockingKernelClient, code: str) -> str:
    """All that a cell shows."""
    sent, shown = client.execute(code), ""
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") == sent:
            content = message["content"]
            shown += content.get("text", "") + content.get("ename", "")
            if content.get("execution_state") == "idle":
                return shown


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_stop_button_keeps_what_came_and_the_same_cell_goes_on(tmp_path: Path) -> None:
    with StandIn(orders=60, latency=0.05) as api:
        begin = f"""
import quivo_frames as qf
client = qf.Client.from_env(base_url={api.base_url!r}, api_key={api.api_key!r}, username={api.username!r},
                            password={api.password!r}, rate=20)
archive = qf.Archive({str(tmp_path / "orders.sqlite")!r})
"""
        refetch = "print(qf.refetch(range(100_001, 100_061), client, archive))"
        from jupyter_client.manager import start_new_kernel

        manager, client = start_new_kernel()

        def press_when_some_came() -> None:
            deadline = time.monotonic() + 30
            while sum(map(api.refetch_count, api.order_ids)) < 5 and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(manager.provisioner.pid, signal.SIGINT)  # as interrupt_kernel does, which needs a loop of its own

        try:
            cell(client, begin)
            button = threading.Thread(target=press_when_some_came)
            button.start()
            stopped = cell(client, refetch)
            button.join()
            assert "Ctrl-C again: at once" in stopped
            assert stopped.endswith("KeyboardInterrupt")
            assert 0 < sum(map(api.refetch_count, api.order_ids)) < 60
            assert "Run 1 (resumed): 60 orders" in cell(client, refetch)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
        assert {api.refetch_count(order_id) for order_id in api.order_ids} == {1}
