"""The notebooks run from top to bottom, and hold no outputs in git."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from quivo_frames.standin.server import StandIn
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from jupyter_client.blocking import BlockingKernelClient

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_outputs(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
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
