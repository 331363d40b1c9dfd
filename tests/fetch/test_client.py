from __future__ import annotations

import gzip
import logging
import re
import socketserver
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from quivo_frames.errors import ConfigError, LoginError, UnexpectedResponse, Unreachable
from quivo_frames.fetch.http import HttpSession
from quivo_frames.fetch.rate_limit import Stopped
from quivo_frames.model.records import Outcome
from quivo_frames.standin.faults import ServerFault
from quivo_frames.standin.server import StandIn
from tests.support.scripted_server import run_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quivo_frames.fetch.client import Client

    Connect = Callable[..., Client]

pytestmark = pytest.mark.alone

ORDER, OTHER_ORDER = 100001, 100002


@contextmanager
def serve_answers(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that sends these bytes, one answer a connection (the last for ever), and keeps what it received."""
    received: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = b""
            while (end := request.find(b"\r\n\r\n")) < 0 or len(request) < end + 4 + self.length(request):
                request += self.request.recv(65536)
            received.append(request)
            self.request.sendall(answers[min(len(received), len(answers)) - 1])

        @staticmethod
        def length(request: bytes) -> int:
            return int((re.search(rb"Content-Length: (\d+)", request) or [0, 0])[1])

    with run_server(Handler) as place:
        yield f"http://{place}", received


def http_bytes(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TOKEN = http_bytes(b'{"token":"canary-token","other":1}')


def client_at(connect: Connect, url: str, **options: Any) -> Client:
    login = {"api_key": "canary-key", "username": "canary-user", "password": "canary-password", "base_url": url}
    return connect(StandIn(), **login, **options)


def test_an_answer_comes_byte_for_byte(standin: StandIn, client: Client) -> None:
    answer = client.refetch(ORDER)
    assert (answer.outcome, answer.status, answer.tries, answer.message) == (Outcome.FETCHED, 200, 1, "")
    assert answer.body == standin.body_sent(ORDER)
    assert answer.headers["Content-Type"] == "application/json"
    assert standin.logins == 1


@pytest.mark.parametrize(
    "fault",
    [ServerFault.status(500), ServerFault.status(502), ServerFault.status(503), ServerFault.status(504), ServerFault.status(429),
     ServerFault.truncate(), ServerFault.cut_json(), ServerFault.html(), ServerFault.empty(), ServerFault.shape(), ServerFault.reset(),
     ServerFault.other_order(OTHER_ORDER), ServerFault.body(b'{"order":1}'), ServerFault.body(b"\xff"), ServerFault.body(b'{"a":' * 5000)],
)  # fmt: skip
def test_what_may_pass_is_asked_again(connect: Connect, fault: ServerFault) -> None:
    with StandIn(orders=2, faults={ORDER: [fault, fault]}) as api:
        answer = connect(api).refetch(ORDER)
        assert (answer.outcome, answer.tries, api.refetch_count(ORDER)) == (Outcome.FETCHED, 3, 3)
        assert answer.body == api.body_sent(ORDER)


@pytest.mark.parametrize(
    ("fault", "outcome", "message"),
    [
        (ServerFault.status(500, times=None), Outcome.UNREACHABLE, r"busy or down .* 100001 \(500: Internal Server Error\)"),
        (ServerFault.status(429, times=None), Outcome.UNREACHABLE, r"\(429: Too Many Requests\)"),
        (ServerFault.reset(times=None), Outcome.UNREACHABLE, "No answer about order 100001: the connection .* broke off"),
        (ServerFault.truncate(times=None), Outcome.UNUSABLE, "order 100001 broke off"),
        (ServerFault.cut_json(times=None), Outcome.UNUSABLE, "cannot be read as JSON"),
        (ServerFault.html(times=None), Outcome.UNUSABLE, "is a web page"),
        (ServerFault.empty(times=None), Outcome.UNUSABLE, "is empty"),
        (ServerFault.shape("text", times=None), Outcome.UNUSABLE, "has another shape"),
        (ServerFault.other_order(OTHER_ORDER, times=None), Outcome.UNUSABLE, r"is about another order \(100002\)"),
    ],
)  # fmt: skip
def test_what_does_not_pass_ends_after_the_last_try(
    connect: Connect, fault: ServerFault, outcome: Outcome, message: str
) -> None:
    with StandIn(orders=2, faults={ORDER: [fault]}) as api:
        client = connect(api, tries=3)
        answer = client.refetch(ORDER)
        assert (answer.outcome, answer.tries, api.refetch_count(ORDER)) == (outcome, 3, 3)
        assert re.search(message, answer.message)
        assert client.refetch(OTHER_ORDER).outcome is Outcome.FETCHED


@pytest.mark.parametrize(
    ("fault", "outcome", "status", "message"),
    [
        (ServerFault.bad_request(times=None), Outcome.REFUSED, 400, "order 100001 (400: positions: must not be null)"),
        (ServerFault.forbidden(times=None), Outcome.REFUSED, 403, "order 100001 (403: Forbidden)"),
        (ServerFault.status(409, times=None), Outcome.REFUSED, 409, "(409: Conflict)"),
        (ServerFault.status(501, times=None), Outcome.UNREACHABLE, 501, "(501: Not Implemented)"),
        (ServerFault.no_content(times=None), Outcome.UNUSABLE, 204, "has no body (204)"),
        (ServerFault.redirect("https://example.com/", times=None), Outcome.UNUSABLE, 307, "(307: Temporary Redirect)"),
    ],
)
def test_what_will_not_pass_is_asked_once(
    connect: Connect, fault: ServerFault, outcome: Outcome, status: int, message: str
) -> None:
    with StandIn(orders=2, faults={ORDER: [fault]}) as api:
        answer = connect(api).refetch(ORDER)
        assert (answer.outcome, answer.status, answer.tries, api.refetch_count(ORDER)) == (outcome, status, 1, 1)
        assert message in answer.message


def test_an_unknown_order_is_told(standin: StandIn, client: Client) -> None:
    answer = client.refetch(7)
    assert (answer.outcome, answer.status, standin.refetch_count(7)) == (Outcome.UNKNOWN, 404, 1)
    assert (
        answer.message
        == "Quivo does not know order 7 (404: Order 7 not found). Check the id, and the account that it belongs to."
    )


def test_a_body_that_drips_is_given_up(connect: Connect) -> None:
    with StandIn(orders=2, faults={ORDER: [ServerFault.drip(20)]}) as api:
        client = connect(api, timeout=0.3, tries=1)
        began = time.monotonic()
        answer = client.refetch(ORDER)
        assert time.monotonic() - began < 2
        assert (answer.outcome, answer.message) == (
            Outcome.UNUSABLE,
            "The answer about order 100001 took too long. Ask again; if it stays so, ask Quivo.",
        )
        assert answer.body


def test_a_late_answer_is_given_up_and_asked_again(connect: Connect) -> None:
    with StandIn(orders=2, faults={ORDER: [ServerFault.delay(20)]}) as api:
        answer = connect(api, timeout=0.2).refetch(ORDER)
        assert (answer.outcome, answer.tries) == (Outcome.FETCHED, 2)


def test_retry_after_is_honoured(connect: Connect) -> None:
    with StandIn(orders=2, faults={ORDER: [ServerFault.status(429, retry_after="0.3")]}) as api:
        answer = connect(api).refetch(ORDER)
        assert answer.outcome is Outcome.FETCHED
        assert answer.seconds > 0.3


def run_in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    together, results = threading.Barrier(count), []

    def run(n: int) -> None:
        together.wait()
        try:
            results.append(work(n))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_sixteen_threads_log_in_once_and_renew_a_refused_token_once(standin: StandIn, client: Client) -> None:
    def work(n: int) -> Outcome:
        return client.refetch(ORDER + n).outcome

    assert run_in_threads(16, work) == [Outcome.FETCHED] * 16
    assert standin.logins == 1
    standin.revoke_tokens()
    assert run_in_threads(16, work) == [Outcome.FETCHED] * 16
    assert standin.logins == 2


def test_a_token_is_renewed_before_it_ends(connect: Connect) -> None:
    with StandIn(orders=16, token_seconds=0.5) as api:
        client = connect(api)
        client._shared_token.lifetime = 0.1
        client.refetch(ORDER)
        time.sleep(0.15)
        run_in_threads(16, lambda n: client.refetch(ORDER + n))
        assert api.logins == 2
        assert sum(map(api.refetch_count, api.order_ids)) == 17  # none was refused and repeated


def test_an_expired_token_costs_no_try(connect: Connect) -> None:
    with StandIn(orders=2, faults={ORDER: [ServerFault.expired()]}) as api:
        answer = connect(api, tries=1).refetch(ORDER)
        assert (answer.outcome, answer.tries, api.logins) == (Outcome.FETCHED, 1, 2)


def test_an_order_that_refuses_every_token_does_not_end_the_run(connect: Connect) -> None:
    with StandIn(orders=2, faults={ORDER: [ServerFault.expired(times=None)]}) as api:
        client = connect(api)
        for _ in range(3):
            assert client.refetch(ORDER).outcome is Outcome.REFUSED
            assert client.refetch(OTHER_ORDER).outcome is Outcome.FETCHED


def test_tokens_that_never_work_are_not_asked_for_without_end(connect: Connect) -> None:
    with StandIn(orders=2, token_seconds=-1) as api:
        client = connect(api)
        with pytest.raises(LoginError, match="QUIVO_TOKEN_PREFIX"):  # noqa: PT012 - one of the first
            for _ in range(10):
                client.refetch(ORDER)
        assert api.logins <= 3


@pytest.mark.parametrize("wrong", ["api_key", "username", "password"])
def test_wrong_credentials_are_sent_once(standin: StandIn, connect: Connect, wrong: str) -> None:
    client = connect(standin, **{wrong: "canary"})
    errors = run_in_threads(8, lambda n: client.refetch(ORDER + n))
    assert [type(error) for error in errors] == [LoginError] * 8
    assert standin.requests == 1
    assert "QUIVO_PASSWORD" in str(errors[0])
    assert "canary" not in str(errors)


def test_no_connection_at_login_is_told(connect: Connect) -> None:
    with StandIn() as api:
        url = api.base_url
    with pytest.raises(Unreachable, match=r"No answer about the login: .* Check QUIVO_BASE_URL \(http://127"):
        client_at(connect, url, tries=2).refetch(ORDER)


@pytest.mark.parametrize(
    "answer",
    [
        http_bytes(b"{}"),
        http_bytes(b'{"token":"a\\nb"}'),
        http_bytes(b"", "302 Found"),
        http_bytes(b"", "404 Not Found"),
    ],
)
def test_a_login_that_nobody_documented_is_told(connect: Connect, answer: bytes) -> None:
    with serve_answers(answer) as (url, _), pytest.raises(UnexpectedResponse, match="QUIVO_BASE_URL"):
        client_at(connect, url, tries=2).refetch(ORDER)


def test_the_documented_headers_are_sent_and_no_others_of_ours(connect: Connect) -> None:
    with serve_answers(TOKEN, http_bytes(b'{"orderId":1}')) as (url, received):
        assert client_at(connect, url, token_prefix="Bearer").refetch(1).outcome is Outcome.FETCHED
    login, refetch = (request.decode() for request in received)
    assert login.startswith("POST /login HTTP/1.1\r\n")
    assert login.endswith('\r\n\r\n{"username": "canary-user", "password": "canary-password"}')
    assert "X-Api-Key: canary-key\r\n" in login
    assert "Authorization" not in login
    assert refetch.startswith("POST /orders/1/refetch HTTP/1.1\r\n")
    assert "X-Api-Key: canary-key\r\n" in refetch
    assert "Authorization: Bearer canary-token\r\n" in refetch
    assert "User-Agent: quivo-frames/" in refetch


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (http_bytes(gzip.compress(b'{"orderId":1}'), "200 OK", "Content-Encoding: gzip"), b'{"orderId":1}'),
        (CHUNKED + b'8\r\n{"orderI\r\n5\r\nd":1}\r\n0\r\n\r\n', b'{"orderId":1}'),
        (b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"orderId":1.0}', b'{"orderId":1.0}'),
    ],
)  # fmt: skip
def test_every_way_to_send_a_body_is_read(connect: Connect, answer: bytes, body: bytes) -> None:
    with serve_answers(TOKEN, answer) as (url, _):
        found = client_at(connect, url, tries=1).refetch(1)
    assert (found.outcome, found.body) == (Outcome.FETCHED, body)


@pytest.mark.parametrize(
    "answer",
    [
        http_bytes(gzip.compress(b'{"orderId":1}' * 9)[:-9], "200 OK", "Content-Encoding: gzip"),
        CHUNKED + b'd\r\n{"orderId":1}\r\n',
        b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"orderId":1}',
    ],
)  # fmt: skip
def test_a_body_without_its_end_is_unusable(connect: Connect, answer: bytes) -> None:
    with serve_answers(TOKEN, answer) as (url, _):
        found = client_at(connect, url, tries=2).refetch(1)
    assert (found.outcome, found.tries) == (Outcome.UNUSABLE, 2)


def test_credentials_do_not_follow_a_redirect(connect: Connect) -> None:
    with serve_answers(http_bytes(b'{"orderId":1}')) as (elsewhere, received_elsewhere):
        with serve_answers(
            TOKEN, http_bytes(b"", "307 Temporary Redirect", f"Location: {elsewhere}/orders/1/refetch")
        ) as (
            url,
            _,
        ):
            assert client_at(connect, url).refetch(1).outcome is Outcome.UNUSABLE
        assert not received_elsewhere


def test_an_echoed_secret_is_not_repeated(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = b"user canary-user, canary-password, key canary-key, token canary-token " + b"x" * 500
    with serve_answers(TOKEN, http_bytes(echo, "500 Oops"), http_bytes(echo, "400 Bad")) as (url, _):
        client = client_at(connect, url)
        answer = client.refetch(1)
    assert "user ***, ***, key ***, token *** xxx" in answer.message
    assert len(answer.message) < 300
    assert "canary" not in answer.message + caplog.text + repr(client)


@pytest.mark.parametrize(
    ("body", "said"),
    [(b'{"message":"not you"}', "not you"), (b'{"error":1}', "Nope"), (b"  a: must\n be ", "a: must be"),
     (b"<html>canary</html>", "Nope"), (b"", "Nope"), (b'{"message":[1]}', "Nope")],
)  # fmt: skip
def test_an_error_is_told_in_the_words_of_quivo(connect: Connect, body: bytes, said: str) -> None:
    with serve_answers(TOKEN, http_bytes(body, "400 Nope")) as (url, _):
        assert client_at(connect, url).refetch(1).message.startswith(f"Quivo refused order 1 (400: {said}). ")


@pytest.mark.parametrize("fault", [ServerFault.status(429, retry_after="30"), ServerFault.status(500, times=None)])
def test_waiting_ends_when_told_to_stop(connect: Connect, fault: ServerFault) -> None:
    """For the pause that Quivo asks for, and for the random wait before another try."""
    stop = threading.Event()
    with StandIn(orders=2, faults={ORDER: [fault]}) as api:
        client = connect(api, backoff=1000)
        threading.Timer(0.1, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Stopped):
            client.refetch(ORDER, stop=stop)
        assert time.monotonic() - began < 2


def test_a_single_fault_is_asked_again_at_once_and_lowers_no_rate(connect: Connect) -> None:
    with StandIn(orders=2, faults={ORDER: [ServerFault.status(503)]}) as api:
        client = connect(api, backoff=1000, rate=100)
        answer = client.refetch(ORDER)
        assert (answer.outcome, answer.tries) == (Outcome.FETCHED, 2)
        assert answer.seconds < 5
        assert client.rate == 100


@pytest.mark.parametrize("fault", [ServerFault.status(503, retry_after="0.1"), ServerFault.status(429)])
def test_who_asks_for_less_gets_less(connect: Connect, fault: ServerFault) -> None:
    with StandIn(orders=2, faults={ORDER: [fault]}) as api:
        client = connect(api, tries=1, rate=100)
        client.refetch(ORDER)
        assert client.rate < 100


@pytest.mark.parametrize("page", [b"{}", b'[{"id":1}]', b'[{"orderId":"1"}]', b"[1]"])
def test_a_list_that_nobody_documented_is_told(connect: Connect, page: bytes) -> None:
    with serve_answers(TOKEN, http_bytes(page)) as (url, _), pytest.raises(UnexpectedResponse):
        list(client_at(connect, url, tries=1).find())


def test_ping_tells_its_seconds_or_why_not(standin: StandIn, client: Client, connect: Connect) -> None:
    assert 0 < client.ping() < 5
    with pytest.raises(LoginError):
        connect(standin, password="wrong").ping()


def test_the_environment_is_read_once_and_loopback_knows_no_proxy(
    standin: StandIn, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    assert connect(standin).refetch(ORDER).outcome is Outcome.FETCHED
    session = client_at(connect, "https://api.quivo.co")._session._session
    assert session.proxies["https"] == "http://127.0.0.1:9"
    assert session.verify == str(tmp_path / "ca.pem")
    assert session.trust_env is False


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"tries": 0}, {"rate": -1}, {"backoff": -1}, {"timeout": float("nan")}]
)
def test_options_that_make_no_sense_are_refused(connect: Connect, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        client_at(connect, "http://127.0.0.1:1", **options)


@contextmanager
def serve_dripping(head: bytes, seconds: float) -> Iterator[str]:
    """A server that sends `head` at once, and then a byte now and then, for ever."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            with suppress(OSError):
                self.request.sendall(head)
                while not over.wait(seconds):
                    self.request.sendall(b"x")

    over = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n{", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)  # fmt: skip
def test_an_answer_ends_in_time_wherever_it_drips(head: bytes) -> None:
    """In the status line, the headers, a body without an end, one with a length: no read of the socket takes long."""
    with serve_dripping(head, 0.02) as url:
        began = time.monotonic()
        found = HttpSession(url, 0.4).send_request("GET", "/", {})
        assert 0.35 < time.monotonic() - began < 2
    assert "too long" in found.flaw


def test_a_body_that_is_too_large_is_given_up() -> None:
    with serve_answers(http_bytes(b" " * 2**20)) as (url, _):
        assert HttpSession(url, 5, max_body_bytes=2**20).send_request("GET", "/", {}).flaw == ""
    with serve_answers(http_bytes(gzip.compress(b" " * 2**24), "200 OK", "Content-Encoding: gzip")) as (url, _):
        found = HttpSession(url, 5, max_body_bytes=2**20).send_request("GET", "/", {})
    assert (found.status, found.body, found.flaw) == (200, b"", "is larger than 1 MB")


class TakenOffline:
    """Takes a stand-in off the network and brings it back at the same port."""

    def __init__(self, api: StandIn) -> None:
        self.api = api

    def __enter__(self) -> None:
        self.api.stop()
        self.api._port = int(self.api.base_url.rpartition(":")[2])

    def __exit__(self, *_: object) -> None:
        self.api.start()


def test_an_outage_is_waited_for_and_costs_no_order(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    with StandIn(orders=10) as api:
        client = connect(api, tries=2)
        client.refetch(ORDER)
        with TakenOffline(api):
            threads = [threading.Thread(target=lambda n=n: answers.append(client.refetch(ORDER + n))) for n in range(4)]
            answers: list[Any] = []
            for thread in threads:
                thread.start()
            time.sleep(0.3)
            assert not answers
        for thread in threads:
            thread.join(10)
        assert [answer.outcome for answer in answers] == [Outcome.FETCHED] * 4
        assert {answer.tries for answer in answers} == {3}
        assert "Quivo gives no answer any more" in caplog.text
        assert "Quivo is back after" in caplog.text


@pytest.mark.long
def test_an_outage_that_lasts_ends_the_run(connect: Connect) -> None:
    with StandIn(orders=10) as api:
        client = connect(api, tries=1)
        client._outages.patience = 0.5
        client.refetch(ORDER)
        client._shared_token.latest = None  # the token ran out meanwhile
        with TakenOffline(api), pytest.raises(Unreachable, match="No answer about the ping: the connection failed"):
            client.refetch(ORDER)


def test_waiting_for_the_return_ends_when_told_to_stop(connect: Connect) -> None:
    stop = threading.Event()
    with StandIn(orders=10) as api:
        client = connect(api, tries=1)
        client.refetch(ORDER)
        with TakenOffline(api):
            threading.Timer(0.2, stop.set).start()
            with pytest.raises(Stopped):
                client.refetch(ORDER, stop=stop)


def test_an_order_that_never_answers_is_told_apart_from_an_outage(connect: Connect) -> None:
    with StandIn(orders=10, faults={ORDER: [ServerFault.reset(times=None)]}) as api:
        client = connect(api, tries=2)
        client.refetch(OTHER_ORDER)
        before = api.requests
        assert client.refetch(ORDER).outcome is Outcome.UNREACHABLE
        assert api.requests - before == 3  # two tries and a ping
