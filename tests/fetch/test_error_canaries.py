"""Errors that repeat secrets and personal text, in every escape: what is printed, logged and written about them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.fetch.client import Client
from quivo_frames.fetch.replies import MAX_ERROR_BYTES
from quivo_frames.fetch.run import refetch
from quivo_frames.model.records import Outcome
from quivo_frames.standin.faults import HttpReply, ServerFault
from quivo_frames.standin.server import StandIn
from tests.support import independent_archive
from tests.support.archived_orders import NOON, record_answers
from tests.support.escapes import ESCAPES, readings
from tests.support.impatient_command import impatient_command
from tests.support.personal_traces import marked_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY, USER, WORD, TOKEN = "k<7Q&f+9/\"c'an", "hedwig<canary>@nest.test", "pW'&\"c4n>ary%41", "standin-token"
SECRETS = (KEY, USER, WORD, TOKEN)
PIECES = ("k<7Q&f+9", "hedwig", "pW'&\"c4n", "standin-")
MAIL, PHONE, NAME, BLOCKED = "ida.lund@sea.test", "+43 664 123 45 67", "Ida Lund", "Ole Lund-Blocked"
PERSONAL = ("ida.lund", "sea.test", "664 123", "Ida Lund", "Ole Lund")
SAID = f'key {KEY} of {USER} with {WORD} and {TOKEN}; mail {MAIL}, tel {PHONE}, name1 "{NAME}", {BLOCKED} is barred.'


def error_bodies(escape: str) -> list[tuple[int, str, bytes]]:
    text = ESCAPES[escape](SAID)
    as_json = json.dumps({"message": text}).encode()
    return [
        (400, "text/plain", text.encode()),
        (403, "application/json", as_json),
        (500, "application/json", b'{"error":{"detail":' + as_json + b"}}"),
        (503, "text/html", b"<html><body>" + text.encode() + b"</body></html>"),
        (200, "application/json", as_json),
        (200, "application/json", b'{"orderId":1,"comment":' + as_json + b"}"),
    ]


FORMS = ("html", "json", "url", "html, decimal", "json, all", "json in html")
BODIES = [body for escape in FORMS for body in error_bodies(escape)]


class CanaryStandIn(StandIn):
    api_key, username, password = KEY, USER, WORD


@pytest.fixture
def api() -> Iterator[StandIn]:
    replies = [HttpReply(status, body, kind) for status, kind, body in BODIES]
    faults = {100001 + 4 * n: [ServerFault(reply=reply, times=None)] for n, reply in enumerate(replies)}
    with CanaryStandIn(4 * len(replies), faults=faults) as api:
        yield api


def fill_archive(path: Path, api: StandIn) -> None:
    """Earlier answers, which say who the orders are for."""
    with Archive(path) as archive:
        orders = {
            order_id: marked_order(order_id, "x", deliveryAddress={"name1": BLOCKED}) for order_id in api.order_ids
        }
        record_answers(archive, orders, NOON)


def found_in(text: str, pieces: tuple[str, ...], levels: int = 3) -> set[str]:
    return {piece for reading in readings(text, levels) for piece in pieces if piece in reading}


def check_archive(path: Path) -> None:
    """Messages hold neither secrets nor personal text; bodies hold the personal text, and no secret."""
    failed = [line for line in independent_archive.ledger_lines(path) if line.outcome != "fetched"]
    assert len(failed) == len(BODIES)
    assert {line.message: found for line in failed if (found := found_in(line.message, PIECES + PERSONAL))} == {}
    assert (
        sum("***" in line.message for line in failed) == len(FORMS) * 4
    )  # no text of a web page or an order is quoted
    bad = [response for response in independent_archive.stored_responses(path) if not response.good]
    assert len(bad) == len(BODIES)
    assert {r.order_id: found for r in bad if (found := found_in(r.body.decode(), PIECES))} == {}
    assert all("Ida Lund" in "".join(readings(response.body.decode())) for response in bad)


def test_errors_are_told_without_secrets_and_personal_text(
    api: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    fill_archive(tmp_path / "a", api)
    login = {"api_key": KEY, "username": USER, "password": WORD, "base_url": api.base_url}
    quick = Client.from_env(**login, rate=5000.0, timeout=5.0, tries=2, backoff=0.001)
    with quick as client, Archive(tmp_path / "a") as archive:
        run = refetch(api.order_ids, client, archive, progress=True)
        told = [run, run._repr_html_(), run.failures.rows(), archive.attempts().rows()]
    text = "".join(map(str, told)) + caplog.text + "".join(capfd.readouterr())
    assert "asked about order 100009 (500: key ***" in caplog.text  # what is tried again is logged
    assert found_in(text, PIECES + PERSONAL[:-1], levels=2) == set()
    assert found_in("".join(map(str, told)), PERSONAL) == set()  # logs do not know earlier answers
    check_archive(tmp_path / "a")


@pytest.mark.long
def test_commands_tell_errors_without_secrets_and_personal_text(api: StandIn, tmp_path: Path) -> None:
    fill_archive(tmp_path / "orders.sqlite", api)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("QUIVO_")}
    login = {"QUIVO_API_KEY": KEY, "QUIVO_USERNAME": USER, "QUIVO_PASSWORD": WORD, "QUIVO_BASE_URL": api.base_url}
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    text = ""
    for words in (
        ["refetch", "--ids", "-", "--yes", "--rate", "2000"],
        ["status"],
        ["status", "--json"],
        ["build", "orders.sqlite", "--out", "t"],
    ):
        done = subprocess.run(
            impatient_command(*words, timeout=5, tries=2, backoff=0.001, rate=5000.0, debug=True),
            cwd=tmp_path, env=clean | login | home, input="\n".join(map(str, api.order_ids)).encode(),
            capture_output=True, timeout=100,
        )  # fmt: skip
        text += (done.stdout + done.stderr).decode()
    assert "DEBUG:quivo_frames.fetch.client:" in text
    assert "Traceback" not in text
    assert found_in(text, PIECES + PERSONAL[:-1], levels=2) == set()
    check_archive(tmp_path / "orders.sqlite")


@pytest.mark.alone
def test_of_a_large_error_the_beginning_is_kept_in_no_time(connect: Any) -> None:
    begin = b'{"message":"no \\u006b<7Q&f+9/'
    bodies = [begin + b" " * size + b'"}' for size in (500_000, 30 * 2**20)]
    faults = [ServerFault(reply=HttpReply(400, body), times=1) for body in bodies]
    with CanaryStandIn(1, faults={100001: faults}) as api:
        client = connect(api)
        began = time.perf_counter()
        answers = [client.refetch(100001) for _ in bodies]
        assert time.perf_counter() - began < 3  # more than 4 s where all of it is redacted once
    for answer in answers:
        assert answer.outcome is Outcome.REFUSED
        assert (answer.body[:18], len(answer.body)) == (b'{"message":"no ***', MAX_ERROR_BYTES - len(begin) + 18)
        assert found_in(answer.message + answer.body[:100].decode(), PIECES) == set()
    assert "(400: no ***)" in answers[0].message
