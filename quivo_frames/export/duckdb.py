"""Noun: one DuckDB file with the tables, their keys and comments, and ready views. Only here: duckdb.

The tables pass through a parquet file beside the place, one by one: memory stays flat, and DuckDB needs no pyarrow.
The file has the storage format of DuckDB 1.0, which later versions read too; that of 2.0, earlier ones cannot.

Primary keys are there, foreign keys are not: the build has checked them, and DuckDB would keep an index for each (377
instead of 232 MiB for 100,000 orders, and a third more time) and refuse to delete an order from the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl

from quivo_frames.errors import ExportError
from quivo_frames.export.formats import Exported, Form, Outgoing
from quivo_frames.export.sql import Dialect, quoted, tables_sql
from quivo_frames.export.views import views_sql
from quivo_frames.model.tables import SCHEMA_VERSION
from quivo_frames.storage.atomic import FULL, new_file, reason

STORAGE = "v1.0.0"
_OURS = ("written_by", "quivo_frames")
_MAGIC = slice(8, 12), b"DUCK"
_ALONE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""Nothing is ever taken from the network."""


def write(outgoing: Outgoing, out: str) -> Exported:
    """The tables as one DuckDB file, in the place of what an earlier export left there; its table `about` tells of it.

    Raises:
        ConfigError: the file was not written by quivo_frames.
        ExportError: DuckDB cannot write, or the file is open elsewhere.
        OSError: the disk refused.
    """
    rows = {}
    with new_file(Path(out), _is_ours) as file, TemporaryDirectory(prefix=f"{file.name}.", dir=file.parent) as beside:
        folder = Path(beside)
        with _database(folder / file.name, out) as db:
            db.execute(tables_sql(Dialect.DUCKDB, outgoing.described, references=False))
            for name, frame in outgoing.tables.items():
                rows[name] = _fill(db, name, frame, folder / f"{name}.parquet")
            db.execute(views_sql())
            _describe(db, outgoing)
        (folder / file.name).rename(file)
    Path(f"{out}.wal").unlink(missing_ok=True)  # of the file that was replaced
    return Exported(Form.DUCKDB, out, rows)


@contextmanager
def _database(file: Path, out: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A new database, complete on the disk when the block ends well."""
    config = _ALONE | {"temp_directory": str(file.with_name("spilled")), "storage_compatibility_version": STORAGE}
    try:
        with duckdb.connect(file, config=config) as db:
            yield db
            db.execute("CHECKPOINT")
    except duckdb.Error as error:
        # What DuckDB says of a value holds the value.
        of_the_disk = isinstance(error, duckdb.IOException) or FULL in str(error)  # a commit may fail for it, too
        told = reason(error) if of_the_disk else f"DuckDB refused them ({type(error).__name__})"
        raise ExportError(
            f"The tables cannot be written to {out}: {told}. What was there before is untouched. Make room or give "
            "another place, and export again."
        ) from error


def _fill(db: duckdb.DuckDBPyConnection, name: str, frame: pl.LazyFrame, passed: Path) -> int:
    frame.sink_parquet(passed, compression="lz4")
    insert = f"INSERT INTO {quoted(name)} SELECT * FROM read_parquet(?)"  # noqa: S608 - names of the catalogue
    (count,) = db.execute(insert, [str(passed)]).fetchall()[0]
    passed.unlink()
    return int(count)


def _describe(db: duckdb.DuckDBPyConnection, outgoing: Outgoing) -> None:
    facts = [_OURS, ("version", outgoing.version), ("schema_version", str(SCHEMA_VERSION)), ("name", outgoing.name)]
    db.execute("CREATE TABLE about (fact VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)")
    db.execute("COMMENT ON TABLE about IS 'What this file is. The same tables have the same name. Times are UTC.'")
    db.executemany("INSERT INTO about VALUES (?, ?)", facts)


def _is_ours(file: Path) -> bool:
    place, magic = _MAGIC
    with file.open("rb") as stream:
        if stream.read(place.stop)[place] != magic:
            return False
    try:
        with duckdb.connect(file, read_only=True, config=_ALONE) as db:
            return db.execute("SELECT value FROM about WHERE fact = ?", _OURS[:1]).fetchone() == _OURS[1:]
    except (duckdb.CatalogException, duckdb.BinderException):
        return False
    except duckdb.Error as error:
        raise ExportError(
            f"{file} is open in another program or notebook, or cannot be read. Nothing was changed. Close it there, "
            "or give another place, and export again."
        ) from error
