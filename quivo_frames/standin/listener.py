"""The thread of the stand-in: an event loop, a port of this machine, and the connections to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from quivo_frames.errors import ConfigError
from quivo_frames.standin.http_connection import HttpRequest, ScheduledReply, ServerConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_HOST = "127.0.0.1"
_BACKLOG = 1024


class ListenerThread:
    """A thread that serves from its creation until `stop`. Raises ConfigError when the port cannot be opened."""

    def __init__(
        self, answer: Callable[[HttpRequest, float], ScheduledReply], port: int, tls: ssl.SSLContext | None
    ) -> None:
        self.answer_request = answer
        try:
            self._listener = socket.create_server((_HOST, port), backlog=_BACKLOG)
        except OSError as err:
            reason = f"Port {port} of this machine cannot be opened ({err.strerror})"
            raise ConfigError(f"{reason}: choose another one, or 0 for any.") from err
        self.port: int = self._listener.getsockname()[1]
        self._tls = tls
        self._loop = asyncio.SelectorEventLoop()
        self._closing = asyncio.Event()
        self._open_ones: set[ServerConnection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._is_refusing = False  # new connections are refused for a while
        self._reopening: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run_loop, name="stand-in", daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def wait(self) -> None:
        """Return when the thread has stopped, or on Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):
            while self._thread.is_alive():
                self._thread.join(1.0)

    def refuse_connections(self, seconds: float) -> None:
        """Reset every connection and refuse new ones for this many seconds. Returns once they are refused."""
        if threading.current_thread() is self._thread:
            self._stop_listening(seconds)
            return
        done = threading.Event()
        self._loop.call_soon_threadsafe(self._stop_listening, seconds)
        self._loop.call_soon_threadsafe(done.set)  # called in this order
        done.wait()

    def _run_loop(self) -> None:
        self._loop.run_until_complete(self._serve_until_closed())
        self._loop.close()

    async def _serve_until_closed(self) -> None:
        self._start_listening()
        self._ready.set()
        await self._closing.wait()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        await asyncio.sleep(0)  # lets every accepted connection start its task
        arriving = list(self._connecting)
        for task in arriving:
            task.cancel()
        await asyncio.gather(*arriving, return_exceptions=True)
        self._abort_connections()
        await asyncio.sleep(0)  # lets the aborted connections close

    def _start_listening(self) -> None:
        self._is_refusing = False
        self._listener.setblocking(False)
        self._listener.listen(_BACKLOG)
        self._loop.add_reader(self._listener, self._accept_clients)

    def _accept_clients(self) -> None:
        """Accept all waiting clients. The server of asyncio loses a client that it accepts just before it is closed."""
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                client, _ = self._listener.accept()
                client.setblocking(False)
                task = self._loop.create_task(self._connect_client(client))
                self._connecting.add(task)
                task.add_done_callback(self._connecting.discard)

    async def _connect_client(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client is gone, or the TLS handshake failed
            _, connection = await self._loop.connect_accepted_socket(
                lambda: ServerConnection(self, self._loop, self._open_ones), client, ssl=self._tls
            )
            if self._is_refusing:
                connection.abort()

    def _stop_listening(self, seconds: float) -> None:
        if not self._is_refusing:
            self._is_refusing = True
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = socket.socket()  # does not listen, but keeps the port from others
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((_HOST, self.port))
        self._abort_connections()
        until = self._loop.time() + seconds
        if self._reopening:
            until = max(until, self._reopening.when())
            self._reopening.cancel()
        self._reopening = self._loop.call_at(until, self._listen_again)

    def _listen_again(self) -> None:
        self._reopening = None
        self._start_listening()

    def _abort_connections(self) -> None:
        for connection in list(self._open_ones):
            connection.abort()
