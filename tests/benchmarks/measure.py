"""How things are measured: CPU time of the process, the candidates in turn, the median of several rounds."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

ROUNDS = 5


def cpu_seconds(candidates: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median CPU seconds of each candidate; one round of all warms up and does not count."""
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, candidate in candidates.items():
            gc.collect()
            began = time.process_time()
            candidate()
            if number:
                found[name].append(time.process_time() - began)
    return {name: median(times) for name, times in found.items()}
