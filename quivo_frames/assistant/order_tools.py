"""Tools about orders: to search them, and to show one."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
import polars as pl

from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.order_page import read_order, without_personal_columns
from quivo_frames.analysis.order_search import read_order_number
from quivo_frames.analysis.single_order import SingleOrder
from quivo_frames.assistant.plain_values import MOST_BYTES, Refusal, fit_rows, plain_row, plain_rows, plain_value
from quivo_frames.assistant.table_state import TableState, wait_for
from quivo_frames.assistant.tool_definition import Arguments, Day, Name, Tool, rows_up_to
from quivo_frames.explorer.order_list import GROUPS, OrderFilter
from quivo_frames.explorer.order_query import MAX_SEARCH
from quivo_frames.explorer.order_selection import find_terms
from quivo_frames.explorer.search_terms import TermHits
from quivo_frames.model.derived import DERIVED_TABLES

FINDING_COLUMNS = (
    "finding", "check", "severity", "status", "order_id", "order_identifier", "seller", "warehouse", "carrier", "sku",
    "table", "key", "expected", "actual", "days_late", "value_at_risk", "currency", "evidence", "first_seen",
)  # fmt: skip
"""The columns of findings that are shown: not the message, a sentence in which values of orders stand."""
_MOST_NAMES = 50
_DOWN_FIRST = ("late", "value", "placed")
_ELSEWHERE = ("orders", "overview", "milestones", "events", "lines", "line_rows", "failures", "notes")


class SearchOrders(Arguments):
    """Find orders by a term, by filters, or both; the latest first unless sorted otherwise.

    The term is what somebody has in hand: an order's number, identifier or reference, a SKU, an SSCC, a serial number,
    a city or a tag. It must match whole; if nothing matches, what begins with it is found. Filters are exact names;
    where a name is that of no order, the names that exist are in `names`.
    """

    term: Annotated[str, msgspec.Meta(max_length=MAX_SEARCH, description="What to search; empty: all orders.")] = ""
    seller: Name = ""
    warehouse: Name = ""
    carrier: Name = ""
    status: Annotated[str, msgspec.Meta(max_length=200, description="Status of the order, as Quivo has it.")] = ""
    since: Day | None = None
    until: Day | None = None
    only_late: Annotated[bool, msgspec.Meta(description="Only orders that are past a promise.")] = False
    only_open: Annotated[bool, msgspec.Meta(description="Only orders of which something is still to be shipped.")] = (
        False
    )
    check: Annotated[str, msgspec.Meta(description="Only orders in which this check of the audit found something.")] = (
        ""
    )
    sort: Literal["late", "value", "placed", "order"] = "placed"
    limit: Annotated[int, rows_up_to(200)] = 20


class FoundOrders(msgspec.Struct, kw_only=True):
    """Orders that were found."""

    total: Annotated[int, msgspec.Meta(description="How many orders fit.")]
    shown: Annotated[int, msgspec.Meta(description="How many of them are in `orders`.")]
    orders: Annotated[list[dict[str, Any]], msgspec.Meta(description="One row an order; empty values are left out.")]
    is_exact: Annotated[bool, msgspec.Meta(description="Whether the term was matched whole, not as a beginning.")] = (
        True
    )
    is_complete: Annotated[bool, msgspec.Meta(description="Whether all that begins with the term was looked at.")] = (
        True
    )
    names: Annotated[
        dict[str, list[str]], msgspec.Meta(description="For filters by a name that no order has: names that exist.")
    ] = msgspec.field(default_factory=dict)


def search_orders(state: TableState, asked: SearchOrders) -> FoundOrders:
    """The orders that a term names and filters let through."""
    snapshot, orders = state.snapshot, state.snapshot.order_list
    wanted = {name: getattr(asked, name) for name in ("seller", "warehouse", "carrier", "status")}
    groups = {"order_status" if name == "status" else name: value for name, value in wanted.items() if value}
    if asked.check and asked.check not in CHECKS:
        raise Refusal(f"There is no such check. The checks are: {', '.join(CHECKS)}.")
    by_check = orders.by_check(state.list_findings().findings) if asked.check else None
    chosen = OrderFilter(
        groups, read_day(asked.since), read_day(asked.until), asked.only_late, asked.only_open, asked.check
    )
    fits, hits = orders.match_rows(chosen, by_check), None
    if term := asked.term.strip():
        wait_for(snapshot.search_terms, "The index of search terms")
        hits = find_terms(snapshot, term)
        fits &= orders.with_ids(hits.rows["order_id"].unique())
    places = orders.sorted_places(asked.sort, descending=asked.sort in _DOWN_FIRST)
    places = places.filter(fits.gather(places))
    rows, _ = fit_rows(_describe_orders(orders.rows[places.head(asked.limit)], hits))
    return FoundOrders(
        total=places.len(), shown=len(rows), orders=rows, is_exact=hits is None or hits.is_exact,
        is_complete=hits is None or hits.is_complete, names=_existing_names(state, groups),
    )  # fmt: skip


def _describe_orders(rows: pl.DataFrame, hits: TermHits | None) -> list[dict[str, Any]]:
    described = plain_rows(rows)
    if hits is not None:
        found: dict[int, list[dict[str, Any]]] = {}
        for order_id, found_as, term in hits.rows.iter_rows():
            found.setdefault(order_id, []).append({"as": found_as, "term": plain_value(term)})
        for row in described:
            row["found"] = found[row["order_id"]][:5]
    return described


def _existing_names(state: TableState, groups: dict[str, str]) -> dict[str, list[str]]:
    """The names that exist, for each filter whose name does not."""
    everything = pl.repeat(value=True, n=state.snapshot.orders.height, eager=True)
    known = {column: state.snapshot.order_list.count_names(column, everything) for column in groups if column in GROUPS}
    return {
        column: [plain_value(name) for name in list(names)[:_MOST_NAMES]]
        for column, names in known.items()
        if groups[column] not in names
    }


def read_day(text: str | None) -> date | None:
    """A day of an argument.

    Raises:
        Refusal: there is no such day.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise Refusal("That is no day of the calendar. Write one as 2026-06-30.") from error


class ShowOrder(Arguments):
    """Show all that is known of one order: promises, milestones, events, lines, shipments, handling units, findings.

    Quantities of a line: ordered, planned, shipped, packed, open. Of long lists the first rows are there, and how many
    there are in all; run_sql reads the rest. Empty values are left out. Instants are UTC.
    """

    order: Annotated[
        int | str, msgspec.Meta(description="Its number, or an identifier, a reference or an SSCC that only it has.")
    ]
    rows: Annotated[int, msgspec.Meta(ge=1, le=200, description="Rows of each list at most, up to 200.")] = 20


class Listed(msgspec.Struct):
    """The first rows of a list."""

    total: int
    rows: list[dict[str, Any]]


class OneOrder(msgspec.Struct, kw_only=True):
    """One order."""

    order_id: int
    order: Annotated[dict[str, Any], msgspec.Meta(description="Its row of the table `orders`, with its promises.")]
    overview: Annotated[dict[str, Any], msgspec.Meta(description="How far it came, and how late it is.")]
    milestones: dict[str, Any]
    lines: Annotated[Listed, msgspec.Meta(description="Pieces that were ordered, planned, shipped, packed, by line.")]
    findings: Annotated[
        Listed, msgspec.Meta(description="What the audit finds in it; `finds` says what a check finds.")
    ]
    events: Listed
    tables: Annotated[
        dict[str, Listed], msgspec.Meta(description="The rows of all other tables: shipments, handling units, …")
    ]
    is_cut: Annotated[bool, msgspec.Meta(description="Whether a list has more rows than are shown.")] = False


def show_order(state: TableState, asked: ShowOrder) -> OneOrder:
    """One order, with its rows of all tables."""
    order_id = find_order(state, asked.order)
    frames = read_order(state.dataset, order_id)
    visible = dict(frames) if state.shows_personal else without_personal_columns(frames)
    sliced = state.dataset.only([order_id])
    derived = {name: sliced.lazy(name).collect() for name in DERIVED_TABLES if name in state.dataset.derived}
    findings = _findings_of(state, order_id)
    budget = MOST_BYTES
    lists: dict[str, Listed] = {}
    for name, rows in [("lines", derived.get("lines")), ("findings", findings), ("events", derived.get("events")),
                       *visible.items()]:  # fmt: skip
        if name in ("orders", *lists) or rows is None or (name in visible and rows.is_empty()):
            continue
        described = (
            describe_findings(rows.head(asked.rows)) if name == "findings" else plain_rows(rows.head(asked.rows))
        )
        kept, _ = fit_rows(described, budget // 2)
        budget -= len(msgspec.json.encode(kept))
        lists[name] = Listed(rows.height, kept)
    nothing = Listed(0, [])
    return OneOrder(
        order_id=order_id, order=plain_row(visible["orders"].row(0, named=True)),
        overview=_only_row(derived, "overview"), milestones=_only_row(derived, "milestones"),
        lines=lists.pop("lines", nothing), findings=lists.pop("findings", nothing), events=lists.pop("events", nothing),
        tables={name: listed for name, listed in lists.items() if name not in _ELSEWHERE},
        is_cut=any(listed.total > len(listed.rows) for listed in lists.values()),
    )  # fmt: skip


def _only_row(frames: dict[str, pl.DataFrame], name: str) -> dict[str, Any]:
    return plain_row(frames[name].row(0, named=True)) if name in frames else {}


def find_order(state: TableState, wanted: int | str) -> int:
    """The number of the only order that is called so; what an assistant may not see is not searched.

    Raises:
        Refusal: none is, or several are.
    """
    text = str(wanted).strip()[:MAX_SEARCH]
    wait_for(state.snapshot.search_terms, "The index of search terms")
    hits = find_terms(state.snapshot, text)
    found = hits.rows["order_id"].unique().to_list() if hits.is_exact else []
    if len(found) == 1:
        return int(found[0])
    if found:
        raise Refusal(f"{len(found):,} orders are called so. search_orders lists them: give the number of one.")
    number = read_order_number(text)
    if number is not None and state.dataset.failures.filter(pl.col("order_id") == number).height:
        raise Refusal("This order could not be read, and is in no table. The table `failures` says why: see run_sql.")
    raise Refusal("No order is called exactly so. search_orders also finds what begins with a term.")


def _findings_of(state: TableState, order_id: int) -> pl.DataFrame:
    """What an audit finds in an order; where all orders are audited already, from there."""
    known = state.snapshot.known_findings
    if known is not None:
        return known.filter(pl.col("order_id") == order_id)
    return SingleOrder(state.dataset, order_id, state.snapshot.options.limits, state.snapshot.options.accepted).findings


def describe_findings(findings: pl.DataFrame) -> list[dict[str, Any]]:
    """Findings as they are shown: what the check finds, and the values that it compared, each by itself."""
    return [
        {**plain_row(row), "finds": CHECKS[row["check"]].title}
        for row in findings.select(FINDING_COLUMNS).iter_rows(named=True)
    ]


ORDER_TOOLS = (
    Tool("search_orders", "Search orders", SearchOrders, FoundOrders, search_orders),
    Tool("show_order", "Show one order", ShowOrder, OneOrder, show_order),
)
