"""What an engine costs beside processes of this machine, and what grows with the orders: `make bench-engines`.

Every way reads the same raw export and writes to a folder of the same disk. The driver is a process of its own, with
imports done and the engine up and connected before the clock starts; its memory is its own, not that of the workers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import DATA, ROOT, middle

WAYS = ("jobs", "pool", "dask", "spark")
SIZES = (50_000, 100_000, 200_000)
_FIRST = datetime(2026, 6, 1, tzinfo=UTC)


def raw_export(orders: int) -> Path:
    """The raw export of an archive of so many orders of the stand-in, made once."""
    from quivo_frames.archive.raw_export.index import INDEX_FILE, ResponseRow
    from quivo_frames.archive.raw_export.writer import write_raw_export
    from quivo_frames.standin.orders import order_json
    from quivo_frames.storage.directory import Directory

    def rows() -> Iterator[ResponseRow]:
        for number in range(orders):
            body = order_json(100_001 + number)
            at = _FIRST + timedelta(seconds=number)
            yield ResponseRow(
                100_001 + number, at, number + 1, True, 200, len(body), hashlib.sha256(body).digest(), body
            )

    place = DATA / f"raw-{orders}"
    if not (place / INDEX_FILE).exists():
        shutil.rmtree(place, ignore_errors=True)
        write_raw_export(Directory(place), rows(), "orders.sqlite", orders)
    return place


def run(sizes: list[int], rounds: int, ways: list[str]) -> dict[str, Any]:
    """Measures, prints, and gives the results."""
    from tests.clusters.clusters import DaskCluster, SparkCluster

    chosen = ways or list(WAYS)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        addresses = {}
        for name, kind in {"dask": DaskCluster, "spark": SparkCluster}.items():
            if name in chosen:
                (folder / name).mkdir()
                cluster: Any = kind(folder / name)
                stack.callback(cluster.close)
                addresses[name] = cluster.address
        for orders in sizes:
            raw = raw_export(orders)
            for _ in range(rounds):
                for way in chosen:
                    out = folder / "tables"
                    shutil.rmtree(out, ignore_errors=True)
                    told = _driver(way, raw, out, addresses.get(way, ""))
                    found.setdefault(str(orders), {}).setdefault(way, []).append(told)
    _print(found)
    return found


def _driver(way: str, raw: Path, out: Path, address: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.engines", way, str(raw), str(out), address]
    environment = {
        **os.environ,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _print(found: dict[str, dict[str, list[dict[str, float]]]]) -> None:
    print(
        "Medians. over jobs: wall time beside `--jobs 2` on the same input; look, commit: seconds of the driver before"
    )
    print(
        "and after the parts; memory: peak of the driver; files: of all tables. 2 cores, so two workers and a driver."
    )
    print(
        f"{'orders':>8} {'way':<6} {'wall s':>8} {'over jobs':>10} {'look s':>7} {'commit s':>9} {'memory MB':>10} {'files':>6}"
    )
    for orders, ways in found.items():
        base = middle([one["wall"] for one in ways["jobs"]]) if "jobs" in ways else float("nan")
        for way, told in ways.items():
            wall, look, commit, memory, files = (
                middle([one[name] for one in told]) for name in ("wall", "look", "commit", "memory", "files")
            )
            print(
                f"{int(orders):>8,} {way:<6} {wall:>8.1f} {wall / base:>10.2f} {look:>7.2f} {commit:>9.2f} {memory:>10.0f} {files:>6.0f}"
            )


def _timed(owner: Any, name: str, spent: dict[str, float], what: str) -> None:
    before: Callable[..., Any] = getattr(owner, name)

    def timed(*given: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return before(*given, **options)
        finally:
            spent[what] = time.perf_counter() - start

    setattr(owner, name, timed)


def drive(way: str, raw: str, out: str, address: str) -> None:
    """Builds once, and prints what it took."""
    from quivo_frames.builder import build, partition  # noqa: F401 - imported before the clock starts
    from quivo_frames.dataset.folder_commit import FolderCommit
    from quivo_frames.dataset.place_commit import PlaceCommit
    from quivo_frames.executors.connect import connect_engine

    spent: dict[str, float] = {}
    _timed(build, "OrderIndex", spent, "look")
    _timed(PlaceCommit, "commit_dataset", spent, "commit")
    _timed(FolderCommit, "assemble", spent, "commit")
    with ExitStack() as stack:
        options: dict[str, Any] = {"jobs": 2}
        if way == "pool":
            from loky import ProcessPoolExecutor

            pool = stack.enter_context(ProcessPoolExecutor(2, env={"POLARS_MAX_THREADS": "1"}))
            list(pool.map(abs, range(4)))
            options = {"executor": pool}
        elif address:
            options = {"executor": stack.enter_context(connect_engine(address))}
        start = time.perf_counter()
        made = build.build(raw, out, progress=False, **options)
        spent["wall"] = time.perf_counter() - start
    files = [file for name in made for file in made.files(name)]
    status = Path("/proc/self/status").read_text()  # what getrusage says is at least what the parent had
    memory = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(json.dumps({**spent, "memory": memory, "files": len(files)}))


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    for argument in ("way", "raw", "out", "address"):
        asked.add_argument(argument)
    drive(**vars(asked.parse_args()))
