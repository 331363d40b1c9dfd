"""Verbs: a described table -> its Arrow schema, and its parquet file. Floor 2. Only here: nanoarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nanoarrow as na
import polars as pl

from quivo_frames.model.tables import SCHEMA_VERSION, Table

ROW_GROUP = 30_720
"""Rows a row group at the most, a multiple of the 2,048 that DuckDB reads at a time; a merge holds as many of them."""
ZSTD_LEVEL = 1
"""Takes a tenth of the time off, and adds a twentieth to the size."""


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


def sink(rows: pl.LazyFrame, path: str | Path | pl.PartitionBy, described: Table) -> int:
    """Writes a table as parquet with its descriptions in it, to a file or an object store; the rows written.

    Raises:
        OSError, polars.exceptions.PolarsError: it cannot be written.
    """
    counts: list[int] = []
    rows.sink_parquet(
        path,
        compression_level=ZSTD_LEVEL,
        row_group_size=ROW_GROUP,
        arrow_schema=arrow_schema(described),
        mkdir=isinstance(path, pl.PartitionBy),
        sinked_paths_callback=lambda sinked: counts.extend(file.num_rows for file in sinked.paths),
    )
    return sum(counts)
