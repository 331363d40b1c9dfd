"""What is set up and what answers, one check after another, as a report that can be sent to support as it is.

No text of a server and no value of a setting gets into a finding: names of settings, places, statuses and times do.
"""

from __future__ import annotations

import os
import platform
import socket
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from requests.utils import select_proxy

from quivo_frames.display.text import format_count
from quivo_frames.errors import ConfigError, QuivoError
from quivo_frames.fetch.client import Client
from quivo_frames.fetch.http import ConnectionFlaw, HttpResult, HttpSession, find_named_certificates
from quivo_frames.fetch.replies import CURES, OK, TOO_MANY, UNAUTHORIZED
from quivo_frames.flattening.core_choice import describe_core
from quivo_frames.model.records import Outcome
from quivo_frames.settings.settings import KEYRING_CURE, Settings, is_loopback
from quivo_frames.settings.sources import ADDRESSES, CREDENTIALS, Origin, find_origins, has_keyring, read_env_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TIMEOUT = 20.0  # seconds for each request, which is sent once
_CREDENTIAL_CURE = (
    "Check QUIVO_API_KEY, QUIVO_USERNAME and QUIVO_PASSWORD: copy them again, and check whether they belong to the "
    "address above (production and sandbox are two)."
)
_UNACCEPTED_CURE = (
    "The login was good, but its token is not accepted: check QUIVO_TOKEN_PREFIX (leave it out, or set the word that "
    "Quivo wants before the token)."
)
_RIGHTS_CURE = "Ask Quivo what your account may do."
_MISSING_CURE = (
    f"Set it in the environment or in a file .env in this folder, or store it with {KEYRING_CURE} "
    f"(NAME: {', '.join(CREDENTIALS)})."
)
_ADDRESS_CURE = "Check QUIVO_BASE_URL: what answers there is not the API of Quivo as documented."
_NETWORK_CURE = "Check the network and the VPN; where a proxy is needed, set HTTPS_PROXY."
_STAND_IN_CURE = "Nothing answers there: start the stand-in (`quivo-frames serve`), and set QUIVO_BASE_URL as it says."
_LATER_CURE = "Try again later; if it stays so, ask Quivo."
_OPTIONAL_SETTINGS = ("env", "base_url", "token_prefix", "allow_http")


class DiagnosticCheck(NamedTuple):
    """One line of the report: `ok` is None where something else must be put right first."""

    name: str
    ok: bool | None
    finding: str
    cure: str = ""


def describe_machine() -> dict[str, str]:
    """What support needs to know of the machine: versions, and the kind of system."""
    return {
        "version": version("quivo-frames"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def diagnose_setup(
    arguments: Mapping[str, Any], order_id: int | None, may_refetch: Callable[[], bool]
) -> Iterator[DiagnosticCheck]:
    """All checks, each as soon as it is made. With an order, that is refetched last, if `may_refetch` says so.

    `arguments` are those of `Settings.load`. After a check that failed, those that need it are not made (ok is None).
    The answer about the order is looked at, and not kept.
    """
    later = ["host name", "connection", "login", "ping", "list", *(["refetch"] if order_id else [])]
    for check in _check_in_order(arguments, order_id, may_refetch):
        yield check
        later = [name for name in later if name != check.name]
    for name in later:
        yield DiagnosticCheck(name, None, "not tried")


def _check_in_order(
    arguments: Mapping[str, Any], order_id: int | None, may_refetch: Callable[[], bool]
) -> Iterator[DiagnosticCheck]:
    """The checks up to the first that others depend on, and that failed."""
    yield _check_core()
    settings_checks = [*_check_settings(arguments)]
    yield from settings_checks
    if not all(check.ok for check in settings_checks):
        return
    certificates = [*_check_certificates()]
    yield from certificates
    if not all(check.ok for check in certificates):
        return
    settings = Settings.load(**arguments)
    try:
        client, session = Client(settings, tries=1, timeout=TIMEOUT), _RecordingSession(settings.base_url)
    except ConfigError as error:
        yield DiagnosticCheck("connection", False, "cannot be set up", str(error))
        return
    client.close()
    client._session = session
    client._outages.patience = 0.0  # seconds: nobody waits here for the end of an outage
    with client:
        yield (resolved := _check_name(settings.base_url, session))
        if resolved.ok:
            yield from _check_service(client, session, order_id, may_refetch)


def _check_core() -> DiagnosticCheck:
    """Which core builds tables: either will do."""
    try:
        return DiagnosticCheck("core", True, describe_core())
    except ConfigError as error:
        return DiagnosticCheck("core", False, "cannot be chosen", str(error))


def _check_settings(arguments: Mapping[str, Any]) -> Iterator[DiagnosticCheck]:
    """Each setting and where it comes from, and whether they go together."""
    try:
        origins = find_origins(Settings, arguments)
        file = Origin.FILE if read_env_file() else f"{Origin.FILE} (there is none)"
    except ConfigError as error:
        yield DiagnosticCheck("file .env", False, "cannot be read", str(error))
        return
    keyring = Origin.KEYRING if has_keyring() else f"{Origin.KEYRING} (not installed)"
    yield DiagnosticCheck(
        "places", True, f"settings are looked for in {Origin.ENVIRONMENT}, then {file}, then {keyring}"
    )
    missing = False
    for name in (*CREDENTIALS, *(name for name in _OPTIONAL_SETTINGS if name in origins)):
        if name in origins:
            yield DiagnosticCheck(f"QUIVO_{name.upper()}", True, f"set, from {origins[name]}")
        else:
            missing = True
            yield DiagnosticCheck(f"QUIVO_{name.upper()}", False, "not set", _MISSING_CURE)
    if missing:
        return
    try:
        settings = Settings.load(**arguments)
    except ConfigError as error:
        yield DiagnosticCheck("settings", False, "cannot be used", str(error))
    else:
        yield DiagnosticCheck("address", True, _describe_address(settings.base_url))


def _describe_address(base_url: str) -> str:
    """What the address is; an address of one's own is not shown."""
    for env, address in ADDRESSES.items():
        if address == base_url:
            return f"Quivo's {env} ({address})"
    if is_loopback(urlsplit(base_url).hostname or ""):
        return "this machine"
    return "an address that is not Quivo's own (not shown)"


def _check_certificates() -> Iterator[DiagnosticCheck]:
    """The file of certificates that a variable names."""
    named = find_named_certificates()
    if named is None:
        return
    if named.flaw:
        cure = "Let it name the file of the certificates that your company uses (PEM), or unset it."
        yield DiagnosticCheck(named.variable, False, f"what it names {named.flaw}", cure)
    else:
        yield DiagnosticCheck(named.variable, True, "names certificates")


def _check_name(base_url: str, session: _RecordingSession) -> DiagnosticCheck:
    """Whether the name of the address resolves; behind a proxy, that is the business of the proxy."""
    url = urlsplit(base_url)
    try:
        socket.getaddrinfo(url.hostname, url.port or url.scheme)
    except (OSError, UnicodeError):
        if session.uses_proxy:
            return DiagnosticCheck("host name", True, "does not resolve here; the proxy has to do that")
        cure = (
            "Check the network and the VPN, and QUIVO_BASE_URL if it is set. Where a proxy is needed, set HTTPS_PROXY."
        )
        return DiagnosticCheck("host name", False, "does not resolve", cure)
    return DiagnosticCheck("host name", True, "resolves")


def _check_service(
    client: Client, session: _RecordingSession, order_id: int | None, may_refetch: Callable[[], bool]
) -> Iterator[DiagnosticCheck]:
    """Connection, login, ping, one page of the list, and the refetch."""
    failure = _failure_of(client.ping)
    login, ping = session.last_result("/login"), session.last_result("/ping")
    if login is None:  # nothing was sent
        yield DiagnosticCheck("connection", False, "cannot be used", str(failure))
        return
    yield from _check_connection(login, session)
    if login.status is None:
        return
    yield _judge_answer("login", login, None if ping else failure)
    if ping is None:
        return
    yield _judge_answer("ping", ping, failure)
    if failure:
        return
    orders: list[int] = []
    failure = _failure_of(lambda: orders.extend(client.find(limit=1)))
    listed = session.last_result("/orders")
    assert listed is not None
    found = "it has orders" if orders else "it is empty"
    yield _judge_answer("list", listed, failure, found)
    if order_id and may_refetch():
        yield _check_refetch(client, order_id)
    elif order_id:
        yield DiagnosticCheck("refetch", None, "not tried: you said no")


def _failure_of(act: Callable[[], object]) -> QuivoError | None:
    try:
        act()
    except QuivoError as error:
        return error
    return None


def _check_connection(first: HttpResult, session: _RecordingSession) -> Iterator[DiagnosticCheck]:
    """Proxy, connection and TLS, as the first request met them."""
    flaw, url = "" if first.status else first.flaw, urlsplit(session.base_url)
    if session.uses_proxy:
        names = _proxy_variables(url.scheme)
        if flaw == ConnectionFlaw.PROXY:
            cure = f"Check the address, user and password of the proxy in {names}, or ask who runs it."
            yield DiagnosticCheck("proxy", False, "the proxy did not let the connection through", cure)
            return
        yield DiagnosticCheck("proxy", True, f"one is used, as {names} says")
    if flaw in (ConnectionFlaw.TIMEOUT, ConnectionFlaw.BROKEN):
        yield DiagnosticCheck(
            "connection", False, flaw, _STAND_IN_CURE if is_loopback(url.hostname or "") else _NETWORK_CURE
        )
        return
    yield DiagnosticCheck("connection", True, "made")
    if url.scheme != "https":
        yield DiagnosticCheck("TLS", True, "not used: the address is http://")
    elif flaw:
        named = find_named_certificates()
        cure = (
            f"The file that {named.variable} names does not vouch for this server: ask your IT for the right one, "
            "or unset it."
            if named
            else "Behind a company proxy or firewall, name the file of its certificates in REQUESTS_CA_BUNDLE."
        )
        yield DiagnosticCheck(
            "TLS", False, "the certificate of the server is not accepted", f"{cure} Check the clock, too."
        )
    else:
        yield DiagnosticCheck("TLS", True, "the certificate of the server is accepted")


def _proxy_variables(scheme: str) -> str:
    """The variables that may name the proxy."""
    names = {f"{scheme}_proxy", "all_proxy"}
    return (
        " or ".join(sorted(name for name in os.environ if name.lower() in names and os.environ[name])) or "the system"
    )


def _judge_answer(name: str, received: HttpResult, failure: QuivoError | None, found: str = "") -> DiagnosticCheck:
    """What an answer says about a step, in words of our own: those of a server may hold personal data."""
    if failure is None:
        return DiagnosticCheck(name, True, f"answered in {received.seconds:.2f} s{found and f'; {found}'}")
    status = received.status
    if status is None:
        return DiagnosticCheck(name, False, f"no answer: {received.flaw}", _NETWORK_CURE)
    if status == OK:
        return DiagnosticCheck(name, False, "the answer is not as documented (200)", _ADDRESS_CURE)
    if status == TOO_MANY or status >= 500:
        return DiagnosticCheck(name, False, f"Quivo is busy or down ({status})", _LATER_CURE)
    if status >= 400:
        cure = _CREDENTIAL_CURE if name == "login" else _UNACCEPTED_CURE if status == UNAUTHORIZED else _RIGHTS_CURE
        return DiagnosticCheck(name, False, f"Quivo refused it ({status})", cure)
    return DiagnosticCheck(name, False, f"the answer is not as documented ({status})", _ADDRESS_CURE)


def _check_refetch(client: Client, order_id: int) -> DiagnosticCheck:
    """The refetch of one order, and whether its answer fits the tables."""
    from quivo_frames.flattening.flatten import flatten  # imported here because it loads polars

    try:
        answer = client.refetch(order_id)
    except QuivoError:
        return DiagnosticCheck("refetch", False, "broke off", _LATER_CURE)
    if answer.outcome is not Outcome.FETCHED:
        status = f" ({answer.status})" if answer.status else ""
        return DiagnosticCheck("refetch", False, f"{answer.outcome}{status}", CURES.get(answer.outcome, ""))
    tables, size = flatten([answer.body]), f"{len(answer.body) / 1000:.1f} kB in {answer.seconds:.2f} s"
    if tables.failures.height:
        cure = "Refetch it into an archive: `build` says at which place it is not as documented."
        return DiagnosticCheck("refetch", False, f"fetched ({size}), and it does not fit the tables", cure)
    notes = format_count(tables.notes.height, "note")
    return DiagnosticCheck("refetch", True, f"fetched ({size}), and it fits the tables; {notes}")


class _RecordingSession(HttpSession):
    """A session that remembers the last result of each path."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url, TIMEOUT)
        self.base_url = base_url
        self.uses_proxy = select_proxy(base_url, self._session.proxies) is not None
        self._results: dict[str, HttpResult] = {}

    def send_request(self, method: str, path: str, *args: Any, **options: Any) -> HttpResult:
        """Send one request, as any session does."""
        result = super().send_request(method, path, *args, **options)
        self._results[path] = result
        return result

    def last_result(self, path: str) -> HttpResult | None:
        """What came back from the last request for a path; None if there was none."""
        return self._results.get(path)
