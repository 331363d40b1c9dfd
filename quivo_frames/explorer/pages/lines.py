"""The page of lines: which SKUs are short, of how many orders, and what that is worth."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from quivo_frames.analysis.report.sheets import format_amount
from quivo_frames.explorer.order_query import read_page
from quivo_frames.explorer.pages.orders import Select, SortLink, make_choices
from quivo_frames.explorer.rendering import address_of, render_page
from quivo_frames.explorer.shortages import SHORTAGE_GROUPS, ShortageSummary
from quivo_frames.explorer.snapshot import Snapshot

PAGE_ROWS = 50
_HEADINGS = {"sku": "SKU", "open": "Open pieces", "orders": "Orders", "value": "Net value of them"}
_LABELS = dict(zip(SHORTAGE_GROUPS, ("Seller", "Warehouse", "Currency"), strict=True))


class LineQuery(NamedTuple):
    """What the page is asked for; what an address has that cannot be read, asks for nothing."""

    groups: dict[str, str]
    sort: str
    descending: bool
    page: int

    def address_parameters(self) -> dict[str, str]:
        """The parameters of its address, without the page; what is the default is left out."""
        sort = "" if self.sort == "open" else self.sort
        direction = "" if self.descending == (self.sort != "sku") else ("desc" if self.descending else "asc")
        return {name: value for name, value in {**self.groups, "sort": sort, "dir": direction}.items() if value}


def show_lines(snapshot: Snapshot, request: Request) -> Response:
    """The page."""
    given = request.query_params
    sort = given.get("sort", "")
    sort = sort if sort in _HEADINGS else "open"
    descending = given["dir"] == "desc" if given.get("dir") in ("asc", "desc") else sort != "sku"
    query = LineQuery(
        {name: given.get(name, "") for name in SHORTAGE_GROUPS}, sort, descending, read_page(given.get("page", ""))
    )
    found = snapshot.shortages.summary_for(query.groups)
    summed, currency = found.by_sku, found.currency
    in_order = _sort(summed, query)
    pages = max(-(-summed.height // PAGE_ROWS), 1)
    query = query._replace(page=min(query.page, pages))
    first = (query.page - 1) * PAGE_ROWS
    return render_page(
        "lines.html", request=request, snapshot=snapshot, query=query, parameters=query.address_parameters(),
        page_count=pages, count=summed.height, first=first + 1,
        rows=_describe_rows(in_order.slice(first, PAGE_ROWS), query), open_pieces=found.open, orders=found.orders,
        selects=_make_selects(found, query), sorts=_make_sorts(query), currency=currency,
        unknown=snapshot.uncertain_lines,
    )  # fmt: skip


def _sort(summed: pl.DataFrame, query: LineQuery) -> pl.DataFrame:
    by, descending = ([query.sort, "sku"], [query.descending, False])
    keys = 1 if query.sort == "sku" else 2
    return summed.sort(by[:keys], descending=descending[:keys], nulls_last=True)


def _describe_rows(rows: pl.DataFrame, query: LineQuery) -> list[dict[str, Any]]:
    """The rows, with amounts in words, and the address of their orders."""
    described = rows.to_dicts()
    for row in described:
        amounts = [
            f"{format_amount(part['amount'])} {part['currency'] or 'of no currency'}" for part in row["values"] or ()
        ]
        row["amounts"] = amounts or (["0.00"] if not row["unpriced"] else [])
        groups = {name: value for name, value in query.groups.items() if name != "currency"}
        row["address"] = address_of("/orders", {"short": row["sku"], **groups}) if row["sku"] else ""
    return described


def _make_selects(found: ShortageSummary, query: LineQuery) -> list[Select]:
    selects = []
    for name, label in _LABELS.items():
        choices = [(value, value, count) for value, count in found.choices[name]]
        selects.append(Select(name, label, make_choices(choices, query.groups[name])))
    return selects


def _make_sorts(query: LineQuery) -> dict[str, SortLink]:
    links = {}
    for sort, words in _HEADINGS.items():
        is_sorted = sort == query.sort
        descending = not query.descending if is_sorted else sort != "sku"
        direction = ("descending" if query.descending else "ascending") if is_sorted else ""
        again = query._replace(sort=sort, descending=descending, page=1)
        links[sort] = SortLink(words, address_of("/lines", again.address_parameters()), direction)
    return links
