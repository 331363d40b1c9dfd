"""Which SQL an assistant may run: one statement that reads the tables. DuckDB's own parser says what a statement is.

This is the second of two walls: the database is a copy that has nothing but the tables, opened for reading, and shut
off from files and networks. What stands here keeps out what would show settings of DuckDB, or hides a statement in a
text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

from quivo_frames.assistant.plain_values import Refusal
from quivo_frames.assistant.sql_request import MOST_QUERY_CHARACTERS, TOOK_TOO_MUCH
from quivo_frames.display.text import terminal_text

TABLE_FUNCTIONS = ("range", "generate_series", "unnest")
"""The functions that may stand in place of a table; all others read files, settings or logs, or run hidden SQL."""
REFUSED_FUNCTIONS = frozenset([
    "current_setting", "getvariable", "getenv", "current_query", "json_serialize_plan", "write_log", "sleep_ms",
    "pg_sleep", "nextval", "currval", "setval",
])  # fmt: skip
"""Functions of values that show settings, wait, or change something."""
_MOST_MESSAGE = 400
ONE_STATEMENT = (
    "Only one statement that reads is run: SELECT, WITH, VALUES, FROM, DESCRIBE or SUMMARIZE, over the tables that "
    "describe_tables lists. Nothing can be written, set, attached, installed or copied."
)


def check_statement(db: duckdb.DuckDBPyConnection, query: str, tables: Collection[str]) -> None:
    """Look whether a query is one statement that reads these tables.

    Raises:
        Refusal: it is anything else.
    """
    if len(query) > MOST_QUERY_CHARACTERS:
        raise Refusal(f"The query is longer than {MOST_QUERY_CHARACTERS:,} characters. Ask for less at once.")
    try:
        kinds = [statement.type for statement in db.extract_statements(query)]
    except duckdb.Error as error:
        raise Refusal(explain_query_error(error)) from error
    if kinds != [duckdb.StatementType.SELECT]:
        raise Refusal(ONE_STATEMENT)
    ((serialized,),) = db.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    try:
        tree = json.loads(serialized)
        if tree["error"] or len(tree["statements"]) != 1:
            raise Refusal(ONE_STATEMENT)
        _check_tree(tree, {name.lower() for name in tables})
    except RecursionError as error:
        raise Refusal("The query is nested too deeply. Write it with fewer levels.") from error


def _check_tree(tree: dict[str, Any], tables: set[str]) -> None:
    nodes = list(_nodes_of(tree))
    named = {entry["key"].lower() for node in nodes for entry in node.get("cte_map", {}).get("map", [])}
    for node in nodes:
        kind = node.get("type")
        if "function_name" in node and node["function_name"].lower() in REFUSED_FUNCTIONS:
            raise Refusal("The query uses a function that is not available here: it does not read tables.")
        if kind == "TABLE_FUNCTION" and node["function"].get("function_name", "").lower() not in TABLE_FUNCTIONS:
            raise Refusal(
                f"Of functions in place of a table, only {', '.join(TABLE_FUNCTIONS)} are available: files, settings "
                "and networks cannot be read. describe_tables lists the tables."
            )
        if kind == "BASE_TABLE":
            is_plain = not node.get("catalog_name") and node.get("schema_name", "") in ("", "main")
            _check_table(node["table_name"], tables | named if is_plain else set())
        if kind == "SHOW_REF" and not node.get("query"):
            _check_table(node.get("table_name", ""), tables)


def _check_table(name: str, tables: set[str]) -> None:
    if name.strip('"').lower() not in tables:
        raise Refusal("The query reads something that is none of the tables. describe_tables lists them.")


def _nodes_of(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def explain_query_error(error: duckdb.Error) -> str:
    """Why DuckDB refuses a query, for the assistant.

    What it says of the query itself (syntax, names) helps to write it better. What it says while it reads rows may hold
    their values, and is not passed on.
    """
    if isinstance(
        error, duckdb.ParserException | duckdb.SyntaxException | duckdb.BinderException | duckdb.CatalogException
    ):
        return f"DuckDB does not understand the query: {terminal_text(str(error)[:_MOST_MESSAGE])}"
    if isinstance(error, duckdb.OutOfMemoryException):
        return TOOK_TOO_MUCH
    if isinstance(error, duckdb.PermissionException):
        return "Files, networks and settings cannot be reached from here. Read the tables that describe_tables lists."
    if isinstance(error, duckdb.ConversionException | duckdb.OutOfRangeException | duckdb.InvalidInputException):
        return f"A value does not fit what the query does with it ({type(error).__name__}). TRY_CAST gives null there."
    return f"DuckDB could not run the query ({type(error).__name__}). Write it in a simpler way."
