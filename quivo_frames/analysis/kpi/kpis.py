"""Computes the KPIs of orders: how well they were fulfilled.

    service     volume, perfect orders, on time, fill rate, orders shipped complete
    flow        cycle time, order to ship, backlog, split shipments
    shipping    carriers, delivery windows, proof of delivery

Each KPI is one small function; its docstring is its definition.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta

import polars as pl
import polars.selectors as cs

from quivo_frames.analysis.checks.limits import Limits, read_limits
from quivo_frames.analysis.kpi import flow, service, shipping
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.analysis.kpi.kpi import Definition, Kpi
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.kpi.query import KpiQuery
from quivo_frames.analysis.kpi.result import UNTOLD, Kpis
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.dataset.dataset import TablesOrFolder
from quivo_frames.model.time import InstantLike

__all__ = ["GROUPS", "KPIS", "PROMISES", "UNTOLD", "Definition", "Kpi", "Kpis", "compute_kpis", "kpis"]

KPI_MODULES = (service, flow, shipping)
KPIS: dict[str, Kpi] = {
    found.name: found for module in KPI_MODULES for found in vars(module).values() if isinstance(found, Kpi)
}
"""All KPIs by name, module by module, in the order of their definitions."""


def kpis(
    tables: TablesOrFolder, by: str | Iterable[str] | None = None, as_of: InstantLike | None = None, *,
    on_time_against: str = "latest_delivery_date", tolerance: timedelta = timedelta(0), time_zone: str | None = None,
    limits: Limits | str | os.PathLike[str] | None = None, jobs: int | None = None, executor: object = None,
) -> Kpis:  # fmt: skip
    """Key figures of orders: perfect orders, on time, fill rate, cycle time, backlog, carriers and more.

    `tables` is the folder of a dataset, a `Dataset`, `Frames`, or a dict of frames by table name.

    `by` is one or several of month, week (ISO, 2026-W07) and day, in which the order was placed, seller, warehouse,
    carrier and country: `by=("carrier", "week")`. An order that several warehouses or carriers served counts once in
    the group of each, so the sum over such groups can be larger than the number of orders.

    `as_of` (an instant, or a day, which means its end; UTC) computes the figures as they were then: what happened later
    is left out. By default everything known counts, and overdue means overdue when the last answer arrived.

    "On time" means by latest_delivery_date, expected_delivery_date, delivery_window_end_time or latest_ship_date, with
    a tolerance; days are days of the time zone, by default that of the limits.

    `limits` are `Limits` or the path of a TOML file with them: their `[calendar]` says when the warehouses work.
    `jobs` processes, or those of an `executor` as for `build`, share the orders of a dataset.

    Raises:
        ConfigError: `tables` are no tables, a group, a promise, a limit or a time zone does not exist, or `as_of` is no
            date.
        DatasetError: the dataset is incomplete, or of another version.
    """
    groups = tuple(dict.fromkeys([by] if isinstance(by, str) else by or ()))
    with_limits = limits if isinstance(limits, Limits) else read_limits(limits) if limits else Limits()
    zone = with_limits.time_zone if time_zone is None else time_zone
    query = KpiQuery(
        OrderView(tables, as_of), groups, on_time_against, tolerance, zone, with_limits.calendar, jobs, executor
    )
    return compute_kpis(query)


def compute_kpis(query: KpiQuery) -> Kpis:
    """All KPIs of a query."""
    whole = cs.integer().cast(pl.Int64)
    frames = {name: kpi.compute(query).with_columns(whole) for name, kpi in KPIS.items()}
    counts = query.orders.select(kpi.relevant_orders.sum().alias(name) for name, kpi in KPIS.items()).row(0, named=True)
    definitions = {name: kpi.definition for name, kpi in KPIS.items()}
    return Kpis(frames, definitions, counts, query.view.as_of, query.by, query.against)
