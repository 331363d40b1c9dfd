"""Which checks could look: how many orders have the columns that each needs."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quivo_frames.analysis.checks.check import Check
from quivo_frames.analysis.milestones import OrderView

RAN, SKIPPED = "ran", "skipped"
RUN_SCHEMA: dict[str, type[pl.DataType]] = {
    "check": pl.String, "severity": pl.String, "outcome": pl.String, "reason": pl.String, "judged": pl.Int64,
    "findings": pl.Int64,
}  # fmt: skip
"""The columns of `findings.checks`."""


def describe_runs(checks: Sequence[Check], counted: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """One row per check: severity, outcome (ran, or skipped), reason, judged (orders), findings.

    A check is skipped if no order has all the columns that it needs. `counted` is what `count_judged_orders` gives.
    """
    judged = counted.row(0, named=True)
    counts = dict(found.group_by("check").len().iter_rows())
    rows = []
    for check in checks:
        orders = judged[f"check {check.name}" if check.needs else "orders"]
        is_skipped = bool(check.needs) and not orders and check.name not in counts
        missing = [name for name in check.needs if not judged[name]]
        rows.append((
            check.name, str(check.severity), SKIPPED if is_skipped else RAN,
            _reason_for_skip(missing, check.needs) if is_skipped else None, orders, counts.get(check.name, 0),
        ))  # fmt: skip
    return pl.DataFrame(rows, schema=RUN_SCHEMA, orient="row")


def describe_blind_checks(checks: Sequence[Check]) -> pl.DataFrame:
    """A row for each check that cannot judge tables without personal values."""
    reason = "the tables leave out personal values"
    rows = [(check.name, str(check.severity), SKIPPED, reason, 0, 0) for check in checks]
    return pl.DataFrame(rows, schema=RUN_SCHEMA, orient="row")


def _reason_for_skip(missing: Sequence[str], needs: Sequence[str]) -> str:
    """Which columns are empty; if each is filled somewhere, that no order has all of them."""
    return f"no order has {' or '.join(missing)}" if missing else f"no order has all of {', '.join(needs)}"


def count_judged_orders(checks: Sequence[Check], view: OrderView) -> pl.DataFrame:
    """A single row: the number of orders, of those that have each column that is needed, and all that a check needs."""
    needed = dict.fromkeys(name for check in checks for name in check.needs)
    by_table: dict[str, list[str]] = {}
    for name in needed:
        table, _, column = name.partition(".")
        by_table.setdefault(table, []).append(column)
    orders = view["orders"].select("order_id")
    for table, columns in by_table.items():
        filled = view[table].group_by("order_id").agg(
            pl.col(column).is_not_null().any().alias(f"{table}.{column}") for column in columns
        )  # fmt: skip
        orders = orders.join(filled, on="order_id", how="left")
    has_all = {f"check {check.name}": pl.all_horizontal(check.needs).sum() for check in checks if check.needs}
    counts = {"orders": pl.len(), **{name: pl.col(name).sum() for name in needed}, **has_all}
    return orders.select(count.cast(pl.Int64).alias(name) for name, count in counts.items()).collect()
