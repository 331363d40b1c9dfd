"""Noun: the SQLite file of an archive: its layout, how it is opened, and what its troubles mean."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from quivo_frames.errors import ArchiveError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION_ID = 0x51764672  # "QvFr"
FORMAT = 2
PAGE_BYTES = 16384  # an answer takes 2-3 KB compressed: pages of 4 KB would be half empty
WAIT_SECONDS = 30  # for another process that holds the file for a moment

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
PRAGMA user_version = {FORMAT};
COMMIT;
"""
_FROM_1_TO_2 = f"""
BEGIN;
ALTER TABLE attempts ADD COLUMN throttled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN latency REAL;
PRAGMA user_version = {FORMAT};
COMMIT;
"""
_SEEN_AS_2 = "CREATE TEMP VIEW attempts AS SELECT *, 0 AS throttled, NULL AS latency FROM main.attempts"


def found_format(path: Path) -> int:
    """The format of the archive in a file, 0 where there is none yet.

    Raises:
        ConfigError: the file is something else, or was written by a later version.
        ArchiveError: it cannot be read.
    """
    if not path.exists():
        return 0
    if not path.is_file():
        raise _foreign(path)
    try:
        with closing(_connect(path, "ro")) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (found,) = db.execute("PRAGMA user_version").fetchone()
            blank = application == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        if _is(error, "NOTADB"):
            raise _foreign(path) from error
        raise trouble(path, error) from error
    if application != APPLICATION_ID and not blank:
        raise _foreign(path)
    if found > FORMAT:
        raise ConfigError(f"{path} was written by a newer quivo_frames: update this one to read it.")
    return 0 if blank else int(found)


def to_write(path: Path) -> sqlite3.Connection:
    """The connection that writes, in the present format, to a file for its owner alone that is made if need be.

    What is committed is on the disk: synchronous FULL, and the folder of a new file is written out too.

    Raises:
        ConfigError: as `found_format`.
        ArchiveError: the file cannot be written.
    """
    try:
        found = found_format(path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = _connect(path, "rw")
        for pragma in (f"page_size = {PAGE_BYTES}", "journal_mode = WAL", "synchronous = FULL"):
            db.execute(f"PRAGMA {pragma}")
        if not found:
            db.executescript(SCHEMA)
            _sync_folder(path.parent)
        elif found < FORMAT:
            db.executescript(_FROM_1_TO_2)
    except (OSError, sqlite3.Error) as error:
        raise trouble(path, error) from error
    return db


@contextmanager
def to_read(path: Path, *, missing_ok: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection that reads, while others may write; with `missing_ok`, one to an empty archive for a missing file.

    Raises:
        ConfigError: there is no archive; also as `found_format`.
        ArchiveError: the file cannot be read, now or later.
    """
    found = found_format(path)
    if not found and not missing_ok:
        raise ConfigError(f"There is no archive {path} yet: check the name, or refetch orders into it first.")
    try:
        with closing(_connect(path, "ro") if found else sqlite3.connect("", isolation_level=None)) as db:
            if not found:
                db.executescript(SCHEMA)
            elif found < FORMAT:
                db.execute(_SEEN_AS_2)
            yield db
    except sqlite3.Error as error:
        raise trouble(path, error) from error


def trouble(path: Path, error: Exception) -> ArchiveError:
    """What an error of the system or of SQLite means to the user."""
    if _is(error, "FULL"):
        return ArchiveError(
            f"The disk is full, {path} cannot grow: free some space and do the same again, "
            "it goes on where it stopped. Nothing that was kept is lost."
        )
    return ArchiveError(
        f"{path} cannot be read or written ({error}): check the disk and the permissions, then do the same again."
    )


def instant(moment: datetime) -> str:
    """UTC with microseconds: as text in order of time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=WAIT_SECONDS)


def _sync_folder(folder: Path) -> None:
    """A new file survives a power failure only when its folder is on the disk too."""
    if os.name == "posix":
        entry = os.open(folder, os.O_RDONLY)
        os.fsync(entry)
        os.close(entry)


def _foreign(path: Path) -> ConfigError:
    return ConfigError(f"{path} is not an archive of quivo_frames: name another file.")


def _is(error: Exception, name: str) -> bool:
    return str(getattr(error, "sqlite_errorname", "")).startswith(f"SQLITE_{name}")
