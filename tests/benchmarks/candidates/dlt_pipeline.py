"""dlt: a pipeline from a JSON lines file to parquet files on the filesystem destination."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"

import dlt
from dlt.destinations import filesystem as folder_destination
from dlt.sources.filesystem import filesystem, read_jsonl

from tests.benchmarks.orders import LISTS

LEAVES_OUT = (
    "exact money, free-form attributes as rows (kept as JSON), recursion as one table (a table for each depth), checks, "
    "failures apart; null entries of lists make rows; types come from the data and grow with it"
)
_NAMES = {
    "orders": "orders",
    "address_identifiers": "orders__delivery_address__additional_identifiers",
    "order_positions": "orders__positions",
    "fulfillment_orders": "orders__fulfillment_orders",
    "fulfillment_positions": "orders__fulfillment_orders__positions",
    "shipments": "orders__fulfillment_orders__shipments",
    "tracking_links": "orders__fulfillment_orders__shipments__tracking_links",
    "tracking_numbers": "orders__fulfillment_orders__shipments__tracking_numbers",
    "shipment_positions": "orders__fulfillment_orders__shipments__positions",
    "serial_numbers": "orders__fulfillment_orders__shipments__positions__serial_numbers",
    "grouped_positions": "orders__fulfillment_orders__shipments__grouped_positions",
    "grouped_serial_numbers": "orders__fulfillment_orders__shipments__grouped_positions__serial_numbers",
    "pod_documents": "orders__fulfillment_orders__shipments__pod_documents",
    "order_tags": "orders__tags",
    "order_errors": "orders__entity_errors",
}


def run(file: Path, out: Path) -> None:
    os.environ["DLT_DATA_DIR"] = str(out / "state")
    pipeline = dlt.pipeline(
        "orders",
        destination=folder_destination(f"file://{out}"),
        dataset_name="tables",
        pipelines_dir=str(out / "state"),
    )
    orders = filesystem(bucket_url=f"file://{file.parent}", file_glob=file.name) | read_jsonl()
    free_form = {"customAttributes": {"data_type": "json"}}  # opened, one number past 64 bits in them breaks it off
    orders.apply_hints(columns=free_form, nested_hints={"positions": {"columns": free_form}})
    pipeline.run(orders.with_name("orders"), loader_file_format="parquet").raise_on_failed_jobs()


def tables(out: Path) -> dict[str, list[Path]]:
    found = {table: sorted((out / "tables" / _NAMES[table]).glob("*.parquet")) for table in ("orders", *LISTS)}
    inside = (out / "tables").glob("orders__handling_units*/*.parquet")
    found["handling_units"], found["handling_positions"] = [], []
    for path in sorted(inside):
        kind = "handling_positions" if path.parent.name.endswith("__handling_positions") else "handling_units"
        found[kind].append(path)
    return found
