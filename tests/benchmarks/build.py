"""build beside the floor, and beside what others would write: `python -m tests.benchmarks build`."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from quivo_frames.flattening.core_choice import PYTHON, VARIABLE
from tests.benchmarks.measure import DATA, Candidate, Cost, in_turn, middle, ratios
from tests.benchmarks.orders import ALL, SPARSE, STAND_IN, orders_file, rows

FLOOR = Candidate("orjson.loads", "floor")
OURS = Candidate("quivo_frames", "ours", options={"jobs": 1, "derived": False})
VARIANTS = (
    OURS,
    replace(OURS, name="quivo_frames Python core", environment={VARIABLE: PYTHON}),
    replace(OURS, name="quivo_frames 1 thread", environment={"POLARS_MAX_THREADS": "1"}),
    replace(OURS, name="quivo_frames 2 jobs", options=dict(OURS.options) | {"jobs": 2}, workers=1),
    replace(OURS, name="quivo_frames derived", options={"jobs": 1}),
)
FAIR_PEER = Candidate("duckdb keys checked", "duckdb_keys")
PEERS = (
    FAIR_PEER,
    Candidate("duckdb", "duckdb_sql"),
    Candidate("flatterer", "flatterer_parquet"),
    Candidate("pyarrow+polars", "pyarrow_polars"),
)
SLOW_PEERS = (
    Candidate("pandas", "pandas_normalize"),
    Candidate("polars", "polars_ndjson"),
    Candidate("dlt", "dlt_pipeline"),
)
"""They cost 30 to 200 times the floor: they take part up to `SLOW_PEERS_UP_TO` orders, and where they are asked for."""
SLOW_PEERS_UP_TO = 5_000
SIZES = (20_000, 100_000)
SHAPES = (STAND_IN, SPARSE)
NAMES = [one.name for one in (FLOOR, *VARIANTS, *PEERS, *SLOW_PEERS)]
BEGINNING = 10
"""Orders of a build that costs little but what a process pays once."""

_READ = """\
One line a candidate. All read the same file, each in a fresh process, in turn; medians of {rounds} rounds.
  quivo_frames  one job, the 18 tables alone, as the others write them; derived: with the tables worked out of these
  Python core: without the compiled one; duckdb keys checked: DuckDB made to write keys and places, and to check them
  CPU/floor  CPU seconds (threads and child processes included) over those of orjson.loads of the same lines
  CPU/ours   the same over those of quivo_frames: below 1, it needs less; in brackets the lowest and the highest round
  wall/ours  seconds on the clock, the same way; with other work on the machine it says little
  peak MB    most memory that the process held; of several processes an upper bound
  imports    CPU of the imports before the clock started, over quivo_frames' CPU
  begin      CPU of a run with {beginning} orders, imports done: the part that a process pays once, over quivo_frames' CPU
  tables     how many of the 18 tables it writes; columns: in these; MB: size of their files
  rows       whether these hold as many rows as a count with the standard library alone
Ratios hold for one machine and this data; compare runs by ratios, never by seconds.
"""


@dataclass(frozen=True)
class Written:
    """What a candidate wrote: its tables with their rows, their columns and bytes, and the tables that are wrong."""

    rows: dict[str, int]
    columns: int
    megabytes: float
    wrong: dict[str, str]


def written(candidate: Candidate, out: Path, expected: Mapping[str, int]) -> Written:
    """Looks at the files of a candidate, without its own word about them."""
    module = importlib.import_module(f"tests.benchmarks.candidates.{candidate.module}")
    found: dict[str, int] = {}
    columns, size = 0, 0
    for table, paths in module.tables(out).items():
        there = [path for path in paths if path.exists()]
        found[table] = sum(map(_rows, there))
        columns += max((len(pl.read_parquet_schema(path)) for path in there), default=0)
        size += sum(path.stat().st_size for path in there)
    wrong = {
        table: f"{count:,} rows, not {expected[table]:,}" for table, count in found.items() if count != expected[table]
    }
    return Written(found, columns, size / 2**20, wrong)


def _rows(path: Path) -> int:
    count: int = pl.scan_parquet(path).select(pl.len()).collect().item()
    return count


def run(
    sizes: Sequence[int] = SIZES, rounds: int = 3, only: Sequence[str] = (), shapes: Sequence[str] = SHAPES,
    folder: Path = DATA, python: str = sys.executable,
) -> dict[str, object]:  # fmt: skip
    """Measures, prints, and gives the results by shape and size; `python` is the interpreter of quivo_frames."""
    print(_READ.format(rounds=rounds, beginning=BEGINNING))
    results = {
        f"{shape} {orders}": _measured(shape, orders, rounds, only, folder, python)
        for shape in shapes or SHAPES
        for orders in sizes
    }
    _leaves_out([one for one in _everybody(python) if any(one.name in found["costs"] for found in results.values())])
    return {"rounds": rounds, "results": results}


def _everybody(python: str) -> list[Candidate]:
    return [FLOOR, *(replace(one, python=python) for one in VARIANTS), *PEERS, *SLOW_PEERS]


def _measured(shape: str, orders: int, rounds: int, only: Sequence[str], folder: Path, python: str) -> dict[str, Any]:
    """The costs of all candidates for one file, printed as a table."""
    candidates = [one for one in _everybody(python) if not only or one.name in {*only, FLOOR.name, OURS.name}]
    if orders > SLOW_PEERS_UP_TO and not only:
        candidates = [one for one in candidates if one not in SLOW_PEERS]
    file = orders_file(orders, folder, shape)
    expected = rows(file)
    with tempfile.TemporaryDirectory() as name:
        first, _ = in_turn(candidates, orders_file(BEGINNING, folder, shape), Path(name), 3)
        costs, missing = in_turn(candidates, file, Path(name), rounds)
        if missing.keys() & {FLOOR.name, OURS.name}:
            raise SystemExit(f"Nothing to compare with ({missing}). `make bench` sets up what it takes.")
        looks = {one.name: written(one, Path(name) / one.name, expected) for one in candidates if one.name in costs}
    print(
        f"{orders:,} {shape} orders of {file.stat().st_size / orders / 1000:.1f} kB, "
        f"{sum(expected.values()) / orders:.1f} rows an order in {len(ALL)} tables.\n"
    )
    _table(candidates, first, costs, looks, missing)
    _differences(looks)
    return {"orders": orders, "first": first, "costs": costs, "written": looks, "missing": missing}


def _table(
    candidates: Sequence[Candidate],
    first: Mapping[str, Sequence[Cost]],
    costs: Mapping[str, Sequence[Cost]],
    looks: Mapping[str, Written],
    missing: Mapping[str, str],
) -> None:
    print(
        f"{'':<24}{'CPU/floor':>10}{'CPU/ours':>10}{'':>15}{'wall/ours':>11}{'peak MB':>9}{'imports':>9}{'begin':>7}{'tables':>8}{'columns':>9}{'MB':>6}  rows"
    )
    floor, ours = costs[FLOOR.name], costs[OURS.name]
    whole = middle([cost.cpu for cost in ours])
    for one in candidates:
        if one.name in missing:
            print(f"{one.name:<24}{'-':>10}  {missing[one.name]}")
            continue
        own, look = costs[one.name], looks[one.name]
        cpu = ratios(own, ours, "cpu")
        print(
            f"{one.name:<24}{middle(ratios(own, floor, 'cpu')):>10.1f}{middle(cpu):>10.2f}"
            f"{f'({min(cpu):.2f}-{max(cpu):.2f})':>15}{middle(ratios(own, ours, 'wall')):>11.2f}"
            f"{middle([cost.peak_mb for cost in own]):>9.0f}"
            f"{middle([cost.import_cpu for cost in own]) / whole:>9.2f}"
            f"{middle([cost.cpu for cost in first.get(one.name, ())]) / whole:>7.2f}"
            f"{len(look.rows):>8}{look.columns:>9}{look.megabytes:>6.1f}  "
            f"{_verdict(look)}"
        )


def _verdict(look: Written) -> str:
    if not look.rows:
        return "-"
    return f"{len(look.wrong)} table(s) DIFFER" if look.wrong else "as they must be"


def _differences(looks: Mapping[str, Written]) -> None:
    for name, look in looks.items():
        absent = [table for table in ALL if table not in look.rows]
        if look.rows and absent:
            print(f"{name} does not write: {', '.join(absent)}")
        for table, what in look.wrong.items():
            print(f"DIFFERS: {table} of {name} has {what}")
    print()


def _leaves_out(candidates: Sequence[Candidate]) -> None:
    print("What they leave out, beside what quivo_frames does:")
    for module in dict.fromkeys(one.module for one in candidates):
        one = next(one for one in candidates if one.module == module)
        description = importlib.import_module(f"tests.benchmarks.candidates.{module}")
        print(f"- {one.name}: {(description.__doc__ or '').splitlines()[0]}\n    leaves out: {description.LEAVES_OUT}")
