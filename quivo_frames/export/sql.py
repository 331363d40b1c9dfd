"""Verb: described tables -> the SQL that creates them in DuckDB or Postgres. Floor 2. No I/O.

Its room `views` has what everybody asks of the tables, as views for DuckDB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import SCHEMA_VERSION, TABLES, Column, Reference, Table


class Dialect(StrEnum):
    """Whose SQL it is."""

    DUCKDB = "duckdb"
    POSTGRES = "postgres"


_TYPES: dict[Dialect, dict[Kind, str]] = {
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
        Kind.JSON: "text",  # as received: json would refuse it in GROUP BY, jsonb would change it
    },
}
_ABOUT = {
    Dialect.DUCKDB: """Foreign keys stand in CREATE TABLE, where DuckDB alone takes them: fill parents before children.
Those of handling_units to itself are left out: DuckDB looks for the other row before it is there.""",
    Dialect.POSTGRES: "Foreign keys come last, so that the tables can be filled in any order before them.",
}


def sql_type(kind: Kind, dialect: Dialect) -> str:
    """The name of a column's type."""
    return _TYPES[dialect][kind]


def quoted(name: str) -> str:
    """A name as an identifier that may be a reserved word: "zip", "order"."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def remark(text: str) -> str:
    """A text as a comment, a line each."""
    return "\n".join(f"-- {line}".rstrip() for line in text.split("\n"))


def tables_sql(dialect: Dialect, described: Mapping[str, Table] = TABLES, *, references: bool = True) -> str:
    """CREATE TABLE for each table, parents first, with keys, NOT NULL and comments: one text of many statements.

    `described` may be tables whose personal values were concealed (`Concealer.described`): there fewer columns are
    never null. Without `references` foreign keys are left out, for rows that come in any order or in part.
    """
    about = f"The tables of quivo_frames, schema version {SCHEMA_VERSION}."
    parts = [remark(f"{about}\n{_ABOUT[dialect]}" if references else about)]
    inside = references and dialect is Dialect.DUCKDB
    for table in described.values():
        parts += [_create(table, dialect, inside=inside), "\n".join(_comments(table))]
    if references and dialect is Dialect.POSTGRES:
        parts += ["\n".join(_alter(table, reference) for reference in table.references)
                  for table in described.values() if table.references]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _create(table: Table, dialect: Dialect, *, inside: bool) -> str:
    lines = [_column(column, dialect) for column in table.columns]
    if table.key:
        lines.append(f"PRIMARY KEY ({quoted(table.key)})")
    lines += [_foreign(reference) for reference in table.references if inside and reference.to_table != table.name]
    return f"CREATE TABLE {quoted(table.name)} (\n    " + ",\n    ".join(lines) + "\n);"


def _column(column: Column, dialect: Dialect) -> str:
    return f"{quoted(column.name)} {sql_type(column.kind, dialect)}{' NOT NULL' if column.required else ''}"


def _foreign(reference: Reference) -> str:
    column, to, to_column = reference
    return f"FOREIGN KEY ({quoted(column)}) REFERENCES {quoted(to)} ({quoted(to_column)})"


def _alter(table: Table, reference: Reference) -> str:
    return f"ALTER TABLE {quoted(table.name)} ADD {_foreign(reference)};"


def _comments(table: Table) -> Iterator[str]:
    about = f"One row per {table.grain}. quivo_frames, schema version {SCHEMA_VERSION}."
    yield f"COMMENT ON TABLE {quoted(table.name)} IS {literal(about)};"
    for column in table.columns:
        yield f"COMMENT ON COLUMN {quoted(table.name)}.{quoted(column.name)} IS {literal(told(column))};"


def told(column: Column) -> str:
    """What a column is, in one text: its sentence, its unit, its privacy class."""
    unit = f" Unit: {column.unit}." if column.unit else ""
    privacy = f" Privacy: {column.privacy}." if column.privacy is not Privacy.NONE else ""
    return column.sentence + unit + privacy
