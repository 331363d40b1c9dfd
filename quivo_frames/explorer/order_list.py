"""The orders as lists show them: one row an order, filtered, sorted and cut into pages."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.derived_tables import overview
from quivo_frames.dataset.dataset import Dataset


def read_order_list(dataset: Dataset) -> pl.DataFrame:
    """One row an order, with what lists of orders show, filter and sort by."""
    return overview(dataset)
