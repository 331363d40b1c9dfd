"""Serves the explorer on this machine, from the first address to the last request."""

from __future__ import annotations

import atexit
import html
import os
import socket
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from quivo_frames.analysis.checks.limits import Limits, read_limits
from quivo_frames.archive.archive import Archive
from quivo_frames.dataset.dataset import Dataset, TablesOrFolder, as_tables
from quivo_frames.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    import uvicorn

    from quivo_frames.explorer.access import AccessGuard

LOCAL_HOST = "127.0.0.1"
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared
_SECONDS_TO_START, _SECONDS_TO_END, _SECONDS_TO_KEEP_ALIVE = 10.0, 5, 120


class Explorer:
    """The explorer of some tables while it runs: `explorer.address` is where a browser begins.

    In a notebook it shows a link. `explorer.stop()` ends it; so does the end of Python, after an audit that is running.
    """

    def __init__(self, tables: Dataset, address: str, server: uvicorn.Server, ended: threading.Event) -> None:
        self.tables = tables
        self.address = address
        """The first address, with the token that lets a browser in. Whoever has it can read the tables."""
        self._server, self._ended = server, ended
        atexit.register(self.stop)  # which removes what was kept on the disk

    def wait(self) -> None:
        """Wait until it ends, which Ctrl-C does."""
        while not self._ended.wait(0.5):  # no Thread.join: interrupted, it takes the thread for one that has ended
            pass

    def stop(self) -> None:
        """End it; requests that are being answered are answered first."""
        self._server.should_exit = True
        self._ended.wait(2 * _SECONDS_TO_END)  # also until what was kept on the disk is removed
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Explorer of {self.tables.address}: {self.address}"

    def _repr_html_(self) -> str:
        address, name = html.escape(self.address), html.escape(Path(self.tables.address).name)
        link = f'<a href="{address}" target="_blank" rel="noopener">Explore {name}</a>'
        return f"<p>{link} in another tab of this browser.</p>"


def explore(
    tables: TablesOrFolder, *, port: int = 0, host: str = LOCAL_HOST, personal: bool = False,
    archive: Archive | str | os.PathLike[str] | None = None, accepted: str | os.PathLike[str] | None = None,
    limits: Limits | str | os.PathLike[str] | None = None, on_time_against: str = "latest_delivery_date",
) -> Explorer:  # fmt: skip
    """Serves the tables to a browser on this machine: figures, orders, one order, findings, lines, dictionary.

        qf.explore("tables")                            # in a notebook: a link
        with qf.explore("tables") as explorer:
            explorer.address

    `tables` is the folder of a dataset or a `Dataset`; of one that is rebuilt meanwhile, the new state is shown.
    Without `personal`, columns that may be personal or secret are nowhere in it. `archive` is where the history of the
    orders is known, by default the one that the tables were built from, if it is there. `accepted` is the TOML file to
    which accepted findings are written, `limits` are those of `audit`, `on_time_against` that of `kpis`. `port` 0 is
    any free one. Nobody else can reach `host` 127.0.0.1; any other host is open to whoever has the address.

    Raises:
        ConfigError: these are no tables of a dataset, the port is taken, or the extra `explorer` is not installed.
        DatasetError: the dataset is incomplete, or of another version.
    """
    require_web_libraries()
    dataset = as_tables(tables)
    if not isinstance(dataset, Dataset):
        raise ConfigError("The explorer shows a dataset: give its folder, or what qf.open or qf.build return.")
    from quivo_frames.explorer.access import ENTRANCE, AccessKeys
    from quivo_frames.explorer.application import make_application
    from quivo_frames.explorer.snapshot import ExplorerOptions, SnapshotKeeper

    with_limits = limits if isinstance(limits, Limits) else read_limits(limits) if limits else Limits()
    options = ExplorerOptions(
        personal, with_limits, Path(accepted) if accepted else None, _find_archive(dataset, archive), on_time_against
    )
    listener = _listen(host, port)
    bound = listener.getsockname()[1]
    keys, keeper = AccessKeys(bound), SnapshotKeeper(dataset, options)
    names = [LOCAL_HOST, "localhost", host, *_names_of_machine(host)]
    app = make_application(keeper, keys, {f"{_name_in_address(name)}:{bound}" for name in names})
    server, ended = _serve(app, listener, keeper.close)
    shown = LOCAL_HOST if host in _EVERY_ADDRESS else _name_in_address(host)
    return Explorer(dataset, f"http://{shown}:{bound}{ENTRANCE}?token={keys.token}", server, ended)


def _serve(
    app: AccessGuard, listener: socket.socket, close: Callable[[], None]
) -> tuple[uvicorn.Server, threading.Event]:  # fmt: skip
    """A server that answers in a thread of its own, and what is set when it has ended, and closed what was open."""
    import uvicorn

    server = uvicorn.Server(
        # A page says that it cannot be made; a traceback on the terminal would say it in Python, with values of orders.
        uvicorn.Config(app, log_config=None, log_level="critical", access_log=False, lifespan="off",
                       server_header=False, timeout_graceful_shutdown=_SECONDS_TO_END,
                       timeout_keep_alive=_SECONDS_TO_KEEP_ALIVE)
    )  # fmt: skip

    ended = threading.Event()

    def serve() -> None:
        try:
            server.run([listener])
        finally:
            try:
                close()
                listener.close()
            finally:
                ended.set()

    thread = threading.Thread(target=serve, name="quivo-explorer-server", daemon=True)
    thread.start()
    deadline = time.monotonic() + _SECONDS_TO_START
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    return server, ended


def _name_in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def require_web_libraries() -> None:
    """Find out, before anything is done, whether the explorer can be served.

    Raises:
        ConfigError: the extra `explorer` is not installed.
    """
    if missing := [
        name for name in ("starlette", "uvicorn", "multipart", "altair", "vl_convert") if find_spec(name) is None
    ]:
        raise ConfigError(
            f"The explorer needs {' and '.join(missing)}. Install it: pip install 'quivo-frames[explorer]'. "
            "`quivo-frames show` and `quivo-frames report` need less."
        )


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: the port is taken, or the host is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, so that asyncio sends without delay: else each page waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # there it would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, ValueError) as error:  # the latter for what cannot be a name of a host
        listener.close()
        why = getattr(error, "strerror", None) or "this is no name of this machine"
        raise ConfigError(
            f"The explorer cannot listen on {host}, port {port}: {why}. Give another --port, or none."
        ) from error
    return listener


def _names_of_machine(host: str) -> list[str]:
    """What others call this machine, if they can reach it."""
    if host in (LOCAL_HOST, "localhost", "::1"):
        return []
    name, addresses = socket.gethostname(), set[str]()
    with suppress(OSError):  # a machine without a name server knows itself by its name alone
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    return [name.lower(), socket.getfqdn().lower(), *addresses]


def _find_archive(dataset: Dataset, given: Archive | str | os.PathLike[str] | None) -> Archive | None:
    """The archive that was given, else the only one that the tables were built from, if it is there."""
    if given is not None:
        return given if isinstance(given, Archive) else Archive(given)
    named = [Path(entry["name"]) for entry in dataset.manifest.get("inputs", [])]
    if len(named) == 1 and named[0].suffix in (".sqlite", ".db", ".sqlite3") and named[0].is_file():
        return Archive(named[0])
    return None
