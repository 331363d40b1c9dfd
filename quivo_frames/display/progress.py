"""Noun: how far something is, and a bar on stderr where somebody can see it. Only here: tqdm. Floor 1."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

REPORT_SECONDS = 1.0  # seconds between two tellings
REPORTS_FOR_RATE = 10  # tellings that the rate is taken from


class Progress(NamedTuple):
    """How far a run is.

    Orders `done` (`failed` of them without a good answer) and `left`; `rate` in orders per second over the last ten
    seconds, and `eta_seconds` until the end at that rate, None where nothing was done in that time.
    """

    done: int
    failed: int
    left: int
    rate: float | None
    eta_seconds: float | None


class ProgressMeter:
    """Counts orders and tells how far it is, about once a second and at the end; `clock` gives seconds."""

    def __init__(
        self, total: int, report: Callable[[Progress], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._report = report
        self._clock = clock
        self._done = self._failed = 0
        self._marks = deque([(clock(), 0)], maxlen=REPORTS_FOR_RATE + 1)

    def count_order(self, *, failed: bool) -> None:
        """Count an order."""
        self._done += 1
        self._failed += failed
        self.report_if_due()

    def report_if_due(self) -> None:
        """Tell, if it is time."""
        if self._clock() - self._marks[-1][0] >= REPORT_SECONDS:
            self.report_now()

    def report_now(self) -> None:
        """Tell now."""
        now, (then, before) = self._clock(), self._marks[0]
        self._marks.append((now, self._done))
        left, done = self._total - self._done, self._done - before
        rate = done / (now - then) if done and now > then else None
        eta = round(left / rate, 1) if rate else None
        self._report(Progress(self._done, self._failed, left, round(rate, 2) if rate else None, eta))


class HiddenBar:
    """A bar that nobody sees."""

    def update(self, count: int = 1) -> None:
        """Counts nothing."""

    def set_postfix(self, **_: object) -> None:
        """Says nothing."""


@contextmanager
def open_progress_bar(what: str, total: int, shown: bool | None) -> Iterator[Any]:
    """A bar of `total` orders; `shown` None means: on a terminal and in a notebook."""
    if not (sys.stderr.isatty() or _in_notebook() if shown is None else shown):
        yield HiddenBar()
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit=" orders", desc=what, file=sys.stderr) as progress:
        yield progress


@contextmanager
def track_progress(what: str, total: int, shown: bool | Callable[[Progress], object] | None) -> Iterator[ProgressMeter]:
    """A meter that tells a function `shown`, or a bar as in `bar`."""
    if callable(shown):
        meter = ProgressMeter(total, shown)
        yield meter
        meter.report_now()
        return
    with open_progress_bar(what, total, shown) as progress:
        seen = 0

        def show(now: Progress) -> None:
            nonlocal seen
            progress.set_postfix(failed=now.failed, refresh=False)
            progress.update(now.done - seen)
            seen = now.done

        meter = ProgressMeter(total, show)
        try:
            yield meter
        finally:
            meter.report_now()


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
