"""Proxies and certificates that the environment names: used if they can be, else told before anything is sent."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from click.testing import CliRunner

from quivo_frames.cli import main
from quivo_frames.errors import ConfigError
from quivo_frames.fetch import http
from quivo_frames.fetch.http import CA_VARIABLES, HttpSession
from quivo_frames.model.records import Outcome
from quivo_frames.standin.faults import ServerFault
from quivo_frames.standin.server import StandIn
from tests.support.scripted_server import run_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quivo_frames.fetch.client import Client

    Connect = Callable[..., Client]

QUIVO = "https://quivo.test"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CA_VARIABLES, *PROXY_VARIABLES, *map(str.upper, PROXY_VARIABLES)):
        monkeypatch.delenv(name, raising=False)


def write_ca(path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(path))
    return authority


WRONG = {
    "no such file": ({"REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"}, "REQUESTS_CA_BUNDLE names /nowhere/ca.pem, which cannot be read"),
    "no such file, curl": ({"CURL_CA_BUNDLE": "/nowhere/ca.pem"}, "CURL_CA_BUNDLE names .* cannot be read"),
    "no such file, ssl": ({"SSL_CERT_FILE": "/nowhere/ca.pem"}, "SSL_CERT_FILE names .* cannot be read"),
    "no certificates": ({"REQUESTS_CA_BUNDLE": __file__}, "holds no certificates .*unset REQUESTS_CA_BUNDLE"),
    "the first counts": ({"SSL_CERT_FILE": "/b", "CURL_CA_BUNDLE": "/a"}, "CURL_CA_BUNDLE names /a"),
    "socks": ({"HTTPS_PROXY": "socks5://me:canary@proxy.test:1080"}, r"HTTPS_PROXY names a SOCKS .*pip install 'quivo-frames\[socks\]'"),
    "no host": ({"https_proxy": "http://"}, "https_proxy is not the address of a proxy"),
    "port too high": ({"HTTPS_PROXY": "http://me:canary@proxy.test:99999"}, "HTTPS_PROXY is not the address.*http://proxy.example.com:3128"),
    "port of letters": ({"HTTPS_PROXY": "http://proxy.test:canary"}, "HTTPS_PROXY is not the address"),
    "another scheme": ({"ALL_PROXY": "ftp://proxy.test:3128"}, "ALL_PROXY is not the address"),
    "brackets": ({"HTTPS_PROXY": "http://[canary"}, "HTTPS_PROXY is not the address"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_told_at_once(name: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    variables, message = WRONG[name]
    monkeypatch.setattr(http, "find_spec", lambda _: None)  # as where the extra is not installed
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=message) as caught:
        connect(StandIn(), base_url=QUIVO)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["no such file", "port too high"])
def test_commands_end_with_2_before_the_first_request(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    variables, _ = WRONG[name]
    login = {f"QUIVO_{name}": "canary-word" for name in ("API_KEY", "USERNAME", "PASSWORD")} | {"QUIVO_BASE_URL": QUIVO}
    done = CliRunner().invoke(main, ["refetch", "1", "2"], env={**login, **variables})
    assert done.exit_code == 2
    assert next(iter(variables)) in done.output
    assert "Traceback" not in done.output
    assert "canary" not in done.output


def test_nothing_is_asked_of_the_environment_for_this_machine(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {"SSL_CERT_FILE": "/nowhere", "ALL_PROXY": "ftp://x", "HTTP_PROXY": "socks5://x"}.items():
        monkeypatch.setenv(variable, value)
    with StandIn(1) as api:
        assert connect(api).refetch(100001).outcome is Outcome.FETCHED


@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_each_variable_for_certificates_is_heeded(
    variable: str, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    write_ca(tmp_path / "ca.pem").issue_cert("127.0.0.1").configure_cert(tls)
    monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
    with StandIn(1, tls=tls) as api:
        assert connect(api).refetch(100001).outcome is Outcome.FETCHED


def test_certificates_that_vanish_are_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ca(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    session = HttpSession("https://127.0.0.1:9", 1.0)
    (tmp_path / "ca.pem").unlink()
    assert session.send_request("GET", "/ping", {}).status is None


@contextmanager
def serve_socks(port: int) -> Iterator[tuple[str, list[bytes]]]:
    """A SOCKS 5 proxy (RFC 1928) that leads to a port of this machine, whatever it is asked for; what it was asked."""
    asked: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(2 + self.request.recv(2, socket.MSG_PEEK)[1])
            self.request.sendall(b"\x05\x00")
            head = self.request.recv(5)
            asked.append(self.request.recv(head[4] + 2)[:-2])
            self.request.sendall(b"\x05\x00\x00\x01" + bytes(6))
            with socket.create_connection(("127.0.0.1", port)) as behind:
                back = threading.Thread(target=self.relay, args=(behind, self.request), daemon=True)
                back.start()
                self.relay(self.request, behind)
                back.join()

        @staticmethod
        def relay(one: Any, other: Any) -> None:
            with suppress(OSError):
                while data := one.recv(65536):
                    other.sendall(data)
                other.shutdown(socket.SHUT_WR)

    with run_server(Handler) as place:
        yield f"socks5h://{place}", asked


@pytest.mark.alone
def test_a_socks_proxy_is_gone_through_and_answers_still_end_in_time(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    write_ca(tmp_path / "ca.pem").issue_cert("quivo.test").configure_cert(tls)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    faults = {100002: [ServerFault.drip(30.0, times=None)]}
    with StandIn(2, tls=tls, faults=faults) as api, serve_socks(int(api.base_url.rsplit(":", 1)[1])) as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        client = connect(api, base_url=QUIVO, timeout=0.7, tries=1)
        assert client.refetch(100001).outcome is Outcome.FETCHED
        began = time.monotonic()
        assert client.refetch(100002).outcome is Outcome.UNUSABLE
        assert time.monotonic() - began < 5
        client.close()
    assert set(asked) == {b"quivo.test"}
