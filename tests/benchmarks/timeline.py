"""What a server saw of one client, as figures: goodput, the share of refusals, how soon a limit was reached or followed.

All times are seconds since the first refetch request, as the server received them. Windows hold their beginning, not
their end. A figure that does not exist is None.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

WINDOW = 2.0
REACHED = 0.8
FOLLOWED = 0.1
SAVED = 0.1


@dataclass(frozen=True)
class Timeline:
    """When requests were answered with an order (`good`) and when with a 429 (`refused`); both sorted."""

    good: list[float]
    refused: list[float]

    @classmethod
    def of(cls, answers: Iterable[tuple[float, int]]) -> Self:
        """The timeline of pairs of a time on any clock and a status, sorted by time."""
        seen = list(answers)
        begin = seen[0][0] if seen else 0.0
        good, refused = (
            [at - begin for at, status in seen if status == wanted]
            for wanted in (HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS)
        )
        return cls(good, refused)

    @property
    def end(self) -> float:
        """The last good answer."""
        return self.good[-1] if self.good else 0.0

    def goodput(self, ideal: float) -> float | None:
        """Of the whole run: good answers after the first, a second between the first and the last, over the ideal.

        What lies before the first and after the last is left out: even the best client can only wait for an answer.
        """
        if len(self.good) < 2 or self.end <= self.good[0]:
            return None
        return (len(self.good) - 1) / (self.end - self.good[0]) / ideal

    def goodput_within(self, since: float, until: float, ideal: float) -> float | None:
        """Of a window: good answers a second, over the ideal. None for less than a second."""
        return _count(self.good, since, until) / (until - since) / ideal if until - since >= 1 else None

    def share_refused(self, since: float = 0.0, until: float = math.inf) -> float | None:
        """429s among the answers to all requests in a window."""
        good, refused = (_count(times, since, until) for times in (self.good, self.refused))
        return refused / (good + refused) if good + refused else None

    def reached(self, ideal: float) -> float | None:
        """The first moment from which a window of 2 seconds holds 80 % of the ideal, or more.

        It is the beginning of that window, at a good answer: how long the client took until it was fast enough.
        """
        enough = max(math.ceil(REACHED * ideal * WINDOW), 1)
        windows = zip(self.good, self.good[enough - 1 :], strict=False)
        return next((first for first, last in windows if last - first < WINDOW), None)

    def followed(self, change: float, limit: float) -> float | None:
        """The seconds from a change of the limit until the client keeps to the new one.

        They end where the first whole window of 2 seconds begins, at a good answer, that holds no more good answers than
        the new limit grants (and a tenth more, as the server may have saved up) and fewer than 10 % 429s.
        """
        for since in self.good[bisect_left(self.good, change) : bisect_left(self.good, self.end - WINDOW)]:
            good, refused = (_count(times, since, since + WINDOW) for times in (self.good, self.refused))
            if good <= (1 + SAVED) * limit * WINDOW and refused / (good + refused) < FOLLOWED:
                return since - change
        return None

    def a_second(self) -> list[tuple[int, int]]:
        """Good answers and 429s, second by second."""
        last = int(max([self.end, *self.refused[-1:]])) + 1
        return [(_count(self.good, at, at + 1), _count(self.refused, at, at + 1)) for at in range(last)]


def _count(times: list[float], since: float, until: float) -> int:
    return bisect_left(times, until) - bisect_left(times, since)
