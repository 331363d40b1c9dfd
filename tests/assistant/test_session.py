"""A whole session: only the protocol on stdout, tables that are rebuilt meanwhile, and the end, however it comes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.assistant.server import require_libraries
from quivo_frames.errors import ConfigError
from quivo_frames.standin.orders import order_json
from tests.assistant.session import open_session
from tests.support.archived_orders import NOON, record_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
ENDLESS = "SELECT count(*) FROM range(1000000000000)"


class RawClient:
    """Speaks the protocol by hand, line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def send(self, method: str, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", "method": method, **message}).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        return message

    def call(self, number: int, query: str) -> None:
        self.send("tools/call", id=number, params={"name": "run_sql", "arguments": {"query": query}})


@contextmanager
def started(tables: Path, temporary: Path) -> Iterator[RawClient]:
    words = [sys.executable, "-m", "quivo_frames.cli", "mcp", str(tables)]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(words, **streams, env={**os.environ, "TMPDIR": str(temporary)}) as process:
        client = RawClient(process)
        client.send("initialize", id=1, params=HELLO)
        assert client.receive()["result"]["serverInfo"]["name"] == "quivo-frames"
        client.send("notifications/initialized")
        yield client
        process.kill()


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "is_running", "status"),
    [("stdin", True, 0), ("SIGINT", True, 130), pytest.param("SIGTERM", True, 130, marks=pytest.mark.long),
     pytest.param("stdin", False, 0, marks=pytest.mark.long), pytest.param("SIGINT", False, 130, marks=pytest.mark.long)],
)  # fmt: skip
def test_it_ends_at_once_and_leaves_nothing(
    tables: qf.Dataset, tmp_path: Path, how: str, is_running: bool, status: int
) -> None:
    """Also while a query is running; a client waits two seconds before it kills."""
    if os.name == "nt" and how != "stdin":
        pytest.skip("Windows has no such signals")
    with started(tables.folder, tmp_path) as client:
        client.call(2, "SELECT count(*) FROM orders")
        assert client.receive()["result"]["structuredContent"]["rows"] == [[200]]
        assert [path for path in tmp_path.iterdir() if path.is_dir()]
        if is_running:
            client.call(3, ENDLESS)
        process = client.process
        assert process.stdin is not None
        if how == "stdin":
            process.stdin.close()
        else:
            process.send_signal(getattr(signal, how))
        assert process.wait(10) == status
        assert process.stdout is not None
        assert process.stderr is not None
        assert all(json.loads(line)["jsonrpc"] == "2.0" for line in process.stdout.read().splitlines())
        written = process.stderr.read().decode()
    assert "Traceback" not in written
    assert ("Interrupted. Nothing was changed." in written) == (status == 130)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("how", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGTERM, signal.SIGINT]])
@pytest.mark.parametrize("seconds", [0, 0.005, 0.02, 0.05])
def test_it_ends_the_same_whatever_it_is_doing(
    tables: qf.Dataset, tmp_path: Path, how: list[signal.Signals], seconds: float
) -> None:
    """While messages come, tasks wait for each other's streams, which fail when one of them ends."""
    with started(tables.folder, tmp_path) as client:
        for number in range(2, 300):
            client.send("ping", id=number)
        time.sleep(seconds)
        for one in how:
            client.process.send_signal(one)
            time.sleep(0.01)
        _, written = client.process.communicate(timeout=20)
        assert client.process.returncode == 130, written.decode()
    assert written.decode().splitlines()[1:] == ["", "Interrupted. Nothing was changed."]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_what_is_no_message_is_passed_over(tables: qf.Dataset, tmp_path: Path) -> None:
    with started(tables.folder, tmp_path) as client:
        assert client.process.stdin is not None
        client.process.stdin.write(b"hello\n\n{}\n\xff\xfe\n[1]\n" + b'{"jsonrpc":"2.0"}\n')
        client.send("tools/list", id=5)
        answers = [client.receive()]
        while answers[-1].get("id") != 5:
            answers.append(client.receive())
        assert len(answers[-1]["result"]["tools"]) == 7
        client.process.stdin.close()
        assert client.process.wait(10) == 0
        assert client.process.stderr is not None
        assert "Traceback" not in client.process.stderr.read().decode()


@pytest.mark.long
def test_tables_that_are_rebuilt_are_read_anew_as_a_whole(tmp_path: Path) -> None:
    with Archive(tmp_path / "orders.sqlite") as archive:
        record_answers(archive, {number: order_json(number) for number in range(1, 6)}, NOON)
        qf.build(archive, tmp_path / "tables", jobs=1, progress=False)
        (tmp_path / "temporary").mkdir()
        with open_session(tmp_path / "tables", temporary=tmp_path / "temporary") as session:
            for last in (5, 9, 12):
                if last > 5:
                    record_answers(archive, {number: order_json(number) for number in range(6, last + 1)}, NOON)
                    built = qf.build(archive, tmp_path / "tables", jobs=1, progress=False)
                    assert built.counts()["orders"] == last
                assert session.ask("search_orders")["total"] == last
                assert session.query("SELECT count(*) FROM orders") == [[last]]
                assert session.ask("show_order", order=last)["order_id"] == last
                found = session.ask("list_findings", status="all")
                assert found["total"] == qf.audit(tmp_path / "tables", remember=False).height
                folders = (
                    [path for path in (tmp_path / "temporary").iterdir() if list(path.glob("tables.duckdb"))]
                    if last
                    else []
                )
                assert len(folders) == 1  # the copy of the earlier state is gone
        assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.long
def test_nothing_is_written_beside_the_tables(tables: qf.Dataset, tmp_path: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in tables.folder.parent.rglob("*")}

    before = state()
    with open_session(tables.folder, temporary=tmp_path) as session:
        session.ask("list_findings")
        session.query("FROM orders")
    assert state() == before


@pytest.mark.long
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_stdout_that_is_full_is_a_sentence(tables: qf.Dataset) -> None:
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}).encode() + b"\n"
    with Path("/dev/full").open("wb") as full:
        words = [sys.executable, "-m", "quivo_frames.cli", "mcp", str(tables.folder)]
        done = subprocess.run(words, input=asked, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 3
    assert b"The output could not be written to stdout: the disk is full." in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_wrong_start_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [sys.executable, "-m", "quivo_frames.cli", "mcp"]
    done = subprocess.run([*words, "nowhere"], capture_output=True, text=True, cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Serving" not in done.stderr
    monkeypatch.setattr("quivo_frames.assistant.server.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'quivo-frames\[mcp\]'"):
        require_libraries()
