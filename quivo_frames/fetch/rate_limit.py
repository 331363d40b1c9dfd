"""An adaptive rate limiter for all threads of a client, shared with all processes that use the same API.

Requests go in even slots, without bursts. Their rate adapts as the congestion window of TCP does. Slow start: a gentle
rate that grows quickly until Quivo asks for less (429, or any Retry-After), or until the share of other faults rises
(`noise`). Multiplicative decrease: half the rate. Then it returns quickly to a threshold below the rate of the
congestion, and grows slowly from there. Congestion again and again means that the limit is well below, so each time
lowers the threshold, at last to what the limit let pass meanwhile; congestion after a calm time shows where the limit
is, so from then on the rate approaches it more slowly ("steady"). Adapting the number of connections instead of the
rate causes far more 429s.
"""

from __future__ import annotations

import logging
import math
import os
import re
import struct
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, field, fields
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from quivo_frames.errors import ConfigError
from quivo_frames.fetch.noise import NoiseWatch, Verdict
from quivo_frames.storage.atomic import open_private_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)
_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")
_MOST_SECONDS = 1e9

# Quivo documents no limit, so all figures are choices, made by tests/support/simulated_fetch.py. Rates are requests per
# second.
FIRST_RATE = 5.0
LOWEST_RATE = 0.2
SLOW_START_STEP = 2.0  # growth per good answer: the rate doubles in about 0.4 s
# Above the threshold the rate grows by this share of it, per second, for each second since the last cut.
SEARCHING_GROWTH, STEADY_GROWTH = 0.002, 0.0002
SETTLING_SECONDS = 0.5  # congestion so soon after a cut belongs to it: a token bucket takes time to refill
CALM_SECONDS = 5.0  # without congestion, after which the next one does not count as "again"
CUT_AFTER_SLOW_START, CUT_IN_A_ROW, CUT_WHEN_STEADY = 0.65, 0.85, 0.93  # new threshold / rate of the congestion
MEASURED_FROM, LARGEST_CUT = 2, 0.6  # cuts in a row before the threshold is what passed; but not less than this share
TRIED_AFTER_SLOW_START, TRIED_RATE = 0.6, 0.85  # of the rate without its excess, when faults become more
USUAL_RATE = 1.05  # times the threshold: up to here faults count as usual
LIMIT_GONE = 1.15  # times the threshold without congestion: the limit is no longer there
LONGEST_PAUSE = 60.0  # seconds, whatever Retry-After asks for
LONGEST_WAIT = 0.05  # seconds until a thread that waits looks at the rate again, which may have changed
LATE_SECONDS = 0.005  # that a late thread may catch up: too few for a visible burst
FORGET_SECONDS = 60.0  # after the last slot, when a shared state is too old to use


class Stopped(Exception):
    """Raised in a thread that waits for a slot when its run stops."""


class Slot(NamedTuple):
    """Permission to send one request: its time, the rate then, and whether the thread had to wait for it."""

    at: float
    rate: float
    waited: bool


@dataclass
class RateState:
    """What is known of the limit, and when the last request went (seconds of the monotonic clock)."""

    rate: float
    threshold: float = math.inf
    steady: float = 0.0  # 1.0: the threshold has proved right
    slot_at: float = -math.inf
    cut_at: float = -math.inf
    paused_until: float = -math.inf
    good_at: float = -math.inf
    cuts_in_a_row: float = 0.0
    refused_at: float = -math.inf  # when the request went that led to the last cut
    passed: float = 0.0  # requests after that one that no limit refused
    noise: NoiseWatch = field(default_factory=NoiseWatch)

    def is_usable(self, now: float) -> bool:
        """Whether a state that another process left is recent, and one that a process can have left."""
        latest = now + FORGET_SECONDS + LONGEST_PAUSE  # after a restart of the machine its clock starts again
        is_recent = now - FORGET_SECONDS < self.slot_at < latest
        are_times = max(self.paused_until, self.cut_at, self.good_at) < latest and self.refused_at <= self.cut_at
        are_counts = 0 <= self.cuts_in_a_row < math.inf and 0 <= self.passed < math.inf
        is_rate = 0 < self.rate < math.inf and self.threshold > 0 and self.steady in (0, 1)
        return is_recent and are_times and are_counts and is_rate and self.noise.is_possible


class RateLimiter:
    """Even slots for all threads, at a rate that adapts to the answers.

    Args:
        ceiling: highest rate in requests per second; it is used from the start, as a known limit.
        shared_file: limiters of all processes with this file share one state, each below its own ceiling. A limiter
            that cannot write the file keeps a state of its own.
        longest_pause: cap of the pauses that Quivo asks for, in seconds.
        clock: seconds, the same for all processes.
        wait: waits for an event or this many seconds.

    Raises:
        ConfigError: a ceiling that is not a positive number.
    """

    def __init__(
        self,
        ceiling: float | None = None,
        *,
        shared_file: Path | None = None,
        longest_pause: float = LONGEST_PAUSE,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        if ceiling is not None and not (math.isfinite(ceiling) and ceiling > 0):
            raise ConfigError(f"The rate must be a number above 0 (requests per second), not {ceiling}.")
        self.longest_pause = longest_pause
        self._ceiling = ceiling or math.inf
        self._clock = clock
        self._wait = wait
        self._slot_lock = threading.Lock()  # held by the one thread that waits for the next slot
        self._state_lock = threading.Lock()
        self._waiting_threads = 0
        self._known_state = RateState(ceiling or FIRST_RATE)
        self._state_file = _SharedStateFile(shared_file) if shared_file else None

    @property
    def rate(self) -> float:
        """The current rate, in requests per second."""
        return min(self._known_state.rate, self._ceiling)

    @property
    def waiting_threads(self) -> int:
        """How many threads wait for a slot."""
        return self._waiting_threads

    def wait_for_slot(self, stop: threading.Event) -> Slot:
        """Wait for the next slot. Raises Stopped when `stop` is set before."""
        with self._state_lock:
            self._waiting_threads += 1
        try:
            return self._take_slot(stop)
        finally:
            with self._state_lock:
                self._waiting_threads -= 1

    def _take_slot(self, stop: threading.Event) -> Slot:
        waited = False
        with self._slot_lock:
            while not stop.is_set():
                with self._locked_state() as state:
                    now, rate = self._clock(), self.rate
                    # counted from the last slot, not from now: a thread that wakes late must not slow down the others
                    at = max(state.slot_at + 1 / rate, state.paused_until, now - LATE_SECONDS)
                    if at <= now:
                        state.slot_at = at
                        return Slot(now, rate, waited)
                waited = True
                self._wait(stop, min(at - now, LONGEST_WAIT))
        raise Stopped

    def note_success(self, slot: Slot, *, is_first_try: bool = True) -> None:
        """Note an answer without congestion. The rate grows only if threads have to wait for it."""
        with self._locked_state() as state:
            state.good_at = max(state.good_at, slot.at)
            self._note_passed(state, slot, is_fault=False, is_first_try=is_first_try)
            is_wanted = slot.waited or self._waiting_threads
            if is_wanted and state.rate < self._ceiling and not state.noise.is_uncertain:
                state.rate = min(self._grown_rate(state), self._ceiling)

    def note_fault(self, slot: Slot, *, is_answered: bool, is_first_try: bool = True) -> None:
        """Note a fault that asks for nothing: an error (`is_answered`), a broken answer, or none."""
        with self._locked_state() as state:
            verdict = self._note_passed(state, slot, is_fault=True, is_first_try=is_first_try)
            if verdict is not Verdict.RISE:
                return
            if state.good_at > state.cut_at:
                share = TRIED_AFTER_SLOW_START if state.threshold == math.inf else TRIED_RATE
                self._set_rate(state, share * (1 - state.noise.begin_trial()) * slot.rate)
                logger.info("More requests fail: now %.3g requests per second, to see whether fewer do", state.rate)
            else:  # nothing passes since the last cut: a lower threshold would only delay the return
                state.noise.start_again()
                if is_answered:
                    self._set_rate(state, slot.rate / 2)

    def note_congestion(self, slot: Slot, pause: float = 0.0) -> None:
        """Note that Quivo asks for less: cut the rate, once for all of a moment, and pause all for `pause` seconds."""
        with self._locked_state() as state:
            now, pause = self._clock(), min(pause, self.longest_pause)
            state.paused_until = max(state.paused_until, now + pause)
            if slot.at <= state.cut_at + SETTLING_SECONDS:
                return
            in_a_row = now - state.cut_at <= CALM_SECONDS + pause
            at_ceiling = slot.rate >= self._ceiling  # a known limit answers 429 only where requests arrive unevenly
            state.steady = float((state.threshold < math.inf or at_ceiling) and not in_a_row)
            cut = CUT_AFTER_SLOW_START if state.threshold == math.inf else CUT_IN_A_ROW  # slow start overshoots far
            threshold = (CUT_WHEN_STEADY if state.steady else cut) * slot.rate
            state.cuts_in_a_row = state.cuts_in_a_row + 1 if in_a_row else 0.0
            if state.cuts_in_a_row >= MEASURED_FROM:  # a large burst was used up each time: what passed is the limit
                passed_rate = state.passed / (slot.at - state.refused_at)
                threshold = min(threshold, max(passed_rate, LARGEST_CUT * slot.rate))
            state.threshold, state.refused_at, state.passed = threshold, slot.at, 0.0
            state.noise.start_again()
            # a long pause refills the bucket of the limit, which otherwise takes a time at half the rate
            is_gentle = pause >= SETTLING_SECONDS or (at_ceiling and state.steady)
            self._set_rate(state, threshold if is_gentle else slot.rate / 2)
            logger.info("Quivo asks for less: now %.3g requests per second", state.rate)

    def _note_passed(self, state: RateState, slot: Slot, *, is_fault: bool, is_first_try: bool) -> Verdict:
        """Note a request that no limit refused."""
        state.passed += slot.at > state.refused_at
        since_cut = slot.at - state.cut_at - SETTLING_SECONDS
        if since_cut <= 0 or not is_first_try:
            return Verdict.NOTHING
        is_usual = slot.rate <= USUAL_RATE * state.threshold
        verdict = state.noise.note_answer(slot.rate, since_cut, is_fault=is_fault, is_usual=is_usual)
        if verdict is Verdict.OVERLOAD:
            state.threshold, state.steady = state.rate, 0.0
            logger.info("Fewer requests fail at %.3g per second: staying near it", state.rate)
        return verdict

    def _grown_rate(self, state: RateState) -> float:
        if state.rate < state.threshold:
            return min(state.rate + SLOW_START_STEP, state.threshold)
        if state.rate > LIMIT_GONE * state.threshold:
            state.steady = 0.0
        growth = STEADY_GROWTH if state.steady else SEARCHING_GROWTH
        return state.rate + growth * (self._clock() - state.cut_at) * state.threshold / state.rate

    def _set_rate(self, state: RateState, rate: float) -> None:
        state.rate, state.cut_at = max(rate, min(LOWEST_RATE, self._ceiling)), self._clock()

    @contextmanager
    def _locked_state(self) -> Iterator[RateState]:
        """The state, for one thread of one process at a time."""
        with self._state_lock:
            if self._state_file:
                self._known_state = self._state_file.lock_and_read(self._known_state, self._clock())
            yield self._known_state
            if self._state_file:
                self._state_file.write_and_unlock(self._known_state)


class _SharedStateFile:
    """A state in a file that processes lock and change in turn; does nothing where there can be no file.

    It uses flock on a file that stays open, because that takes 3 us, where opening a file takes 70.
    """

    _LAYOUT = struct.Struct(f"<{len(fields(RateState)) - 1 + len(fields(NoiseWatch))}d")

    def __init__(self, path: Path) -> None:
        self._file: int | None = None
        if fcntl is None:  # Windows
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = open_private_file(path)
        except OSError as error:
            logger.info("The rate is not shared with other processes: %s", error)
        else:
            weakref.finalize(self, os.close, self._file)

    def lock_and_read(self, known: RateState, now: float) -> RateState:
        """Lock the file and read the shared state; `known` where no process has used it lately."""
        if self._file is None:
            return known
        fcntl.flock(self._file, fcntl.LOCK_EX)
        found = os.pread(self._file, self._LAYOUT.size, 0)
        if len(found) != self._LAYOUT.size:
            return known
        values, own = self._LAYOUT.unpack(found), len(fields(RateState)) - 1
        state = RateState(*values[:own])
        state.noise = NoiseWatch(*values[own:])
        return state if state.is_usable(now) else known

    def write_and_unlock(self, state: RateState) -> None:
        """Write the state and let the next process have it."""
        if self._file is not None:
            with suppress(OSError):  # a full disk
                *own, noise = astuple(state)
                os.pwrite(self._file, self._LAYOUT.pack(*own, *noise), 0)
            fcntl.flock(self._file, fcntl.LOCK_UN)


def parse_retry_after(value: str | None, now: datetime) -> float:
    """The seconds that a Retry-After header asks for, 0.0 where it is absent or unreadable; at most 10 ** 9.

    The header is a number of seconds or an HTTP date (RFC 9110, 10.2.3); `now` is an aware time.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _MOST_SECONDS)
    try:
        seconds = (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):  # TypeError: a date without a time zone
        return 0.0
    return min(max(seconds, 0.0), _MOST_SECONDS)
