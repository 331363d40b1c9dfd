"""An export as parquet: a file a table, or a file a table and month, in a folder or an object store.

    OUT/<table>.parquet                                         a table
    OUT/<table>/month=2026-06/<table>.parquet             by month: its rows of the orders of a month
    OUT/<table>/month=__HIVE_DEFAULT_PARTITION__/...      of orders without a date; read as null
    OUT/export.json                                       last: what the files are, and that they are ours

The files have the month too, as order_month: another name, for pyarrow refuses a column that is a text in the files and
a category in their folders.

A folder appears as a whole. In an object store, where nothing can be moved, the files are overwritten one by one, and
until the last one is there export.json says that they are not complete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import ORDER_ID, Column
from quivo_frames.storage import urls
from quivo_frames.storage.atomic import new_folder
from quivo_frames.storage.parquet import write_parquet_table

MARKER = "export.json"
ORDER_MONTH = Column(
    "order_month", Kind.TEXT, "Month of the order's date in UTC, as 2026-06; null for orders without one."
)
MONTH_FOLDER = "month"
NO_MONTH = "__HIVE_DEFAULT_PARTITION__"
"""What Hive, and all that reads its folders, calls null."""
_KIND = "quivo_frames parquet"
_AFTER = "Files that were written already stay; the same export again replaces all of them."


def write_tables(outgoing: ExportJob, out: str, by_month: bool = False) -> ExportResult:
    """The tables as parquet files, in the place of what an earlier export left there.

    Raises:
        ConfigError: the place holds something else, or is an object store that shall be written by month.
        ExportError: an object store gives no answer.
    """
    if urls.is_remote(out):
        if by_month:
            raise ConfigError(
                f"By month, an export must remove months that are gone, and in {out} it cannot. "
                "Leave out by month, export to delta, or export to a folder and copy that."
            )
        return _write_to_store(outgoing, out)
    with new_folder(Path(out), _is_ours) as folder:
        rows = (_write_months if by_month else _write_files)(outgoing, folder)
        (folder / MARKER).write_text(json.dumps(_marker_facts(outgoing, rows)), encoding="utf-8")
    return ExportResult(ExportFormat.PARQUET, out, rows)


def _write_files(outgoing: ExportJob, place: Path | str) -> dict[str, int]:
    described = outgoing.definitions
    return {
        name: write_parquet_table(rows, f"{place}/{name}.parquet", described[name])
        for name, rows in outgoing.tables.items()
    }


def _write_months(outgoing: ExportJob, folder: Path) -> dict[str, int]:
    """Writes each table by the months of its orders; the rows of each."""
    month = pl.col("order_date").dt.strftime("%Y-%m").alias(ORDER_MONTH.name)
    months = outgoing.tables["orders"].select(ORDER_ID.name, month)
    counts = {}
    for name, rows in outgoing.tables.items():
        described = outgoing.definitions[name]
        dated = replace(described, columns=(*described.columns, ORDER_MONTH))
        with_month = rows.join(months, on=ORDER_ID.name, how="left", maintain_order="left")
        counts[name] = write_parquet_table(with_month, _partition_by_month(name, folder), dated)
        if not counts[name]:
            undated = folder / _month_file(name, None)
            undated.parent.mkdir(parents=True)
            write_parquet_table(dated.empty_frame().lazy(), undated, dated)
    return counts


def _partition_by_month(name: str, folder: Path) -> pl.PartitionBy:
    return pl.PartitionBy(
        folder,
        key=ORDER_MONTH.name,
        include_key=True,
        file_path_provider=lambda place: _month_file(name, place.partition_keys.item()),
        approximate_bytes_per_file=None,  # one file a month, whatever its size: its name stays the same
    )


def _month_file(name: str, month: str | None) -> str:
    return f"{name}/{MONTH_FOLDER}={month or NO_MONTH}/{name}.parquet"


def _marker_facts(outgoing: ExportJob, rows: Mapping[str, int] | None) -> dict[str, Any]:
    """What the marker says; without rows, that the files around it are being written."""
    facts = {
        "export": _KIND,
        "tables": outgoing.snapshot_name,
        "version": outgoing.version,
        "privacy": outgoing.privacy,
    }
    return facts | {"complete": rows is not None, "rows": dict(rows or {})}


def _is_ours(folder: Path) -> bool:
    try:
        found = json.loads((folder / MARKER).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("export") == _KIND


def _write_to_store(outgoing: ExportJob, out: str) -> ExportResult:
    place = urls.check_address(out)
    with urls.explain_storage_errors(f"The tables cannot be written to {out}", "export again", _AFTER):
        if not _store_has_marker(place) and urls.holds_parquet(place):
            raise ConfigError(
                f"There are parquet files in {out} that quivo_frames did not write. Nothing was written. "
                "Give an empty or new place."
            )
        _write_store_marker(place, _marker_facts(outgoing, None))
        rows = _write_files(outgoing, place)
        _write_store_marker(place, _marker_facts(outgoing, rows))
    return ExportResult(ExportFormat.PARQUET, out, rows)


def _store_has_marker(place: str) -> bool:
    try:
        return pl.scan_ndjson(f"{place}/{MARKER}").select("export").collect().to_series().to_list() == [_KIND]
    except (FileNotFoundError, pl.exceptions.ColumnNotFoundError):
        return False


def _write_store_marker(place: str, facts: Mapping[str, Any]) -> None:
    pl.LazyFrame([{**facts, "rows": facts["rows"] or None}]).sink_ndjson(f"{place}/{MARKER}")
