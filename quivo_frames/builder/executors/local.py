"""Noun: this process and others that work beside it. Only here: loky. Floor 1.

Loky rather than the standard library: its processes do not run the user's script again (no `if __name__ == "__main__"`
is needed), they can be given an environment of their own, and one that dies is an error instead of a wait without end.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from importlib import import_module
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from quivo_frames.errors import LostWorker

T = TypeVar("T")
R = TypeVar("R")

_ENVIRONMENT = {"POLARS_MAX_THREADS": "1"}
"""Each process keeps one core busy: more threads would only wait for it."""


class Workers(Protocol):
    """Processes, here or elsewhere, that share work: `size` of them, about."""

    size: int

    def share(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """What `work` makes of each item, as it comes; both can be pickled, and what is made twice is the same.

        Raises:
            LostWorker: one was ended from outside, and the others could not make up for it.
            ConfigError: they cannot do this work.
        """


class Crew:
    """`jobs` processes: this one, and others that live as long as the `with` block.

    None means as many as the machine lets this process use; more than `most` there are never. The others begin by
    importing `module`, so that they are ready when there is work.
    """

    def __init__(self, jobs: int | None, most: int, module: str = __name__) -> None:
        self._module = module
        self.size = 1 if most == 1 else min(most, jobs or _cores())
        self._executor: Any = None

    def __enter__(self) -> Self:
        if self.size > 1:
            from loky import ProcessPoolExecutor

            self._executor = ProcessPoolExecutor(
                self.size - 1, env=_ENVIRONMENT, initializer=_stay_with, initargs=(os.getpid(),)
            )
            with _no_interrupts():  # Ctrl-C reaches all processes of a terminal; this one ends the others
                for _ in range(self.size - 1):
                    self._executor.submit(import_module, self._module)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(kill_workers=True)

    def share(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """What `work` makes of each item, as it comes: whoever is free takes the next one.

        Raises:
            LostWorker: a process was ended from outside.
        """
        waiting, done = deque(items), SimpleQueue[Future[R]]()

        def hand_out(before: Future[R] | None = None) -> None:
            """Gives the next item to a process that is free; called by its future."""
            if before is not None:
                done.put(before)
            if waiting:
                self._submitted(work, waiting.popleft()).add_done_callback(hand_out)

        for _ in range(self.size - 1):
            hand_out()
        try:
            for _ in items:
                if waiting and done.empty():
                    yield work(waiting.popleft())
                else:
                    yield done.get().result()
        except BrokenExecutor as error:
            raise LostWorker(
                "A process that worked beside this one was ended by the system, as happens when memory is short. "
                "Nothing was changed. Build again with fewer: --jobs 1."
            ) from error
        finally:
            waiting.clear()

    def _submitted(self, work: Callable[[T], R], item: T) -> Future[R]:
        try:
            return self._executor.submit(work, item)  # type: ignore[no-any-return]  # loky brings no types
        except RuntimeError as error:  # it broke meanwhile, and whoever waits must hear of it
            failed: Future[R] = Future()
            failed.set_exception(error)
            return failed


def _cores() -> int:
    from loky import cpu_count

    return int(cpu_count())


def _stay_with(parent: int) -> None:
    """Ends this process soon after the one that started it: nobody would read what it makes."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """What is started here ignores Ctrl-C for good."""
    if threading.current_thread() is not threading.main_thread():  # where nobody may say so
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
