"""The stand-in Quivo API: its rules for access, answers, rate limit and faults.

Documented: POST /login with X-Api-Key and {"username", "password"}; X-Api-Key and the bare token on every later call;
the 401 {"message": "The incoming token has expired"}; 400 with a plain text of the kind `field: message`; the paging
parameters of lists; POST /orders/{orderId}/refetch -> the order.
Seen in clients: a login answers {"token"} or {"Token"}, and `Authorization: Bearer <token>` is accepted too.
Guesses from AWS API Gateway, which seems to stand in front of Quivo: 401 {"message": "Unauthorized"} for no
token or a garbled one, 403 {"message": "Forbidden"} for a wrong key, 403 "Missing Authentication Token" for an unknown
path, 429 {"message": "Too Many Requests"} without Retry-After, {"message"} in 5xx.
Plain guesses: the 401 for a wrong password, the 404 for an unknown order, the text of the 400 for a malformed id, the
answer of GET /ping, that /login is not throttled, that a revoked token counts as expired.
Faults, envelopes and the options of `Paging` are not guesses about Quivo: they are what servers and networks can do.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from hashlib import sha256
from http import HTTPStatus
from itertools import repeat
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec

from quivo_frames.standin import search
from quivo_frames.standin.faults import (
    ENVELOPES,
    EXPIRED,
    FORBIDDEN,
    NEXT_ORDER,
    NO_FAULT,
    TEXT_TYPE,
    THROTTLED,
    UNAUTHORIZED,
    FaultChooser,
    HeaderText,
    HttpReply,
    ServerFault,
    choose_noise,
    json_message,
)
from quivo_frames.standin.http_connection import HttpRequest, ScheduledReply
from quivo_frames.standin.listener import ListenerThread
from quivo_frames.standin.orders import FIRST_ID, LAST_VISIT, order_json
from quivo_frames.standin.random import LogNormal, draw_seconds
from quivo_frames.standin.throttle import RefetchTimeline, TokenBucket

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping, Sequence

_MAX_ID = 2**63 - 1
_LATEST = datetime(2027, 1, 1, tzinfo=UTC)  # after every instant of any order
_REFETCH = re.compile(r"/orders/(?:(\d{1,19})|[^/]+)/refetch", re.ASCII)


def _repeat_faults(faults: Sequence[ServerFault]) -> Iterator[ServerFault]:
    for fault in faults:
        yield from repeat(fault) if fault.times is None else repeat(fault, fault.times)


class StandIn:
    """A context manager: while it is open, a Quivo API answers at `base_url`.

    Args:
        orders: how many orders there are, from `first_id` on, drawn from `seed`.
        port: 0 is any free port.
        rate: requests per second over all callers; None is no limit.
        burst: size of the token bucket; None is the tokens of a tenth of a second, at least two.
        retry_after: Retry-After of the 429 above the rate: a text, a callable that returns one (`date_in`), or None.
        latency: seconds before every answer; a `LogNormal` is drawn from seed, order and number of the request.
        token_seconds: lifetime of a token.
        token_field: field of a login's answer that has the token.
        envelope, login_envelope: what an order, or a login's answer, is wrapped in: one of `ENVELOPES`.
        faults: by order id the faults of its requests, one per request; after them the answers are good.
        noise: share of the refetches for which `faults` has none (left) that fail in one of the ways of `NOISE`,
            whatever the rate; which ones depends on seed, order id and number of the request for that order.
        chaos: chooses the fault of such a request in place of `noise`, from the same three.
        login_faults: the faults of logins, one per login, before anything is checked.
        list_faults: the same for GET /orders, for requests that passed access and rate limit.
        paging: how the list of orders pages.
        tls: a server context; `base_url` is https then.

    Any thread may set `rate`, `burst`, `retry_after`, `latency` and `between_pages` while it serves. `timeline` has the
    time and status of every refetch; `requests`, `logins` and `throttled` count.
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
        retry_after: HeaderText | None = None,
        latency: float | LogNormal = 0.0,
        token_seconds: float = 3600.0,
        token_field: str = "token",  # noqa: S107 - no password
        envelope: str = "",
        login_envelope: str = "",
        faults: Mapping[int, Sequence[ServerFault]] | None = None,
        noise: float = 0.0,
        chaos: FaultChooser | None = None,
        login_faults: Sequence[ServerFault] = (),
        list_faults: Sequence[ServerFault] = (),
        paging: search.Paging | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.order_ids = range(first_id, first_id + orders)
        self.base_url = ""
        self.rate = rate
        self.burst = burst
        self.retry_after = retry_after
        self.latency = latency
        self.between_pages: Callable[[int], object] | None = None
        self.timeline = RefetchTimeline()
        self.logins = self.requests = self.throttled = 0
        self._port = port
        self._tls = tls
        self._listener: ListenerThread | None = None
        self._token_seconds = token_seconds
        self._tokens: dict[str, float] = {}
        self._bucket = TokenBucket()
        self._seed = seed
        self._faults = {order_id: _repeat_faults(given) for order_id, given in (faults or {}).items()}
        self._chaos = chaos or partial(choose_noise, noise)
        self._login_faults, self._list_faults = _repeat_faults(login_faults), _repeat_faults(list_faults)
        self._refetch_counts: dict[int, int] = {}
        self._admitted: dict[int, int] = {}  # requests for an order that passed access and rate limit
        self._visits: dict[int, int] = {}
        self._last_sent: dict[int, tuple[int, int]] = {}  # visit and blanks of the last good body
        self._hashes: dict[int, bytes] = {}  # SHA-256 of all good bodies, concatenated
        self._paging = paging or search.Paging()
        self._pages = 0
        self._touches = 0
        self._touched: dict[int, str] = {}  # lastModified in the list
        self._rows: dict[int, search.SearchableOrder] = {}
        self._order_body = lru_cache(maxsize=4096)(lambda order_id, visit: order_json(order_id, seed, visit))
        self._token_field = token_field
        self._order_frame, self._login_frame = ENVELOPES[envelope], ENVELOPES[login_envelope]

    def start(self) -> Self:
        """Start to listen. Raises ConfigError when the port cannot be opened."""
        self._listener = ListenerThread(self._answer_request, self._port, self._tls)
        self.base_url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._listener.port}"
        return self

    def stop(self) -> None:
        """Close the server and every connection."""
        if self._listener:
            self._listener.stop()
            self._listener = None

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self) -> None:
        """Return when the server has stopped, or on Ctrl-C."""
        if self._listener:
            self._listener.wait()

    def refuse_connections(self, seconds: float) -> None:
        """Reset every connection and refuse new ones for this many seconds. Returns once they are refused."""
        if self._listener:
            self._listener.refuse_connections(seconds)

    def refetch_count(self, order_id: int) -> int:
        """How many refetches of the order were received, whatever was answered."""
        return self._refetch_counts.get(order_id, 0)

    def body_sent(self, order_id: int) -> bytes:
        """The last good and complete body sent for the order. Raises KeyError when there was none."""
        visit, blanks = self._last_sent[order_id]
        return self._order_frame % self._order_body(order_id, visit) + b" " * blanks

    def hashes_sent(self, order_id: int) -> list[str]:
        """SHA-256 (hex) of every good and complete body sent for the order, in the order they were sent.

        Of the body as a client sees it: without chunks, decompressed.
        """
        hashes, size = self._hashes.get(order_id, b""), sha256().digest_size
        return [hashes[at : at + size].hex() for at in range(0, len(hashes), size)]

    def revoke_tokens(self) -> None:
        """Expire every token given so far."""
        for token in list(self._tokens):
            self._tokens[token] = 0.0

    def forget_tokens(self) -> None:
        """Treat every token given so far as one that was never given."""
        self._tokens.clear()

    def touch_orders(self, *order_ids: int, at: datetime | None = None) -> None:
        """Do what a refetch by someone else does: one visit more, and a lastModified `at`, or later than all others."""
        for order_id in order_ids:
            self._visits[order_id] = min(self._visits.get(order_id, 0) + 1, LAST_VISIT)
            self._touches += 1
            moment = at or _LATEST + timedelta(seconds=self._touches)
            self._touched[order_id] = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
            self._rows.pop(order_id, None)

    def add_orders(self, count: int) -> range:
        """Add `count` orders behind all others; returns their ids."""
        last = self.order_ids.stop
        self.order_ids = range(self.order_ids.start, last + count)
        return self.order_ids[-count:]

    # The rules of the API; all of this runs in the server thread

    def _answer_request(self, request: HttpRequest, now: float) -> ScheduledReply:
        self.requests += 1
        url = urlsplit(request.target)
        refetch = _REFETCH.fullmatch(url.path) if request.method == "POST" else None
        if refetch:
            return self._answer_refetch(int(refetch[1] or 0), request.headers, now)
        reply, fault = self._answer_other(request, url, now)
        return self._schedule_reply(fault.apply_to(reply), fault, None, 0, self.requests)

    def _schedule_reply(
        self, reply: HttpReply, fault: ServerFault, before_last_byte: Callable[[], None] | None, *about: int
    ) -> ScheduledReply:
        latency = draw_seconds(self.latency, self._seed, "latency", *about)
        wait = draw_seconds(fault.wait_before, self._seed, "wait", *about)
        return ScheduledReply(reply, fault, latency + wait, before_last_byte)

    def _answer_refetch(self, order_id: int, headers: Mapping[str, str], now: float) -> ScheduledReply:
        position = self.timeline.note_arrival(now)
        if order_id:
            self._refetch_counts[order_id] = self._refetch_counts.get(order_id, 0) + 1
        nth = self._admitted.get(order_id, 0)
        refusal = self._check_access(headers, now) or self._check_order_id(order_id)
        if refusal:
            note = partial(self.timeline.note_answer, position, refusal.status)
            return self._schedule_reply(refusal, NO_FAULT, note, order_id, nth)
        self._admitted[order_id] = nth + 1
        fault = next(self._faults.get(order_id, iter(())), None) or self._chaos(self._seed, order_id, nth)
        visit = None
        if fault.reply:
            reply = fault.reply
        elif fault.order_id is not None:
            other = order_id + 1 if fault.order_id == NEXT_ORDER else fault.order_id
            reply = fault.apply_to(HttpReply(200, self._order_frame % self._order_body(other, 0)))
        else:
            visit = self._visits[order_id] = min(self._visits.get(order_id, -1) + 1, LAST_VISIT)
            self._rows.pop(order_id, None)
            reply = fault.apply_to(HttpReply(200, self._order_frame % self._order_body(order_id, visit)))
        note = partial(self._note_sent, position, order_id, reply, fault, visit if fault.is_harmless else None)
        return self._schedule_reply(reply, fault, note, order_id, nth)

    def _note_sent(self, position: int, order_id: int, reply: HttpReply, fault: ServerFault, visit: int | None) -> None:
        """Record that a whole answer is sent; it is a good one if there is a visit."""
        is_no_order = fault.reply is not None and reply.status == HTTPStatus.OK
        self.timeline.note_answer(position, 0 if is_no_order else reply.status)
        if visit is not None:
            self._last_sent[order_id] = (visit, fault.blanks)
            self._hashes[order_id] = self._hashes.get(order_id, b"") + sha256(reply.body).digest()

    def _check_order_id(self, order_id: int) -> HttpReply | None:
        if not 1 <= order_id <= _MAX_ID:
            return HttpReply(400, f"orderId: must be a number between 1 and {_MAX_ID}".encode(), TEXT_TYPE)
        return None if order_id in self.order_ids else json_message(404, f"Order {order_id} not found")

    def _check_access(self, headers: Mapping[str, str], now: float) -> HttpReply | None:
        """The refusal of a request by key, token or rate limit; None if it may pass."""
        if headers.get("x-api-key") != self.api_key:
            return FORBIDDEN
        expires = self._tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        if expires is None:
            return UNAUTHORIZED
        if expires <= now:
            return EXPIRED
        if self._bucket.take_token(now, self.rate, self.burst):
            return None
        self.throttled += 1
        return THROTTLED if self.retry_after is None else THROTTLED.with_header("Retry-After", self.retry_after)

    def _answer_other(self, request: HttpRequest, url: SplitResult, now: float) -> tuple[HttpReply, ServerFault]:
        endpoint = (request.method, url.path)
        if endpoint == ("POST", "/login"):
            return self._answer_login(request, now)
        refusal = self._check_access(request.headers, now)
        if refusal:
            return refusal, NO_FAULT
        match endpoint:
            case "GET", "/orders":
                return self._answer_list(dict(parse_qsl(url.query, keep_blank_values=True)))
            case "GET", "/ping":
                return HttpReply(200, b'{"status":"UP"}'), NO_FAULT
        return json_message(403, "Missing Authentication Token"), NO_FAULT

    def _answer_login(self, request: HttpRequest, now: float) -> tuple[HttpReply, ServerFault]:
        if request.headers.get("x-api-key") != self.api_key:
            return FORBIDDEN, NO_FAULT
        self.logins += 1
        fault = next(self._login_faults, NO_FAULT)
        if fault.reply:
            return fault.reply, fault
        try:
            given = msgspec.json.decode(request.body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return HttpReply(400, b"body: must be a JSON object", TEXT_TYPE), fault
        if (given.get("username"), given.get("password")) != (self.username, self.password):
            return json_message(401, "Incorrect username or password."), fault
        token = f"standin-token-{self.logins:06d}"
        self._tokens[token] = now + self._token_seconds
        return HttpReply(200, self._login_frame % msgspec.json.encode({self._token_field: token})), fault

    def _answer_list(self, parameters: dict[str, str]) -> tuple[HttpReply, ServerFault]:
        fault = next(self._list_faults, NO_FAULT)
        if fault.reply:
            return fault.reply, fault
        try:
            wanted = search.parse_request(parameters, self._paging)
        except search.SearchError as err:
            return HttpReply(400, str(err).encode(), TEXT_TYPE), fault
        if self._pages and self.between_pages:
            self.between_pages(self._pages)
        self._pages += 1
        for order_id in self.order_ids:
            if order_id not in self._rows:
                self._rows[order_id] = search.SearchableOrder(order_id, self._listed_order)
        rows = search.select_page(wanted, (self._rows[order_id] for order_id in self.order_ids), self._paging)
        found = [search.list_element(self._listed_order(order_id), sort) for order_id, sort in rows]
        return HttpReply(200, msgspec.json.encode(found)), fault

    def _listed_order(self, order_id: int) -> dict[str, Any]:
        """The order as the list has it: its last visit, and its lastModified after `touch_orders`."""
        shown = cast("dict[str, Any]", msgspec.json.decode(self._order_body(order_id, self._visits.get(order_id, 0))))
        return shown | {"lastModified": self._touched[order_id]} if order_id in self._touched else shown
