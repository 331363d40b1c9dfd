"""A file .env that somebody put into the working folder gets no credentials, and sends no run to another place."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from click.testing import CliRunner, Result

from quivo_frames.cli import main
from quivo_frames.errors import ConfigError
from quivo_frames.fetch.client import Client
from quivo_frames.settings.settings import Settings
from quivo_frames.standin.server import StandIn

LOGIN = {"API_KEY": "canary-key", "USERNAME": "canary-user", "PASSWORD": "canary-word"}


class Listener:
    """Somebody's server: counts the connections to it, and closes each of them."""

    def __init__(self) -> None:
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection:
                if connection.recv(1) == b"!":
                    return
                self.connections += 1

    def close(self) -> int:
        """How many connections there were in all: the last one is ours."""
        with socket.create_connection(self._server.getsockname()) as last:
            last.sendall(b"!")
            self._thread.join()
        self._server.close()
        return self.connections


@pytest.fixture
def listener() -> Iterator[Listener]:
    yield (listener := Listener())
    assert listener.close() == 0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command with a file .env, with settings in the environment (without QUIVO_) and in the keyring."""
    monkeypatch.chdir(tmp_path)
    for name in ("API_KEY", "USERNAME", "PASSWORD", "BASE_URL", "ENV", "TOKEN_PREFIX", "ALLOW_HTTP"):
        monkeypatch.delenv(f"QUIVO_{name}", raising=False)

    def run(*words: str, file: str = "", ring: dict[str, str] | None = None, **environment: str) -> Result:
        (tmp_path / ".env").write_text(file)
        monkeypatch.setattr(keyring, "get_password", lambda _, name: (ring or {}).get(name))
        env = {f"QUIVO_{name}": value for name, value in environment.items()}
        result = CliRunner().invoke(main, list(words), env=env)
        assert "canary" not in result.output
        return result

    return run


def as_lines(settings: dict[str, str]) -> str:
    return "".join(f"QUIVO_{name}={value}\n" for name, value in settings.items())


def test_an_address_of_the_file_gets_no_credentials_from_elsewhere(
    listener: Listener, run: Callable[..., Result]
) -> None:
    planted = as_lines({"BASE_URL": listener.address})
    for command in (("find",), ("refetch", "100001")):
        done = run(*command, file=planted, **LOGIN)
        assert done.exit_code == 2
        assert "QUIVO_BASE_URL comes from the file .env in this folder" in done.stderr
        assert "QUIVO_API_KEY from the environment" in done.stderr
        assert "--trust-env-file" in done.stderr
    ring = {name.lower(): value for name, value in LOGIN.items()}
    assert "QUIVO_API_KEY from the keyring" in run("find", file=planted, ring=ring).stderr
    with pytest.raises(ConfigError, match="QUIVO_API_KEY from an argument"):
        Client.from_env(api_key="canary-key", username="canary-user", password="canary-word")


def test_one_credential_from_elsewhere_is_enough(listener: Listener, run: Callable[..., Result]) -> None:
    most = {"BASE_URL": listener.address, **LOGIN}
    word = most.pop("PASSWORD")
    done = run("find", file=as_lines(most), PASSWORD=word)
    assert (done.exit_code, "QUIVO_PASSWORD from the environment" in done.stderr) == (2, True)


def test_credentials_of_the_file_go_to_no_address_from_elsewhere(
    listener: Listener, run: Callable[..., Result]
) -> None:
    done = run("find", file=as_lines(LOGIN), BASE_URL=listener.address)
    assert done.exit_code == 2
    assert "QUIVO_BASE_URL comes from the environment, but QUIVO_API_KEY from the file .env" in done.stderr


def test_the_file_cannot_trust_itself(listener: Listener, run: Callable[..., Result]) -> None:
    planted = as_lines({"BASE_URL": listener.address, "TRUST_ENV_FILE": "1"}) + "trust_env_file=1\n"
    assert run("find", file=planted, **LOGIN).exit_code == 2


@pytest.mark.long
def test_a_value_of_the_file_takes_nothing_from_the_environment(
    listener: Listener, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_SECRET", "canary-other")
    run("find", file=as_lines({**LOGIN, "PASSWORD": "${OTHER_SECRET}"}))
    assert Settings.load().password.get_secret_value() == "${OTHER_SECRET}"


def test_what_goes_together_is_sent(run: Callable[..., Result]) -> None:
    with StandIn(orders=3) as api:
        login = {name: getattr(api, name.lower()) for name in LOGIN}
        everything = {**login, "BASE_URL": api.base_url}
        assert run("find", file=as_lines(everything)).exit_code == 0
        assert run("find", **everything).exit_code == 0
        assert run("find", file=as_lines({"BASE_URL": api.base_url}), **login).exit_code == 2
        trusted = run("find", "--trust-env-file", file=as_lines({"BASE_URL": api.base_url}), **login)
        assert (trusted.exit_code, trusted.stdout.split()) == (0, ["100001", "100002", "100003"])
        assert run("find", "--trust-env-file", file=as_lines(login), BASE_URL=api.base_url).exit_code == 0
    for address in ({}, {"BASE_URL": "https://api.quivo.co/"}, {"ENV": "sandbox"}):  # of Quivo, whoever says it
        run("status", file=as_lines(address))
        assert Settings.load(**{name.lower(): value for name, value in LOGIN.items()}).base_url.endswith(".quivo.co")


BROKEN = {
    "a missing quote": ('QUIVO_API_KEY=a\n\nQUIVO_BASE_URL="http://127.0.0.1:9\n', 3),
    "a missing quote, closed lines below": ('QUIVO_PASSWORD="canary\nQUIVO_BASE_URL=http://127.0.0.1:9\nOTHER="', 1),
    "a missing quote, closed by another": ('OTHER=1\nQUIVO_PASSWORD="canary\nQUIVO_USERNAME="canary"\n', 2),
    "a missing quote of something else": ("# canary\n  OTHER='canary\nQUIVO_BASE_URL=http://127.0.0.1:9\n", 2),
    "a colon": ("QUIVO_BASE_URL: http://127.0.0.1:9\n", 1),
    "no value": ("\ufeffQUIVO_API_KEY=canary\r\nexport QUIVO_BASE_URL\r\n", 2),
    "a sentence": ("canary is the password\n", 1),
}


@pytest.mark.parametrize(("file", "line"), BROKEN.values(), ids=BROKEN)
def test_a_line_that_cannot_be_read_ends_the_run(file: str, line: int, run: Callable[..., Result]) -> None:
    done = run("find", file=file, **LOGIN)
    assert done.exit_code == 2
    assert f"Line {line} of the file .env in this folder cannot be read." in done.stderr
    assert "127.0.0.1" not in done.stderr


def test_lines_of_other_programs_are_passed_over(run: Callable[..., Result]) -> None:
    key = "'-----BEGIN KEY-----\nabc=\n-----END KEY-----'"
    file = f"# settings\n\nexport OTHER=1 # ours\nFLAG\nKEY={key}\nquivo_username='canary-user' # hers\n"
    done = run("find", file=file, API_KEY="canary-key")
    assert done.stderr.startswith("quivo-frames: Missing: QUIVO_PASSWORD.")


@pytest.mark.parametrize("name", LOGIN)
@pytest.mark.parametrize("around", ["{} ", " {}", "{}\n", "\n{}", "{}\r\n", "{}\u00a0", "ca{}\nnary", " {} "])
def test_a_credential_with_a_blank_at_an_end_or_a_line_break_is_not_sent(
    name: str, around: str, listener: Listener, run: Callable[..., Result]
) -> None:
    given = {**LOGIN, name: around.format(LOGIN[name]), "BASE_URL": listener.address}
    done = run("find", **given)
    assert done.exit_code == 2
    assert f"QUIVO_{name} has a line break, or a blank at its beginning or end" in done.stderr


def test_a_blank_inside_a_password_is_no_matter(run: Callable[..., Result]) -> None:
    run("status")
    assert Settings.load(api_key="k", username="u", password="two words").password.get_secret_value() == "two words"


def test_the_sandbox_is_chosen_in_each_way(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    run("status")
    given = {name.lower(): value for name, value in LOGIN.items()}
    sandbox = "https://api-sandbox.quivo.co"
    assert Settings.load(**given).base_url == "https://api.quivo.co"
    assert Settings.load(**given, env="sandbox").base_url == sandbox
    Path(".env").write_text("QUIVO_ENV=sandbox\n")
    assert Settings.load(**given).base_url == sandbox
    monkeypatch.setenv("QUIVO_ENV", "production")
    assert Settings.load(**given).base_url == "https://api.quivo.co"
    assert Settings.load(**given, env="sandbox").base_url == sandbox
    assert Settings.load(**given, env="sandbox", base_url=f"{sandbox}/").base_url == sandbox
    assert Settings.load(**given, base_url="http://127.0.0.1:9").base_url == "http://127.0.0.1:9"
    with pytest.raises(ConfigError, match="another address"):
        Settings.load(**given, env="sandbox", base_url="http://127.0.0.1:9")


@pytest.mark.parametrize("command", [("find",), ("refetch", "100001")])
def test_two_addresses_are_refused(command: tuple[str, ...], listener: Listener, run: Callable[..., Result]) -> None:
    both = {**LOGIN, "BASE_URL": listener.address}
    for done in (run(*command, ENV="sandbox", **both), run(*command, "--sandbox", **both)):
        assert done.exit_code == 2
        assert "means the sandbox of Quivo, and QUIVO_BASE_URL (from the environment) is another address" in done.stderr
        assert "127.0.0.1" not in done.stderr
    wrong = run(*command, ENV="canary", **LOGIN)
    assert (wrong.exit_code, "QUIVO_ENV must be production or sandbox" in wrong.stderr) == (2, True)
