"""Canaries instead of credentials, and a server that repeats them: they must be in no output and in no file."""

from __future__ import annotations

import base64
import json
import logging
import os
import stat
import subprocess
import traceback
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.errors import ConfigError, LoginError, QuivoError, Unreachable
from quivo_frames.fetch.client import Client
from quivo_frames.fetch.run import plan, refetch
from quivo_frames.settings.settings import Settings
from quivo_frames.standin.faults import FORBIDDEN, JSON_TYPE, ServerFault, json_message
from quivo_frames.standin.server import StandIn
from tests.support import independent_archive
from tests.support.impatient_command import impatient_command
from tests.support.random_faults import all_faults_by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from quivo_frames.standin.http_connection import ScheduledReply

KEY, USER, WORD, TOKEN = "k7Qf+9/canarykey=Zz", "hedwig.canary@nest.test", 'pW"&c4nary=w0rd%41', "standin-token"
SECRETS = {"key": KEY, "user": USER, "password": WORD, "token": TOKEN}
GIVEN = {"api_key": KEY, "username": USER, "password": WORD}
SENT = "TOKEN-THAT-WAS-SENT"
ECHO = f"you sent {KEY} and {USER} with {WORD} and {SENT}"


class EchoingStandIn(StandIn):
    """A stand-in with canaries for credentials, that repeats the token that it was sent."""

    api_key, username, password = KEY, USER, WORD

    def _answer_refetch(self, order_id: int, headers: Mapping[str, str], now: float) -> ScheduledReply:
        answer, token = super()._answer_refetch(order_id, headers, now), headers.get("authorization", "")
        said = tuple(
            (name, text.replace(SENT, token) if isinstance(text, str) else text) for name, text in answer.reply.headers
        )
        body = answer.reply.body.replace(SENT.encode(), token.encode())
        return answer._replace(reply=answer.reply._replace(body=body, headers=said))


def make_echoing(fault: ServerFault) -> ServerFault:
    """The same fault for ever, and where it has words of its own, they repeat what was sent."""
    if fault.reply is None:
        return replace(fault, times=None)
    reply = fault.reply.with_header("Set-Cookie", f"session={SENT}").with_header("X-Amzn-Remapped-Authorization", SENT)
    if reply.content_type == JSON_TYPE and reply.status >= 400:
        reply = reply._replace(body=json.dumps({"message": f"{reply.status}: {ECHO}"}).encode())
    elif reply.body:
        reply = reply._replace(body=reply.body + ECHO.encode())
    return replace(fault, reply=reply, times=None)


FAULTS = {name: make_echoing(fault) for name, fault in all_faults_by_name(seconds=0.02).items() if name != "refused"}
"""But for one, which would reset the connections of all others again and again."""


def revealing_forms(secret: str) -> set[bytes]:
    """What would give a secret away: its beginning, its end, and the same as URL, as JSON and as base64."""
    raw = secret.encode()
    found = {
        raw[:6],
        raw[-8:],
        quote(secret, safe="").encode(),
        quote_plus(secret).encode(),
        json.dumps(secret).encode(),
    }
    for shift in range(3):  # base64 looks different depending on how many bytes stand before
        packed = base64.b64encode(b"." * shift + raw)
        found.add(packed[4 if shift else 0 : -4])
    return found


def find_leaks(text: bytes) -> set[str]:
    return {name for name, secret in SECRETS.items() for form in revealing_forms(secret) if form in text}


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_search_finds_what_is_there() -> None:
    for name, secret in SECRETS.items():
        for shown in (
            secret, f"x{secret[:7]}…", quote(secret, safe=""), json.dumps(secret),
            base64.b64encode(f"{USER}:{WORD}".encode()).decode() if name != "token" else secret,
        ):  # fmt: skip
            assert find_leaks(f"before {shown} after".encode()) & {name, "user", "password"}
    assert find_leaks(b"Order 100001: refused") == set()


def make_impatient(client: Client) -> Client:
    client._rate_limiter.longest_pause = 0.02
    return client


@pytest.fixture
def api() -> Iterator[StandIn]:
    hit = {100001 + 4 * n: [fault] for n, fault in enumerate(FAULTS.values())}
    with EchoingStandIn(5 * len(FAULTS), faults=hit) as api:
        yield api


@pytest.fixture
def command(api: StandIn, tmp_path: Path) -> Callable[..., tuple[int, bytes]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("QUIVO_")}
    login = {f"QUIVO_{name.upper()}": value for name, value in GIVEN.items()} | {"QUIVO_BASE_URL": api.base_url}
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}

    def command(*words: str, stdin: bytes = b"", **settings: str) -> tuple[int, bytes]:
        done = subprocess.run(
            impatient_command(
                *words, timeout=0.5, tries=2, backoff=0.001, rate=2000.0, longest_pause=0.02, debug=True
            ),
            cwd=tmp_path, env=clean | login | home | settings, input=stdin, capture_output=True, timeout=100,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return command


@pytest.mark.long
def test_no_command_tells_a_secret_and_no_file_holds_one(
    api: StandIn, command: Callable[..., tuple[int, bytes]], tmp_path: Path
) -> None:
    ids = "\n".join(map(str, api.order_ids)).encode()
    told = {
        "find": command("find", "--limit", "5"),
        "refetch": command("refetch", "--ids", "-", "--yes", stdin=ids),
        "refetch --json": command("refetch", "--ids", "-", "--yes", "--json", stdin=ids),
        "dry run": command("refetch", "--ids", "-", "--dry-run", stdin=ids),
        "status": command("status"),
        "status --json": command("status", "--json"),
        "build": command("build", "orders.sqlite", "--out", "tables"),
        "wrong password": command("refetch", "1", "--archive", "b", QUIVO_PASSWORD=WORD + "!"),
        "wrong key": command("find", QUIVO_API_KEY=KEY + "!"),
        "address": command("find", QUIVO_BASE_URL=f"http://{quote(USER)}:{quote(WORD)}@127.0.0.1:9"),
        "prefix": command("refetch", "1", "--archive", "c", QUIVO_TOKEN_PREFIX="Basic"),
        "not reached": command("find", QUIVO_BASE_URL="http://127.0.0.1:9"),
    }  # fmt: skip
    assert {name: find_leaks(text) for name, (_, text) in told.items() if find_leaks(text)} == {}
    assert [status for status, _ in told.values()] == [0, 1, 1, 0, 0, 0, 0, 3, 3, 2, 1, 3]
    assert b"DEBUG:quivo_frames.fetch.client:" in told["refetch"][1]  # the logs were on
    failed = [
        attempt
        for attempt in independent_archive.ledger_lines(tmp_path / "orders.sqlite")
        if attempt.outcome != "fetched"
    ]
    assert len(failed) == 2 * sum(not fault.is_harmless for fault in FAULTS.values())
    beside = {name: data for name, data in read_files(tmp_path).items() if name != "orders.sqlite"}
    assert {name: find_leaks(data) for name, data in beside.items() if find_leaks(data)} == {}
    assert {path.name for path in (tmp_path / "cache").rglob("pace-*")} != set()


@pytest.mark.long
def test_no_exception_no_repr_and_no_log_tells_a_secret(
    api: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    quick = {"rate": 2000.0, "timeout": 0.5, "tries": 2, "backoff": 0.001}
    told: list[object] = []

    def fails(kind: type[QuivoError], act: Callable[[], object]) -> None:
        with pytest.raises(kind) as caught:
            act()
        told.extend((*traceback.format_exception(caught.value), repr(caught.value), caught.value.args))

    settings = Settings.load(**GIVEN, base_url=api.base_url)
    told += [settings, repr(settings), settings.model_dump(), settings.model_dump_json()]
    with make_impatient(Client(settings, **quick)) as client, Archive(tmp_path / "orders.sqlite") as archive:  # type: ignore[arg-type]
        run = refetch(api.order_ids, client, archive, progress=True)
        told += [run, run._repr_html_(), run.facts(), run.failures.rows(), archive.attempts().rows(), repr(client)]
        told += [archive, archive._repr_html_(), plan(api.order_ids, archive), vars(client)]
        told += [client.refetch(order_id).message for order_id in api.order_ids]
    login = {**GIVEN, "base_url": api.base_url, **quick}
    fails(LoginError, Client.from_env(**{**login, "password": WORD + "!"}).ping)
    fails(LoginError, Client.from_env(**{**login, "api_key": KEY + "!"}).ping)
    fails(LoginError, Client.from_env(**{**login, "token_prefix": "Basic"}).ping)
    fails(Unreachable, Client.from_env(**{**login, "base_url": "http://127.0.0.1:9"}).ping)
    fails(ConfigError, lambda: Settings.load(**{**GIVEN, "api_key": f"{KEY}\n{WORD}"}))
    fails(
        ConfigError, lambda: Settings.load(**{**GIVEN, "base_url": f"https://{quote(USER)}:{quote(WORD)}@example.com"})
    )
    fails(ConfigError, lambda: Settings.load(**{**GIVEN, "base_url": f"https://example.com/?key={quote(KEY)}"}))
    for name in ("400", "403", "500", "429, Retry-After absent", "400 text", "html", "json of another shape: object"):
        with EchoingStandIn(1, login_faults=[FAULTS[name]]) as other:
            fails(QuivoError, make_impatient(Client.from_env(**{**login, "base_url": other.base_url})).ping)
    text = "".join(map(str, told)) + caplog.text + "".join(capfd.readouterr())
    assert "client.py" in text  # there were tracebacks
    assert find_leaks(text.encode()) == set()


@pytest.mark.long
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(all_faults_by_name(seconds=0.02), id="as usual"),
        pytest.param(FAULTS, id="repeating"),
        pytest.param(
            {
                "header": replace(
                    ServerFault.forbidden(times=None),
                    reply=FORBIDDEN.with_header("Set-Cookie", ECHO).with_header("X-Amzn-Remapped-Authorization", ECHO),
                )
            },
            id="repeating in headers that are known for it",
        ),
        pytest.param(
            {"header": replace(ServerFault.forbidden(times=None), reply=FORBIDDEN.with_header("X-Echo", ECHO))},
            id="repeating in a header",
        ),
    ],
)
def test_no_secret_is_in_an_archive(faults: dict[str, ServerFault], tmp_path: Path) -> None:
    hit = {100001 + 4 * n: [fault] for n, fault in enumerate(faults.values())}
    with EchoingStandIn(5 * len(faults), faults=hit) as api, Archive(tmp_path / "a") as archive:
        quick = Client.from_env(**GIVEN, base_url=api.base_url, rate=2000.0, timeout=0.5, tries=2, backoff=0.001)
        for _ in range(5):  # orders that refuse every token end a run, if nothing is let in meanwhile
            with make_impatient(quick) as client, suppress(LoginError):
                refetch(api.order_ids, client, archive)
                break
        else:
            pytest.fail("no run came to its end")
        assert (tmp_path / "a-wal").stat().st_size > 0
        assert {name: find_leaks(data) for name, data in read_files(tmp_path).items() if find_leaks(data)} == {}
    assert {name: find_leaks(data) for name, data in read_files(tmp_path).items() if find_leaks(data)} == {}
    kept = independent_archive.stored_responses(tmp_path / "a")
    assert any(not response.good for response in kept)
    assert {r.order_id: find_leaks(r.body) for r in kept if find_leaks(r.body)} == {}


SAID_PIECES = {
    "beginning": f"key {KEY[:8]}… is not valid",
    "as in a URL": f"password={quote_plus(WORD)} is wrong",
    "as in JSON": f"not read: {json.dumps(WORD)}",
    "base64": f"Basic {base64.b64encode(f'{USER}:{WORD}'.encode()).decode()} is wrong",
}


@pytest.mark.parametrize("said", SAID_PIECES.values(), ids=SAID_PIECES)
def test_no_piece_of_a_secret_is_repeated(said: str) -> None:
    refusal = ServerFault(reply=json_message(403, said), times=None)
    with (
        EchoingStandIn(1, faults={100001: [refusal]}) as api,
        Client.from_env(**GIVEN, base_url=api.base_url, rate=2000.0) as client,
    ):
        assert find_leaks(client.refetch(100001).message.encode()) == set()


@pytest.mark.long
def test_what_is_written_is_for_its_owner_alone(
    api: StandIn, command: Callable[..., tuple[int, bytes]], tmp_path: Path
) -> None:
    os.umask(before := os.umask(0))
    os.umask(0)
    try:
        command("refetch", *map(str, api.order_ids[1:4]))
        command("build", "orders.sqlite", "--out", "tables")
        with Archive(tmp_path / "orders.sqlite") as archive:
            archive.begin([1])
            modes = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    finally:
        os.umask(before)
    assert {path.name: oct(mode) for path, mode in modes.items() if path.is_file() and mode & 0o077} == {}
    own = [path for path in modes if path.is_dir() and path.name == "quivo_frames"]
    assert {path.name: oct(modes[path]) for path in own if modes[path] & 0o077} == {}
    names = {path.name for path in modes}
    assert names >= {"orders.sqlite", "orders.sqlite-wal", "orders.sqlite.lock", "orders.parquet", "manifest.json"}


@pytest.mark.parametrize("host", ["api.quivo.co", "10.0.0.7", "127.0.0.1.example.com", "localhost.example.com"])
def test_nothing_is_sent_unencrypted_to_another_machine(host: str, command: Callable[..., tuple[int, bytes]]) -> None:
    with pytest.raises(ConfigError, match="unencrypted"):
        Settings.load(**GIVEN, base_url=f"http://{host}")


def test_the_command_line_sends_nothing_unencrypted(command: Callable[..., tuple[int, bytes]]) -> None:
    status, told = command("find", QUIVO_BASE_URL="http://api.quivo.co")
    assert (status, b"unencrypted" in told, find_leaks(told)) == (2, True, set())
