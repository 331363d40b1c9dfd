"""What orders cost that are unusual, and how many of them leave the compiled core: `python -m tests.benchmarks fallback`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.build import FLOOR, OURS
from tests.benchmarks.measure import in_turn, middle, ratios
from tests.benchmarks.orders import KINDS, SPARSE, orders_file

ORDERS = 20_000
FACT = "read_in_python"
"""The fact of the manifest that counts the orders which left the compiled core."""
PYTHON_CORE = replace(OURS, name="Python core", environment={"QUIVO_FRAMES_CORE": "python"})


def run(orders: int = ORDERS, rounds: int = 3, kinds: Sequence[str] = ()) -> dict[str, object]:
    """Measures, prints, and gives the results."""
    found: dict[str, object] = {}
    print(
        f"{orders:,} orders a line, {rounds} rounds in turn. CPU of a build with one job over that of orjson.loads of the"
    )
    print("same lines; in Python: the share of the orders that the compiled core left to the one in Python.\n")
    print(f"{'orders':<20}{'CPU/floor':>10}{'Python core':>13}{'in Python':>11}")
    for kind in kinds or [kind for kind in KINDS if kind != SPARSE]:
        with tempfile.TemporaryDirectory() as name:
            costs, missing = in_turn([FLOOR, OURS, PYTHON_CORE], orders_file(orders, kind=kind), Path(name), rounds)
            if missing:
                raise SystemExit(f"Nothing to compare with: {missing}")
            manifest = json.loads((Path(name) / OURS.name / "manifest.json").read_bytes())
        share = manifest[FACT] / orders if FACT in manifest else None
        over = {who: middle(ratios(costs[who], costs[FLOOR.name], "cpu")) for who in (OURS.name, PYTHON_CORE.name)}
        in_python = "unknown" if share is None else f"{share:.1%}"
        print(f"{kind:<20}{over[OURS.name]:>10.1f}{over[PYTHON_CORE.name]:>13.1f}{in_python:>11}", flush=True)
        found[kind] = {"costs": costs, "share": share}
    return found
