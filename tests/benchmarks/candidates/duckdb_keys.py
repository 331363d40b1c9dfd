"""DuckDB as before, with what a key needs: row keys, places in lists and parents' keys of all tables, checked at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb

from tests.benchmarks.candidates import a_file_each, record, shape
from tests.benchmarks.candidates.duckdb_sql import copy_table, plain_values, read_orders, structure_of
from tests.benchmarks.orders import ALL, IDS, LISTS

LEAVES_OUT = (
    "free-form numbers as they were written, decimals of more than 15 digits exactly, checks of types, repeated and "
    "unknown fields, the comparison with the JSON, failures apart (a bad value ends the run or is converted silently: "
    "12.7 to 13); it checks unique keys and foreign keys as quivo_frames does"
)
_API_IDS = ("orderId", "fulfillmentOrderId", "shipmentId", "shipmentPositionId")
"""The ids that rows take over from the rows around them."""


def run(file: Path, out: Path) -> None:
    out.mkdir()
    order = shape(file)
    with duckdb.connect() as db:
        read_orders(db, file, order)
        db.execute("ALTER TABLE orders ADD COLUMN key VARCHAR")
        db.execute('UPDATE orders SET key = "orderId"::VARCHAR')
        shapes: dict[str, Any] = {"orders": order}
        copy_table(db, out, "orders", plain_values(order))
        for table, (parent, way) in LISTS.items():
            shapes[table] = record(shapes[parent], way)
            _unnest(db, table, parent, way)
            value = plain_values(shapes[table], "entry.") if isinstance(shapes[table], dict) else ["entry AS value"]
            keys = ["key", "parent_key", "ordinal", *(f"parent_{name}" for name in _ids(parent))]
            copy_table(db, out, table, [*keys, *value])
        _units(db, out, record(order, ["handlingUnits"]))
        _attributes(db, out)
        check_keys(db)


def tables(out: Path) -> dict[str, list[Path]]:
    return a_file_each(out, ALL)


def _ids(table: str) -> tuple[str, ...]:
    return tuple(name for name in IDS[table] if name in _API_IDS)


def _unnest(db: duckdb.DuckDBPyConnection, table: str, parent: str, way: tuple[str, ...]) -> None:
    """A table of the entries of a list; a place counts the nulls before it as well."""
    own = "" if parent == "orders" else "entry."
    path = own + ".".join(f'"{name}"' for name in way)
    known = [f'"{name}"' if parent == "orders" else f'"parent_{name}"' for name in _ids(parent)]
    if parent in ("fulfillment_orders", "shipments", "shipment_positions"):
        known[-1] = f'entry."{_ids(parent)[-1]}"'
    ids = [f'{where} AS "parent_{name}"' for where, name in zip(known, _ids(parent), strict=True)]
    db.execute(
        f"""
        CREATE TABLE {table} AS SELECT parent_key || '/' || ordinal AS key, * FROM (
            SELECT key AS parent_key, generate_subscripts({path}, 1) - 1 AS ordinal, {", ".join(ids)},
                unnest({path}) AS entry
            FROM {parent}
        ) WHERE entry IS NOT NULL"""
    )


def _units(db: duckdb.DuckDBPyConnection, out: Path, unit: dict[str, Any]) -> None:
    """Handling units at any depth: the units inside are JSON, opened level by level."""
    db.execute(
        """
        CREATE TABLE handling_units AS
        WITH RECURSIVE units AS (
            SELECT "orderId", key || '/' || ordinal AS key, NULL::VARCHAR AS parent_key,
                key || '/' || ordinal AS root_key, 0 AS depth, ordinal, entry
            FROM (
                SELECT "orderId", key, unnest("handlingUnits") AS entry,
                    generate_subscripts("handlingUnits", 1) - 1 AS ordinal
                FROM orders
            ) WHERE entry IS NOT NULL
            UNION ALL
            SELECT "orderId", parent_key || '.' || ordinal, parent_key, root_key, depth, ordinal, entry
            FROM (
                SELECT "orderId", parent_key, root_key, depth, unnest(inner_units) AS entry,
                    generate_subscripts(inner_units, 1) - 1 AS ordinal
                FROM (
                    SELECT "orderId", key AS parent_key, root_key, depth + 1 AS depth,
                        from_json(entry."childHandlingUnits", $structure) AS inner_units
                    FROM units
                )
            ) WHERE entry IS NOT NULL
        )
        FROM units""",
        {"structure": json.dumps(structure_of([unit]))},
    )
    keys = ["key", '"orderId"', "parent_key", "root_key", "depth", "ordinal"]
    copy_table(db, out, "handling_units", [*keys, *plain_values(unit, "entry.")])
    db.execute(
        """
        CREATE TABLE handling_positions AS SELECT parent_key || '/' || ordinal AS key, * FROM (
            SELECT "orderId", key AS parent_key, generate_subscripts(entry."handlingPositions", 1) - 1 AS ordinal,
                unnest(entry."handlingPositions") AS entry
            FROM handling_units
        ) WHERE entry IS NOT NULL"""
    )
    value = plain_values(record(unit, ["handlingPositions"]), "entry.")
    copy_table(db, out, "handling_positions", ["key", '"orderId"', "parent_key", "ordinal", *value])


def _attributes(db: duckdb.DuckDBPyConnection, out: Path) -> None:
    """A row for each key of a free-form object, also of one that is written as JSON text."""
    db.execute(
        """
        CREATE TABLE custom_attributes AS
        WITH objects AS (
            SELECT "orderId", key AS owner, NULL::VARCHAR AS position_key, "customAttributes" AS attributes FROM orders
            UNION ALL
            SELECT "parent_orderId", key, key, entry."customAttributes" FROM order_positions
        ), opened AS (
            SELECT "orderId", owner, position_key,
                CASE json_type(attributes) WHEN 'VARCHAR' THEN (attributes->>'$')::JSON ELSE attributes END AS attributes
            FROM objects
        ), pairs AS (
            SELECT "orderId", owner, position_key, generate_subscripts(names, 1) - 1 AS ordinal, unnest(names) AS name,
                unnest(json_extract(attributes, '$.*')) AS value
            FROM (SELECT *, json_keys(attributes) AS names FROM opened WHERE json_type(attributes) = 'OBJECT')
        )
        SELECT owner || '/' || ordinal AS key, "orderId", position_key, ordinal, name, value ->> '$' AS value,
            json_type(value) AS type
        FROM pairs"""
    )
    copy_table(db, out, "custom_attributes", ["*"])


def check_keys(db: duckdb.DuckDBPyConnection) -> None:
    """Keys are there and unique, and what they refer to is there."""
    parents = {table: [("parent_key", parent)] for table, (parent, _) in LISTS.items() if parent != "orders"}
    parents["handling_units"] = [("parent_key", "handling_units"), ("root_key", "handling_units")]
    parents["handling_positions"] = [("parent_key", "handling_units")]
    parents["custom_attributes"] = [("position_key", "order_positions")]
    for table in ALL:
        rows, keys = db.execute(f"SELECT count(*), count(DISTINCT key) FROM {table}").fetchall()[0]
        assert rows == keys, table
        for column, parent in parents.get(table, []):
            _no_orphans(db, table, column, parent, "key")
        if table != "orders":
            _no_orphans(db, table, '"parent_orderId"' if table in LISTS else '"orderId"', "orders", '"orderId"')


def _no_orphans(db: duckdb.DuckDBPyConnection, table: str, column: str, parent: str, key: str) -> None:
    orphans = db.execute(
        f"SELECT count(*) FROM {table} AS child ANTI JOIN {parent} AS parent ON child.{column} = parent.{key} "
        f"WHERE child.{column} IS NOT NULL"
    ).fetchall()
    assert orphans == [(0,)], table
