"""Common questions about the tables as DuckDB views.

The views refer only to the tables, so they work in a DuckDB file, and over the parquet files of a dataset after
`CREATE VIEW orders AS FROM read_parquet('orders.parquet');` for each table.
"""

# ruff: noqa: S608 - these queries contain no input

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from quivo_frames.export.sql import comment_lines, quote_identifier, quote_literal
from quivo_frames.model.derived import DERIVED_TABLES, dataset_tables
from quivo_frames.model.tables import SCHEMA_VERSION


class SqlView(NamedTuple):
    """A view: its description, its query, and comments for the columns that no table has."""

    description: str
    query: str
    column_comments: Mapping[str, str]


class _LagColumn(NamedTuple):
    """A column with the time between two instants; `start` is the first of its columns that is not null."""

    name: str
    start: tuple[str, ...]
    end: str

    def select_expression(self) -> str:
        """The expression of a SELECT list."""
        start = f"coalesce({', '.join(self.start)})" if self.start[1:] else self.start[0]
        return f"(epoch_us({self.end}) - epoch_us({start})) / {_MICROSECONDS[self.unit]} AS {self.name}"

    def comment_text(self) -> str:
        """The comment of the column."""
        return f"From {', else '.join(self.start)} to {self.end}. Unit: {self.unit}."

    @property
    def unit(self) -> str:
        """Hours or days."""
        return self.name.partition("_")[0]


_MICROSECONDS = {"hours": "3600e6", "days": "86400e6"}
_LAG_COLUMNS = [
    _LagColumn("hours_to_create", ("order_date",), "created"),
    _LagColumn("hours_to_export", ("created",), "exported_at"),
    _LagColumn("hours_to_plan", ("exported_at",), "first_fulfillment_order_created"),
    _LagColumn("hours_to_ship", ("first_fulfillment_order_created",), "first_ship_date"),
    _LagColumn("hours_to_pick_up", ("first_ship_date",), "first_carrier_pick_up_date"),
    _LagColumn("days_to_deliver", ("last_ship_date",), "last_delivery_date"),
    _LagColumn("days_to_prove", ("last_delivery_date",), "last_pod_date"),
    _LagColumn("days_from_order_to_ship", ("order_date", "created"), "first_ship_date"),
    _LagColumn("days_from_order_to_delivery", ("order_date", "created"), "last_delivery_date"),
    _LagColumn("days_from_order_to_completion", ("order_date", "created"), "completed_at"),
]


def _pieces_query(rows: str) -> str:
    """A query for lines and pieces per order; pieces are null where a line has no quantity."""
    return f"""SELECT order_id, count(*) AS lines,
           CASE WHEN count(*) = count(quantity) THEN TRY_CAST(sum(quantity) AS BIGINT) END AS pieces
    FROM {rows}
    GROUP BY order_id"""


_LINE_SOURCES = {
    "ordered": "order_positions",
    "planned": """fulfillment_positions JOIN fulfillment_orders f USING (order_id, fulfillment_order_key)
    WHERE f.cancelled IS DISTINCT FROM true""",
    "shipped": """shipment_positions JOIN shipments s USING (order_id, shipment_key)
    WHERE s.reversed IS DISTINCT FROM true""",
    "packed": "handling_positions",
}
"""FROM clauses of the lines that order_overview counts."""
_COLUMNS, _QUERIES = ",\n       ", ",\n"

VIEWS: dict[str, SqlView] = {
    "line_matches": SqlView(
        """One row per pair of a planned, shipped or packed line and the line of the order that it belongs to.
If several lines of the order cannot be told apart, they are taken together: all their rows belong to each of them, and
line_count is the number of these lines. Lines that match no line of the order are not here, nor is what cancelled
fulfillment orders plan and reversed shipments ship. line_rows, which this is taken from, says by which rule.""",
        """SELECT r.order_id, l.order_position_key, r.found_in, r.found_key,
       count(*) OVER (PARTITION BY r.line_row_key) AS line_count
FROM line_rows r JOIN lines l ON coalesce(l.pool_key, l.line_key) = r.line_key
WHERE r.states IN ('planned', 'shipped', 'packed') AND l.order_position_key IS NOT NULL""",
        {
            "found_in": "Table of the planned, shipped or packed line.",
            "found_key": "Its primary key there.",
            "line_count": "How many lines of the order it may belong to; 1 where it is certain.",
        },
    ),
    "shipped_lines": SqlView(
        """One row per shipped line, with its shipment, its fulfillment order, its order, and the line of the order that
it belongs to where that is certain (see line_matches). Reversed shipments are left out.""",
        """SELECT p.order_id, p.shipment_position_key, p.shipment_key, s.fulfillment_order_key, m.order_position_key,
       o.order_identifier, o.order_status, o.order_date, o.seller_id, o.seller_name, o.shop_id, o.shop_system_name,
       o.delivery_address_country, o.shipping_method_name, o.currency,
       f.fulfillment_order_id, f.fulfillment_order_identifier, f.warehouse_id, f.warehouse_name, f.fulfillment_status,
       f.fulfillment_order_created,
       s.shipment_id, s.shipment_identifier, s.provider, s.provider_name, s.ship_date, s.carrier_pick_up_date,
       s.expected_delivery_date, s.delivery_date, s.pod_date, s.tracking_number,
       p.position_identifier, p.sku, p.seller_sku, p.warehouse_sku, l.name, p.quantity, p.lot, p.expiration_date,
       l.quantity AS ordered_quantity
FROM shipment_positions p
JOIN shipments s USING (shipment_key)
JOIN fulfillment_orders f ON f.fulfillment_order_key = s.fulfillment_order_key
JOIN orders o ON o.order_id = p.order_id
LEFT JOIN line_matches m
    ON m.found_in = 'shipment_positions' AND m.found_key = p.shipment_position_key AND m.line_count = 1
LEFT JOIN order_positions l ON l.order_position_key = m.order_position_key
WHERE s.reversed IS DISTINCT FROM true""",
        {"ordered_quantity": "Ordered quantity of the line that it belongs to; other shipped lines may share it."},
    ),
    "order_line_milestones": SqlView(
        """One row per ordered line: when it came how far (an accumulating snapshot), and the time between.
Rows find their line as in line_matches; lines of an SKU that cannot be told apart have the same milestones. A bundle
that is planned in parts has no milestones but those of its order, nor have the parts of one that is planned as such.
Cancelled fulfillment orders plan nothing, reversed shipments and lines of 0 pieces ship nothing. Lags are null where
one end is missing, and negative where the later thing happened first.""",
        f"""WITH planned AS (
    SELECT order_position_key, min(fulfillment_order_created) AS first_fulfillment_order_created
    FROM line_matches m
    JOIN fulfillment_positions p ON p.fulfillment_position_key = m.found_key
    JOIN fulfillment_orders f USING (fulfillment_order_key)
    WHERE m.found_in = 'fulfillment_positions'
    GROUP BY order_position_key
),
shipped AS (
    SELECT order_position_key, min(ship_date) AS first_ship_date, max(ship_date) AS last_ship_date,
           min(carrier_pick_up_date) AS first_carrier_pick_up_date,
           CASE WHEN count(*) = count(delivery_date) THEN max(delivery_date) END AS last_delivery_date,
           CASE WHEN count(*) = count(pod_date) THEN max(pod_date) END AS last_pod_date
    FROM line_matches m
    JOIN shipment_positions p ON p.shipment_position_key = m.found_key
    JOIN shipments s USING (shipment_key)
    WHERE m.found_in = 'shipment_positions' AND p.quantity IS DISTINCT FROM 0
    GROUP BY order_position_key
)
SELECT o.order_id, l.order_position_key, l.position_identifier, l.sku, l.name, l.quantity,
       o.created, o.order_date, o.exported_at, first_fulfillment_order_created, first_ship_date, last_ship_date,
       first_carrier_pick_up_date, last_delivery_date, last_pod_date, o.completed_at, o.cancel_requested_at,
       {_COLUMNS.join(lag.select_expression() for lag in _LAG_COLUMNS)}
FROM order_positions l
JOIN orders o USING (order_id)
LEFT JOIN planned USING (order_position_key)
LEFT JOIN shipped USING (order_position_key)""",
        {
            "first_fulfillment_order_created": "When the first fulfillment order that plans it was created. Unit: UTC.",
            "first_ship_date": "When the first of it was shipped. Unit: UTC.",
            "last_ship_date": "When the last of it that was shipped was shipped. Unit: UTC.",
            "first_carrier_pick_up_date": "When the carrier first picked some of it up. Unit: UTC.",
            "last_delivery_date": "When the last shipment of it was delivered; null while one is not. Unit: UTC.",
            "last_pod_date": "When delivery of its last shipment was proven; null while one is not. Unit: UTC.",
            **{lag.name: lag.comment_text() for lag in _LAG_COLUMNS},
        },
    ),
    "order_overview": SqlView(
        """One row per order: how many lines and pieces were ordered, planned, shipped and packed, and when.
Pieces are null where a line does not say how many. Ordered pieces count a bundle and its parts where the order lists
both. Cancelled fulfillment orders plan nothing, reversed shipments ship nothing.""",
        f"""WITH held AS (
    SELECT order_id, count(*) FILTER (cancelled IS DISTINCT FROM true) AS fulfillment_orders,
           count(*) FILTER (cancelled) AS cancelled_fulfillment_orders,
           min(fulfillment_order_created) AS first_fulfillment_order_created
    FROM fulfillment_orders GROUP BY order_id
),
sent AS (
    SELECT order_id, count(*) FILTER (reversed IS DISTINCT FROM true) AS shipments,
           count(*) FILTER (reversed) AS reversed_shipments,
           min(ship_date) FILTER (reversed IS DISTINCT FROM true) AS first_ship_date,
           max(ship_date) FILTER (reversed IS DISTINCT FROM true) AS last_ship_date,
           CASE WHEN count(*) FILTER (reversed IS DISTINCT FROM true AND delivery_date IS NULL) = 0
                THEN max(delivery_date) FILTER (reversed IS DISTINCT FROM true) END AS last_delivery_date
    FROM shipments GROUP BY order_id
),
units AS (
    SELECT order_id, count(*) AS handling_units, count(*) FILTER (depth = 0) AS outer_handling_units
    FROM handling_units GROUP BY order_id
),
{_QUERIES.join(f"{what} AS ({_pieces_query(rows)})" for what, rows in _LINE_SOURCES.items())}
SELECT o.order_id, o.order_identifier, o.order_status, o.seller_id, o.seller_name, o.shop_id, o.warehouse_id,
       o.delivery_address_country, o.created, o.order_date, o.exported_at, first_fulfillment_order_created,
       first_ship_date, last_ship_date, last_delivery_date, o.completed_at, o.cancel_requested_at,
       coalesce(held.fulfillment_orders, 0) AS fulfillment_orders,
       coalesce(cancelled_fulfillment_orders, 0) AS cancelled_fulfillment_orders,
       coalesce(sent.shipments, 0) AS shipments, coalesce(reversed_shipments, 0) AS reversed_shipments,
       coalesce(units.handling_units, 0) AS handling_units,
       coalesce(outer_handling_units, 0) AS outer_handling_units,
       {_COLUMNS.join(f"coalesce({what}.lines, 0) AS {what}_lines" for what in _LINE_SOURCES)},
       {
            _COLUMNS.join(
                f"CASE WHEN {what}.lines IS NULL THEN 0 ELSE {what}.pieces END AS {what}_pieces"
                for what in _LINE_SOURCES
            )
        }
FROM orders o
LEFT JOIN held USING (order_id) LEFT JOIN sent USING (order_id) LEFT JOIN units USING (order_id)
{" ".join(f"LEFT JOIN {what} USING (order_id)" for what in _LINE_SOURCES)}""",
        {
            "first_fulfillment_order_created": "When its first fulfillment order was created. Unit: UTC.",
            "first_ship_date": "When the first of it was shipped. Unit: UTC.",
            "last_ship_date": "When the last of it that was shipped was shipped. Unit: UTC.",
            "last_delivery_date": "When its last shipment was delivered; null while one is not. Unit: UTC.",
            "fulfillment_orders": "Fulfillment orders that are not cancelled.",
            "cancelled_fulfillment_orders": "Fulfillment orders that are cancelled.",
            "shipments": "Shipments that are not reversed.",
            "reversed_shipments": "Shipments that are reversed.",
            "handling_units": "Handling units, at any depth.",
            "outer_handling_units": "Handling units that are in no other.",
            **{f"{what}_lines": f"How many lines were {what}." for what in _LINE_SOURCES},
            **{
                f"{what}_pieces": f"How many pieces were {what}; null where not known. Unit: pieces."
                for what in _LINE_SOURCES
            },
        },
    ),
    "packed_lines": SqlView(
        """One row per content line of a handling unit, with its unit, the outermost unit around it, its order, and the
line of the order that it belongs to where that is certain (see line_matches).""",
        """SELECT p.order_id, p.handling_position_key, u.handling_unit_key, u.root_handling_unit_key,
       m.order_position_key, o.order_identifier, o.order_status,
       r.type AS root_type, r.sscc AS root_sscc, r.handling_unit_identifier AS root_handling_unit_identifier,
       u.depth, u.type, u.sscc, u.handling_unit_identifier, u.truck_handling_unit_identifier, u.carrier, u.tracking,
       p.position_identifier, p.sku, p.warehouse_sku, l.name, p.quantity
FROM handling_positions p
JOIN handling_units u ON u.handling_unit_key = p.handling_unit_key
JOIN handling_units r ON r.handling_unit_key = u.root_handling_unit_key
JOIN orders o ON o.order_id = p.order_id
LEFT JOIN line_matches m
    ON m.found_in = 'handling_positions' AND m.found_key = p.handling_position_key AND m.line_count = 1
LEFT JOIN order_positions l ON l.order_position_key = m.order_position_key""",
        {
            "root_type": "What kind of unit the outermost one is.",
            "root_sscc": "Serial shipping container code (GS1) of the outermost unit.",
            "root_handling_unit_identifier": "Identifier of the outermost unit.",
        },
    ),
}
"""The views by name, each after those that it refers to."""


_WITHOUT_DERIVED = "order_overview"
"""The view that needs no derived tables."""


def views_sql(*, derived: bool = True) -> str:
    """One SQL script: CREATE VIEW per view, with comments, for a DuckDB database that has the tables.

    Without `derived` tables, only the views that do not need them.
    """
    files = {name: f"derived/{name}" if name in DERIVED_TABLES else name for name in dataset_tables(derived=derived)}
    over = "\n".join(
        f"    CREATE VIEW {quote_identifier(name)} AS FROM read_parquet('{file}.parquet');"
        for name, file in files.items()
    )
    views = {name: view for name, view in VIEWS.items() if derived or name == _WITHOUT_DERIVED}
    about_derived = f"All but {_WITHOUT_DERIVED} need the derived tables, which a build with --no-derived leaves out."
    if not derived:
        left_out = ", ".join(name for name in VIEWS if name not in views)
        about_derived = f"There are no derived tables here, so these views are left out: {left_out}."
    about = f"""Views over the tables of quivo_frames, schema version {SCHEMA_VERSION}, for DuckDB.
{about_derived}
Inside the folder of a dataset, these are views over its files:

{over}"""
    return "\n\n".join([comment_lines(about), *(_view_sql(name, view) for name, view in views.items())]) + "\n"


def _view_sql(name: str, view: SqlView) -> str:
    lines = [comment_lines(view.description), f"CREATE OR REPLACE VIEW {quote_identifier(name)} AS", f"{view.query};"]
    lines.append(
        f"COMMENT ON VIEW {quote_identifier(name)} IS {quote_literal(view.description.replace(chr(10), ' '))};"
    )
    lines += [f"COMMENT ON COLUMN {quote_identifier(name)}.{quote_identifier(column)} IS {quote_literal(sentence)};"
              for column, sentence in view.column_comments.items()]  # fmt: skip
    return "\n".join(lines)
