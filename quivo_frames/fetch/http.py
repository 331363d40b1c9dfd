"""HTTP requests that end in time, whatever the server does.

Proxies and CA bundle are read from the environment once, and tried before anything is sent. TLS is verified, redirects
are not followed, cookies are not kept.
"""

from __future__ import annotations

import os
import ssl
import time
from enum import StrEnum
from functools import cache
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from importlib.util import find_spec
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy

from quivo_frames.errors import ConfigError
from quivo_frames.settings.settings import is_loopback

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from _typeshed import WriteableBuffer

CONNECT_SECONDS = 10.0
POOL_SIZE = 64
MAX_BODY_BYTES = 64 * 2**20  # an order takes about 7 kB
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Environment variables that name the certificates to trust; the first that is set counts."""


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
    """A session with one server, for any number of threads; `timeout` is the seconds that a whole answer may take.

    Raises:
        ConfigError: the environment names certificates or a proxy that cannot be used.
    """

    def __init__(self, base_url: str, timeout: float, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._base_url = base_url
        self._max_body_bytes = max_body_bytes
        self._timeout = (min(CONNECT_SECONDS, timeout), timeout)
        self._session = session = requests.Session()
        session.trust_env = False  # reading the environment at each request costs a third of the speed
        if not is_loopback(urlsplit(base_url).hostname or ""):
            session.proxies = dict(get_environ_proxies(base_url))
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.headers.update({"User-Agent": f"quivo-frames/{version('quivo-frames')}", "Accept": "application/json"})
        for scheme in ("http://", "https://"):
            session.mount(scheme, _DeadlineAdapter(pool_connections=1, pool_maxsize=POOL_SIZE))
        if base_url.startswith("https"):
            session.verify = _find_ca_bundle()
        _check_proxy(session, base_url)

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
        except OSError as error:  # all that requests raises, and certificates that were removed meanwhile
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


class NamedCertificates(NamedTuple):
    """The file or folder of certificates that a variable of the environment names; `flaw`: why it cannot be used."""

    variable: str
    path: str
    flaw: str


def find_named_certificates() -> NamedCertificates | None:
    """The certificates that the environment names; None: those that come with requests are trusted."""
    variable = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
    if variable is None:
        return None
    path, flaw = os.environ[variable], ""
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - as requests asks
            ssl.create_default_context(cafile=path)
    except OSError as error:  # an SSLError, too
        flaw = "holds no certificates that can be read" if isinstance(error, ssl.SSLError) else "cannot be read"
    return NamedCertificates(variable, path, flaw)


def _find_ca_bundle() -> str | bool:
    """What requests verifies servers with: a file or folder of certificates, or True for its own.

    Raises:
        ConfigError: the environment names certificates that cannot be used.
    """
    named = find_named_certificates()
    if named and named.flaw:
        raise ConfigError(
            f"{named.variable} names {named.path}, which {named.flaw}: give the path of a file of certificates (PEM), "
            f"or unset {named.variable}."
        )
    return named.path if named else True


def _check_proxy(session: requests.Session, base_url: str) -> None:
    """Choose the proxy as for a request, without sending one: what is wrong with it would fail at every try.

    Raises:
        ConfigError: the proxy cannot be used. Its address is not shown, as it may hold a password.
    """
    proxy = select_proxy(base_url, session.proxies)
    if not proxy:
        return
    name = _proxy_variable(proxy, urlsplit(base_url).scheme)
    if proxy.lower().startswith("socks") and find_spec("socks") is None:
        raise ConfigError(
            f"{name} names a SOCKS proxy, which needs one more package: pip install 'quivo-frames[socks]'. "
            "Or name an HTTP proxy."
        )
    try:
        request = requests.Request("GET", base_url).prepare()
        adapter: Any = session.get_adapter(base_url)
        adapter.get_connection_with_tls_context(request, session.verify, session.proxies)
    except (OSError, ValueError, KeyError, urllib3.exceptions.HTTPError):
        raise ConfigError(
            f"{name} is not the address of a proxy: it should look like http://proxy.example.com:3128. "
            f"Correct it, unset it, or name the host of Quivo in NO_PROXY."
        ) from None


def _proxy_variable(proxy: str, scheme: str) -> str:
    """The environment variable that names a proxy; of several, the one that counts."""
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return next((name for name in names if os.environ.get(name) == proxy), "The proxy setting of this machine")


def _describe_failure(error: OSError) -> ConnectionFlaw:
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
    """An answer until a deadline, behind any interim answers, such as 103 Early Hints (RFC 9110, 15.2)."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = BufferedReader(_DeadlineReader(sock))

    def _read_status(self) -> tuple[str, int, str]:
        proto, status, reason = super()._read_status()  # type: ignore[misc]
        is_interim = HTTPStatus.SWITCHING_PROTOCOLS < status < HTTPStatus.OK
        return proto, HTTPStatus.CONTINUE if is_interim else status, reason  # the only one that is passed over


@cache
def _with_deadline(connection: type) -> type:
    """A class of connections (plain, with TLS, or through a SOCKS proxy) whose answers have a deadline."""
    return type(connection.__name__, (connection,), {"response_class": _DeadlineResponse})


class _DeadlineAdapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if pool.ConnectionCls.response_class is not _DeadlineResponse:
            pool.ConnectionCls = _with_deadline(pool.ConnectionCls)
        return pool
