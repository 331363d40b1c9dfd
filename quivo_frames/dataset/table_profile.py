"""The profile of a table: its rows, how many of them have a value in each column, and the codes in columns of codes."""

from __future__ import annotations

from typing import Any

import polars as pl

from quivo_frames.model.tables import ORDER_ID, Table

MAX_CODES = 100
"""A column with more values than this does not hold codes, and its values are not kept."""


def profile_rows(table: Table, rows: pl.LazyFrame) -> dict[str, Any]:
    """The profile of a table in a file, in flat memory: `rows`, `filled` by column, and `codes` by column."""
    columns = [column.name for column in table.value_columns]
    height, *filled = rows.select(pl.len().alias("$rows"), pl.col(columns).count()).collect().row(0)
    codes = [column.name for column in table.value_columns if column.categorical]
    frame = rows.select(*codes, ORDER_ID.name).collect() if codes else pl.DataFrame()
    return {
        "rows": height,
        "filled": dict(zip(columns, filled, strict=True)),
        "codes": {column: count_codes(frame, column) for column in codes},
    }


def count_codes(frame: pl.DataFrame, column: str) -> dict[str, list[int]] | None:
    """How many rows have each code, and the id of one such order; None where there are too many for codes."""
    first = frame[column].arg_unique()  # without the overhead of a grouped query
    if first.len() > MAX_CODES + 1:
        return None
    values, examples = (frame[name].gather(first).to_list() for name in (column, ORDER_ID.name))
    counts = frame[column].unique_counts().to_list()
    codes = {value: found for value, *found in zip(values, counts, examples, strict=True) if value is not None}
    return codes if len(codes) <= MAX_CODES else None
