"""A refetch from a server that fails in many ways at once; it is written with the standard library alone."""

from __future__ import annotations

import json
import random
import socket
import sqlite3
import struct
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from quivo_frames import Archive, Client, refetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Connect = Callable[..., Client]

pytestmark = pytest.mark.alone

FAULTS = ("500", "502", "503", "dropped", "reset", "truncated", "html")


class NoisyServer(ThreadingHTTPServer):
    """Each fault has the same `share` of all requests, logins included; a token lives `token_seconds`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, share: float, token_seconds: float, latency: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.share, self.token_seconds, self.latency = share, token_seconds, latency
        self.chance = random.Random(18)
        self.lock = threading.Lock()
        self.tokens: list[float] = []
        """When each token was given."""
        self.asked: Counter[int] = Counter()
        self.refused: list[float] = []
        """When each request came that was answered with 401."""
        self.refused_orders: dict[int, int] = {}
        """Orders that are refused so many times more, whatever the token."""

    def handle_error(self, *_: object) -> None:
        """Connections end as they like."""

    def draw_fault(self) -> str:
        with self.lock:
            number = int(self.chance.random() / self.share) if self.share else len(FAULTS)
        return FAULTS[number] if number < len(FAULTS) else ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: NoisyServer

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.send(200, b"{}")

    def do_POST(self) -> None:
        came = time.monotonic()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        order_id = 0 if self.path == "/login" else int(self.path.split("/")[2])
        is_let_in = not order_id or self.is_let_in(order_id, came)
        time.sleep(self.server.latency)
        if not is_let_in:
            self.send(401, b'{"message":"The incoming token has expired"}')
        elif fault := self.server.draw_fault():
            self.fail(fault)
        elif order_id:
            self.send(200, json.dumps({"orderId": order_id, "note": "x" * 500}).encode())
        else:
            with self.server.lock:
                self.server.tokens.append(time.monotonic())
                token = f"token-{len(self.server.tokens)}"
            self.send(200, json.dumps({"token": token}).encode())

    def is_let_in(self, order_id: int, came: float) -> bool:
        with self.server.lock:
            self.server.asked[order_id] += 1
            number = int((self.headers.get("Authorization") or "-0").rpartition("-")[2])
            is_old = not number or came > self.server.tokens[number - 1] + self.server.token_seconds
            left = self.server.refused_orders.get(order_id, 0)
            self.server.refused_orders[order_id] = max(left - 1, 0)
            if is_old or left:
                self.server.refused.append(came)
            return not (is_old or left)

    def fail(self, fault: str) -> None:
        if fault.isdigit():
            self.send(int(fault), b'{"message":"sorry"}')
        elif fault == "html":
            self.send(200, b"<html>Sign in</html>")
        else:
            self.close_connection = True
        if fault == "truncated":
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"orderId":')
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serve(share: float, token_seconds: float = 3600.0, latency: float = 0.05) -> Iterator[NoisyServer]:
    with NoisyServer(share, token_seconds, latency) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def make_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made: list[Client] = []

    def make(server: NoisyServer, **options: object) -> Client:
        login = {"api_key": "canary-key", "username": "canary-user", "password": "canary-password"}
        url = f"http://127.0.0.1:{server.server_address[1]}"
        made.append(Client.from_env(base_url=url, **login, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for client in made:
        client.close()


def stored_orders(path: Path) -> Counter[int]:
    with closing(sqlite3.connect(path)) as db:
        return Counter(order_id for (order_id,) in db.execute("SELECT order_id FROM responses WHERE good"))


@pytest.mark.long
def test_all_faults_and_tokens_of_two_seconds_cost_no_order(make_client: Callable[..., Client], tmp_path: Path) -> None:
    ids, workers = range(1, 601), 8
    with serve(0.03, token_seconds=2.0) as server, Archive(tmp_path / "a") as archive:
        client = make_client(server, tries=9)  # a fifth of the tries fails: of five, one order in two thousand would
        began = time.monotonic()
        run = refetch(ids, client, archive, workers=workers, progress=False)
        seconds = time.monotonic() - began
    asked, tokens, refused = sum(server.asked.values()), len(server.tokens), len(server.refused)
    print(f"{seconds:.1f} s, {asked} requests, {tokens} tokens, {refused} 401s")
    assert {str(outcome): count for outcome, count in run.outcomes.items()} == {"fetched": 600}
    assert stored_orders(tmp_path / "a") == Counter(ids)
    failing = len(FAULTS) * server.share
    assert asked - refused < 1.1 * len(ids) / (1 - failing)
    assert tokens <= 1 + seconds / server.token_seconds
    assert all(later - earlier >= server.token_seconds for earlier, later in pairwise(server.tokens))
    assert refused <= workers * (tokens - 1)  # those under way


def test_an_order_that_is_refused_once_or_twice_by_chance_is_asked_again(
    make_client: Callable[..., Client], tmp_path: Path
) -> None:
    with serve(0.0, latency=0.0) as server, Archive(tmp_path / "a") as archive:
        server.refused_orders = {3: 1, 5: 99}
        run = refetch(range(1, 9), make_client(server), archive, workers=1, progress=False)
    assert run.failures["order_id"].to_list() == [5]
    assert server.asked == Counter(
        {**dict.fromkeys(range(1, 9), 1), 3: 2, 5: 3}
    )  # the first token may just have run out
    assert len(server.tokens) == 1 + 1 + 2 + 1


@pytest.mark.long
def test_a_token_is_taken_when_the_turn_has_come(make_client: Callable[..., Client], tmp_path: Path) -> None:
    """At two requests a second each of four threads waits for longer than a token lives."""
    with serve(0.0, token_seconds=0.8, latency=0.0) as server, Archive(tmp_path / "a") as archive:
        run = refetch(range(1, 9), make_client(server, rate=2.0), archive, workers=4, progress=False)
    assert {str(outcome): count for outcome, count in run.outcomes.items()} == {"fetched": 8}
    assert len(server.refused) <= len(server.tokens) - 1
