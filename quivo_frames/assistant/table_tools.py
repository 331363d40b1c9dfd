"""Tools about the tables themselves: what is in them, and SQL."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from quivo_frames.analysis.dictionary_page import column_facts
from quivo_frames.assistant.plain_values import Refusal, plain_text
from quivo_frames.assistant.sql_request import MOST_QUERY_CHARACTERS
from quivo_frames.assistant.table_state import TableState
from quivo_frames.assistant.tool_definition import Arguments, Tool, rows_up_to
from quivo_frames.model.order import Privacy

MOST_TABLES, MOST_CODES = 6, 20


class DescribeTables(Arguments):
    """Describe the tables: without a name all of them in a line each, with names the columns of these.

    Of a column: type, meaning, unit, what it refers to, in how many rows it is filled, and the codes that occur. Read
    this before writing SQL.
    """

    tables: Annotated[list[str], msgspec.Meta(max_length=MOST_TABLES, description="Names of tables.")] = msgspec.field(
        default_factory=list
    )


class DescribedTables(msgspec.Struct, kw_only=True):
    """What is in the tables."""

    privacy: Annotated[str, msgspec.Meta(description="Whether columns with personal and secret values are there.")]
    tables: list[dict[str, Any]]


def describe_tables(state: TableState, asked: DescribeTables) -> DescribedTables:
    """All tables, or the columns of some."""
    known = state.visible_tables()
    if any(name not in known for name in asked.tables):
        raise Refusal(f"There is no such table. The tables are: {', '.join(known)}.")
    counts = state.dataset.counts()
    described = [
        {
            "table": name, "one_row_per": known[name].grain, "rows": counts.get(name), "key": known[name].key or None,
            "columns": _describe_columns(state, name) if asked.tables else len(known[name].columns),
        }
        for name in asked.tables or known
    ]  # fmt: skip
    privacy = "All columns are there, also personal and secret ones."
    if not state.shows_personal:
        privacy = "Columns that may be personal or secret are not there."
    return DescribedTables(privacy=privacy, tables=described)


def _describe_columns(state: TableState, name: str) -> list[dict[str, Any]]:
    visible = state.visible_tables()[name].schema
    return [
        {key: value for key, value in _describe_column(facts).items() if value not in (None, [], "")}
        for facts in column_facts(name, state.dataset)
        if facts["column"] in visible
    ]


def _describe_column(facts: dict[str, Any]) -> dict[str, Any]:
    codes = sorted((facts["codes"] or {}).items(), key=lambda code: (-code[1], code[0]))
    is_personal = facts["privacy"] not in (None, str(Privacy.NONE))
    return {
        **{key: facts[key] for key in ("column", "type", "meaning", "unit", "refers_to", "filled", "privacy")},
        "codes": []
        if is_personal
        else [{"value": plain_text(code), "rows": rows} for code, rows in codes[:MOST_CODES]],
        "more_codes": max(len(codes) - MOST_CODES, 0) or None,
    }


class RunSql(Arguments):
    """Run one SQL query of DuckDB over the tables, for what no other tool answers.

    Only SELECT, WITH, VALUES, FROM, DESCRIBE and SUMMARIZE; nothing can be written, and no file, setting or network is
    reached. At most 20 seconds and 1 GB of memory. The tables and columns are those of describe_tables;
    tables join by order_id and by their key columns. Nested values come as texts of JSON; instants are UTC.
    """

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_QUERY_CHARACTERS, description="The query.")]
    limit: Annotated[int, rows_up_to(2000)] = 100


class SqlResult(msgspec.Struct, kw_only=True):
    """What a query found."""

    columns: list[str]
    rows: Annotated[list[list[Any]], msgspec.Meta(description="The values of each row, in the order of the columns.")]
    shown: int
    cut: Annotated[
        str,
        msgspec.Meta(
            description="Empty if these are all rows, else after how many they were cut, of at least how many."
        ),
    ]


def run_sql(state: TableState, asked: RunSql) -> SqlResult:
    """The rows that a query finds."""
    found = state.sql_tables.run_query(asked.query, asked.limit)
    shown = len(found.rows)
    cut = "" if found.is_complete else f"Cut after {shown:,} rows of at least {shown + 1:,}. Aggregate, or filter more."
    return SqlResult(columns=found.columns, rows=found.rows, shown=shown, cut=cut)


TABLE_TOOLS = (
    Tool("describe_tables", "Describe the tables", DescribeTables, DescribedTables, describe_tables),
    Tool("run_sql", "Run a query in SQL", RunSql, SqlResult, run_sql),
)
