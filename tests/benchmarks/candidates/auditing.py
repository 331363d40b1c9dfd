"""What is asked of a dataset that is built: its findings, its KPIs, its report."""

from __future__ import annotations

from pathlib import Path

import altair
import polars
import vl_convert

from quivo_frames import Dataset, audit, kpis, report

__all__ = ["altair", "polars", "run", "vl_convert"]  # loaded before the clock starts


def run(file: Path, out: Path, *, dataset: str, ask: str) -> None:
    """Asks for one of the three."""
    del file
    tables = Dataset.open(dataset)
    if ask == "report":
        report(tables, out.with_suffix(".html"))
    else:
        {"audit": audit, "kpis": kpis}[ask](tables)
