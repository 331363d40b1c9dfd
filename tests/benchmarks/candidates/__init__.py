"""Who takes part, a module each, written as its users would write it: no tuning, no sabotage.

`run(file, out, **options)` does the work; `tables(out)` says which files of the output hold which of the 18 tables, and
LEAVES_OUT what it does not do that quivo_frames does. Types come from the shape of an order, names are the API's own.
Those that fetch have `answers(out)` instead: the order ids and the bodies that they kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.orders import SHAPE


def shape(file: Path) -> dict[str, Any]:
    """What an order of a file looks like."""
    found: dict[str, Any] = json.loads((file.parent / SHAPE).read_bytes())
    return found


def record(order: dict[str, Any], way: Iterable[str]) -> Any:
    """The shape of the entries of a list."""
    found: Any = order
    for name in way:
        found = found[name]
    return found[0]


def a_file_each(out: Path, names: Iterable[str]) -> dict[str, list[Path]]:
    """The files of candidates that write `<table>.parquet`."""
    return {name: [out / f"{name}.parquet"] for name in names}


def asking(rate: float | None) -> Callable[[], object]:
    """What to call before a request: with a known limit, pyrate-limiter waits there as its documentation shows it."""
    if rate is None:
        return lambda: None
    from pyrate_limiter import Duration, Limiter, Rate

    limiter = Limiter(Rate(int(rate), Duration.SECOND))
    return lambda: limiter.try_acquire("quivo")


def lines_of(out: Path) -> Iterator[tuple[int, bytes]]:
    """The orders in `orders.ndjson`; a line that is no order counts as none."""
    for line in (out / "orders.ndjson").read_bytes().splitlines():
        try:
            yield json.loads(line)["orderId"], line
        except (ValueError, KeyError, TypeError):
            continue
