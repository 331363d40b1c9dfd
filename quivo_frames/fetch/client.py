"""Order id -> what Quivo answers: login, pace, retry, and what to do when nothing comes. Floor 3.

An answer is good only when it is complete, JSON, and about the order that was asked for. Everything else about one
order becomes an `Answer` with another outcome; only what ends a whole run is raised.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import platformdirs
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from quivo_frames.errors import ConfigError, LoginError, QuivoError, UnexpectedResponse, Unreachable
from quivo_frames.fetch.http import Connection
from quivo_frames.fetch.rate_limit import Gate, retry_after
from quivo_frames.fetch.redaction import redactor
from quivo_frames.fetch.replies import (
    CONGESTION,
    CURES,
    OK,
    TOO_MANY,
    UNAUTHORIZED,
    Reply,
    elements_in,
    flaw_of_list,
    flaw_of_login,
    flaw_of_order,
    no_flaw,
    token_in,
    verdict,
    verdict_on_body,
    words,
)
from quivo_frames.fetch.search import changed_since, found
from quivo_frames.fetch.token import Login
from quivo_frames.model.records import Answer, Outcome
from quivo_frames.settings import CREDENTIALS, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

logger = logging.getLogger(__name__)

LONGEST_BACKOFF = 30.0
OUTAGES = 2  # after which one request begins anew: one that brings Quivo down must not do it for ever
PATIENCE = 120.0  # seconds without any answer, after there were some, until a run ends
SAID_LENGTH = 200


class Client:
    """A connection to the Quivo API, for any number of threads.

    Args:
        settings: address and credentials.
        rate: a ceiling in requests per second; without it the rate adapts to the answers.
        timeout: seconds for one try, the body included.
        tries: how often one request is sent before it counts as failed.
        backoff: seconds; the wait before the second try is random up to it, then up to twice as long, and so on.

    Clients of one user and one address keep one pace together, those of other processes too. Proxies and the CA bundle
    are read from the environment once, here.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        rate: float | None = None,
        timeout: float = 60.0,
        tries: int = 5,
        backoff: float = 1.0,
    ) -> None:
        if not (math.isfinite(timeout) and timeout > 0) or tries < 1 or backoff < 0:
            raise ConfigError("A client needs a timeout above 0 s, at least 1 try, and a backoff of at least 0 s.")
        self._settings = settings
        self._tries = tries
        self._backoff = backoff
        self._gate = Gate(rate, shared=_pace_file(settings.base_url))
        self._connection = Connection(settings.base_url, timeout)
        self._login = Login(self._new_token)
        self._outage = threading.Lock()
        self._reached = False  # whether Quivo answered at all so far
        self._back_at = -math.inf  # when the last outage ended

    @classmethod
    def from_env(
        cls,
        *,
        rate: float | None = None,
        timeout: float = 60.0,
        tries: int = 5,
        backoff: float = 1.0,
        **overrides: Any,
    ) -> Self:
        """A client with the settings of this machine; `overrides` as in `Settings.load`."""
        return cls(Settings.load(**overrides), rate=rate, timeout=timeout, tries=tries, backoff=backoff)

    @property
    def rate(self) -> float:
        """The rate now, in requests per second."""
        return self._gate.rate

    @property
    def waiting(self) -> int:
        """How many threads wait for their turn to ask."""
        return self._gate.waiting

    def refetch(self, order_id: int, *, stop: threading.Event | None = None) -> Answer:
        """What Quivo answers to the refetch of one order, good or not; nothing about one order is raised.

        `stop` ends waiting (for a slot, or before a retry), not a request under way.

        Raises:
            LoginError: the credentials were refused; they are not sent again.
            Unreachable, UnexpectedResponse: no login was possible.
            Stopped: `stop` was set while waiting.
        """
        began = time.monotonic()
        check = partial(flaw_of_order, order_id)
        request = _Request("POST", f"/orders/{order_id:d}/refetch", f"order {order_id}", check)
        reply, tries, throttled = self._call(request, stop)
        return Answer(
            order_id=order_id,
            outcome=reply.outcome,
            answered_at=_now(),
            status=reply.status,
            headers=reply.headers,
            body=reply.body,
            tries=tries,
            throttled=throttled,
            seconds=time.monotonic() - began,
            latency=None if reply.status is None else reply.seconds,
            message=f"{reply.message} {CURES.get(reply.outcome, '')}".strip(),
        )

    def find(
        self, query: str = "", *, sort: str = "orderId:asc", limit: int | None = None, since: datetime | None = None
    ) -> Iterator[int]:
        """The ids of the orders that a query finds, each once, in the order of `sort` (`field:asc` or `field:desc`).

        `query` is Quivo's own syntax (Elasticsearch query strings), for example `sellerId:1882`; empty finds all.
        `since` narrows it to orders last modified at that instant or later (without a zone: UTC). Quivo's index follows
        its orders a little later: begin somewhat before the end of the last time, ids that come twice cost nothing.

        Pages are asked for one after another. Sorted by orderId none is missed; with `lastModified:desc`, say, an order
        that is changed meanwhile moves to where was read already.

        Raises:
            ConfigError: an argument makes no sense, or Quivo refused the query.
            LoginError, Unreachable, UnexpectedResponse: as for `refetch`, and when the list cannot be read to its end.
        """
        narrowed = query if since is None else changed_since(query, since, datetime.now(UTC))
        return found(self._page, narrowed, sort=sort, limit=limit)

    def ping(self) -> float:
        """The seconds that Quivo took to answer a ping; logs in first if need be.

        Raises:
            LoginError, Unreachable, UnexpectedResponse: when there was no good answer.
        """
        began, stop = time.monotonic(), threading.Event()
        self._raise_unless_good(self._retried(partial(self._logged_in, _PING, stop), stop).reply)
        return time.monotonic() - began

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client of {self._settings.base_url}, {self.rate:.3g} requests per second>"

    def _page(self, parameters: Mapping[str, str]) -> list[dict[str, msgspec.Raw]]:
        reply, *_ = self._call(_Request("GET", "/orders", "the search", flaw_of_list, parameters))
        if reply.status == HTTPStatus.BAD_REQUEST:
            raise ConfigError(f"{reply.message} Check the query and the sort field.")
        self._raise_unless_good(reply)
        return elements_in(reply.body)

    def _new_token(self, stop: threading.Event) -> str:
        body = {name: getattr(self._settings, name).get_secret_value() for name in ("username", "password")}
        request = _Request("POST", "/login", "the login", flaw_of_login, json=body)
        reply = self._retried(partial(self._send, request, stop), stop).reply
        if reply.outcome is Outcome.REFUSED:
            raise LoginError(f"{reply.message} Check QUIVO_API_KEY, QUIVO_USERNAME and QUIVO_PASSWORD.")
        self._raise_unless_good(reply)
        logger.info("logged in at %s", self._settings.base_url)
        return token_in(reply.body)

    def _raise_unless_good(self, reply: Reply) -> None:
        if reply.outcome is Outcome.FETCHED:
            return
        errors: dict[Outcome, type[QuivoError]] = {Outcome.REFUSED: LoginError, Outcome.UNREACHABLE: Unreachable}
        cure = f"Check QUIVO_BASE_URL ({self._settings.base_url})" + (
            " and the network." if reply.outcome is Outcome.UNREACHABLE else "."
        )
        raise errors.get(reply.outcome, UnexpectedResponse)(f"{reply.message} {cure}")

    def _call(self, request: _Request, stop: threading.Event | None = None) -> _Sent:
        """How it ended after all tries. They begin anew after an outage, which is no request's fault, unless often."""
        stop = stop or threading.Event()
        tries = throttled = outages = 0
        while True:
            began = time.monotonic()
            try:
                sent = self._retried(partial(self._logged_in, request, stop), stop)
            except Unreachable:  # the login
                if outages == OUTAGES or not self._was_out(began, stop):
                    raise
            else:
                tries, throttled = tries + sent.tries, throttled + sent.throttled
                is_over = sent.reply.outcome is not Outcome.UNREACHABLE or outages == OUTAGES
                if is_over or not self._was_out(began, stop):
                    return sent._replace(tries=tries, throttled=throttled)
            outages += 1

    def _was_out(self, began: float, stop: threading.Event) -> bool:
        """Whether all of Quivo was out of reach at some time since `began`; if it is so now, wait for its return.

        Raises:
            Unreachable: it did not return in time.
        """
        with self._outage:  # one thread looks, the others wait for what it finds
            if self._back_at > began:
                return True
            if not self._reached:  # there never was anything to come back
                return False
            gone_at = time.monotonic()
            for pause in chain((0.0, 1.0, 2.0, 4.0, 8.0), repeat(15.0)):
                stop.wait(pause)
                reply = self._send(_PING, stop, self._login.last)
                if _is_up(reply):
                    break
                if not pause:
                    logger.warning("Quivo gives no answer any more: waiting up to %.0f s for its return", PATIENCE)
                if time.monotonic() - gone_at >= PATIENCE:
                    self._raise_unless_good(reply)
            if not pause:
                return False
            logger.warning("Quivo is back after %.0f s", time.monotonic() - gone_at)
            self._back_at = time.monotonic()
            return True

    def _logged_in(self, request: _Request, stop: threading.Event) -> Reply:
        """What comes back with the token of all threads; one that ran out is renewed, and costs no try."""
        token = self._login.token(stop)
        reply = self._send(request, stop, token)
        if reply.status == UNAUTHORIZED:
            token = self._login.token(stop, refused=token)
            reply = self._send(request, stop, token)
        if reply.status not in {UNAUTHORIZED, None}:
            self._login.worked(token)
        return reply

    def _retried(self, send: Callable[[], Reply], stop: threading.Event) -> _Sent:
        throttled = 0

        def counted() -> Reply:
            nonlocal throttled
            reply = send()
            throttled += reply.status == TOO_MANY
            return reply

        def pause(seconds: float) -> None:
            stop.wait(seconds)  # when told to stop, the gate raises Stopped next

        def last(state: RetryCallState) -> Reply:
            assert state.outcome is not None
            reply: Reply = state.outcome.result()
            return reply

        retrying = Retrying(
            stop=stop_after_attempt(self._tries),
            wait=wait_random_exponential(multiplier=self._backoff, max=LONGEST_BACKOFF),
            retry=retry_if_result(lambda reply: reply.again),
            sleep=pause,
            retry_error_callback=last,
        )
        reply = retrying(counted)
        return _Sent(reply, int(retrying.statistics["attempt_number"]), throttled)

    def _send(self, request: _Request, stop: threading.Event, token: str | None = None) -> Reply:
        """One request, when its turn has come."""
        headers = {"X-Api-Key": self._settings.api_key.get_secret_value()}
        if token:
            headers["Authorization"] = f"{self._settings.token_prefix} {token}".lstrip()
        slot = self._gate.enter(stop)
        came = self._connection.exchange(
            request.method, request.path, headers, parameters=request.parameters, json=request.json
        )
        if came.status in CONGESTION:
            self._gate.congested(slot, retry_after(came.headers.get("Retry-After"), datetime.now(UTC)))
        elif came.status is not None:
            self._gate.good(slot)
        credentials = (getattr(self._settings, name).get_secret_value() for name in CREDENTIALS)
        redact = redactor((*credentials, token or "", self._login.last or ""))
        if came.status is None:
            message = f"No answer about {request.subject}: {came.flaw}."
            outcome, again = Outcome.UNREACHABLE, True
        elif came.status == OK:
            outcome, again, message = verdict_on_body(came.flaw or request.check(came.body), request.subject)
        else:
            said = words(redact(came.body), redact(came.reason.encode()).decode(errors="replace"))
            outcome, again, message = verdict(came.status, _in_short(said), request.subject)
        if again:
            logger.debug("%s", message)
        headers = {name: redact(value.encode()).decode(errors="replace") for name, value in came.headers.items()}
        body = came.body if outcome is Outcome.FETCHED else redact(came.body)
        reply = Reply(came.status, headers, body, outcome, again, message, came.seconds)
        self._reached = self._reached or _is_up(reply)
        return reply


class _Request(NamedTuple):
    """What to ask; `subject` names it in messages, `check` says what is wrong with the body of a 200 ("": nothing)."""

    method: str
    path: str
    subject: str
    check: Callable[[bytes], str]
    parameters: Mapping[str, str] | None = None
    json: Mapping[str, str] | None = None


class _Sent(NamedTuple):
    """The last reply to a request, how often it was sent, and how often Quivo asked for less."""

    reply: Reply
    tries: int
    throttled: int


_PING = _Request("GET", "/ping", "the ping", no_flaw)


def _is_up(reply: Reply) -> bool:
    """Whether somebody is there who could answer."""
    return reply.status is not None and reply.status < HTTPStatus.INTERNAL_SERVER_ERROR


def _in_short(said: str) -> str:
    text = " ".join(said.split())
    return text if len(text) <= SAID_LENGTH else text[: SAID_LENGTH - 1] + "…"


def _pace_file(base_url: str) -> Path:
    name = hashlib.sha256(base_url.encode()).hexdigest()[:16]
    return platformdirs.user_cache_path("quivo_frames") / f"pace-{name}"


def _now() -> datetime:
    """To the millisecond, for that is as far as spreadsheets keep it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
