"""The lines with open pieces: what was ordered and not shipped, by SKU."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.derived_tables import lines
from quivo_frames.dataset.dataset import Dataset

_LISTED = ("sku", "seller", "warehouse", "currency")
"""The columns in which values come again and again."""


def read_shortages(dataset: Dataset) -> pl.DataFrame:
    """One row for each line with open pieces: order_id, sku, name, seller, warehouse, currency, open, open_value.

    SKU, seller, warehouse and currency are enumerations.
    """
    rows = (
        _all_lines(dataset)
        .filter(pl.col("open") > 0)
        .select("order_id", *_LISTED, "name", "open", "open_value")
        .collect()
    )
    enumerations = {name: pl.Enum(rows[name].drop_nulls().unique().sort()) for name in _LISTED}
    names = pl.Enum(rows["name"].drop_nulls().unique())
    return rows.with_columns(
        *(pl.col(name).cast(kind) for name, kind in enumerations.items()), pl.col("name").cast(names)
    )


def count_uncertain_lines(dataset: Dataset) -> int:
    """How many lines have pieces of which it is not known whether they are open."""
    return int(_all_lines(dataset).select(pl.col("open").null_count()).collect().item())


def _all_lines(dataset: Dataset) -> pl.LazyFrame:
    return dataset.lazy("lines") if "lines" in dataset.derived else lines(dataset).lazy()


def sum_by_sku(shortages: pl.DataFrame) -> pl.DataFrame:
    """One row a SKU: sku, name, open, orders, unpriced (lines without a known value), and `values`, by currency."""
    by_currency = shortages.group_by("sku", "currency").agg(pl.col("open_value").sum())
    values = by_currency.filter(pl.col("open_value") != 0).sort("open_value", descending=True).group_by(
        "sku", maintain_order=True
    ).agg(values=pl.struct("currency", amount="open_value"))  # fmt: skip
    summed = shortages.group_by("sku").agg(
        pl.col("name").drop_nulls().first().cast(pl.String), pl.col("open").sum(), orders=pl.col("order_id").n_unique(),
        unpriced=pl.col("open_value").is_null().sum(),
    )  # fmt: skip
    return summed.join(values, on="sku", how="left", nulls_equal=True)
