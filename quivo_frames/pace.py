"""How fast to ask: one gate for all threads of a client. Floor 1: knows nothing of HTTP but Retry-After.

The gate lets requests go in even slots and adapts their *rate*, as TCP does: a gentle start, quick growth until Quivo
complains (429 or 503), then half the rate, quickly back to just below the rate of the complaint, and slowly on from
there, faster the longer nothing is complained about. Adapting the number of connections instead provokes far more
complaints.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from quivo_frames.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

logger = logging.getLogger(__name__)

# Quivo documents no limit; all figures are choices, in requests per second.
FIRST_RATE = 5.0
LOWEST_RATE = 0.2
QUICK_STEP = 1.0  # per good answer: the rate doubles in about 0.7 s
SLOW_STEP = 0.002  # of the threshold, per second and second since the last complaint
SETTLING = 0.5  # seconds after a cut in which complaints belong to it: a limit with a burst takes time to forgive
SAFE_SHARE = 0.9  # of the rate that was complained about
LONGEST_PAUSE = 60.0  # seconds, whatever Retry-After asks
SLACK = 0.005  # seconds that a late thread may catch up; less than any visible burst


class Stopped(Exception):
    """Raised in a thread that waits, when its run is told to stop."""


class Slot(NamedTuple):
    """Leave to send one request: when it was given, at which rate, and whether the thread had to wait for it."""

    at: float
    rate: float
    waited: bool


class Gate:
    """Even slots for all threads, at a rate that adapts to the answers.

    `ceiling` is a rate in requests per second that is never passed; it is used from the start, as a known limit.
    `clock` gives seconds; `wait(stop, seconds)` waits and tells whether `stop` was set.

    Raises:
        ConfigError: a ceiling that is not a positive number.
    """

    def __init__(
        self,
        ceiling: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        if ceiling is not None and not (math.isfinite(ceiling) and ceiling > 0):
            raise ConfigError(f"The rate must be a number above 0 (requests per second), not {ceiling}.")
        self._ceiling = ceiling or math.inf
        self._clock = clock
        self._wait = wait
        self._turn = threading.Lock()  # held by the one thread that waits for the next slot
        self._state = threading.Lock()
        self._rate = ceiling or FIRST_RATE
        self._threshold = math.inf
        self._next = -math.inf
        self._cut_at = -math.inf
        self._paused_until = -math.inf

    @property
    def rate(self) -> float:
        """The rate now, in requests per second."""
        return self._rate

    def enter(self, stop: threading.Event) -> Slot:
        """The next slot, when its time has come. Raises Stopped when `stop` is set before."""
        waited = False
        with self._turn:
            while not stop.is_set():
                with self._state:
                    now = self._clock()
                    ready_at = max(self._next, self._paused_until)
                    if now >= ready_at:
                        # from the slot, not from now: a thread that wakes late must not slow down the others
                        self._next = max(self._next, now - SLACK) + 1 / self._rate
                        return Slot(now, self._rate, waited)
                waited = True
                self._wait(stop, ready_at - now)
        raise Stopped

    def good(self, slot: Slot) -> None:
        """Note an answer without complaint. The rate grows only when it is what holds the threads back."""
        if not slot.waited:
            return
        with self._state:
            quick = self._rate < self._threshold
            slow_step = SLOW_STEP * (self._clock() - self._cut_at) * self._threshold
            step = QUICK_STEP if quick else slow_step / self._rate
            top = self._threshold if quick else math.inf
            self._rate = min(self._rate + step, top, self._ceiling)

    def congested(self, slot: Slot, pause: float = 0.0) -> None:
        """Note a complaint: half the rate, once for complaints of one moment; all threads pause so many seconds."""
        with self._state:
            now = self._clock()
            self._paused_until = max(self._paused_until, now + min(pause, LONGEST_PAUSE))
            if slot.at <= self._cut_at + SETTLING:
                return
            self._cut_at = now
            self._threshold = SAFE_SHARE * slot.rate
            self._rate = max(slot.rate / 2, min(LOWEST_RATE, self._ceiling))
            logger.info("Quivo asks for less: now %.3g requests per second", self._rate)


def retry_after(value: str | None, now: datetime) -> float:
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
