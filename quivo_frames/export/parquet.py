"""Parquet export: one file per table, or per table and month, in a folder or an object store.

    OUT/<table>.parquet                                         a table
    OUT/<table>/month=2026-06/<table>.parquet             by month: the rows of one month's orders
    OUT/<table>/month=__HIVE_DEFAULT_PARTITION__/...      orders without a date; readers see null
    OUT/export.json                                       written last: marks the folder as an export

The month is also a column of the files, under another name (order_month): pyarrow refuses a column that is text in the
files and a category in the folder names.

A folder is replaced by one rename. In an object store, which has no rename, the files are overwritten one by one, and
until the last is written export.json says that the export is incomplete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult, kind_of_folder
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import ORDER_ID, Column
from quivo_frames.storage import urls
from quivo_frames.storage.atomic import EXPORT_MARKER, new_folder
from quivo_frames.storage.parquet import write_parquet_table

ORDER_MONTH = Column(
    "order_month", Kind.TEXT, "Month of the order's date in UTC, as 2026-06; null for orders without one."
)
MONTH_FOLDER = "month"
NO_MONTH = "__HIVE_DEFAULT_PARTITION__"
"""The folder name that Hive and compatible readers use for null."""
_MARKED = "quivo_frames parquet"
_OF_DATASET = ("manifest.json", "failures.parquet", "notes.parquet")
_KEPT = ("exports.json", "findings.parquet")
"""What a dataset in an exported folder remembers: where it was exported to, and what audits found. It stays."""
KIND = kind_of_folder("folder of parquet files", _MARKED, ".parquet", (*_OF_DATASET, *_KEPT))
_AFTER_FAILURE = "Files that were written already stay; the same export again replaces all of them."


def write_tables(job: ExportJob, out: str, by_month: bool = False) -> ExportResult:
    """Write the tables as parquet files; they replace an earlier export at the same target.

    Raises:
        ConfigError: the target holds something else, or is an object store, which cannot be written by month.
        ExportError: the object store fails.
    """
    if urls.is_remote(out):
        if by_month:
            raise ConfigError(
                f"By month, an export must remove months that are gone, and in {out} it cannot. "
                "Leave out by month, export to delta, or export to a folder and copy that."
            )
        return _write_to_store(job, out)
    with new_folder(Path(out), KIND) as folder:
        rows = (_write_months if by_month else _write_files)(job, folder)
        if not by_month:
            job.complete_folder(folder)
            for kept in (file for file in (Path(out) / name for name in _KEPT) if file.exists()):
                shutil.copyfile(kept, folder / kept.name)
        (folder / EXPORT_MARKER).write_text(json.dumps(_marker_facts(job, rows)), encoding="utf-8")
        job.refuse_outdated()
    return ExportResult(ExportFormat.PARQUET, out, rows)


def _write_files(job: ExportJob, place: Path | str) -> dict[str, int]:
    return {
        name: write_parquet_table(rows, f"{place}/{name}.parquet", job.definitions[name])
        for name, rows in job.tables.items()
    }


def _write_months(job: ExportJob, folder: Path) -> dict[str, int]:
    """Write each table by the month of its orders; returns the rows per table."""
    month = pl.col("order_date").dt.strftime("%Y-%m").alias(ORDER_MONTH.name)
    months = job.tables["orders"].select(ORDER_ID.name, month)
    counts = {}
    for name, rows in job.tables.items():
        definition = job.definitions[name]
        dated = replace(definition, columns=(*definition.columns, ORDER_MONTH))
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
        approximate_bytes_per_file=None,  # one file per month of any size, so that its name is fixed
    )


def _month_file(name: str, month: str | None) -> str:
    return f"{name}/{MONTH_FOLDER}={month or NO_MONTH}/{name}.parquet"


def _marker_facts(job: ExportJob, rows: Mapping[str, int] | None) -> dict[str, Any]:
    """Content of the marker; `rows` is None while the files are being written."""
    facts = {
        "export": _MARKED,
        "tables": job.snapshot_name,
        "version": job.version,
        "privacy": job.privacy,
    }
    return facts | {"complete": rows is not None, "rows": dict(rows or {})}


def _write_to_store(job: ExportJob, out: str) -> ExportResult:
    place = urls.check_address(out)
    with urls.explain_storage_errors(f"The tables cannot be written to {out}", "export again", _AFTER_FAILURE):
        if not _store_has_marker(place) and urls.holds_parquet(place):
            raise ConfigError(
                f"There are parquet files in {out} that quivo_frames did not write. Nothing was written. "
                "Give an empty or new place."
            )
        job = job.emptying(lambda name: urls.holds_parquet(place, name))
        _write_store_marker(place, _marker_facts(job, None))
        rows = _write_files(job, place)
        job.refuse_outdated()
        _write_store_marker(place, _marker_facts(job, rows))
    return ExportResult(ExportFormat.PARQUET, out, rows)


def _store_has_marker(place: str) -> bool:
    try:
        return pl.scan_ndjson(f"{place}/{EXPORT_MARKER}").select("export").collect().to_series().to_list() == [_MARKED]
    except (FileNotFoundError, pl.exceptions.ColumnNotFoundError):
        return False


def _write_store_marker(place: str, facts: Mapping[str, Any]) -> None:
    pl.LazyFrame([{**facts, "rows": facts["rows"] or None}]).sink_ndjson(f"{place}/{EXPORT_MARKER}")
