"""Threads and processes beside this one: whoever is free takes the next item, and none is lost or waits without end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from quivo_frames.errors import ConfigError, LostWorker
from quivo_frames.executors.local import LocalPool
from tests.support.paths import ROOT

pytestmark = pytest.mark.alone


def slow_square(number: int) -> tuple[int, int]:
    time.sleep(0.02)
    return number, number * number


def process_id(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def thread_id(_: int) -> int:
    time.sleep(0.05)
    return threading.get_ident()


def refuse_three(number: int) -> int:
    if number == 3:
        raise ConfigError("three is not for us")
    return number


def die_elsewhere(here: int, number: int) -> int:
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return number


@pytest.mark.parametrize("in_threads", [False, True])
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_every_item_is_worked_on_once(jobs: int, in_threads: bool) -> None:
    with LocalPool(jobs, max_jobs=jobs, in_threads=in_threads) as pool:
        assert sorted(pool.map_unordered(slow_square, range(20))) == [(n, n * n) for n in range(20)]
        assert list(pool.map_unordered(slow_square, [])) == []
        assert sorted(pool.map_unordered(slow_square, [7])) == [(7, 49)]  # and it can be asked again


def test_this_process_works_as_well_as_the_others() -> None:
    with LocalPool(2, max_jobs=2) as pool:
        list(pool.map_unordered(process_id, range(4)))  # until the other one has begun
        assert len(set(pool.map_unordered(process_id, range(30)))) == 2


def test_threads_share_the_work_with_this_one_in_one_process() -> None:
    with LocalPool(3, max_jobs=3, in_threads=True) as pool:
        threads = set(pool.map_unordered(thread_id, range(30)))
        assert len(threads) == 3
        assert threading.get_ident() in threads
        assert set(pool.map_unordered(process_id, range(10))) == {os.getpid()}


def test_no_thread_works_on_behind_the_block_nor_begins_what_is_left() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.05)
        ended.append(number)
        return refuse_three(number)

    with pytest.raises(ConfigError), LocalPool(3, max_jobs=3, in_threads=True) as pool:
        list(pool.map_unordered(work, range(1000)))
    assert sorted(begun) == sorted(ended)
    assert len(begun) < 20
    time.sleep(0.1)
    assert len(begun) == len(ended)


def test_no_more_processes_than_are_worth_it() -> None:
    with LocalPool(8, max_jobs=1) as pool:
        assert set(pool.map_unordered(process_id, range(3))) == {os.getpid()}
    assert LocalPool(None, max_jobs=10**9).size >= 1


def test_an_error_of_another_process_comes_here() -> None:
    for jobs, in_threads in ((1, False), (2, False), (2, True)):
        with (
            LocalPool(jobs, max_jobs=jobs, in_threads=in_threads) as pool,
            pytest.raises(ConfigError, match="three is not for us"),
        ):
            list(pool.map_unordered(refuse_three, range(30)))


def test_a_process_that_dies_is_told_and_not_waited_for() -> None:
    with LocalPool(2, max_jobs=2) as pool, pytest.raises(LostWorker, match="--jobs 1"):
        list(pool.map_unordered(partial(die_elsewhere, os.getpid()), range(200)))


SCRIPT = """
import sys, time
from tests.executors.test_local import process_id
from quivo_frames.executors.local import LocalPool
print("begun", flush=True)  # a script without a guard: other processes must not run it again
with LocalPool(3, max_jobs=3) as pool:
    for pid in pool.map_unordered(process_id, range(10_000)):
        print(pid, flush=True)
"""


@pytest.mark.long
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_a_script_that_has_no_guard(tmp_path: Path, ending: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"
    seen: set[int] = set()
    while len(seen) < 3:
        seen.add(int(running.stdout.readline()))
    if ending is signal.SIGINT:  # as a terminal sends it: to all
        os.killpg(running.pid, ending)
    else:
        running.kill()
    _, stderr = running.communicate(timeout=60)
    assert stderr.count("KeyboardInterrupt") == stderr.count("Traceback") == (ending is signal.SIGINT), stderr
    deadline = time.monotonic() + 20
    while (alive := [pid for pid in seen if _is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


THREADS_SCRIPT = """
import time
from quivo_frames.executors.local import LocalPool
def work(number):
    time.sleep(0.2)
    return number
with LocalPool(3, max_jobs=3, in_threads=True) as pool:
    for number in pool.map_unordered(work, range(10_000)):
        print(number, flush=True)
"""


def test_an_interrupt_ends_threads_soon_and_is_told_once() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        [sys.executable, "-c", THREADS_SCRIPT],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    since = time.monotonic()
    _, stderr = running.communicate(timeout=60)
    assert time.monotonic() - since < 10
    assert stderr.count("KeyboardInterrupt") == stderr.count("Traceback") == 1, stderr
