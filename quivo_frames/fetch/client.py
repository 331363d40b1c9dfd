"""The client: order id -> answer of Quivo, with login, rate limit, retries and outages.

An answer is good only if it is complete, JSON, and about the requested order. Anything else about one order becomes an
`Answer` with another outcome; only what ends a whole run is raised.

A request passes four layers: `_send_through_outages` > `_send_with_retries` > `_send_with_token` > `_send_in_slot`.
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
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import platformdirs
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from quivo_frames.errors import ConfigError, LoginError, QuivoError, UnexpectedResponse, Unreachable
from quivo_frames.fetch.http import HttpSession
from quivo_frames.fetch.outage import OutageWatch
from quivo_frames.fetch.rate_limit import RateLimiter, Slot, parse_retry_after
from quivo_frames.fetch.redaction import make_redactor
from quivo_frames.fetch.replies import (
    CURES,
    TOO_MANY,
    TRANSIENT_STATUSES,
    UNAUTHORIZED,
    TryResult,
    accept_any_body,
    find_login_flaw,
    find_order_flaw,
    find_page_flaw,
    judge_received,
    note_capped_pause,
    read_elements,
    read_token,
)
from quivo_frames.fetch.search import find_order_ids, narrow_to_changes
from quivo_frames.fetch.token import SharedToken
from quivo_frames.model.records import Answer, Outcome
from quivo_frames.settings.settings import Settings
from quivo_frames.settings.sources import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from quivo_frames.model.time import InstantLike

logger = logging.getLogger(__name__)

LONGEST_BACKOFF = 30.0  # seconds
MAX_TOKENS = 2  # good ones with which an order is refused, before it counts as refused
MAX_OUTAGES = 2  # per request: one that brings Quivo down must not be repeated forever


class Client:
    """A connection to the Quivo API, for any number of threads.

    Args:
        settings: address and credentials.
        rate: a ceiling in requests per second; without it the rate adapts to the answers.
        timeout: seconds for one try, including the body of its answer.
        tries: how often one request is sent before it counts as failed.
        backoff: seconds; exponential backoff with full jitter. Where Quivo asked for less, the wait before the second
            try is random between 0 and `backoff`, before the third between 0 and twice that, and so on. After other
            faults the second try goes at once, the third after up to half of `backoff`, the next after up to four
            times that, and so on.

    All clients of one user for one address share a rate limit, also across processes. Proxies and the CA bundle are
    read from the environment once, when the client is made.
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
        self._rate_limiter = RateLimiter(rate, shared_file=_rate_file(settings.base_url))
        self._session = HttpSession(settings.base_url, timeout)
        self._shared_token = SharedToken(self._request_token)
        self._outages = OutageWatch(self._ping_once, self._raise_unless_good)
        self._has_logged_capped_pause = False

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
        """A client with the settings of this machine; `overrides` as for `Settings.load`, such as `env="sandbox"`."""
        return cls(Settings.load(**overrides), rate=rate, timeout=timeout, tries=tries, backoff=backoff)

    @property
    def rate(self) -> float:
        """The current rate, in requests per second."""
        return self._rate_limiter.rate

    @property
    def service(self) -> str:
        """The service that answers: its address, or "stand-in" for any address of this machine."""
        return self._settings.service

    @property
    def waiting(self) -> int:
        """How many threads wait for a slot of the rate limiter."""
        return self._rate_limiter.waiting_threads

    def refetch(self, order_id: int, *, stop: threading.Event | None = None) -> Answer:
        """Refetch one order: the answer of Quivo, good or not. What is wrong with one order is not raised.

        `stop` ends waiting (for a slot, or before a retry), not a request in flight.

        Raises:
            LoginError: the credentials were refused; they are not sent again.
            Unreachable, UnexpectedResponse: the login failed, or an outage lasted too long.
            Stopped: `stop` was set while waiting.
        """
        began = time.monotonic()
        find_flaw = partial(find_order_flaw, order_id)
        request = _ApiRequest("POST", f"/orders/{order_id:d}/refetch", f"order {order_id}", find_flaw)
        result, tries, throttled = self._send_through_outages(request, stop)
        return Answer(
            order_id=order_id,
            outcome=result.outcome,
            answered_at=_now_to_the_millisecond(),
            status=result.status,
            headers=result.headers,
            body=result.body,
            tries=tries,
            throttled=throttled,
            seconds=time.monotonic() - began,
            latency=None if result.status is None else result.seconds,
            message=f"{result.message} {CURES.get(result.outcome, '')}".strip(),
        )

    def find(
        self, query: str = "", *, sort: str = "orderId:asc", limit: int | None = None, since: InstantLike | None = None
    ) -> Iterator[int]:
        """The ids of the orders that a query finds, each once, in the order of `sort` (`field:asc` or `field:desc`).

        `query` is Quivo's own syntax (Elasticsearch query strings), for example `sellerId:2101`; empty finds all.
        `since` narrows it to orders last modified since then: an instant (without a zone: UTC), a day, or a text as
        `7d`. Quivo's index follows its orders with a delay: let `since` overlap with the previous search; an id that
        comes again costs nothing.

        Pages are requested one after another, while the ids are taken. Sorted by orderId no order is missed. With
        another sort, such as `lastModified:desc`, an order that changes meanwhile may move to a page already read.

        Raises:
            ConfigError: an argument makes no sense, or Quivo refused the query.
            LoginError, Unreachable, UnexpectedResponse: as for `refetch`, and when the list cannot be read to its end.
        """
        narrowed = query if since is None else narrow_to_changes(query, since, datetime.now(UTC))
        return find_order_ids(self._fetch_page, narrowed, sort=sort, limit=limit)

    def ping(self) -> float:
        """The seconds that Quivo took to answer a ping, including a login if one was needed.

        Raises:
            LoginError, Unreachable, UnexpectedResponse: there was no good answer.
        """
        began, stop = time.monotonic(), threading.Event()
        self._raise_unless_good(self._send_with_retries(partial(self._send_with_token, _PING, stop), stop).result)
        return time.monotonic() - began

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client of {self._settings.base_url}, {self.rate:.3g} requests per second>"

    def _fetch_page(self, parameters: Mapping[str, str]) -> list[dict[str, msgspec.Raw]]:
        request = _ApiRequest("GET", "/orders", "the search", find_page_flaw, parameters)
        result = self._send_through_outages(request).result
        if result.status == HTTPStatus.BAD_REQUEST:
            raise ConfigError(f"{result.message} Check the query and the sort field.")
        self._raise_unless_good(result)
        return read_elements(result.body)

    def _request_token(self, stop: threading.Event) -> str:
        body = {name: getattr(self._settings, name).get_secret_value() for name in ("username", "password")}
        request = _ApiRequest("POST", "/login", "the login", find_login_flaw, json=body)
        result = self._send_with_retries(partial(self._send_once, request, stop), stop).result
        if result.outcome is Outcome.REFUSED:
            raise LoginError(f"{result.message} Check QUIVO_API_KEY, QUIVO_USERNAME and QUIVO_PASSWORD.")
        self._raise_unless_good(result)
        logger.info("logged in at %s", self._settings.base_url)
        found = read_token(result.body)
        assert found is not None  # or the login has a flaw
        if found.field != "token":
            logger.info("the login's answer has its token as %s, not as the documented `token`", found.field)
        return found.token

    def _ping_once(self, stop: threading.Event) -> TryResult:
        return self._send_once(_PING, stop, self._shared_token.latest)

    def _raise_unless_good(self, result: TryResult) -> None:
        if result.outcome is Outcome.FETCHED:
            return
        errors: dict[Outcome, type[QuivoError]] = {Outcome.REFUSED: LoginError, Outcome.UNREACHABLE: Unreachable}
        cure = f"Check QUIVO_BASE_URL ({self._settings.base_url})" + (
            " and the network." if result.outcome is Outcome.UNREACHABLE else "."
        )
        raise errors.get(result.outcome, UnexpectedResponse)(f"{result.message} {cure}")

    def _send_through_outages(self, request: _ApiRequest, stop: threading.Event | None = None) -> _RetryResult:
        """Send a request with all its tries, and again after an outage, which is not its fault."""
        stop = stop or threading.Event()
        tries = throttled = outages = 0
        while True:
            began = time.monotonic()
            try:
                sent = self._send_with_retries(partial(self._send_with_token, request, stop), stop)
            except Unreachable:  # of the login
                if outages == MAX_OUTAGES or not self._outages.wait_if_out_since(began, stop):
                    raise
            else:
                tries, throttled = tries + sent.tries, throttled + sent.throttled
                is_final = sent.result.outcome is not Outcome.UNREACHABLE or outages == MAX_OUTAGES
                if is_final or not self._outages.wait_if_out_since(began, stop):
                    return sent._replace(tries=tries, throttled=throttled)
            outages += 1

    def _send_with_token(self, request: _ApiRequest, stop: threading.Event, *, is_first_try: bool) -> TryResult:
        """Send a request once with the shared token; a token that has run out does not count as a try.

        The token is taken when the turn has come: one that was taken before may be too old by then.
        """
        refusals = 0
        while True:
            slot = self._rate_limiter.wait_for_slot(stop)
            token = self._shared_token.take_token(stop)
            if token.was_awaited:  # by others, too: they must not all go at once
                continue
            result = self._send_in_slot(slot, request, token.text, is_first_try=is_first_try)
            if result.status != UNAUTHORIZED:
                if result.status is not None:
                    self._shared_token.note_accepted(token)
                return result
            refusals += self._shared_token.note_refused(token)
            if refusals == MAX_TOKENS:
                return result

    def _send_with_retries(self, send: Callable[..., TryResult], stop: threading.Event) -> _RetryResult:
        """Call `send(is_first_try=...)` until its result is final or `tries` are used up, with backoff in between."""
        tries = throttled = 0

        def send_and_count() -> TryResult:
            nonlocal tries, throttled
            tries += 1
            result = send(is_first_try=tries == 1)
            throttled += result.status == TOO_MANY
            return result

        def wait_before_retry(seconds: float) -> None:
            stop.wait(seconds)  # once `stop` is set, the rate limiter raises Stopped

        retrying = Retrying(
            stop=stop_after_attempt(self._tries),
            wait=self._backoff_seconds,
            retry=retry_if_result(lambda result: result.should_retry),
            sleep=wait_before_retry,
            retry_error_callback=_last_result,
        )
        result = retrying(send_and_count)
        return _RetryResult(result, tries, throttled)

    def _backoff_seconds(self, state: RetryCallState) -> float:
        """The wait before the next try. A single fault passes at once; the pace is the rate limiter's business."""
        result = _last_result(state)
        if _requested_pause(result.status, result.headers) is not None:
            return wait_random_exponential(multiplier=self._backoff, max=LONGEST_BACKOFF)(state)
        if state.attempt_number == 1:
            return 0.0
        return wait_random_exponential(multiplier=self._backoff / 8, exp_base=4, max=LONGEST_BACKOFF)(state)

    def _send_once(
        self, request: _ApiRequest, stop: threading.Event, token: str | None = None, *, is_first_try: bool = True
    ) -> TryResult:
        """Wait for a slot of the rate limiter, and send the request."""
        return self._send_in_slot(self._rate_limiter.wait_for_slot(stop), request, token, is_first_try=is_first_try)

    def _send_in_slot(self, slot: Slot, request: _ApiRequest, token: str | None, *, is_first_try: bool) -> TryResult:
        """Send the request, and judge what came back."""
        headers = {"X-Api-Key": self._settings.api_key.get_secret_value()}
        if token:
            headers["Authorization"] = f"{self._settings.token_prefix} {token}".lstrip()
        received = self._session.send_request(
            request.method, request.path, headers, parameters=request.parameters, json=request.json
        )
        credentials = (getattr(self._settings, name).get_secret_value() for name in CREDENTIALS)
        redact = make_redactor((*credentials, token or "", self._shared_token.latest or ""))
        result = judge_received(received, request.subject, request.find_flaw, redact)
        pause = _requested_pause(received.status, received.headers)
        if pause is not None:
            self._rate_limiter.note_congestion(slot, pause)
            result = self._note_capped_pause(result, pause)
        elif result.should_retry:
            is_answered = received.status is not None
            self._rate_limiter.note_fault(slot, is_answered=is_answered, is_first_try=is_first_try)
        else:
            self._rate_limiter.note_success(slot, is_first_try=is_first_try)
        if result.should_retry:
            logger.debug("%s", result.message)
        self._outages.note_result(result)
        return result

    def _note_capped_pause(self, result: TryResult, pause: float) -> TryResult:
        """The result, saying so where Quivo asks for a longer pause (seconds) than is made; the first is logged."""
        if pause <= self._rate_limiter.longest_pause:
            return result
        result = note_capped_pause(result, pause, self._rate_limiter.longest_pause)
        if not self._has_logged_capped_pause:
            self._has_logged_capped_pause = True
            logger.warning("%s", result.message)
        return result


class _ApiRequest(NamedTuple):
    """A request; `subject` names it in messages, `find_flaw` says what is wrong with the body of a 200, or ""."""

    method: str
    path: str
    subject: str
    find_flaw: Callable[[bytes], str]
    parameters: Mapping[str, str] | None = None
    json: Mapping[str, str] | None = None


class _RetryResult(NamedTuple):
    """The last result of a request, how often it was sent, and how many tries were answered with 429."""

    result: TryResult
    tries: int
    throttled: int


_PING = _ApiRequest("GET", "/ping", "the ping", accept_any_body)


def _last_result(state: RetryCallState) -> TryResult:
    assert state.outcome is not None
    result: TryResult = state.outcome.result()
    return result


def _requested_pause(status: int | None, headers: Mapping[str, str]) -> float | None:
    """The seconds that Quivo asks all to wait, 0 where it only asks for less (429); None where it asks for nothing."""
    pause = parse_retry_after(headers.get("Retry-After"), datetime.now(UTC))
    return pause if status == TOO_MANY or (status in TRANSIENT_STATUSES and pause) else None


def _rate_file(base_url: str) -> Path:
    name = hashlib.sha256(base_url.encode()).hexdigest()[:16]
    return platformdirs.user_cache_path("quivo_frames") / f"pace-{name}"


def _now_to_the_millisecond() -> datetime:
    """Now, cut to milliseconds: spreadsheets keep no more."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
