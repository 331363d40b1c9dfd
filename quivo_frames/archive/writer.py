"""The one thread that writes to an archive: all jobs that wait are committed together, for one sync of the disk."""

from __future__ import annotations

import queue
import sqlite3
import threading
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from quivo_frames.archive.database import DATABASE_ERRORS, explain_database_error, open_for_writing
from quivo_frames.errors import ArchiveError
from quivo_frames.storage.atomic import acquire_lock, find_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from filelock import FileLock

    T = TypeVar("T")
    Job = tuple[Callable[[sqlite3.Connection], Any], Future[Any]]

GROUP_SIZE = 256  # jobs in one commit at most


class ArchiveWriter:
    """Writes to an archive under a lock among processes, which the first job acquires and `close` releases."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock: FileLock | None = None

    def commit_job(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job in a transaction, and return its result once it is committed to the disk.

        Jobs of several threads may share a transaction; if one of them fails, none of that transaction is written.

        Raises:
            ArchiveError: the disk refuses, or another process is writing.
            ConfigError: the file is no archive.
        """
        future: Future[T] = Future()
        with self._guard:
            if not self._thread:
                self._thread = threading.Thread(
                    target=self._commit_until_closed, args=(self._lock_and_open(),), name="archive", daemon=True
                )
                self._thread.start()
            self._jobs.put((job, future))
        return future.result()

    def run_exclusively(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job outside of any transaction, after all jobs that wait, and return its result.

        Raises:
            ArchiveError, ConfigError: as for `commit_job`.
        """
        self.close()
        with self._guard, closing(self._lock_and_open()) as db:
            try:
                return job(db)
            except DATABASE_ERRORS as error:
                raise explain_database_error(self._path, error) from error
            finally:
                self._release()

    def close(self) -> None:
        """Finish all jobs that wait, and let another process write."""
        with self._guard:
            if self._thread:
                self._jobs.put(None)
                self._thread.join()
                self._thread = None
                self._release()

    def _lock_and_open(self) -> sqlite3.Connection:
        busy = ArchiveError(
            f"{self._path} is being written by another run: wait until it ends, or stop it. "
            "Reading (status, build) is possible meanwhile."
        )
        try:
            if not self._path.exists():
                find_target(self._path, to_folder=False)
            self._lock = acquire_lock(Path(f"{self._path}.lock"), busy)
        except OSError as error:
            raise explain_database_error(self._path, error) from error
        try:
            return open_for_writing(self._path)
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        if self._lock:
            self._lock.release()
            self._lock = None

    def _commit_until_closed(self, db: sqlite3.Connection) -> None:
        with closing(db):
            while job := self._jobs.get():
                group = [job]
                while len(group) < GROUP_SIZE and not self._jobs.empty() and (job := self._jobs.get()):
                    group.append(job)
                self._commit_group(db, group)
                if job is None:
                    return

    def _commit_group(self, db: sqlite3.Connection, group: list[Job]) -> None:
        try:
            db.execute("BEGIN IMMEDIATE")
            results = [job(db) for job, _ in group]
            db.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for this write
            if db.in_transaction:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            for _, future in group:
                future.set_exception(
                    explain_database_error(self._path, error) if isinstance(error, DATABASE_ERRORS) else error
                )
        else:
            for (_, future), result in zip(group, results, strict=True):
                future.set_result(result)
