"""Hide what native libraries write to the error output by themselves, past Python: the text of a panic in Rust."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

DEBUG_VARIABLE = "QUIVO_DEBUG"
"""Set in the environment, it shows tracebacks and texts of libraries. They may contain values of orders."""
_ERROR_OUTPUT = 2


class _Redirection:
    """The error output of the process, while at least one block hides what is written to it."""

    def __init__(self) -> None:
        self._lock, self._blocks, self._saved = Lock(), 0, -1

    def begin(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                self._saved = os.dup(_ERROR_OUTPUT)
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, _ERROR_OUTPUT)
                os.close(null)

    def end(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                os.dup2(self._saved, _ERROR_OUTPUT)
                os.close(self._saved)


_redirection = _Redirection()


@contextmanager
def hidden_native_text() -> Iterator[None]:
    """Drop everything that is written to the error output of the process in the block, unless QUIVO_DEBUG is set.

    An error that a library raises is raised as ever: hidden is only what it prints besides.
    """
    if os.environ.get(DEBUG_VARIABLE):
        yield
        return
    with suppress(AttributeError, OSError, ValueError):  # what Python holds back is not to be dropped
        sys.stderr.flush()
    _redirection.begin()
    try:
        yield
    finally:
        _redirection.end()
