"""CREATE TABLE statements of the tables, for DuckDB and Postgres."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import SCHEMA_VERSION, TABLES, Column, Reference, Table


class Dialect(StrEnum):
    """A dialect of SQL."""

    DUCKDB = "duckdb"
    POSTGRES = "postgres"


_TYPE_NAMES: dict[Dialect, dict[Kind, str]] = {
    Dialect.DUCKDB: {
        Kind.TEXT: "VARCHAR",
        Kind.INT64: "BIGINT",
        Kind.INT32: "INTEGER",
        Kind.FLAG: "BOOLEAN",
        Kind.INSTANT: "TIMESTAMP WITH TIME ZONE",
        Kind.DAY: "DATE",
        Kind.MONEY: "DECIMAL(18,4)",
        Kind.MEASURE: "DOUBLE",
        Kind.JSON: "VARCHAR",
    },
    Dialect.POSTGRES: {
        Kind.TEXT: "text",
        Kind.INT64: "bigint",
        Kind.INT32: "integer",
        Kind.FLAG: "boolean",
        Kind.INSTANT: "timestamp(6) with time zone",
        Kind.DAY: "date",
        Kind.MONEY: "numeric(18,4)",
        Kind.MEASURE: "double precision",
        Kind.JSON: "text",  # as received: json cannot be grouped by, jsonb would change the text
    },
}
_ABOUT = {
    Dialect.DUCKDB: """Foreign keys stand in CREATE TABLE, where DuckDB alone takes them: fill parents before children.
Those of handling_units to itself are left out: DuckDB looks for the other row before it is there.""",
    Dialect.POSTGRES: "Foreign keys come last, so that the tables can be filled in any order before them.",
}


def sql_type(kind: Kind, dialect: Dialect) -> str:
    """The SQL type of a kind of column."""
    return _TYPE_NAMES[dialect][kind]


def quote_identifier(name: str) -> str:
    """A name as a quoted identifier, which may be a reserved word: "zip", "order"."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A text as a quoted SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def comment_lines(text: str) -> str:
    """A text as SQL comments, one per line."""
    return "\n".join(f"-- {line}".rstrip() for line in text.split("\n"))


def tables_sql(dialect: Dialect, tables: Mapping[str, Table] = TABLES, *, references: bool = True) -> str:
    """One SQL script: CREATE TABLE per table, parents first, with keys, NOT NULL and comments.

    `described` may be tables without personal values (`PrivacyFilter.filtered_table`): fewer of their columns are
    NOT NULL. Without `references` foreign keys are left out, for rows that come in any order or in part.
    """
    about = f"The tables of quivo_frames, schema version {SCHEMA_VERSION}."
    parts = [comment_lines(f"{about}\n{_ABOUT[dialect]}" if references else about)]
    inside = references and dialect is Dialect.DUCKDB
    for table in tables.values():
        parts += [_create_table(table, dialect, inside=inside), "\n".join(_comment_statements(table))]
    if references and dialect is Dialect.POSTGRES:
        parts += ["\n".join(_add_foreign_key(table, reference) for reference in table.references)
                  for table in tables.values() if table.references]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _create_table(table: Table, dialect: Dialect, *, inside: bool) -> str:
    lines = [_column_definition(column, dialect) for column in table.columns]
    if table.key:
        lines.append(f"PRIMARY KEY ({quote_identifier(table.key)})")
    lines += [_foreign_key(reference) for reference in table.references if inside and reference.to_table != table.name]
    return f"CREATE TABLE {quote_identifier(table.name)} (\n    " + ",\n    ".join(lines) + "\n);"


def _column_definition(column: Column, dialect: Dialect) -> str:
    return f"{quote_identifier(column.name)} {sql_type(column.kind, dialect)}{' NOT NULL' if column.required else ''}"


def _foreign_key(reference: Reference) -> str:
    column, to, to_column = reference
    return f"FOREIGN KEY ({quote_identifier(column)}) REFERENCES {quote_identifier(to)} ({quote_identifier(to_column)})"


def _add_foreign_key(table: Table, reference: Reference) -> str:
    return f"ALTER TABLE {quote_identifier(table.name)} ADD {_foreign_key(reference)};"


def _comment_statements(table: Table) -> Iterator[str]:
    about = f"One row per {table.grain}. quivo_frames, schema version {SCHEMA_VERSION}."
    yield f"COMMENT ON TABLE {quote_identifier(table.name)} IS {quote_literal(about)};"
    for column in table.columns:
        name = f"{quote_identifier(table.name)}.{quote_identifier(column.name)}"
        yield f"COMMENT ON COLUMN {name} IS {quote_literal(column_comment(column))};"


def column_comment(column: Column) -> str:
    """The comment of a column: its description, unit and privacy class."""
    unit = f" Unit: {column.unit}." if column.unit else ""
    privacy = f" Privacy: {column.privacy}." if column.privacy is not Privacy.NONE else ""
    return column.sentence + unit + privacy
