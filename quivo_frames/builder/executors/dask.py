"""Work on a Dask cluster: one task an item, which Dask gives to another worker when one is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any, TypeVar

from distributed import Client, KilledWorker, as_completed

from quivo_frames.builder.executors.remote_task import errand, gave_up, opened, packed, versions
from quivo_frames.errors import ConfigError

T = TypeVar("T")
R = TypeVar("R")

_BATCH = 1_000
"""Tasks that are sent at a time: Dask warns of messages of more than 10 MB."""


class DaskWorkers:
    """The workers of a Dask client; `size` is their threads."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.size = max(sum(client.nthreads().values()), 1)

    def share(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """What `work` makes of each item, as it comes; what is left is cancelled when one fails."""
        left = set(self._client.map(errand(work, versions()), packed(items), pure=False, batch_size=_BATCH))
        try:
            for future, answer in as_completed(left, loop=self._client.loop, with_results=True):
                left.remove(future)
                future.release()  # nothing of it stays on a worker
                yield opened(answer)
        except (KilledWorker, CancelledError) as error:
            raise gave_up("Dask", error) from None
        finally:
            self._client.cancel(list(left))


def workers(client: Client) -> DaskWorkers:
    """The workers of a client.

    Raises:
        ConfigError: it is one for coroutines, or workers have another Python: no code travels from one to another.
    """
    if client.asynchronous:
        raise ConfigError("This Dask client is asynchronous. Give one that is not: Client(ADDRESS).")
    found: Any = client.get_versions()
    pythons = {one["host"]["python"].rsplit(".", 3)[0] for one in (found["client"], *found["workers"].values())}
    if len(pythons) > 1:
        raise ConfigError(f"Python is {' and '.join(sorted(pythons))} here and on the workers. Have the same on all.")
    return DaskWorkers(client)


@contextmanager
def connected(on: str) -> Iterator[Client]:
    """A client of a scheduler, closed at the end.

    Raises:
        ConfigError: what answers is no scheduler.
    """
    try:
        client = Client(on.replace("dask", "tcp", 1), set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError("What answers at this dask:// address is no Dask scheduler. Look at the port.") from error
    with client:
        yield client
