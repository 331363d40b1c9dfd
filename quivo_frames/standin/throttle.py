"""What the stand-in lets through, and what came of it: the rate limit, and the timeline of the refetches."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bucket:
    """A bucket of tokens: `rate` come in a second, a request takes one, and `burst` is how many it holds.

    `rate` None is no limit. Without `burst` it holds what comes in a tenth of a second, and at least two: with a
    single one, of evenly sent requests each that comes a moment early would be refused, which punishes the jitter of
    the network and not the rate. Both may be changed by any thread while it is in use, and count from the next request.
    """

    def __init__(self, rate: float | None, burst: float | None) -> None:
        self.rate = rate
        self.burst = burst
        self._left = math.inf  # full
        self._then = 0.0

    def takes(self, now: float) -> bool:
        """Whether one more request may go; it is counted if so."""
        rate = self.rate  # once: another thread may change it meanwhile
        if rate is None:
            self._left = math.inf
            return True
        size = max(2.0, rate / 10) if self.burst is None else self.burst
        self._left = min(size, self._left + (now - self._then) * rate)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Timeline:
    """When each refetch came in (as time.monotonic tells it), and the status it was answered; 0 without a whole answer.

    A sequence of (seconds, status) that grows while it is read; 10 bytes each.
    """

    def __init__(self) -> None:
        self._seconds = array("d")
        self._statuses = array("H")

    def note(self, now: float) -> int:
        """The place of a refetch that came in just now, for `answered`."""
        self._seconds.append(now)
        self._statuses.append(0)
        return len(self._statuses) - 1

    def answered(self, place: int, status: int) -> None:
        """A whole answer left."""
        self._statuses[place] = status

    def __len__(self) -> int:
        return len(self._statuses)

    def __getitem__(self, place: int) -> tuple[float, int]:
        return self._seconds[place], self._statuses[place]

    def __iter__(self) -> Iterator[tuple[float, int]]:
        return (self[place] for place in range(len(self)))
