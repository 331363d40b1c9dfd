"""A server that sends bytes as they are given: what it answers to the login, and to all else."""

from __future__ import annotations

import re
import socketserver
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD_LOGIN = b'{"token":"canary-token"}'


def http_bytes(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer; the connection ends after it."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextmanager
def run_server(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    """Host and port of a server of this machine that handles each connection in a thread, until the block ends."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serve_script(answer: bytes, login: bytes | None = None) -> Iterator[tuple[str, Counter[str]]]:
    """The address of a server that gives one answer to every request but login and ping, and the requests by path."""
    requests: Counter[str] = Counter()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            path = self.rfile.readline().decode().split()[1]
            head = b"".join(iter(self.rfile.readline, b"\r\n"))
            self.rfile.read(int((re.search(rb"Content-Length: (\d+)", head) or [0, 0])[1]))
            requests[path] += 1
            others = {"/login": login or http_bytes(GOOD_LOGIN), "/ping": http_bytes(b"{}")}
            self.wfile.write(others.get(path, answer))

    with run_server(Handler) as place:
        yield f"http://{place}", requests
