"""Work on an executor as of concurrent.futures: a pool of processes or threads, of loky, of MPI."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from functools import partial
from typing import Any, TypeVar

from quivo_frames.builder.executors.remote_task import errand, gave_up, opened, packed, versions
from quivo_frames.errors import ConfigError

T = TypeVar("T")
R = TypeVar("R")


class FuturesWorkers:
    """The workers of an executor; `size` is what it says, or the cores of this machine."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.size = int(getattr(executor, "_max_workers", None) or os.cpu_count() or 1)

    def share(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """What `work` makes of each item, in their order; what is left is cancelled when one fails."""
        try:
            answers = self._executor.map(partial(_answer, work, versions()), packed(items))
            try:
                for answer in answers:
                    yield opened(answer)
            finally:
                getattr(answers, "close", lambda: None)()
        except (BrokenExecutor, RuntimeError) as error:
            raise gave_up("The executor", error) from None


def workers(executor: Executor) -> FuturesWorkers:
    """The workers of an executor.

    Raises:
        ConfigError: its processes are forks of this one, in which polars waits for threads that are not there.
    """
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise ConfigError(
            "The processes of this executor are forks of this one, and polars stands still in those. Give "
            'ProcessPoolExecutor(..., mp_context=multiprocessing.get_context("spawn")), or jobs=N instead.'
        )
    return FuturesWorkers(executor)


def _answer(work: Callable[[Any], Any], here: dict[str, str], item: bytes) -> bytes:
    """The errand by name: these executors pickle no function by value."""
    return errand(work, here)(item)
