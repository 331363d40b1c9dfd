"""What it takes to begin: `python -m tests.benchmarks start`, in an environment with nothing else."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import ROOT, metered, middle
from tests.benchmarks.orders import orders_file

ORDERS = 100
ROUNDS = 9
_CLI = "import sys; from quivo_frames.cli import main; main(sys.argv[1:])"


def run(rounds: int = ROUNDS) -> dict[str, object]:
    """Measures, prints, and gives the results."""
    found: dict[str, list[tuple[float, float]]] = {}
    file = orders_file(ORDERS)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            tables = str(Path(name) / "tables")
            for what, words in {
                "python": ["-c", "pass"],
                "import polars": ["-c", "import polars"],
                "import quivo_frames": ["-c", "import quivo_frames"],
                "quivo-frames --help": ["-c", _CLI, "--help"],
                f"quivo-frames build, {ORDERS} orders": ["-c", _CLI, "build", str(file), "--out", tables],
            }.items():
                found.setdefault(what, []).append(metered(lambda words=words: _python(*words)))
    print(f"Whole processes, from start to end; medians of {rounds} rounds in turn.")
    if brought := [name for name in ("pandas", "hypothesis") if importlib.util.find_spec(name)]:
        print(f"{' and '.join(brought)} installed here: pandera loads them. `make bench` measures without them.")
    print(f"\n{'':<34}{'CPU ms':>8}{'wall ms':>9}{'CPU / import polars':>21}")
    base = middle([cpu for cpu, _ in found["import polars"]])
    for what, spent in found.items():
        cpu, wall = (middle([one[at] for one in spent]) for at in (0, 1))
        print(f"{what:<34}{cpu * 1e3:>8.0f}{wall * 1e3:>9.0f}{cpu / base:>21.2f}")
    return {"spent": found}


def _python(*words: str) -> None:
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
