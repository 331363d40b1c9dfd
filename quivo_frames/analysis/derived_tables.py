"""The derived tables of orders: `lines`, `line_rows`, `overview`, `milestones` and `events`.

They are written by each build; what a dataset has is read from there, and worked out anew for other tables.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quivo_frames.analysis.derived_lines import derive_lines
from quivo_frames.analysis.derived_orders import derive_events, derive_milestones, derive_overview
from quivo_frames.analysis.milestones import OrderView


def derive_tables(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The derived tables of some orders, by name, with the columns of DERIVED_TABLES, in the order of the orders.

    Raises:
        Fault: pieces of the tables would be missing, or be counted twice.
    """
    view = OrderView(tables)
    lines, line_rows = derive_lines(view)
    milestones = derive_milestones(view)
    overview = derive_overview(view, lines, milestones)
    return {
        "lines": lines, "line_rows": line_rows, "overview": overview, "milestones": milestones,
        "events": derive_events(view),
    }  # fmt: skip
