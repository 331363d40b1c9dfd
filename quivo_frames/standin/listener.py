"""Where the stand-in listens: one thread with an event loop, a port of this machine, and the connections to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from quivo_frames.errors import ConfigError
from quivo_frames.standin.http_connection import Answer, Connection, Request

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_HOST = "127.0.0.1"
_BACKLOG = 1024


class Serving:
    """A thread that serves from `start` to `stop`; raises ConfigError when the port cannot be had."""

    def __init__(self, answer: Callable[[Request, float], Answer], port: int, tls: ssl.SSLContext | None) -> None:
        self.answer = answer
        try:
            self._listener = socket.create_server((_HOST, port), backlog=_BACKLOG)
        except OSError as err:
            reason = f"Port {port} of this machine cannot be opened ({err.strerror})"
            raise ConfigError(f"{reason}: choose another one, or 0 for any.") from err
        self.port: int = self._listener.getsockname()[1]
        self._tls = tls
        self._loop = asyncio.SelectorEventLoop()
        self._closing = asyncio.Event()
        self._open_ones: set[Connection] = set()
        self._arriving: set[asyncio.Task[None]] = set()
        self._shut_now = False  # connections are refused
        self._reopening: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run, name="stand-in", daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Closed, with every connection."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def wait(self) -> None:
        """Back when it has stopped, or is interrupted."""
        with contextlib.suppress(KeyboardInterrupt):
            while self._thread.is_alive():
                self._thread.join(1.0)

    def refuse(self, seconds: float) -> None:
        """Resets every connection, and refuses new ones for so many seconds. Back when it is so."""
        if threading.current_thread() is self._thread:
            self._shut(seconds)
            return
        done = threading.Event()

        def shut() -> None:
            self._shut(seconds)
            done.set()

        self._loop.call_soon_threadsafe(shut)
        done.wait()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._listen()
        self._ready.set()
        await self._closing.wait()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        await asyncio.sleep(0)  # every connection that was taken begins to arrive
        arriving = list(self._arriving)
        for task in arriving:
            task.cancel()
        await asyncio.gather(*arriving, return_exceptions=True)
        self._drop_all()
        await asyncio.sleep(0)  # lets the connections say goodbye

    def _listen(self) -> None:
        self._shut_now = False
        self._listener.setblocking(False)
        self._listener.listen(_BACKLOG)
        self._loop.add_reader(self._listener, self._take_in)

    def _take_in(self) -> None:
        """Takes all who wait at the door; asyncio's own server loses the one it took just before it is closed."""
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                wire, _ = self._listener.accept()
                wire.setblocking(False)
                task = self._loop.create_task(self._arrive(wire))
                self._arriving.add(task)
                task.add_done_callback(self._arriving.discard)

    async def _arrive(self, wire: socket.socket) -> None:
        with contextlib.suppress(OSError):  # gone meanwhile, or of another mind about TLS
            _, connection = await self._loop.connect_accepted_socket(
                lambda: Connection(self, self._loop, self._open_ones), wire, ssl=self._tls
            )
            if self._shut_now:
                connection.abort()

    def _shut(self, seconds: float) -> None:
        if not self._shut_now:
            self._shut_now = True
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = socket.socket()  # does not listen, but lets nobody else have the port
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((_HOST, self.port))
        self._drop_all()
        until = self._loop.time() + seconds
        if self._reopening:
            until = max(until, self._reopening.when())
            self._reopening.cancel()
        self._reopening = self._loop.call_at(until, self._reopen)

    def _reopen(self) -> None:
        self._reopening = None
        self._listen()

    def _drop_all(self) -> None:
        for connection in list(self._open_ones):
            connection.abort()
