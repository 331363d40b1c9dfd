"""Verb: tables -> KPIs, how well orders are fulfilled. Floor 6.

    question    what is asked, and the orders and shipments that answer it
    groups      month, seller, warehouse, carrier, country
    promises    what "on time" means
    service     volume, perfect orders, on time, fill rate, orders shipped complete
    flow        cycle time, backlog, split shipments
    shipping    carriers, delivery windows, proof of delivery

Each KPI is one small function; its docstring is its definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

import polars as pl
import polars.selectors as cs

from quivo_frames.analysis.kpi import flow, service, shipping
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.analysis.kpi.kpi import Definition, Kpi
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.kpi.question import KpiQuery
from quivo_frames.analysis.kpi.result import UNTOLD, Kpis
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.model.time import InstantLike

__all__ = ["GROUPS", "KPIS", "PROMISES", "UNTOLD", "Definition", "Kpi", "Kpis", "compute_kpis", "kpis"]

KPI_MODULES = (service, flow, shipping)
KPIS: dict[str, Kpi] = {
    found.name: found for room in KPI_MODULES for found in vars(room).values() if isinstance(found, Kpi)
}
"""All KPIs by name, room by room."""


def kpis(
    tables: Mapping[str, pl.DataFrame], by: str | Iterable[str] | None = None, as_of: InstantLike | None = None, *,
    on_time_against: str = "latest_delivery_date", tolerance: timedelta = timedelta(0), time_zone: str = "UTC",
) -> Kpis:  # fmt: skip
    """Key figures of a dataset or of frames: perfect orders, on time, fill rate, cycle time, backlog, carriers.

    `by` is one or several of month (in which the order was placed), seller, warehouse, carrier and country. An order
    that several warehouses or carriers served counts once in the group of each, so such groups can add up to more than
    there are orders.

    `as_of` (an instant, or a day, which means its end; UTC) tells the figures as they were then: what came later is
    left out. By default all that is known counts, and what is overdue is so when the last answer arrived.

    "On time" means by latest_delivery_date, expected_delivery_date, delivery_window_end_time or latest_ship_date, with
    a tolerance; days are those of the time zone.

    Raises:
        ConfigError: a group, a promise or a time zone that does not exist, or a date that is none.
    """
    groups = tuple(dict.fromkeys([by] if isinstance(by, str) else by or ()))
    asked = KpiQuery(OrderView(tables, as_of), groups, on_time_against, tolerance, time_zone)
    return compute_kpis(asked)


def compute_kpis(asked: KpiQuery) -> Kpis:
    """All KPIs that answer a question."""
    whole = cs.integer().cast(pl.Int64)
    frames = {name: kpi.compute(asked).with_columns(whole) for name, kpi in KPIS.items()}
    counts = asked.orders.select(kpi.relevant_orders.sum().alias(name) for name, kpi in KPIS.items()).row(0, named=True)
    definitions = {name: kpi.definition for name, kpi in KPIS.items()}
    return Kpis(frames, definitions, counts, asked.books.as_of, asked.by, asked.against)
