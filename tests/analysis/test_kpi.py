"""KPIs: each against SQL written from its definition, and on orders made by hand."""

from __future__ import annotations

import copy
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import quivo_frames as qf
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.kpi.result import UNTOLD
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.display.text import format_count
from quivo_frames.standin import orders as drawing
from tests.support.fair_order import AS_OF, GONE, changed_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from quivo_frames.analysis.kpi.result import Kpis

SHIPMENT = "fulfillmentOrders.0.shipments.0"
ZONE, TOLERANCE, AGAINST = "America/New_York", timedelta(hours=5), "expected_delivery_date"


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    """Made-up orders whose answers arrived at different times."""
    drawn = qf.flatten(list(drawing.ndjson_lines(2_500, seed=11)))
    answered = pl.col("last_modified") + pl.duration(days=pl.col("order_id") % 23)
    names = pl.col("seller_name").replace({"Voltwerk Elektronik AG": "Nordlicht Kosmetik GmbH"})  # of two sellers
    place, provider = pl.int_range(pl.len()), pl.col("provider")
    written = (
        pl.when(place % 7 == 0).then(pl.lit("  ")).when(place % 11 == 0).then(pl.lit(None, pl.String))
        .when(place % 5 == 0).then(pl.lit(" ") + provider.str.to_lowercase()).otherwise(provider)
    )  # fmt: skip
    name = pl.when(place % 77 == 0).then(pl.lit("Some courier")).otherwise("provider_name")
    return {
        **drawn, "orders": drawn["orders"].with_columns(fetched_at=answered, seller_name=names),
        "shipments": drawn["shipments"].with_columns(provider=written, provider_name=name),
    }  # fmt: skip


# The definitions again, in SQL. `lines` are those of the books: how rows find their line is tested with the checks.
FACTS = """
CREATE TABLE usual_carriers AS
SELECT name, first(carrier ORDER BY n DESC, carrier) AS usual FROM (
    SELECT upper(trim(provider_name)) AS name, upper(trim(provider)) AS carrier, count(*) AS n FROM shipments
    WHERE trim(provider_name) != '' AND trim(provider) != '' GROUP BY ALL)
GROUP BY name;

CREATE TABLE sent AS
SELECT s.*, coalesce(nullif(upper(trim(provider)), ''), usual, 'unknown') AS carrier,
    coalesce(f.warehouse_id, o.warehouse_id) AS warehouse_number, f.cancelled, latest_delivery_date, latest_ship_date,
    least(coalesce(fetched_at, $now), $now) AS known_at,
    (delivery_date IS NULL AND coalesce(is_untracked, false)) AS untold,
    coalesce(nullif(s.tracking_number, ''), nullif(s.tracking_link, '')) IS NOT NULL
        OR shipment_key IN (SELECT shipment_key FROM tracking_numbers)
        OR shipment_key IN (SELECT shipment_key FROM tracking_links) AS tracked,
    pod_date IS NOT NULL OR shipment_key IN (SELECT shipment_key FROM pod_documents) AS proof
FROM shipments s JOIN fulfillment_orders f USING (fulfillment_order_key) JOIN orders o ON o.order_id = s.order_id
LEFT JOIN usual_carriers u ON u.name = upper(trim(provider_name))
WHERE NOT coalesce(reversed, false);

CREATE TABLE promised AS  -- happened and due as numbers that compare: of days the day, of instants the second
SELECT order_id, shipment_key, 'latest_delivery_date' AS reference, datediff('day', DATE '2000-01-01', latest_delivery_date) AS due,
    datediff('day', DATE '2000-01-01', timezone($zone, delivery_date - $tolerance)::DATE) AS happened,
    datediff('day', DATE '2000-01-01', timezone($zone, known_at - $tolerance)::DATE) AS today, untold FROM sent
UNION ALL
SELECT order_id, shipment_key, 'latest_ship_date', datediff('day', DATE '2000-01-01', latest_ship_date),
    datediff('day', DATE '2000-01-01', timezone($zone, ship_date - $tolerance)::DATE),
    datediff('day', DATE '2000-01-01', timezone($zone, known_at - $tolerance)::DATE), false FROM sent
UNION ALL
SELECT order_id, shipment_key, 'expected_delivery_date', epoch_us(expected_delivery_date + $tolerance), epoch_us(delivery_date),
    epoch_us(known_at), untold FROM sent
UNION ALL
SELECT order_id, shipment_key, 'delivery_window_end_time', epoch_us(delivery_window_end_time + $tolerance), epoch_us(delivery_date),
    epoch_us(known_at), untold FROM sent;

CREATE TABLE shipment_verdicts AS
SELECT *, CASE
    WHEN due IS NULL THEN NULL
    WHEN happened IS NOT NULL THEN happened <= due
    WHEN untold THEN NULL
    WHEN today > due THEN false END AS on_time
FROM promised;

CREATE TABLE counted AS
SELECT order_id, count(*) AS lines, sum(ordered) AS pieces,
    count(*) FILTER (ordered IS NOT NULL AND shipped IS NOT NULL) AS known_lines,
    count(*) FILTER (shipped >= ordered) AS filled_lines,
    coalesce(sum(ordered) FILTER (shipped IS NOT NULL), 0) AS known_pieces,
    coalesce(sum(least(ordered, shipped)) FILTER (ordered IS NOT NULL AND shipped IS NOT NULL), 0) AS filled_pieces,
    count(*) FILTER (shipped < ordered) AS short_lines
FROM lines WHERE order_position_key IS NOT NULL AND (ordered IS NULL OR ordered > 0) GROUP BY order_id;

CREATE TABLE judged AS
SELECT *, NOT done AND NOT called_off AND (shipments = 0 OR in_full IS false) AS outstanding FROM (
    SELECT o.order_id, coalesce(order_date, created) AS placed, o.seller_id, o.seller_name, o.warehouse_id,
        nullif(delivery_address_country, '') AS country,
        completed_at, least(coalesce(fetched_at, $now), $now) AS known_at, latest_delivery_date, latest_ship_date,
        coalesce(n, 0) AS shipments, last_ship, warehouses,
        CASE WHEN n > 0 AND delivered = n THEN last_delivery END AS delivered_last,
        coalesce(fulfillments > 0 AND cancelled = fulfillments, false)
            OR (cancel_requested_at IS NOT NULL AND coalesce(n, 0) = 0) AS called_off,
        completed_at IS NOT NULL OR coalesce(known_at - last_ship > INTERVAL 14 DAY, false) AS done,
        coalesce(lines, 0) AS lines, coalesce(pieces, 0) AS pieces, coalesce(known_lines, 0) AS known_lines,
        coalesce(filled_lines, 0) AS filled_lines, coalesce(known_pieces, 0) AS known_pieces,
        coalesce(filled_pieces, 0) AS filled_pieces,
        CASE WHEN short_lines > 0 THEN false WHEN known_lines = lines THEN true END AS in_full
    FROM orders o
    LEFT JOIN (SELECT order_id, count(*) AS n, max(ship_date) AS last_ship, count(delivery_date) AS delivered,
        max(delivery_date) AS last_delivery, nullif(count(DISTINCT warehouse_number), 0) AS warehouses
        FROM sent GROUP BY order_id) USING (order_id)
    LEFT JOIN (SELECT order_id, count(*) AS fulfillments, count(*) FILTER (cancelled) AS cancelled
        FROM fulfillment_orders GROUP BY order_id) USING (order_id)
    LEFT JOIN counted USING (order_id));

CREATE TABLE verdicts AS
SELECT order_id, reference, CASE
    WHEN bool_or(verdict = 'late') THEN false
    WHEN bool_and(verdict = 'kept') THEN true END AS on_time
FROM (
    SELECT order_id, reference, CASE WHEN on_time THEN 'kept' WHEN NOT on_time THEN 'late' ELSE 'unknown' END AS verdict
    FROM shipment_verdicts
    UNION ALL
    SELECT order_id, unnest(['expected_delivery_date', 'delivery_window_end_time']), 'unknown' FROM judged WHERE outstanding
    UNION ALL
    SELECT order_id, 'latest_delivery_date',
        CASE WHEN timezone($zone, known_at - $tolerance)::DATE > latest_delivery_date THEN 'late' ELSE 'unknown' END
    FROM judged WHERE outstanding
    UNION ALL
    SELECT order_id, 'latest_ship_date',
        CASE WHEN timezone($zone, known_at - $tolerance)::DATE > latest_ship_date THEN 'late' ELSE 'unknown' END
    FROM judged WHERE outstanding)
GROUP BY order_id, reference;

CREATE TABLE warehouse_names AS
SELECT warehouse_id, max(nullif(warehouse_name, '')) AS name FROM fulfillment_orders GROUP BY warehouse_id;
CREATE TABLE seller_names AS SELECT seller_id, max(nullif(seller_name, '')) AS name FROM orders GROUP BY seller_id;
"""

SELLER = """(SELECT CASE WHEN (SELECT count(*) FROM seller_names m WHERE m.name = n.name AND m.seller_id IS NOT NULL) > 1
    THEN n.name || ' (' || n.seller_id || ')' ELSE coalesce(n.name, n.seller_id::VARCHAR) END
    FROM seller_names n WHERE n.seller_id = j.seller_id)"""
WAREHOUSE = "coalesce((SELECT name FROM warehouse_names n WHERE n.warehouse_id = {0}), {0}::VARCHAR)"
OF_ORDER = {
    None: "SELECT order_id, 'all' AS grp FROM judged",
    "month": "SELECT order_id, strftime(timezone($zone, placed), '%Y-%m') AS grp FROM judged",
    "week": "SELECT order_id, strftime(timezone($zone, placed), '%G-W%V') AS grp FROM judged",
    "day": "SELECT order_id, timezone($zone, placed)::DATE::VARCHAR AS grp FROM judged",
    "seller": f"SELECT order_id, coalesce({SELLER}, seller_name) AS grp FROM judged j",
    "country": "SELECT order_id, country AS grp FROM judged",
    "carrier": "SELECT DISTINCT order_id, carrier AS grp FROM judged LEFT JOIN sent USING (order_id)",
    "warehouse": f"""SELECT DISTINCT order_id, {WAREHOUSE.format("w")} AS grp FROM (
        SELECT j.order_id, coalesce(f.warehouse_id, j.warehouse_id) AS w FROM judged j LEFT JOIN (
            FROM fulfillment_orders f WHERE NOT coalesce(cancelled, false)
            OR fulfillment_order_key IN (SELECT fulfillment_order_key FROM sent)) f USING (order_id))""",
}
OF_SHIPMENT = {
    "carrier": "SELECT shipment_key, carrier AS grp FROM sent",
    "warehouse": f"SELECT shipment_key, {WAREHOUSE.format('warehouse_number')} AS grp FROM sent",
}
DAY = 86_400_000_000
STAGES = {
    "order to ship": ("placed", "last_ship"),
    "ship to delivery": ("last_ship", "delivered_last"),
    "order to delivery": ("placed", "delivered_last"),
    "order to completion": ("placed", "completed_at"),
}
AGES = {"0-1 days": (-1e9, 1), "1-3 days": (1, 3), "3-7 days": (3, 7), "7-14 days": (7, 14), "14+ days": (14, 1e9)}
SETTLED = "done AND NOT called_off"


def sql_queries(against: str) -> dict[str, str]:
    """A query for each KPI, its first column the group."""
    perfect = f"{SETTLED} AND in_full IS NOT NULL AND on_time IS NOT NULL"
    transit = f"(epoch_us(delivery_date) - epoch_us(ship_date)) / {DAY}"
    lag = f"(epoch_us(pod_date) - epoch_us(delivery_date)) / {DAY}"
    window = "delivery_date IS NOT NULL AND delivery_window_start_time <= delivery_window_end_time"
    early, late = "delivery_date < delivery_window_start_time", "delivery_date > delivery_window_end_time + $tolerance"
    stages = " UNION ALL ".join(
        f"""SELECT grp, {place} AS place, '{stage}' AS stage, count(d) AS orders, avg(d) AS mean, quantile_cont(d, 0.5) AS p50,
            quantile_cont(d, 0.9) AS p90, max(d) AS max FROM (SELECT grp, CASE WHEN NOT called_off AND NOT outstanding
            AND {later} >= {earlier} THEN (epoch_us({later}) - epoch_us({earlier})) / {DAY} END AS d
            FROM of_order JOIN judged USING (order_id)) GROUP BY grp"""
        for place, (stage, (earlier, later)) in enumerate(STAGES.items())
    )
    hours = "(epoch_us(timezone($zone, last_ship)) - epoch_us(timezone($zone, placed))) / 3.6e9"
    waited = "(epoch_us(timezone($zone, known_at)) - epoch_us(timezone($zone, placed))) / 3.6e9"
    tonight = "(epoch_us(timezone($zone, $now)::DATE + INTERVAL 1 DAY) - epoch_us(timezone($zone, placed))) / 3.6e9"
    ages = " UNION ALL ".join(
        f"""SELECT grp, {place} AS place, '{age}' AS age, count(*) FILTER ({this}) AS orders,
            coalesce(sum(known_pieces - filled_pieces) FILTER ({this}), 0) AS pieces
            FROM of_order JOIN judged USING (order_id) GROUP BY grp"""
        for place, (age, (start, end)) in enumerate(AGES.items())
        for old in [f"(epoch_us(known_at) - epoch_us(placed)) / {DAY}"]
        for this in [f"outstanding AND {old} >= {start} AND {old} < {end}"]
    )
    references = " UNION ALL ".join(
        f"""SELECT grp, {place} AS place, '{name}' AS reference, count(on_time) AS judged,
            count(*) FILTER (on_time) AS on_time, count(*) FILTER (NOT on_time) AS late,
            count(*) FILTER (NOT called_off AND on_time IS NULL) AS unknown,
            count(*) FILTER (on_time) / nullif(count(on_time), 0) AS rate FROM (
            SELECT grp, called_off, CASE WHEN NOT called_off THEN on_time END AS on_time FROM of_order JOIN judged USING (order_id)
            LEFT JOIN (FROM verdicts WHERE reference = '{name}') USING (order_id)) GROUP BY grp"""
        for place, name in enumerate(PROMISES)
    )
    return {
        "volume": """SELECT grp, count(*) AS orders, count(*) FILTER (called_off) AS called_off,
            count(*) FILTER (shipments > 0) AS shipped, count(delivered_last) AS delivered, count(completed_at) AS completed,
            sum(lines) AS lines, sum(pieces) AS pieces,
            coalesce((SELECT count(*) FROM of_shipment s WHERE s.grp IS NOT DISTINCT FROM o.grp), 0) AS shipments
            FROM of_order o JOIN judged USING (order_id) GROUP BY grp""",
        "perfect_order": f"""SELECT grp, count(*) FILTER ({perfect}) AS orders, count(*) FILTER ({perfect} AND in_full) AS in_full,
            count(*) FILTER ({perfect} AND on_time) AS on_time, count(*) FILTER ({perfect} AND in_full AND on_time) AS perfect,
            count(*) FILTER ({perfect} AND in_full AND on_time) / nullif(count(*) FILTER ({perfect}), 0) AS rate
            FROM of_order JOIN judged USING (order_id)
            LEFT JOIN (FROM verdicts WHERE reference = '{against}') USING (order_id) GROUP BY grp""",
        "on_time": f"SELECT * EXCLUDE place FROM ({references}) ORDER BY grp NULLS LAST, place",
        "fill_rate": f"""SELECT grp, coalesce(sum(known_lines) FILTER ({SETTLED}), 0) AS lines,
            coalesce(sum(filled_lines) FILTER ({SETTLED}), 0) AS lines_filled, lines_filled / nullif(lines, 0) AS line_rate,
            coalesce(sum(known_pieces) FILTER ({SETTLED}), 0) AS pieces,
            coalesce(sum(filled_pieces) FILTER ({SETTLED}), 0) AS pieces_filled, pieces_filled / nullif(pieces, 0) AS piece_rate
            FROM of_order JOIN (SELECT * EXCLUDE (lines, pieces) FROM judged) USING (order_id) GROUP BY grp""",
        "ship_complete": f"""SELECT grp, count(in_full) FILTER ({SETTLED}) AS orders,
            count(*) FILTER ({SETTLED} AND in_full) AS complete, complete / nullif(orders, 0) AS rate
            FROM of_order JOIN judged USING (order_id) GROUP BY grp""",
        "cycle_time": f"SELECT * EXCLUDE place FROM ({stages}) ORDER BY grp NULLS LAST, place",
        "order_to_ship": f"""SELECT grp, count(within) AS judged, count(*) FILTER (within) AS within,
            count(*) FILTER (within) / nullif(count(within), 0) AS within_rate, quantile_cont(h, 0.5) AS p50,
            quantile_cont(h, 0.9) AS p90, 0 AS due, 0 AS in_time, NULL::DOUBLE AS in_time_rate,
            count(*) FILTER (outstanding) AS open, count(*) FILTER (outstanding AND {tonight} >= 24) AS at_risk,
            count(*) FILTER (outstanding AND {tonight} >= 24) / nullif(count(*) FILTER (outstanding), 0) AS at_risk_rate
            FROM (SELECT *, CASE WHEN outstanding AND {waited} > 24 THEN false ELSE h <= 24 END AS within
            FROM (SELECT *, CASE WHEN NOT called_off AND NOT outstanding AND last_ship >= placed THEN {hours} END AS h
            FROM of_order JOIN judged USING (order_id))) GROUP BY grp""",
        "backlog": f"SELECT * EXCLUDE place FROM ({ages}) ORDER BY grp NULLS LAST, place",
        "split_shipments": """SELECT grp, count(*) FILTER (shipments > 0) AS orders, count(*) FILTER (shipments > 1) AS split,
            split / nullif(orders, 0) AS rate, avg(shipments) FILTER (shipments > 0) AS shipments_per_order,
            avg(warehouses) AS warehouses_per_order FROM of_order JOIN judged USING (order_id) GROUP BY grp""",
        "carriers": f"""SELECT grp, carrier, count(*) AS shipments, count(delivery_date) AS delivered,
            quantile_cont({transit}, 0.5) FILTER ({transit} >= 0) AS transit_p50,
            quantile_cont({transit}, 0.9) FILTER ({transit} >= 0) AS transit_p90,
            count(*) FILTER (on_time) / nullif(count(on_time), 0) AS on_time_rate,
            count(*) FILTER (tracked) / count(*) AS tracked_rate,
            count(*) FILTER (proof AND delivery_date IS NOT NULL) / nullif(count(delivery_date), 0) AS proven_rate
            FROM of_shipment JOIN sent USING (shipment_key) JOIN (SELECT shipment_key, on_time FROM shipment_verdicts
            WHERE reference = '{against}') USING (shipment_key) GROUP BY grp, carrier ORDER BY grp NULLS LAST, carrier NULLS LAST""",
        "delivery_window": f"""SELECT grp, count(*) FILTER ({window}) AS shipments,
            count(*) FILTER ({window} AND NOT {early} AND NOT {late}) AS within, count(*) FILTER ({window} AND {early}) AS early,
            count(*) FILTER ({window} AND {late}) AS late, within / nullif(shipments, 0) AS rate
            FROM of_shipment JOIN sent USING (shipment_key) GROUP BY grp""",
        "pod_lag": f"""SELECT grp, count(delivery_date) AS delivered, count(*) FILTER (proof AND delivery_date IS NOT NULL) AS proven,
            proven / nullif(delivered, 0) AS rate, quantile_cont({lag}, 0.5) FILTER ({lag} >= 0) AS p50,
            quantile_cont({lag}, 0.9) FILTER ({lag} >= 0) AS p90
            FROM of_shipment JOIN sent USING (shipment_key) GROUP BY grp""",
    }  # fmt: skip


BY_SHIPMENT = "SELECT shipment_key, grp FROM sent JOIN ({0}) USING (order_id)"
BOTH = "coalesce({0}, '-') || ' | ' || coalesce({1}, '-') AS grp"


def groups_in_sql(by: tuple[str, ...]) -> tuple[str, str]:
    """The groups of orders and of shipments; of two groups, the texts joined."""
    if len(by) < 2:
        group = by[0] if by else None
        return OF_ORDER[group], OF_SHIPMENT.get(group or "", BY_SHIPMENT.format(OF_ORDER[group]))
    orders = f"""SELECT DISTINCT order_id, {BOTH.format("a.grp", "b.grp")} FROM ({OF_ORDER[by[0]]}) a
        JOIN ({OF_ORDER[by[1]]}) b USING (order_id)"""
    if set(by) == {"warehouse", "carrier"}:  # a carrier goes with the warehouse that it came to
        names = {"warehouse": WAREHOUSE.format("w"), "carrier": "carrier"}
        orders = f"""SELECT DISTINCT order_id, {BOTH.format(*(names[name] for name in by))} FROM (
            SELECT j.order_id, coalesce(f.warehouse_id, j.warehouse_id) AS w, carrier FROM judged j LEFT JOIN (
                SELECT f.order_id, f.warehouse_id, carrier FROM fulfillment_orders f
                LEFT JOIN sent USING (fulfillment_order_key)
                WHERE NOT coalesce(f.cancelled, false) OR shipment_key IS NOT NULL) f USING (order_id))"""
    first, second = (OF_SHIPMENT.get(name, BY_SHIPMENT.format(OF_ORDER[name])) for name in by)
    return (
        orders,
        f"""SELECT shipment_key, {BOTH.format("a.grp", "b.grp")} FROM ({first}) a
        JOIN ({second}) b USING (shipment_key)""",
    )


def kpis_by_sql(
    tables: Mapping[str, pl.DataFrame], by: tuple[str, ...], now: datetime
) -> Iterator[tuple[str, pl.DataFrame]]:
    """All KPIs, computed by the SQL queries."""
    words = {
        "$zone": f"'{ZONE}'",
        "$tolerance": f"INTERVAL {TOLERANCE // timedelta(minutes=1)} MINUTE",
        "$now": f"TIMESTAMPTZ '{now.isoformat()}'",
    }

    def meant(text: str) -> str:
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        for name in tables:
            db.register(f"{name}_given", tables[name].to_arrow())
            db.execute(f"CREATE TABLE {name} AS FROM {name}_given")
        db.register("lines_given", OrderView(tables).matched_lines.collect().to_arrow())
        db.execute("CREATE TABLE lines AS FROM lines_given")
        db.execute(meant(FACTS))
        orders, shipments = groups_in_sql(by)
        db.execute(meant(f"CREATE TABLE of_order AS {orders}"))
        db.execute(meant(f"CREATE TABLE of_shipment AS {shipments}"))
        for name, query in sql_queries(AGAINST).items():
            ordered = query if "ORDER BY" in query else f"{query} ORDER BY grp NULLS LAST"
            yield name, pl.DataFrame(db.sql(meant(ordered)).to_arrow_table())


@pytest.mark.parametrize("by", [None, *GROUPS])
def test_each_kpi_is_what_sql_says(tables: dict[str, pl.DataFrame], by: str | None) -> None:
    found = qf.kpis(tables, by, on_time_against=AGAINST, tolerance=TOLERANCE, time_zone=ZONE)
    told = dict(kpis_by_sql(tables, (by,) if by else (), found.as_of))
    assert set(told) == set(found)
    for name, frame in found.items():
        expected = told[name].drop("grp") if by is None or (by, name) == ("carrier", "carriers") else told[name]
        expected = expected.rename({"grp": by} if by in GROUPS and "grp" in expected.columns else {})
        assert frame.height == expected.height
        assert_frame_equal(frame, expected.select(frame.columns).cast(dict(frame.schema)), abs_tol=1e-9)


@pytest.mark.parametrize("by", [("warehouse", "carrier"), ("carrier", "week")])
def test_each_kpi_by_two_groups_is_what_sql_says(tables: dict[str, pl.DataFrame], by: tuple[str, str]) -> None:
    found = qf.kpis(tables, by, on_time_against=AGAINST, tolerance=TOLERANCE, time_zone=ZONE)
    for name, expected in kpis_by_sql(tables, by, found.as_of):
        joined = pl.concat_str([pl.col(group).fill_null("-") for group in by], separator=" | ")
        frame = found[name].select(joined.alias("grp"), pl.exclude(by))
        assert found[name].columns[:2] == list(by)
        assert_frame_equal(
            frame, expected.select(frame.columns).cast(dict(frame.schema)), check_row_order=False, abs_tol=1e-9
        )


@pytest.mark.long
def test_each_kpi_by_any_two_groups_is_what_sql_says(tables: dict[str, pl.DataFrame]) -> None:
    for by in itertools.permutations(GROUPS, 2):
        test_each_kpi_by_two_groups_is_what_sql_says(tables, by)


def test_weeks_are_those_of_iso_and_days_those_of_the_time_zone() -> None:
    instants = ["2026-12-31T23:30:00Z", "2027-01-01T00:00:00Z", "2027-01-03T22:59:00Z", "2027-01-03T23:00:00Z"]
    changes = [{"orderDate": instant, "fulfillmentOrders": []} for instant in instants]
    weeks, days = (kpis_of_fair_orders(*changes, by=by, time_zone="Europe/Vienna").volume for by in ("week", "day"))
    assert weeks.select("week", "orders").rows() == [("2026-W53", 3), ("2027-W01", 1)]
    assert days.select("day", "orders").rows() == [("2027-01-01", 2), ("2027-01-03", 1), ("2027-01-04", 1)]


def test_the_drawn_orders_have_all_that_the_definitions_are_about(tables: dict[str, pl.DataFrame]) -> None:
    found = qf.kpis(tables, on_time_against=AGAINST)
    volume, perfect = found.volume.row(0, named=True), found.perfect_order.row(0, named=True)
    assert volume["orders"] == 2_500
    assert volume["called_off"] > 0
    assert volume["completed"] < volume["delivered"] < volume["shipped"] < volume["orders"]
    assert 0 < perfect["perfect"] < min(perfect["in_full"], perfect["on_time"]) <= perfect["orders"]
    assert found.on_time.select(pl.col("on_time", "late", "unknown").min()).row(0) > (0, 0, 0)
    assert found.delivery_window.select("within", "early", "late").row(0) > (0, 0, 0)
    assert (found.cycle_time["orders"] > 100).all()
    assert (found.backlog["orders"] > 0).sum() >= 3
    assert found.split_shipments["split"].item() > 100
    sellers = qf.kpis(tables, "seller").volume["seller"].to_list()
    assert len([name for name in sellers if name and name.startswith("Nordlicht Kosmetik GmbH (")]) == 2


@pytest.mark.parametrize(
    "by", ["month", "week", "seller", "country", ["month", "seller", "country"], ("day", "country")]
)
def test_groups_that_are_one_to_an_order_add_up(tables: dict[str, pl.DataFrame], by: str | list[str]) -> None:
    total, told = qf.kpis(tables), qf.kpis(tables, by)
    for name, frame in total.items():
        counts = [column for column, dtype in frame.schema.items() if dtype == pl.Int64]
        keys = [column for column, dtype in frame.schema.items() if dtype == pl.String]
        added = told[name].group_by(keys).agg(pl.col(counts).sum()) if keys else told[name].select(pl.col(counts).sum())
        assert_frame_equal(added.select(*keys, *counts), frame.select(*keys, *counts), check_row_order=False)


def test_groups_are_sorted_and_columns_and_types_are_the_same_for_all(tables: dict[str, pl.DataFrame]) -> None:
    plain, told = qf.kpis(tables), qf.kpis(tables, ["country", "carrier"])
    for name, frame in told.items():
        assert frame.columns[:2] == ["country", "carrier"]
        assert_frame_equal(frame, frame.sort("country", "carrier", nulls_last=True, maintain_order=True))
        rest = {column: dtype for column, dtype in plain[name].schema.items() if column != "carrier"}
        assert dict(list(frame.schema.items())[2:]) == rest
        rates = frame.select(pl.selectors.matches("rate$"))
        assert not any(((values < 0) | (values > 1) | values.is_nan()).any() for values in rates)


def kpis_of_fair_orders(*changes: Mapping[str, Any], **options: Any) -> Kpis:
    """The KPIs of fair orders, one for each of these changes."""
    orders = [json.dumps(changed_order(change, 1001 + place)).encode() for place, change in enumerate(changes)]
    return qf.kpis(qf.flatten(orders), **options)


def single_row(frame: pl.DataFrame, **where: str) -> dict[str, Any]:
    return frame.filter(**where).row(0, named=True) if where else frame.row(0, named=True)


def test_a_fair_order_is_perfect() -> None:
    found = kpis_of_fair_orders({})
    assert single_row(found.perfect_order) == {"orders": 1, "in_full": 1, "on_time": 1, "perfect": 1, "rate": 1.0}
    assert found.on_time["rate"].to_list() == [1.0] * 4
    assert found.cycle_time["mean"].to_list() == pytest.approx([1 + 4 / 24, 1 + 22 / 24, 3 + 2 / 24, 5 + 4 / 24])
    assert single_row(found.delivery_window) == {"shipments": 1, "within": 1, "early": 0, "late": 0, "rate": 1.0}
    assert single_row(found.pod_lag)["p50"] == pytest.approx(1 / 24)
    assert found.backlog["orders"].sum() == 0


@pytest.mark.parametrize("body", [None, b'{"orderId": 1}'])
@pytest.mark.parametrize("by", [None, *GROUPS])
def test_of_nothing_a_rate_is_null(body: bytes | None, by: str | None) -> None:
    for frame in qf.kpis(qf.flatten([body] if body else []), by).values():
        assert all(values.null_count() == frame.height for values in frame.select(pl.selectors.float()))
        assert body or by is None or frame.is_empty()


def test_a_day_is_one_of_the_time_zone() -> None:
    late_evening = {f"{SHIPMENT}.deliveryDate": "2026-09-05T22:30:00Z"}
    assert single_row(kpis_of_fair_orders(late_evening).perfect_order)["on_time"] == 1
    assert single_row(kpis_of_fair_orders(late_evening, time_zone="Europe/Vienna").perfect_order)["on_time"] == 0
    at_the_month_end = {"orderDate": "2026-08-31T22:30:00Z"}
    assert kpis_of_fair_orders(at_the_month_end, by="month").volume["month"].to_list() == ["2026-08"]
    assert kpis_of_fair_orders(at_the_month_end, by="month", time_zone="Europe/Vienna").volume["month"].to_list() == [
        "2026-09"
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("against", "field", "last"),
    [
        ("latest_delivery_date", "deliveryDate", "2026-09-05T23:59:59Z"),
        ("expected_delivery_date", "deliveryDate", "2026-09-04T17:00:00Z"),
        ("delivery_window_end_time", "deliveryDate", "2026-09-04T18:00:00Z"),
        ("latest_ship_date", "shipDate", "2026-09-03T23:59:59Z"),
    ],
)
def test_a_promise_is_kept_until_its_end_and_the_tolerance(against: str, field: str, last: str) -> None:
    for tolerance in (timedelta(0), timedelta(hours=29)):  # to no midnight, which would be a day
        for after, kept in ((timedelta(0), 1), (timedelta(seconds=1), 0)):
            happened = {f"{SHIPMENT}.{field}": (datetime.fromisoformat(last) + tolerance + after).isoformat()}
            found = kpis_of_fair_orders(happened, on_time_against=against, tolerance=tolerance)
            assert single_row(found.on_time, reference=against)["on_time"] == kept
            assert single_row(found.perfect_order)["on_time"] == kept
            assert single_row(found.carriers)["on_time_rate"] == float(kept)


def test_what_is_not_delivered_is_late_when_it_is_past_due_and_unknown_before() -> None:
    away = {f"{SHIPMENT}.deliveryDate": GONE, f"{SHIPMENT}.podDate": GONE, "completedAt": GONE}
    for as_of, judged in ((datetime(2026, 9, 5, 23, 59, tzinfo=UTC), "unknown"), ("2026-09-05", "late")):
        row = single_row(kpis_of_fair_orders(away, as_of=as_of).on_time, reference="latest_delivery_date")
        assert {name for name in ("on_time", "late", "unknown") if row[name]} == {judged}
    untracked = away | {f"{SHIPMENT}.isUntracked": True}
    assert (
        single_row(kpis_of_fair_orders(untracked, as_of=AS_OF).on_time, reference="latest_delivery_date")["unknown"]
        == 1
    )
    assert single_row(kpis_of_fair_orders(untracked, as_of=AS_OF).on_time, reference="latest_ship_date")["on_time"] == 1


def test_of_an_old_answer_nothing_is_expected_that_is_later() -> None:
    away = {f"{SHIPMENT}.deliveryDate": GONE, f"{SHIPMENT}.podDate": GONE, "completedAt": GONE}
    frames = qf.flatten([json.dumps(changed_order(away, number)).encode() for number in (1, 2)])
    answers = [datetime(2026, 9, 5, tzinfo=UTC), datetime(2026, 9, 9, tzinfo=UTC)]
    given = {
        **frames,
        "orders": frames["orders"].with_columns(fetched_at=pl.Series(answers, dtype=pl.Datetime("us", "UTC"))),
    }
    row = single_row(qf.kpis(given).on_time, reference="latest_delivery_date")
    assert (row["late"], row["unknown"]) == (1, 1)
    nothing = {"fulfillmentOrders": [], "completedAt": GONE}
    frames = qf.flatten([json.dumps(changed_order(nothing, number)).encode() for number in (1, 2)])
    given = {
        **frames,
        "orders": frames["orders"].with_columns(fetched_at=pl.Series(answers, dtype=pl.Datetime("us", "UTC"))),
    }
    assert qf.kpis(given).backlog.rows() == [
        ("0-1 days", 0, 0), ("1-3 days", 0, 0), ("3-7 days", 1, 3), ("7-14 days", 1, 3), ("14+ days", 0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("as_of", "orders", "shipped", "delivered", "completed", "open_pieces"),
    [
        ("2026-08-31", 0, 0, 0, 0, 0),
        ("2026-09-01", 1, 0, 0, 0, 3),
        ("2026-09-02", 1, 1, 0, 0, 0),
        ("2026-09-04", 1, 1, 1, 0, 0),
        ("2026-09-06", 1, 1, 1, 1, 0),
    ],
)
def test_as_of_an_earlier_day_what_came_later_had_not_happened(
    as_of: str, orders: int, shipped: int, delivered: int, completed: int, open_pieces: int
) -> None:
    found = kpis_of_fair_orders({}, as_of=as_of)
    assert found.volume.select("orders", "shipped", "delivered", "completed").row(0) == (
        orders, shipped, delivered, completed,
    )  # fmt: skip
    assert found.backlog["pieces"].sum() == open_pieces
    assert single_row(found.pod_lag)["proven"] == delivered


def test_as_of_a_day_leaves_out_what_begins_the_next() -> None:
    at_midnight = {"orderDate": "2026-09-02T00:00:00Z"}  # as of a day without a time
    assert [
        single_row(kpis_of_fair_orders(at_midnight, as_of=day).volume)["orders"] for day in ("2026-09-01", "2026-09-02")
    ] == [0, 1]


def test_too_many_of_one_line_do_not_make_up_for_too_few_of_another() -> None:
    found = kpis_of_fair_orders({f"{SHIPMENT}.positions.0.quantity": 1, f"{SHIPMENT}.positions.1.quantity": 5})
    assert found.fill_rate.row(0) == (2, 1, 0.5, 3, 2, pytest.approx(2 / 3))
    assert found.ship_complete.row(0) == (1, 0, 0.0)
    assert single_row(found.perfect_order)["on_time"] == 1
    unknown = kpis_of_fair_orders({"positions.0.quantity": GONE})
    assert unknown.fill_rate.row(0) == (1, 1, 1.0, 1, 1, 1.0)
    assert unknown.ship_complete.row(0) == (0, 0, None)


def test_what_is_still_to_be_shipped_is_no_shortage_but_can_be_late() -> None:
    part = {f"{SHIPMENT}.positions.0.quantity": 1, "completedAt": GONE}
    soon, settled = kpis_of_fair_orders(part, as_of="2026-09-10"), kpis_of_fair_orders(part, as_of="2026-09-20")
    assert (single_row(soon.fill_rate)["lines"], single_row(settled.fill_rate)["lines"]) == (0, 2)
    assert single_row(soon.on_time, reference="latest_delivery_date")["late"] == 1
    assert single_row(settled.on_time, reference="latest_delivery_date")["on_time"] == 1  # too little, but in time
    assert (soon.backlog["pieces"].sum(), settled.backlog["pieces"].sum()) == (1, 0)
    assert (soon.cycle_time["orders"].sum(), settled.cycle_time["orders"].sum()) == (0, 3)


def test_an_order_that_was_called_off_is_no_failure() -> None:
    found = kpis_of_fair_orders(
        {"fulfillmentOrders.0.cancelled": True, "fulfillmentOrders.0.shipments": [], "completedAt": GONE}, as_of=AS_OF
    )
    assert single_row(found.volume)["called_off"] == 1
    assert found.on_time.select("judged", "unknown").sum().row(0) == (0, 0)
    assert (
        found.backlog["orders"].sum()
        == single_row(found.fill_rate)["lines"]
        == single_row(found.ship_complete)["orders"]
        == 0
    )


def test_an_order_counts_once_in_the_group_of_each_carrier_and_warehouse() -> None:
    second = copy.deepcopy(changed_order({})["fulfillmentOrders"][0])
    second |= {"warehouseId": 5, "warehouseName": "Wien"}
    second["shipments"] = [second["shipments"][0] | {"provider": "UPS"}, second["shipments"][0] | {"provider": "UPS"}]
    found = {by: kpis_of_fair_orders({"fulfillmentOrders.1": second}, by=by) for by in ("carrier", "warehouse")}
    assert found["carrier"].volume.select("carrier", "orders", "shipments").rows() == [("DHL", 1, 1), ("UPS", 1, 2)]
    assert found["warehouse"].volume.select("warehouse", "orders", "shipments").rows() == [
        ("Wien (4)", 1, 1), ("Wien (5)", 1, 2),
    ]  # fmt: skip
    shipped_though_cancelled = {"fulfillmentOrders.0.cancelled": True, "fulfillmentOrders.0.warehouseId": 5}
    assert kpis_of_fair_orders(shipped_though_cancelled, by="warehouse").volume["warehouse"].to_list() == ["Wien"]
    assert found["carrier"].split_shipments.row(0) == ("DHL", 1, 1, 1.0, 3.0, 2.0)


def test_instants_out_of_order_are_no_durations() -> None:
    found = kpis_of_fair_orders(
        {f"{SHIPMENT}.deliveryDate": "2026-09-02T11:00:00Z", f"{SHIPMENT}.podDate": "2026-09-02T10:00:00Z"}
    )
    assert single_row(found.cycle_time, stage="ship to delivery")["orders"] == 0
    assert single_row(found.carriers)["transit_p50"] is None
    assert single_row(found.pod_lag)["p50"] is None


def test_wrong_use_names_the_choices() -> None:
    with pytest.raises(qf.ConfigError, match="month, week, day, seller, warehouse, carrier, country"):
        kpis_of_fair_orders({}, by="shop")
    with pytest.raises(
        qf.ConfigError, match="latest_delivery_date, expected_delivery_date, delivery_window_end_time, latest_ship"
    ):
        kpis_of_fair_orders({}, on_time_against="delivery_date")
    with pytest.raises(qf.ConfigError, match=r"no time zone 'Vienna'.*Europe/Vienna"):
        kpis_of_fair_orders({}, time_zone="Vienna")
    with pytest.raises(qf.ConfigError, match="neither a day nor an instant"):
        kpis_of_fair_orders({}, as_of="soon")


def test_all_kpis_are_there() -> None:
    assert list(KPIS) == [
        "volume", "perfect_order", "on_time", "fill_rate", "ship_complete", "cycle_time", "order_to_ship", "backlog",
        "split_shipments", "carriers", "delivery_window", "pod_lag",
    ]  # fmt: skip


def test_a_folder_a_dataset_frames_and_a_dict_have_the_same_kpis(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_text(json.dumps(changed_order({})))
    dataset = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1)
    frames = qf.flatten([json.dumps(changed_order({})).encode()])
    kpis = qf.kpis(frames, as_of=AS_OF)
    for tables in (tmp_path / "tables", str(tmp_path / "tables"), dataset, dict(frames)):
        found = qf.kpis(tables, as_of=AS_OF)
        assert all(found[name].equals(kpis[name]) for name in KPIS)


@pytest.mark.parametrize(
    ("tables", "message"),
    [("nowhere", "nowhere is not a dataset of quivo_frames"), (5, "This is an int"), ([1], "This is a list")],
)
def test_what_are_no_tables_is_refused_in_a_sentence(tables: Any, message: str) -> None:
    with pytest.raises(qf.ConfigError, match=message):
        qf.kpis(tables)


def test_kpis_show_themselves() -> None:
    found = kpis_of_fair_orders({}, by=["seller", "seller"])
    assert found.by == ("seller",)
    assert list(found) == list(KPIS) == list(found.definitions) == list(found.about)
    with pytest.raises(AttributeError, match=r"no KPI 'fill'\. The KPIs are: volume, perfect_order"):
        _ = found.fill
    for name, definition in found.definitions.items():
        assert found[name] is getattr(found, name)
        assert not definition.title.endswith(".")
        assert definition.text.endswith(".")
        assert definition.limits.endswith(".")
        assert definition.reference
        assert f"{definition.title} ({format_count(found.about[name], 'order')})" in repr(found)
        assert definition.title in found._repr_html_()
    assert "by seller as of 2026-09-06 12:00 UTC, on time against latest_delivery_date" in repr(found)
    assert found.untold == UNTOLD
    assert all(why.endswith(".") for why in UNTOLD.values())


def test_a_carrier_is_one_group_however_a_shipment_names_it() -> None:
    provider, name = f"{SHIPMENT}.provider", f"{SHIPMENT}.providerName"
    found = kpis_of_fair_orders(
        {name: "DHL Express"}, {provider: "dhl ", name: "DHL Express"}, {provider: GONE, name: "dhl express"},
        {provider: "", name: "Somebody"}, by="carrier",
    )  # fmt: skip
    assert found.volume.select("carrier", "orders").rows() == [("DHL", 3), ("unknown", 1)]
    assert found.carriers.select("carrier", "shipments").rows() == [("DHL", 3), ("unknown", 1)]
