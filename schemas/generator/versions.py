"""Records of the schema versions, and the changes that would break readers of the tables.

Readers find tables and columns by name. Breaking changes: a table or column that is gone or renamed, another type,
another key, a null where there was none. Additions break nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quivo_frames.errors import ConfigError
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.tables import REPORT_TABLES, SCHEMA_VERSION, Table

VersionRecord = Mapping[str, Any]


def current_version_file() -> str:
    """Path of the record of the current version, relative to the folder of schemas."""
    return _version_file(SCHEMA_VERSION)


def older_version_files() -> set[str]:
    """Paths of the records of earlier versions, which are kept."""
    return {_version_file(version) for version in range(1, SCHEMA_VERSION)}


def _version_file(version: int) -> str:
    return f"versions/{version}.json"


def version_record(tables: Mapping[str, Table] = dataset_tables(derived=True) | REPORT_TABLES) -> dict[str, Any]:
    """What versions are compared by: tables, columns, types, keys, and columns that are never null."""
    return {"version": SCHEMA_VERSION, "tables": {name: _table_promises(table) for name, table in tables.items()}}


def _table_promises(table: Table) -> dict[str, Any]:
    return {
        "key": table.key,
        "references": [f"{column} -> {to}.{to_column}" for column, to, to_column in table.references],
        "columns": {column.name: str(column.dtype) for column in table.columns},
        "never_null": [column.name for column in table.columns if column.required or column.name == table.key],
    }


def find_breaking_changes(before: VersionRecord, after: VersionRecord) -> list[str]:
    """The breaking changes between two records, a sentence each."""
    found: list[str] = []
    for name, table in before["tables"].items():
        if name in after["tables"]:
            found += _breaking_changes_of_table(name, table, after["tables"][name])
        else:
            found.append(f"The table {name} is gone.")
    return found


def _breaking_changes_of_table(name: str, before: VersionRecord, after: VersionRecord) -> Iterator[str]:
    if before["key"] != after["key"]:
        yield f"The primary key of {name} was {before['key'] or 'none'}, and is {after['key'] or 'none'}."
    for reference in before["references"]:
        if reference not in after["references"]:
            yield f"The foreign key {name}.{reference} is gone."
    for column, dtype in before["columns"].items():
        found = after["columns"].get(column)
        if found is None:
            yield f"{name}.{column} is gone."
        elif found != dtype:
            yield f"{name}.{column} was {dtype}, and is {found}."
        elif column in before["never_null"] and column not in after["never_null"]:
            yield f"{name}.{column} was never null, and may be null now."


def refuse_breaking_changes(folder: Path) -> None:
    """Compare the tables with the record of their version in the folder of schemas, if there is one.

    Raises:
        ConfigError: the tables have changes that break readers of this version.
    """
    file = folder / current_version_file()
    if file.is_file() and (found := find_breaking_changes(json.loads(file.read_bytes()), version_record())):
        raise ConfigError(
            f"Readers of tables of schema version {SCHEMA_VERSION} would break. Raise SCHEMA_VERSION in tables.py, or "
            "leave the tables as they were:\n  " + "\n  ".join(found)
        )
