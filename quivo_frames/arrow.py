"""Verb: a described table -> its Arrow schema. Floor 2. Only here: nanoarrow."""

from __future__ import annotations

from typing import Any

import nanoarrow as na
import polars as pl

from quivo_frames.tables import SCHEMA_VERSION, Table


def arrow_schema(described: Table) -> Any:
    """The Arrow schema of a table: sentence, unit and privacy class as metadata of its fields, keys not nullable."""
    plain = na.c_schema(pl.Schema(described.schema))
    fields = []
    for column, field in zip(described.columns, plain.children, strict=True):
        facts = {"description": column.sentence, "privacy": str(column.privacy)}
        if column.unit:
            facts["unit"] = column.unit
        # large_string, not string_view: readers older than 2024 do not know the latter.
        form = "U" if field.format == "vu" else field.format
        fields.append(field.modify(format=form, metadata=facts, nullable=not column.required))
    facts = {"description": f"One row per {described.grain}.", "schema_version": str(SCHEMA_VERSION)}
    return plain.modify(children=fields, metadata=facts)
