"""What all tests share: no network but this machine's own, a stand-in API, and clients of it."""

from __future__ import annotations

import ipaddress
import itertools
import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.local_stores import s3, server  # noqa: F401  # fixtures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quivo_frames.fetch.client import Client
    from quivo_frames.standin.server import StandIn
    from tests.support.api_caller import LoggedInCaller


def _is_here(address: Any) -> bool:
    if not isinstance(address, tuple):  # a socket file
        return True
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return address[0] in {"localhost", ""}


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_here(self: socket.socket, address: Any) -> None:
        if not _is_here(address):
            raise OSError(f"tests may not connect to {address}")
        connect(self, address)

    def look_up_here(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and not _is_here((host if isinstance(host, str) else host.decode(),)):
            raise socket.gaierror(f"tests may not look up {host}")
        return look_up(host, *args, **kwargs)

    patch.setattr(socket.socket, "connect", connect_here)
    patch.setattr(socket, "getaddrinfo", look_up_here)
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> None:
    """Ctrl-C reaches the tests and the processes that they start, also where the shell started them in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_cache(_caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test learns of the pace of an address is not known to the next; its folder is made by who needs it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(next(_caches)))


@pytest.fixture
def standin() -> Iterator[StandIn]:
    from quivo_frames.standin.server import StandIn

    with StandIn(orders=300) as api:
        yield api


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Makes a client of a stand-in: quick, and closed at the end. Options as for Client, Settings and RateLimiter."""
    from quivo_frames.fetch.client import Client

    made: list[Client] = []

    def connect(api: StandIn, *, longest_pause: float = 60.0, **options: Any) -> Client:
        login = {name: getattr(api, name) for name in ("api_key", "username", "password", "base_url")}
        made.append(Client.from_env(**{"rate": 5000.0, "timeout": 5.0, "backoff": 0.001, **login, **options}))
        made[-1]._rate_limiter.longest_pause = longest_pause
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def client(standin: StandIn, connect: Callable[..., Client]) -> Client:
    return connect(standin)


@pytest.fixture
def log_in() -> Iterator[Callable[[StandIn], LoggedInCaller]]:
    """Makes a plain HTTP client of a stand-in that is logged in, and closed at the end."""
    from tests.support.api_caller import LoggedInCaller

    with ExitStack() as closing:

        def log_in(api: StandIn) -> LoggedInCaller:
            caller = LoggedInCaller(api)
            closing.callback(caller.connection.close)
            return caller

        yield log_in
