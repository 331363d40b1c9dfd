"""What a version of the tables promises to those who read them, on record, and what would break them.

Readers find tables and columns by name. What they cannot live with: a table or column that is gone or called another
name, another type, another key, a null where there was none. Additions they do not mind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quivo_frames.errors import ConfigError
from quivo_frames.model.tables import REPORTS, SCHEMA_VERSION, TABLES, Table

Record = Mapping[str, Any]


def own_file() -> str:
    """Path of the present version's record inside the folder of schemas."""
    return _file(SCHEMA_VERSION)


def older_files() -> set[str]:
    """Those of the versions before it, which stay for good."""
    return {_file(version) for version in range(1, SCHEMA_VERSION)}


def _file(version: int) -> str:
    return f"versions/{version}.json"


def record(tables: Mapping[str, Table] = TABLES | REPORTS) -> dict[str, Any]:
    """Tables, columns, types, what is never null, and keys: what is compared, and nothing else."""
    return {"version": SCHEMA_VERSION, "tables": {name: _promised(table) for name, table in tables.items()}}


def _promised(table: Table) -> dict[str, Any]:
    return {
        "key": table.key,
        "references": [f"{column} -> {to}.{to_column}" for column, to, to_column in table.references],
        "columns": {column.name: str(column.dtype) for column in table.columns},
        "never_null": [column.name for column in table.columns if column.required or column.name == table.key],
    }


def broken(before: Record, now: Record) -> list[str]:
    """What readers of one record would miss in another, a sentence each; empty if nothing."""
    found: list[str] = []
    for name, table in before["tables"].items():
        if name in now["tables"]:
            found += _broken(name, table, now["tables"][name])
        else:
            found.append(f"The table {name} is gone.")
    return found


def _broken(name: str, before: Record, now: Record) -> Iterator[str]:
    if before["key"] != now["key"]:
        yield f"The primary key of {name} was {before['key'] or 'none'}, and is {now['key'] or 'none'}."
    for reference in before["references"]:
        if reference not in now["references"]:
            yield f"The foreign key {name}.{reference} is gone."
    for column, dtype in before["columns"].items():
        found = now["columns"].get(column)
        if found is None:
            yield f"{name}.{column} is gone."
        elif found != dtype:
            yield f"{name}.{column} was {dtype}, and is {found}."
        elif column in before["never_null"] and column not in now["never_null"]:
            yield f"{name}.{column} was never null, and may be null now."


def check(folder: Path) -> None:
    """Compares the tables with the record of their version in the folder of schemas, if there is one.

    Raises:
        ConfigError: something would break those who read the tables of this version.
    """
    file = folder / own_file()
    if file.is_file() and (found := broken(json.loads(file.read_bytes()), record())):
        raise ConfigError(
            f"Who reads tables of schema version {SCHEMA_VERSION} would break. Raise SCHEMA_VERSION in tables.py, or "
            "leave the tables as they were:\n  " + "\n  ".join(found)
        )
