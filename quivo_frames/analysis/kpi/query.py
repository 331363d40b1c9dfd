"""A query for KPIs, and the orders and shipments that it is computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property

import polars as pl
import polars.selectors as cs

from quivo_frames.analysis.calendar import Calendar
from quivo_frames.analysis.instants import end_of_window
from quivo_frames.analysis.kpi.groups import GROUPS, assign_orders_to_groups, shipment_attributes
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.kpi.ship_times import ship_times
from quivo_frames.analysis.milestones import OrderView, is_settled
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
    def orders(self) -> pl.DataFrame:
        """One row per order: its milestones, and what became of its lines and promises.

        - lines, pieces: ordered; known_lines, known_pieces: those whose shipped quantity is known;
          filled_lines, filled_pieces: those that were shipped
        - in_full: every line was shipped in full; null if that is not known
        - done: nothing more will be shipped
        - outstanding: something is still to be shipped
        - warehouses: how many shipped it; null if none is known
        - on_time_(promise): all shipments kept it; null if that is not known (yet)
        """
        shipments = self.shipments.lazy().group_by("order_id").agg(
            pl.col("^on_time_.*$").all(ignore_nulls=False),
            warehouses=pl.col("warehouse_id").drop_nulls().n_unique().replace(0, None),
        )  # fmt: skip
        joined = self.view.milestones.join(_line_totals_per_order(self.view), on="order_id", how="left")
        joined = joined.join(shipments, on="order_id", how="left")
        short = (pl.col("shipments") == 0) | ~pl.col("in_full")
        return (
            joined.with_columns(cs.matches("lines|pieces").fill_null(0), done=is_settled().fill_null(value=False))
            .with_columns(outstanding=(short & ~pl.col("done") & ~pl.col("called_off")).fill_null(value=False))
            .with_columns(self._on_time(name) for name in PROMISES)
            .collect()
        )

    @cached_property
    def shipments(self) -> pl.DataFrame:
        """One row per shipment that was not reversed: its groups, tracked, proven, on_time_(promise)."""
        start, end = pl.col("delivery_window_start_time"), pl.col("delivery_window_end_time")
        promised = self.view.milestones.select("order_id", "known_at", "latest_delivery_date", "latest_ship_date")
        rows = self.view.valid_shipments.select(
            "shipment_key", "ship_date", "delivery_date", "pod_date", "is_untracked", "expected_delivery_date",
            "delivery_window_start_time", delivery_window_end_time=end_of_window(start, end, self.day_zone),
            tracked=pl.any_horizontal(pl.col("tracking_number", "tracking_link").is_not_null()),
            proven=pl.col("pod_date").is_not_null(),
        )  # fmt: skip
        rows = rows.join(shipment_attributes(self.view, self.zone), on="shipment_key").join(promised, on="order_id")
        for flag, tables in {"tracked": ("tracking_numbers", "tracking_links"), "proven": ("pod_documents",)}.items():
            keys = pl.concat([self.view[table].select("shipment_key") for table in tables]).unique()
            more = keys.with_columns(more=True)
            rows = rows.join(more, on="shipment_key", how="left")
            rows = rows.with_columns((pl.col(flag) | pl.col("more").fill_null(value=False)).alias(flag)).drop("more")
        judged = {
            f"on_time_{name}": promise.shipment_was_on_time(self.tolerance, self.day_zone)
            for name, promise in PROMISES.items()
        }
        return rows.with_columns(**judged).collect()

    @cached_property
    def ship_times(self) -> pl.DataFrame:
        """One row per order that was not called off: what its warehouse's calendar says of its way out."""
        return ship_times(self.orders, self.view, self.calendar, self.zone)

    def regrouped_by(self, *by: str) -> KpiQuery:
        """The same query by other groups; it keeps the orders and shipments that were computed already."""
        other = replace(self, by=by)
        kept = ("orders", "shipments", "ship_times")
        vars(other).update({name: found for name, found in vars(self).items() if name in kept})
        return other

    @cached_property
    def orders_by_group(self) -> pl.DataFrame:
        """The orders, each once in each of its groups."""
        if not self.by:
            return self.orders
        found = assign_orders_to_groups(self.view, self.by, self.zone).collect()
        return self.orders.drop(set(self.by) & set(self.orders.columns)).join(found, on="order_id")

    def aggregate_by_group(
        self, rows: pl.DataFrame, by: Iterable[str] | None = None, /, **figures: pl.Expr
    ) -> pl.DataFrame:
        """Aggregates of the rows: one row per group, sorted; a single row if there are no groups."""
        keys = list(self.by if by is None else by)
        if not keys:
            return rows.select(**figures)
        return rows.group_by(keys).agg(**figures).sort(keys, nulls_last=True)

    def stack_aggregates(self, column: str, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """Concatenates frames, sorted by group; their names go into a column after the groups."""
        rows = pl.concat([frame.with_columns(pl.lit(name).alias(column)) for name, frame in frames.items()])
        rows = rows.select(*self.by, column, pl.exclude(*self.by, column))
        return rows.sort(self.by, nulls_last=True, maintain_order=True) if self.by else rows

    def _on_time(self, name: str) -> pl.Expr:
        """Whether an order was on time, like its shipments; while something is outstanding, late or not known."""
        rest = pl.lit(None, pl.Boolean)
        if PROMISES[name].by_order:
            kept = PROMISES[name].is_kept(pl.col("known_at"), self.tolerance, self.day_zone)
            rest = pl.when(~kept).then(kept)
        shipped = pl.col(f"on_time_{name}")
        return pl.when("outstanding").then(shipped & rest).otherwise(shipped).alias(f"on_time_{name}")


def _line_totals_per_order(view: OrderView) -> pl.LazyFrame:
    """One row per order: its lines and pieces, and how many of them were shipped."""
    ordered, shipped = pl.col("ordered"), pl.col("shipped")
    known = (ordered - shipped).is_not_null()
    lines = view.matched_lines.filter(pl.col("order_position_key").is_not_null(), ordered.is_null() | (ordered > 0))
    return lines.group_by("order_id").agg(
        lines=pl.len(),
        pieces=ordered.sum(),
        known_lines=known.sum(),
        filled_lines=(shipped >= ordered).sum(),
        known_pieces=ordered.filter(known).sum(),
        filled_pieces=pl.min_horizontal(ordered, shipped).filter(known).sum(),
        in_full=(shipped >= ordered).all(ignore_nulls=False),
    )
