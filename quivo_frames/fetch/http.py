"""HTTP requests that end in time, whatever the server does.

Proxies and CA bundle are read from the environment once, TLS is verified, redirects are not followed, cookies are not
kept.
"""

from __future__ import annotations

import os
import time
from enum import StrEnum
from http.client import HTTPException, HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from quivo_frames.settings import is_loopback

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from _typeshed import WriteableBuffer

CONNECT_SECONDS = 10.0
POOL_SIZE = 64
MAX_BODY_BYTES = 64 * 2**20  # an order takes about 7 kB


class ConnectionFlaw(StrEnum):
    """Why there is no answer, for messages."""

    TLS = "its TLS certificate was not accepted (behind a company proxy, name its CA file in REQUESTS_CA_BUNDLE)"
    PROXY = "the proxy (HTTPS_PROXY) did not let the connection through"
    TIMEOUT = "it took too long"
    BROKEN = "the connection failed or broke off"


class HttpResult(NamedTuple):
    """What came back. `flaw` says why there is no answer (status None), or why the body is not whole ("" if it is)."""

    status: int | None
    reason: str
    headers: Mapping[str, str]
    body: bytes
    flaw: str
    seconds: float


class HttpSession:
    """A session with one server, for any number of threads; `timeout` is the seconds that a whole answer may take."""

    def __init__(self, base_url: str, timeout: float, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._base_url = base_url
        self._max_body_bytes = max_body_bytes
        self._timeout = (min(CONNECT_SECONDS, timeout), timeout)
        self._session = session = requests.Session()
        session.trust_env = False  # reading the environment at each request costs a third of the speed
        if not is_loopback(urlsplit(base_url).hostname or ""):
            session.proxies = dict(get_environ_proxies(base_url))
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.headers.update({"User-Agent": f"quivo-frames/{version('quivo-frames')}", "Accept": "application/json"})
        for scheme in ("http://", "https://"):
            session.mount(scheme, _DeadlineAdapter(pool_connections=1, pool_maxsize=POOL_SIZE))

    def send_request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        parameters: Mapping[str, str] | None = None,
        json: Mapping[str, str] | None = None,
    ) -> HttpResult:
        """Send one request: its answer, or why there is none. Raises nothing and never sends twice."""
        began = time.monotonic()
        try:
            response = self._session.request(
                method,
                self._base_url + path,
                headers=dict(headers),
                params=parameters,
                json=json,
                stream=True,
                allow_redirects=False,  # credentials never follow to another host
                timeout=self._timeout,
            )
            with response:
                body, flaw = _read_body(response, self._max_body_bytes)
        except requests.RequestException as error:
            return HttpResult(None, "", {}, b"", _describe_failure(error), time.monotonic() - began)
        seconds = time.monotonic() - began
        return HttpResult(response.status_code, response.reason or "", dict(response.headers), body, flaw, seconds)

    def close(self) -> None:
        """Close the sockets."""
        self._session.close()


def _read_body(response: requests.Response, max_bytes: int) -> tuple[bytes, str]:
    """The body, and why it is not whole ("" if it is)."""
    body = bytearray()
    try:
        while chunk := response.raw.read1(65536, decode_content=True):
            body += chunk
            if len(body) > max_bytes:
                return b"", f"is larger than {max_bytes // 2**20} MB"
    except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        timed_out = isinstance(error, urllib3.exceptions.TimeoutError)
        return bytes(body), "took too long" if timed_out else "broke off"
    return bytes(body), ""


def _describe_failure(error: requests.RequestException) -> ConnectionFlaw:
    """Why there is no answer. Not in the words of requests: they may hold the address of a proxy with its password."""
    if isinstance(error, requests.exceptions.SSLError):
        return ConnectionFlaw.TLS
    if isinstance(error, requests.exceptions.ProxyError):
        return ConnectionFlaw.PROXY
    if isinstance(error, requests.Timeout):
        return ConnectionFlaw.TIMEOUT
    return ConnectionFlaw.BROKEN


class _DeadlineReader(RawIOBase):
    """The bytes of one answer until a deadline: the timeout of a socket alone starts again with every byte."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._bytes: Any = sock.makefile("rb", buffering=0)
        self._ends_at = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        found: int | None = self._bytes.readinto(buffer)
        return found

    def close(self) -> None:
        self._bytes.close()
        super().close()


class _DeadlineResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = BufferedReader(_DeadlineReader(sock))


class _PlainConnection(urllib3.connection.HTTPConnection):
    response_class = _DeadlineResponse


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _DeadlineResponse


class _DeadlineAdapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _TlsConnection if pool.scheme == "https" else _PlainConnection
        return pool
