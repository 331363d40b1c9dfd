"""flatterer: any JSON to tables, written in Rust; parquet output, lists of plain values as tables of their own."""

from __future__ import annotations

from pathlib import Path

import flatterer

from tests.benchmarks.orders import LISTS

LEAVES_OUT = (
    "whole numbers and exact money (ids become floats, texts of digits become numbers), free-form attributes as rows "
    "(each key becomes a column or a table), recursion as one table (a table for each depth), checks, failures apart; "
    "null entries of lists make rows; types come from the data"
)
_NAMES = {
    "orders": "main",
    "address_identifiers": "deliveryaddress_additionalidentifiers",
    "order_positions": "positions",
    "fulfillment_orders": "fulfillmentorders",
    "fulfillment_positions": "fulfillmentorders_positions",
    "shipments": "fulfillmentorders_shipments",
    "tracking_links": "fulfillmentorders_shipments_trackinglinks",
    "tracking_numbers": "fulfillmentorders_shipments_trackingnumbers",
    "shipment_positions": "fulfillmentorders_shipments_positions",
    "serial_numbers": "fulfillmentorders_shipments_positions_serialnumbers",
    "grouped_positions": "fulfillmentorders_shipments_groupedpositions",
    "grouped_serial_numbers": "fulfillmentorders_shipments_groupedpositions_serialnumbers",
    "pod_documents": "fulfillmentorders_shipments_poddocuments",
    "order_tags": "tags",
    "order_errors": "entityerrors",
}


def run(file: Path, out: Path) -> None:
    flatterer.flatten(str(file), str(out), ndjson=True, csv=False, parquet=True, arrays_new_table=True, force=True)


def tables(out: Path) -> dict[str, list[Path]]:
    found = {table: [out / "parquet" / f"{_NAMES[table]}.parquet"] for table in ("orders", *LISTS)}
    inside = sorted((out / "parquet").glob("handlingunits*.parquet"))
    found["handling_positions"] = [path for path in inside if path.stem.endswith("_handlingpositions")]
    found["handling_units"] = [path for path in inside if not path.stem.endswith("_handlingpositions")]
    return found
