"""Engines that run already and share the work of a build: Dask, Spark, and executors as of concurrent.futures.

Each kind has an adapter module next to this one, imported when it is needed: an engine is recognised by the name of its
class, not by importing its library.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from quivo_frames.errors import ConfigError
from quivo_frames.executors.local import WorkerPool

_ADAPTER_OF_CLASS = {("distributed", "Client"): "dask", ("pyspark", "SparkSession"): "spark"}
_ADAPTER_OF_SCHEME = {"dask": "dask", "spark": "spark", "sc": "spark"}
"""By the scheme of an address: the adapter module, which is also the name of the extra to install."""


def worker_pool_of(executor: Any) -> WorkerPool:
    """The workers of a Dask client, a SparkSession, or an executor as of concurrent.futures.

    Raises:
        ConfigError: it is none of these, or its workers have another Python.
    """
    names = [(kind.__module__.partition(".")[0], kind.__name__) for kind in type(executor).__mro__]
    adapter = next((_ADAPTER_OF_CLASS[name] for name in names if name in _ADAPTER_OF_CLASS), None)
    if adapter is None and callable(getattr(executor, "map", None)) and callable(getattr(executor, "submit", None)):
        adapter = "futures"
    if adapter is None:
        raise ConfigError(
            f"A {type(executor).__name__} cannot share the work. Give a Dask client (distributed.Client), a "
            "SparkSession, or an executor as of concurrent.futures, such as ProcessPoolExecutor."
        )
    pool: WorkerPool = _load_adapter(adapter).worker_pool(executor)
    return pool


@contextmanager
def connect_engine(on: str) -> Iterator[Any]:
    """A client of the engine at an address: dask://HOST:PORT, spark://HOST:PORT, or sc://HOST:PORT (Spark Connect).

    The `with` block closes the connection at its end; the engine stays.

    Raises:
        ConfigError: the address is none of these, nothing answers there, or the library is missing.
    """
    address = urlsplit(on)
    try:
        host, port = address.hostname or "", address.port or 0
    except ValueError:  # the port is not a number
        host, port = "", 0
    if address.scheme not in _ADAPTER_OF_SCHEME or not (host and port):
        kinds = ", ".join(f"{scheme}://HOST:PORT" for scheme in _ADAPTER_OF_SCHEME)
        raise ConfigError(f"The work can be shared on {kinds} (Spark Connect). Give one of these addresses.")
    adapter = _load_adapter(_ADAPTER_OF_SCHEME[address.scheme])
    try:
        socket.create_connection((host, port), timeout=10).close()  # engines themselves would try for minutes
    except OSError as error:
        raise ConfigError(
            f"Nothing answers at {address.scheme}://{host}:{port} ({type(error).__name__}). Look at the "
            "address, and whether the engine is up and can be reached from here."
        ) from error
    with adapter.connect_to(on) as executor:
        yield executor


def _load_adapter(name: str) -> Any:
    try:
        return import_module(f"{__package__}.{name}")
    except ImportError as error:
        raise ConfigError(
            f"Work on {name.title()} needs {error.name}. Install it: pip install 'quivo-frames[{name}]'."
        ) from error
