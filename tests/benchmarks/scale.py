"""Many orders, step by step: `python -m tests.benchmarks scale --orders 10000000 --folder DIR`. Takes hours and disk.

Per million orders about 2.3 GB of archive, 0.6 GB of tables, while they are built as much again, and 0.6 GB of Delta.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.measure import Candidate, Cost, Unavailable, spend

ORDERS = 100_000
CHANGED = 100
STEPS = {
    "archive": "the orders, invented, into an archive",
    "build": "all tables from the archive",
    "change": f"new answers about {CHANGED} orders, anywhere among all",
    "recent": f"new answers about the last {CHANGED} orders",
    "renew": f"the tables after these {CHANGED} changes",
    "audit": "all checks, by ranges of orders",
    "check": "whether all is as it was written",
    "unflatten": "the orders as JSON from the tables",
    "delta": "export to Delta Lake",
    "parquet": "export to parquet",
    "duckdb": "export to DuckDB",
    "csv": "export to CSV",
}
WRITTEN = {
    "archive": "orders.sqlite",
    "change": "orders.sqlite",
    "recent": "orders.sqlite",
    "build": "tables",
    "renew": "tables",
    "audit": "tables",
}
"""Where a step writes; the others write to a folder of their name."""


def run(
    folder: Path, orders: int = ORDERS, jobs: int = 0, steps: Sequence[str] = (), *, derived: bool = False
) -> dict[str, object]:
    """Measures, prints a table to be pasted, and gives the results. What a step finds there of an earlier run, it uses."""
    jobs = jobs or os.cpu_count() or 1
    folder.mkdir(parents=True, exist_ok=True)
    costs: dict[str, Cost] = {}
    missing: dict[str, str] = {}
    print(f"{orders:,} orders, {jobs} jobs, tables {'with' if derived else 'without'} derived ones.\n")
    print("| step | wall s | CPU s | CPU us an order | peak MB | files | MB on disk | what |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for step in steps or ("archive", "build", "change", "renew", "audit", "delta"):
        out = folder / WRITTEN.get(step, step)
        building = {"jobs": jobs, "derived": derived}
        asked = {"step": step, "orders": orders, "changed": CHANGED, "options": building}
        one = Candidate(step, "scaling", options=asked, workers=jobs if step == "archive" else 0)
        own = out if step not in WRITTEN else folder / "nothing"  # what is emptied before the step
        try:
            cost = costs[step] = spend(one, folder / "orders.sqlite", own)
        except Unavailable as why:
            missing[step] = str(why)
            print(f"| {step} | {why} | | | | | | {STEPS[step]} |", flush=True)
            continue
        files = [path for path in (out.rglob("*") if out.is_dir() else folder.glob(f"{out.name}*")) if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 2**20
        each = cost.cpu / orders * 1e6
        print(
            f"| {step} | {cost.wall:,.1f} | {cost.cpu:,.1f} | {each:,.1f} | {cost.peak_mb:,.0f} | {len(files):,} "
            f"| {size:,.0f} | {STEPS[step]} |",
            flush=True,
        )
    print(
        "\nPeak memory is that of the process that does the step, threads included; of the archive an upper bound of all."
    )
    return {"orders": orders, "jobs": jobs, "derived": derived, "costs": costs, "missing": missing}
