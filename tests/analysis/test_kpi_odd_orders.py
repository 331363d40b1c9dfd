"""KPIs of orders full of gaps, placeholders, midnights and returns: as the SQL of the dbt package says."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import quivo_frames as qf
from quivo_frames.analysis.derived_tables import derive_tables
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.standin import orders as drawing
from tests.support.dbt_models import create_models

NO_DATES = [
    datetime(1, 1, 1, tzinfo=UTC), datetime(1900, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC),
]  # fmt: skip
DATES = (
    "expected_delivery_date", "delivery_window_start_time", "delivery_window_end_time", "ship_date", "delivery_date",
    "pod_date",
)  # fmt: skip


def each(number: int, first: int = 0) -> pl.Expr:
    """One row of so many."""
    return pl.int_range(pl.len()) % number == first


def changed(column: str, *changes: tuple[pl.Expr, pl.Expr | None]) -> pl.Expr:
    """A column with other values in some rows."""
    value = pl.col(column)
    for where, other in changes:
        value = pl.when(where).then(other).otherwise(value)
    return value.alias(column)


def odd_dates(column: str, place: int, zone: str | None) -> pl.Expr:
    """Instants, many of which are midnights: in a time zone, or some in UTC; and some that stand for no date."""
    local = pl.col(column).dt.convert_time_zone(zone or "UTC").dt.truncate("1d").dt.convert_time_zone("UTC")
    none = [
        (each(41, place * len(NO_DATES) + number), pl.lit(instant, pl.Datetime("us", "UTC")))
        for number, instant in enumerate(NO_DATES)
    ]
    return changed(column, (~each(13, place) if zone else each(3, place % 3), local), *none)


def odd_tables(zone: str | None) -> dict[str, pl.DataFrame]:
    """Made-up orders, in which much is missing, or written in an odd way."""
    tables = dict(qf.flatten(list(drawing.ndjson_lines(1_500, seed=5))))
    sent = tables["shipment_positions"]["shipment_key"].unique(maintain_order=True)
    came_back, unlisted = (sent.gather_every(31, first).implode() for first in (0, 7))
    blank, true, no_day = pl.lit(" "), pl.lit(value=True), pl.lit(datetime(1, 1, 1, tzinfo=UTC).date())
    no_instant = pl.lit(NO_DATES[0], pl.Datetime("us", "UTC"))
    changes = {
        "orders": [
            changed("seller_name", (each(19), blank)), changed("seller_id", (each(23), None)),
            changed("delivery_address_country", (each(8), blank)), changed("latest_delivery_date", (each(27), no_day)),
            changed("order_date", (each(33), None)), changed("completed_at", (each(11), no_instant)),
        ],
        "order_positions": [
            changed("quantity", (each(53), None), (each(59), pl.lit(0))),
            changed("unit_net_price", (each(61), -pl.col("unit_net_price"))),
            changed("sku", (each(6), pl.col("sku").first().over("order_id")), (each(67), None)),
            changed("position_identifier", (each(5), None)),
        ],
        "fulfillment_orders": [
            changed("warehouse_id", (each(14), None)), changed("warehouse_name", (each(10), blank)),
            changed("cancelled", (each(15), true)),
        ],
        "shipments": [
            *(odd_dates(column, place, zone) for place, column in enumerate(DATES)),
            changed("reversed", (each(17), None)), changed("provider", (each(9), pl.lit("unknown "))),
            changed("tracking_number", (each(7), blank)),
        ],
        "shipment_positions": [
            changed("quantity", (each(29), None), (each(37), pl.lit(-1)),
                    (pl.col("shipment_key").is_in(came_back), -pl.col("quantity"))),
            changed("sku", (each(43), None)), changed("position_identifier", (each(43), None)),
        ],
    }  # fmt: skip
    tables |= {name: tables[name].with_columns(columns) for name, columns in changes.items()}
    listed = ~pl.col("shipment_key").is_in(unlisted)
    return tables | {"shipment_positions": tables["shipment_positions"].filter(listed)}


@pytest.mark.long
@pytest.mark.parametrize("zone", [None, pytest.param("Europe/Athens", marks=pytest.mark.long)])
def test_kpis_of_odd_orders_are_what_sql_says(zone: str | None) -> None:
    tables = odd_tables(zone)
    db = create_models(tables | derive_tables(tables))
    assert db.sql("SELECT day_zone FROM int_quivo__clock").fetchall() == [(zone or "UTC",)]
    for by in (None, *GROUPS):
        for name, frame in qf.kpis(tables, by).items():
            query = f"SELECT * EXCLUDE grouped_by FROM kpi_quivo__{name} WHERE grouped_by = '{by or 'all'}'"
            expected = pl.DataFrame(db.sql(query).to_arrow_table())
            if by and by not in expected.columns:
                expected = expected.rename({"group_value": by})
            expected = expected.select(frame.columns).cast(dict(frame.schema))
            assert_frame_equal(frame, expected, check_row_order=False, abs_tol=1e-9)
