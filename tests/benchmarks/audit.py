"""What audit, KPIs and report cost beside the build: `python -m tests.benchmarks audit`. Takes minutes."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.build import OURS
from tests.benchmarks.measure import Candidate, in_turn, middle, ratios
from tests.benchmarks.orders import orders_file

ORDERS = 100_000
BUILD = replace(OURS, name="build", options={"jobs": os.cpu_count()}, workers=1)
"""As a user builds: with all cores."""


def run(orders: int = ORDERS, rounds: int = 3) -> dict[str, object]:
    """Measures, prints, and gives the results."""
    with tempfile.TemporaryDirectory() as name:
        built = str(Path(name) / BUILD.name)
        asked = [
            Candidate(ask, "auditing", options={"dataset": built, "ask": ask}) for ask in ("audit", "kpis", "report")
        ]
        costs, missing = in_turn([BUILD, *asked], orders_file(orders), Path(name), rounds)
    if missing:
        print("\n".join(f"{who}: {why}" for who, why in missing.items()))
        return {"missing": missing}
    print(f"{orders:,} orders, {rounds} rounds in turn, build with {os.cpu_count()} jobs; shares of the build's time.")
    print("audit: all checks. kpis: all figures. report: the audit, and all of the page.\n")
    print(f"{'':<10}{'of its time':>12}{'rounds':>16}{'of its CPU':>12}{'peak MB':>10}")
    for who, spent in costs.items():
        wall, cpu = (ratios(spent, costs[BUILD.name], what) for what in ("wall", "cpu"))
        peak = middle([cost.peak_mb for cost in spent])
        print(
            f"{who:<10}{middle(wall):>12.2f}{f'{min(wall):.2f}-{max(wall):.2f}':>16}{middle(cpu):>12.2f}{peak:>10.0f}"
        )
    return {"costs": costs}
