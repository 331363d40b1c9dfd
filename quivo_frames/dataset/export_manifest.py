"""Makes a folder of exported parquet files a dataset: with failures, notes, and a manifest that says where from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from quivo_frames.dataset.manifest import MANIFEST, DatasetFile, render_manifest
from quivo_frames.dataset.manifest_facts import EXPORTED, ExportOrigin
from quivo_frames.dataset.stored_tables import StoredTables
from quivo_frames.dataset.table_profile import profile_rows
from quivo_frames.model.carriers import usual_providers_among
from quivo_frames.model.tables import ORDER_ID, REPORT_TABLES, TABLES, Table
from quivo_frames.storage.parquet import write_parquet_table
from quivo_frames.storage.place import open_place


def write_export_manifest(
    tables: StoredTables, definitions: Mapping[str, Table], privacy: Mapping[str, str], erased: Sequence[int],
    folder: Path,
) -> None:  # fmt: skip
    """Write failures, notes and the manifest beside the files of tables that were exported to a folder.

    `privacy` is the privacy entry of the export. No id of `erased` orders is in any of them.
    """
    is_erased = pl.col(ORDER_ID.name).is_in(pl.Series(erased, dtype=pl.Int64).implode()).fill_null(value=False)
    failures = tables.lazy("failures").filter(~is_erased)
    notes = tables.lazy("notes").with_columns(pl.when(~is_erased).then(ORDER_ID.name).alias(ORDER_ID.name))
    for name, rows in {"failures": failures, "notes": notes}.items():
        write_parquet_table(rows, folder / f"{name}.parquet", REPORT_TABLES[name])
    files = {name: [_describe_file(folder, f"{name}.parquet")] for name in (*definitions, *REPORT_TABLES)}
    (folder / MANIFEST).write_bytes(render_manifest(_export_facts(tables, files, privacy, erased, folder), files, {}))


def _describe_file(folder: Path, name: str) -> DatasetFile:
    file = folder / name
    digest = open_place(folder).file_digest(name)
    assert digest is not None
    rows = pl.scan_parquet(file, glob=False).select(pl.len()).collect().item()
    return DatasetFile(name, rows, file.stat().st_size, digest)


def _export_facts(
    tables: StoredTables, files: Mapping[str, Sequence[DatasetFile]], privacy: Mapping[str, str],
    erased: Sequence[int], folder: Path,
) -> dict[str, Any]:  # fmt: skip
    """What the manifest says besides the files; times are those of the build, so that the same tables give the same."""
    out, failed = (files[name][0].rows for name in ("orders", "failures"))
    before = tables.origin
    where = (*(before.where if before else ()), *tables.conditions)
    shipments = pl.scan_parquet(folder / "shipments.parquet", glob=False)
    origin = ExportOrigin(
        tables.name, Path(tables.address).name, tuple(conditions.without_orders(erased) for conditions in where),
        dict(usual_providers_among(tables.usual_providers, shipments).iter_rows()),
    )  # fmt: skip
    return {
        "version": tables.manifest["version"],
        "built_at": tables.manifest["built_at"],
        "privacy": dict(privacy),
        "with_derived": bool(tables.derived),
        "inputs": [],
        "orders": {"in": out + failed, "out": out, "failed": failed, "superseded": 0},
        "made": 0,
        EXPORTED: msgspec.to_builtins(origin),
        "profile": {
            name: profile_rows(table, pl.scan_parquet(folder / f"{name}.parquet", glob=False))
            for name, table in TABLES.items()
        },
    }
