"""The derived tables of orders: `lines`, `line_rows`, `overview`, `milestones` and `events`.

They are written by each build; what a dataset has is read from there, and derived for other tables.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quivo_frames.analysis.derived_lines import derive_lines
from quivo_frames.analysis.derived_orders import derive_events, derive_milestones, derive_overview
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.dataset.dataset import Dataset, TablesOrFolder, as_tables
from quivo_frames.model.carriers import fill_carriers, usual_providers
from quivo_frames.model.frames import lazy_table


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


def lines(tables: TablesOrFolder) -> pl.DataFrame:
    """The lines of the orders, one row each, with their pieces: ordered, planned, shipped, packed, reversed, open.

        short = qf.lines(tables).group_by("sku", "warehouse").agg(pl.col("ordered", "shipped", "open").sum())

    Every piece of the tables is counted in one row, so that sums over any rows are right: a bundle or its parts count,
    not both, and what belongs to no ordered line has a row of its own. `certain` says whether all quantities of a row
    are known and are those of this very line: of lines that cannot be told apart (they share a `pool_key`), only the
    sums are certain. The columns are those of the data dictionary; money in the currency of the order.

    `tables` is the folder of a dataset, a `Dataset`, `Frames`, or a dict of frames by table name.

    Raises:
        ConfigError: `tables` are no tables.
        DatasetError: the dataset is incomplete, or of another version.
    """
    return _derived_table(tables, "lines")


def overview(tables: TablesOrFolder, findings: pl.DataFrame | None = None) -> pl.DataFrame:
    """The orders, one row each: value, lines and pieces, promises and milestones, days late, how far it came.

    With the `findings` of an audit, also how many there are of each severity: errors, warnings, infos.

    Raises:
        ConfigError: `tables` are no tables.
        DatasetError: the dataset is incomplete, or of another version.
    """
    orders = _derived_table(tables, "overview")
    if findings is None:
        return orders
    names = {"error": "errors", "warning": "warnings", "info": "infos"}
    counted = findings.lazy().group_by("order_id").agg(
        (pl.col("severity") == severity).sum().cast(pl.Int64).alias(name) for severity, name in names.items()
    )  # fmt: skip
    joined = orders.lazy().join(counted, on="order_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col(names.values()).fill_null(0)).collect()


def milestones(tables: TablesOrFolder) -> pl.DataFrame:
    """When each order came how far, one row an order, and the days between. Instants in UTC.

    Raises:
        ConfigError: `tables` are no tables.
        DatasetError: the dataset is incomplete, or of another version.
    """
    return _derived_table(tables, "milestones")


def events(tables: TablesOrFolder) -> pl.DataFrame:
    """What happened to the orders, one row an event, in each order by time: an event log. Instants in UTC.

    Raises:
        ConfigError: `tables` are no tables.
        DatasetError: the dataset is incomplete, or of another version.
    """
    return _derived_table(tables, "events")


def _derived_table(tables: TablesOrFolder, name: str) -> pl.DataFrame:
    """A derived table: that of the dataset, or derived from the tables, if they are no dataset or one without."""
    opened = as_tables(tables)
    if isinstance(opened, Dataset) and name in opened.derived:
        return opened.lazy(name).collect()
    derived = derive_tables(opened)[name].lazy()
    if name not in ("lines", "overview"):
        return derived.collect()
    whole = opened.whole if isinstance(opened, Dataset) else opened
    usual = usual_providers(lazy_table(whole, "shipments"))
    return fill_carriers(name, derived, lazy_table(opened, "shipments"), usual).collect()
