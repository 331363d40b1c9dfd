"""What an order asks to be sent: no services and deductions, and packs as their pieces."""

from __future__ import annotations

import re

import polars as pl

from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.identifiers import comparison_form
from quivo_frames.analysis.line_sources import is_deduction
from quivo_frames.analysis.milestones import OrderView


def is_service(limits: Limits) -> pl.Expr:
    """Whether a `sku` is one of the `services`, which nobody ships."""
    names = "|".join(".*".join(map(re.escape, pattern.split("*"))) for pattern in limits.services)
    if not names:
        return pl.lit(value=False)
    return comparison_form(pl.col("sku")).str.contains(f"(?is)^(?:{names})$").fill_null(value=False)


def lines_of_goods(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The matched lines without those that take money off, `ordered` in pieces, and `pack`, pieces per SKU ordered."""
    deductions = view["order_positions"].filter(is_deduction()).select("order_position_key")
    lines = view.matched_lines.join(deductions, on="order_position_key", how="anti", maintain_order="left")
    packs = {sku.strip().upper(): pieces for sku, pieces in limits.packs.items()}
    if not packs:
        return lines.with_columns(pack=pl.lit(1))
    pack = comparison_form(pl.col("sku")).replace_strict(packs, default=1, return_dtype=pl.Int32)
    return lines.with_columns(pack=pack).with_columns(ordered=pl.col("ordered") * pl.col("pack"))


def lines_to_ship(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The lines of goods that are no service."""
    return lines_of_goods(view, limits).filter(~is_service(limits))


def orders_without_goods(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The orders (order_id) that list lines, and ask for nothing that can be shipped."""
    for_nothing = (pl.col("quantity").fill_null(1) <= 0) | is_deduction() | is_service(limits)
    return view["order_positions"].group_by("order_id").agg(nothing=for_nothing.all()).filter("nothing")
