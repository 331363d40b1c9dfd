"""The refetches of one order, as an archive knows them, and what changed from each answer to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.analysis.changes.changes import history
from quivo_frames.analysis.report.sheets import format_minute
from quivo_frames.archive.archive import Archive
from quivo_frames.display.text import format_count, terminal_text
from quivo_frames.errors import ArchiveError, ConfigError
from quivo_frames.explorer.order_answer import ArchivedAnswers
from quivo_frames.explorer.order_cells import MOST_CHARACTERS
from quivo_frames.explorer.order_places import Cell
from quivo_frames.explorer.order_rows import OrderRows

MOST_REFETCHES, MOST_CHANGES = 30, 40
_NOTHING = "nothing"


class ShownChange(NamedTuple):
    """A change: where, and what was and is there."""

    kind: str
    where: str
    before: str
    after: str
    cell: Cell | None
    """Its cell in the tables, if the row is still there."""


class Refetch(NamedTuple):
    """An attempt to fetch the order, and what changed since the answer before."""

    at: str
    outcome: str
    facts: str
    message: str
    is_in_tables: bool
    """Whether the tables were built from its answer."""
    is_first: bool
    is_good: bool
    changes: list[ShownChange]
    hidden: int


class OrderHistory(NamedTuple):
    """The refetches of an order, newest first."""

    refetches: list[Refetch]
    hidden: int = 0
    problem: str = ""
    is_newer: bool = False
    """Whether there is an answer that the tables do not have yet."""


def read_history(archive: Archive | None, rows: OrderRows, archived: ArchivedAnswers) -> OrderHistory:
    """The history of an order; where the archive cannot tell it, why."""
    if archive is None:
        return OrderHistory(
            [], problem="No archive is known that has the answers of these orders: they were built from files, or the "
            "archive is not where it was. Give it: quivo-frames explore --archive FILE."
        )  # fmt: skip
    if archived.problem:
        return OrderHistory([], problem=archived.problem)
    try:
        attempts = archive.attempts(rows.order_id)
        several = len({raw.body for raw in archived.received}) > 1  # of one answer there is nothing to compare
        changes = history(archive, rows.order_id, personal=rows.personal) if several else pl.DataFrame()
    except (ArchiveError, ConfigError) as error:
        return OrderHistory([], problem=str(error))
    return _list_refetches(rows, archived, attempts, changes)


def _list_refetches(
    rows: OrderRows, archived: ArchivedAnswers, attempts: pl.DataFrame, changes: pl.DataFrame
) -> OrderHistory:  # fmt: skip
    sizes = {raw.fetched_at: len(raw.body) for raw in archived.received}
    built_from = archived.built_from(rows.answer)
    built_at = built_from.fetched_at if built_from else None
    newest = archived.received[-1].fetched_at if archived.received else None
    by_time = (
        {at: group for (at,), group in changes.partition_by("seen_at", as_dict=True).items()} if changes.height else {}
    )
    known: list[dict[str, Any]] = attempts.to_dicts()
    recorded = {row["at"] for row in known}
    known += [{"at": at, "outcome": "fetched"} for at in sizes if at not in recorded]
    known.sort(key=lambda row: row["at"])
    first = next((row["at"] for row in known if row["at"] in sizes), None)
    listed = [
        _show_refetch(row, sizes.get(row["at"]), by_time.get(row["at"]), rows,
                      is_in_tables=row["at"] == built_at, is_first=row["at"] == first)
        for row in reversed(known[-MOST_REFETCHES:])
    ]  # fmt: skip
    is_newer = built_at is not None and newest is not None and newest > built_at
    return OrderHistory(listed, max(len(known) - MOST_REFETCHES, 0), is_newer=is_newer)


def _show_refetch(
    row: Mapping[str, Any], size: int | None, changes: pl.DataFrame | None, rows: OrderRows, *,
    is_in_tables: bool, is_first: bool,
) -> Refetch:  # fmt: skip
    found = changes.head(MOST_CHANGES).to_dicts() if changes is not None else []
    return Refetch(
        format_minute(row["at"]), row["outcome"], _http_facts(row, size), terminal_text(row.get("message") or ""),
        is_in_tables, is_first, size is not None, [_show_change(change, rows) for change in found],
        max((changes.height if changes is not None else 0) - MOST_CHANGES, 0),
    )  # fmt: skip


def _http_facts(row: Mapping[str, Any], size: int | None) -> str:
    """What is known of the request: HTTP status, tries, times, size."""
    tries, latency = row.get("tries"), row.get("latency")
    facts = [
        f"HTTP {row['http_status']}" if row.get("http_status") is not None else "",
        format_count(tries, "request") if tries else "",
        f"answered after {latency:.2f} s" if latency is not None else "",
        format_count(size, "byte") if size is not None else "",
        f"run {row['run']}" if row.get("run") is not None else "",
    ]
    return ", ".join(filter(None, facts))


def _show_change(change: Mapping[str, Any], rows: OrderRows) -> ShownChange:
    table, column, key = change["table"], change["column"], change["key"]
    if table is None:
        return ShownChange(change["kind"], "", "", terminal_text(change["after"] or ""), None)
    where = f"{table}.{column}" if column else table
    where = where if table == "orders" else f"{where} {key}"
    cell = Cell(table, key, column or "") if change["kind"] != "removed" else None
    if cell and not (column is None or column in rows.tables[table].columns):
        cell = Cell(table, key)
    return ShownChange(change["kind"], where, _short_value(change["before"]), _short_value(change["after"]), cell)


def _short_value(value: str | None) -> str:
    if value is None:
        return _NOTHING
    text = terminal_text(value) or '""'
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
