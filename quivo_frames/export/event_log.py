"""The event log of orders: what happened to which orders, lines, fulfillment orders, shipments and handling units.

It is object-centric: an event belongs to all objects that it happened to, as OCEL 2.0 has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from quivo_frames.model.order import Kind
from quivo_frames.model.tables import Table

_OBJECTS = {
    "order": (
        "overview", "order_id",
        ("order_identifier", "order_status", "stage", "seller", "warehouse", "country", "currency", "value", "ordered",
         "shipped"),
    ),
    "line": (
        "lines", "line_key",
        ("sku", "name", "lot", "ordered", "planned", "shipped", "packed", "open", "certain", "value", "currency"),
    ),
    "fulfillment order": (
        "fulfillment_orders", "fulfillment_order_key",
        ("fulfillment_order_id", "warehouse_name", "fulfillment_status", "cancelled"),
    ),
    "shipment": (
        "shipments", "shipment_key",
        ("shipment_id", "provider", "provider_name", "reversed", "number_of_pallets", "gross_weight"),
    ),
    "handling unit": ("handling_units", "handling_unit_key", ("type", "sscc", "depth")),
}  # fmt: skip
"""The types of objects: the table of their rows, its key, and the columns that are attributes. None is personal."""
_KIND_TYPES = {
    Kind.TEXT: "string", Kind.INT64: "integer", Kind.INT32: "integer", Kind.FLAG: "boolean", Kind.INSTANT: "time",
    Kind.MONEY: "float", Kind.MEASURE: "float",
}  # fmt: skip
EVENT_ATTRIBUTES = {"precision": "string", "value": "string"}
"""Attributes of all events, and their types: see the table `events`."""
EVENT_TYPES = (
    "ordered", "created", "exported", "cancellation requested", "planned", "completed",
    *(f"{mark}{event}" for mark in ("", "reversed: ") for event in ("shipped", "picked up", "delivered", "proven")),
)  # fmt: skip
NEEDED_TABLES = (
    "orders", "overview", "lines", "line_rows", "events", "fulfillment_orders", "fulfillment_positions", "shipments",
    "shipment_positions", "handling_units", "handling_positions",
)  # fmt: skip
"""The tables that an event log is made of; some are derived."""


class EventLog(NamedTuple):
    """The event log of some orders.

    `objects` has a frame for each type: ocel_id, and its attributes. `events`: ocel_id, ocel_type, ocel_time, and
    EVENT_ATTRIBUTES. `event_object`: ocel_event_id, ocel_object_id, ocel_qualifier. `object_object`: ocel_source_id,
    ocel_target_id, ocel_qualifier; both are sorted. None has a row twice.
    """

    objects: Mapping[str, pl.DataFrame]
    events: pl.DataFrame
    event_object: pl.DataFrame
    object_object: pl.DataFrame


def object_attributes(definitions: Mapping[str, Table]) -> dict[str, dict[str, str]]:
    """The attributes of each type of object, and the types of their values: string, integer, float or boolean."""
    return {
        name: {column: _KIND_TYPES[definitions[table].column(column).kind] for column in columns}
        for name, (table, _, columns) in _OBJECTS.items()
    }


def event_log(tables: Mapping[str, pl.LazyFrame]) -> EventLog:
    """The event log of the orders in the tables."""
    objects = {
        name: tables[table].select(
            _object_id(name, key).alias("ocel_id"),
            *(_plain_number(column, tables[table].collect_schema()[column]) for column in columns),
        )
        for name, (table, key, columns) in _OBJECTS.items()
    }
    events = tables["events"].select(
        ocel_id="event_key", ocel_type="event", ocel_time="at", precision="precision", value="value"
    )
    related = pl.concat(_event_relations(tables)).unique().sort(pl.all())
    linked = pl.concat(_object_relations(tables)).unique().sort(pl.all())
    *rows, happened, event_object, object_object = pl.collect_all([*objects.values(), events, related, linked])
    return EventLog(dict(zip(objects, rows, strict=True)), happened, event_object, object_object)


def _object_id(kind: str, key: str) -> pl.Expr:
    """The id of an object, such as line:1001/0: keys of different tables may be equal."""
    return pl.concat_str(pl.lit(f"{kind.replace(' ', '_')}:"), pl.col(key).cast(pl.String))


def _plain_number(column: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(column).cast(pl.Float64) if dtype.is_decimal() else pl.col(column)


def _line_links(tables: Mapping[str, pl.LazyFrame], found_in: str, key: str) -> pl.LazyFrame:
    """Which lines the rows of a table belong to, by the key of what holds these rows."""
    rows = tables["line_rows"].filter(pl.col("found_in") == found_in)
    held = tables[found_in].select(pl.col(f"{found_in.removesuffix('s')}_key").alias("found_key"), key)
    return rows.join(held, on="found_key").select(key, "line_key").unique()


def _shipped_units(tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Handling units with goods of the lines of a shipment, and the outermost units around them."""
    shipped = _line_links(tables, "shipment_positions", "shipment_key")
    packed = _line_links(tables, "handling_positions", "handling_unit_key")
    held = shipped.join(packed, on="line_key").select("shipment_key", "handling_unit_key")
    roots = tables["handling_units"].select("handling_unit_key", "root_handling_unit_key")
    around = held.join(roots, on="handling_unit_key").select("shipment_key", handling_unit_key="root_handling_unit_key")
    return pl.concat([held, around]).unique()


def _event_relations(tables: Mapping[str, pl.LazyFrame]) -> list[pl.LazyFrame]:
    """The objects of each event: ocel_event_id, ocel_object_id, ocel_qualifier."""
    events = tables["events"].select("event_key", "event", "order_id", "table", "key")
    placed = events.filter(pl.col("event").is_in(["ordered", "created"]))
    of_plans = events.filter(pl.col("table") == "fulfillment_orders").rename({"key": "fulfillment_order_key"})
    of_shipments = events.filter(pl.col("table") == "shipments").rename({"key": "shipment_key"})
    holders = tables["shipments"].select("shipment_key", "fulfillment_order_key")
    planned_lines = _line_links(tables, "fulfillment_positions", "fulfillment_order_key")
    joined = (
        ("order", events, "order_id"),
        ("line", placed.join(tables["lines"].select("order_id", "line_key"), on="order_id"), "line_key"),
        ("fulfillment order", of_plans, "fulfillment_order_key"),
        (
            "line",
            _join_on_key(of_plans, planned_lines),
            "line_key",
        ),
        ("shipment", of_shipments, "shipment_key"),
        ("fulfillment order", _join_on_key(of_shipments, holders), "fulfillment_order_key"),
        (
            "line",
            _join_on_key(of_shipments, _line_links(tables, "shipment_positions", "shipment_key")),
            "line_key",
        ),
        ("handling unit", _join_on_key(of_shipments, _shipped_units(tables)), "handling_unit_key"),
    )
    return [
        rows.select(ocel_event_id="event_key", ocel_object_id=_object_id(kind, key), ocel_qualifier=pl.lit(kind))
        for kind, rows, key in joined
    ]


def _join_on_key(rows: pl.LazyFrame, others: pl.LazyFrame) -> pl.LazyFrame:
    return rows.join(others, on=others.collect_schema().names()[0])


def _object_relations(tables: Mapping[str, pl.LazyFrame]) -> list[pl.LazyFrame]:
    """What belongs to what: ocel_source_id, ocel_target_id, ocel_qualifier."""
    units = tables["handling_units"].select("order_id", "handling_unit_key", "parent_handling_unit_key")
    shipments = tables["shipments"].select("fulfillment_order_key", "shipment_key")
    plans = tables["fulfillment_orders"].select("order_id", "fulfillment_order_key")
    links = (
        (tables["lines"], "order", "order_id", "has line", "line", "line_key"),
        (plans, "order", "order_id", "is planned as", "fulfillment order", "fulfillment_order_key"),
        (shipments, "fulfillment order", "fulfillment_order_key", "is shipped as", "shipment", "shipment_key"),
        (
            _line_links(tables, "fulfillment_positions", "fulfillment_order_key"),
            "fulfillment order", "fulfillment_order_key", "plans", "line", "line_key",
        ),
        (
            _line_links(tables, "shipment_positions", "shipment_key"),
            "shipment", "shipment_key", "ships", "line", "line_key",
        ),
        (units, "order", "order_id", "is packed in", "handling unit", "handling_unit_key"),
        (
            units.drop_nulls("parent_handling_unit_key"),
            "handling unit", "handling_unit_key", "stands in", "handling unit", "parent_handling_unit_key",
        ),
        (
            _line_links(tables, "handling_positions", "handling_unit_key"),
            "handling unit", "handling_unit_key", "holds", "line", "line_key",
        ),
    )  # fmt: skip
    return [
        rows.select(
            ocel_source_id=_object_id(source, source_key), ocel_target_id=_object_id(target, target_key),
            ocel_qualifier=pl.lit(qualifier),
        )
        for rows, source, source_key, qualifier, target, target_key in links
    ]  # fmt: skip
