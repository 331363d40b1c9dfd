"""How things are measured: each candidate in a process of its own, in turn with the others, the median of the rounds.

Imports are done before the clock starts. CPU is that of the process, its threads and its child processes. Ratios are
worth reading, seconds are not: they belong to the machine and to what else it does.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.support.paths import ROOT

DATA = ROOT / "data" / "benchmarks"
"""Inputs and results; ignored by git."""


class Unavailable(Exception):
    """The candidate cannot take part here, and why."""


@dataclass(frozen=True)
class Candidate:
    """Who takes part: a module of `candidates/` with `run(file, out, **options)`."""

    name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: int = 0
    """Processes that it starts."""
    python: str = sys.executable


@dataclass(frozen=True)
class Cost:
    """What one run cost, and what the imports before it did."""

    cpu: float
    wall: float
    peak_mb: float
    import_cpu: float
    import_wall: float


def in_turn(
    candidates: Sequence[Candidate], file: Path, folder: Path, rounds: int
) -> tuple[dict[str, list[Cost]], dict[str, str]]:
    """The costs of each candidate, a round of all after the other; and why others have none.

    What the last round wrote stays in a folder of `folder` for each.
    """
    costs: dict[str, list[Cost]] = {}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        for candidate in candidates:
            if candidate.name not in missing:
                try:
                    costs.setdefault(candidate.name, []).append(spend(candidate, file, folder / candidate.name))
                except Unavailable as why:
                    missing[candidate.name] = str(why)
                    costs.pop(candidate.name)
    return costs, missing


def spend(candidate: Candidate, file: Path, out: Path, seconds: float | None = None) -> Cost:
    """What a candidate costs in a fresh process; after so many `seconds` it is killed.

    Raises:
        Unavailable: it cannot take part, it broke off, or it was killed.
    """
    shutil.rmtree(out, ignore_errors=True)
    asked = asdict(candidate) | {"file": file.resolve(), "out": out.resolve()}
    command = [candidate.python, "-m", "tests.benchmarks.measure", json.dumps(asked, default=str)]
    environment = os.environ | dict(candidate.environment)
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not done after {seconds:.0f} s") from None
    if done.returncode:
        raise Unavailable(f"broke off: {(done.stderr.strip().splitlines() or ['no word why'])[-1]}")
    told = json.loads(done.stdout.splitlines()[-1])
    if "unavailable" in told:
        raise Unavailable(told["unavailable"])
    return Cost(**told)


def metered(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of some work, threads and child processes that ended in it included."""
    cpu, wall = _cpu(), time.perf_counter()
    work()
    return _cpu() - cpu, time.perf_counter() - wall


def middle(values: Sequence[float]) -> float:
    """The median; not a number without values."""
    return median(values) if values else float("nan")


def ratios(costs: Sequence[Cost], others: Sequence[Cost], what: str) -> list[float]:
    """How many times the cost of the others, round by round."""
    return [getattr(one, what) / getattr(other, what) for one, other in zip(costs, others, strict=True)]


def keep(part: str, results: object) -> None:
    """Writes the results of a part as JSON, and says where."""
    DATA.mkdir(parents=True, exist_ok=True)
    path = DATA / f"{part}.json"
    path.write_text(json.dumps(results, indent=2, default=vars), encoding="utf-8")
    print(f"\nAll single values: {path.relative_to(ROOT)}")


def _cpu() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _peak_mb(workers: int) -> float:
    """Peak memory of this process, and for each worker that of the largest: with workers, an upper bound."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of a new process begins with that of the process which started it
        own = int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 2**10
    return own + workers * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit


def _main(asked: Mapping[str, Any]) -> None:
    loaded: list[Any] = []
    try:
        import_cpu, import_wall = metered(
            lambda: loaded.append(importlib.import_module(f"tests.benchmarks.candidates.{asked['module']}"))
        )
        cpu, wall = metered(lambda: loaded[0].run(Path(asked["file"]), Path(asked["out"]), **asked["options"]))
    except ModuleNotFoundError as error:
        print(json.dumps({"unavailable": f"not installed here: {error.name}"}))
    except Unavailable as why:
        print(json.dumps({"unavailable": str(why)}))
    else:
        print(json.dumps(vars(Cost(cpu, wall, _peak_mb(asked["workers"]), import_cpu, import_wall))))


if __name__ == "__main__":
    from tests.benchmarks import measure

    measure._main(json.loads(sys.argv[1]))  # not of __main__: Unavailable would be another class there
