"""A query for KPIs: of which orders, in which groups, and what "on time" means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property

import polars as pl
import polars.selectors as cs

from quivo_frames.analysis.calendar import Calendar
from quivo_frames.analysis.kpi.facts import Judging, KpiFacts, collect_facts
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.ranges import open_worker_pool
from quivo_frames.errors import ConfigError
from quivo_frames.model.time import check_time_zone

_EVERY_DAY = Calendar()


@dataclass(frozen=True)
class KpiQuery:
    """The orders that KPIs are computed from, the groups, and what "on time" means.

    Raises:
        ConfigError: a group, a promise or a time zone that does not exist.
    """

    view: OrderView
    by: tuple[str, ...]
    against: str
    tolerance: timedelta
    zone: str
    calendar: Calendar = _EVERY_DAY
    jobs: int | None = None
    executor: object = None

    def __post_init__(self) -> None:
        """Refuses groups, promises and time zones that do not exist."""
        for name in self.by:
            if name not in GROUPS:
                raise ConfigError(f"KPIs cannot be grouped by {name!r}. The groups are: {', '.join(GROUPS)}.")
        if self.against not in PROMISES:
            raise ConfigError(f"Nothing can be on time against {self.against!r}. The dates are: {', '.join(PROMISES)}.")
        check_time_zone(self.zone)

    @property
    def day_zone(self) -> str:
        """The zone in which promised days are meant."""
        return self.view.day_zone(self.zone)

    @cached_property
    def facts(self) -> KpiFacts:
        """What the figures are computed from."""
        judging = Judging(self.tolerance, self.zone, self.day_zone, self.calendar)
        with open_worker_pool(self.view, self.jobs, self.executor) as pool:
            return collect_facts(self.view, judging, pool)

    @property
    def orders(self) -> pl.DataFrame:
        """One row per order."""
        return self.facts.orders

    @property
    def shipments(self) -> pl.DataFrame:
        """One row per shipment that was not reversed."""
        return self.facts.shipments

    def regrouped_by(self, *by: str) -> KpiQuery:
        """The same query by other groups; it keeps the facts."""
        other = replace(self, by=by)
        vars(other)["facts"] = self.facts
        return other

    @cached_property
    def orders_by_group(self) -> pl.DataFrame:
        """The orders, each once in each of its groups.

        The warehouses of an order are those of its fulfillment orders that were not cancelled or that shipped,
        otherwise its own; its carriers are those of its shipments.
        """
        several = [name for name in ("warehouse", "carrier") if name in self.by]
        if not several:
            return self.orders
        found = self.facts.served if "warehouse" in several else self.facts.carried
        return self.orders.join(found.select("order_id", *several).unique(maintain_order=True), on="order_id")

    def aggregate_by_group(
        self, rows: pl.DataFrame, by: Iterable[str] | None = None, /, **figures: pl.Expr
    ) -> pl.DataFrame:
        """Aggregates of the rows: one row per group, sorted; a single row if there are no groups."""
        keys = list(self.by if by is None else by)
        if not keys:
            return rows.select(**figures)
        return rows.group_by(keys).agg(**figures).with_columns(cs.categorical().cast(pl.String)).sort(
            keys, nulls_last=True
        )  # fmt: skip

    def stack_aggregates(self, column: str, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """Concatenates frames, sorted by group; their names go into a column after the groups."""
        rows = pl.concat([frame.with_columns(pl.lit(name).alias(column)) for name, frame in frames.items()])
        rows = rows.select(*self.by, column, pl.exclude(*self.by, column))
        return rows.sort(self.by, nulls_last=True, maintain_order=True) if self.by else rows
