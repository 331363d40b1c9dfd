"""Work on orders in ranges of their ids, one after the other or shared among processes: memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TypeVar

from quivo_frames.analysis.milestones import OrderView
from quivo_frames.errors import ConfigError
from quivo_frames.executors.connect import worker_pool_of
from quivo_frames.executors.local import LocalPool, WorkerPool

R = TypeVar("R")
IdRange = tuple[int, int]


def open_worker_pool(
    view: OrderView, jobs: int | None, executor: object
) -> AbstractContextManager[WorkerPool | None]:  # fmt: skip
    """The processes that share the work on a view: `jobs` of this machine, or those of an executor; None: this one.

    Raises:
        ConfigError: there are both, or the executor is none, or others cannot read the tables.
    """
    if executor is None and jobs in (None, 1):
        return nullcontext()
    if executor is not None and jobs is not None:
        raise ConfigError("An executor shares the work, or processes of this machine: leave out one of the two.")
    if view.dataset is None:
        raise ConfigError("Work can be shared on the tables of a dataset, not on frames in memory. Build them first.")
    if executor is not None:
        return nullcontext(worker_pool_of(executor))
    return LocalPool(jobs, max(len(view.id_ranges()), 1), __name__)


def map_ranges(work: Callable[[OrderView], R], view: OrderView, pool: WorkerPool | None = None) -> Iterator[R]:
    """What `work` makes of the view of each range of orders, with the ranges in any order.

    What a view has worked out is dropped before the next one. `work` and its results are pickled where a pool shares
    the work.
    """
    ranges = view.id_ranges()
    if len(ranges) < 2:
        yield work(view)
    elif pool is None:
        yield from map(partial(_work_on_range, work, view), ranges)
    else:
        view.work_out_what_is_shared()
        yield from pool.map_unordered(partial(_work_on_range, work, view), ranges)


def _work_on_range(work: Callable[[OrderView], R], view: OrderView, id_range: IdRange) -> R:
    return work(view.within_range(id_range))
