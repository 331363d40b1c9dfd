from __future__ import annotations

import heapq
import math
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from quivo_frames.errors import ConfigError
from quivo_frames.fetch.rate_limit import LONGEST_PAUSE, RateLimiter, Slot, Stopped, parse_retry_after
from tests.support.depth import sampled
from tests.support.simulated_fetch import SimulatedServer, simulate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.alone

NEVER = threading.Event()


class FakeClock:
    """A clock that moves only by waiting, and a little too far, as threads wake late."""

    def __init__(self) -> None:
        self.now = 100.0
        self.late = 0.0005

    def __call__(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.now += seconds + self.late
        return stop.is_set()


def make_limiter(ceiling: float | None = None) -> tuple[RateLimiter, FakeClock]:
    time = FakeClock()
    return RateLimiter(ceiling, clock=time, wait=time.wait), time


def simulate_server(
    gate: RateLimiter, time: FakeClock, seconds: float, limit: float, latency: float = 0.05, pause: float = 0.0
) -> tuple[int, int]:
    """Requests answered 200 and 429 by a server with a limit and a token bucket of a tenth of a second.

    A 429 comes at once, as from a gateway in front of the server.
    """
    end, allowance, then = time.now + seconds, max(2.0, limit / 10), time.now
    on_the_way: list[tuple[float, Slot, bool]] = []
    good = bad = 0
    while time.now < end:
        slot = gate.wait_for_slot(NEVER)
        allowance, then = min(max(2.0, limit / 10), allowance + (slot.at - then) * limit), slot.at
        fine = allowance >= 1
        heapq.heappush(on_the_way, (slot.at + (latency if fine else 0.05), slot, fine))
        allowance -= fine
        while on_the_way and on_the_way[0][0] <= time.now:
            _, answered, fine = heapq.heappop(on_the_way)
            good, bad = good + fine, bad + (not fine)
            gate.note_success(answered) if fine else gate.note_congestion(answered, pause)
    return good, bad


@pytest.mark.parametrize("rate", [0.5, 10.0, 200.0, 900.0])
def test_a_known_limit_is_held_evenly_from_the_start(rate: float) -> None:
    even, _ = make_limiter(rate)
    times = [even.wait_for_slot(NEVER).at for _ in range(100)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) > 0.9 / rate - 0.005
    assert times[-1] - times[0] == pytest.approx(99 / rate, abs=0.006)


def test_a_pause_of_the_caller_is_not_followed_by_a_burst() -> None:
    even, time = make_limiter(10.0)
    even.wait_for_slot(NEVER)
    time.now += 60
    times = [even.wait_for_slot(NEVER).at for _ in range(11)]
    assert times[-1] - times[0] > 0.99


@pytest.mark.parametrize("pause", [0.0, 1.0])
@pytest.mark.parametrize("latency", [0.05, 1.0])
@pytest.mark.parametrize("limit", [5.0, 20.0, 100.0, 400.0])
def test_an_unknown_limit_is_found_quickly_and_hardly_passed(limit: float, latency: float, pause: float) -> None:
    adaptive, time = make_limiter()
    simulate_server(adaptive, time, 20, limit, latency, pause)
    good, bad = simulate_server(adaptive, time, 60, limit, latency, pause)
    assert good > 0.9 * limit * 60
    assert bad < 0.02 * good


def test_a_limit_that_halves_is_followed_within_five_seconds() -> None:
    adaptive, time = make_limiter()
    simulate_server(adaptive, time, 20, 100)
    simulate_server(adaptive, time, 5, 50)
    good, bad = simulate_server(adaptive, time, 10, 50)
    assert good > 0.85 * 50 * 10
    assert bad < 0.03 * good


def test_the_rate_starts_gently_and_doubles() -> None:
    adaptive, time = make_limiter()
    assert adaptive.rate == 5
    simulate_server(adaptive, time, 1, 1e9)
    assert 15 < adaptive.rate < 60


def test_the_rate_does_not_grow_where_it_holds_nobody_back() -> None:
    adaptive, time = make_limiter()
    for _ in range(100):
        time.now += 1
        adaptive.note_success(adaptive.wait_for_slot(NEVER))
    assert adaptive.rate == 5


def test_the_ceiling_is_never_passed() -> None:
    ceiling, time = make_limiter(50)
    ceiling.note_congestion(ceiling.wait_for_slot(NEVER))
    assert 40 < ceiling.rate < 50
    simulate_server(ceiling, time, 60, 1e9)
    assert ceiling.rate == 50


def test_a_known_limit_that_is_wrong_is_left_like_an_unknown_one() -> None:
    told, time = make_limiter(100)
    simulate_server(told, time, 10, 50)
    good, bad = simulate_server(told, time, 20, 50)
    assert good > 0.9 * 50 * 20
    assert bad < 0.02 * good


def test_many_complaints_about_one_moment_halve_the_rate_once() -> None:
    even, time = make_limiter()
    slots = [even.wait_for_slot(NEVER) for _ in range(10)]
    for slot in slots:
        even.note_congestion(slot)
    assert even.rate == 2.5
    time.now += 1
    even.note_congestion(even.wait_for_slot(NEVER))
    assert even.rate == 1.25


def test_a_pause_holds_all_and_has_a_cap() -> None:
    even, time = make_limiter(10)
    slot = even.wait_for_slot(NEVER)
    even.note_congestion(slot, 2.5)
    assert even.wait_for_slot(NEVER).at == pytest.approx(slot.at + 2.5, abs=0.001)
    asked = time.now
    even.note_congestion(even.wait_for_slot(NEVER), 86400)
    assert even.wait_for_slot(NEVER).at <= asked + LONGEST_PAUSE + 0.2


def test_who_waits_can_be_stopped_at_once() -> None:
    slow, stop = RateLimiter(0.01), threading.Event()
    slow.wait_for_slot(stop)
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        slow.wait_for_slot(stop)
    assert time.monotonic() - began < 1


def test_threads_share_one_pace() -> None:
    shared, times = RateLimiter(200), []

    def work() -> None:
        for _ in range(10):
            times.append(shared.wait_for_slot(NEVER).at)  # noqa: PERF401 - one by one on purpose

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.38 < max(times) - min(times) < 0.6


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_must_be_a_number_above_zero(rate: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        RateLimiter(rate)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3), ("0.5", 0.5), ("-7", 0), ("Wed, 21 Oct 2026 07:28:10 GMT", 10), ("Wed, 21 Oct 2026 07:27:00 GMT", 0),
     ("Wed, 21 Oct 2026 07:28:10 -0000", 0), ("soon", 0), ("", 0), ("inf", 0), ("nan", 0), (None, 0)],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_date(header: str | None, seconds: float) -> None:
    assert parse_retry_after(header, datetime(2026, 10, 21, 7, 28, tzinfo=UTC)) == seconds


def make_shared_limiter(path: Path, time: FakeClock, ceiling: float | None = None) -> RateLimiter:
    return RateLimiter(ceiling, shared_file=path, clock=time, wait=time.wait)


def test_gates_with_one_file_keep_one_pace(tmp_path: Path) -> None:
    """As processes do: what each knows comes from the file alone."""
    time = FakeClock()
    one, other = (make_shared_limiter(tmp_path / "pace", time, ceiling) for ceiling in (10.0, 20.0))
    slots = [gate.wait_for_slot(NEVER).at for _ in range(5) for gate in (one, other)]
    assert [later - earlier for earlier, later in pairwise(slots)] == pytest.approx([0.1] * 9, abs=0.006)
    one.note_congestion(one.wait_for_slot(NEVER), 3.0)
    assert other.wait_for_slot(NEVER).at == pytest.approx(time.now, abs=0.01)
    assert time.now - slots[-1] == pytest.approx(3.1, abs=0.01)
    assert other.rate < 10


def test_a_pace_of_long_ago_or_of_before_a_restart_is_forgotten(tmp_path: Path) -> None:
    time = FakeClock()
    first = make_shared_limiter(tmp_path / "pace", time)
    first.note_congestion(first.wait_for_slot(NEVER))
    time.now += 10
    lately = make_shared_limiter(tmp_path / "pace", time)
    lately.wait_for_slot(NEVER)
    assert lately.rate == 2.5
    for later in (time.now + 61, 3.0):
        time.now = later
        fresh = make_shared_limiter(tmp_path / "pace", time)
        fresh.wait_for_slot(NEVER)
        assert fresh.rate == 5


@pytest.mark.parametrize("content", [b"", b"rubbish"])
def test_a_file_of_a_pace_that_is_broken_is_written_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pace").write_bytes(content)
    assert make_shared_limiter(tmp_path / "pace", FakeClock()).wait_for_slot(NEVER).rate == 5
    assert len((tmp_path / "pace").read_bytes()) == 8 * len(NEW_STATE)


NEW_STATE = {
    "rate": 9.0, "threshold": math.inf, "steady": 0.0, "slot_at": 0.0, "cut_at": -1.0, "paused_until": 0.0, "good_at": 0.0,
    "cuts_in_a_row": 0.0, "refused_at": -1.0, "passed": 0.0, "share": 0.1, "weight": 20.0, "suspicion": 0.0,
    "answers": 0.0, "faults": 0.0, "tried_for": 0.0,
}  # fmt: skip
"""In the order of the file; times are counted from now."""
BROKEN_STATES: dict[str, dict[str, float]] = {
    "no rate": {"rate": 0.0},
    "a rate that is no number": {"rate": math.nan},
    "an endless rate": {"rate": math.inf},
    "no threshold": {"threshold": -1.0},
    "half steady": {"steady": 0.5},
    "a cut that is to come": {"cut_at": 1e300},
    "an endless pause": {"paused_until": 1e300},
    "a refusal after its cut": {"refused_at": 1.0},
    "a count below nothing": {"passed": -1.0},
    "a count that is no number": {"cuts_in_a_row": math.nan},
    "more faults than answers can have": {"share": 1.5},
    "noise of no answer": {"weight": 0.0},
    "noise that is no number": {"suspicion": math.nan},
}


def write_state(path: Path, clock: FakeClock, **changed: float) -> None:
    state = NEW_STATE | changed
    values = [value + clock() * (name.endswith("_at") or name == "paused_until") for name, value in state.items()]
    path.write_bytes(struct.pack(f"<{len(values)}d", *values))


@pytest.mark.parametrize("name", BROKEN_STATES)
def test_a_damaged_pace_stops_no_refetch(tmp_path: Path, name: str) -> None:
    clock = FakeClock()
    write_state(tmp_path / "pace", clock, **BROKEN_STATES[name])
    limiter = make_shared_limiter(tmp_path / "pace", clock)
    assert limiter.wait_for_slot(NEVER).rate == 5
    limiter.note_success(Slot(clock(), 5.0, waited=True))


def test_a_pace_that_is_not_damaged_is_taken(tmp_path: Path) -> None:
    clock = FakeClock()
    write_state(tmp_path / "pace", clock)
    assert make_shared_limiter(tmp_path / "pace", clock).wait_for_slot(NEVER).rate == 9


def test_where_no_file_can_be_the_gate_is_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    alone = make_shared_limiter(tmp_path / "file" / "pace", FakeClock())
    times = [alone.wait_for_slot(NEVER).at for _ in range(4)]
    assert times[-1] - times[0] == pytest.approx(0.6, abs=0.01)


PROCESS = """
import sys, threading
from pathlib import Path
from quivo_frames.fetch.rate_limit import RateLimiter
limiter, never = RateLimiter(200.0, shared_file=Path(sys.argv[1])), threading.Event()
print("ready", flush=True)
sys.stdin.readline()
print(*[limiter.wait_for_slot(never).at for _ in range(40)])
"""


def test_processes_share_one_pace_without_bursts(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "pace")]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    told = [child.communicate("go\n", timeout=30)[0] for child in children]
    times = sorted(float(word) for line in told for word in line.split())
    assert len(times) == 120
    assert times[-1] - times[0] > 0.95 * 119 / 200
    assert all(times[n + 20] - times[n] > 0.08 for n in range(100))  # never more than 20 in 80 ms


# Noise, by simulation: `python -m tests.support.simulated_fetch` prints more.


@pytest.mark.drawn
@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1])
@pytest.mark.parametrize(
    "server",
    sampled(
        SimulatedServer(limit, latency, spread, retry_after=pause)
        for limit in (10, 50, 200)
        for latency, spread in ((0.05, 0.0), (0.3, 0.5))
        for pause in (0.0, 1.0)
    ),
    ids=str,
)
def test_noise_does_not_hide_a_limit_nor_slow_down_a_fetch(server: SimulatedServer, noise: float) -> None:
    runs = [simulate(replace(server, noise=noise), 60, seed=seed, workers=128) for seed in range(3)]
    assert server.limit
    assert sum(run.admitted(20, 60) for run in runs) > 0.85 * server.limit * 40 * 3
    assert all(run.refused(20) < 0.02 for run in runs)
    assert all(run.requests_per_order < 1.2 for run in runs)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_burst_of_five_seconds_is_seen_through(noise: float) -> None:
    server = SimulatedServer(50, 0.3, 0.5, burst=250, retry_after=1.0, noise=noise)
    for seed in range(3):
        run = simulate(server, 60, seed=seed)
        assert run.refused(20) < 0.02
        assert run.admitted(20, 60) > 0.85 * 50 * 40


@pytest.mark.parametrize("workers", [4, 16])
def test_a_tenth_of_noise_costs_a_server_without_limit_less_than_a_fifth(workers: int) -> None:
    quiet = simulate(SimulatedServer(None), 60, workers=workers).good()
    for seed in range(3):
        noisy = simulate(SimulatedServer(None, noise=0.1), 60, workers=workers, seed=seed)
        assert noisy.good() > 0.8 * quiet
        assert noisy.requests_per_order < 1.2


def test_a_quarter_of_noise_is_noise_as_well() -> None:
    noisy = simulate(SimulatedServer(None, noise=0.25), 60, workers=64)
    assert noisy.sent[-1].rate > 300


@pytest.mark.parametrize("limit", [20.0, 50.0, 200.0])
def test_faults_that_grow_with_the_rate_are_a_limit(limit: float) -> None:
    run = simulate(SimulatedServer(limit, status=503), 60)
    assert run.good(20, 60) > 0.8 * limit * 40
    assert run.refused(20) < 0.1


def test_four_threads_soon_do_what_they_can_where_there_is_no_limit() -> None:
    assert simulate(SimulatedServer(None, 0.05), 10, workers=4).good() > 0.9 * 4 / 0.05 * 10


@pytest.mark.parametrize("status", [None, 503])
def test_an_outage_leaves_no_lower_rate_behind(status: int | None) -> None:
    run = simulate(SimulatedServer(None, outage=(20, 40), outage_status=status), 60, workers=16)
    assert run.good(50, 60) > 0.9 * 16 / 0.05 * 10
    if status:
        assert sum(20 <= one.at < 40 for one in run.sent) < 500  # of 6,400: it spared the server
