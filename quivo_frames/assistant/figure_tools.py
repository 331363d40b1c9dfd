"""Tools about many orders: what an audit finds in them, key figures, and lines."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
import polars as pl

from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.derived_tables import lines as all_lines
from quivo_frames.analysis.kpi.kpi_page import kpi_facts
from quivo_frames.analysis.kpi.kpis import KPIS, kpis
from quivo_frames.analysis.line_page import choose_lines
from quivo_frames.assistant.order_tools import describe_findings, read_day
from quivo_frames.assistant.plain_values import MOST_BYTES, Refusal, fit_rows, plain_rows, plain_value
from quivo_frames.assistant.table_state import TableState
from quivo_frames.assistant.tool_definition import Arguments, Day, Name, Tool, rows_up_to

QUANTITIES = ("ordered", "planned", "shipped", "packed", "reversed", "open")


class ListFindings(Arguments):
    """List what the audit finds wrong in the orders, worst first, and count it by check.

    severity: error (it went wrong), warning (it may have), info. status: new and standing findings are open; accepted
    ones were looked at by somebody; resolved ones are gone. The first call of a session can take a while.
    """

    check: Annotated[str, msgspec.Meta(description="Only findings of this check, such as short_shipped.")] = ""
    severity: Literal["", "error", "warning", "info"] = ""
    status: Annotated[
        Literal["", "new", "standing", "accepted", "resolved", "all"],
        msgspec.Meta(description="Empty: new and standing."),
    ] = ""
    seller: Name = ""
    warehouse: Name = ""
    carrier: Name = ""
    limit: Annotated[int, rows_up_to(500)] = 20


class FoundFindings(msgspec.Struct, kw_only=True):
    """What an audit finds."""

    as_of: Annotated[str | None, msgspec.Meta(description="The instant for which the orders were audited.")]
    total: Annotated[int, msgspec.Meta(description="How many findings fit.")]
    orders: Annotated[int, msgspec.Meta(description="In how many orders they are.")]
    checks: Annotated[
        list[dict[str, Any]], msgspec.Meta(description="By check: severity, what it finds, findings, and orders.")
    ]
    shown: int
    findings: list[dict[str, Any]]


def list_findings(state: TableState, asked: ListFindings) -> FoundFindings:
    """The findings that filters leave, counted and listed."""
    if asked.check and asked.check not in CHECKS:
        raise Refusal(f"There is no such check. The checks are: {', '.join(CHECKS)}.")
    listed = state.list_findings()
    filters = ("check", "severity", "status", "seller", "warehouse", "carrier")
    places = listed.filter_places({name: value for name in filters if (value := getattr(asked, name))})
    found = listed.rows[places["place"]]
    counted = found.group_by("check", "severity", maintain_order=True).agg(
        findings=pl.len(), orders=pl.col("order_id").n_unique()
    )
    checks = [{**row, "finds": CHECKS[row["check"]].title} for row in counted.iter_rows(named=True)]
    rows, _ = fit_rows(describe_findings(found.head(asked.limit)), MOST_BYTES - len(msgspec.json.encode(checks)))
    return FoundFindings(
        as_of=plain_value(listed.findings.as_of), total=found.height, orders=found["order_id"].n_unique(),
        checks=checks, shown=len(rows), findings=rows,
    )  # fmt: skip


Group = Literal["month", "week", "day", "seller", "warehouse", "carrier", "country"]


class GetKpis(Arguments):
    """Compute key figures of orders: perfect orders, on time, fill rate, cycle time, backlog, carriers and more.

    Shares are from 0 to 1. An order that several warehouses or carriers served counts in the group of each. Filters are
    exact names or numbers; a name that no order has leaves none.
    """

    only: Annotated[
        list[str], msgspec.Meta(description="Only these, also defined in words: perfect_order, on_time, fill_rate, …")
    ] = msgspec.field(default_factory=list)
    by: Annotated[list[Group], msgspec.Meta(description="Groups of orders, several at once too.")] = msgspec.field(
        default_factory=list
    )
    seller: Name = ""
    warehouse: Name = ""
    status: Name = ""
    since: Day | None = None
    until: Day | None = None
    limit: Annotated[int, rows_up_to(500)] = 50


class FoundKpis(msgspec.Struct, kw_only=True):
    """Key figures."""

    as_of: str
    on_time_against: Annotated[str, msgspec.Meta(description="The promise that `on time` is measured against.")]
    orders: Annotated[int, msgspec.Meta(description="How many orders the filters leave.")]
    kpis: Annotated[
        dict[str, dict[str, Any]],
        msgspec.Meta(description="By name: title, orders that it is about, total number of rows, the first rows."),
    ]


def get_kpis(state: TableState, asked: GetKpis) -> FoundKpis:
    """The key figures of some orders, or of all."""
    if any(name not in KPIS for name in asked.only):
        raise Refusal(f"There is no such KPI. The KPIs are: {', '.join(KPIS)}.")
    options = state.snapshot.options
    chosen = state.choose_orders(
        seller=asked.seller, warehouse=asked.warehouse, status=asked.status, since=read_day(asked.since),
        until=read_day(asked.until),
    )  # fmt: skip
    found = kpis(
        chosen, tuple(asked.by), on_time_against=options.on_time_against, limits=options.limits,
        tolerance=timedelta(hours=options.limits.late_hours),
    )  # fmt: skip
    facts = kpi_facts(
        found, {name: frame.head(asked.limit) for name, frame in found.items() if not asked.only or name in asked.only}
    )
    budget, described = MOST_BYTES, {}
    for name, figures in facts["kpis"].items():
        rows, _ = fit_rows([plain_value(row) for row in figures["rows"]], budget // 2)
        budget -= len(msgspec.json.encode(rows))
        defined = (
            {"definition": KPIS[name].definition.text, "cannot_see": KPIS[name].definition.limits} if asked.only else {}
        )
        described[name] = {
            "title": figures["title"], "orders": figures["orders"], **defined, "total": found[name].height,
            "rows": rows,
        }  # fmt: skip
    return FoundKpis(
        as_of=plain_value(found.as_of), on_time_against=found.on_time_against,
        orders=chosen.lazy("orders").select(pl.len()).collect().item(), kpis=described,
    )  # fmt: skip


class GetLines(Arguments):
    """Get lines of orders with their pieces: ordered, planned, shipped, packed, reversed, open; or sums of them.

    Each piece is counted in one line, so that sums are right. `open` is what is still to be shipped: shortages are
    lines with only_open, summed by sku. Values are in the currency of the order.
    """

    by: Annotated[
        list[Literal["sku", "seller", "warehouse", "carrier", "order_id"]],
        msgspec.Meta(description="Sum the lines by these; empty: single lines."),
    ] = msgspec.field(default_factory=list)
    order_ids: list[int] = msgspec.field(default_factory=list)
    skus: list[str] = msgspec.field(default_factory=list)
    seller: Name = ""
    warehouse: Name = ""
    status: Annotated[str, msgspec.Meta(max_length=200, description="Status of the order, as Quivo has it.")] = ""
    since: Day | None = None
    until: Day | None = None
    only_open: bool = False
    limit: Annotated[int, rows_up_to(500)] = 50


class FoundLines(msgspec.Struct, kw_only=True):
    """Lines, or sums of lines."""

    lines: Annotated[int, msgspec.Meta(description="How many lines fit.")]
    uncertain: Annotated[int, msgspec.Meta(description="Of how many of them not all quantities are certain.")]
    sums: Annotated[dict[str, int], msgspec.Meta(description="Pieces of all of these lines.")]
    values: Annotated[list[dict[str, Any]], msgspec.Meta(description="By currency: value, and open value, net.")]
    total: Annotated[int, msgspec.Meta(description="How many rows there are: lines, or groups.")]
    shown: int
    rows: Annotated[list[dict[str, Any]], msgspec.Meta(description="The rows with the most open pieces first.")]


def get_lines(state: TableState, asked: GetLines) -> FoundLines:
    """The lines of some orders, or of all, or sums of them."""
    chosen = state.choose_orders(
        seller=asked.seller, warehouse=asked.warehouse, status=asked.status, since=read_day(asked.since),
        until=read_day(asked.until), ids=asked.order_ids,
    )  # fmt: skip
    found = choose_lines(all_lines(chosen), skus=asked.skus, only_open=asked.only_open)
    values = found.group_by("currency").agg(pl.col("value", "open_value").sum()).sort("currency", nulls_last=True)
    rows = found
    if asked.by:
        rows = found.group_by(asked.by).agg(pl.col(QUANTITIES).sum(), lines=pl.len())
    keys = [str(name) for name in asked.by or ("line_key",)]
    rows = rows.sort("open", *keys, descending=[True, *(False for _ in keys)], nulls_last=True)
    kept, _ = fit_rows(plain_rows(rows.head(asked.limit)))
    sums = found.select(pl.col(QUANTITIES).sum()).row(0, named=True)
    return FoundLines(
        lines=found.height, uncertain=int((~found["certain"]).sum()), sums=sums, values=plain_rows(values),
        total=rows.height, shown=len(kept), rows=kept,
    )  # fmt: skip


FIGURE_TOOLS = (
    Tool("list_findings", "List findings of the audit", ListFindings, FoundFindings, list_findings),
    Tool("get_kpis", "Compute key figures", GetKpis, FoundKpis, get_kpis),
    Tool("get_lines", "Get lines of orders", GetLines, FoundLines, get_lines),
)
