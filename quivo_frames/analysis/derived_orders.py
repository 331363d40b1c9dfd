"""The derived tables `overview`, `milestones` and `events`: how far each order came, and when."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.derived_lines import sort_by_order
from quivo_frames.analysis.instants import day_of, is_midnight
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.text_columns import join_distinct, name_or_number
from quivo_frames.model.carriers import stated_carrier
from quivo_frames.model.tables import primary_key_of

_EVENTS = {
    "orders": {
        "order_date": "ordered", "created": "created", "exported_at": "exported",
        "cancel_requested_at": "cancellation requested", "completed_at": "completed",
    },
    "fulfillment_orders": {"fulfillment_order_created": "planned"},
    "shipments": {
        "ship_date": "shipped", "carrier_pick_up_date": "picked up", "delivery_date": "delivered", "pod_date": "proven",
    },
}  # fmt: skip
"""What happened, by the table and the column that has the instant."""
_DAY = 86_400_000_000
_DAY_DECIMALS = 9
"""Decimals of days: to a ten thousandth of a second, with no more digits than a spreadsheet keeps."""


def derive_milestones(view: OrderView) -> pl.DataFrame:
    """The table `milestones`."""
    proven, delivered = pl.col("pod_date"), pl.col("delivery_date")
    sent = view.valid_shipments.group_by("order_id").agg(
        delivered_first=delivered.min(), proven_last=pl.when(proven.null_count() == 0).then(proven.max())
    )
    rows = view.milestones.join(sent, on="order_id", how="left").with_columns(
        days_to_ship=_days_between("placed", "shipped_last"),
        days_to_deliver=_days_between("shipped_last", "delivered_last"),
        days_to_complete=_days_between("placed", "completed_at"),
    )
    answered = view["orders"].select("order_id", "fetched_at")
    rows = rows.drop("known_at").join(answered, on="order_id", how="left").rename({"fetched_at": "known_at"})
    return sort_by_order(rows.collect(), view, "milestones")


def _days_between(earlier: str, later: str) -> pl.Expr:
    spent = (pl.col(later) - pl.col(earlier)).dt.total_microseconds()
    days = spent / (spent * 0 + _DAY)  # polars (2.1) divides many rows by one number less exactly than a single row
    return pl.when(days >= 0).then(days.round(_DAY_DECIMALS))


def derive_overview(view: OrderView, lines: pl.DataFrame, milestones: pl.DataFrame) -> pl.DataFrame:
    """The table `overview`, from the tables `lines` and `milestones`."""
    orders = view["orders"].select(
        "order_id", "order_identifier", "order_status", "currency", "warehouse_id", "latest_ship_date",
        "latest_delivery_date", country="delivery_address_country",
        seller=name_or_number("seller_name", "seller_id"),
    )  # fmt: skip
    held = view["fulfillment_orders"].filter(pl.col("cancelled").ne_missing(other=True)).group_by("order_id").agg(
        fulfillment_orders=pl.len(),
        warehouse=join_distinct(name_or_number("warehouse_name", "warehouse_id")),
    )  # fmt: skip
    sent = view.valid_shipments.group_by("order_id").agg(shipments=pl.len(), carrier=join_distinct(stated_carrier()))
    units = view["handling_units"].filter(pl.col("depth") == 0).group_by("order_id").agg(handling_units=pl.len())
    asked = pl.col("counted_by").is_null() & pl.col("order_position_key").is_not_null()
    value, priced = pl.col("value"), pl.col("order_position_key").is_not_null()
    pieces = ("ordered", "planned", "shipped", "packed", "reversed")
    sums = lines.lazy().group_by("order_id").agg(
        pl.col(pieces).sum(), lines=asked.sum(), certain=pl.col("certain").all(),
        open=pl.when(pl.col("open").null_count() == 0).then(pl.col("open").sum()),
        value=pl.when(value.filter(priced).null_count() == 0).then(value.sum()),
        open_value=pl.when(pl.col("open_value").filter(priced).null_count() == 0).then(pl.col("open_value").sum()),
    )  # fmt: skip
    reached = milestones.lazy().select(
        "order_id", "known_at", "placed", "shipped_last", "delivered_last", "completed_at", "called_off"
    )
    rows = orders.join(reached, on="order_id", how="left", maintain_order="left")
    for more in (held, sent, units, sums):
        rows = rows.join(more, on="order_id", how="left", maintain_order="left")
    counts = pl.col(*pieces, "lines", "fulfillment_orders", "shipments", "handling_units").fill_null(0)
    rows = rows.with_columns(
        counts, pl.col("certain").fill_null(value=True),
        warehouse=pl.coalesce("warehouse", pl.col("warehouse_id").cast(pl.String)),
    ).with_columns(days_late=_days_late(), stage=_order_stage())  # fmt: skip
    return sort_by_order(rows.collect(), view, "overview")


def _days_late() -> pl.Expr:
    """Days from the last day for delivery, else for shipping, until it was done, else until the answer."""
    delivery = day_of(pl.coalesce("delivered_last", "known_at")) - pl.col("latest_delivery_date")
    shipping = day_of(pl.coalesce("shipped_last", "known_at")) - pl.col("latest_ship_date")
    late = pl.coalesce(delivery, shipping).dt.total_days().clip(0)
    return pl.when(~pl.col("called_off")).then(late)


def _order_stage() -> pl.Expr:
    open_pieces = (pl.col("shipped") > 0) & (pl.col("open") > 0) & pl.col("completed_at").is_null()
    stages = {
        "called off": pl.col("called_off"),
        "shipped in part": open_pieces.fill_null(value=False) & (pl.col("shipments") > 0),
        "completed": pl.col("completed_at").is_not_null(),
        "delivered": pl.col("delivered_last").is_not_null(),
        "shipped": pl.col("shipments") > 0,
        "planned": pl.col("fulfillment_orders") > 0,
    }
    named = pl.lit("open")
    for name, holds in reversed(stages.items()):
        named = pl.when(holds).then(pl.lit(name)).otherwise(named)
    return named


def derive_events(view: OrderView) -> pl.DataFrame:
    """The table `events`."""
    warehouse = name_or_number("warehouse_name", "warehouse_id")
    shipped_by = stated_carrier()
    values = {"fulfillment_orders": warehouse, "shipments": shipped_by}
    found = []
    for table, events in _EVENTS.items():
        key = primary_key_of(table)
        undone = pl.col("reversed").fill_null(value=False) if table == "shipments" else pl.lit(value=False)
        rows = view[table].select(
            "order_id", *events, key=pl.col(key).cast(pl.String), undone=undone,
            value=values.get(table, pl.lit(None, pl.String)),
        )  # fmt: skip
        found += [
            rows.filter(pl.col(column).is_not_null()).select(
                "order_id", "key", "value", at=column, table=pl.lit(table), column=pl.lit(column),
                event=pl.when("undone").then(pl.lit(f"reversed: {event}")).otherwise(pl.lit(event)),
            )
            for column, event in events.items()
        ]  # fmt: skip
    happened = pl.concat(found).with_columns(
        event_key=pl.concat_str("column", pl.lit(":"), "key"),
        precision=pl.when(is_midnight(pl.col("at"))).then(pl.lit("day")).otherwise(pl.lit("instant")),
    )
    return sort_by_order(happened.collect().sort("at", maintain_order=True), view, "events")
