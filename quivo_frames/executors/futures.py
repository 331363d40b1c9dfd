"""Work on an executor as of concurrent.futures: pools of processes or threads, of loky, of MPI."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from functools import partial
from typing import Any, TypeVar

from quivo_frames.errors import ConfigError
from quivo_frames.executors.remote_task import (
    DriverCode,
    driver_code,
    lost_engine_error,
    pickle_items,
    remote_task,
    unpack_answer,
)

T = TypeVar("T")
R = TypeVar("R")


class FuturesPool:
    """The workers of an executor; `size` is what it says, or the cores of this machine."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.size = int(getattr(executor, "_max_workers", None) or os.cpu_count() or 1)

    def map_unordered(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results of `work`, here in the order of the items; when one fails, the tasks that are left are cancelled."""
        try:
            answers = self._executor.map(partial(_run_remote_task, work, driver_code()), pickle_items(items))
            try:
                for answer in answers:
                    yield unpack_answer(answer)
            finally:
                getattr(answers, "close", lambda: None)()
        except (BrokenExecutor, RuntimeError) as error:
            raise lost_engine_error("The executor", error) from None


def worker_pool(executor: Executor) -> FuturesPool:
    """The workers of an executor.

    Raises:
        ConfigError: its processes are forks of this one, where polars waits for threads that do not exist.
    """
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise ConfigError(
            "The processes of this executor are forks of this one, and polars stands still in those. Give "
            'ProcessPoolExecutor(..., mp_context=multiprocessing.get_context("spawn")), or jobs=N instead.'
        )
    return FuturesPool(executor)


def _run_remote_task(work: Callable[[Any], Any], driver: DriverCode, item: bytes) -> bytes:
    """The remote task as a function of a module: these executors do not pickle functions by value."""
    return remote_task(work, driver)(item)
