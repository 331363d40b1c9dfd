"""The stand-in Quivo API: a real HTTP/1.1 server on loopback, its rules, and its faults. Floor 3.

Documented: POST /login with X-Api-Key and {"username", "password"}; X-Api-Key and the bare token on every later call;
the 401 {"message": "The incoming token has expired"}; 400 with a plain text of the kind `field: message`; the paging
parameters of lists; POST /orders/{orderId}/refetch -> the order.
Seen in clients: the {"token"} that a login answers, and that `Authorization: Bearer <token>` is taken too.
Guesses after the habits of AWS API Gateway, which seems to stand before Quivo: 401 {"message": "Unauthorized"} for no
token or a garbled one, 403 {"message": "Forbidden"} for a wrong key, 403 "Missing Authentication Token" for an unknown
path, 429 {"message": "Too Many Requests"} without Retry-After, {"message"} in 5xx.
Plain guesses: the 401 for a wrong password, the 404 for an unknown order, the text of the 400 for a malformed id, the
answer of GET /ping, that /login is not throttled, that a revoked token counts as expired.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import socket
import struct
import threading
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec

from quivo_frames.errors import ConfigError
from quivo_frames.standin import search
from quivo_frames.standin.chance import LogNormal, seconds
from quivo_frames.standin.drawing import FIRST_ID, LAST_VISIT, order_json
from quivo_frames.standin.faults import EXPIRED, FORBIDDEN, TEXT, THROTTLED, UNAUTHORIZED, Fault, Reply, Text, message
from quivo_frames.standin.limits import Bucket, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MAX_ID = 2**63 - 1
_REFETCH = re.compile(r"/orders/(?:(\d{1,19})|[^/]+)/refetch", re.ASCII)
_DRIP_STEP = 0.005  # seconds between two pieces of a dripping body
_NO_FAULT = Fault()


class _Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class _Answer(NamedTuple):
    reply: Reply
    fault: Fault = _NO_FAULT
    good: tuple[int, int] | None = None  # the order and visit whose good body this is
    wait: float = 0.0
    place: int | None = None  # in the timeline


def _one_by_one(faults: Sequence[Fault]) -> Iterator[Fault]:
    for fault in faults:
        yield from repeat(fault) if fault.times is None else repeat(fault, fault.times)


class StandIn:
    """A context manager: while it is open, a Quivo API answers at `base_url`.

    `rate` is requests a second over all callers (None: no limit), `burst` how many may go at once (those of 0.1 s,
    at least one), `retry_after` what the 429 beyond says; all three may be set anew by any thread while it serves.
    `latency` is the seconds every answer takes; `faults` tells by order id what goes wrong, one fault a request, and
    then no more. `timeline` tells of every refetch when it came and what was answered.
    """

    api_key = "standin-api-key"
    username = "standin-user"
    password = "standin-password"  # noqa: S105 - opens nothing

    def __init__(
        self,
        orders: int = 300,
        *,
        seed: int = 0,
        first_id: int = FIRST_ID,
        port: int = 0,
        rate: float | None = None,
        burst: float | None = None,
        retry_after: Text | None = None,
        latency: float | LogNormal = 0.0,
        token_seconds: float = 3600.0,
        faults: Mapping[int, Sequence[Fault]] | None = None,
    ) -> None:
        self.order_ids = range(first_id, first_id + orders)
        self.base_url = ""
        self.retry_after = retry_after
        self.latency = latency
        self.timeline = Timeline()
        self.logins = self.requests = self.throttled = 0
        self._port = port
        self._token_seconds = token_seconds
        self._tokens: dict[str, float] = {}
        self._bucket = Bucket(rate, burst)
        self._seed = seed
        self._faults = {order_id: _one_by_one(given) for order_id, given in (faults or {}).items()}
        self._served: dict[int, int] = {}
        self._admitted: dict[int, int] = {}  # how often an order's request got past token and limit; 0: all others
        self._visits: dict[int, int] = {}
        self._sent: dict[int, int] = {}
        self._rows: dict[int, search.Row] = {}
        self._body = lru_cache(maxsize=4096)(lambda order_id, visit: order_json(order_id, seed, visit))
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def rate(self) -> float | None:
        """Requests a second over all callers; None is no limit."""
        return self._bucket.rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        self._bucket.rate = rate

    @property
    def burst(self) -> float | None:
        """How many requests may go at once; None is a tenth of a second's, and at least one."""
        return self._bucket.burst

    @burst.setter
    def burst(self, burst: float | None) -> None:
        self._bucket.burst = burst

    def start(self) -> Self:
        """The server, listening; raises ConfigError when the port cannot be had."""
        try:
            listener = socket.create_server(("127.0.0.1", self._port), backlog=1024)
        except OSError as err:
            reason = f"Port {self._port} of this machine cannot be opened ({err.strerror})"
            raise ConfigError(f"{reason}: choose another one, or 0 for any.") from err
        self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._loop, self._closing = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(self._loop, listener), name="stand-in", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Closed, with every connection."""
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
            self._loop = self._thread = None

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self) -> None:
        """Back when interrupted (Ctrl-C)."""
        with contextlib.suppress(KeyboardInterrupt):
            while self._thread and self._thread.is_alive():
                self._thread.join(1.0)

    def served(self, order_id: int) -> int:
        """Refetches of the order received so far, whatever was answered."""
        return self._served.get(order_id, 0)

    def body_sent(self, order_id: int) -> bytes:
        """The last good and complete body sent for the order; raises KeyError when there was none."""
        return self._body(order_id, self._sent[order_id])

    def revoke_tokens(self) -> None:
        """Makes every token given so far an expired one."""
        for token in list(self._tokens):
            self._tokens[token] = 0.0

    def _run(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        loop.run_until_complete(self._serve(loop, listener))
        loop.close()

    async def _serve(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        connections: set[_Connection] = set()
        server = await loop.create_server(lambda: _Connection(self, loop, connections), sock=listener)
        await self._closing.wait()
        server.close()
        for connection in list(connections):
            connection.abort()
        await asyncio.sleep(0)  # lets the connections say goodbye

    # The rules of the API: all below runs in the server's thread.

    def _answer(self, request: _Request, now: float) -> _Answer:
        self.requests += 1
        url = urlsplit(request.target)
        refetch = _REFETCH.fullmatch(url.path) if request.method == "POST" else None
        asked = int(refetch[1] or 0) if refetch else 0
        place = self.timeline.note(now) if refetch else None
        if asked:
            self._served[asked] = self._served.get(asked, 0) + 1
        nth = self._admitted.get(asked, 0)
        answer = self._ruled(request, url, now, asked if refetch else None)
        wait = seconds(self.latency, self._seed, asked, nth) + answer.fault.wait
        return answer._replace(wait=wait, place=place)

    def _ruled(self, request: _Request, url: SplitResult, now: float, order_id: int | None) -> _Answer:
        """What the rules say, before any latency."""
        if request.headers.get("x-api-key") != self.api_key:
            return _Answer(FORBIDDEN)
        if (request.method, url.path) == ("POST", "/login"):
            return _Answer(self._login(request.body, now))
        refused = self._refused(request.headers.get("authorization", ""), now)
        if refused:
            return _Answer(refused)
        self._admitted[order_id or 0] = self._admitted.get(order_id or 0, 0) + 1
        return _Answer(self._read(request.method, url.path, url.query)) if order_id is None else self._refetch(order_id)

    def _read(self, method: str, path: str, query: str) -> Reply:
        match method, path:
            case "GET", "/orders":
                return self._list(dict(parse_qsl(query, keep_blank_values=True)))
            case "GET", "/ping":
                return Reply(200, b'{"status":"UP"}')
        return message(403, "Missing Authentication Token")

    def _login(self, body: bytes, now: float) -> Reply:
        self.logins += 1
        try:
            given = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Reply(400, b"body: must be a JSON object", TEXT)
        if (given.get("username"), given.get("password")) != (self.username, self.password):
            return message(401, "Incorrect username or password.")
        token = f"standin-token-{self.logins:06d}"
        self._tokens[token] = now + self._token_seconds
        return Reply(200, msgspec.json.encode({"token": token}))

    def _refused(self, authorization: str, now: float) -> Reply | None:
        expires = self._tokens.get(authorization.removeprefix("Bearer "))
        if expires is None:
            return UNAUTHORIZED
        if expires <= now:
            return EXPIRED
        if self._bucket.takes(now):
            return None
        self.throttled += 1
        return THROTTLED if self.retry_after is None else THROTTLED.saying("Retry-After", self.retry_after)

    def _refetch(self, order_id: int) -> _Answer:
        if not 1 <= order_id <= _MAX_ID:
            return _Answer(Reply(400, f"orderId: must be a number between 1 and {_MAX_ID}".encode(), TEXT))
        if order_id not in self.order_ids:
            return _Answer(message(404, f"Order {order_id} not found"))
        fault = next(self._faults.get(order_id, iter(())), _NO_FAULT)
        if fault.reply:
            return _Answer(fault.reply, fault)
        if fault.order_id is not None:
            return _Answer(Reply(200, self._body(fault.order_id, 0)), fault)
        visit = self._visits[order_id] = min(self._visits.get(order_id, -1) + 1, LAST_VISIT)
        self._rows.pop(order_id, None)
        body = self._body(order_id, visit)
        if fault.spoil == "cut":
            return _Answer(Reply(200, body[: len(body) // 2]), fault)
        return _Answer(Reply(200, body), fault, None if fault.spoil else (order_id, visit))

    def _list(self, parameters: dict[str, str]) -> Reply:
        try:
            asked = search.read(parameters)
        except search.SearchError as err:
            return Reply(400, str(err).encode(), TEXT)
        for order_id in self.order_ids:
            if order_id not in self._rows:
                self._rows[order_id] = search.Row(order_id, self._order)
        rows = search.page(asked, (self._rows[order_id] for order_id in self.order_ids))
        return Reply(200, msgspec.json.encode([search.element(self._order(order_id), sort) for order_id, sort in rows]))

    def _order(self, order_id: int) -> dict[str, Any]:
        return cast("dict[str, Any]", msgspec.json.decode(self._body(order_id, self._visits.get(order_id, 0))))


class _Connection(asyncio.Protocol):
    """One client's connection: requests in, one at a time, answers out."""

    def __init__(self, api: StandIn, loop: asyncio.AbstractEventLoop, open_ones: set[_Connection]) -> None:
        self._api = api
        self._loop = loop
        self._open_ones = open_ones
        self._buffer = bytearray()
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open_ones.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._open_ones.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._go_on()

    def abort(self) -> None:
        """Drops the connection with a reset."""
        if wire := self._transport.get_extra_info("socket"):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _go_on(self) -> None:
        while not self._busy and not self._transport.is_closing() and (request := self._take()):
            self._busy = True
            answer = self._api._answer(request, self._loop.time())
            if answer.wait:
                self._loop.call_later(answer.wait, self._send_late, answer)
            else:
                self._send(answer)

    def _take(self) -> _Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        end += 4
        length = headers.get("content-length", "0")
        method, target, *_ = [*first.split(" "), "", ""]
        if not length.isdecimal() or "transfer-encoding" in headers or not target:
            self._transport.write(Reply(400, b"request: cannot be read", TEXT).wire())
            self._transport.close()
            return None
        if len(self._buffer) < end + int(length):
            return None
        body = bytes(self._buffer[end : end + int(length)])
        del self._buffer[: end + int(length)]
        return _Request(method, target, headers, body)

    def _send_late(self, answer: _Answer) -> None:
        self._send(answer)
        self._go_on()

    def _send(self, answer: _Answer) -> None:
        reply, fault = answer.reply, answer.fault
        if fault.spoil == "reset":
            self.abort()
        elif fault.spoil == "truncate":
            whole = reply.wire()
            self._transport.write(whole[: len(whole) - len(reply.body) // 2])
            self._transport.close()
        elif fault.spread:
            self._transport.write(reply.head())
            self._drip(answer, 0)
        else:
            self._sent(answer)
            self._transport.write(reply.wire())

    def _drip(self, answer: _Answer, at: int) -> None:
        body = answer.reply.body
        if self._transport.is_closing():
            return
        step = math.ceil(len(body) * _DRIP_STEP / answer.fault.spread)
        if at + step < len(body):
            self._transport.write(body[at : at + step])
            self._loop.call_later(_DRIP_STEP, self._drip, answer, at + step)
        else:
            self._sent(answer)
            self._transport.write(body[at:])
            self._go_on()

    def _sent(self, answer: _Answer) -> None:
        """Notes a good body just before its last byte leaves: who has read it may ask for it at once."""
        self._busy = False
        if self._transport.is_closing():
            return
        if answer.place is not None:
            self._api.timeline.answered(answer.place, answer.reply.status)
        if answer.good:
            order_id, visit = answer.good
            self._api._sent[order_id] = visit
