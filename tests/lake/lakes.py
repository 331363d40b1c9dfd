"""Reads a lake in two ways: with DuckLake, and without it, by what its catalog says about files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from quivo_frames.export.ducklake import write_tables
from quivo_frames.export.formats import ExportFormat, ExportResult, export_tables
from quivo_frames.export.lake_connection import _packaged_file
from quivo_frames.model.tables import TABLES
from tests.support.round_trips import export_job

CONFIG = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def export_to_lake(tables: Mapping[str, pl.DataFrame], out: Path | str, *erased: int) -> ExportResult:
    return export_tables(export_job(tables, erased), ExportFormat.DUCKLAKE, str(out))


@contextmanager
def attached(catalog: Path | str, *, options: str = "READ_ONLY") -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which a lake is attached as `lake`, as a user would attach it."""
    with duckdb.connect(config=CONFIG) as db:
        for name in ("postgres_scanner", "ducklake") if str(catalog).startswith("postgres:") else ("ducklake",):
            db.execute(f"LOAD '{_packaged_file(name)}'")
        db.execute(f"ATTACH 'ducklake:{catalog}' AS lake" + (f" ({options})" if options else ""))
        yield db


def read_lake(catalog: Path | str, version: int | None = None, copies: Path | None = None) -> dict[str, pl.DataFrame]:
    """All tables by DuckLake, of the current snapshot or an earlier one."""
    folder = copies or Path(str(catalog)).parent.parent
    at = "" if version is None else f" AT (VERSION => {version})"
    found = {}
    with attached(catalog) as db:
        for name in TABLES:
            copy = folder / f"{name}.copy.parquet"
            db.execute(f"COPY (FROM lake.{name}{at}) TO '{copy}'")
            found[name] = pl.read_parquet(copy)
            copy.unlink()
    return found


def snapshots(catalog: Path | str) -> list[tuple[int, str | None, str | None]]:
    """Number, author and message of each snapshot."""
    with attached(catalog) as db:
        return db.execute("SELECT snapshot_id, author, commit_message FROM lake.snapshots() ORDER BY 1").fetchall()


def read_files(folder: Path) -> dict[str, pl.DataFrame]:
    """All tables without DuckLake: the data files that the catalog names, less the rows that delete files name."""
    found: dict[str, pl.DataFrame] = {}
    with duckdb.connect(folder / "catalog.ducklake", read_only=True, config=CONFIG) as db:
        for name, table in TABLES.items():
            files = db.execute(
                "SELECT data.path, gone.path FROM ducklake_data_file AS data JOIN ducklake_table AS t USING (table_id) "
                "LEFT JOIN ducklake_delete_file AS gone ON gone.data_file_id = data.data_file_id "
                "AND gone.end_snapshot IS NULL "
                "WHERE t.table_name = ? AND t.end_snapshot IS NULL AND data.end_snapshot IS NULL",
                [name],
            ).fetchall()
            parts = [table.empty_frame()]
            for data, gone in files:
                rows = pl.read_parquet(folder / "data" / "main" / name / data).with_row_index("pos")
                if gone:
                    deleted = pl.read_parquet(folder / "data" / "main" / name / gone)["pos"]
                    rows = rows.filter(~pl.col("pos").is_in(deleted.implode()))
                parts.append(rows.drop("pos"))
            found[name] = pl.concat(parts)
    return found


def text_of_catalog(file: Path) -> str:
    """Every cell of every table of a catalog."""
    with duckdb.connect(file, read_only=True, config=CONFIG) as db:
        names = [name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return "\n".join(str(db.execute(f"SELECT COLUMNS(*)::VARCHAR FROM {name}").fetchall()) for name in names)


__all__ = ["attached", "export_to_lake", "read_files", "read_lake", "snapshots", "text_of_catalog", "write_tables"]
