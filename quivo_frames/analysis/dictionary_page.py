"""The data dictionary at the prompt: tables and columns, and how far they are filled where there are tables."""

from __future__ import annotations

from typing import Any

import polars as pl

from quivo_frames.analysis.report.sheets import UNKNOWN, ColumnHeading, Sheet, format_integer, format_percent
from quivo_frames.analysis.terminal_sheets import open_console, print_sheet
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.text import print_text, terminal_text
from quivo_frames.errors import ConfigError
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import REPORT_TABLES, TABLES, Table

_MOST_CODES = 30
"""Of a column at most this many codes are printed."""
_KNOWN_TABLES = dataset_tables(derived=True) | REPORT_TABLES


def table_facts(dataset: Dataset | None) -> list[dict[str, Any]]:
    """The tables: what a row is, where it comes from, how many columns there are, and how many rows in a dataset."""
    counts = dataset.counts() if dataset else {}
    return [
        {"table": name, "one_row_per": table.grain, "from": table.source or None, "columns": len(table.columns),
         "rows": counts.get(name)}
        for name, table in _KNOWN_TABLES.items()
    ]  # fmt: skip


def column_facts(name: str, dataset: Dataset | None) -> list[dict[str, Any]]:
    """The columns of a table: type, meaning, unit, privacy; of a dataset how many rows are filled, and the codes.

    Raises:
        ConfigError: there is no such table.
    """
    if name not in _KNOWN_TABLES:
        raise ConfigError(f"There is no table {name!r}. The tables are: {', '.join(_KNOWN_TABLES)}.")
    table = _KNOWN_TABLES[name]
    rows, filled, codes = _profile_of(table, dataset)
    references = {column: f"{to}.{to_column}" for column, to, to_column in table.references}
    return [
        {
            "column": column.name,
            "type": str(column.dtype),
            "meaning": column.sentence,
            "unit": column.unit,
            "privacy": None if column.privacy is Privacy.NONE else str(column.privacy),
            "never_null": column.required,
            "key": column.name == table.key,
            "refers_to": references.get(column.name),
            "rows": rows,
            "filled": filled.get(column.name),
            "codes": codes.get(column.name),
        }
        for column in table.columns
    ]


def _profile_of(
    table: Table, dataset: Dataset | None
) -> tuple[int | None, dict[str, int], dict[str, dict[str, int] | None]]:
    """The rows of a table, how many are filled by column, and the codes by column, each with its number of rows."""
    if dataset is None or table.name not in dataset.counts():
        return None, {}, {}
    rows = dataset.counts()[table.name]
    if table.name not in TABLES:  # a column at a time, as all of those of `lines` take a gigabyte for a million orders
        scans = {name: dataset.lazy_as_stored(table.name).select(pl.col(name).count()) for name in table.schema}
        return rows, {name: scan.collect(engine="streaming").item() for name, scan in scans.items()} if rows else {}, {}
    profile = dataset.manifest["profile"][table.name]
    required = {column.name: rows for column in table.columns if column.required}
    counted = {
        column: found and {code: count for code, (count, _) in found.items()}
        for column, found in profile["codes"].items()
    }
    return rows, required | profile["filled"], counted


def print_tables(dataset: Dataset | None) -> None:
    """Print all tables."""
    heads = [("table", False), ("one row per", False), ("columns", True), ("rows", True)]
    rows = [
        [facts["table"], facts["one_row_per"], format_integer(facts["columns"]), format_integer(facts["rows"])]
        for facts in table_facts(dataset)
    ]
    note = "`quivo-frames columns TABLE` describes the columns of one."
    print_sheet(open_console(), Sheet("", [ColumnHeading(*head) for head in heads], rows, note))


def print_columns(name: str, dataset: Dataset | None) -> None:
    """Print the columns of a table, and the codes in it."""
    facts, table, console = column_facts(name, dataset), _KNOWN_TABLES.get(name), open_console()
    assert table is not None
    print_text(f"{name}: one row per {table.grain}. Instants are UTC.", bold=True)
    heads = [("column", False), ("type", False), ("filled", True), ("meaning", False)]
    rows = [[each["column"], _short_type(each["type"]), _filled_share(each), _describe_column(each)] for each in facts]
    print_sheet(console, Sheet("", [ColumnHeading(*head) for head in heads], rows))
    for each in facts:
        if each["codes"]:
            most = sorted(each["codes"].items(), key=lambda code: -code[1])
            shown = ", ".join(f"{terminal_text(code)} {count:,}" for code, count in most[:_MOST_CODES])
            more = f" … and {len(most) - _MOST_CODES:,} more" if len(most) > _MOST_CODES else ""
            console.print(f"\n{each['column']}: {shown}{more}", markup=False, highlight=False)


def _short_type(dtype: str) -> str:
    return "Datetime" if dtype.startswith("Datetime") else "Decimal" if dtype.startswith("Decimal") else dtype


def _filled_share(facts: dict[str, Any]) -> str:
    return UNKNOWN if facts["filled"] is None or not facts["rows"] else format_percent(facts["filled"] / facts["rows"])


def _describe_column(facts: dict[str, Any]) -> str:
    remarks = [
        "primary key" if facts["key"] else "",
        f"refers to {facts['refers_to']}" if facts["refers_to"] else "",
        f"in {facts['unit']}" if facts["unit"] else "",
        facts["privacy"] or "",
    ]
    more = "; ".join(filter(None, remarks))
    return f"{facts['meaning']}{f' ({more})' if more else ''}"
