"""What every row of a table must satisfy: required values, a unique key, and references to rows that exist.

Validation of a build and `check` of a dataset both use these queries, so that they cannot disagree.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from quivo_frames.model.tables import Column, Reference, Table


class RowRule(NamedTuple):
    """A rule for the values of one column: `name` is `required` or `unique`, `holds` is true where a row keeps it."""

    name: str
    column: Column
    holds: pl.Expr


def row_rules(table: Table) -> list[RowRule]:
    """The rules that the rows of a table must keep, apart from its references."""
    required = [column for column in table.columns if column.required]
    rules = [RowRule("required", column, pl.col(column.name).is_not_null()) for column in required]
    if table.key:
        rules.append(RowRule("unique", table.column(table.key), pl.col(table.key).is_unique()))
    return rules


def rows_without_parent(rows: pl.LazyFrame, reference: Reference, parents: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that refer to a row of the other table that does not exist; a null refers to none."""
    column, _, to_column = reference
    return rows.filter(pl.col(column).is_not_null()).join(parents, left_on=column, right_on=to_column, how="anti")
