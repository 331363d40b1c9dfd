"""`doctor` finds what is wrong, says what to do, and shows nothing that support must not see."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from click.testing import CliRunner

from quivo_frames.cli import main
from quivo_frames.fetch.client import Client
from quivo_frames.fetch.http import CA_VARIABLES
from quivo_frames.standin.faults import HttpReply, ServerFault
from quivo_frames.standin.server import StandIn

CANARIES = {"QUIVO_API_KEY": "canary-key", "QUIVO_USERNAME": "canary@nest.test", "QUIVO_PASSWORD": "canary-word"}
ORDER = "100003"


class CanaryStandIn(StandIn):
    api_key, username, password = CANARIES.values()


class Report(NamedTuple):
    """What doctor ended with: its exit status, the checks by name, and all that it printed."""

    status: int
    checks: dict[str, tuple[bool | None, str, str]]
    text: str

    def not_ok(self) -> list[str]:
        return [name for name, (ok, *_) in self.checks.items() if ok is False]


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Report]:
    """Run doctor twice, as JSON and as text; both say the same, and show no value."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("QUIVO_") or name.lower().endswith("_proxy") or name in CA_VARIABLES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setattr("quivo_frames.fetch.diagnosis.Client", partial(Client, rate=2000.0))

    def doctor(*words: str, answer: str | None = None, **environment: str) -> Report:
        told = [
            CliRunner().invoke(main, ["doctor", *words, *form], env=environment, input=answer)
            for form in (["--json"], [])
        ]
        output = "".join(done.output for done in told)
        hidden = [*environment.values(), "canary", "nest.test", "127.0.0.1", "localhost", str(tmp_path), ORDER]
        hidden = [value for value in hidden if value not in ("", "sandbox", "1")]
        assert [value for value in hidden if value in output] == []
        facts = json.loads(told[0].stdout)
        checks = {check["name"]: (check["ok"], check["finding"], check["cure"]) for check in facts["checks"]}
        assert len(checks) == len(facts["checks"])
        for name, (ok, finding, cure) in checks.items():
            mark = {True: "ok", False: "not ok", None: "-"}[ok]
            until_figures = re.split(r"\d+\.\d+ ", finding)[0]
            assert f"{mark:8}{name}: {until_figures}" in told[1].stdout
            assert cure in told[1].stdout
            assert bool(cure) == (ok is False), name
        status = 1 if any(ok is False for ok, *_ in checks.values()) else 0
        assert [done.exit_code for done in told] == [status, status]
        assert facts["ok"] == (status == 0)
        return Report(status, checks, output)

    return doctor


def login_of(api: StandIn) -> dict[str, str]:
    return {f"QUIVO_{name.upper()}": getattr(api, name) for name in ("api_key", "username", "password", "base_url")}


@pytest.fixture
def api() -> Iterator[CanaryStandIn]:
    with CanaryStandIn(5) as api:
        yield api


def test_all_is_well(doctor: Callable[..., Report], api: StandIn) -> None:
    report = doctor(**login_of(api))
    assert [*report.checks] == [
        "core", "places", "QUIVO_API_KEY", "QUIVO_USERNAME", "QUIVO_PASSWORD", "QUIVO_BASE_URL", "address", "host name",
        "connection", "TLS", "login", "ping", "list",
    ]  # fmt: skip
    assert report.status == 0
    assert report.checks["QUIVO_PASSWORD"] == (True, "set, from the environment", "")
    assert report.checks["list"][1].endswith("; it has orders")
    assert report.text.endswith("Everything is ok.\n")
    assert (len(api.timeline), api.logins) == (0, 2)  # it ran twice


def test_it_refetches_an_order_only_if_it_may(doctor: Callable[..., Report], api: StandIn, tmp_path: Path) -> None:
    unasked = CliRunner().invoke(main, ["doctor", ORDER], env=login_of(api))
    assert (unasked.exit_code, "give --yes" in unasked.stderr, api.logins) == (2, True, 0)
    report = doctor(ORDER, "--yes", **login_of(api))
    assert report.checks["refetch"][1].startswith("fetched (")
    assert api.refetch_count(int(ORDER)) == 2
    assert list(tmp_path.iterdir()) == []
    assert doctor("7", "--yes", **login_of(api)).checks["refetch"][:2] == (False, "unknown order (404)")
    wrong = CliRunner().invoke(main, ["doctor", "seven", "--yes"], env=login_of(api))
    assert (wrong.exit_code, api.logins) == (2, 4)


def test_an_order_is_not_refetched_after_a_no(
    doctor: Callable[..., Report], api: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quivo_frames.cli.doctor_command._can_be_asked", lambda: True)
    report = doctor(ORDER, answer="n\n", **login_of(api))
    assert (report.status, report.checks["refetch"][:2]) == (0, (None, "not tried: you said no"))
    assert doctor(ORDER, answer="y\n", **login_of(api)).checks["refetch"][0]
    assert api.refetch_count(int(ORDER)) == 2


def test_no_settings(doctor: Callable[..., Report]) -> None:
    report = doctor()
    assert report.not_ok() == [*CANARIES]
    assert "keyring set quivo_frames NAME" in report.checks["QUIVO_API_KEY"][2]
    assert report.checks["login"] == (None, "not tried", "")


def test_it_says_where_settings_are_looked_for(
    doctor: Callable[..., Report], api: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyring.get_password", lambda _, name: {"password": api.password}.get(name))
    Path(".env").write_text(f"QUIVO_USERNAME={api.username}\n")
    report = doctor("--trust-env-file", QUIVO_API_KEY=api.api_key, QUIVO_BASE_URL=api.base_url)
    places = ("the environment", "the file .env in this folder", "the keyring")
    for name, place in zip(CANARIES, places, strict=True):
        assert report.checks[name][:2] == (True, f"set, from {place}")
    assert report.checks["places"][1] == f"settings are looked for in {', then '.join(places)}"
    monkeypatch.setitem(sys.modules, "keyring", None)
    report = doctor("--trust-env-file", QUIVO_API_KEY=api.api_key, QUIVO_BASE_URL=api.base_url)
    assert report.not_ok() == ["QUIVO_PASSWORD"]
    assert report.checks["places"][1].endswith("the keyring (not installed)")


@pytest.mark.parametrize("name", CANARIES)
def test_a_wrong_credential(name: str, doctor: Callable[..., Report], api: StandIn) -> None:
    report = doctor(**{**login_of(api), name: "other-canary"})
    assert report.not_ok() == ["login"]
    assert report.checks["login"][1] in ("Quivo refused it (403)", "Quivo refused it (401)")
    assert name in report.checks["login"][2]


def test_a_wrong_word_before_the_token(doctor: Callable[..., Report], api: StandIn) -> None:
    report = doctor(**login_of(api), QUIVO_TOKEN_PREFIX="Basic")
    assert report.not_ok() == ["ping"]
    assert "QUIVO_TOKEN_PREFIX" in report.checks["ping"][2]


def test_no_network(doctor: Callable[..., Report]) -> None:
    report = doctor(**CANARIES)  # names of other machines do not resolve in tests
    assert report.checks["address"][1] == "Quivo's production (https://api.quivo.co)"
    assert report.not_ok() == ["host name"]
    assert "Check the network" in report.checks["host name"][2]
    own = doctor(**CANARIES, QUIVO_BASE_URL="https://gate.nest.test/quivo")
    assert own.checks["address"][1] == "an address that is not Quivo's own (not shown)"


def test_nobody_answers(doctor: Callable[..., Report]) -> None:
    report = doctor(**CANARIES, QUIVO_BASE_URL="http://127.0.0.1:9")
    assert report.not_ok() == ["connection"]
    assert "quivo-frames serve" in report.checks["connection"][2]


@pytest.mark.parametrize(
    ("faults", "check", "finding"),
    [
        ({"login_faults": [ServerFault.status(503, times=None)]}, "login", "Quivo is busy or down (503)"),
        ({"login_faults": [ServerFault.redirect("http://127.0.0.1:9", times=None)]}, "login", "not as documented (307)"),
        ({"login_faults": [ServerFault(reply=HttpReply(200, b"<html>canary"), times=None)]}, "login", "documented (200)"),
        ({"list_faults": [ServerFault.status(500, times=None)]}, "list", "Quivo is busy or down (500)"),
        ({"list_faults": [ServerFault(reply=HttpReply(403, b'{"message": "canary"}'), times=None)]}, "list", "refused"),
        ({"faults": {int(ORDER): [ServerFault.cut_json(times=None)]}}, "refetch", "unusable answer (200)"),
    ],
)  # fmt: skip
def test_what_is_wrong_at_quivo(
    faults: dict[str, object], check: str, finding: str, doctor: Callable[..., Report]
) -> None:
    with CanaryStandIn(5, **faults) as api:  # type: ignore[arg-type]
        report = doctor(ORDER, "--yes", **login_of(api))
    assert report.not_ok() == [check]
    assert finding in report.checks[check][1]


def test_settings_that_do_not_go_together(doctor: Callable[..., Report], api: StandIn) -> None:
    blank = doctor(**{**login_of(api), "QUIVO_PASSWORD": "canary-word "})
    assert "QUIVO_PASSWORD has a line break, or a blank" in blank.checks["settings"][2]
    both = doctor("--sandbox", **login_of(api))
    assert both.checks["QUIVO_ENV"][1] == "set, from an argument"
    assert "another address" in both.checks["settings"][2]
    Path(".env").write_text(f"QUIVO_BASE_URL={api.base_url}\n")
    planted = doctor(**CANARIES)
    assert planted.checks["QUIVO_BASE_URL"][1] == "set, from the file .env in this folder"
    assert "--trust-env-file" in planted.checks["settings"][2]
    assert api.requests == 0
    assert doctor("--trust-env-file", **CANARIES).status == 0
    Path(".env").write_text("QUIVO_PASSWORD='canary\n")
    assert doctor(**CANARIES).not_ok() == ["file .env"]


@contextmanager
def serve_proxy(upstream: int | None) -> Iterator[str]:
    """A proxy that tunnels every connection to one port of this machine; without one, it refuses all."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        client.recv(65536)
        if upstream is None:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        with socket.create_connection(("127.0.0.1", upstream)) as server, client:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://canary:word@127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, Path]]:
    """A stand-in with the certificate of the sandbox; beside it the files of its CA, and of another."""
    folder, authority, tls = tmp_path_factory.mktemp("ca"), trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "api-sandbox.quivo.co").configure_cert(tls)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    with CanaryStandIn(5, tls=tls) as api:
        yield api, folder


def test_wrong_certificates(doctor: Callable[..., Report], sandbox: tuple[StandIn, Path]) -> None:
    api, folder = sandbox
    unknown = doctor(**login_of(api))
    assert unknown.not_ok() == ["TLS"]
    assert "name the file of its certificates in REQUESTS_CA_BUNDLE" in unknown.checks["TLS"][2]
    wrong = doctor(**login_of(api), REQUESTS_CA_BUNDLE=str(folder / "other.pem"))
    assert wrong.not_ok() == ["TLS"]
    assert "The file that REQUESTS_CA_BUNDLE names does not vouch" in wrong.checks["TLS"][2]
    (folder / "empty.pem").write_text("")
    for name in ("none.pem", "empty.pem"):
        for variable in CA_VARIABLES:
            report = doctor(**login_of(api), **{variable: str(folder / name)})
            assert report.not_ok() == [variable]
            assert str(folder) not in report.text
    assert api.requests == 0
    assert doctor(**login_of(api), REQUESTS_CA_BUNDLE=str(folder / "ca.pem")).status == 0


def test_the_sandbox_behind_a_proxy(doctor: Callable[..., Report], sandbox: tuple[StandIn, Path]) -> None:
    api, folder = sandbox
    trusted = {**CANARIES, "REQUESTS_CA_BUNDLE": str(folder / "ca.pem")}
    with serve_proxy(int(api.base_url.rpartition(":")[2])) as proxy:
        for report in (
            doctor("--sandbox", **trusted, HTTPS_PROXY=proxy),
            doctor(**trusted, https_proxy=proxy, QUIVO_ENV="sandbox"),
        ):
            assert report.status == 0
            assert report.checks["address"][1] == "Quivo's sandbox (https://api-sandbox.quivo.co)"
            assert report.checks["host name"][1] == "does not resolve here; the proxy has to do that"
            assert "_proxy" in report.checks["proxy"][1].lower()
    assert api.logins == 4


def test_a_proxy_that_refuses(doctor: Callable[..., Report]) -> None:
    with serve_proxy(None) as proxy:
        report = doctor(**CANARIES, ALL_PROXY=proxy)
    assert report.not_ok() == ["proxy"]
    assert "in ALL_PROXY" in report.checks["proxy"][2]
    assert doctor(**CANARIES, HTTPS_PROXY="http://127.0.0.1:9").not_ok() == ["proxy"]
