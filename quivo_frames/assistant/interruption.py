"""Ctrl-C and SIGTERM while an assistant is served: they end the serving, and leave what is removed afterwards alone."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self


class Interruption:
    """Inside the block, any number of signals cancel one task, between two of its steps.

    Those of Python would come in the middle of a step, and a second one in the middle of the end.
    """

    def __init__(self) -> None:
        self.has_come = False
        """Whether there was a signal: what the task ended with is then a consequence."""
        self._task: asyncio.Task[Any] | None = None
        self._handlers_before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only there may signal handlers be set
            for one in (signal.SIGINT, signal.SIGTERM):
                self._handlers_before[one] = signal.signal(one, self._note_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.has_come:  # else the process ends now, and no other signal keeps it from saying so
            for one, handler in self._handlers_before.items():
                signal.signal(one, handler)

    def cancel_this_task(self) -> None:
        """Let a signal cancel the task that calls this, now if it has come already."""
        self._task = asyncio.current_task()
        if self.has_come:
            self._cancel_task()

    def _note_signal(self, _: int, __: FrameType | None) -> None:
        self.has_come = True
        self._cancel_task()

    def _cancel_task(self) -> None:
        if self._task is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
