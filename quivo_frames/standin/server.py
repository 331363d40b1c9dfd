"""The stand-in Quivo API and its rules: who is let in, what is answered, what goes wrong. Floor 3.

Documented: POST /login with X-Api-Key and {"username", "password"}; X-Api-Key and the bare token on every later call;
the 401 {"message": "The incoming token has expired"}; 400 with a plain text of the kind `field: message`; the paging
parameters of lists; POST /orders/{orderId}/refetch -> the order.
Seen in clients: the {"token"} that a login answers, and that `Authorization: Bearer <token>` is taken too.
Guesses after the habits of AWS API Gateway, which seems to stand before Quivo: 401 {"message": "Unauthorized"} for no
token or a garbled one, 403 {"message": "Forbidden"} for a wrong key, 403 "Missing Authentication Token" for an unknown
path, 429 {"message": "Too Many Requests"} without Retry-After, {"message"} in 5xx.
Plain guesses: the 401 for a wrong password, the 404 for an unknown order, the text of the 400 for a malformed id, the
answer of GET /ping, that /login is not throttled, that a revoked token counts as expired.
Faults, chaos and the habits of lists are not guesses about Quivo: they are what HTTP, gateways and networks can do.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from hashlib import sha256
from itertools import repeat
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec

from quivo_frames.standin import search
from quivo_frames.standin.chaos import Chaos
from quivo_frames.standin.faults import (
    EXPIRED,
    FORBIDDEN,
    NEIGHBOUR,
    NO_FAULT,
    TEXT,
    THROTTLED,
    UNAUTHORIZED,
    Fault,
    Reply,
    Text,
    message,
)
from quivo_frames.standin.http_connection import Answer, Request
from quivo_frames.standin.listener import Serving
from quivo_frames.standin.orders import FIRST_ID, LAST_VISIT, order_json
from quivo_frames.standin.random import LogNormal, seconds
from quivo_frames.standin.throttle import Bucket, Timeline

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping, Sequence

_MAX_ID = 2**63 - 1
_LATEST = datetime(2027, 1, 1, tzinfo=UTC)  # after all that happens to any order
_REFETCH = re.compile(r"/orders/(?:(\d{1,19})|[^/]+)/refetch", re.ASCII)


def _one_by_one(faults: Sequence[Fault]) -> Iterator[Fault]:
    for fault in faults:
        yield from repeat(fault) if fault.times is None else repeat(fault, fault.times)


class StandIn:
    """A context manager: while it is open, a Quivo API answers at `base_url`.

    Args:
        orders: how many there are, from `first_id` on, drawn by `seed`.
        port: 0 is any free one.
        rate: requests a second over all callers; None is no limit.
        burst: how many requests may go at once; None is those of a tenth of a second, and at least two.
        retry_after: what the 429 beyond the rate says: a text, a callable that gives one (`date_in`), or nothing.
        latency: seconds before every answer; drawn by seed, order and how often it was asked for if `LogNormal`.
        token_seconds: how long a token lives.
        faults: by order id what goes wrong, one fault a request, and then no more.
        chaos: what goes wrong by chance, where `faults` has nothing (more) for the order.
        login_faults: what goes wrong with logins, one fault a login, before anything is checked.
        list_faults: the same for GET /orders, for requests that were let in.
        paging: the habits of the list.
        tls: a server's context; then `base_url` is https.

    `rate`, `burst`, `retry_after`, `latency` and `between_pages` may be set by any thread while it serves. `timeline`
    tells of every refetch when it came and what was answered; `requests`, `logins` and `throttled` count.
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
        chaos: Chaos | None = None,
        login_faults: Sequence[Fault] = (),
        list_faults: Sequence[Fault] = (),
        paging: search.Paging | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.order_ids = range(first_id, first_id + orders)
        self.base_url = ""
        self.retry_after = retry_after
        self.latency = latency
        self.between_pages: Callable[[int], object] | None = None
        self.timeline = Timeline()
        self.logins = self.requests = self.throttled = 0
        self._port = port
        self._tls = tls
        self._serving: Serving | None = None
        self._token_seconds = token_seconds
        self._tokens: dict[str, float] = {}
        self._bucket = Bucket(rate, burst)
        self._seed = seed
        self._faults = {order_id: _one_by_one(given) for order_id, given in (faults or {}).items()}
        self._chaos = chaos or Chaos({})
        self._login_faults, self._list_faults = _one_by_one(login_faults), _one_by_one(list_faults)
        self._served: dict[int, int] = {}
        self._admitted: dict[int, int] = {}  # requests for an order that got past token and limit
        self._visits: dict[int, int] = {}
        self._sent: dict[int, tuple[int, int]] = {}  # visit and blanks of the last good body
        self._hashes: dict[int, bytes] = {}  # of all good bodies, one behind the other
        self._paging = paging or search.Paging()
        self._pages = 0
        self._touches = 0
        self._touched: dict[int, str] = {}  # lastModified, as the list has it
        self._rows: dict[int, search.Row] = {}
        self._body = lru_cache(maxsize=4096)(lambda order_id, visit: order_json(order_id, seed, visit))

    @property
    def rate(self) -> float | None:
        """Requests a second over all callers; None is no limit."""
        return self._bucket.rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        """Moves the limit."""
        self._bucket.rate = rate

    @property
    def burst(self) -> float | None:
        """How many requests may go at once; None is those of a tenth of a second, and at least two."""
        return self._bucket.burst

    @burst.setter
    def burst(self, burst: float | None) -> None:
        """Makes room for so many."""
        self._bucket.burst = burst

    def start(self) -> Self:
        """The server, listening; raises ConfigError when the port cannot be had."""
        self._serving = Serving(self._answer, self._port, self._tls)
        self.base_url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._serving.port}"
        return self

    def stop(self) -> None:
        """Closed, with every connection."""
        if self._serving:
            self._serving.stop()
            self._serving = None

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self) -> None:
        """Back when interrupted (Ctrl-C)."""
        if self._serving:
            self._serving.wait()

    def refuse(self, seconds: float) -> None:
        """Resets every connection, and refuses new ones for so many seconds. Back when it is so."""
        if self._serving:
            self._serving.refuse(seconds)

    def served(self, order_id: int) -> int:
        """Refetches of the order received so far, whatever was answered."""
        return self._served.get(order_id, 0)

    def body_sent(self, order_id: int) -> bytes:
        """The last good and complete body sent for the order; raises KeyError when there was none."""
        visit, blanks = self._sent[order_id]
        return self._body(order_id, visit) + b" " * blanks

    def hashes_sent(self, order_id: int) -> list[str]:
        """SHA-256 of every good and complete body sent for the order, in turn, taken when it was handed to the system.

        Of the body as a client has it: without chunks, decompressed.
        """
        all_of_them, size = self._hashes.get(order_id, b""), sha256().digest_size
        return [all_of_them[at : at + size].hex() for at in range(0, len(all_of_them), size)]

    def revoke_tokens(self) -> None:
        """Makes every token given so far an expired one."""
        for token in list(self._tokens):
            self._tokens[token] = 0.0

    def forget_tokens(self) -> None:
        """Makes every token given so far one that was never given."""
        self._tokens.clear()

    def touch(self, *order_ids: int) -> None:
        """What another's refetch does: each is a visit on, and its lastModified in the list later than any other's."""
        for order_id in order_ids:
            self._visits[order_id] = min(self._visits.get(order_id, 0) + 1, LAST_VISIT)
            self._touches += 1
            self._touched[order_id] = f"{_LATEST + timedelta(seconds=self._touches):%Y-%m-%dT%H:%M:%SZ}"
            self._rows.pop(order_id, None)

    def add_orders(self, count: int) -> range:
        """The ids of so many orders that are new from now on, behind all others."""
        last = self.order_ids.stop
        self.order_ids = range(self.order_ids.start, last + count)
        return self.order_ids[-count:]

    # The rules of the API: all below runs in the server's thread.

    def _answer(self, request: Request, now: float) -> Answer:
        self.requests += 1
        url = urlsplit(request.target)
        refetch = _REFETCH.fullmatch(url.path) if request.method == "POST" else None
        if refetch:
            return self._refetch(int(refetch[1] or 0), request.headers, now)
        reply, fault = self._other(request, url, now)
        return self._late(fault.upon(reply), fault, None, 0, self.requests)

    def _late(self, reply: Reply, fault: Fault, left: Callable[[], None] | None, *about: int) -> Answer:
        wait = seconds(self.latency, self._seed, "latency", *about) + seconds(fault.wait, self._seed, "wait", *about)
        return Answer(reply, fault, wait, left)

    def _refetch(self, order_id: int, headers: Mapping[str, str], now: float) -> Answer:
        place = self.timeline.note(now)
        if order_id:
            self._served[order_id] = self._served.get(order_id, 0) + 1
        nth = self._admitted.get(order_id, 0)
        refusal = self._refused(headers, now) or self._unknown(order_id)
        if refusal:
            left = partial(self.timeline.answered, place, refusal.status)
            return self._late(refusal, NO_FAULT, left, order_id, nth)
        self._admitted[order_id] = nth + 1
        fault = next(self._faults.get(order_id, iter(())), None) or self._chaos.fault(self._seed, order_id, nth)
        visit = None
        if fault.reply:
            reply = fault.reply
        elif fault.order_id is not None:
            other = order_id + 1 if fault.order_id == NEIGHBOUR else fault.order_id
            reply = fault.upon(Reply(200, self._body(other, 0)))
        else:
            visit = self._visits[order_id] = min(self._visits.get(order_id, -1) + 1, LAST_VISIT)
            self._rows.pop(order_id, None)
            reply = fault.upon(Reply(200, self._body(order_id, visit)))
        left = partial(self._left, place, order_id, reply, fault, visit if fault.harmless else None)
        return self._late(reply, fault, left, order_id, nth)

    def _left(self, place: int, order_id: int, reply: Reply, fault: Fault, visit: int | None) -> None:
        """Notes that a whole answer leaves; it is a good one if there is a visit."""
        self.timeline.answered(place, reply.status)
        if visit is not None:
            self._sent[order_id] = (visit, fault.blanks)
            self._hashes[order_id] = self._hashes.get(order_id, b"") + sha256(reply.body).digest()

    def _unknown(self, order_id: int) -> Reply | None:
        if not 1 <= order_id <= _MAX_ID:
            return Reply(400, f"orderId: must be a number between 1 and {_MAX_ID}".encode(), TEXT)
        return None if order_id in self.order_ids else message(404, f"Order {order_id} not found")

    def _refused(self, headers: Mapping[str, str], now: float) -> Reply | None:
        """Why a request is not let in."""
        if headers.get("x-api-key") != self.api_key:
            return FORBIDDEN
        expires = self._tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        if expires is None:
            return UNAUTHORIZED
        if expires <= now:
            return EXPIRED
        if self._bucket.takes(now):
            return None
        self.throttled += 1
        return THROTTLED if self.retry_after is None else THROTTLED.saying("Retry-After", self.retry_after)

    def _other(self, request: Request, url: SplitResult, now: float) -> tuple[Reply, Fault]:
        where = (request.method, url.path)
        if where == ("POST", "/login"):
            return self._login(request, now)
        refusal = self._refused(request.headers, now)
        if refusal:
            return refusal, NO_FAULT
        match where:
            case "GET", "/orders":
                return self._list(dict(parse_qsl(url.query, keep_blank_values=True)))
            case "GET", "/ping":
                return Reply(200, b'{"status":"UP"}'), NO_FAULT
        return message(403, "Missing Authentication Token"), NO_FAULT

    def _login(self, request: Request, now: float) -> tuple[Reply, Fault]:
        if request.headers.get("x-api-key") != self.api_key:
            return FORBIDDEN, NO_FAULT
        self.logins += 1
        fault = next(self._login_faults, NO_FAULT)
        if fault.reply:
            return fault.reply, fault
        try:
            given = msgspec.json.decode(request.body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Reply(400, b"body: must be a JSON object", TEXT), fault
        if (given.get("username"), given.get("password")) != (self.username, self.password):
            return message(401, "Incorrect username or password."), fault
        token = f"standin-token-{self.logins:06d}"
        self._tokens[token] = now + self._token_seconds
        return Reply(200, msgspec.json.encode({"token": token})), fault

    def _list(self, parameters: dict[str, str]) -> tuple[Reply, Fault]:
        fault = next(self._list_faults, NO_FAULT)
        if fault.reply:
            return fault.reply, fault
        try:
            asked = search.read(parameters, self._paging)
        except search.SearchError as err:
            return Reply(400, str(err).encode(), TEXT), fault
        if self._pages and self.between_pages:
            self.between_pages(self._pages)
        self._pages += 1
        for order_id in self.order_ids:
            if order_id not in self._rows:
                self._rows[order_id] = search.Row(order_id, self._order)
        rows = search.page(asked, (self._rows[order_id] for order_id in self.order_ids), self._paging)
        found = [search.element(self._order(order_id), sort) for order_id, sort in rows]
        return Reply(200, msgspec.json.encode(found)), fault

    def _order(self, order_id: int) -> dict[str, Any]:
        """The order as the list knows it."""
        shown = cast("dict[str, Any]", msgspec.json.decode(self._body(order_id, self._visits.get(order_id, 0))))
        return shown | {"lastModified": self._touched[order_id]} if order_id in self._touched else shown
