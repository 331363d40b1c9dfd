"""The pages of orders: a list that is searched, filtered, sorted, cut into pages, and downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, NamedTuple

import polars as pl
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from quivo_frames.analysis.order_search import ORDER_NUMBER
from quivo_frames.analysis.report.sheets import format_amount, format_integer
from quivo_frames.explorer.order_download import FINDING_COUNTS, download_rows, with_finding_counts
from quivo_frames.explorer.order_list import PAGE_ROWS
from quivo_frames.explorer.order_query import GROUP_PARAMETERS, MAX_SEARCH, OrderQuery
from quivo_frames.explorer.order_selection import (
    AUDIT_IS_RUNNING,
    Selection,
    count_choices,
    explain_audit,
    find_terms,
    orders_by_check,
    searched_kinds,
    select_orders,
)
from quivo_frames.explorer.rendering import address_of, render_page
from quivo_frames.explorer.search_terms import TermHits
from quivo_frames.explorer.snapshot import Snapshot

LIVE_HITS = 8
"""Orders that are suggested while somebody types."""
_TERMS_SHOWN = 3
_HEADINGS = {"order": "Order", "placed": "Placed", "late": "Days late", "value": "Value"}
_LABELS = {
    "seller": "Seller", "warehouse": "Warehouse", "carrier": "Carrier", "status": "Status", "stage": "Stage",
    "month": "Placed in month", "week": "Placed in week",
}  # fmt: skip
_NEWEST_FIRST = ("month", "week")


class Choice(NamedTuple):
    """An entry of a select."""

    value: str
    words: str
    is_chosen: bool


class Select(NamedTuple):
    """A select of the filters."""

    name: str
    label: str
    choices: list[Choice]


class SortLink(NamedTuple):
    """The heading of a column that lists are sorted by."""

    words: str
    address: str
    direction: str
    """ascending, descending, or empty if the list is not sorted by it."""


def show_orders(snapshot: Snapshot, request: Request) -> Response:
    """The page; a search that is the exact name of one order leads to that order."""
    query = OrderQuery.from_parameters(request.query_params)
    selection = select_orders(snapshot, query)
    if query.is_plain_search() and selection.height == 1 and selection.hits is not None and selection.hits.is_exact:
        order_id = snapshot.orders["order_id"].filter(selection.is_wanted).item()
        return RedirectResponse(f"/orders/{order_id}", HTTPStatus.SEE_OTHER)
    pages = max(-(-selection.height // PAGE_ROWS), 1)
    query = replace(query, page=min(query.page, pages))
    return render_page(
        "orders.html", request=request, snapshot=snapshot, query=query, count=selection.height, page_count=pages,
        first=(query.page - 1) * PAGE_ROWS + 1, rows=_page_rows(snapshot, query, selection), hits=selection.hits,
        notices=selection.notices, selects=_make_selects(snapshot, query, selection), sorts=_make_sorts(query),
        kinds=searched_kinds(snapshot), total=snapshot.orders.height,
        parameters=query.address_parameters(), filters=query.filter_names(),
    )  # fmt: skip


def download_orders(snapshot: Snapshot, request: Request, ending: str) -> Response:
    """The orders of the list, all of its pages, as a file."""
    query = OrderQuery.from_parameters(request.query_params)
    if query.filter.check and explain_audit(snapshot):
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, explain_audit(snapshot)[0])
    selection = select_orders(snapshot, query)
    rows = snapshot.orders[_sorted_places(snapshot, query, selection)]
    return download_rows(with_finding_counts(rows, orders_by_check(snapshot)), ending)


def show_hits(snapshot: Snapshot, request: Request) -> Response:
    """The first orders that a search finds, as a list beneath its field."""
    wanted = request.query_params.get("q", "")[:MAX_SEARCH].strip()
    rows, count = [], 0
    if wanted:
        hits = find_terms(snapshot, wanted)
        if hits.is_exact and hits.rows.select(pl.col("found_as") == ORDER_NUMBER).to_series().sum() == 0:
            more = find_terms(snapshot, wanted, begins=True)
            hits = TermHits(pl.concat([hits.rows, more.rows]).unique(maintain_order=True), is_exact=False)
        ids = hits.rows["order_id"].unique(maintain_order=True)
        count = ids.len()
        rows = _with_terms(_rows_of(snapshot, ids.head(LIVE_HITS)), hits)
    return render_page(
        "order_hits.html", rows=rows, count=count, wanted=wanted, is_indexed=snapshot.search_terms.done()
    )


def _rows_of(snapshot: Snapshot, ids: pl.Series) -> list[dict[str, Any]]:
    """The rows of some orders, in their order."""
    found = snapshot.orders.filter(pl.col("order_id").is_in(ids.implode()))
    return pl.DataFrame({"order_id": ids}).join(found, on="order_id", how="inner", maintain_order="left").to_dicts()


def _sorted_places(snapshot: Snapshot, query: OrderQuery, selection: Selection) -> pl.Series:
    places = snapshot.order_list.sorted_places(query.sort, descending=query.descending)
    return places.filter(selection.is_wanted.gather(places))


def _page_rows(snapshot: Snapshot, query: OrderQuery, selection: Selection) -> list[dict[str, Any]]:
    places = _sorted_places(snapshot, query, selection).slice((query.page - 1) * PAGE_ROWS, PAGE_ROWS)
    rows = with_finding_counts(snapshot.orders[places], orders_by_check(snapshot)).to_dicts()
    for row in rows:
        row["findings"] = [
            (str(severity), row[name], severity if row[name] == 1 else name)
            for severity, name in FINDING_COUNTS.items()
            if row[name]
        ]
        row["worth"] = "" if row["value"] is None else f"{format_amount(row['value'])} {row['currency'] or ''}".strip()
    return _with_terms(rows, selection.hits) if selection.hits else rows


def _with_terms(rows: list[dict[str, Any]], hits: TermHits) -> list[dict[str, Any]]:
    """The rows, with what they were found as: words, the first terms, and how many more there are."""
    ids = pl.Series([row["order_id"] for row in rows], dtype=pl.Int64)
    found = hits.rows.filter(pl.col("order_id").is_in(ids.implode())).group_by("order_id", maintain_order=True).agg(
        pl.struct("found_as", "term")
    )  # fmt: skip
    terms = dict(found.iter_rows())
    for row in rows:
        of_order = terms.get(row["order_id"], [])
        row["terms"] = of_order[:_TERMS_SHOWN]
        row["more_terms"] = len(of_order[_TERMS_SHOWN:])
    return rows


def _make_selects(snapshot: Snapshot, query: OrderQuery, selection: Selection) -> list[Select]:
    counts = count_choices(snapshot, query, selection)
    selects = []
    for name, column in GROUP_PARAMETERS.items():
        chosen = query.filter.groups.get(column, "")
        counted = [(value, value, count) for value, count in counts[column].items()]
        in_order = counted[::-1] if name in _NEWEST_FIRST else counted
        selects.append(Select(name, _LABELS[name], make_choices(in_order, chosen)))
    shown = [(check.replace("_", " "), check, count) for check, count in counts["check"].items()]
    is_running = AUDIT_IS_RUNNING in explain_audit(snapshot)
    checks = make_choices(shown, query.filter.check, "The audit is still running" if is_running else "Any or none")
    return [*selects, Select("check", "With a finding of", checks)]


def make_choices(counted: Sequence[tuple[str, str, int]], chosen: str, empty: str = "All") -> list[Choice]:
    """The entries of a select: those with orders, and the chosen one; each has words, a value, and its orders."""
    choices = [
        Choice(value, f"{words} ({format_integer(count)})", value == chosen)
        for words, value, count in counted
        if count or value == chosen
    ]
    if chosen and not any(choice.is_chosen for choice in choices):
        choices.append(Choice(chosen, f"{chosen} (0)", is_chosen=True))
    return [Choice("", empty, not chosen), *choices]


def _make_sorts(query: OrderQuery) -> dict[str, SortLink]:
    direction = "descending" if query.descending else "ascending"
    return {
        sort: SortLink(
            words,
            address_of("/orders", query.sorted_by(sort).address_parameters()),
            direction if sort == query.sort else "",
        )
        for sort, words in _HEADINGS.items()
    }
