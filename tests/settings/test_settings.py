from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import keyring
import keyring.backend
import keyring.backends.fail
import pytest
from pydantic import ValidationError

from quivo_frames.errors import ConfigError
from quivo_frames.settings.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

GIVEN = {"api_key": "canary-key", "username": "canary-user", "password": "canary-word"}


class FakeKeyring(keyring.backend.KeyringBackend):
    priority = 1

    def __init__(self, **stored: str) -> None:
        self.stored = stored

    def get_password(self, service: str, username: str) -> str | None:
        return self.stored.get(username) if service == "quivo_frames" else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("API_KEY", "USERNAME", "PASSWORD", "BASE_URL", "TOKEN_PREFIX"):
        monkeypatch.delenv(f"QUIVO_{name}", raising=False)
    monkeypatch.setattr(keyring, "get_password", keyring.backends.fail.Keyring().get_password)


def secret_values(settings: Settings) -> tuple[str, ...]:
    return tuple(getattr(settings, name).get_secret_value() for name in GIVEN)


def test_argument_beats_environment_beats_file_beats_keyring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stored = FakeKeyring(api_key="ring", username="ring", password="ring")
    monkeypatch.setattr(keyring, "get_password", stored.get_password)
    assert secret_values(Settings.load()) == ("ring", "ring", "ring")
    (tmp_path / ".env").write_text("\ufeffQUIVO_API_KEY=file\nQUIVO_USERNAME=file\nOTHER=1\n", encoding="utf-8")
    assert secret_values(Settings.load()) == ("file", "file", "ring")
    monkeypatch.setenv("QUIVO_API_KEY", "environment")
    assert secret_values(Settings.load()) == ("environment", "file", "ring")
    assert secret_values(Settings.load(api_key="argument")) == ("argument", "file", "ring")


def test_exactly_the_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUIVO_USERNAME", "canary-user")
    monkeypatch.setenv("QUIVO_PASSWORD", "")
    with pytest.raises(ConfigError, match=r"^Missing: QUIVO_API_KEY, QUIVO_PASSWORD\. .*\.env.*keyring") as caught:
        Settings.load()
    assert "canary" not in str(caught.value)


def test_the_keyring_is_not_imported_when_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)  # an import of it would fail
    assert secret_values(Settings.load(**GIVEN)) == tuple(GIVEN.values())


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(**GIVEN)
    assert "canary" not in repr(settings) + str(settings) + f"{settings.model_dump()}" + settings.model_dump_json()
    with pytest.raises(ConfigError) as caught:
        Settings.load(**{**GIVEN, "api_key": "canary\nkey"})
    assert "canary" not in str(caught.value)
    with pytest.raises(ConfigError, match="wrong type: password") as caught:
        Settings.load(**{**GIVEN, "password": ["canary"]})  # type: ignore[arg-type]
    assert "canary" not in str(caught.value)
    with pytest.raises(ValidationError) as invalid:
        Settings(**{**GIVEN, "password": ["canary"]})
    assert "canary" not in str(invalid.value)


@pytest.mark.parametrize(
    "url",
    ["http://api.quivo.co", "http://127.0.0.1.example.com", "ftp://api.quivo.co", "api.quivo.co", "https://", "", "https://[",
     "https://canary:word@api.quivo.co", "https://api.quivo.co/?key=canary", "https://api.quivo.co:port"],
)  # fmt: skip
def test_an_unsafe_base_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="QUIVO_BASE_URL") as caught:
        Settings.load(**GIVEN, base_url=url)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:1", "https://example.com"]
)
def test_plain_http_is_allowed_for_this_machine(host: str) -> None:
    assert Settings.load(**GIVEN, base_url=host + "/").base_url == host


def test_plain_http_elsewhere_must_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="QUIVO_ALLOW_HTTP=1"):
        Settings.load(**GIVEN, base_url="http://proxy.internal")
    assert Settings.load(**GIVEN, base_url="http://proxy.internal", allow_http=True).allow_http
    monkeypatch.setenv("QUIVO_ALLOW_HTTP", "1")
    assert Settings.load(**GIVEN, base_url="http://proxy.internal").base_url == "http://proxy.internal"
    monkeypatch.setenv("QUIVO_ALLOW_HTTP", "canary")
    with pytest.raises(ConfigError, match="wrong type: allow_http") as caught:
        Settings.load(**GIVEN)
    assert "canary" not in str(caught.value)


def test_an_unreadable_env_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"QUIVO_API_KEY=\xff\xfe")
    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        Settings.load()


def test_the_keyring_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"^Missing: .* `pip install 'quivo-frames\[keyring\]'`"):
        Settings.load()
