"""The orders that rows of the report lead to: each with its dates, its findings and its lines."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.report.sheets import Sheet, format_minute, join_words, make_sheet
from quivo_frames.analysis.text_columns import name_or_number
from quivo_frames.display.text import format_count
from quivo_frames.model.carriers import carrier_of

MOST_FINDINGS, MOST_LINES = 15, 15
"""Of an order at most so many findings and lines are on the page."""
_DATES = {
    "placed": "Placed",
    "exported_at": "Exported",
    "planned": "Planned",
    "cancel_requested_at": "Cancellation requested",
    "earliest_ship_date": "May be shipped from",
    "latest_ship_date": "To be shipped by",
    "shipped_first": "First shipment left",
    "shipped_last": "Last shipment left",
    "earliest_delivery_date": "May be delivered from",
    "latest_delivery_date": "To be delivered by",
    "delivered_last": "Delivered",
    "completed_at": "Completed",
}
"""The milestones and promises of an order that are shown, in words."""


class OrderFinding(NamedTuple):
    """A finding of an order: its check, severity, and message without the order."""

    check: str
    severity: str
    message: str


class OrderDate(NamedTuple):
    """A date of an order in words, and when it is, UTC."""

    what: str
    when: str


class OrderBlock(NamedTuple):
    """An order on the page."""

    order_id: int
    about: str
    findings: list[OrderFinding]
    more_findings: str
    dates: list[OrderDate]
    line_count_text: str
    """How many lines it has."""
    lines: Sheet


def order_anchor(order_id: int) -> str:
    """The id of an order's block in the page."""
    return f"order-{order_id}"


def order_blocks(view: OrderView, findings: Findings, order_ids: list[int]) -> list[OrderBlock]:
    """The blocks of these orders, by their number."""
    wanted = pl.DataFrame({"order_id": sorted(set(order_ids))}, schema={"order_id": pl.Int64}).lazy()
    view = view.only_orders(order_ids)
    orders = view["orders"].select("order_id", "order_status", "order_identifier", "seller_id", "seller_name")
    held = _names_of_each(view["fulfillment_orders"], name_or_number("warehouse_name", "warehouse_id"))
    sent = _names_of_each(view["shipments"], carrier_of(view.whole.usual_providers))
    described = wanted.join(orders, on="order_id", how="left").join(
        held.rename({"names": "at"}), on="order_id", how="left"
    )
    described = described.join(sent.rename({"names": "by"}), on="order_id", how="left")
    dates = wanted.join(view.milestones.select("order_id", *_DATES), on="order_id", how="left")
    lines = view.matched_lines.join(wanted, on="order_id", how="semi", maintain_order="left")
    about, when, matched = pl.collect_all([described.sort("order_id"), dates.sort("order_id"), lines])
    found = findings.unaccepted().join(wanted.collect(), on="order_id", how="semi", maintain_order="left")
    found_by_order, lines_by_order = (rows.partition_by("order_id", as_dict=True) for rows in (found, matched))
    return [
        _render_block(
            row, when_row, found_by_order[row["order_id"],], lines_by_order.get((row["order_id"],), matched.clear())
        )
        for row, when_row in zip(about.iter_rows(named=True), when.iter_rows(named=True), strict=True)
    ]


def _names_of_each(rows: pl.LazyFrame, name: pl.Expr) -> pl.LazyFrame:
    return rows.group_by("order_id").agg(names=name.drop_nulls().unique(maintain_order=True))


def _render_block(order: dict[str, Any], when: dict[str, Any], found: pl.DataFrame, lines: pl.DataFrame) -> OrderBlock:
    facts = [order["order_status"], order["order_identifier"], order["seller_name"] or order["seller_id"]]
    facts += [join_words(order["at"] or []), join_words(order["by"] or [])]
    dates = [OrderDate(words, _format_date(when[name])) for name, words in _DATES.items() if when[name] is not None]
    texts = found.group_by("check", "severity", "message", maintain_order=True).agg(pl.len())
    return OrderBlock(
        order["order_id"],
        ", ".join(str(fact) for fact in facts if fact),
        [_describe_finding(*row) for row in texts.head(MOST_FINDINGS).iter_rows()],
        _count_more(texts.height - MOST_FINDINGS, "finding"),
        dates,
        format_count(lines.height, "line"),
        make_sheet(
            lines.head(MOST_LINES).select("sku", "ordered", "planned", "shipped", "packed"),
            f"Lines of order {order['order_id']}", {"sku": "SKU"}, _count_more(lines.height - MOST_LINES, "line"),
        ),
    )  # fmt: skip


def _describe_finding(check: str, severity: str, message: str, times: int) -> OrderFinding:
    """A finding without the order's number, which stands above it; several of the same words stand there once."""
    words = message.partition(": ")[2]
    return OrderFinding(check, severity, f"{words} ({times} times)" if times > 1 else words)


def _count_more(number: int, noun: str) -> str:
    return f"{format_count(number, f'more {noun}')}." if number > 0 else ""


def _format_date(value: Any) -> str:
    return format_minute(value).removesuffix(" UTC") if hasattr(value, "hour") else str(value)
