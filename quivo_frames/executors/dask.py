"""Work on a Dask cluster: one task per item, which Dask gives to another worker when one is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any, TypeVar

from distributed import Client, KilledWorker, as_completed

from quivo_frames.errors import ConfigError
from quivo_frames.executors.remote_task import lost_engine_error, pickle_items, remote_task, unpack_answer

T = TypeVar("T")
R = TypeVar("R")

_TASKS_PER_MESSAGE = 1_000
"""Dask warns about messages of more than 10 MB."""


class DaskPool:
    """The workers of a Dask client; `size` is their threads."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.size = max(sum(client.nthreads().values()), 1)

    def map_unordered(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results of `work` as they come; when one fails, the tasks that are left are cancelled."""
        task = remote_task(work)
        left = set(self._client.map(task, pickle_items(items), pure=False, batch_size=_TASKS_PER_MESSAGE))
        try:
            for future, answer in as_completed(left, loop=self._client.loop, with_results=True):
                left.remove(future)
                future.release()  # frees the result on its worker
                yield unpack_answer(answer)
        except (KilledWorker, CancelledError) as error:
            raise lost_engine_error("Dask", error) from None
        finally:
            self._client.cancel(list(left))


def worker_pool(client: Client) -> DaskPool:
    """The workers of a client.

    Raises:
        ConfigError: it is asynchronous, or workers have another Python, between which no code travels.
    """
    if client.asynchronous:
        raise ConfigError("This Dask client is asynchronous. Give one that is not: Client(ADDRESS).")
    found: Any = client.get_versions()
    pythons = {one["host"]["python"].rsplit(".", 3)[0] for one in (found["client"], *found["workers"].values())}
    if len(pythons) > 1:
        raise ConfigError(f"Python is {' and '.join(sorted(pythons))} here and on the workers. Have the same on all.")
    return DaskPool(client)


@contextmanager
def connect_to(on: str) -> Iterator[Client]:
    """A client of the scheduler at a dask:// address, closed at the end.

    Raises:
        ConfigError: what answers there is no scheduler.
    """
    try:
        client = Client(on.replace("dask", "tcp", 1), set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError("What answers at this dask:// address is no Dask scheduler. Look at the port.") from error
    with client:
        yield client
