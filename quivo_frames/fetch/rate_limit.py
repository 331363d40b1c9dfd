"""How fast to ask: one gate for all threads of a client, and for all processes that ask the same API. Floor 1.

The gate lets requests go in even slots and adapts their *rate*, as TCP does: a gentle start and quick growth until
Quivo complains (429 or 503). Then half the rate, quickly back to below the rate of the complaint, and slowly on from
there. Complaints in a row mean that the limit is well below, so each takes the rate further down; a complaint after a
calm time shows where the limit is, so it is approached more slowly from then on. Adapting the number of connections
instead provokes far more complaints. It knows nothing of HTTP but Retry-After.
"""

from __future__ import annotations

import logging
import math
import os
import struct
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from quivo_frames.errors import ConfigError
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

# Quivo documents no limit; all figures are choices, in requests per second.
FIRST_RATE = 5.0
LOWEST_RATE = 0.2
SLOW_START_STEP = 1.0  # per good answer: the rate doubles in about 0.7 s
SEARCHING_GROWTH, STEADY_GROWTH = 0.002, 0.0002  # growth in shares of the threshold, per second and second since the last complaint
SETTLING_SECONDS = 0.5  # seconds after a cut in which complaints belong to it: a limit with a burst takes time to forgive
CALM_SECONDS = 5.0  # seconds without a complaint after which the next one is not of the same row
CUT_AFTER_SLOW_START, CUT_IN_A_ROW, CUT_WHEN_STEADY = 0.8, 0.85, 0.93  # shares of the rate that was complained about
LIMIT_GONE = 1.15  # times the threshold: the limit that was there is gone
LONGEST_PAUSE = 60.0  # seconds, whatever Retry-After asks
LATE_SECONDS = 0.005  # seconds that a late thread may catch up; less than any visible burst
FORGET_SECONDS = 60.0  # seconds after the last slot: what was known of the limit is old


class Stopped(Exception):
    """Raised in a thread that waits, when its run is told to stop."""


class Slot(NamedTuple):
    """Leave to send one request: when it was given, at which rate, and whether the thread had to wait for it."""

    at: float
    rate: float
    waited: bool


@dataclass
class RateState:
    """What is known of the limit, and when the next request may go; seconds of the monotonic clock."""

    rate: float
    threshold: float = math.inf
    steady: float = 0.0  # 1.0: the threshold has proved right
    next_slot_at: float = -math.inf
    cut_at: float = -math.inf
    paused_until: float = -math.inf


class RateLimiter:
    """Even slots for all threads, at a rate that adapts to the answers.

    `ceiling` is a rate in requests per second that is never passed; it is used from the start, as a known limit.
    Gates of all processes with the same file `shared` keep one pace together, each below its own ceiling; where it
    cannot be written, a gate is on its own. `clock` gives seconds, the same for all processes; `wait(stop, seconds)`
    waits and tells whether `stop` was set.

    Raises:
        ConfigError: a ceiling that is not a positive number.
    """

    def __init__(
        self,
        ceiling: float | None = None,
        *,
        shared_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        if ceiling is not None and not (math.isfinite(ceiling) and ceiling > 0):
            raise ConfigError(f"The rate must be a number above 0 (requests per second), not {ceiling}.")
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
        """The rate now, in requests per second."""
        return min(self._known_state.rate, self._ceiling)

    @property
    def waiting_threads(self) -> int:
        """How many threads wait for a slot."""
        return self._waiting_threads

    def wait_for_slot(self, stop: threading.Event) -> Slot:
        """The next slot, when its time has come. Raises Stopped when `stop` is set before."""
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
                with self._locked_state() as pace:
                    now, rate = self._clock(), self.rate
                    # from the slot before, not from now: a thread that wakes late must not slow down the others
                    at = max(pace.next_slot_at, pace.paused_until, now - LATE_SECONDS)
                    pace.next_slot_at = at + 1 / rate
                if at > now:
                    waited = True
                    self._wait(stop, at - now)
                    if stop.is_set() or self._known_state.paused_until > at:
                        continue
                return Slot(max(at, now), rate, waited)
        raise Stopped

    def note_success(self, slot: Slot) -> None:
        """Note an answer without complaint. The rate grows only when it is what holds the threads back."""
        if not slot.waited or self._known_state.rate >= self._ceiling:
            return
        with self._locked_state() as pace:
            if pace.rate < pace.threshold:
                pace.rate = min(pace.rate + SLOW_START_STEP, pace.threshold)
            else:
                if pace.rate > LIMIT_GONE * pace.threshold:
                    pace.steady = 0.0
                growth = (STEADY_GROWTH if pace.steady else SEARCHING_GROWTH) * (self._clock() - pace.cut_at) * pace.threshold
                pace.rate += growth / pace.rate
            pace.rate = min(pace.rate, self._ceiling)

    def note_congestion(self, slot: Slot, pause: float = 0.0) -> None:
        """Note a complaint: half the rate, once for complaints of one moment; all threads pause so many seconds."""
        with self._locked_state() as pace:
            now, pause = self._clock(), min(pause, LONGEST_PAUSE)
            pace.paused_until = max(pace.paused_until, now + pause)
            if slot.at <= pace.cut_at + SETTLING_SECONDS:
                return
            in_a_row = now - pace.cut_at <= CALM_SECONDS + pause
            is_told = slot.rate >= self._ceiling  # a limit that is known is complained about when requests come uneven
            pace.steady = float((pace.threshold < math.inf or is_told) and not in_a_row)
            quick = CUT_AFTER_SLOW_START if pace.threshold == math.inf else CUT_IN_A_ROW  # quick growth goes far beyond
            pace.threshold = (CUT_WHEN_STEADY if pace.steady else quick) * slot.rate
            # a limit forgives during a long pause what half the rate would have to make good
            is_gentle = pause >= SETTLING_SECONDS or (is_told and pace.steady)
            pace.rate = max(pace.threshold if is_gentle else slot.rate / 2, min(LOWEST_RATE, self._ceiling))
            pace.cut_at = now
            logger.info("Quivo asks for less: now %.3g requests per second", pace.rate)

    @contextmanager
    def _locked_state(self) -> Iterator[RateState]:
        """The pace, for one thread of one process at a time."""
        with self._state_lock:
            if self._state_file:
                self._known_state = self._state_file.lock_and_read(self._known_state, self._clock())
            yield self._known_state
            if self._state_file:
                self._state_file.write_and_unlock(self._known_state)


class _SharedStateFile:
    """A pace in a file that processes take and give back in turn; useless, but no trouble, where there can be none.

    The lock is that of the system, on a file that stays open: it takes 3 us, where opening one anew takes 70.
    """

    _LAYOUT = struct.Struct("<6d")

    def __init__(self, path: Path) -> None:
        self._file: int | None = None
        if fcntl is None:  # Windows
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = open_private_file(path)
        except OSError as error:
            logger.info("The pace is not shared with other processes: %s", error)
        else:
            weakref.finalize(self, os.close, self._file)

    def lock_and_read(self, known: RateState, now: float) -> RateState:
        """The pace that all share, to be given back; `known` where nobody has asked lately."""
        if self._file is None:
            return known
        fcntl.flock(self._file, fcntl.LOCK_EX)
        found = os.pread(self._file, self._LAYOUT.size, 0)
        pace = RateState(*self._LAYOUT.unpack(found)) if len(found) == self._LAYOUT.size else known
        is_of_now = now - FORGET_SECONDS < pace.next_slot_at < now + FORGET_SECONDS + LONGEST_PAUSE  # and not of before a restart
        return pace if is_of_now else known

    def write_and_unlock(self, pace: RateState) -> None:
        """Let the next process have the pace."""
        if self._file is not None:
            with suppress(OSError):  # a full disk
                os.pwrite(self._file, self._LAYOUT.pack(*astuple(pace)), 0)
            fcntl.flock(self._file, fcntl.LOCK_UN)


def parse_retry_after(value: str | None, now: datetime) -> float:
    """The seconds that a Retry-After header asks for, 0.0 where it is absent or unreadable.

    The header is a number of seconds or an HTTP date (RFC 9110, 10.2.3); `now` is an aware time.
    """
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):  # TypeError: a date without a time zone
            return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0
