"""What orders are searched by: ids, references, tracking numbers, SSCCs, serial numbers, SKUs, cities and tags.

The terms of each kind are a parquet file of their own, sorted, so that few of its row groups are read for a term or for
a beginning of terms. They are in a private folder for temporary files: the index has values of orders, and is gone when
the explorer ends.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.identifiers import comparison_form
from quivo_frames.analysis.order_search import (
    ORDER_NUMBER,
    SEARCHED_IN_LISTS,
    SSCC,
    SearchedColumns,
    read_order_number,
    term_form,
)
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.explorer.background import StopRequest
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES
from quivo_frames.storage.leftovers import temporary_folder

MOST_BEGINNING = 10_000
"""Of the terms of a kind that begin with a text, so many are read."""
HITS_SCHEMA = {"order_id": pl.Int64(), "found_as": pl.String(), "term": pl.String()}
_ORDERS_AT_A_TIME = 100_000
"""The terms of so many orders are sorted in memory together."""
_ROW_GROUP_ROWS = 32_768
_LAST_CHARACTER = "\U0010ffff"
_MOST_DIGITS = 19


class TermHits(NamedTuple):
    """What a text finds."""

    rows: pl.DataFrame
    """order_id, found_as (in words), and the term as it is compared; an order may be found as several things."""
    is_exact: bool
    """Whether the terms are the text; else they begin with it."""
    is_complete: bool = True
    """Whether these are all; so many may begin with a few letters that not all are read."""


NOTHING_FOUND = TermHits(pl.DataFrame(schema=HITS_SCHEMA), is_exact=True)


def searched_columns(*, personal: bool) -> SearchedColumns:
    """What is searched, in words, with its tables and columns; without `personal`, none that may be personal."""
    privacy = {(table.name, column.name): column.privacy for table in TABLES.values() for column in table.columns}
    shown = {
        words: tuple(place for place in places if personal or privacy[place] is Privacy.NONE)
        for words, places in SEARCHED_IN_LISTS.items()
    }
    return {words: places for words, places in shown.items() if places}


class SearchTerms:
    """The terms of all orders of a dataset, sorted, in a private folder that is removed at the end."""

    def __init__(self, files: dict[str, Path], folder: ExitStack) -> None:
        self._files, self._folder = files, folder

    @classmethod
    def index_dataset(cls, dataset: Dataset, stop_request: StopRequest, *, personal: bool) -> SearchTerms:
        """The terms; without `personal`, none of a column that may be personal.

        Raises:
            DatasetError: the state of the tables was closed meanwhile.
        """
        with ExitStack() as stack:
            folder = stack.enter_context(temporary_folder())
            ranges = _ranges_of_orders(dataset)
            files = {}
            for number, (words, places) in enumerate(searched_columns(personal=personal).items()):
                files[words] = _write_terms(dataset, words, places, ranges, folder / str(number), stop_request)
            return cls(files, stack.pop_all())
        raise AssertionError  # no context swallows an error

    def close(self) -> None:
        """Remove the folder."""
        self._folder.close()

    def find_exact(self, wanted: str, kind: str = "") -> TermHits:
        """The orders of which something, or a `kind` of thing, is called like the text."""
        forms = {words: _form_of(wanted, words) for words in self._kinds(kind)}
        hits = [self._rows(words).filter(pl.col("term") == form) for words, form in forms.items() if form]
        return TermHits(_collect(hits), is_exact=True)

    def find_beginning(self, wanted: str, kind: str = "", most: int = MOST_BEGINNING) -> TermHits:
        """The orders of which something begins with the text, at most so many of each kind of thing."""
        hits = [
            self._rows(words).filter(pl.col("term").is_between(pl.lit(start), pl.lit(start + _LAST_CHARACTER)))
            .head(most + 1)
            for words in self._kinds(kind)
            for start in _beginnings_of(wanted, words)
        ]  # fmt: skip
        found = _collect(hits)
        counts = found.group_by("found_as").len()["len"]
        rows = found if counts.is_empty() else found.filter(pl.int_range(pl.len()).over("found_as") < most)
        return TermHits(rows, is_exact=False, is_complete=rows.height == found.height)

    def _kinds(self, kind: str) -> list[str]:
        return [words for words in self._files if kind in ("", words)]

    def _rows(self, words: str) -> pl.LazyFrame:
        return pl.scan_parquet(self._files[words]).select("order_id", pl.lit(words).alias("found_as"), "term")


def find_numbers(ids: pl.Series, wanted: str) -> TermHits:
    """The order whose number the text is, else those whose numbers begin with it."""
    number = read_order_number(wanted)
    if number is None:
        return NOTHING_FOUND
    exact = ids.filter(ids == number)
    if exact.len() or number <= 0 or wanted.startswith("0"):
        return TermHits(_as_hits(exact), is_exact=True)
    starts = [(number * 10**more, (number + 1) * 10**more - 1) for more in range(1, _MOST_DIGITS + 1 - len(wanted))]
    longest = int(ids.max() or 0)  # type: ignore[arg-type]  # numbers
    is_begun = [ids.is_between(first, last) for first, last in starts if first <= longest]
    found = ids.filter(reduce(pl.Series.__or__, is_begun)) if is_begun else ids.clear()
    return TermHits(_as_hits(found.head(MOST_BEGINNING)), is_exact=False, is_complete=found.len() <= MOST_BEGINNING)


def _as_hits(ids: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"order_id": ids}).select(
        "order_id", found_as=pl.lit(ORDER_NUMBER), term=pl.col("order_id").cast(pl.String)
    )


def _collect(hits: list[pl.LazyFrame]) -> pl.DataFrame:
    return pl.concat([NOTHING_FOUND.rows, *pl.collect_all(hits)])


def _form_of(wanted: str, words: str) -> str | None:
    form: str | None = pl.select(term_form(words)(pl.lit(wanted))).item()
    return form


def _beginnings_of(wanted: str, words: str) -> list[str]:
    """What terms begin with that begin with a text, in the form in which they are compared."""
    begun = str(pl.select(comparison_form(pl.lit(wanted))).item())
    if words != SSCC:
        return [begun] if begun else []
    digits = "".join(filter(str.isalnum, begun))
    without_identifier = digits.removeprefix("00") if begun.startswith(("00", "(00")) else ""
    return list(dict.fromkeys(filter(None, (digits, without_identifier))))


def _ranges_of_orders(dataset: Dataset) -> list[tuple[int, int]]:
    """Ranges of order ids, first and last, with so many orders each as are sorted together."""
    ids = dataset.lazy("orders").select("order_id").collect().to_series().sort()
    starts = ids.gather_every(_ORDERS_AT_A_TIME).to_list()
    return list(zip(starts, [*(start - 1 for start in starts[1:]), *ids[-1:]], strict=True))


def _write_terms(
    dataset: Dataset, words: str, places: tuple[tuple[str, str], ...], ranges: list[tuple[int, int]], start: Path,
    stop_request: StopRequest,
) -> Path:  # fmt: skip
    """Write the terms of one kind, sorted, and return the file."""
    form = term_form(words)
    parts = []
    for number, id_range in enumerate(ranges):
        stop_request.raise_if_set()
        values = pl.concat([
            dataset.lazy(table).filter(pl.col("order_id").is_between(*id_range)).select("order_id", value=column)
            .drop_nulls().unique()
            for table, column in places
        ])  # fmt: skip
        found = values.collect().lazy()
        # Many orders share a SKU, of which the form is worked out once.
        forms = found.select(pl.col("value").unique()).with_columns(term=form(pl.col("value"))).drop_nulls()
        terms = found.join(forms, on="value").select("order_id", "term").unique().sort("term", "order_id")
        parts.append(start.with_name(f"{start.name}-{number}.parquet"))
        terms.collect().write_parquet(parts[-1], compression_level=1, row_group_size=_ROW_GROUP_ROWS)
    stop_request.raise_if_set()
    whole = start.with_suffix(".parquet")
    if len(parts) == 1:
        return parts[0].rename(whole)
    if parts:
        sorted_parts = [pl.scan_parquet(part) for part in parts]
        merged = reduce(lambda left, right: left.merge_sorted(right, "term"), sorted_parts)
    else:
        merged = pl.LazyFrame(schema={"order_id": pl.Int64, "term": pl.String})
    merged.sink_parquet(whole, compression_level=1, row_group_size=_ROW_GROUP_ROWS)
    for part in parts:
        part.unlink()
    return whole
