"""The tables as SQL reads them: a temporary copy, this user's alone, of what an assistant may see.

The copy has no column that may be personal or secret (unless asked for), so that nothing can be reached around.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec
import polars as pl

from quivo_frames.assistant.plain_values import Refusal
from quivo_frames.assistant.sql_request import MOST_SECONDS, READY, TOOK_TOO_LONG, TOOK_TOO_MUCH, SqlAnswer, SqlRequest
from quivo_frames.explorer.background import REBUILT_MEANWHILE, StopRequest
from quivo_frames.storage.leftovers import temporary_folder

_SECONDS_OF_GRACE = 2
"""A query that does not heed its end is ended with its process."""
_NO_COPY = "The tables cannot be copied for SQL: the disk for temporary files may be full. The other tools work."


class SqlTables:
    """The tables of one state of a dataset, for SQL: see `copy_frames`."""

    def __init__(self, file: Path, tables: list[str], folder: ExitStack) -> None:
        self._file, self.tables, self._folder = file, tables, folder
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    @classmethod
    def copy_frames(cls, frames: Mapping[str, pl.LazyFrame], stop_request: StopRequest) -> SqlTables:
        """A copy of these tables, in a folder for temporary files that is removed when it is closed.

        Raises:
            DatasetError: the state of the tables was closed meanwhile.
            OSError, PolarsError: they cannot be read, or the copy cannot be written.
        """
        with ExitStack() as stack:
            folder = stack.enter_context(temporary_folder())
            for name, frame in frames.items():
                stop_request.raise_if_set()
                frame.sink_parquet(folder / f"{name}.parquet", compression="lz4")
            return cls(folder / "tables.duckdb", list(frames), stack.pop_all())
        raise AssertionError  # no context swallows an error

    def run_query(self, query: str, most_rows: int) -> SqlAnswer:
        """The first rows of what a query finds.

        Raises:
            Refusal: it is no query that reads these tables, it does not fit them, or takes too much.
        """
        if not self._lock.acquire(timeout=MOST_SECONDS):
            raise Refusal("Another query is still running. Ask again in a moment.")
        try:
            answer = self._ask(SqlRequest(query, most_rows))
        finally:
            self._lock.release()
        if answer.refusal:
            raise Refusal(answer.refusal)
        return answer

    def _ask(self, request: SqlRequest) -> SqlAnswer:
        if self._is_closed:
            raise Refusal(REBUILT_MEANWHILE)
        process = self._running_process()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(MOST_SECONDS + _SECONDS_OF_GRACE, process.kill)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:  # it has ended
            line = b""
        is_late = not timer.is_alive()
        timer.cancel()
        if not line:
            self._end_process()
            raise Refusal(REBUILT_MEANWHILE if self._is_closed else TOOK_TOO_LONG if is_late else TOOK_TOO_MUCH)
        answer = msgspec.json.decode(line, type=SqlAnswer)
        if answer.may_have_harmed:
            self._end_process()
        return answer

    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:  # it has ended by itself
            self._end_process()
        if self._process is None:
            module = "quivo_frames.assistant.sql_process"
            words = [sys.executable, "-P", "-m", module, os.fspath(self._file), *self.tables]
            self._process = subprocess.Popen(  # noqa: S603 - ours
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            if self._is_closed:  # since it was asked for, and nobody could end it then
                self._process.kill()
            assert self._process.stdout is not None
            if self._process.stdout.readline() != READY:
                self._end_process()
                raise Refusal(REBUILT_MEANWHILE if self._is_closed else _NO_COPY)
        return self._process

    def _end_process(self) -> None:
        if (process := self._process) is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def close(self) -> None:
        """End a query that is running, and remove the copy."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._end_process()
            self._folder.close()
