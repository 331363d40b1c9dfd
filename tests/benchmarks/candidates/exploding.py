"""Nested polars frames -> a parquet file a table, by explode and unnest."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tests.benchmarks.orders import IDS, LISTS

OBJECTS = {"orders": ("deliveryAddress", "invoiceAddress"), "pod_documents": ("url",),
           "shipments": ("width", "length", "height")}  # fmt: skip


def write_all(orders: pl.DataFrame, out: Path) -> None:
    """Writes the tables of all lists but the recursive one."""
    out.mkdir()
    frames = {"orders": _opened("orders", orders)}
    for table, (parent, way) in LISTS.items():
        entries = pl.col("_".join(way)).alias("entry")
        ids = [name if parent == "orders" else f"parent_{name}" for name in IDS[parent][:-1]] + [IDS[parent][-1]]
        rows = (
            frames[parent]
            .select(*(pl.col(name).name.map(_parent) for name in ids), entries)
            .explode("entry", empty_as_null=False, keep_nulls=False)
            .drop_nulls("entry")
        )
        frames[table] = _opened(table, rows.unnest("entry") if rows["entry"].dtype == pl.Struct else rows)
    for table, frame in frames.items():
        frame.select(pl.all().exclude(pl.List)).write_parquet(out / f"{table}.parquet")


def _parent(name: str) -> str:
    return f"parent_{name.removeprefix('parent_')}"


def _opened(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.unnest(*OBJECTS.get(table, ()), separator="_") if table in OBJECTS else frame
