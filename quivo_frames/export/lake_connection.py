"""Opens a DuckLake in DuckDB: its extension, its catalog, and what its errors mean.

DuckDB would download the extension. Here it is loaded if it is installed, or from a package of the package index.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import duckdb

from quivo_frames.errors import ConfigError, ExportError, QuivoError, is_disk_full
from quivo_frames.export.duckdb import open_duckdb
from quivo_frames.export.lake_address import DATA_PATH, EXAMPLE, LakeAddress
from quivo_frames.export.sql import quote_literal
from quivo_frames.storage.atomic import create_private_folder, explain_disk_error

LAKE = "lake"
"""The name of the lake in DuckDB."""
METADATA = f"__ducklake_metadata_{LAKE}"
"""The name under which DuckLake attaches the catalog itself."""
_PACKAGES = {
    "ducklake": "duckdb-extension-ducklake",
    "postgres_scanner": "duckdb-extension-postgres-scanner",
}
_CONFLICTS = ("conflict", "Conflict")
_LOCKED = ("Could not set lock", "being used by another process", "database is locked", "Unique file handle conflict")


def _missing_extension(db: duckdb.DuckDBPyConnection, address: LakeAddress) -> str | None:
    """Load the extensions of DuckDB that a lake needs, without the network; the name of one that is not installed."""
    names = ("ducklake",) if address.folder else ("postgres_scanner", "ducklake")
    return next((name for name in names if not _load_extension(db, name)), None)


def _load_extension(db: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Load an extension that DuckDB has installed, else that of a package; whether there is one."""
    for extension in (name, _packaged_file(name)):
        with suppress(duckdb.Error):  # it is not there, or fits another version
            if extension:
                db.execute(f"LOAD {quote_literal(str(extension))}")
                return True
    return False


def _packaged_file(name: str) -> Path | None:
    """The file of an extension in its package, if that is installed for this version of DuckDB."""
    spec = find_spec(_PACKAGES[name].replace("-", "_"))
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder, "extensions", f"v{duckdb.__version__}", f"{name}.duckdb_extension")
        if file.is_file():
            return file
    return None


@contextmanager
def connect_duckdb(address: LakeAddress) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the extensions that a lake needs; nothing is opened or made yet.

    Raises:
        ConfigError: one is not installed.
        ExportError: DuckDB fails in the block.
    """
    with explain_lake_errors(address):
        with open_duckdb() as db:
            if (missing := _missing_extension(db, address)) is None:
                yield db
                return
        raise ConfigError(
            f"ducklake needs DuckDB's extension {missing}, which is not installed for DuckDB {duckdb.__version__}. "
            f"Install it: pip install {_PACKAGES[missing]}, which brings the DuckDB that it fits; or in DuckDB, with a "
            f"network: INSTALL {missing}."
        )


def attach_lake(db: duckdb.DuckDBPyConnection, address: LakeAddress, temporary: Path) -> None:
    """Attach the lake, which is made if there is none, and use it; temporary files go to a folder.

    Raises:
        ConfigError: a new lake in Postgres has no folder for its data.
        duckdb.Error: the lake cannot be opened.
    """
    db.execute(f"SET temp_directory = {quote_literal(str(temporary))}")
    _attach(db, address)
    if folder := data_folder(db):
        create_private_folder(folder)
    db.execute(f"USE {LAKE}")


def _attach(db: duckdb.DuckDBPyConnection, address: LakeAddress) -> None:
    """Attach the lake. Rows go into files of their own, however few they are: no order stands in the catalog."""
    options = ["DATA_INLINING_ROW_LIMIT 0"]
    if (known := _known_data_path(db, address)) is None:
        if address.data_folder is None:
            raise ConfigError(f"There is no lake in that database yet. Say where its data goes, as in {EXAMPLE}.")
        options.append(f"DATA_PATH {quote_literal(f'{address.data_folder}/')}")
    elif address.data_folder and Path(known) != address.data_folder:
        if address.folder is None:
            raise ConfigError(f"The lake in that database has its data in {known}. Leave out {DATA_PATH}.")
        if not Path(known).exists() and address.data_folder.exists():  # the folder was moved
            options += [f"DATA_PATH {quote_literal(f'{address.data_folder}/')}", "OVERRIDE_DATA_PATH true"]
    db.execute(f"ATTACH {quote_literal(f'ducklake:{address.catalog}')} AS {LAKE} ({', '.join(options)})")


def _known_data_path(db: duckdb.DuckDBPyConnection, address: LakeAddress) -> str | None:
    """The folder of the data as the catalog says; None if there is no lake yet."""
    if (file := address.catalog_file) is not None and not file.exists():
        return None
    catalog, kind = (str(file), "") if file else (address.catalog.removeprefix("postgres:"), "TYPE postgres, ")
    db.execute(f"ATTACH {quote_literal(catalog)} AS known ({kind}READ_ONLY)")
    try:
        tables = "SELECT schema_name FROM duckdb_tables() WHERE database_name = 'known' AND table_name = ?"
        if (found := db.execute(tables, ["ducklake_metadata"]).fetchone()) is None:
            return None
        path = f"SELECT value FROM known.{found[0]}.ducklake_metadata WHERE key = 'data_path' AND scope IS NULL"  # noqa: S608 - a schema
        (value,) = db.execute(path).fetchone() or (None,)
        return None if value is None else str(value)
    finally:
        db.execute("DETACH known")


def data_folder(db: duckdb.DuckDBPyConnection) -> Path | None:
    """The folder of the data of an attached lake; None if it is not on this machine."""
    (path,) = db.execute("SELECT data_path FROM ducklake_settings(?)", [LAKE]).fetchone() or ("",)
    return None if "://" in path else Path(path)


@contextmanager
def explain_lake_errors(address: LakeAddress) -> Iterator[None]:
    """Raise errors of DuckDB in the block as a sentence. Their texts may hold values of orders: none is passed on.

    Raises:
        ExportError: what failed, and what to do.
    """
    try:
        yield
    except QuivoError:
        raise
    except duckdb.Error as error:
        raise ExportError(_explain_duckdb_error(error, address)) from error


def _explain_duckdb_error(error: duckdb.Error, address: LakeAddress) -> str:
    text, untouched = str(error), "The lake is as it was."
    if any(sign in text for sign in _LOCKED):
        return (
            f"The catalog of {address.out} is open in another program or notebook. {untouched} Close it there, and "
            "export again."
        )
    if any(sign in text for sign in _CONFLICTS):
        return f"Another job changed {address.out} at the same time, and was first. {untouched} Export again."
    if address.folder is None and ("connect" in text or "authentication" in text):
        return (
            f"The database of {address.out} cannot be reached, or refuses. {untouched} Look at host, user and "
            "database, and at PGPASSWORD or ~/.pgpass, and export again."
        )
    if is_disk_full(error) or (isinstance(error, duckdb.IOException) and address.folder):
        cause = explain_disk_error(error)
    else:
        cause = f"DuckDB refused them ({type(error).__name__})"
    return (
        f"The tables cannot be written to {address.out}: {cause}. {untouched} Make room or give another place, and "
        "export again."
    )
