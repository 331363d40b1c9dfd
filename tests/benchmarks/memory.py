"""Whether the memory of build stays flat: `python -m tests.benchmarks memory`. Takes minutes and gigabytes of disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.build import OURS, SHAPES
from tests.benchmarks.measure import spend
from tests.benchmarks.orders import orders_file

ORDERS = (20_000, 100_000, 500_000)
WAYS = {
    "1 job": OURS,
    "2 jobs": replace(OURS, options=dict(OURS.options) | {"jobs": 2}, workers=1),
    "Python core": replace(OURS, environment={"QUIVO_FRAMES_CORE": "python"}),
    "derived": replace(OURS, options={"jobs": 1}),
}


def run(sizes: Sequence[int] = ORDERS, shapes: Sequence[str] = SHAPES) -> dict[str, object]:
    """Measures, prints, and gives the results."""
    peaks: dict[str, dict[int, dict[str, float]]] = {}
    print(
        "Peak memory of build in MB, a fresh process a figure; pages of mapped files count, though they can be dropped."
    )
    print("2 jobs: of both together, an upper bound where they are processes. Python core, derived: with one job.")
    print("Flat memory: the figures below each other are about the same, whatever the sizes are.\n")
    print(f"{'':<10}{'orders':>10}{'file MB':>10}{''.join(f'{way:>13}' for way in WAYS)}")
    for shape in shapes or SHAPES:
        for orders in sizes:
            file = orders_file(orders, kind=shape)
            found = peaks.setdefault(shape, {})[orders] = {}
            for way, candidate in WAYS.items():
                with tempfile.TemporaryDirectory() as name:
                    found[way] = spend(candidate, file, Path(name) / "tables").peak_mb
            cells = "".join(f"{peak:>13.0f}" for peak in found.values())
            print(f"{shape:<10}{orders:>10,}{file.stat().st_size / 2**20:>10,.0f}{cells}", flush=True)
        first, last = (peaks[shape][orders] for orders in (sizes[0], sizes[-1]))
        print(f"{'':<10}{'last over first':>20}{''.join(f'{last[way] / first[way]:>13.2f}' for way in WAYS)}\n")
    return {"peak_mb": peaks}
