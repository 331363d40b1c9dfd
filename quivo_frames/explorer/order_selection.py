"""Which orders a list has: those that a search finds and filters let through, and how many there are of each kind."""

from __future__ import annotations

from concurrent.futures import Future
from functools import reduce
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.order_search import ORDER_NUMBER
from quivo_frames.explorer.order_list import GROUPS, OrderFilter, OrdersByCheck
from quivo_frames.explorer.order_query import OrderQuery
from quivo_frames.explorer.search_terms import (
    MOST_BEGINNING,
    NOTHING_FOUND,
    SearchTerms,
    TermHits,
    find_numbers,
    searched_columns,
)
from quivo_frames.explorer.snapshot import Snapshot

INDEX_IS_MADE = (
    "The index of search terms is still being made: so far only order numbers are found. Search again in a moment."
)
INDEX_FAILED = "The index of search terms could not be made: only order numbers are found. Start the explorer again."
AUDIT_IS_RUNNING = "The audit is still running: what it finds is shown and filtered by when it is done."
AUDIT_FAILED = (
    "The audit broke off: lists know no findings. Start the explorer again, or see what `quivo-frames audit` says."
)


class Selection(NamedTuple):
    """The orders of a list."""

    is_wanted: pl.Series
    """For each row of the order list, whether it is among them."""
    is_found: pl.Series | None
    """For each row, whether the search and the SKU in short supply let it through; None if they are not asked for."""
    hits: TermHits | None
    """What the search found; None if nothing is searched."""
    notices: list[str]
    """Sentences about what is not known yet."""

    @property
    def height(self) -> int:
        """How many orders there are."""
        return int(self.is_wanted.sum())


def find_terms(snapshot: Snapshot, wanted: str, kind: str = "", *, begins: bool = False) -> TermHits:
    """The orders that a text names: as an order's number, else exactly as something, else as something's beginning.

    With `begins`, beginnings are found as well as exact names.
    """
    numbers = find_numbers(snapshot.orders["order_id"], wanted) if kind in ("", ORDER_NUMBER) else NOTHING_FOUND
    is_number = numbers.is_exact and not numbers.rows.is_empty()
    index = _result_of(snapshot.search_terms)
    if index is None or (is_number and not begins):
        return numbers
    exact = index.find_exact(wanted, kind)
    if not exact.rows.is_empty() and not begins:
        return exact
    begun = index.find_beginning(wanted, kind)
    rows = pl.concat([exact.rows, numbers.rows, begun.rows]).unique(maintain_order=True)
    return TermHits(rows, is_exact=False, is_complete=numbers.is_complete and begun.is_complete)


def searched_kinds(snapshot: Snapshot) -> list[str]:
    """What orders are searched by, in words."""
    return [ORDER_NUMBER, *searched_columns(personal=snapshot.options.personal)]


def select_orders(snapshot: Snapshot, query: OrderQuery) -> Selection:
    """The orders that a list is asked for."""
    orders, found, hits = snapshot.order_list, [], None
    notices = explain_audit(snapshot)
    if query.short_of:
        found.append(orders.with_ids(_ids_short_of(snapshot, query)))
    if query.search:
        hits = find_terms(snapshot, query.search, query.kind, begins=query.begins)
        found.append(orders.with_ids(hits.rows["order_id"].unique()))
        notices = [*_explain_search(snapshot, hits), *notices]
    is_found = reduce(pl.Series.__and__, found) if found else None
    wanted = query.filter.without_filter("warehouse") if query.short_of else query.filter
    return Selection(_matching(snapshot, wanted, is_found), is_found, hits, notices)


def _matching(snapshot: Snapshot, wanted: OrderFilter, is_found: pl.Series | None) -> pl.Series:
    matching = snapshot.order_list.match_rows(wanted, orders_by_check(snapshot))
    return matching if is_found is None else matching & is_found


def _ids_short_of(snapshot: Snapshot, query: OrderQuery) -> pl.Series:
    rows = snapshot.shortages.rows.filter(pl.col("sku").cast(pl.String) == query.short_of)
    if warehouse := query.filter.groups.get("warehouse"):
        rows = rows.filter(pl.col("warehouse").cast(pl.String) == warehouse)
    return rows["order_id"].unique()


def _explain_search(snapshot: Snapshot, hits: TermHits) -> list[str]:
    notices = []
    if not snapshot.search_terms.done():
        notices.append(INDEX_IS_MADE)
    elif _result_of(snapshot.search_terms) is None:
        notices.append(INDEX_FAILED)
    if not hits.is_complete:
        notices.append(
            f"So much begins with it that only the first {MOST_BEGINNING:,} of each kind are looked at. Type more."
        )
    return notices


def orders_by_check(snapshot: Snapshot) -> OrdersByCheck | None:
    """Which orders the audit found something in; None while that is not known."""
    findings = snapshot.known_findings
    return None if findings is None else snapshot.order_list.by_check(findings)


def explain_audit(snapshot: Snapshot) -> list[str]:
    """Why findings are not known, in a sentence; none if they are."""
    if snapshot.known_findings is not None:
        return []
    return [AUDIT_FAILED if snapshot.findings.done() else AUDIT_IS_RUNNING]


def count_choices(snapshot: Snapshot, query: OrderQuery, selection: Selection) -> dict[str, dict[str, int]]:
    """How many orders a list would have with each value of GROUPS, and with each check, instead of what it has now."""
    chosen = {column: bool(query.filter.groups.get(column)) for column in GROUPS} | {"check": bool(query.filter.check)}
    choices = {}
    for column, is_chosen in chosen.items():
        is_wanted = selection.is_wanted
        if is_chosen and not (query.short_of and column == "warehouse"):
            others = query.filter.without_filter(column)
            others = others.without_filter("warehouse") if query.short_of else others
            is_wanted = _matching(snapshot, others, selection.is_found)
        choices[column] = (
            _count_checks(snapshot, is_wanted)
            if column == "check"
            else snapshot.order_list.count_names(column, is_wanted)
        )
    return choices


def _count_checks(snapshot: Snapshot, is_wanted: pl.Series) -> dict[str, int]:
    by_check = orders_by_check(snapshot)
    places = {} if by_check is None else by_check.places
    return {check: int(is_wanted.gather(rows).sum()) for check, rows in places.items()}


def _result_of(terms: Future[SearchTerms]) -> SearchTerms | None:
    done = terms.done() and not terms.cancelled() and terms.exception() is None
    return terms.result() if done else None
