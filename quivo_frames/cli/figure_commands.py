"""Commands that show figures of the tables: kpis and lines."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from quivo_frames.cli.default_places import default_tables, limits_option, on_time_option, tables_argument
from quivo_frames.cli.options import as_json, print_facts, print_written
from quivo_frames.cli.params import DayOrInstantParam, FileParam, PlaceParam, WordParam
from quivo_frames.cli.slice_options import open_slice, slice_options
from quivo_frames.display.text import format_count, print_json
from quivo_frames.errors import ConfigError

GROUPS = ("month", "week", "day", "seller", "warehouse", "carrier", "country")
"""Repeated here, as the modules of the KPIs load polars; a test compares them."""


@click.command()
@click.argument("folder", metavar="[TABLES]", required=False, type=PlaceParam())
@click.option("--by", multiple=True, type=click.Choice(GROUPS), help="Group the orders; may be given several times.")
@click.option("--only", multiple=True, metavar="KPI", help="Only this KPI; may be given several times.")
@click.option(
    "--as-of",
    type=DayOrInstantParam(),
    help="As it was then: day (its end) or instant, UTC, or yesterday, 7d (ago).  [default: all that is known]",
)
@limits_option
@on_time_option
@click.option("--definitions", is_flag=True, help="Only define the KPIs: what is counted, and what they cannot see.")
@click.option("--out", type=FileParam(), help="Write all figures, one row each: .parquet, .csv, .ndjson or .xlsx.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Processes that share the work.")
@slice_options
@as_json
def kpis(
    folder: str | None, by: tuple[str, ...], only: tuple[str, ...], as_of: str | None, limits: Path | None,
    on_time: str, definitions: bool, out: Path | None, jobs: int, as_json: bool, where: dict[str, Any],
) -> None:  # fmt: skip
    """Show how well the orders were fulfilled: perfect orders, on time, fill rate, cycle time, carriers and more.

    Groups are those of the orders: when they were placed, seller, country, and the warehouses and carriers that served
    them. An order that several served counts in the group of each.

    Example: quivo-frames kpis

    Example: quivo-frames kpis --by carrier --by month --only on_time

    Example: quivo-frames kpis --definitions --only fill_rate

    Example: quivo-frames kpis tables --as-of 2026-06-30 --out kpis.csv
    """
    from quivo_frames.analysis.checks.limits import Limits, read_limits
    from quivo_frames.analysis.definition_pages import kpi_definitions, print_kpi_definitions
    from quivo_frames.analysis.kpi.kpi_page import KPI_FIGURES, kpi_facts, print_kpis, stack_figures
    from quivo_frames.analysis.kpi.kpis import KPIS
    from quivo_frames.analysis.kpi.kpis import kpis as compute
    from quivo_frames.export.frame_file import refuse_frame_file, write_frame_file

    if unknown := [name for name in only if name not in KPIS]:
        raise ConfigError(f"There is no KPI {unknown[0]!r}. The KPIs are: {', '.join(KPIS)}.")
    if definitions:
        print_facts(kpi_definitions(only)) if as_json else print_kpi_definitions(only)
        return
    if out:
        refuse_frame_file(out, KPI_FIGURES)
    with_limits = read_limits(limits) if limits else Limits()
    found = compute(
        open_slice(folder or default_tables(), where), by, as_of, on_time_against=on_time, limits=with_limits,
        jobs=jobs, tolerance=timedelta(hours=with_limits.late_hours),
    )  # fmt: skip
    chosen = {name: frame for name, frame in found.items() if not only or name in only}
    notices = write_frame_file(stack_figures(chosen), out, KPI_FIGURES) if out else []
    if as_json:
        print_facts(kpi_facts(found, chosen))
    elif out:
        print_written([out], notices)
    else:
        print_kpis(found, chosen)


@click.command()
@tables_argument
@click.option(
    "--order",
    "order_ids",
    multiple=True,
    type=click.IntRange(-(2**63), 2**63 - 1),
    metavar="ORDER",
    help="Only lines of this order; may be given several times.",
)
@click.option(
    "--sku",
    "skus",
    multiple=True,
    type=WordParam(),
    metavar="SKU",
    help="Only lines of this SKU; may be given several times.",
)
@click.option("--open", "only_open", is_flag=True, help="Only lines of which something is still to be shipped.")
@click.option("--out", type=FileParam(), help="Write these lines with all columns: .parquet, .csv, .ndjson or .xlsx.")
@slice_options
@as_json
def lines(
    folder: str, order_ids: tuple[int, ...], skus: tuple[str, ...], only_open: bool, out: Path | None, as_json: bool,
    where: dict[str, Any],
) -> None:  # fmt: skip
    """Show the lines of the orders: how many pieces were ordered, planned, shipped, packed, and are open.

    Every piece is counted in one line, so that sums over any lines are right. With --json, a line of JSON each.

    Example: quivo-frames lines --open

    Example: quivo-frames lines tables --sku 4711 --out lines.xlsx
    """
    from quivo_frames.analysis.derived_tables import lines as all_lines
    from quivo_frames.analysis.line_page import choose_lines, print_lines_page
    from quivo_frames.export.frame_file import refuse_frame_file, write_frame_file
    from quivo_frames.model.derived import DERIVED_TABLES

    table = DERIVED_TABLES["lines"]
    if out:
        refuse_frame_file(out, table)
    dataset = open_slice(folder, where)
    found, notices = choose_lines(all_lines(dataset), order_ids, skus, only_open=only_open), list[str]()
    if out:
        notices += dataset.outputs.record_saved_file(out, table.name)
        notices += write_frame_file(found, out, table)
    if as_json:
        print_json(found.write_ndjson())
    elif out:
        print_written([f"{out}, {format_count(found.height, 'line')}"], notices)
    else:
        print_lines_page(found)
