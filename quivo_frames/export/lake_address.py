"""Where a DuckLake is: a folder with its catalog and its data, or a catalog in Postgres and a folder for the data.

A password never stands in an address: Postgres' own library takes it from PGPASSWORD or ~/.pgpass.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import duckdb

from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export.duckdb import open_duckdb
from quivo_frames.storage.atomic import OutputKind, find_target, refuse_output
from quivo_frames.storage.path_names import refuse_unsafe_path
from quivo_frames.storage.urls import is_remote, refuse_password

CATALOG, DATA = "catalog.ducklake", "data"
DATA_PATH = "data_path"
EXAMPLE = "postgres://user@host/database?data_path=/folder"
_SCHEMES = ("postgres", "postgresql")
_POSTGRES_SETTINGS = frozenset({
    "application_name", "connect_timeout", "host", "port", "sslcert", "sslmode", "sslrootcert",
})  # fmt: skip
"""Settings of a connection that an address may have; none of them is a secret."""
_UNSAFE_IN_PATH = r"[?\\*\[\]]"
"""Characters of a path that DuckDB reads as a pattern, as a question to a server, or as the end of a folder."""


class LakeAddress(NamedTuple):
    """The address of a lake, and what DuckLake calls its catalog.

    `folder` is that of a lake in a folder. `data_folder` is where a new lake keeps its data; None: where the catalog
    says.
    """

    out: str
    catalog: str
    folder: Path | None
    data_folder: Path | None

    @property
    def catalog_file(self) -> Path | None:
        """The file of the catalog; None for one in Postgres."""
        return self.folder / CATALOG if self.folder else None


def lake_address(out: str) -> LakeAddress:
    """The address of a lake that may be written to.

    Raises:
        ConfigError: it holds a password or cannot be read, or there is something else in the folder.
        ExportError: its catalog is open in another program.
    """
    if is_remote(out):
        return _postgres_address(out)
    folder = refuse_output(Path(out), KIND)
    refuse_unsafe_path(folder, _UNSAFE_IN_PATH, "DuckDB")
    return LakeAddress(out, str(folder / CATALOG), folder, folder / DATA)


def _postgres_address(out: str) -> LakeAddress:
    refuse_password(out)
    try:
        parts = urlsplit(out)
        port = parts.port
        given = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True))
    except ValueError as error:
        raise ConfigError(f"The address {out} cannot be read. Write it as {EXAMPLE}.") from error
    if parts.scheme not in _SCHEMES:
        raise ConfigError(
            f"ducklake is written to a folder, or to a catalog in Postgres: not to {parts.scheme}://. Write {EXAMPLE}."
        )
    data_path = given.pop(DATA_PATH, None)
    if unknown := given.keys() - _POSTGRES_SETTINGS:
        known = ", ".join((DATA_PATH, *sorted(_POSTGRES_SETTINGS)))
        raise ConfigError(f"The address sets {min(unknown)}, which it cannot. What it can set: {known}.")
    if not (database := unquote(parts.path.strip("/"))):
        raise ConfigError(f"The address {out} names no database. Write it as {EXAMPLE}.")
    if data_path is not None and not Path(data_path).is_absolute():
        raise ConfigError(f"{DATA_PATH} is the folder of the data, as an absolute path, not {data_path}.")
    named = {
        "host": unquote(parts.hostname or ""), "port": str(port or ""), "user": unquote(parts.username or ""),
        "dbname": database,
    }  # fmt: skip
    keywords = {**{name: value for name, value in named.items() if value}, **given}
    catalog = " ".join(f"{name}={_libpq_value(value)}" for name, value in keywords.items())
    folder = find_target(Path(data_path), to_folder=True) if data_path else None
    if folder:
        refuse_unsafe_path(folder, _UNSAFE_IN_PATH, "DuckDB")
    return LakeAddress(out, f"postgres:{catalog}", None, folder)


def _libpq_value(text: str) -> str:
    """A value in the form that Postgres' library reads."""
    if re.fullmatch(r"[\w./:-]+", text):
        return text
    return "'" + text.replace("\\", r"\\").replace("'", r"\'") + "'"


def _holds_lake(folder: Path) -> bool:
    """Whether the catalog of a folder is one of DuckLake, or empty, as a first export leaves it that was killed."""
    file = folder / CATALOG
    if not file.is_file():
        return False
    if not file.stat().st_size:
        return True
    with file.open("rb") as stream:
        if stream.read(12)[8:] != b"DUCK":
            return False
    try:
        with open_duckdb(file, read_only=True) as db:
            tables = {name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    except duckdb.Error as error:
        raise ExportError(
            f"{file} is open in another program or notebook, or cannot be read. Nothing was changed. Close it there, "
            "or give another place, and export again."
        ) from error
    return not tables or "ducklake_metadata" in tables


KIND = OutputKind("DuckLake", _holds_lake, is_folder=True)
