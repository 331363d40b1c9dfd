"""The rate limit of the stand-in, and a timeline of the refetches it received."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class TokenBucket:
    """A token bucket, full at first: a request takes a token or is refused."""

    def __init__(self) -> None:
        self._left = math.inf  # full
        self._filled_at = 0.0

    def take_token(self, now: float, rate: float | None, burst: float | None) -> bool:
        """Take a token; False if there is none, and the request must be refused.

        `rate` tokens are added per second (None: no limit), up to `burst`, by default those of a tenth of a second and
        at least two: with only one, evenly sent requests would be refused whenever one arrives a moment early, which
        punishes network jitter and not the rate.
        """
        if rate is None:
            self._left = math.inf
            return True
        size = max(2.0, rate / 10) if burst is None else burst
        self._left = min(size, self._left + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class RefetchTimeline:
    """When each refetch arrived (time.monotonic) and the status it was answered with.

    The status is 0 without a whole answer, or for a 200 that is no order.

    A sequence of (seconds, status) that may grow while it is read; 10 bytes per entry.
    """

    def __init__(self) -> None:
        self._seconds = array("d")
        self._statuses = array("H")

    def note_arrival(self, now: float) -> int:
        """Add a refetch that arrived now; returns its position for `note_answer`."""
        self._seconds.append(now)
        self._statuses.append(0)
        return len(self._statuses) - 1

    def note_answer(self, position: int, status: int) -> None:
        """Record that a whole answer was sent."""
        self._statuses[position] = status

    def __len__(self) -> int:
        return len(self._statuses)

    def __getitem__(self, position: int) -> tuple[float, int]:
        return self._seconds[position], self._statuses[position]

    def __iter__(self) -> Iterator[tuple[float, int]]:
        return (self[position] for position in range(len(self)))
