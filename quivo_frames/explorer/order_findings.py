"""What an audit finds in one order, each finding with the cells that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.analysis.checks.audit import CHECKS, audit
from quivo_frames.analysis.checks.findings import ACCEPTED
from quivo_frames.display.text import terminal_text
from quivo_frames.errors import QuivoError
from quivo_frames.explorer.order_places import Cell
from quivo_frames.explorer.order_rows import OrderRows
from quivo_frames.explorer.snapshot import Snapshot
from quivo_frames.model.tables import TABLES

MOST_FINDINGS = 100


class ComparedValue(NamedTuple):
    """A value that a check compared, and its cell if it stands in the row."""

    name: str
    value: str
    cell: Cell | None


class OrderFindingRow(NamedTuple):
    """A finding of the order."""

    check: str
    title: str
    severity: str
    words: str
    row: Cell
    compared: list[ComparedValue]
    is_accepted: bool


class OrderFindings(NamedTuple):
    """The findings of an order, and how far it was looked at."""

    rows: list[OrderFindingRow]
    state: str
    """all (an audit of all orders), alone (this order, without what compares orders), waiting, or failed."""
    problem: str = ""
    hidden: int = 0


def find_order_findings(snapshot: Snapshot, rows: OrderRows, *, alone: bool) -> OrderFindings:
    """The findings of an order: those of the audit of all orders, else, if asked for, of this order alone."""
    problem = ""
    if snapshot.findings.done() and not snapshot.findings.cancelled():
        error = snapshot.findings.exception()
        if error is None:
            found = snapshot.findings.result().filter(pl.col("order_id") == rows.order_id)
            return _show_findings(found, rows, "all")
        problem = str(error) if isinstance(error, QuivoError) else type(error).__name__
    if not alone:
        return OrderFindings([], "failed" if problem else "waiting", problem)
    crossing = [name for name, check in CHECKS.items() if check.crosses_orders]
    found = audit(
        snapshot.view.only_orders([rows.order_id]), skip=crossing, limits=snapshot.options.limits,
        personal=snapshot.options.personal, remember=False, jobs=1,
    )  # fmt: skip
    return _show_findings(found, rows, "alone", problem)


def _show_findings(found: pl.DataFrame, rows: OrderRows, state: str, problem: str = "") -> OrderFindings:
    shown = [_show_finding(row, rows) for row in found.head(MOST_FINDINGS).iter_rows(named=True)]
    return OrderFindings(shown, state, problem, max(found.height - MOST_FINDINGS, 0))


def _show_finding(finding: Mapping[str, Any], rows: OrderRows) -> OrderFindingRow:
    table, key = finding["table"], finding["key"]
    columns = rows.tables[table].columns if table in TABLES else []
    row = _values_of_row(rows, table, key)
    compared = [
        ComparedValue(name, terminal_text(value), _cell_of_evidence(table, key, name, columns, row, rows.order))
        for name, value in ((one["name"], one["value"]) for one in finding["evidence"] or [])
    ]
    check = CHECKS.get(finding["check"])
    return OrderFindingRow(
        finding["check"], check.title if check else finding["check"], finding["severity"],
        terminal_text(finding["message"].partition(": ")[2]), Cell(table, key), compared,
        finding["status"] == ACCEPTED,
    )  # fmt: skip


def _values_of_row(rows: OrderRows, table: str, key: str) -> Mapping[str, Any]:
    if table not in TABLES:
        return {}
    frame = rows.tables[table]
    key_column = pl.col(TABLES[table].key).cast(pl.String)
    return next(frame.filter(key_column == key).head(1).iter_rows(named=True), {})


def _cell_of_evidence(
    table: str, key: str, name: str, columns: list[str], row: Mapping[str, Any], order: Mapping[str, Any]
) -> Cell | None:  # fmt: skip
    """The cell of a compared value: a column of the row, else one of the order."""
    if name in columns:
        return Cell(table, key, name) if row.get(name) is not None else None
    return Cell("orders", key.partition("/")[0], name) if order.get(name) is not None else None
