"""Checks of one or two tables find what SQL in DuckDB finds, in orders whose values were shuffled."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.standin.order_state import TODAY
from quivo_frames.standin.orders import ndjson_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

LIVE = "coalesce(NOT s.reversed, true)"
PLANNED = f"shipments s JOIN fulfillment_orders f USING (fulfillment_order_key) WHERE {LIVE}"
ORDERS = "SELECT order_id FROM orders"
POSITIONS = "SELECT order_position_key FROM order_positions"
BY_DAY = "(date_trunc('day', s.ship_date) = s.ship_date OR date_trunc('day', p.expiration_date) = p.expiration_date)"
EXPIRED = f"""CASE WHEN {BY_DAY} THEN s.ship_date::DATE > p.expiration_date::DATE
    ELSE s.ship_date > p.expiration_date END"""
"""A midnight is a day: goods are good until it is over."""
AMOUNTS = """
    WITH given AS (SELECT order_position_key, quantity * 0.005 + 1e-9 AS tolerance,
        (quantity * unit_net_price)::DOUBLE AS net_worth, (quantity * unit_gross_price)::DOUBLE AS gross_worth,
        nullif(total_net_amount, 0)::DOUBLE AS net, nullif(total_gross_amount, 0)::DOUBLE AS gross
        FROM order_positions WHERE quantity > 0),
    judged AS (SELECT *, abs(net - net_worth) > tolerance AS net_off, abs(gross - gross_worth) > tolerance AS gross_off,
        net_worth - net > tolerance AS net_less, gross_worth - gross > tolerance AS gross_less FROM given),
    said AS (SELECT *, (net_less OR gross_less) AND coalesce(net, 0) >= 0 AND coalesce(gross, 0) >= 0 AND (
        net_less IS NULL OR gross_less IS NULL
        OR (net_less AND gross_less AND abs(net / net_worth - gross / gross_worth) * gross_worth <= 2 * tolerance)
        ) AS discount FROM judged)
    SELECT order_position_key FROM said"""
"""Amounts that are less by the same share, net and gross, are after a discount; 0 was not filled in."""

SQL = {
    "exported_before_ordered": f"{ORDERS} WHERE exported_at < order_date - INTERVAL 15 MINUTE",
    "planned_before_exported": """SELECT fulfillment_order_key FROM fulfillment_orders JOIN orders USING (order_id)
        WHERE fulfillment_order_created < exported_at - INTERVAL 15 MINUTE""",
    "shipped_before_planned": f"""SELECT shipment_key FROM {PLANNED}
        AND s.ship_date < f.fulfillment_order_created - INTERVAL 15 MINUTE""",
    "picked_up_before_planned": f"""SELECT shipment_key FROM {PLANNED}
        AND s.carrier_pick_up_date < f.fulfillment_order_created - INTERVAL 15 MINUTE""",
    "delivered_before_shipped": f"""SELECT shipment_key FROM shipments s
        WHERE {LIVE} AND delivery_date < ship_date - INTERVAL 15 MINUTE""",
    "delivered_before_pickup": f"""SELECT shipment_key FROM shipments s
        WHERE {LIVE} AND delivery_date < carrier_pick_up_date - INTERVAL 15 MINUTE""",
    "pod_before_delivery": f"""SELECT shipment_key FROM shipments s
        WHERE {LIVE} AND pod_date < delivery_date - INTERVAL 15 MINUTE""",
    "completed_before_shipped": f"""SELECT o.order_id FROM orders o JOIN shipments s USING (order_id) WHERE {LIVE}
        GROUP BY ALL HAVING count(*) = count(ship_date) AND any_value(completed_at) < min(ship_date) - INTERVAL 15 MINUTE""",
    "shipped_though_cancelled": f"""SELECT DISTINCT f.fulfillment_order_key FROM {PLANNED}
        AND f.cancelled AND s.ship_date IS NOT NULL""",
    "shipped_after_cancel_request": f"""SELECT shipment_key FROM shipments s JOIN orders USING (order_id)
        WHERE {LIVE} AND ship_date > cancel_requested_at + INTERVAL 15 MINUTE""",
    "delivered_early": f"""SELECT shipment_key FROM shipments s JOIN orders USING (order_id)
        WHERE {LIVE} AND delivery_date::DATE < earliest_delivery_date""",
    "shipped_early": f"""SELECT shipment_key FROM shipments s JOIN orders USING (order_id)
        WHERE {LIVE} AND ship_date::DATE < earliest_ship_date""",
    "link_without_number": f"""SELECT shipment_key FROM shipments s WHERE {LIVE} AND nullif(tracking_number, '') IS NULL
        AND NOT EXISTS (FROM tracking_numbers n WHERE n.shipment_key = s.shipment_key AND n.tracking_number <> '')
        AND (tracking_link <> '' OR EXISTS (FROM tracking_links n WHERE n.shipment_key = s.shipment_key
                                            AND n.tracking_link <> ''))""",
    "tracking_missing": f"""SELECT shipment_key FROM shipments s JOIN orders o USING (order_id)
        WHERE {LIVE} AND nullif(tracking_number, '') IS NULL AND nullif(tracking_link, '') IS NULL
        AND NOT EXISTS (FROM tracking_numbers n WHERE n.shipment_key = s.shipment_key AND n.tracking_number <> '')
        AND NOT EXISTS (FROM tracking_links n WHERE n.shipment_key = s.shipment_key AND n.tracking_link <> '')
        AND ship_date IS NOT NULL AND is_untracked IS DISTINCT FROM true AND tracking_enabled IS DISTINCT FROM false""",
    "pod_without_delivery": f"""SELECT shipment_key FROM shipments s
        WHERE {LIVE} AND pod_date IS NOT NULL AND delivery_date IS NULL""",
    "expired_lot_shipped": f"""SELECT shipment_position_key FROM shipment_positions p JOIN shipments s USING (shipment_key)
        WHERE {LIVE} AND p.quantity IS DISTINCT FROM 0 AND {EXPIRED}""",
    "expiring_lot_shipped": f"""SELECT shipment_position_key FROM shipment_positions p JOIN shipments s USING (shipment_key)
        WHERE {LIVE} AND p.quantity IS DISTINCT FROM 0 AND NOT {EXPIRED} AND CASE WHEN {BY_DAY}
            THEN datediff('day', s.ship_date::DATE, p.expiration_date::DATE) <= 30
            ELSE p.expiration_date <= s.ship_date + INTERVAL 30 DAY END""",
    "net_total_differs": f"{AMOUNTS} WHERE net_off AND NOT coalesce(discount, false)",
    "gross_total_differs": f"{AMOUNTS} WHERE gross_off AND NOT coalesce(discount, false)",
    "line_discount": f"{AMOUNTS} WHERE discount",
    "gross_below_net": f"""{POSITIONS} WHERE (unit_gross_price > 0 AND unit_net_price - unit_gross_price > 0.005)
        OR (total_gross_amount > 0 AND total_net_amount - total_gross_amount > 0.005)""",
    "weight_total_differs": f"""{POSITIONS} WHERE quantity * unit_weight > 0 AND total_weight > 0
        AND abs(quantity * unit_weight - total_weight) > 0.05 * greatest(quantity * unit_weight, total_weight)""",
    "cash_without_currency": f"{ORDERS} WHERE cash_on_delivery_amount > 0 AND nullif(cash_on_delivery_currency, '') IS NULL",
    "mixed_currencies": f"""{ORDERS} WHERE cash_on_delivery_amount > 0 AND currency <> '' AND cash_on_delivery_currency <> ''
        AND upper(cash_on_delivery_currency) <> upper(currency)""",
    "order_error": "SELECT order_error_key FROM order_errors",
    "unknown_currency": f"""{ORDERS} WHERE (currency <> '' AND currency NOT IN ('EUR', 'GBP', 'USD', 'PLN', 'DKK', 'JPY'))
        OR (cash_on_delivery_currency <> ''
            AND cash_on_delivery_currency NOT IN ('EUR', 'GBP', 'USD', 'PLN', 'DKK', 'JPY'))""",
    "unknown_country": f"""{ORDERS} WHERE (delivery_address_country <> '' AND delivery_address_country NOT IN
            ('DE', 'AT', 'GB', 'US', 'PL', 'DK', 'FR', 'JP', 'UK'))
        OR (invoice_address_country <> '' AND invoice_address_country NOT IN
            ('DE', 'AT', 'GB', 'US', 'PL', 'DK', 'FR', 'JP', 'UK'))""",
    "country_not_coded": f"{ORDERS} WHERE 'UK' IN (delivery_address_country, invoice_address_country)",
    "personal_data_left": f"""{ORDERS} WHERE pii_data_removed AND regexp_matches(concat_ws(' ', {", ".join(
        f"{place}_address_{name}" for place in ("delivery", "invoice")
        for name in ("name1", "name2", "address1", "address2", "address3", "phone", "email"))},
        delivery_address_latitude, delivery_address_longitude), '[\\p{{L}}1-9]')""",
    "empty_unit": """SELECT handling_unit_key FROM handling_units u
        WHERE NOT EXISTS (FROM handling_positions p WHERE p.handling_unit_key = u.handling_unit_key)
        AND NOT EXISTS (FROM handling_units c WHERE c.parent_handling_unit_key = u.handling_unit_key)
        AND EXISTS (FROM handling_positions p WHERE p.order_id = u.order_id)""",
    "serials_differ": f"""SELECT shipment_position_key FROM shipment_positions p JOIN shipments s USING (shipment_key)
        JOIN serial_numbers n USING (shipment_position_key) WHERE {LIVE} AND n.serial_number <> '' AND quantity IS NOT NULL
        GROUP BY ALL HAVING count(DISTINCT serial_number) <> any_value(quantity)""",
}  # fmt: skip
"""The rows that a check finds, by key. Stand-in orders have no other currencies and countries than those listed here."""

SHUFFLED = {
    "orders": {
        "exported_at": 2, "order_date": 2, "cancel_requested_at": 2, "completed_at": 4, "cash_on_delivery_currency": 0,
        "currency": 0, "pii_data_removed": 0, "tracking_enabled": 0,
    },
    "fulfillment_orders": {"fulfillment_order_created": 2, "cancelled": 0},
    "shipments": {
        "ship_date": 2, "delivery_date": 3, "pod_date": 3, "carrier_pick_up_date": 2, "tracking_number": 0,
        "tracking_link": 0, "is_untracked": 0,
    },
    "shipment_positions": {"expiration_date": 150, "quantity": 0},
    "order_positions": {
        "unit_net_price": 0, "total_net_amount": 0, "unit_gross_price": 0, "total_gross_amount": 0, "total_weight": 0,
    },
    "tracking_numbers": {"shipment_key": 0},
}  # fmt: skip
"""Columns in which a tenth of the values change places, or, of instants, move by up to so many days."""


@pytest.fixture(scope="module")
def tables() -> Mapping[str, pl.DataFrame]:
    """2,000 orders of which many values are wrong."""
    dice = random.Random(5)
    found = dict(qf.flatten(list(ndjson_lines(2_000, seed=8))))
    for table, columns in SHUFFLED.items():
        for column, days in columns.items():
            values = found[table][column].to_list()
            places = [place for place in range(len(values)) if dice.random() < 0.1]
            if days:
                for place in places:
                    moved = timedelta(seconds=dice.randint(-days * 86400, days * 86400))
                    values[place] = values[place] and values[place] + moved
            else:
                others = [values[place] for place in places]
                dice.shuffle(others)
                for place, value in zip(places, others, strict=True):
                    values[place] = value
            found[table] = found[table].with_columns(pl.Series(column, values, found[table].schema[column]))
    found["handling_positions"] = found["handling_positions"].gather_every(2)
    wrong = pl.when(pl.col("order_id") % 50 == 0).then(pl.lit("EURO")).otherwise("currency")
    found["orders"] = found["orders"].with_columns(currency=wrong)
    return found


@pytest.fixture(scope="module")
def findings(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return qf.audit(tables, TODAY + timedelta(days=400))  # later than all of it: nothing had not happened yet


@pytest.mark.parametrize("name", SQL)
def test_a_check_finds_what_sql_finds(name: str, tables: Mapping[str, pl.DataFrame], findings: pl.DataFrame) -> None:
    with duckdb.connect() as db:
        for table, frame in tables.items():
            db.register(table, frame.to_arrow())
        expected = sorted(str(key) for (key,) in db.sql(SQL[name]).fetchall())
    found = findings.filter(pl.col("check") == name)["key"].to_list()
    assert expected, "nothing to find: the comparison says nothing"
    assert sorted(found) == expected


def test_sql_asks_about_checks_that_exist() -> None:
    assert set(SQL) <= set(CHECKS)
    assert Decimal("0.005") == Decimal(str(qf.Limits().money))
