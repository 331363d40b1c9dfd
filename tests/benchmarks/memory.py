"""Whether the memory of build stays flat: `python -m tests.benchmarks memory`. Takes minutes and gigabytes of disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.build import OURS
from tests.benchmarks.measure import spend
from tests.benchmarks.orders import orders_file

ORDERS = (20_000, 100_000, 500_000)


def run(sizes: Sequence[int] = ORDERS) -> dict[str, object]:
    """Measures, prints, and gives the results."""
    peaks: dict[int, float] = {}
    print("Peak memory of build, a fresh process a size; pages of mapped files count, though they can be dropped.")
    print("Flat memory: the last line is near 1, whatever the sizes are.\n")
    print(f"{'orders':>10}{'file MB':>10}{'peak MB':>10}{'over the first':>16}")
    for orders in sizes:
        file = orders_file(orders)
        with tempfile.TemporaryDirectory() as name:
            peaks[orders] = spend(OURS, file, Path(name) / "tables").peak_mb
        first = peaks[sizes[0]]
        print(
            f"{orders:>10,}{file.stat().st_size / 2**20:>10,.0f}{peaks[orders]:>10.0f}{peaks[orders] / first:>16.2f}",
            flush=True,
        )
    print(f"\nhighest over lowest: {max(peaks.values()) / min(peaks.values()):.2f}")
    return {"peak_mb": peaks}
