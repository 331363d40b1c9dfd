"""The SQLite file of an archive: its tables, how it is opened, and what its errors mean."""

from __future__ import annotations

import os
import shutil
import sqlite3
import zlib
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from quivo_frames.errors import ArchiveError, ConfigError
from quivo_frames.storage.atomic import open_private_file, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION_ID = 0x51764672  # "QvFr"
FORMAT_VERSION = 3
PAGE_BYTES = 16384  # a compressed answer takes 2-3 KB: pages of 4 KB would be half empty
DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)  # the second where a message quotes a damaged schema
BUSY_SECONDS = 30  # to wait for another process that has locked the file for a moment

ERASURES = """
CREATE TABLE IF NOT EXISTS erasures (
    erasure INTEGER PRIMARY KEY AUTOINCREMENT, order_id INTEGER NOT NULL, at TEXT NOT NULL, reason TEXT NOT NULL,
    seal INTEGER
);
CREATE INDEX IF NOT EXISTS erasures_order ON erasures (order_id);
"""
SCHEMA = f"""
BEGIN;
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, digest TEXT NOT NULL, asked INTEGER NOT NULL, started_at TEXT NOT NULL, finished_at TEXT,
    seal INTEGER
);
CREATE INDEX runs_digest ON runs (digest, run);
CREATE TABLE asked (run INTEGER NOT NULL, order_id INTEGER NOT NULL, PRIMARY KEY (run, order_id)) WITHOUT ROWID;
CREATE TABLE responses (
    response INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, run INTEGER NOT NULL, fetched_at TEXT NOT NULL,
    http_status INTEGER, headers TEXT NOT NULL, good INTEGER NOT NULL, size INTEGER NOT NULL, sha256 BLOB NOT NULL,
    body BLOB NOT NULL, seal INTEGER
);
CREATE INDEX responses_good ON responses (order_id, fetched_at) WHERE good;
CREATE TABLE attempts (
    attempt INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, run INTEGER NOT NULL, at TEXT NOT NULL,
    tries INTEGER NOT NULL, seconds REAL NOT NULL, outcome TEXT NOT NULL, http_status INTEGER, message TEXT NOT NULL,
    throttled INTEGER NOT NULL DEFAULT 0, latency REAL, seal INTEGER
);
CREATE INDEX attempts_run ON attempts (run, order_id);
CREATE INDEX attempts_order ON attempts (order_id);
{ERASURES}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT_VERSION};
COMMIT;
"""
_LATER_COLUMNS = {
    "attempts": {"throttled": "INTEGER NOT NULL DEFAULT 0", "latency": "REAL", "seal": "INTEGER"},
    "responses": {"seal": "INTEGER"},
    "runs": {"seal": "INTEGER"},
}
"""The columns that came with the formats 2 and 3, by table, with their types."""

SEALED_COLUMNS = {
    "runs": ("digest", "asked", "started_at", "finished_at"),
    "responses": ("order_id", "run", "fetched_at", "http_status", "headers", "good", "size", "sha256"),
    "attempts": (
        "order_id", "run", "at", "tries", "throttled", "seconds", "latency", "outcome", "http_status", "message",
    ),
    "erasures": ("order_id", "at", "reason"),
    "services": ("service", "since"),
}  # fmt: skip
"""The columns that the seal of a row covers, by table; the body of a response is covered by its sha256."""
RENEW_SEAL = {
    table: f"UPDATE {table} SET seal = row_seal({', '.join(columns)})"  # noqa: S608
    for table, columns in SEALED_COLUMNS.items()
}
"""SQL that seals rows as they are now, by table, without its condition."""


def read_format_version(path: Path) -> int:
    """The format version of the archive in a file; 0 for a missing or empty file.

    Raises:
        ConfigError: the file is no archive, or a later version wrote it.
        ArchiveError: the file cannot be read.
    """
    if not path.exists():
        return 0
    if not path.is_file():
        raise _not_an_archive(path)
    try:
        with closing(_open_connection(path, "ro")) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (found,) = db.execute("PRAGMA user_version").fetchone()
            is_empty = application == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except DATABASE_ERRORS as error:
        if _is_sqlite_error(error, "NOTADB"):
            raise _not_an_archive(path) from error
        raise explain_database_error(path, error) from error
    if application != APPLICATION_ID and not is_empty:
        raise _not_an_archive(path)
    if found > FORMAT_VERSION:
        raise ConfigError(f"{path} was written by a newer quivo_frames: update this one to read it.")
    if not (found or is_empty):
        raise explain_database_error(path, sqlite3.DatabaseError("it does not say its format"), is_damaged=True)
    return 0 if is_empty else int(found)


def open_for_writing(path: Path) -> sqlite3.Connection:
    """A connection that writes; a missing file is created, an older format is migrated.

    What is committed is on the disk: synchronous is FULL, and the folder of a new file is synced too.

    Raises:
        ConfigError: as for `read_format_version`.
        ArchiveError: the file cannot be written.
    """
    try:
        found = read_format_version(path)
        os.close(open_private_file(path))
        db = _open_connection(path, "rw")
        for pragma in (f"page_size = {PAGE_BYTES}", "journal_mode = WAL", "synchronous = FULL"):
            db.execute(f"PRAGMA {pragma}")
        if not found:
            db.executescript(SCHEMA)
            sync_folder(path.parent)
        elif found < FORMAT_VERSION:
            _migrate(db)
    except (OSError, *DATABASE_ERRORS) as error:
        raise explain_database_error(path, error) from error
    return db


@contextmanager
def open_for_reading(path: Path, *, missing_ok: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection that reads the archive as it is now, while others may write.

    With `missing_ok`, a missing file counts as an empty archive.

    Raises:
        ConfigError: there is no archive; also as for `read_format_version`.
        ArchiveError: the file cannot be read, now or inside the block.
    """
    found = read_format_version(path)
    if not found and not missing_ok:
        raise ConfigError(f"There is no archive {path} yet: check the name, or refetch orders into it first.")
    try:
        with closing(_open_connection(path, "ro") if found else sqlite3.connect("", isolation_level=None)) as db:
            if not found:
                db.executescript(SCHEMA)
            elif found < FORMAT_VERSION:
                _show_as_current_format(db)
            db.execute("BEGIN")  # all that is read in the block is of one moment
            yield db
    except DATABASE_ERRORS as error:
        raise explain_database_error(path, error) from error


def explain_database_error(path: Path, error: Exception, *, is_damaged: bool = False) -> ArchiveError:
    """An error of the system or of SQLite as a sentence for the user."""
    # SQLite has no word of its own for a disk that has no room for its shared memory
    if _is_sqlite_error(error, "FULL") or (_is_sqlite_error(error, "IOERR") and not _has_room(path.parent)):
        return ArchiveError(
            f"The disk is full, {path} cannot grow: free some space and do the same again, "
            "it goes on where it stopped. Nothing that was kept is lost."
        )
    if is_damaged or is_damage(error):
        cause = "its schema cannot be read" if isinstance(error, UnicodeDecodeError) else error
        return ArchiveError(
            f"{path} is damaged ({cause}): take it from a backup. `quivo-frames check` says what of it is still whole."
        )
    return ArchiveError(
        f"{path} cannot be read or written ({error}): check the disk and the permissions, then do the same again."
    )


def _has_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free >= _SHARED_MEMORY_BYTES
    except OSError:
        return True


_SHARED_MEMORY_BYTES = 2**15
"""SQLite's shared memory grows by this."""


@contextmanager
def refuse_damaged_values() -> Iterator[None]:
    """Raise an error about a value that is read in the block as what it means: the file is damaged.

    Raises:
        sqlite3.DatabaseError: a value is none that the archive writes.
    """
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        damage = sqlite3.DatabaseError("a value of the ledger cannot be read")
        damage.sqlite_errorname = "SQLITE_CORRUPT"
        raise damage from error


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that the file is not as it was written; an error of our SQL means a damaged schema."""
    names = ("CORRUPT", "NOTADB", "TOOBIG", "FORMAT", "MISMATCH")
    if isinstance(error, UnicodeDecodeError):
        return True
    return str(getattr(error, "sqlite_errorname", "")) == "SQLITE_ERROR" or any(
        _is_sqlite_error(error, name) for name in names
    )


def row_seal(*values: object) -> int:
    """A checksum of the values of a row, with which `check` finds a changed bit in columns without a digest."""
    return zlib.crc32(repr(values).encode("utf-8", "replace"))


def format_instant(moment: datetime | None) -> str:
    """UTC with microseconds, as text that sorts by time; None sorts after all instants."""
    return "9999" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _open_connection(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    # a damaged text must not end the reading of all others
    db.text_factory = lambda text: text.decode("utf-8", "replace")
    db.create_function("row_seal", -1, row_seal, deterministic=True)
    return db


def _missing_columns(db: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The columns that an older format lacks, by table, with their types."""
    existing = {table: {row[1] for row in db.execute(f"PRAGMA main.table_info({table})")} for table in _LATER_COLUMNS}
    return {
        table: {name: kind for name, kind in columns.items() if name not in existing[table]}
        for table, columns in _LATER_COLUMNS.items()
    }


def _migrate(db: sqlite3.Connection) -> None:
    """Bring an archive of an older format to the current one; rows that are there get no seal."""
    added = "".join(
        f"ALTER TABLE {table} ADD COLUMN {name} {kind};\n"
        for table, columns in _missing_columns(db).items()
        for name, kind in columns.items()
    )
    db.executescript(f"BEGIN IMMEDIATE;\n{added}{ERASURES}\nPRAGMA user_version = {FORMAT_VERSION};\nCOMMIT;")


def _show_as_current_format(db: sqlite3.Connection) -> None:
    """Let a reading connection see an archive of an older format as one of the current format, without changing it."""
    for table, columns in _missing_columns(db).items():
        if table != "responses" and columns:  # of responses, nobody reads the later columns without looking first
            added = ", ".join(f"{'0' if 'NOT NULL' in kind else 'NULL'} AS {name}" for name, kind in columns.items())
            db.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {added} FROM main.{table}")  # noqa: S608 - our names
    if not db.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'erasures'").fetchone():
        db.execute(ERASURES.partition(";")[0].replace("CREATE TABLE", "CREATE TEMP TABLE"))


def _not_an_archive(path: Path) -> ConfigError:
    return ConfigError(f"{path} is not an archive of quivo_frames: name another file.")


def _is_sqlite_error(error: Exception, name: str) -> bool:
    return str(getattr(error, "sqlite_errorname", "")).startswith(f"SQLITE_{name}")
