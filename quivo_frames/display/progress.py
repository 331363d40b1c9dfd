"""Noun: how far something is, and a bar on stderr where somebody can see it. Only here: tqdm. Floor 1."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

EVERY = 1.0  # seconds between two tellings
LATELY = 10  # tellings that the rate is taken from


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


class Meter:
    """Counts orders and tells how far it is, about once a second and at the end; `clock` gives seconds."""

    def __init__(
        self, total: int, tell: Callable[[Progress], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._tell = tell
        self._clock = clock
        self._done = self._failed = 0
        self._marks = deque([(clock(), 0)], maxlen=LATELY + 1)

    def note(self, *, failed: bool) -> None:
        """Count an order."""
        self._done += 1
        self._failed += failed
        self.tick()

    def tick(self) -> None:
        """Tell, if it is time."""
        if self._clock() - self._marks[-1][0] >= EVERY:
            self.tell()

    def tell(self) -> None:
        """Tell now."""
        now, (then, before) = self._clock(), self._marks[0]
        self._marks.append((now, self._done))
        left, done = self._total - self._done, self._done - before
        rate = done / (now - then) if done and now > then else None
        eta = round(left / rate, 1) if rate else None
        self._tell(Progress(self._done, self._failed, left, round(rate, 2) if rate else None, eta))


class Silent:
    """A bar that nobody sees."""

    def update(self, count: int = 1) -> None:
        """Counts nothing."""

    def set_postfix(self, **_: object) -> None:
        """Says nothing."""


@contextmanager
def bar(what: str, total: int, shown: bool | None) -> Iterator[Any]:
    """A bar of `total` orders; `shown` None means: on a terminal and in a notebook."""
    if not (sys.stderr.isatty() or _in_notebook() if shown is None else shown):
        yield Silent()
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit=" orders", desc=what, file=sys.stderr) as progress:
        yield progress


@contextmanager
def metered(what: str, total: int, shown: bool | Callable[[Progress], object] | None) -> Iterator[Meter]:
    """A meter that tells a function `shown`, or a bar as in `bar`."""
    if callable(shown):
        meter = Meter(total, shown)
        yield meter
        meter.tell()
        return
    with bar(what, total, shown) as progress:
        seen = 0

        def show(now: Progress) -> None:
            nonlocal seen
            progress.set_postfix(failed=now.failed, refresh=False)
            progress.update(now.done - seen)
            seen = now.done

        meter = Meter(total, show)
        try:
            yield meter
        finally:
            meter.tell()


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
