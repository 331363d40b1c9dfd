"""Order id -> what Quivo answers: login, token, pace, retry. Floor 3. Only here: requests.

An answer is good only when it is complete, JSON, and about the order that was asked for. Everything else about one
order becomes an `Answer` with another outcome; only what ends a whole run is raised.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from quivo_frames.errors import ConfigError, LoginError, QuivoError, UnexpectedResponse, Unreachable
from quivo_frames.pace import Gate, retry_after
from quivo_frames.reply import (
    CONGESTION,
    CURES,
    OK,
    UNAUTHORIZED,
    Reply,
    elements_in,
    flaw_of_list,
    flaw_of_login,
    flaw_of_order,
    listed_id,
    next_cursor,
    no_flaw,
    token_in,
    verdict,
    verdict_on_body,
    words,
)
from quivo_frames.response import Answer, Outcome
from quivo_frames.settings import CREDENTIALS, Settings, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

logger = logging.getLogger(__name__)

TOKEN_SECONDS = 50 * 60.0  # a token lives one hour
CONNECT_SECONDS = 10.0
LONGEST_BACKOFF = 30.0
PAGE_SIZE = 1000  # the documented maximum
SAID_LENGTH = 200
POOL_SIZE = 64
TOKENS_REFUSED = 3  # in a row, before any worked


class Client:
    """A connection to the Quivo API, for any number of threads.

    Args:
        settings: address and credentials.
        rate: a ceiling in requests per second; without it the rate adapts to the answers.
        timeout: seconds for one try, the body included.
        tries: how often one request is sent before it counts as failed.
        backoff: seconds; the wait before the second try is random up to it, then up to twice as long, and so on.

    Proxies and the CA bundle are read from the environment once, here.
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
        self._timeout = timeout
        self._tries = tries
        self._backoff = backoff
        self._gate = Gate(rate)
        self._session = _session(settings)
        self._token = _Token(self._login)

    @classmethod
    def from_env(
        cls,
        *,
        rate: float | None = None,
        timeout: float = 60.0,
        tries: int = 5,
        backoff: float = 1.0,
        **overrides: str | None,
    ) -> Self:
        """A client with the settings of this machine; `overrides` as in `Settings.load`."""
        return cls(Settings.load(**overrides), rate=rate, timeout=timeout, tries=tries, backoff=backoff)

    @property
    def rate(self) -> float:
        """The rate now, in requests per second."""
        return self._gate.rate

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
        reply, tries = self._call(request, stop)
        return Answer(
            order_id=order_id,
            outcome=reply.outcome,
            answered_at=datetime.now(UTC),
            status=reply.status,
            headers=reply.headers,
            body=reply.body,
            tries=tries,
            seconds=time.monotonic() - began,
            message=f"{reply.message} {CURES.get(reply.outcome, '')}".strip(),
        )

    def find(self, query: str = "", *, sort: str = "orderId:asc", limit: int | None = None) -> Iterator[int]:
        """The ids of the orders that a query finds, each once, in the order of `sort` (`field:asc` or `field:desc`).

        `query` is Quivo's own syntax (Elasticsearch query strings), for example `sellerId:1882`; empty finds all.
        Pages are asked for one after another, each from the last element of the one before. When many orders share
        one value of the sort field, a page may end among them and the next one may pass over the rest: orderId is safe.

        Raises:
            ConfigError: Quivo refused the query.
            LoginError, Unreachable, UnexpectedResponse: as for `refetch`, and when the list cannot be read.
        """
        seen: set[int] = set()
        size = min(PAGE_SIZE, limit or PAGE_SIZE)
        parameters = {"sort": sort, "pageSize": str(size)} | ({"query": query} if query else {})
        while limit is None or len(seen) < limit:
            page = self._page(parameters)
            new = [order_id for order_id in dict.fromkeys(map(listed_id, page)) if order_id not in seen]
            if not new:
                return
            new = new[: None if limit is None else limit - len(seen)]
            seen.update(new)
            yield from new
            cursor = next_cursor(page[-1], sort.partition(":")[0])
            if cursor is None and len(page) < size:
                return
            if cursor is None:
                raise UnexpectedResponse(f"The list of orders does not show what {sort} sorts by: use orderId:asc.")
            parameters["searchAfter"] = cursor

    def ping(self) -> float:
        """The seconds that Quivo took to answer a ping; logs in first if need be.

        Raises:
            LoginError, Unreachable, UnexpectedResponse: when there was no good answer.
        """
        began = time.monotonic()
        self._raise_unless_good(self._call(_Request("GET", "/ping", "the ping", no_flaw))[0])
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

    def _page(self, parameters: Mapping[str, str]) -> list[dict[str, msgspec.Raw]]:
        reply, _ = self._call(_Request("GET", "/orders", "the search", flaw_of_list, parameters))
        if reply.status == HTTPStatus.BAD_REQUEST:
            raise ConfigError(f"{reply.message} Check the query and the sort field.")
        self._raise_unless_good(reply)
        return elements_in(reply.body)

    def _login(self, stop: threading.Event) -> str:
        body = {name: getattr(self._settings, name).get_secret_value() for name in ("username", "password")}
        request = _Request("POST", "/login", "the login", flaw_of_login, json=body)
        reply, _ = self._retried(partial(self._send, request, stop), stop)
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

    def _call(self, request: _Request, stop: threading.Event | None = None) -> tuple[Reply, int]:
        """The last reply and the number of tries. A token that ran out is renewed within a try."""
        stop = stop or threading.Event()

        def send_logged_in() -> Reply:
            token = self._token.get(stop)
            reply = self._send(request, stop, token)
            if reply.status == UNAUTHORIZED:
                token = self._token.get(stop, refused=token)
                reply = self._send(request, stop, token)
            if reply.status not in {UNAUTHORIZED, None}:
                self._token.worked(token)
            return reply

        return self._retried(send_logged_in, stop)

    def _retried(self, send: Callable[[], Reply], stop: threading.Event) -> tuple[Reply, int]:
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
        reply = retrying(send)
        return reply, int(retrying.statistics["attempt_number"])

    def _send(self, request: _Request, stop: threading.Event, token: str | None = None) -> Reply:
        headers = {"X-Api-Key": self._settings.api_key.get_secret_value()}
        if token:
            headers["Authorization"] = f"{self._settings.token_prefix} {token}".lstrip()
        slot = self._gate.enter(stop)
        deadline = time.monotonic() + self._timeout
        try:
            response = self._session.request(
                request.method,
                self._settings.base_url + request.path,
                headers=headers,
                params=request.parameters,
                json=request.json,
                stream=True,
                allow_redirects=False,  # credentials never follow to another host
                timeout=(min(CONNECT_SECONDS, self._timeout), self._timeout),
            )
            with response:
                body, flaw = _read(response, deadline)
        except requests.RequestException as error:
            message = f"No answer about {request.subject}: {_trouble(error)}."
            return Reply(None, {}, b"", Outcome.UNREACHABLE, again=True, message=message)
        status = response.status_code
        if status in CONGESTION:
            self._gate.congested(slot, retry_after(response.headers.get("Retry-After"), datetime.now(UTC)))
        else:
            self._gate.good(slot)
        if status == OK:
            outcome, again, message = verdict_on_body(flaw or request.check(body), request.subject)
        else:
            outcome, again, message = verdict(
                status, self._redacted(words(body, response.reason or ""), token), request.subject
            )
        if again:
            logger.debug("%s", message)
        return Reply(status, dict(response.headers), body, outcome, again, message)

    def _redacted(self, text: str, token: str | None) -> str:
        secrets = [getattr(self._settings, name).get_secret_value() for name in CREDENTIALS]
        for secret in sorted((*secrets, token or ""), key=len, reverse=True):
            text = text.replace(secret, "***") if secret else text
        text = " ".join(text.split())
        return text if len(text) <= SAID_LENGTH else text[: SAID_LENGTH - 1] + "…"


class _Request(NamedTuple):
    """What to ask; `subject` names it in messages, `check` says what is wrong with the body of a 200 ("": nothing)."""

    method: str
    path: str
    subject: str
    check: Callable[[bytes], str]
    parameters: Mapping[str, str] | None = None
    json: Mapping[str, str] | None = None


class _Token:
    """The token of all threads: renewed early and once for all, and never asked for again after a refusal."""

    def __init__(self, login: Callable[[threading.Event], str]) -> None:
        self._login = login
        self._lock = threading.Lock()
        self._token: str | None = None
        self._since = 0.0
        self._unproven = 0  # tokens in a row that opened nothing
        self._refusal: str | None = None

    def get(self, stop: threading.Event, *, refused: str | None = None) -> str:
        """The token; a new one when the present one is old, or is the one that was `refused`."""
        with self._lock:
            if self._refusal:
                raise LoginError(self._refusal)
            if self._token is None or self._token == refused or time.monotonic() - self._since > TOKEN_SECONDS:
                self._token = self._renewed(stop)
            return self._token

    def worked(self, token: str) -> None:
        """Note that the token opened a door."""
        if token == self._token:
            self._unproven = 0

    def _renewed(self, stop: threading.Event) -> str:
        try:
            if self._unproven >= TOKENS_REFUSED:
                raise LoginError(
                    "Quivo gives tokens but does not accept them. If it wants a word before the token, "
                    "set QUIVO_TOKEN_PREFIX (for example Bearer)."
                )
            since = time.monotonic()
            token = self._login(stop)
        except LoginError as error:
            self._refusal = str(error)
            raise
        self._since = since
        self._unproven += 1
        return token


def _read(response: requests.Response, deadline: float) -> tuple[bytes, str]:
    """The body, and why it is not complete ("" if it is). A timeout alone never ends a body that drips."""
    chunks: list[bytes] = []
    try:
        while chunk := response.raw.read1(65536, decode_content=True):
            chunks.append(chunk)
            if time.monotonic() > deadline:
                return b"".join(chunks), "took too long"
    except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        timed_out = isinstance(error, urllib3.exceptions.TimeoutError)
        return b"".join(chunks), "took too long" if timed_out else "broke off"
    return b"".join(chunks), ""


def _trouble(error: requests.RequestException) -> str:
    """In own words: the library's may hold the address of a proxy with its password."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate was not accepted (behind a company proxy, name its CA file in REQUESTS_CA_BUNDLE)"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy (HTTPS_PROXY) did not let the connection through"
    if isinstance(error, requests.Timeout):
        return "it took too long"
    return "the connection failed or broke off"


def _session(settings: Settings) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # reading the environment for each request costs a third of the speed
    if not is_loopback(urlsplit(settings.base_url).hostname or ""):
        session.proxies = dict(get_environ_proxies(settings.base_url))
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.update({"User-Agent": f"quivo-frames/{version('quivo-frames')}", "Accept": "application/json"})
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=POOL_SIZE))
    return session
