"""Texts from the values of columns."""

from __future__ import annotations

from itertools import chain, zip_longest

import polars as pl


def format_columns(template: str, *values: str | pl.Expr) -> pl.Expr:
    """The template with a value (a column by name, or an expression) for each `{}`; null if one of them is null.

    As `pl.format`, which panics if a filter has emptied a chunk of its column (polars issue 25187).
    """
    literals = [pl.lit(text) for text in template.split("{}")]
    expressions = [pl.col(value) if isinstance(value, str) else value for value in values]
    parts = chain.from_iterable(zip_longest(literals, expressions))
    return pl.concat_str([part for part in parts if part is not None])


def join_distinct(name: pl.Expr) -> pl.Expr:
    """The different names of a group in alphabetical order, as one text; null if there are none."""
    return pl.when(name.count() > 0).then(name.drop_nulls().unique().sort().str.join(", "))


def name_or_number(name: str, number: str) -> pl.Expr:
    """A column of names, with the number as text where there is no name."""
    return pl.coalesce(name, pl.col(number).cast(pl.String))
