"""KPIs for the terminal, for programs, and as rows of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import polars as pl
import polars.selectors as cs

from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.analysis.kpi.result import Kpis
from quivo_frames.analysis.report.sheets import make_sheet
from quivo_frames.analysis.terminal_sheets import open_console, print_sheet
from quivo_frames.display.text import format_count, print_text
from quivo_frames.model.tables import cast_to_schema, table_of_named_tuple

MAX_ROWS = 40
"""Of a KPI at most this many rows are printed."""


class KpiFigure(NamedTuple):
    """One row of a file of KPIs: a figure of a group of orders."""

    kpi: Annotated[str, "The KPI."]
    part: Annotated[str | None, "Of a KPI of several parts, which: the promise, the stage, the age."]
    figure: Annotated[str, "What was counted or measured: orders, rate, p50."]
    value: Annotated[float | None, "Its value; shares from 0 to 1."]
    month: Annotated[str | None, "The month in which the orders were placed, if asked for by month."]
    week: Annotated[str | None, "The ISO week, if asked for by week."]
    day: Annotated[str | None, "The day, if asked for by day."]
    seller: Annotated[str | None, "The seller, if asked for by seller."]
    warehouse: Annotated[str | None, "The warehouse, if asked for by warehouse."]
    carrier: Annotated[str | None, "The carrier, if asked for by carrier; in the KPI carriers always."]
    country: Annotated[str | None, "The country of delivery, if asked for by country."]


KPI_FIGURES = table_of_named_tuple("kpis", "figure of a KPI and group", KpiFigure)
"""The columns of a file of KPIs."""


def stack_figures(kpis: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """All figures of KPIs, one row each, with the columns of KPI_FIGURES."""
    return pl.concat([_figures_of(name, frame) for name, frame in kpis.items()], how="vertical")


def _figures_of(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    words = frame.select(~cs.numeric()).columns
    numbers = frame.with_columns(cs.numeric().cast(pl.Float64))
    rows = numbers.unpivot(cs.numeric(), index=words, variable_name="figure")
    parts = [word for word in words if word not in GROUPS]
    missing = (pl.lit(None, pl.String).alias(group) for group in GROUPS if group not in words)
    part = pl.col(parts[0]) if parts else pl.lit(None, pl.String)
    named = rows.with_columns(*missing, kpi=pl.lit(name), part=part)
    return named.select(cast_to_schema(KPI_FIGURES.schema))


def kpi_facts(kpis: Kpis, chosen: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """KPIs for programs: what was asked for, and the rows of each."""
    return {
        "as_of": kpis.as_of.isoformat(),
        "by": list(kpis.by),
        "on_time_against": kpis.on_time_against,
        "kpis": {
            name: {"title": kpis.definitions[name].title, "orders": kpis.about[name], "rows": frame.to_dicts()}
            for name, frame in chosen.items()
        },
    }


def print_kpis(kpis: Kpis, chosen: Mapping[str, pl.DataFrame]) -> None:
    """Print KPIs, a table each: shares in percent, durations with one decimal."""
    print_text(kpis.headline())
    console = open_console()
    for name, title in kpis.titles_by_name():
        if name in chosen:
            frame = chosen[name]
            hidden = frame.height - MAX_ROWS
            note = f"… and {format_count(hidden, 'more row')}; --out FILE has all." if hidden > 0 else ""
            print_text()
            print_sheet(console, make_sheet(frame.head(MAX_ROWS), title, note=note))
