"""The one thread that writes to an archive: whatever waits is one group, and one commit."""

from __future__ import annotations

import queue
import sqlite3
import threading
from concurrent.futures import Future
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout

from quivo_frames.archive.database import to_write, trouble
from quivo_frames.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    T = TypeVar("T")
    Job = tuple[Callable[[sqlite3.Connection], Any], Future[Any]]

GROUP = 256  # most writes of one commit


class Writer:
    """The right to write to an archive, alone among all processes: taken at the first write, given back by `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = FileLock(f"{path}.lock", timeout=0, mode=0o600, thread_local=False)

    def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """What the job returns, once its group is committed to the disk; all of a job is, or nothing.

        Raises:
            ArchiveError: the disk or another writer is in the way.
            ConfigError: the file is something else.
        """
        future: Future[T] = Future()
        with self._guard:
            if not self._thread:
                self._thread = threading.Thread(target=self._serve, args=(self._open(),), name="archive", daemon=True)
                self._thread.start()
            self._jobs.put((job, future))
        return future.result()

    def alone(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """What the job returns; it works outside of any transaction, when all that waited is written.

        Raises:
            ArchiveError, ConfigError: as for `write`.
        """
        self.close()
        with self._guard, closing(self._open()) as db:
            try:
                return job(db)
            except sqlite3.Error as error:
                raise trouble(self._path, error) from error
            finally:
                self._lock.release()

    def close(self) -> None:
        """Finish what is being written, and let another process write."""
        with self._guard:
            if self._thread:
                self._jobs.put(None)
                self._thread.join()
                self._thread = None
                self._lock.release()

    def _open(self) -> sqlite3.Connection:
        try:
            self._lock.acquire()
        except Timeout as error:
            raise ArchiveError(
                f"{self._path} is being written by another run: wait until it ends, or stop it. "
                "Reading (status, build) is possible meanwhile."
            ) from error
        except OSError as error:
            raise trouble(self._path, error) from error
        try:
            return to_write(self._path)
        except BaseException:
            self._lock.release()
            raise

    def _serve(self, db: sqlite3.Connection) -> None:
        with closing(db):
            while job := self._jobs.get():
                group = [job]
                while len(group) < GROUP and not self._jobs.empty() and (job := self._jobs.get()):
                    group.append(job)
                self._commit(db, group)
                if job is None:
                    return

    def _commit(self, db: sqlite3.Connection, group: list[Job]) -> None:
        try:
            db.execute("BEGIN IMMEDIATE")
            results = [job(db) for job, _ in group]
            db.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for this write
            if db.in_transaction:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            for _, future in group:
                future.set_exception(trouble(self._path, error) if isinstance(error, sqlite3.Error) else error)
        else:
            for (_, future), result in zip(group, results, strict=True):
                future.set_result(result)
