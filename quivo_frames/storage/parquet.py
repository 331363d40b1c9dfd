"""The Arrow schema of a table, and its parquet file, with the descriptions of its columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nanoarrow as na
import polars as pl

from quivo_frames.model.tables import SCHEMA_VERSION, Table

ROW_GROUP_ROWS = 30_720
"""Rows of a row group: a multiple of the 2,048 that DuckDB reads at a time. A merge holds a row group of each input."""
ZSTD_LEVEL = 1
"""Level 1 takes a tenth less time than polars' default, for a twentieth more bytes."""


def arrow_schema(described: Table) -> Any:
    """The Arrow schema of a table: sentence, unit and privacy class as metadata of its fields, keys not nullable."""
    plain = na.c_schema(pl.Schema(described.schema))
    fields = []
    for column, field in zip(described.columns, plain.children, strict=True):
        facts = {"description": column.sentence, "privacy": str(column.privacy)}
        if column.unit:
            facts["unit"] = column.unit
        # large_string instead of string_view, which readers from before 2024 do not know
        form = "U" if field.format == "vu" else field.format
        fields.append(field.modify(format=form, metadata=facts, nullable=not column.required))
    facts = {"description": f"One row per {described.grain}.", "schema_version": str(SCHEMA_VERSION)}
    return plain.modify(children=fields, metadata=facts)


def write_parquet_table(rows: pl.LazyFrame, path: str | Path | pl.PartitionBy, described: Table) -> int:
    """Write a table as parquet with its descriptions, to a file or an object store, and return the number of rows.

    Raises:
        OSError, polars.exceptions.PolarsError: the file cannot be written.
    """
    counts: list[int] = []
    rows.sink_parquet(
        path,
        compression_level=ZSTD_LEVEL,
        row_group_size=ROW_GROUP_ROWS,
        arrow_schema=arrow_schema(described),
        mkdir=isinstance(path, pl.PartitionBy),
        sinked_paths_callback=lambda sinked: counts.extend(file.num_rows for file in sinked.paths),
    )
    return sum(counts)
