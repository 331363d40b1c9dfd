"""A run at the prompt that is interrupted, killed, out of disk, or not the only one: what it keeps, says, and resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from quivo_frames.standin.faults import ServerFault
from quivo_frames.standin.server import StandIn
from tests.support import independent_archive
from tests.support.impatient_command import impatient_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.alone

STALLED = 100012
INTERRUPTED = b"Interrupted. What was done is kept; the same command goes on from here."


class Prompt:
    """Runs commands against a stand-in, in a folder of their own."""

    def __init__(self, api: StandIn, folder: Path) -> None:
        self.api = api
        self.archive = folder / "orders.sqlite"
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, timeout: float = 60.0, max_file_bytes: int = 0) -> subprocess.Popen[bytes]:
        login = {
            f"QUIVO_{name.upper()}": getattr(self.api, name) for name in ("api_key", "username", "password", "base_url")
        }
        child = subprocess.Popen(
            impatient_command(*words, timeout=timeout, tries=2, backoff=0.01, max_file_bytes=max_file_bytes),
            cwd=self._folder, env=os.environ | login, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._started.append(child)
        return child

    def refetch(self, timeout: float = 60.0, max_file_bytes: int = 0) -> subprocess.Popen[bytes]:
        words = ("refetch", *map(str, self.api.order_ids), "--rate", "500", "--yes")
        return self.start(*words, timeout=timeout, max_file_bytes=max_file_bytes)

    def run_to_end(self, *words: str) -> tuple[int, bytes]:
        return wait_for_end(self.start(*words))

    def close(self) -> None:
        for child in self._started:
            if child.poll() is None:
                child.kill()
            child.communicate()


def wait_for_end(child: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Exit status and all output; long before a timeout of 60 s is over."""
    out, err = child.communicate(timeout=30)
    assert b"Traceback" not in out + err, (out + err).decode()
    return child.returncode, out + err


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def stop_twice(child: subprocess.Popen[bytes], first: int, second: int) -> None:
    """The second signal comes some time after the first was taken, as a person would press it again."""
    child.send_signal(first)
    assert child.stderr is not None
    assert b"again: at once" in child.stderr.readline()
    time.sleep(0.3)
    child.send_signal(second)


def read_fetched_orders(prompt: Prompt) -> set[int]:
    """The orders that are fetched according to the ledger; asserts that each is stored once, as it was sent."""
    fetched = Counter(a.order_id for a in independent_archive.ledger_lines(prompt.archive) if a.outcome == "fetched")
    good = [response for response in independent_archive.stored_responses(prompt.archive) if response.good]
    assert fetched == Counter(response.order_id for response in good)
    assert set(fetched.values()) <= {1}
    assert all(response.sha256 in prompt.api.hashes_sent(response.order_id) for response in good)
    assert independent_archive.is_sound(prompt.archive)
    return set(fetched)


@pytest.fixture
def prompt(tmp_path: Path) -> Iterator[Prompt]:
    """A prompt with a slow server that never answers the first request for one of its orders."""
    with StandIn(40, latency=0.02, faults={STALLED: [ServerFault.stall()]}) as api:
        prompt = Prompt(api, tmp_path)
        yield prompt
        prompt.close()


@pytest.mark.parametrize(
    "sent", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_stop_waits_for_what_is_under_way_and_the_same_command_goes_on(sent: int, prompt: Prompt) -> None:
    child = prompt.refetch(timeout=1.0)
    wait_until(lambda: prompt.api.refetch_count(STALLED) == 1)
    child.send_signal(sent)
    status, output = wait_for_end(child)
    assert status == 130
    assert b"Stopping when what is under way is kept" in output
    assert INTERRUPTED in output
    asked = {order_id for order_id in prompt.api.order_ids if prompt.api.refetch_count(order_id)}
    assert len(asked) < 40
    assert read_fetched_orders(prompt) == asked - {STALLED}
    status, output = wait_for_end(prompt.refetch(timeout=1.0))
    assert (status, b"(resumed)" in output) == (0, True)
    assert read_fetched_orders(prompt) == set(prompt.api.order_ids)
    assert Counter(map(prompt.api.refetch_count, prompt.api.order_ids)) == {1: 39, 2: 1}


@pytest.mark.parametrize(
    "sent", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_second_stop_ends_it_at_once(sent: int, prompt: Prompt) -> None:
    child = prompt.refetch(timeout=600.0)
    wait_until(lambda: prompt.api.refetch_count(STALLED) == 1)
    stop_twice(child, sent, sent)
    status, output = wait_for_end(child)
    assert status == 130
    assert INTERRUPTED in output
    kept = read_fetched_orders(prompt)
    assert STALLED not in kept
    assert wait_for_end(prompt.refetch())[0] == 0
    assert read_fetched_orders(prompt) == set(prompt.api.order_ids)
    served = Counter(map(prompt.api.refetch_count, prompt.api.order_ids))
    assert set(served) == {1, 2}
    assert served[2] <= 4  # what was under way


def test_kill_9_costs_what_was_under_way_and_leaves_no_lock(prompt: Prompt) -> None:
    child = prompt.refetch()
    wait_until(lambda: len(prompt.api.timeline) >= 20)
    child.kill()
    child.wait()
    before = read_fetched_orders(prompt)
    assert before
    status, output = wait_for_end(prompt.refetch())
    assert (status, b"(resumed)" in output) == (0, True)
    assert read_fetched_orders(prompt) == set(prompt.api.order_ids)
    assert all(prompt.api.refetch_count(order_id) == 1 for order_id in before)


@pytest.mark.long
def test_a_disk_that_is_full_is_told_and_the_same_command_goes_on(prompt: Prompt) -> None:
    status, output = wait_for_end(prompt.refetch(max_file_bytes=420_000))
    assert status == 3
    assert b"orders.sqlite" in output
    assert b"check the disk" in output or b"disk is full" in output
    before = read_fetched_orders(prompt)
    assert 0 < len(before) < 40
    assert wait_for_end(prompt.refetch(timeout=1.0))[0] == 0
    assert read_fetched_orders(prompt) == set(prompt.api.order_ids)
    assert all(prompt.api.refetch_count(order_id) == 1 for order_id in before - {STALLED})


@pytest.mark.long
def test_others_may_read_but_not_write_while_a_run_writes(prompt: Prompt) -> None:
    child = prompt.refetch(timeout=600.0)
    wait_until(lambda: len(prompt.api.timeline) == 40 and len(independent_archive.ledger_lines(prompt.archive)) == 39)
    assert len(read_fetched_orders(prompt)) == 39
    readers = [prompt.start("status"), prompt.start("build", "orders.sqlite", "--out", "tables", "--jobs", "1")]
    assert [wait_for_end(reader)[0] for reader in readers] == [0, 0]
    status, output = prompt.run_to_end("refetch", "100001")
    assert status == 3
    assert b"orders.sqlite is being written by another run: wait until it ends, or stop it." in output
    assert prompt.api.refetch_count(100001) == 1
    stop_twice(child, signal.SIGINT, signal.SIGINT)
    assert wait_for_end(child)[0] == 130
    assert prompt.run_to_end("refetch", "100001")[0] == 0
