"""DuckDB: read_json with the types spelled out, unnest, a recursive CTE, COPY TO parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from tests.benchmarks.candidates import a_file_each, record, shape
from tests.benchmarks.orders import ALL, IDS, LISTS

LEAVES_OUT = (
    "row keys and places in lists, free-form numbers as they were written, decimals of more than 15 digits exactly, "
    "checks, failures apart (a bad value ends the run or is converted silently: 12.7 to 13)"
)
TYPES = {
    "text": "VARCHAR",
    "int64": "BIGINT",
    "int32": "INTEGER",
    "flag": "BOOLEAN",
    "instant": "TIMESTAMPTZ",
    "day": "DATE",
    "money": "DECIMAL(18, 4)",
    "measure": "DOUBLE",
    "json": "JSON",
    "recursive": "JSON",
}


def run(file: Path, out: Path) -> None:
    out.mkdir()
    order = shape(file)
    with duckdb.connect() as db:
        read_orders(db, file, order)
        shapes: dict[str, Any] = {"orders": order}
        copy_table(db, out, "orders", plain_values(order))
        for table, (parent, way) in LISTS.items():
            shapes[table] = record(shapes[parent], way)
            _unnest(db, table, parent, way)
            value = plain_values(shapes[table], "entry.") if isinstance(shapes[table], dict) else ["entry AS value"]
            copy_table(db, out, table, [*(f"parent_{name}" for name in IDS[parent]), *value])
        _units(db, out, record(order, ["handlingUnits"]))
        _attributes(db, out)


def tables(out: Path) -> dict[str, list[Path]]:
    return a_file_each(out, ALL)


def read_orders(db: duckdb.DuckDBPyConnection, file: Path, order: dict[str, Any]) -> None:
    """The file as a table of nested orders."""
    columns = {name: duckdb_type(what) for name, what in order.items()}
    db.execute(
        f"CREATE TABLE orders AS FROM read_json($file, format = 'newline_delimited', columns = {columns})",
        {"file": str(file)},
    )


def duckdb_type(what: Any) -> str:
    """The type of a column, from the shape of its values."""
    if isinstance(what, list):
        return f"{duckdb_type(what[0])}[]"
    if isinstance(what, dict):
        fields = ", ".join(f'"{name}" {duckdb_type(inner)}' for name, inner in what.items())
        return f"STRUCT({fields})"
    return TYPES[what]


def plain_values(what: dict[str, Any], around: str = "", prefix: str = "") -> Iterator[str]:
    """The plain values of a record, those of objects in it with a prefix."""
    for name, inner in what.items():
        if isinstance(inner, dict):
            yield from plain_values(inner, f'{around}"{name}".', f"{prefix}{name}_")
        elif not isinstance(inner, list) and inner != "recursive":
            yield f'{around}"{name}" AS "{prefix}{name}"'


def copy_table(db: duckdb.DuckDBPyConnection, out: Path, table: str, columns: Iterable[str]) -> None:
    """Writes columns of a table to a file of its name."""
    db.execute(f"COPY (SELECT {', '.join(columns)} FROM {table}) TO '{out}/{table}.parquet' (FORMAT parquet)")


def _unnest(db: duckdb.DuckDBPyConnection, table: str, parent: str, way: tuple[str, ...]) -> None:
    """A table of the entries of a list, with the ids that lead to them."""
    own = "" if parent == "orders" else "entry."
    *above, last = IDS[parent]
    ids = [f"parent_{name}" for name in above] + [f'{own}"{last}" AS "parent_{last}"']
    path = own + ".".join(f'"{name}"' for name in way)
    db.execute(
        f"CREATE TABLE {table} AS FROM (SELECT {', '.join(ids)}, unnest({path}) AS entry FROM {parent}) "
        "WHERE entry IS NOT NULL"
    )


def _units(db: duckdb.DuckDBPyConnection, out: Path, unit: dict[str, Any]) -> None:
    """Handling units at any depth: the units inside are JSON, opened level by level."""
    db.execute(
        """
        CREATE TABLE handling_units AS
        WITH RECURSIVE units AS (
            SELECT orderId, place::VARCHAR AS place, NULL::VARCHAR AS parent, 0 AS depth, entry
            FROM (
                SELECT orderId, unnest("handlingUnits") AS entry, generate_subscripts("handlingUnits", 1) - 1 AS place
                FROM orders
            ) WHERE entry IS NOT NULL
            UNION ALL
            SELECT orderId, parent || '.' || place, parent, depth, entry
            FROM (
                SELECT orderId, parent, depth, unnest(inner_units) AS entry,
                    generate_subscripts(inner_units, 1) - 1 AS place
                FROM (
                    SELECT orderId, place AS parent, depth + 1 AS depth,
                        from_json(entry."childHandlingUnits", $structure) AS inner_units
                    FROM units
                )
            ) WHERE entry IS NOT NULL
        )
        FROM units""",
        {"structure": json.dumps(structure_of([unit]))},
    )
    copy_table(db, out, "handling_units", ["orderId", "place", "parent", "depth", *plain_values(unit, "entry.")])
    db.execute(
        """
        CREATE TABLE handling_positions AS FROM (
            SELECT orderId, place, unnest(entry."handlingPositions") AS entry FROM handling_units
        ) WHERE entry IS NOT NULL"""
    )
    copy_table(
        db,
        out,
        "handling_positions",
        ["orderId", "place", *plain_values(record(unit, ["handlingPositions"]), "entry.")],
    )


def structure_of(what: Any) -> Any:
    """The same as `duckdb_type`, in the form that from_json wants."""
    if isinstance(what, list):
        return [structure_of(what[0])]
    if isinstance(what, dict):
        return {name: structure_of(inner) for name, inner in what.items()}
    return TYPES[what]


def _attributes(db: duckdb.DuckDBPyConnection, out: Path) -> None:
    """A row for each key of a free-form object, also of one that is written as JSON text."""
    db.execute(
        """
        CREATE TABLE custom_attributes AS
        WITH objects AS (
            SELECT orderId, NULL::BIGINT AS positionId, "customAttributes" AS attributes FROM orders
            UNION ALL
            SELECT "parent_orderId", entry."positionId", entry."customAttributes" FROM order_positions
        ), opened AS (
            SELECT orderId, positionId,
                CASE json_type(attributes) WHEN 'VARCHAR' THEN (attributes->>'$')::JSON ELSE attributes END AS attributes
            FROM objects
        ), pairs AS (
            SELECT orderId, positionId, unnest(json_keys(attributes)) AS key,
                unnest(json_extract(attributes, '$.*')) AS value
            FROM opened WHERE json_type(attributes) = 'OBJECT'
        )
        SELECT orderId, positionId, key, value ->> '$' AS value, json_type(value) AS type FROM pairs"""
    )
    copy_table(db, out, "custom_attributes", ["*"])
