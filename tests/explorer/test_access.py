"""Who may ask the explorer: the browser that had the token, under our own name, from our own pages."""

from __future__ import annotations

import http.client
import socket
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import pytest
import requests

import quivo_frames as qf
from quivo_frames.errors import ConfigError
from quivo_frames.explorer.access import SECURITY_HEADERS
from quivo_frames.explorer.application import PAGES
from quivo_frames.explorer.explore import Explorer, explore
from quivo_frames.standin.orders import write_ndjson

if TYPE_CHECKING:
    from collections.abc import Iterator

UNSAFE = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT")


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    folder = tmp_path_factory.mktemp("access")
    write_ndjson(folder / "orders.ndjson", 20)
    tables = qf.build(folder / "orders.ndjson", folder / "tables", jobs=1)
    with explore(tables, accepted=folder / "accepted.toml") as running:
        yield running


@pytest.fixture
def browser(explorer: Explorer) -> Iterator[requests.Session]:
    with requests.Session() as session:
        assert session.get(explorer.address).status_code == 200
        yield session


def base_of(explorer: Explorer) -> str:
    return explorer.address.partition("/enter")[0]


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


def ask_raw(explorer: Explorer, path: str, method: str = "GET", **headers: str) -> Answered:
    """Asks without a library that would tidy up the path or the headers."""
    address = urlsplit(explorer.address)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    with closing(connection):
        return _answer_of(connection, path, method, headers)


def _answer_of(connection: http.client.HTTPConnection, path: str, method: str, headers: dict[str, str]) -> Answered:
    connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    return Answered(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode())


def cookie_of(browser: requests.Session) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)


@pytest.mark.parametrize(
    "path", [*(path.format(order_id=100_001, table="orders") for path in PAGES), "/nothing", "/assets/explorer.css"]
)
def test_without_the_cookie_nothing_is_shown(explorer: Explorer, path: str) -> None:
    answered = ask_raw(explorer, path)
    assert answered.status == 403
    assert "100001" not in answered.text
    assert "has not been let in" in answered.text
    assert ask_raw(explorer, path, Cookie=f"quivo-explorer-{urlsplit(explorer.address).port}=wrong").status == 403


@pytest.mark.parametrize("token", ["", "wrong", "%00", "%ff", "a" * 10_000])
def test_a_wrong_token_gives_no_cookie(explorer: Explorer, token: str) -> None:
    answered = ask_raw(explorer, f"/enter?token={token}")
    assert answered.status == 403
    assert "set-cookie" not in answered.headers
    assert explorer.address.rpartition("=")[2] not in answered.text


def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address(explorer: Explorer) -> None:
    answered = requests.get(explorer.address, allow_redirects=False)
    assert (answered.status_code, answered.headers["location"]) == (303, "/")
    given = answered.headers["set-cookie"].lower()
    assert "httponly" in given
    assert "samesite=strict" in given
    assert explorer.address.rpartition("=")[2].lower() not in given


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:PORT", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:PORT", ""]
)
def test_another_name_of_the_host_is_refused(explorer: Explorer, browser: requests.Session, host: str) -> None:
    port = str(urlsplit(explorer.address).port)
    answered = ask_raw(explorer, "/", Host=host.replace("PORT", port), Cookie=cookie_of(browser))
    assert answered.status in (400, 421)
    assert ask_raw(explorer, "/", Host=f"localhost:{port}", Cookie=cookie_of(browser)).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:PORT", "http://127.0.0.1:1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_of_another_page_is_refused(
    explorer: Explorer, browser: requests.Session, origin: str, method: str
) -> None:
    given = origin.replace("PORT", str(urlsplit(explorer.address).port))
    assert (
        ask_raw(
            explorer, "/findings/accept" if method == "POST" else "/", method, Origin=given, Cookie=cookie_of(browser)
        ).status
        == 403
    )


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("path", ["/", "/orders", "/findings/accept"])
def test_no_other_method_changes_anything(
    explorer: Explorer, browser: requests.Session, method: str, path: str
) -> None:
    assert ask_raw(explorer, path, method, Cookie=cookie_of(browser)).status in (400, 403, 404, 405)


def test_a_form_without_our_token_is_refused(explorer: Explorer, browser: requests.Session) -> None:
    for token in ({}, {"form_token": "wrong"}):
        answered = browser.post(
            f"{base_of(explorer)}/findings/accept",
            {"finding": "short_shipped:1/0", "until": "2099-01-01", "because": "x", **token},
            headers={"Origin": base_of(explorer)},
        )
        assert answered.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../access.py", "/assets/..%2faccess.py", "/assets/%2e%2e/access.py", "//etc/passwd", "/../../etc/passwd",
        "/assets/..\\access.py", "/assets/", "/assets/layout.html", "/static/x", "/.git/config", "/orders/../../x", "/%00",
        "/orders/%00", "/dictionary/..%2f..", "/dictionary/orders%00", "/orders/" + "9" * 400, "/" + "a" * 5_000,
    ],
)  # fmt: skip
def test_tricks_with_paths_end_at_a_page_that_says_no(explorer: Explorer, browser: requests.Session, path: str) -> None:
    answered = ask_raw(explorer, path, Cookie=cookie_of(browser))
    assert answered.status in (400, 404), answered.status
    assert "root:" not in answered.text
    assert "Traceback" not in answered.text
    assert "quivo_frames explorer</title>" in answered.text


def test_every_response_has_the_headers_of_security(explorer: Explorer, browser: requests.Session) -> None:
    base = base_of(explorer)
    for path in ("/", "/orders", "/orders.csv", "/findings", "/assets/explorer.js", "/nothing", "/orders/7"):
        headers = browser.get(base + path).headers
        for name, value in SECURITY_HEADERS.items():
            assert headers[name] == value, (path, name)
        assert "server" not in headers
    refused = requests.get(base)
    assert refused.headers["x-frame-options"] == "DENY"
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy


def test_it_listens_on_this_machine_alone(explorer: Explorer) -> None:
    port = urlsplit(explorer.address).port
    assert urlsplit(explorer.address).hostname == "127.0.0.1"
    with pytest.raises(OSError, match=r"."):  # another name of this machine, which all of its addresses would include
        socket.create_connection(("127.0.0.2", port), timeout=1).close()


def test_a_port_that_is_taken_is_said_in_a_sentence(explorer: Explorer) -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1, port \d+: .*Give another --port"):
        explore(explorer.tables, port=urlsplit(explorer.address).port or 0)


def test_each_run_has_keys_of_its_own(explorer: Explorer, browser: requests.Session) -> None:
    with explore(explorer.tables) as other:
        assert other.address != explorer.address
        token = explorer.address.rpartition("=")[2]
        assert requests.get(f"{base_of(other)}/enter?token={token}").status_code == 403
        assert requests.get(base_of(other), cookies=browser.cookies).status_code == 403
    with pytest.raises(requests.ConnectionError):
        requests.get(base_of(other))


def test_a_fault_is_a_page_and_no_traceback(
    explorer: Explorer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setitem(PAGES, "/lines", fail)
    with explore(explorer.tables) as other, requests.Session() as session:
        session.get(other.address)
        answered = session.get(f"{base_of(other)}/lines")
    assert answered.status_code == 500
    assert "The page cannot be made (RuntimeError): quivo_frames is to blame." in answered.text
    said = answered.text + "".join(capfd.readouterr()) + caplog.text
    assert "canary" not in said
    assert "Traceback" not in said
