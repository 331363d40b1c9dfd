"""Progress of a run: numbers for a callback, or a bar on stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from quivo_frames.display.text import TerminalStream

REPORT_SECONDS = 1.0  # seconds between two reports
REPORTS_FOR_RATE = 10  # the rate is an average over so many reports


class Progress(NamedTuple):
    """The progress of a run.

    Orders `done` (`failed` of them without a good answer) and `left`; `rate` in orders per second over the last ten
    seconds, and `eta_seconds` until the end at that rate. Both are None if nothing was done in that time.
    """

    done: int
    failed: int
    left: int
    rate: float | None
    eta_seconds: float | None


class ProgressMeter:
    """Counts orders and reports the progress about once a second and at the end; `clock` returns seconds."""

    def __init__(
        self, total: int, report: Callable[[Progress], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._report = report
        self._clock = clock
        self._done = self._failed = 0
        self._marks = deque([(clock(), 0)], maxlen=REPORTS_FOR_RATE + 1)

    def count_order(self, *, failed: bool) -> None:
        """Count one order."""
        self._done += 1
        self._failed += failed
        self.report_if_due()

    def report_if_due(self) -> None:
        """Report, if the last report is old enough."""
        if self._clock() - self._marks[-1][0] >= REPORT_SECONDS:
            self.report_now()

    def report_now(self) -> None:
        """Report at once."""
        now, (earlier, done_earlier) = self._clock(), self._marks[0]
        self._marks.append((now, self._done))
        left, done = self._total - self._done, self._done - done_earlier
        rate = done / (now - earlier) if done and now > earlier else None
        eta = round(left / rate, 1) if rate else None
        self._report(Progress(self._done, self._failed, left, round(rate, 2) if rate else None, eta))


_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def progress_hidden() -> Iterator[None]:
    """No bar is shown in the block, unless somebody asks for one by `shown=True`."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def is_progress_hidden() -> bool:
    """Whether this is in a block of `progress_hidden`."""
    return _quiet.get()


class HiddenBar:
    """Stands in for a bar where none is shown."""

    def update(self, count: int = 1) -> None:
        """Do nothing."""

    def set_postfix(self, **_: object) -> None:
        """Do nothing."""


@contextmanager
def open_progress_bar(what: str, total: int, shown: bool | None, unit: str = "orders") -> Iterator[Any]:
    """A progress bar for `total` orders; with `shown` None it appears on a terminal and in a notebook only."""
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    is_wanted = (on_terminal or _in_notebook()) and not is_progress_hidden()
    if not (is_wanted if shown is None else shown):
        yield HiddenBar()
        return
    from tqdm.auto import tqdm

    stream = sys.stderr if _in_notebook() or sys.stderr is None else TerminalStream(sys.stderr)
    with tqdm(total=total, unit=f" {unit}", desc=what, file=stream) as progress:
        yield progress


@contextmanager
def track_progress(what: str, total: int, shown: bool | Callable[[Progress], object] | None) -> Iterator[ProgressMeter]:
    """A meter that reports to the function `shown`, or else to a bar, as `open_progress_bar` shows it."""
    if callable(shown):
        meter = ProgressMeter(total, shown)
        yield meter
        meter.report_now()
        return
    with open_progress_bar(what, total, shown) as progress_bar:
        shown_so_far = 0

        def update_bar(now: Progress) -> None:
            nonlocal shown_so_far
            progress_bar.set_postfix(failed=now.failed, refresh=False)
            progress_bar.update(now.done - shown_so_far)
            shown_so_far = now.done

        meter = ProgressMeter(total, update_bar)
        try:
            yield meter
        finally:
            meter.report_now()


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
