"""Where the CPU time of build goes: `python -m tests.benchmarks profile`.

A timer of CPU time interrupts the build every 2 ms, and the CPU time since the last interruption is booked to what is
running then: long calls into polars get all of theirs, and nothing in the package is wrapped or named twice.
"""

from __future__ import annotations

import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.benchmarks.orders import orders_file
from tests.support.paths import ROOT

STAGES = {
    "pandera": r"pandera\.",
    "foreign keys": r"flattening\.rules:|flattening\.validate:",
    "counting values both ways": r"flattening\.reconcile:",
    "sha256 of the files": r"hashlib:.*;dataset\.",
    "parquet": r"dataset\.",
    "input, first pass (which answer is the newest)": r"builder\.inputs:OrderIndex\.__init__",
    "input, second pass": r"builder\.(inputs|order_files):|archive\.",
    "decode: fields that stand twice": r"flattening\.(decode:count_fields|decode:.*find_repeated_fields|exact:)",
    "decode": r"flattening\.decode:",
    "collect": r"flattening\.collect:",
    "free-form attributes": r"flattening\.custom_attributes:",
    "columns: lists to Series": r"construction.series:.*;flattening\.convert:",
    "columns: conversion of texts": r"flattening\.convert:",
    "frames: put together": r"flattening\.|model\.frames:",
}
"""Stage -> what stands on the stack then, innermost first; the first that fits. What fits none is told as it is."""
_REST = "the rest (here records and lines are freed)"
_TICK = 0.002


class Samples:
    """CPU seconds by stage, and by the innermost function of quivo_frames."""

    def __init__(self) -> None:
        self.stages: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()
        self._last = time.process_time()

    def book(self, frame: FrameType | None) -> None:
        """Books the CPU time since the last booking to a stack."""
        now = time.process_time()
        spent, self._last = now - self._last, now
        stack = list(_named(frame))
        text = ";".join(stack)
        self.stages[next((stage for stage, form in STAGES.items() if re.search(form, text)), _REST)] += spent
        self.functions[next((name for name in stack if name.split(":")[0] in _OURS), "outside")] += spent


_PACKAGE = ROOT / "quivo_frames"
_OURS = {".".join(path.relative_to(_PACKAGE).with_suffix("").parts) for path in _PACKAGE.rglob("*.py")}


def _named(frame: FrameType | None) -> Iterator[str]:
    """`module:function` of a stack, innermost first; modules of quivo_frames as `room.module`."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        yield f"{module.removeprefix('quivo_frames.')}:{frame.f_code.co_qualname}"
        frame = frame.f_back


@contextmanager
def sampled() -> Iterator[Samples]:
    """Samples what runs inside."""
    samples = Samples()
    before = signal.signal(signal.SIGPROF, lambda _, frame: samples.book(frame))
    signal.setitimer(signal.ITIMER_PROF, _TICK, _TICK)
    try:
        yield samples
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run(orders: int, rounds: int) -> dict[str, object]:
    """Measures, prints, and gives the results."""
    from quivo_frames.builder.build import build

    total = Samples()
    with tempfile.TemporaryDirectory() as name:
        file = orders_file(orders)
        build(file, Path(name) / "tables", progress=False, jobs=1)
        for _ in range(rounds):
            with sampled() as samples:
                build(file, Path(name) / "tables", progress=False, jobs=1)
            total.stages.update(samples.stages)
            total.functions.update(samples.functions)
    print(f"Where the CPU time of build goes: {orders:,} orders, {rounds} builds after one that warms up.\n")
    for title, found in (("stage", total.stages), ("innermost function of quivo_frames", total.functions)):
        print(f"{title:<52}{'share':>8}{'µs an order':>14}")
        everything = sum(found.values())
        for what, seconds in found.most_common(25):
            share = seconds / everything
            if share >= 0.005:
                print(f"{what:<52}{share:>8.1%}{seconds / rounds / orders * 1e6:>14.1f}")
        print()
    return {"orders": orders, "rounds": rounds, "stages": total.stages, "functions": total.functions}
