"""Nouns: engines that are there already and share the work of a build: Dask, Spark, and executors. Floor 2.

Its rooms: dask, spark and futures, one for each kind of engine, and errand, which is what travels to their workers.
A room is loaded when it is asked for: an engine is known by its name, not by importing its library.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from quivo_frames.builder.executors.local import Workers
from quivo_frames.errors import ConfigError

_CLASSES = {("distributed", "Client"): "dask", ("pyspark", "SparkSession"): "spark"}
_SCHEMES = {"dask": "dask", "spark": "spark", "sc": "spark"}
"""Schemes of addresses, and the room, which is also the name of the extra."""


def workers(executor: Any) -> Workers:
    """The workers of an engine that runs: a Dask client, a SparkSession, or an executor as of concurrent.futures.

    Raises:
        ConfigError: it is none of them, or its workers have another Python.
    """
    names = [(kind.__module__.partition(".")[0], kind.__name__) for kind in type(executor).__mro__]
    room = next((_CLASSES[name] for name in names if name in _CLASSES), None)
    if room is None and callable(getattr(executor, "map", None)) and callable(getattr(executor, "submit", None)):
        room = "futures"
    if room is None:
        raise ConfigError(
            f"A {type(executor).__name__} cannot share the work. Give a Dask client (distributed.Client), a "
            "SparkSession, or an executor as of concurrent.futures, such as ProcessPoolExecutor."
        )
    found: Workers = _room(room).workers(executor)
    return found


@contextmanager
def connect(on: str) -> Iterator[Any]:
    """The engine at an address, for `workers`: dask://HOST:PORT, spark://HOST:PORT, or sc://HOST:PORT (Spark Connect).

    The connection is closed at the end of the `with` block; the engine stays.

    Raises:
        ConfigError: the address is none of them, nothing answers there, or the library is missing.
    """
    address = urlsplit(on)
    try:
        place = (address.hostname or "", address.port or 0)
    except ValueError:  # the port is no number
        place = ("", 0)
    if address.scheme not in _SCHEMES or not all(place):
        kinds = ", ".join(f"{scheme}://HOST:PORT" for scheme in _SCHEMES)
        raise ConfigError(f"The work can be shared on {kinds} (Spark Connect). Give one of these addresses.")
    room = _room(_SCHEMES[address.scheme])
    try:
        socket.create_connection(place, timeout=10).close()  # the engines themselves would try for minutes
    except OSError as error:
        raise ConfigError(
            f"Nothing answers at {address.scheme}://{place[0]}:{place[1]} ({type(error).__name__}). Look at the "
            "address, and whether the engine is up and can be reached from here."
        ) from error
    with room.connected(on) as executor:
        yield executor


def _room(name: str) -> Any:
    try:
        return import_module(f"{__package__}.{name}")
    except ImportError as error:
        raise ConfigError(
            f"Work on {name.title()} needs {error.name}. Install it: pip install 'quivo-frames[{name}]'."
        ) from error
