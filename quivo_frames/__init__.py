"""Refetch batches of Quivo orders, keep every answer, and build validated polars tables.

    import quivo_frames as qf

    with qf.Client.from_env() as client, qf.Archive("orders.sqlite") as archive:
        run = qf.refetch(order_ids, client, archive)    # safe to repeat; run.failures is a frame
    tables = qf.build("orders.sqlite", "tables/")       # or qf.flatten(list_of_bytes), in memory
    tables.shipments                                    # a polars DataFrame; tables.scan.shipments is lazy
    qf.lines(tables)                                    # ordered, planned, shipped, packed pieces of each line
    qf.audit(tables)                                    # what went wrong, as a frame of findings
    tables.order(100001)                                # one order: its days, findings, lines, handling units
    tables.export("duckdb", "orders.duckdb")            # or parquet, delta, excel, csv
    qf.changes("orders.sqlite")                         # what changed from one refetch to the next
    qf.schema("shipments")                              # the pandera schema of a table, for one's own frames

From the ids of orders to tables:

    order ids --refetch--> Archive (every answer as received) --build--> Dataset (18 tables, failures, notes)

`qf.read_ids` takes order ids from a file, `qf.open` opens a dataset that was built before, and `qf.unflatten` rebuilds
the JSON of the orders from their tables.
An error that ends a run is a `QuivoError` with a sentence for the user; what is wrong with a single order is a row of
`failures`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quivo_frames.analysis.changes.changes import changes, history, transitions
    from quivo_frames.analysis.checks.audit import audit
    from quivo_frames.analysis.checks.limits import Limits
    from quivo_frames.analysis.derived_tables import events, lines, milestones, overview
    from quivo_frames.analysis.joins import join
    from quivo_frames.analysis.kpi.kpis import kpis
    from quivo_frames.analysis.kpi.result import Kpis
    from quivo_frames.analysis.report.report import report
    from quivo_frames.analysis.single_order import SingleOrder, order
    from quivo_frames.analysis.stuck import stuck
    from quivo_frames.archive.archive import Archive
    from quivo_frames.builder.build import build
    from quivo_frames.dataset.dataset import Dataset
    from quivo_frames.errors import (
        ArchiveError,
        ConfigError,
        DatasetError,
        ExportError,
        Fault,
        LoginError,
        LostWorker,
        QuivoError,
        UnexpectedResponse,
        Unreachable,
    )
    from quivo_frames.explorer.explore import Explorer, explore
    from quivo_frames.export.compatibility.check import check_for
    from quivo_frames.fetch.client import Client
    from quivo_frames.fetch.order_ids import read_ids
    from quivo_frames.fetch.run import plan, refetch
    from quivo_frames.flattening.flatten import flatten
    from quivo_frames.flattening.unflatten import unflatten
    from quivo_frames.flattening.validate import schema
    from quivo_frames.maintenance.erasure import forget
    from quivo_frames.maintenance.integrity import check
    from quivo_frames.model.frames import Frames
    from quivo_frames.nightly.sync import sync
    from quivo_frames.settings.settings import Settings

    open = Dataset.open  # noqa: A001 - qf.open reads as it should
    __version__: str

_HOMES = {
    "Archive": "archive.archive",
    "ArchiveError": "errors",
    "Client": "fetch.client",
    "ConfigError": "errors",
    "Dataset": "dataset.dataset",
    "DatasetError": "errors",
    "Explorer": "explorer.explore",
    "ExportError": "errors",
    "Fault": "errors",
    "Frames": "model.frames",
    "Kpis": "analysis.kpi.result",
    "Limits": "analysis.checks.limits",
    "LoginError": "errors",
    "LostWorker": "errors",
    "QuivoError": "errors",
    "Settings": "settings.settings",
    "SingleOrder": "analysis.single_order",
    "UnexpectedResponse": "errors",
    "Unreachable": "errors",
    "audit": "analysis.checks.audit",
    "build": "builder.build",
    "changes": "analysis.changes.changes",
    "check": "maintenance.integrity",
    "check_for": "export.compatibility.check",
    "events": "analysis.derived_tables",
    "explore": "explorer.explore",
    "flatten": "flattening.flatten",
    "forget": "maintenance.erasure",
    "history": "analysis.changes.changes",
    "join": "analysis.joins",
    "kpis": "analysis.kpi.kpis",
    "lines": "analysis.derived_tables",
    "milestones": "analysis.derived_tables",
    "order": "analysis.single_order",
    "overview": "analysis.derived_tables",
    "plan": "fetch.run",
    "read_ids": "fetch.order_ids",
    "refetch": "fetch.run",
    "report": "analysis.report.report",
    "schema": "flattening.validate",
    "stuck": "analysis.stuck",
    "sync": "nightly.sync",
    "transitions": "analysis.changes.changes",
    "unflatten": "flattening.unflatten",
}
"""The module of each public name."""

__all__ = [
    "Archive",
    "ArchiveError",
    "Client",
    "ConfigError",
    "Dataset",
    "DatasetError",
    "Explorer",
    "ExportError",
    "Fault",
    "Frames",
    "Kpis",
    "Limits",
    "LoginError",
    "LostWorker",
    "QuivoError",
    "Settings",
    "SingleOrder",
    "UnexpectedResponse",
    "Unreachable",
    "audit",
    "build",
    "changes",
    "check",
    "check_for",
    "events",
    "explore",
    "flatten",
    "forget",
    "history",
    "join",
    "kpis",
    "lines",
    "milestones",
    "open",
    "order",
    "overview",
    "plan",
    "read_ids",
    "refetch",
    "report",
    "schema",
    "stuck",
    "sync",
    "transitions",
    "unflatten",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first used: polars and pandera take half a second to load."""
    if name == "__version__":
        return import_module("importlib.metadata").version(__name__)
    if name == "open":
        return import_module("quivo_frames.dataset.dataset").Dataset.open
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"quivo_frames.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
