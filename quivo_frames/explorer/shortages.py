"""The lines with open pieces: what was ordered and not shipped, by SKU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.derived_tables import lines
from quivo_frames.dataset.dataset import Dataset

_LISTED = ("sku", "seller", "warehouse", "currency")
"""The columns in which values come again and again."""


SHORTAGE_GROUPS = ("seller", "warehouse", "currency")
"""The columns by which shortages are filtered."""
_MOST_SUMMARIES = 50


class ShortageSummary(NamedTuple):
    """Shortages by SKU, of some seller, warehouse and currency or of all."""

    by_sku: pl.DataFrame
    """See `sum_by_sku`."""
    currency: str | None
    """The currency of `by_sku.value`."""
    open: int
    orders: int
    choices: dict[str, list[tuple[str, int]]]
    """For each of SHORTAGE_GROUPS, its values, and how many SKUs there would be with each."""


class Shortages:
    """The lines with open pieces (`rows`, see `read_shortages`), and their sums, each worked out once."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self.rows = rows
        self._summaries: dict[tuple[str, ...], ShortageSummary] = {}

    def summary_for(self, wanted: Mapping[str, str]) -> ShortageSummary:
        """The sums of those with the wanted value of SHORTAGE_GROUPS; one that is empty asks for nothing."""
        key = tuple(wanted[name] for name in SHORTAGE_GROUPS)
        found = self._summaries.get(key)
        if found is None:
            if len(self._summaries) >= _MOST_SUMMARIES:
                self._summaries = {}
            found = self._summaries[key] = self._summarize(wanted)
        return found

    def _summarize(self, wanted: Mapping[str, str]) -> ShortageSummary:
        rows = self._matching(wanted)
        currency = usual_currency(rows)
        choices = {}
        for name in SHORTAGE_GROUPS:
            others = self._matching({**wanted, name: ""}).drop_nulls(name)
            counted = others.group_by(pl.col(name).cast(pl.String)).agg(pl.col("sku").n_unique().cast(pl.Int64))
            choices[name] = counted.sort(name).rows()
        return ShortageSummary(
            sum_by_sku(rows, currency), currency, int(rows["open"].sum()), rows["order_id"].n_unique(), choices
        )

    def _matching(self, wanted: Mapping[str, str]) -> pl.DataFrame:
        conditions = [pl.col(name).cast(pl.String) == value for name, value in wanted.items() if value]
        return self.rows.filter(conditions) if conditions else self.rows


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


def usual_currency(shortages: pl.DataFrame) -> str | None:
    """The currency of most lines, of several the first one."""
    counted = shortages["currency"].drop_nulls().cast(pl.String).value_counts()
    return counted.sort("count", "currency", descending=[True, False])["currency"].first()  # type: ignore[return-value]


def sum_by_sku(shortages: pl.DataFrame, currency: str | None) -> pl.DataFrame:
    """One row a SKU: sku, name, open, orders, unpriced (lines without a known value), `values`, and value.

    `values` are those in each currency, the greatest first; `value` is the one in `currency`.
    """
    summed = shortages.group_by(pl.col("sku").cast(pl.String)).agg(
        pl.col("name").drop_nulls().first().cast(pl.String),
        pl.col("open").sum(),
        orders=pl.col("order_id").n_unique(),
        unpriced=pl.col("open_value").is_null().sum(),
    )
    amounts = shortages.group_by(pl.col("sku", "currency").cast(pl.String)).agg(amount=pl.col("open_value").sum())
    amounts = amounts.filter(pl.col("amount") != 0).sort("amount", "currency", descending=[True, False])
    values = amounts.group_by("sku", maintain_order=True).agg(values=pl.struct("currency", "amount"))
    in_one = amounts.filter(pl.col("currency").eq_missing(pl.lit(currency, pl.String))).select("sku", value="amount")
    for more in (values, in_one):
        summed = summed.join(more, on="sku", how="left", nulls_equal=True)
    return summed
