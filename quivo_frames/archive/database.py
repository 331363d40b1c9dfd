"""The SQLite file of an archive: its tables, how it is opened, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from quivo_frames.errors import ArchiveError, ConfigError
from quivo_frames.storage.atomic import open_private_file, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION_ID = 0x51764672  # "QvFr"
FORMAT_VERSION = 2
PAGE_BYTES = 16384  # a compressed answer takes 2-3 KB: pages of 4 KB would be half empty
BUSY_SECONDS = 30  # to wait for another process that has locked the file for a moment

SCHEMA = f"""
BEGIN;
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, digest TEXT NOT NULL, asked INTEGER NOT NULL, started_at TEXT NOT NULL, finished_at TEXT
);
CREATE INDEX runs_digest ON runs (digest, run);
CREATE TABLE asked (run INTEGER NOT NULL, order_id INTEGER NOT NULL, PRIMARY KEY (run, order_id)) WITHOUT ROWID;
CREATE TABLE responses (
    response INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, run INTEGER NOT NULL, fetched_at TEXT NOT NULL,
    http_status INTEGER, headers TEXT NOT NULL, good INTEGER NOT NULL, size INTEGER NOT NULL, sha256 BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX responses_good ON responses (order_id, fetched_at) WHERE good;
CREATE TABLE attempts (
    attempt INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, run INTEGER NOT NULL, at TEXT NOT NULL,
    tries INTEGER NOT NULL, seconds REAL NOT NULL, outcome TEXT NOT NULL, http_status INTEGER, message TEXT NOT NULL,
    throttled INTEGER NOT NULL DEFAULT 0, latency REAL
);
CREATE INDEX attempts_run ON attempts (run, order_id);
CREATE INDEX attempts_order ON attempts (order_id);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT_VERSION};
COMMIT;
"""
_MIGRATE_1_TO_2 = f"""
BEGIN;
ALTER TABLE attempts ADD COLUMN throttled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN latency REAL;
PRAGMA user_version = {FORMAT_VERSION};
COMMIT;
"""
_VIEW_AS_FORMAT_2 = "CREATE TEMP VIEW attempts AS SELECT *, 0 AS throttled, NULL AS latency FROM main.attempts"


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
    except sqlite3.Error as error:
        if _is_sqlite_error(error, "NOTADB"):
            raise _not_an_archive(path) from error
        raise explain_database_error(path, error) from error
    if application != APPLICATION_ID and not is_empty:
        raise _not_an_archive(path)
    if found > FORMAT_VERSION:
        raise ConfigError(f"{path} was written by a newer quivo_frames: update this one to read it.")
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
            db.executescript(_MIGRATE_1_TO_2)
    except (OSError, sqlite3.Error) as error:
        raise explain_database_error(path, error) from error
    return db


@contextmanager
def open_for_reading(path: Path, *, missing_ok: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection that reads, while others may write; with `missing_ok`, a missing file counts as an empty archive.

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
                db.execute(_VIEW_AS_FORMAT_2)
            yield db
    except sqlite3.Error as error:
        raise explain_database_error(path, error) from error


def explain_database_error(path: Path, error: Exception) -> ArchiveError:
    """An error of the system or of SQLite as a sentence for the user."""
    if _is_sqlite_error(error, "FULL"):
        return ArchiveError(
            f"The disk is full, {path} cannot grow: free some space and do the same again, "
            "it goes on where it stopped. Nothing that was kept is lost."
        )
    return ArchiveError(
        f"{path} cannot be read or written ({error}): check the disk and the permissions, then do the same again."
    )


def format_instant(moment: datetime | None) -> str:
    """UTC with microseconds, as text that sorts by time; None sorts after all instants."""
    return "9999" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _open_connection(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)


def _not_an_archive(path: Path) -> ConfigError:
    return ConfigError(f"{path} is not an archive of quivo_frames: name another file.")


def _is_sqlite_error(error: Exception, name: str) -> bool:
    return str(getattr(error, "sqlite_errorname", "")).startswith(f"SQLITE_{name}")
