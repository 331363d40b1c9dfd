"""The past of a DuckLake: snapshots and files that held erased orders, and what interrupted exports left.

DuckLake keeps the files of all snapshots. To erase orders, all snapshots of their tables but the last are removed, and
with them the files that only those name.
"""

# ruff: noqa: S608 - what stands in statements are names, quoted

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import duckdb

from quivo_frames.errors import ExportError
from quivo_frames.export.duckdb import open_duckdb
from quivo_frames.export.lake_connection import LAKE, METADATA, data_folder
from quivo_frames.export.sql import quote_literal
from quivo_frames.storage.atomic import Workspace, renamed_when_complete

_ORPHAN_SECONDS = 24 * 3600
"""A file that no catalog names may belong to a commit of another machine that is on its way."""
_STATISTICS = ("ducklake_file_column_stats", "ducklake_table_column_stats")
"""Tables of the catalog with minima and maxima of columns."""


def remove_orphans(db: duckdb.DuckDBPyConnection, names: Sequence[str], *, is_alone: bool, is_erasing: bool) -> None:
    """Remove data files of our tables that the catalog does not name: an interrupted export left them.

    `is_alone`: nobody else can write to the lake now. Else only files of more than a day are removed.

    Raises:
        ExportError: orders are to be erased, and younger files may hold them.
    """
    folder, young = data_folder(db), []
    if folder is None:
        return
    files = f"{METADATA}.ducklake_data_file", f"{METADATA}.ducklake_delete_file"
    scheduled = f"{METADATA}.ducklake_files_scheduled_for_deletion"
    paths = " UNION ALL ".join(f"SELECT path FROM {table}" for table in (*files, scheduled))
    named = {Path(path).name for (path,) in db.execute(paths).fetchall()}
    for file in (file for name in names for file in (folder / "main" / name).glob("ducklake-*.parquet")):
        if file.name not in named:
            if is_alone or time.time() - file.stat().st_mtime > _ORPHAN_SECONDS:
                file.unlink(missing_ok=True)
            else:
                young.append(file)
    if young and is_erasing:
        raise ExportError(
            f"{folder} holds files that no catalog names, less than a day old: an export is running on another "
            "machine, or was ended. Nothing was erased. Forget again when it has ended, or after a day."
        )


def snapshots_with(db: duckdb.DuckDBPyConnection, names: Sequence[str]) -> list[int]:
    """The snapshots in which there are tables of these names."""
    among = ", ".join(map(quote_literal, names))
    first = f"SELECT min(begin_snapshot) FROM {METADATA}.ducklake_table WHERE table_name IN ({among})"
    found = f"SELECT snapshot_id FROM ducklake_snapshots('{LAKE}') WHERE snapshot_id >= ({first}) ORDER BY ALL"
    return [version for (version,) in db.execute(found).fetchall()]


def remove_history(db: duckdb.DuckDBPyConnection, versions: Sequence[int], *, is_alone: bool) -> None:
    """Remove snapshots, the files that no other snapshot names, and what the catalog knew of them."""
    if versions:
        db.execute(f"CALL ducklake_expire_snapshots('{LAKE}', versions => {list(versions)})")
    db.execute(f"CALL ducklake_cleanup_old_files('{LAKE}', cleanup_all => true)")
    if not is_alone:
        for table in _STATISTICS:  # Postgres keeps deleted rows in its files until then
            db.execute(f"CALL postgres_execute('{METADATA}', 'VACUUM FULL {table}', use_transaction => false)")


def rewrite_catalog_file(file: Path) -> None:
    """Write the file of a catalog again: DuckDB leaves the bytes of deleted rows in it.

    Raises:
        duckdb.Error: it is open elsewhere, or cannot be written. It stays as it was.
    """
    new = Workspace.of(file).new
    new.unlink(missing_ok=True)
    with renamed_when_complete(new, file), open_duckdb() as db:
        db.execute(f"ATTACH {quote_literal(str(file))} AS earlier; CHECKPOINT earlier")
        db.execute(f"ATTACH {quote_literal(str(new))} AS rewritten; COPY FROM DATABASE earlier TO rewritten")
        db.execute("CHECKPOINT rewritten; DETACH rewritten")
    file.with_name(f"{file.name}.wal").unlink(missing_ok=True)
