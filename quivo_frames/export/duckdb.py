"""DuckDB export: one file with the tables, primary keys, comments and views.

Each table passes through a temporary parquet file: memory stays flat, and DuckDB needs no pyarrow. The file has the
storage format of DuckDB 1.0, which all later versions read; earlier versions could not read that of 2.0.

There are no foreign keys: the build has checked them, and DuckDB would keep an index for each (377 instead of 232 MiB
for 100,000 orders, and a third more time) and refuse to delete an order from the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import polars as pl

from quivo_frames.errors import ExportError, is_disk_full
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult
from quivo_frames.export.sql import Dialect, quote_identifier, tables_sql
from quivo_frames.export.views import views_sql
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.tables import SCHEMA_VERSION
from quivo_frames.storage.atomic import OutputKind, explain_disk_error, find_target, new_file, temporary_folder_of
from quivo_frames.storage.path_names import refuse_unsafe_path

STORAGE_VERSION = "v1.0.0"
_WRITTEN_BY = ("written_by", "quivo_frames")
_MAGIC = slice(8, 12), b"DUCK"
_UNSAFE_IN_PATH = r"[?\\]"
"""Characters of a path that DuckDB reads as a question to a server, or as the end of a folder."""
_OFFLINE: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""DuckDB must not download extensions."""


@contextmanager
def open_duckdb(
    file: str | Path = ":memory:", *, read_only: bool = False, config: Mapping[str, str] = MappingProxyType({})
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that downloads nothing, in which Ctrl-C is a KeyboardInterrupt: DuckDB raises another error."""
    try:
        with duckdb.connect(file, read_only=read_only, config={**_OFFLINE, **config}) as db:
            yield db
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except RuntimeError as error:
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


def write_tables(job: ExportJob, out: str) -> ExportResult:
    """Write the tables to one DuckDB file, which replaces an earlier export; its table `about` describes it.

    Raises:
        ConfigError: the file was not written by quivo_frames.
        ExportError: DuckDB cannot write, or the file is open elsewhere.
        OSError: the disk refuses.
    """
    refuse_unsafe_path(find_target(Path(out), to_folder=False), _UNSAFE_IN_PATH, "DuckDB")
    rows = {}
    with new_file(Path(out), KIND) as file, temporary_folder_of(file) as folder:
        is_replaced = Path(out).exists()
        with _new_database(folder / file.name, out) as db:
            db.execute(tables_sql(Dialect.DUCKDB, job.definitions, references=False))
            for name, frame in job.tables.items():
                rows[name] = _load_table(db, name, frame, folder / f"{name}.parquet")
            db.execute(views_sql(derived=DERIVED_TABLES.keys() <= job.definitions.keys()))
            _write_about_table(db, job)
        job.refuse_outdated()
        (folder / file.name).rename(file)
    if is_replaced:
        Path(f"{out}.wal").unlink(missing_ok=True)  # a log of the replaced file
    return ExportResult(ExportFormat.DUCKDB, out, rows)


@contextmanager
def _new_database(file: Path, out: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A new database, complete on disk after the block.

    Raises:
        ExportError: DuckDB fails. Its message may contain values of orders, so only the kind of error is passed on.
    """
    config = {
        "temp_directory": str(file.with_name("spilled")),
        "storage_compatibility_version": STORAGE_VERSION,
    }
    try:
        with open_duckdb(file, config=config) as db:
            yield db
            db.execute("CHECKPOINT")
    except duckdb.Error as error:
        # A commit reports a full disk as a TransactionException.
        is_disk_error = isinstance(error, duckdb.IOException) or is_disk_full(error)
        cause = explain_disk_error(error) if is_disk_error else f"DuckDB refused them ({type(error).__name__})"
        raise ExportError(
            f"The tables cannot be written to {out}: {cause}. What was there before is untouched. Make room or give "
            "another place, and export again."
        ) from error


def _load_table(db: duckdb.DuckDBPyConnection, name: str, frame: pl.LazyFrame, parquet_file: Path) -> int:
    frame.sink_parquet(parquet_file, compression="lz4")
    insert = f"INSERT INTO {quote_identifier(name)} SELECT * FROM read_parquet(?, hive_partitioning = false)"  # noqa: S608 - a table of the schema
    (count,) = db.execute(insert, [str(parquet_file)]).fetchall()[0]
    parquet_file.unlink()
    return int(count)


def _write_about_table(db: duckdb.DuckDBPyConnection, job: ExportJob) -> None:
    facts = [
        _WRITTEN_BY,
        ("version", job.version),
        ("schema_version", str(SCHEMA_VERSION)),
        ("name", job.snapshot_name),
    ]
    db.execute("CREATE TABLE about (fact VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)")
    db.execute("COMMENT ON TABLE about IS 'What this file is. The same tables have the same name. Times are UTC.'")
    db.executemany("INSERT INTO about VALUES (?, ?)", facts)


def find_orders(file: Path, order_ids: Collection[int]) -> Iterator[int]:
    """Those of some orders that a DuckDB file holds.

    Raises:
        ExportError: it cannot be read.
    """
    tables = """
        SELECT table_name FROM information_schema.columns
        JOIN information_schema.tables USING (table_schema, table_name)
        WHERE column_name = 'order_id' AND table_type = 'BASE TABLE'"""
    try:
        with open_duckdb(file, read_only=True) as db:
            for (name,) in db.execute(tables).fetchall():
                held = f"SELECT DISTINCT order_id FROM {quote_identifier(name)} WHERE order_id IN (SELECT unnest(?))"  # noqa: S608 - a name of the file, quoted
                yield from (order_id for (order_id,) in db.execute(held, [list(order_ids)]).fetchall())
    except duckdb.Error as error:
        raise ExportError(f"{file} cannot be read as a DuckDB file.") from error


def _is_earlier_export(file: Path) -> bool:
    place, magic = _MAGIC
    with file.open("rb") as stream:
        if stream.read(place.stop)[place] != magic:
            return False
    try:
        with open_duckdb(file, read_only=True) as db:
            return db.execute("SELECT value FROM about WHERE fact = ?", _WRITTEN_BY[:1]).fetchone() == _WRITTEN_BY[1:]
    except (duckdb.CatalogException, duckdb.BinderException):
        return False
    except duckdb.Error as error:
        raise ExportError(
            f"{file} is open in another program or notebook, or cannot be read. Nothing was changed. Close it there, "
            "or give another place, and export again."
        ) from error


KIND = OutputKind("DuckDB export", _is_earlier_export, (".duckdb", ".ddb", ".db"))
