"""The tables of orders as they were at an instant, with the milestones and matched lines that audit and KPIs share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property

import polars as pl

from quivo_frames.analysis.identifiers import is_visible
from quivo_frames.analysis.instants import without_placeholders, zone_of_days
from quivo_frames.analysis.line_matching import LineMatches, match_lines
from quivo_frames.analysis.line_quantities import count_pieces_by_line
from quivo_frames.analysis.text_columns import format_columns
from quivo_frames.dataset.dataset import Dataset, TablesOrFolder, as_tables
from quivo_frames.model.carriers import carrier_of, usual_providers
from quivo_frames.model.frames import lazy_table
from quivo_frames.model.tables import TABLES
from quivo_frames.model.time import InstantLike, parse_instant

_EVENT_COLUMNS = {
    "orders": ("exported_at", "cancel_requested_at", "completed_at"),
    "shipments": ("carrier_pick_up_date", "ship_date", "delivery_date", "pod_date"),
}
"""Instants of events: null until they have happened."""
_START_COLUMNS = {
    "orders": pl.coalesce("order_date", "created"),
    "fulfillment_orders": pl.col("fulfillment_order_created"),
}
"""When a row came into being: before that it is not in its table."""
ORDERS_PER_RANGE = 25_000
"""Orders that are looked at together: more take more memory, and fewer pay the fixed costs of each look more often."""
_DAY_COLUMNS = {
    "orders": ("order_date",),
    "shipments": (
        "expected_delivery_date", "delivery_window_start_time", "delivery_window_end_time", "carrier_pick_up_date",
        "ship_date", "delivery_date", "pod_date",
    ),
    "shipment_positions": ("expiration_date",),
}  # fmt: skip
"""Instants that may be days without a time."""
MOST_PIECES = 10**12
"""A row of more pieces counts as one that does not state its quantity, so that no sum of them wraps around."""
SETTLED_DAYS = 14
"""Default: this many days after an order's last shipment, nothing more is on its way."""


class OrderView:
    """The 18 tables as LazyFrames, `view["shipments"]`, as they were at an instant (point in time).

    Empty and invisible texts are null, and so are dates that stand for no date, such as 0001-01-01, and quantities of
    more than MOST_PIECES.

    `as_of` is the instant; a day means its end. Whatever happened then or later is left out (`whole_table` has it).
    Cancellations and reversals have no date, and are as they are now. Without `as_of`, everything known counts, and
    the time is that of the last answer, else of the last change of an order, so that old data is not late for being
    old.

    Raises:
        ConfigError: `tables` are no tables, or `as_of` is no instant.
        DatasetError: the dataset is incomplete, or of another version.
    """

    def __init__(
        self, tables: TablesOrFolder, as_of: InstantLike | None = None, some_orders: pl.Expr | None = None,
        whole: OrderView | None = None,
    ) -> None:  # fmt: skip
        self._tables = as_tables(tables)
        self._as_of = None if as_of is None else parse_instant(as_of)
        self._some_orders = some_orders
        self._whole = whole or self._view_of_whole()

    @classmethod
    def from_tables(cls, tables: TablesOrFolder | OrderView, as_of: InstantLike | None = None) -> OrderView:
        """A view of tables; a view that is given stays as it is, with its cached results."""
        return tables if isinstance(tables, OrderView) else cls(tables, as_of)

    @property
    def whole(self) -> OrderView:
        """The view of all orders, also of those beside a slice: for what is known from all of them alone."""
        return (
            self if self._whole is None else self._whole
        )  # no attribute, as a view that holds itself keeps its tables in memory for long

    def _view_of_whole(self) -> OrderView | None:
        dataset = self.dataset
        return None if dataset is None or not dataset.conditions else OrderView(dataset.whole, self._as_of)

    @property
    def dataset(self) -> Dataset | None:
        """The dataset that the tables are from; None for tables in memory."""
        return self._tables if isinstance(self._tables, Dataset) else None

    def id_ranges(self) -> list[tuple[int, int]]:
        """Ranges of order ids, first and last, with about ORDERS_PER_RANGE orders each; one or none for few orders."""
        orders = lazy_table(self._tables, "orders")
        orders = orders if self._some_orders is None else orders.filter(self._some_orders)
        ids = orders.select("order_id").collect().to_series().sort()
        starts = ids.gather_every(ORDERS_PER_RANGE).unique(maintain_order=True).to_list()
        return list(zip(starts, [*(start - 1 for start in starts[1:]), *ids[-1:]], strict=True))

    def within_range(self, id_range: tuple[int, int]) -> OrderView:
        """The view of the orders with ids from the first to the last of a range."""
        return self._narrowed_to(pl.col("order_id").is_between(*id_range))

    def only_orders(self, order_ids: Sequence[int]) -> OrderView:
        """The view of some orders."""
        wanted = pl.Series(order_ids, dtype=pl.Int64).implode()
        return self._narrowed_to(pl.col("order_id").is_in(wanted))

    def _narrowed_to(self, some_orders: pl.Expr) -> OrderView:
        """The view of those of its orders that meet a condition."""
        both = some_orders if self._some_orders is None else self._some_orders & some_orders
        return OrderView(self._tables, self._as_of, both, self.whole)

    def work_out_what_is_shared(self) -> None:
        """Work out what crosses orders, before views of ranges are sent to other processes."""
        whole = self.whole
        _ = whole.as_of, whole.usual_providers, whole.zone_of_days, whole.seller_names, whole.warehouse_names

    def __getitem__(self, name: str) -> pl.LazyFrame:
        return self.whole_table(name) if self._as_of is None else self._table_until(self._as_of, name)

    def whole_table(self, name: str) -> pl.LazyFrame:
        """A table with all its rows and values, whatever the instant."""
        rows = lazy_table(self._tables, name)
        if self._some_orders is not None:
            rows = rows.filter(self._some_orders)
        texts, pieces = pl.col(pl.String), pl.col("quantity")
        rows = without_placeholders(rows).with_columns(pl.when(is_visible(texts)).then(texts))
        if "quantity" not in TABLES[name].schema:
            return rows
        return rows.with_columns(pl.when(pieces.is_between(-MOST_PIECES, MOST_PIECES)).then(pieces))

    def day_zone(self, time_zone: str) -> str:
        """The zone in which days are meant: the one that was asked for; instead of UTC, that of the days themselves."""
        return self.whole.zone_of_days if time_zone == "UTC" else time_zone

    @cached_property
    def zone_of_days(self) -> str:
        """The time zone in which most days are written as instants."""
        columns = [self.whole_table(table).select(names) for table, names in _DAY_COLUMNS.items()]
        return zone_of_days(columns)

    def _table_until(self, now: datetime, name: str) -> pl.LazyFrame:
        """The rows of a table that were there before an instant, without the events that had not happened."""
        rows = self.whole_table(name)
        if name in _START_COLUMNS:
            rows = rows.filter(_START_COLUMNS[name].is_null() | (_START_COLUMNS[name] < now))
        if name != "orders":
            rows = rows.join(self["orders"].select("order_id"), on="order_id", how="semi")
        if name == "fulfillment_positions":
            holders = self["fulfillment_orders"].select("fulfillment_order_key")
            rows = rows.join(holders, on="fulfillment_order_key", how="semi")
        if name == "shipments":  # those to come count as reversed, and their lines with them
            rows = rows.with_columns(reversed=pl.col("reversed") | (pl.col("ship_date") >= now).fill_null(value=False))
        happened = pl.col(_EVENT_COLUMNS.get(name, ()))
        return rows.with_columns(pl.when(happened < now).then(happened)) if name in _EVENT_COLUMNS else rows

    @cached_property
    def as_of(self) -> datetime:
        """The instant of the view, UTC."""
        if self._as_of is not None:
            return self._as_of
        if self.whole is not self:
            return self.whole.as_of
        newest = self.whole_table("orders").select(pl.max("fetched_at"), pl.max("last_modified")).collect().row(0)
        return next((found for found in newest if found is not None), datetime.now(UTC))

    @cached_property
    def matched_lines(self) -> pl.LazyFrame:
        """One row per line: ordered, planned, shipped and packed pieces; see `line_quantities.count_pieces_by_line`."""
        return count_pieces_by_line(self.line_matches).lazy()

    @cached_property
    def line_matches(self) -> LineMatches:
        """The lines of the orders, and the rows that belong to each."""
        return match_lines(self.__getitem__)

    @property
    def answers(self) -> pl.LazyFrame:
        """One row per order, for what looks at all orders: order_id, seller_id, latest_delivery_date, known_at."""
        known_at = pl.min_horizontal("fetched_at", pl.lit(self.as_of))
        return self["orders"].select("order_id", "seller_id", "latest_delivery_date", known_at=known_at)

    @cached_property
    def milestones(self) -> pl.LazyFrame:
        """One row per order: seller and places, promised days, and when it reached which milestone.

        Columns of orders: order_id, seller_id, seller_name, warehouse_id, country (of delivery), created, order_date,
        exported_at, cancel_requested_at, completed_at, earliest_ship_date, latest_ship_date, earliest_delivery_date,
        latest_delivery_date. Derived columns, instants in UTC:

        - placed: order_date, else created
        - known_at: up to when the order is known: when its answer arrived, but not after `as_of`
        - planned: when its first fulfillment order was created
        - fulfillment_orders, shipments: how many of them are neither cancelled nor reversed
        - shipped_first, shipped_last: of these shipments
        - delivered_last: when the last of them was delivered; null while one of them is not delivered
        - called_off: all its fulfillment orders are cancelled, or cancelling was requested and nothing was shipped
        """
        held = self["fulfillment_orders"].group_by("order_id").agg(
            planned=pl.col("fulfillment_order_created").min(),
            fulfillment_orders=pl.col("cancelled").ne_missing(other=True).sum(),
            cancelled=pl.col("cancelled").eq_missing(other=True).all(),
        )  # fmt: skip
        delivered = pl.col("delivery_date")
        sent = self.valid_shipments.group_by("order_id").agg(
            shipments=pl.len(),
            shipped_first=pl.col("ship_date").min(),
            shipped_last=pl.col("ship_date").max(),
            delivered_last=pl.when(delivered.null_count() == 0).then(delivered.max()),
        )  # fmt: skip
        counts = [pl.col(name).fill_null(0) for name in ("fulfillment_orders", "shipments")]
        to_be_cancelled = pl.col("cancel_requested_at").is_not_null() & (pl.col("shipments") == 0)
        frame = self["orders"].select(
            "order_id", "seller_id", "seller_name", "warehouse_id", "created", "order_date", "exported_at",
            "cancel_requested_at", "completed_at", "earliest_ship_date", "latest_ship_date", "earliest_delivery_date",
            "latest_delivery_date", country="delivery_address_country", placed=pl.coalesce("order_date", "created"),
            known_at=pl.min_horizontal("fetched_at", pl.lit(self.as_of)),
        )  # fmt: skip
        joined = frame.join(held, on="order_id", how="left").join(sent, on="order_id", how="left")
        called_off = pl.col("cancelled").fill_null(value=False) | to_be_cancelled
        return joined.with_columns(counts).with_columns(called_off=called_off).drop("cancelled").collect().lazy()

    @cached_property
    def valid_shipments(self) -> pl.LazyFrame:
        """The shipments that count: those that were not reversed, and do not list returned goods alone.

        Each has its `carrier`.
        """
        kept = self["shipments"].filter(pl.col("reversed").ne_missing(other=True))
        if not self._return_shipments.is_empty():
            kept = kept.join(self._return_shipments.lazy(), on="shipment_key", how="anti", maintain_order="left")
        return kept.with_columns(carrier=carrier_of(self.whole.usual_providers))

    @cached_property
    def seller_names(self) -> pl.LazyFrame:
        """The display name (`seller`) of each seller_id."""
        return _display_names(self["orders"], "seller_id", "seller_name", "seller")

    @cached_property
    def warehouse_names(self) -> pl.LazyFrame:
        """The display name (`warehouse`) of each warehouse_id."""
        return _display_names(self["fulfillment_orders"], "warehouse_id", "warehouse_name", "warehouse")

    @cached_property
    def usual_providers(self) -> pl.DataFrame:
        """The provider that most often goes with each provider_name, in all shipments."""
        if self.dataset and self.dataset.origin:
            return self.dataset.usual_providers
        return usual_providers(self.whole_table("shipments"))

    @cached_property
    def _return_shipments(self) -> pl.DataFrame:
        """The shipments (shipment_key) all of whose quantities are below zero: goods that came back."""
        lines = self.whole_table("shipment_positions").select("shipment_key", came_back=pl.col("quantity") < 0)
        some = lines.filter("came_back").unique()
        sent = lines.filter(pl.col("came_back").ne_missing(other=True))
        return some.join(sent, on="shipment_key", how="anti").select("shipment_key").collect()


def _display_names(rows: pl.LazyFrame, id_column: str, name: str, display_name: str) -> pl.LazyFrame:
    """A display name for each id: its name, followed by the id where two share a name; the id where there is none."""
    names = rows.filter(pl.col(id_column).is_not_null()).group_by(id_column).agg(pl.col(name).drop_nulls().max())
    digits = pl.col(id_column).cast(pl.String)
    whole = pl.when(pl.col(name).is_duplicated()).then(format_columns("{} ({})", name, digits)).otherwise(name)
    return names.select(id_column, pl.coalesce(whole, digits).alias(display_name)).collect().lazy()


IS_WAITING = (pl.col("shipments") == 0) & pl.col("completed_at").is_null() & ~pl.col("called_off")
"""On milestones: nothing was shipped yet, and the order is neither completed nor called off."""


def is_settled(settled_days: float = SETTLED_DAYS) -> pl.Expr:
    """On milestones: nothing more is on its way, as the order is completed or its last shipment left long ago."""
    waited = pl.col("known_at") - pl.col("shipped_last")
    return pl.col("completed_at").is_not_null() | (waited > pl.duration(minutes=round(settled_days * 1440)))
