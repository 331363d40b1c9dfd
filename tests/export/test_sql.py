"""The SQL of the tables says what the catalogue says, and the views tell of real orders what the package tells."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

import quivo_frames as qf
from quivo_frames.analysis.derived_tables import derive_tables
from quivo_frames.analysis.line_matching import match_lines
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.export.sql import Dialect, column_comment, tables_sql
from quivo_frames.export.views import VIEWS, views_sql
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel
from quivo_frames.model.tables import TABLES, Column
from quivo_frames.standin.orders import order_json, write_ndjson
from tests.support.depth import examples
from tests.support.drawn_orders import several_orders
from tests.support.sketched_orders import SKETCHED_ORDERS, SKETCHES, damage_order

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BUILT = dataset_tables(derived=True)
OFFLINE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
FOUND_IN = {
    "planned": ("fulfillment_positions", "fulfillment_position_key"),
    "shipped": ("shipment_positions", "shipment_position_key"),
    "packed": ("handling_positions", "handling_position_key"),
}


def connect_offline(sql: str = "") -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config=OFFLINE)
    connection.execute("SET TimeZone = 'UTC';" + sql)
    return connection


def insert_tables(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pl.DataFrame]
) -> duckdb.DuckDBPyConnection:
    for name, rows in tables.items():
        connection.register("rows_of_one", rows)
        connection.execute(f'INSERT INTO "{name}" BY NAME FROM rows_of_one')
    return connection


def connect_with_tables(tables: Mapping[str, pl.DataFrame]) -> duckdb.DuckDBPyConnection:
    """The views over frames, and over the tables derived from them."""
    connection = connect_offline()
    for name, rows in {**tables, **derive_tables(tables)}.items():
        connection.register(name, rows)
    connection.execute(views_sql())
    return connection


@pytest.fixture(scope="module")
def trade() -> Mapping[str, pl.DataFrame]:
    return qf.flatten([order_json(order_id) for order_id in range(100_001, 103_001)])


@pytest.fixture(scope="module")
def asked(trade: Mapping[str, pl.DataFrame]) -> duckdb.DuckDBPyConnection:
    return connect_with_tables(trade)


# The tables


@pytest.mark.long
@pytest.mark.parametrize("references", [True, False])
def test_duckdb_takes_the_tables_and_real_orders_into_them(trade: Mapping[str, pl.DataFrame], references: bool) -> None:
    tables = {**trade, **derive_tables(trade)}
    connection = insert_tables(connect_offline(tables_sql(Dialect.DUCKDB, BUILT, references=references)), tables)
    for name, rows in tables.items():
        stored = connection.sql(f'FROM "{name}"').pl()
        assert stored.schema == rows.schema
        assert stored.equals(rows), name


def test_duckdb_knows_the_keys_and_the_comments() -> None:
    connection = connect_offline(tables_sql(Dialect.DUCKDB, BUILT))
    columns = connection.execute(
        "SELECT table_name, column_name, is_nullable, comment FROM duckdb_columns() WHERE NOT internal"
    ).fetchall()
    assert sorted(columns) == sorted(
        (table.name, column.name, not column.required and column.name != table.key, column_comment(column))
        for table in BUILT.values()
        for column in table.columns
    )
    foreign = connection.execute(
        """SELECT table_name, constraint_column_names, referenced_table, referenced_column_names
        FROM duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY'"""
    ).fetchall()
    assert sorted(foreign) == sorted(
        (table.name, [column], to, [to_column])
        for table in BUILT.values()
        for column, to, to_column in table.references
        if to != table.name
    )
    comments = connection.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall()
    assert ("orders", "One row per order. quivo_frames, schema version 1.") in comments


def test_duckdb_refuses_rows_of_no_order_and_the_same_key_twice() -> None:
    connection = connect_offline(tables_sql(Dialect.DUCKDB))
    connection.execute("INSERT INTO orders (order_id) VALUES (1)")
    with pytest.raises(duckdb.ConstraintException, match="primary key"):
        connection.execute("INSERT INTO orders (order_id) VALUES (1)")
    with pytest.raises(duckdb.ConstraintException, match="foreign key"):
        connection.execute("INSERT INTO order_tags (order_tag_key, order_id, ordinal, tag) VALUES ('2/0', 2, 0, 'a')")
    with pytest.raises(duckdb.ConstraintException, match="NOT NULL"):
        connection.execute("INSERT INTO order_tags (order_tag_key, order_id, ordinal) VALUES ('1/0', 1, 0)")


@pytest.mark.long
def test_filtered_columns_may_be_null() -> None:
    described = {name: PrivacyFilter(PrivacyLevel.NONE).filtered_table(table) for name, table in TABLES.items()}
    rows = qf.flatten([order_json(order_id) for order_id in range(100_001, 100_101)])
    bare = {
        name: rows[name].select(PrivacyFilter(PrivacyLevel.NONE).column_expressions(TABLES[name])) for name in TABLES
    }
    with pytest.raises(duckdb.ConstraintException, match="tracking_link"):
        insert_tables(connect_offline(tables_sql(Dialect.DUCKDB)), bare)
    insert_tables(connect_offline(tables_sql(Dialect.DUCKDB, described)), bare)


@pytest.mark.parametrize("dialect", Dialect)
def test_names_and_sentences_are_quoted(dialect: Dialect) -> None:
    odd = Column('se"lect', TABLES["orders"].columns[0].kind, "The customer's; -- it's all.", "pieces")
    table = replace(TABLES["orders"], name="order", columns=(TABLES["orders"].columns[0], odd))
    sql = tables_sql(dialect, {"order": table})
    connection = connect_offline(sql)
    comment = "The customer's; -- it's all. Unit: pieces."
    assert ('se"lect', comment) in connection.sql("SELECT column_name, comment FROM duckdb_columns()").fetchall()
    assert connection.sql('FROM "order"').columns == ["order_id", 'se"lect']


def test_parents_come_before_their_children() -> None:
    seen: set[str] = set()
    for name, table in BUILT.items():
        seen.add(name)
        assert {reference.to_table for reference in table.references} <= seen


# The views


@pytest.mark.long
@pytest.mark.parametrize("view", VIEWS)
def test_views_of_empty_tables_are_empty(view: str) -> None:
    connection = connect_offline(tables_sql(Dialect.DUCKDB, BUILT) + views_sql())
    assert connection.sql(f"FROM {view}").fetchall() == []


def test_the_views_stand_over_the_files_of_a_dataset_as_their_header_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ndjson(tmp_path / "orders.ndjson", 200)
    dataset = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables")
    monkeypatch.chdir(tmp_path / "tables")
    sql = views_sql()
    header = "".join(line[2:] for line in sql.split("\n\n-- One row")[0].split("\n") if "read_parquet" in line)
    connection = connect_offline(header + sql)
    assert connection.sql("FROM order_overview").pl().height == dataset.orders.height
    assert connection.sql("FROM order_line_milestones").pl().height == dataset.order_positions.height


def test_without_derived_tables_there_are_the_views_that_need_none() -> None:
    connection = connect_offline(tables_sql(Dialect.DUCKDB) + views_sql(derived=False))
    views = connection.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    assert views == [("order_overview",)]
    left_out = re.search(r"-- .* left out: (.*)\.", views_sql(derived=False))[1]
    assert left_out.split(", ") == [name for name in VIEWS if name != "order_overview"]
    for name in VIEWS:
        if name != "order_overview":
            with pytest.raises(duckdb.CatalogException):
                connection.execute(f"CREATE VIEW {name} AS {VIEWS[name].query}")


def test_the_columns_that_no_table_has_are_described_and_no_others() -> None:
    connection = connect_offline(tables_sql(Dialect.DUCKDB, BUILT) + views_sql())
    known = {column.name for table in TABLES.values() for column in table.columns}
    for name, view in VIEWS.items():
        columns = set(connection.sql(f"FROM {name}").columns)
        assert set(view.column_comments) == columns - known, name
    comments = connection.execute(
        "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL"
    ).fetchall()
    assert comments == sorted((name, view.description.replace("\n", " ")) for name, view in VIEWS.items())


KEYS = {
    "line_matches": "found_in || found_key || order_position_key",
    "shipped_lines": "shipment_position_key",
    "order_line_milestones": "order_position_key",
    "order_overview": "order_id",
    "packed_lines": "handling_position_key",
}
ROWS = {
    "shipped_lines": """SELECT shipment_position_key FROM shipment_positions JOIN shipments USING (shipment_key)
        WHERE reversed IS DISTINCT FROM true""",
    "order_line_milestones": "SELECT order_position_key FROM order_positions",
    "order_overview": "SELECT order_id FROM orders",
    "packed_lines": "SELECT handling_position_key FROM handling_positions",
}


def check_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Each view has one row a key, and those of its table."""
    for view, key in KEYS.items():
        found = [key for (key,) in connection.sql(f"SELECT {key} FROM {view}").fetchall()]
        assert len(found) == len(set(found)), view
        if view in ROWS:
            assert sorted(found) == sorted(key for (key,) in connection.sql(ROWS[view]).fetchall()), view


@pytest.mark.long
def test_no_view_multiplies_or_loses_rows(asked: duckdb.DuckDBPyConnection) -> None:
    check_rows(asked)


@pytest.mark.long
@pytest.mark.drawn
@settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(several_orders())
def test_no_view_multiplies_loses_or_breaks_whatever_the_orders_hold(orders: list[str]) -> None:
    connection = connect_with_tables(qf.flatten([order.encode() for order in orders]))
    check_rows(connection)
    for view in VIEWS:
        connection.sql(f"FROM {view}").pl()


def compare_with_audit(connection: duckdb.DuckDBPyConnection, lines: pl.DataFrame, what: str) -> pl.DataFrame:
    """The lines of matching that know how many pieces, and beside that what the rows of the view add up to."""
    table, key = FOUND_IN[what]
    found = connection.sql(
        f"""SELECT l.order_position_key, max(line_count) AS line_count,
            CASE WHEN count(m.found_key) = count(p.quantity) THEN coalesce(sum(p.quantity), 0)::BIGINT END AS found
        FROM order_positions l
        LEFT JOIN line_matches m ON m.order_position_key = l.order_position_key AND m.found_in = '{table}'
        LEFT JOIN {table} p ON p.{key} = m.found_key
        GROUP BY ALL"""
    ).pl()
    known = lines.filter(pl.col("order_position_key").is_not_null(), pl.col(what).is_not_null())
    return known.join(found, on="order_position_key", how="left")


def audit_matches(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows of line_matches, made from the line matching of an audit."""
    matches = match_lines(OrderView(tables).__getitem__)
    ordered = matches.rows["ordered"].select("line", order_position_key="key", line_count=pl.len().over("line"))
    found = [
        matches.rows[what].select("order_id", "line", found_in=pl.lit(table), found_key="key").join(ordered, on="line")
        for what, (table, _) in FOUND_IN.items()
    ]
    return pl.concat(found).drop("line")


def assert_same_matches(tables: Mapping[str, pl.DataFrame]) -> duckdb.DuckDBPyConnection:
    connection = connect_with_tables(tables)
    expected = audit_matches(tables)
    found = connection.sql("FROM line_matches").pl().cast(dict(expected.schema)).select(expected.columns)
    assert found.sort(found.columns).equals(expected.sort(expected.columns))
    return connection


@pytest.mark.long
@pytest.mark.parametrize("what", FOUND_IN)
def test_lines_find_each_other_as_in_an_audit(trade: Mapping[str, pl.DataFrame], what: str) -> None:
    rows = compare_with_audit(connect_with_tables(trade), OrderView(trade).matched_lines.collect(), what)
    assert rows.height > 10_000
    assert rows.filter(pl.col(what).ne_missing(pl.col("found"))).is_empty()


def test_lines_find_each_other_as_in_the_sketches_of_matching() -> None:
    assert len(SKETCHES) > 30
    assert_same_matches(qf.flatten([json.dumps(order).encode() for order in SKETCHED_ORDERS.values()]))


@pytest.mark.long
def test_lines_that_cannot_be_told_apart_are_taken_together_as_in_an_audit() -> None:
    dice = random.Random(7)
    orders = [damage_order(json.loads(order_json(700_000 + number, seed=5)), dice) for number in range(800)]
    connection = assert_same_matches(qf.flatten([json.dumps(order).encode() for order in orders]))
    check_rows(connection)
    pooled = connection.sql("SELECT found_in, count(*) FROM line_matches WHERE line_count > 1 GROUP BY ALL").fetchall()
    assert len(pooled) == len(FOUND_IN)
    assert all(count > 100 for _, count in pooled)


def test_the_overview_tells_the_milestones_of_an_order(
    trade: Mapping[str, pl.DataFrame], asked: duckdb.DuckDBPyConnection
) -> None:
    names = {
        "planned": "first_fulfillment_order_created", "shipped_first": "first_ship_date",
        "shipped_last": "last_ship_date", "delivered_last": "last_delivery_date",
        "fulfillment_orders": "fulfillment_orders", "shipments": "shipments", "completed_at": "completed_at",
    }  # fmt: skip
    milestones = OrderView(trade).milestones.select("order_id", **{view: pl.col(name) for name, view in names.items()})
    found = asked.sql(f"SELECT order_id, {', '.join(names.values())} FROM order_overview").pl()
    assert found.sort("order_id").equals(milestones.sort("order_id").collect().cast(dict(found.schema)))


def test_the_milestones_of_lines_lead_to_those_of_their_order(
    trade: Mapping[str, pl.DataFrame], asked: duckdb.DuckDBPyConnection
) -> None:
    """But for plans: cancelled ones count for the order alone, and a line without SKU or identifier is led to by none."""
    found = asked.sql(
        """SELECT order_id, min(first_ship_date) AS shipped_first, max(last_ship_date) AS shipped_last,
            min(first_fulfillment_order_created) AS planned
        FROM order_line_milestones GROUP BY order_id"""
    ).pl()
    both = OrderView(trade).milestones.collect().join(found, on="order_id", suffix="_of_lines")
    for name in ("shipped_first", "shipped_last"):
        assert both.filter(pl.col(name).ne_missing(pl.col(f"{name}_of_lines"))).is_empty()
    apart = both.filter(pl.col("planned").ne_missing(pl.col("planned_of_lines")))["order_id"]
    cancelled = trade["fulfillment_orders"].filter(pl.col("cancelled"))["order_id"]
    nameless = trade["order_positions"].filter(pl.col("sku").fill_null("") == "")["order_id"]
    assert set(apart) <= {*cancelled, *nameless}
    assert both["planned_of_lines"].is_not_null().any()


def test_lags_are_the_time_between() -> None:
    order = {
        "orderId": 1, "orderDate": "2026-03-01T00:00:00Z", "created": "2026-03-01T06:00:00Z",
        "exportedAt": "2026-03-01T07:30:00Z", "completedAt": "2026-03-11T00:00:00Z",
        "positions": [{"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 1}],
        "fulfillmentOrders": [{
            "fulfillmentOrderCreated": "2026-03-01T08:00:00Z",
            "positions": [{"sku": "A", "quantity": 3}],
            "shipments": [
                {"shipDate": "2026-03-03T08:00:00Z", "carrierPickUpDate": "2026-03-03T07:00:00Z",
                 "deliveryDate": "2026-03-04T08:00:00Z", "podDate": "2026-03-05T20:00:00Z",
                 "positions": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 0}]},
                {"shipDate": "2026-03-05T20:00:00Z", "deliveryDate": "2026-03-08T08:00:00Z",
                 "positions": [{"sku": "A", "quantity": 1}]},
                {"shipDate": "2026-03-01T09:00:00Z", "reversed": True, "positions": [{"sku": "A", "quantity": 3}]},
            ],
        }],
    }  # fmt: skip
    a, b = (
        connect_with_tables(qf.flatten([json.dumps(order).encode()])).sql("FROM order_line_milestones").pl().to_dicts()
    )
    lags = {name: value for name, value in a.items() if name.startswith(("hours_", "days_"))}
    assert lags == {
        "hours_to_create": 6, "hours_to_export": 1.5, "hours_to_plan": 0.5, "hours_to_ship": 48,
        "hours_to_pick_up": -1, "days_to_deliver": 2.5, "days_to_prove": None, "days_from_order_to_ship": 2 + 8 / 24,
        "days_from_order_to_delivery": 7 + 8 / 24, "days_from_order_to_completion": 10,
    }  # fmt: skip
    assert b["first_fulfillment_order_created"] is b["first_ship_date"] is b["days_from_order_to_ship"] is None
    assert b["hours_to_export"] == 1.5


def test_the_overview_adds_up_pieces_as_they_are_known() -> None:
    order = {
        "orderId": 1,
        "positions": [{"quantity": 2**62}, {"quantity": 2**62}],
        "fulfillmentOrders": [
            {"positions": [{"quantity": 2}, {"quantity": 3}], "shipments": [
                {"positions": [{"quantity": 1}, {}]}, {"reversed": True, "positions": [{"quantity": 7}]}]},
            {"cancelled": True, "positions": [{"quantity": 100}]},
        ],
        "handlingUnits": [{"childHandlingUnits": [{"handlingPositions": [{"quantity": 4}]}]}],
    }  # fmt: skip
    (row,) = connect_with_tables(qf.flatten([json.dumps(order).encode()])).sql("FROM order_overview").pl().to_dicts()
    assert (row["ordered_pieces"], row["ordered_lines"]) == (None, 2)  # more than a column can hold
    assert (row["planned_pieces"], row["planned_lines"]) == (5, 2)
    assert (row["shipped_pieces"], row["shipped_lines"]) == (None, 2)
    assert (row["packed_pieces"], row["packed_lines"]) == (4, 1)
    assert (row["shipments"], row["reversed_shipments"]) == (1, 1)
    assert (row["fulfillment_orders"], row["cancelled_fulfillment_orders"]) == (1, 1)
    assert (row["handling_units"], row["outer_handling_units"]) == (2, 1)


def test_packed_lines_know_their_outermost_unit() -> None:
    inner = {"type": "CARTON", "sscc": "2", "handlingPositions": [{"sku": "A", "quantity": 4}]}
    order = {
        "orderId": 1, "positions": [{"sku": "A", "name": "Axe"}],
        "handlingUnits": [{"type": "PALLET", "sscc": "1", "childHandlingUnits": [{"childHandlingUnits": [inner]}]}],
    }  # fmt: skip
    (row,) = connect_with_tables(qf.flatten([json.dumps(order).encode()])).sql("FROM packed_lines").pl().to_dicts()
    assert (row["root_type"], row["root_sscc"], row["type"], row["sscc"], row["depth"]) == (
        "PALLET",
        "1",
        "CARTON",
        "2",
        2,
    )
    assert (row["root_handling_unit_key"], row["handling_unit_key"]) == ("1/0", "1/0.0.0")
    assert (row["name"], row["order_position_key"], row["quantity"]) == ("Axe", "1/0", 4)
