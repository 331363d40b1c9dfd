"""Work shared by threads of this process, or by this process and others of this machine.

Threads start at once and share what is loaded; they fit work that lets others run, as polars and the compiled core do.
What Python itself does is done by one thread at a time, so it takes processes.

Loky rather than the standard library: its processes do not run the user's script again (which would need
`if __name__ == "__main__"`), can have an environment of their own, and one that dies is an error instead of a deadlock.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from quivo_frames.errors import LostWorker

T = TypeVar("T")
R = TypeVar("R")

_ENVIRONMENT = {"POLARS_MAX_THREADS": "1"}
"""Each process keeps one core busy: more threads would only compete for it."""


class WorkerPool(Protocol):
    """Threads or processes that share work, on this machine or on others."""

    size: int
    """How many tasks run at a time, about."""

    def map_unordered(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results of `work` for each item, as they come.

        `work` and the items can be pickled. `work` is idempotent: an engine may run it twice for one item.

        Raises:
            LostWorker: a worker was ended from outside, and the others could not make up for it.
            ConfigError: the workers cannot do this work.
        """


class LocalPool:
    """`jobs` threads or processes, at most `max_jobs`: this one, and others that live as long as the `with` block.

    `jobs=None` means as many as this process may use cores. Other processes import `warm_up_module` first, so that they
    are ready when there is work. Threads end what they have begun before the block is left, also after an error.
    """

    def __init__(
        self, jobs: int | None, max_jobs: int, warm_up_module: str = __name__, *, in_threads: bool = False
    ) -> None:
        self._warm_up_module, self._in_threads = warm_up_module, in_threads
        self.size = 1 if max_jobs == 1 else min(max_jobs, jobs or _usable_cores())
        self._executor: Any = None

    def __enter__(self) -> Self:
        if self.size > 1:
            self._executor = ThreadPoolExecutor(self.size - 1) if self._in_threads else self._start_processes()
        return self

    def _start_processes(self) -> Any:
        from loky import ProcessPoolExecutor

        executor = ProcessPoolExecutor(
            self.size - 1, env=_ENVIRONMENT, initializer=_exit_with_parent, initargs=(os.getpid(),)
        )
        with _interrupts_ignored():  # Ctrl-C reaches all processes of a terminal, and this one ends the others
            for _ in range(self.size - 1):
                executor.submit(import_module, self._warm_up_module)
        return executor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._executor, ThreadPoolExecutor):
            self._executor.shutdown(cancel_futures=True)
        elif self._executor is not None:
            self._executor.shutdown(kill_workers=True)

    def map_unordered(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results of `work` as they come: whichever thread or process is free takes the next item.

        Raises:
            LostWorker: a process was ended from outside.
        """
        waiting, done = deque(items), SimpleQueue[Future[R]]()

        def submit_next(finished: Future[R] | None = None) -> None:
            """Submits the next item; a future calls it when it has finished, as its worker is free then."""
            if finished is not None:
                done.put(finished)
            if waiting:
                self.submit_task(work, waiting.popleft()).add_done_callback(submit_next)

        for _ in range(self.size - 1):
            submit_next()
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

    def submit_task(self, work: Callable[[T], R], item: T) -> Future[R]:
        """The result of `work` for one item, in another thread or process; there must be one.

        The future raises BrokenExecutor if the process was ended from outside.
        """
        try:
            return self._executor.submit(work, item)  # type: ignore[no-any-return]  # loky brings no types
        except RuntimeError as error:  # the pool broke in the meantime, and who waits for the future must learn it
            failed: Future[R] = Future()
            failed.set_exception(error)
            return failed


def _usable_cores() -> int:
    from loky import cpu_count

    return int(cpu_count())


def _exit_with_parent(parent: int) -> None:
    """Ends this process soon after its parent has ended: nobody would read its results."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes that are started inside inherit to ignore Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set signal handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
