"""What a second core brings: `python -m tests.benchmarks cores`. Takes minutes."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.build import OURS
from tests.benchmarks.measure import in_turn, middle, ratios
from tests.benchmarks.orders import orders_file

ORDERS = 50_000
ONE = replace(OURS, name="1 job")
TWO = replace(OURS, name="2 jobs", options=dict(OURS.options) | {"jobs": 2}, workers=1)


def run(orders: int, rounds: int) -> dict[str, object]:
    """Measures, prints, and gives the results."""
    with tempfile.TemporaryDirectory() as name:
        costs, missing = in_turn([ONE, TWO], orders_file(orders), Path(name), rounds)
        if missing:
            print("\n".join(f"{who}: {why}" for who, why in missing.items()))
            return {"missing": missing}
        differs = differing(Path(name) / ONE.name, Path(name) / TWO.name)
    wall, cpu = (ratios(costs[ONE.name], costs[TWO.name], what) for what in ("wall", "cpu"))
    print(f"{orders:,} orders, {rounds} rounds in turn, on {os.cpu_count()} cores.")
    print(f"2 jobs are {middle(wall):.2f} times as fast as 1 (rounds: {min(wall):.2f} to {max(wall):.2f})")
    print(f"and cost {1 / middle(cpu):.2f} times the CPU. The first number means something only on an idle machine.")
    for who, spent in costs.items():
        print(
            f"peak memory of {who}: {middle([cost.peak_mb for cost in spent]):.0f} MB{' at the most' if who == TWO.name else ''}"
        )
    print("Their tables are the same, row by row." if not differs else f"THEIR TABLES DIFFER: {', '.join(differs)}")
    return {"costs": costs, "differing": differs}


def differing(one: Path, other: Path) -> list[str]:
    """Tables, failures and notes that two datasets do not share."""
    from quivo_frames import Dataset

    first, second = Dataset.open(one), Dataset.open(other)
    names = [*first, "failures", "notes"]
    return [name for name in names if not first.lazy(name).collect().equals(second.lazy(name).collect())]
