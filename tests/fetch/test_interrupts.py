"""A run at the prompt that is interrupted, ended, out of space, or not alone: what was kept, what is told, what goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from quivo_frames.standin.faults import Fault
from quivo_frames.standin.server import StandIn
from tests.support import independent_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.alone

STALLED = 100012
COMMANDS = """
import resource, sys
from functools import partial
from quivo_frames.cli import main
from quivo_frames.client import Client
timeout, most_bytes = float(sys.argv.pop(1)), int(sys.argv.pop(1))
Client.from_env = staticmethod(partial(Client.from_env, timeout=timeout, tries=2, backoff=0.01))
if most_bytes:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
main()
"""
"""The command line of a client with a timeout of its own, and with a disk that ends after so many bytes of a file."""
TOLD = b"Interrupted. What was done is kept; the same command goes on from here."


class Prompt:
    """Where commands are given, in a folder of their own."""

    def __init__(self, api: StandIn, folder: Path) -> None:
        self.api = api
        self.archive = folder / "orders.sqlite"
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, timeout: float = 60.0, most_bytes: int = 0) -> subprocess.Popen[bytes]:
        login = {
            f"QUIVO_{name.upper()}": getattr(self.api, name) for name in ("api_key", "username", "password", "base_url")
        }
        child = subprocess.Popen(
            [sys.executable, "-c", COMMANDS, str(timeout), str(most_bytes), *words],
            cwd=self._folder, env=os.environ | login, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._started.append(child)
        return child

    def refetch(self, timeout: float = 60.0, most_bytes: int = 0) -> subprocess.Popen[bytes]:
        words = ("refetch", *map(str, self.api.order_ids), "--rate", "500")
        return self.start(*words, timeout=timeout, most_bytes=most_bytes)

    def done(self, *words: str) -> tuple[int, bytes]:
        return ended(self.start(*words))

    def close(self) -> None:
        for child in self._started:
            if child.poll() is None:
                child.kill()
            child.communicate()


def ended(child: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Exit status and all output; long before a timeout of 60 s is over."""
    out, err = child.communicate(timeout=30)
    assert b"Traceback" not in out + err, (out + err).decode()
    return child.returncode, out + err


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def told_twice(child: subprocess.Popen[bytes], first: int, second: int) -> None:
    """The second signal comes some time after the first was taken, as a person would press it again."""
    child.send_signal(first)
    assert child.stderr is not None
    assert b"again: at once" in child.stderr.readline()
    time.sleep(0.3)
    child.send_signal(second)


def acknowledged_is_stored(prompt: Prompt) -> set[int]:
    """The orders that the ledger says are fetched, each once and each stored as it was sent."""
    fetched = Counter(a.order_id for a in independent_archive.ledger_lines(prompt.archive) if a.outcome == "fetched")
    good = [response for response in independent_archive.stored_responses(prompt.archive) if response.good]
    assert fetched == Counter(response.order_id for response in good)
    assert set(fetched.values()) <= {1}
    assert all(response.sha256 in prompt.api.hashes_sent(response.order_id) for response in good)
    assert independent_archive.is_sound(prompt.archive)
    return set(fetched)


@pytest.fixture
def prompt(tmp_path: Path) -> Iterator[Prompt]:
    """Before a server that is slow, and stalls for ever when it is asked for one of its orders the first time."""
    with StandIn(40, latency=0.02, faults={STALLED: [Fault.stall()]}) as api:
        prompt = Prompt(api, tmp_path)
        yield prompt
        prompt.close()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stop_waits_for_what_is_under_way_and_the_same_command_goes_on(sent: int, prompt: Prompt) -> None:
    child = prompt.refetch(timeout=1.0)
    until(lambda: prompt.api.served(STALLED) == 1)
    child.send_signal(sent)
    status, told = ended(child)
    assert status == 130
    assert b"Stopping when what is under way is kept" in told
    assert TOLD in told
    asked = {order_id for order_id in prompt.api.order_ids if prompt.api.served(order_id)}
    assert len(asked) < 40
    assert acknowledged_is_stored(prompt) == asked - {STALLED}
    status, told = ended(prompt.refetch(timeout=1.0))
    assert (status, b"(resumed)" in told) == (0, True)
    assert acknowledged_is_stored(prompt) == set(prompt.api.order_ids)
    assert Counter(map(prompt.api.served, prompt.api.order_ids)) == {1: 39, 2: 1}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_second_stop_ends_it_at_once(sent: int, prompt: Prompt) -> None:
    child = prompt.refetch(timeout=600.0)
    until(lambda: prompt.api.served(STALLED) == 1)
    told_twice(child, sent, sent)
    status, told = ended(child)
    assert status == 130
    assert TOLD in told
    kept = acknowledged_is_stored(prompt)
    assert STALLED not in kept
    assert ended(prompt.refetch())[0] == 0
    assert acknowledged_is_stored(prompt) == set(prompt.api.order_ids)
    served = Counter(map(prompt.api.served, prompt.api.order_ids))
    assert set(served) == {1, 2}
    assert served[2] <= 4  # what was under way


def test_kill_9_costs_what_was_under_way_and_leaves_no_lock(prompt: Prompt) -> None:
    child = prompt.refetch()
    until(lambda: len(prompt.api.timeline) >= 20)
    child.kill()
    child.wait()
    before = acknowledged_is_stored(prompt)
    assert before
    status, told = ended(prompt.refetch())
    assert (status, b"(resumed)" in told) == (0, True)
    assert acknowledged_is_stored(prompt) == set(prompt.api.order_ids)
    assert all(prompt.api.served(order_id) == 1 for order_id in before)


def test_a_disk_that_is_full_is_told_and_the_same_command_goes_on(prompt: Prompt) -> None:
    status, told = ended(prompt.refetch(most_bytes=300_000))
    assert status == 3
    assert b"orders.sqlite" in told
    assert b"check the disk" in told or b"disk is full" in told
    before = acknowledged_is_stored(prompt)
    assert 0 < len(before) < 40
    assert ended(prompt.refetch(timeout=1.0))[0] == 0
    assert acknowledged_is_stored(prompt) == set(prompt.api.order_ids)
    assert all(prompt.api.served(order_id) == 1 for order_id in before - {STALLED})


def test_others_may_read_but_not_write_while_a_run_writes(prompt: Prompt) -> None:
    child = prompt.refetch(timeout=600.0)
    until(lambda: len(prompt.api.timeline) == 40 and len(independent_archive.ledger_lines(prompt.archive)) == 39)
    assert len(acknowledged_is_stored(prompt)) == 39
    readers = [prompt.start("status"), prompt.start("build", "orders.sqlite", "--out", "tables", "--jobs", "1")]
    assert [ended(reader)[0] for reader in readers] == [0, 0]
    status, told = prompt.done("refetch", "100001")
    assert status == 3
    assert b"orders.sqlite is being written by another run: wait until it ends, or stop it." in told
    assert prompt.api.served(100001) == 1
    told_twice(child, signal.SIGINT, signal.SIGINT)
    assert ended(child)[0] == 130
    assert prompt.done("refetch", "100001")[0] == 0
