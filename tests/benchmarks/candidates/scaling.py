"""A step of the run with many orders: their archive, and what is asked of the tables that were built from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars

from quivo_frames import Archive, Dataset, audit, build, check, unflatten
from tests.benchmarks.many_orders import FIRST_ID, write_archive
from tests.benchmarks.renew import delivered, fetched

__all__ = ["polars", "run"]  # loaded before the clock starts


def run(file: Path, out: Path, *, step: str, orders: int, changed: int, options: dict[str, Any]) -> None:
    """Does one step; `file` is the archive, `out` the folder that the step writes or reads."""
    tables = file.with_name("tables")
    if step == "archive":
        for earlier in file.parent.glob(f"{file.name}*"):
            earlier.unlink()
        write_archive(file, orders, options["jobs"])
    elif step == "change":
        change(file, range(FIRST_ID, FIRST_ID + orders, max(orders // changed, 1))[:changed])
    elif step == "recent":
        change(file, range(FIRST_ID + max(orders - changed, 0), FIRST_ID + orders))
    elif step in ("build", "renew", "full"):
        build(file, out if step == "full" else tables, progress=False, **options)
    elif step == "audit":
        audit(Dataset.open(tables), jobs=options["jobs"])
    elif step == "check":
        check(tables)
    elif step == "unflatten":
        sum(map(len, unflatten(Dataset.open(tables))))
    else:
        Dataset.open(tables).export(step, out)


def change(file: Path, ids: range) -> None:
    """New answers about some orders: what was on its way is delivered."""
    with Archive(file) as archive:
        newest = {raw.order_id: raw for raw in archive.responses(ids)}
    latest = max(raw.fetched_at for raw in newest.values() if raw.fetched_at)
    fetched(file, [delivered(raw.body, b"") for raw in newest.values()], latest.replace(day=latest.day + 1))
