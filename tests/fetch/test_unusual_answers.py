"""Answers in other forms than documented: taken where they can only mean one thing, kept as received, and told."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.errors import QuivoError, UnexpectedResponse
from quivo_frames.fetch.run import refetch
from quivo_frames.model.records import Outcome
from quivo_frames.standin.server import StandIn
from tests.support import independent_archive
from tests.support.scripted_server import http_bytes, serve_script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quivo_frames.fetch.client import Client

    Connect = Callable[..., Client]

MARK = b"\xef\xbb\xbf"
REFETCH = "/orders/5/refetch"


def client_at(connect: Connect, url: str, **options: Any) -> Client:
    return connect(
        StandIn(), api_key="canary-key", username="canary-user", password="canary-word", base_url=url, **options
    )


@pytest.mark.parametrize(
    ("login", "field"),
    [
        (b'{"token":"t-1"}', None),
        (b'{"Token":"t-1"}', "Token"),
        (b'{"TOKEN":"t-1","expires":3600}', "TOKEN"),
        (b'{"Token":"t-2","token":"t-1"}', None),
        (b'{"data":{"Token":"t-1"},"user":{"name":"x"}}', "data.Token"),
        (b'{"data":{"token":"t-1"},"token":null}', "data.token"),
        (MARK + b'{"token":"t-1"}', None),
    ],
)
def test_a_token_is_taken_however_it_is_spelled(
    connect: Connect, caplog: pytest.LogCaptureFixture, login: bytes, field: str | None
) -> None:
    caplog.set_level(logging.INFO)
    with serve_script(http_bytes(b'{"orderId":5}'), http_bytes(login)) as (url, _):
        client = client_at(connect, url)
        assert client.refetch(5).outcome is Outcome.FETCHED
        assert client._shared_token.latest == "t-1"
    noted = [record.getMessage() for record in caplog.records if "documented `token`" in record.getMessage()]
    assert len(noted) == (field is not None)
    assert all(f"as {field}," in message for message in noted)
    assert "t-1" not in caplog.text


@pytest.mark.parametrize(
    "login",
    [b"{}", b'{"token":7}', b'{"token":" "}', b'{"a":{"token":"t-1"},"b":{"token":"t-2"}}', b'["t-1"]', b'{"a":{"b":{"token":"t"}}}'],
)  # fmt: skip
def test_a_login_without_a_clear_token_ends_the_run(connect: Connect, login: bytes) -> None:
    with (
        serve_script(http_bytes(b'{"orderId":5}'), http_bytes(login)) as (url, requests),
        pytest.raises(UnexpectedResponse, match="login"),
    ):
        client_at(connect, url, tries=2).refetch(5)
    assert requests == {"/login": 2}


@pytest.mark.long
@pytest.mark.parametrize(
    "body",
    [
        b'{"data":{"orderId":5,"orderStatus":"NEW"}}',
        b'{"status":"OK","order":{"orderId":5,"orderStatus":"NEW"}}',
        b'[{"orderId":5,"orderStatus":"NEW"}]',
        MARK + b'{"orderId":5,"orderStatus":"NEW"}',
        MARK + b'{"data":[{"orderId":5,"orderStatus":"NEW"}]}',
    ],
)
def test_an_envelope_is_taken_and_kept_as_received(connect: Connect, tmp_path: Path, body: bytes) -> None:
    with serve_script(http_bytes(body)) as (url, requests), Archive(tmp_path / "a") as archive:
        run = refetch([5], client_at(connect, url), archive)
        assert (run.fetched, requests[REFETCH]) == (1, 1)
    (stored,) = independent_archive.stored_responses(tmp_path / "a")
    assert stored.body == body
    assert qf.build(tmp_path / "a", tmp_path / "tables").orders["order_status"].to_list() == ["NEW"]


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b'{"data":{"orderId":6}}', "is about another order (6)"),
        (b'[{"orderId":6}]', "is about another order (6)"),
        (b'[{"orderId":5},{"orderId":6}]', "has another shape"),
        (b'{"data":{"orderId":5},"order":{"orderId":5}}', "has another shape"),
        (b'{"data":{"orderId":6},"data":{"orderId":5}}', "has another shape"),
        (b'{"result":{"orderId":5}}', "has another shape"),
        (b'{"orderId":6,"data":{"orderId":5}}', "is about another order (6)"),
    ],
)
def test_an_envelope_of_another_order_or_of_several_is_not_taken(connect: Connect, body: bytes, flaw: str) -> None:
    with serve_script(http_bytes(body)) as (url, requests):
        answer = client_at(connect, url, tries=3).refetch(5)
    assert (answer.outcome, answer.tries, requests[REFETCH]) == (Outcome.UNUSABLE, 3, 3)
    assert flaw in answer.message


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"message":"The shop does not answer"}', "The shop does not answer"),
        (MARK + b'{"message":"The shop does not answer"}', "The shop does not answer"),
        (b'{"error":"shop offline"}', "shop offline"),
        (b'{"success":false,"error":{"code":17,"message":"shop offline"}}', "shop offline"),
        (b'{"errors":[{"errorCode":"E1","errorMessage":"no shop"},{"errorMessage":"no stock"}]}', "no shop; no stock"),
        (b'{"title":"Conflict","detail":"the order is locked"}', "the order is locked"),
        (b'{"Message":"canary-key is not known"}', "*** is not known"),
    ],
)
def test_an_error_in_a_200_is_asked_once_and_quoted(connect: Connect, body: bytes, text: str) -> None:
    with serve_script(http_bytes(body)) as (url, requests):
        answer = client_at(connect, url).refetch(5)
    assert (answer.outcome, answer.status, answer.tries) == (Outcome.UNUSABLE, 200, 1)
    assert requests[REFETCH] == 1
    assert answer.message.startswith(f"Quivo answered about order 5 with an error (200: {text}).")


def test_an_error_in_a_200_ends_a_login_and_a_search(connect: Connect) -> None:
    said = http_bytes(b'{"error":"the account is locked"}')
    with serve_script(said, said) as (url, requests), pytest.raises(QuivoError, match="the account is locked"):
        client_at(connect, url).ping()
    assert requests == {"/login": 1}
    with serve_script(said) as (url, requests), pytest.raises(QuivoError, match="the account is locked"):
        list(client_at(connect, url).find())
    assert sum(requests.values()) == 2


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n",
        b"HTTP/1.1 199 Whatever\r\nRetry-After: 9\r\n\r\n" * 3,
    ],
)
def test_interim_answers_are_passed_over(connect: Connect, interim: bytes) -> None:
    good = http_bytes(b'{"orderId":5}', "200 OK", "X-Last: yes")
    with serve_script(interim + good, interim + http_bytes(b'{"token":"t"}')) as (url, requests):
        answer = client_at(connect, url, tries=1).refetch(5)
    assert (answer.outcome, answer.status, answer.headers["X-Last"]) == (Outcome.FETCHED, 200, "yes")
    assert "Link" not in answer.headers
    assert sum(requests.values()) == 2


def test_a_server_of_interim_answers_alone_is_given_up_in_time(connect: Connect) -> None:
    endless = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100
    with serve_script(endless) as (url, _):
        answer = client_at(connect, url, tries=1, timeout=0.5).refetch(5)
    assert answer.outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30000", r"30,000"),  # perhaps meant in milliseconds
        ("9" * 400, r"1,000,000,000"),
        ("in two hours", r"7,(1[6-9]|20)\d"),
    ],
)
def test_a_pause_that_is_too_long_is_capped_and_told_once(
    connect: Connect, caplog: pytest.LogCaptureFixture, header: str, seconds: str
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    header = header.replace("in two hours", date)
    said = http_bytes(b'{"message":"Too Many Requests"}', "429 Too Many Requests", f"Retry-After: {header}")
    with serve_script(said) as (url, requests):
        answer = client_at(connect, url, tries=3, longest_pause=0.02).refetch(5)
    assert (answer.tries, requests[REFETCH]) == (3, 3)
    told = (
        rf"\(429: Too Many Requests\)\. It asked for a pause of {seconds} s \(Retry-After\); at most 0 s are waited\."
    )
    assert re.search(told, answer.message)
    assert len(re.findall(told, caplog.text)) == 1


def test_a_list_behind_a_byte_order_mark_is_read(connect: Connect) -> None:
    with serve_script(http_bytes(MARK + b"[]")) as (url, requests):
        assert list(client_at(connect, url, tries=1).find()) == []
    assert sum(requests.values()) == 2
