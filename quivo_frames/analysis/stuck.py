"""How long orders have been in their present status."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.changes.changes import ArchiveLike, transitions
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.text_columns import join_distinct, name_or_number
from quivo_frames.dataset.dataset import TablesOrFolder
from quivo_frames.model.time import InstantLike

_EVENTS = (
    ("orders", "placed", "placed"), ("orders", "exported_at", "exported"),
    ("orders", "cancel_requested_at", "to be cancelled"),
    ("fulfillment_orders", "fulfillment_order_created", "planned"), ("shipments", "ship_date", "shipped"),
    ("shipments", "carrier_pick_up_date", "picked up"), ("shipments", "delivery_date", "delivered"),
    ("shipments", "pod_date", "proven"),
)  # fmt: skip
"""What happens to an order, step by step: table, column, and what it is called."""
IS_OPEN = pl.col("completed_at").is_null() & ~pl.col("called_off") & pl.col("delivered_last").is_null()
"""On milestones: the order is neither completed, nor called off, nor delivered."""


def stuck(tables: TablesOrFolder, archive: ArchiveLike | None = None, as_of: InstantLike | None = None) -> pl.DataFrame:
    """How long each open order has been in its present status, one row each, longest first.

    Open is an order that is neither completed, called off nor delivered.

        waiting = qf.stuck(tables, "orders.sqlite")
        waiting.filter("in_picking", pl.col("days") > 2)

    Columns: order_id, order_identifier, seller, warehouse, order_status, fulfillment_status and in_picking (of the
    fulfillment orders that are not cancelled: different statuses in alphabetical order, and whether one is in picking);
    last_event, what happened last; since (UTC); days, from then to the order's answer, or to `as_of`; and known_by.

    known_by is `transitions` where the answers in the archive show a change of a status: `since` is when it was first
    seen, as in `qf.transitions`, which is later than it happened. Otherwise it is `milestones`: the status is
    presumably as old as what happened last. Orders without any date come last, with null.

    Raises:
        ConfigError: `tables` are no tables, there is no archive, or `as_of` is no date.
        DatasetError: the dataset is incomplete, or of another version.
        ArchiveError: a stored answer is damaged.
    """
    view = OrderView(tables, as_of)
    held = view["fulfillment_orders"].filter(pl.col("cancelled").ne_missing(other=True)).group_by("order_id").agg(
        warehouse=join_distinct(name_or_number("warehouse_name", "warehouse_id")),
        fulfillment_status=join_distinct(pl.col("fulfillment_status")),
        in_picking=pl.col("in_picking").any(),
    )  # fmt: skip
    orders = view["orders"].select(
        "order_id", "order_identifier", "order_status",
        seller=name_or_number("seller_name", "seller_id"),
    )  # fmt: skip
    found = orders.join(last_events(view), on="order_id").join(held, on="order_id", how="left").collect()
    changed = _last_transitions(archive, found)
    rows = found.join(changed, on="order_id", how="left").with_columns(
        in_picking=pl.col("in_picking").fill_null(value=False),
        known_by=pl.when(pl.col("changed").is_not_null()).then(pl.lit("transitions")).otherwise(pl.lit("milestones")),
        since=pl.coalesce("changed", "since"),
    )
    return rows.select(
        "order_id", "order_identifier", "seller", "warehouse", "order_status", "fulfillment_status", "in_picking",
        "last_event", "since", days=(pl.col("known_at") - pl.col("since")) / pl.duration(days=1), known_by="known_by",
    ).sort("days", "order_id", descending=[True, False], nulls_last=True)  # fmt: skip


def last_events(view: OrderView) -> pl.LazyFrame:
    """One row per open order: what happened to it last (last_event), when (since), and known_at.

    What lies after its answer has not happened yet.
    """
    milestones = view.milestones.filter(IS_OPEN)
    rows = {"orders": milestones, "fulfillment_orders": view["fulfillment_orders"], "shipments": view.valid_shipments}
    events = [
        rows[table].select("order_id", at=column, event=pl.lit(event), step=pl.lit(step))
        for step, (table, column, event) in enumerate(_EVENTS)
    ]
    known = milestones.select("order_id", "known_at")
    happened = pl.concat(events).join(known, on="order_id").filter(pl.col("at") <= pl.col("known_at"))
    last = happened.group_by("order_id").agg(
        since=pl.col("at").max(), last_event=pl.col("event").sort_by("at", "step").last()
    )
    return known.join(last, on="order_id", how="left", maintain_order="left").sort("order_id")


def _last_transitions(archive: ArchiveLike | None, orders: pl.DataFrame) -> pl.DataFrame:
    """When a status of each order last changed, as far as its answers show it, up to the answer in the tables."""
    if archive is None or orders.is_empty():
        return pl.DataFrame(schema={"order_id": pl.Int64, "changed": pl.Datetime("us", "UTC")})
    seen = transitions(archive, order_ids=orders["order_id"].to_list()).join(
        orders.select("order_id", "known_at"), on="order_id"
    )
    until = seen.filter(pl.col("seen_at") <= pl.col("known_at"))
    return until.group_by("order_id").agg(changed=pl.col("seen_at").max())
