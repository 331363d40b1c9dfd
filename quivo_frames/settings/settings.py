"""The credentials and the address of the API, and the key of pseudonyms: from the environment, .env or the keyring.

And a limit, from the environment alone.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError, ValidationInfo, field_validator, model_validator

from quivo_frames.errors import ConfigError
from quivo_frames.settings.sources import (
    ADDRESSES,
    CREDENTIALS,
    KEYRING_SERVICE,
    SourcedSettings,
    explain_unreadable_file,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

S = TypeVar("S", bound=SourcedSettings)

KEYRING_CURE = f"`keyring set {KEYRING_SERVICE} NAME` after `pip install 'quivo-frames[keyring]'`"
MIN_KEY_LENGTH = 32
"""Characters that a key of pseudonyms must have: a shorter one could be guessed, and the pseudonyms traced back."""
STAND_IN = "the stand-in API of this machine"
"""The service at any address of this machine: the port of the stand-in API is another at each start."""


class Settings(SourcedSettings):
    """The credentials and the address of the API.

    Each value comes from the first place that has it: argument, environment (QUIVO_API_KEY, QUIVO_USERNAME,
    QUIVO_PASSWORD, QUIVO_ENV, QUIVO_BASE_URL, QUIVO_TOKEN_PREFIX, QUIVO_ALLOW_HTTP), the file .env in the working
    directory, and, for the three credentials, the keyring (service "quivo_frames", names api_key, username, password).

    `env` is "production" or "sandbox", in place of `base_url`. `token_prefix` goes before the token in the
    Authorization header: empty as documented, or for example "Bearer". `allow_http` permits sending the credentials
    unencrypted to another machine: only for a network of your own.

    An address from the file .env gets no credentials from elsewhere, nor the reverse: anyone can put such a file into a
    folder. `trust_env_file` allows it.

    Raises:
        ConfigError: a credential is missing, or a value cannot be used. No message shows a secret.
    """

    keyring_names: ClassVar = CREDENTIALS

    api_key: SecretStr = SecretStr("")
    """The API key, from the dashboard of Quivo."""
    username: SecretStr = SecretStr("")
    """The name to log in with."""
    password: SecretStr = SecretStr("")
    """The password to log in with."""
    allow_http: bool = False  # before base_url, whose validation needs it
    """Whether the credentials may go unencrypted to another machine: only for a network of your own."""
    env: str = ""
    """`production` or `sandbox`, in place of an address."""
    base_url: str = ADDRESSES["production"]
    """The address of the API, if it is neither."""
    token_prefix: str = ""
    """What goes before the token in the Authorization header: nothing, as documented, or for example `Bearer`."""

    @classmethod
    def load(
        cls,
        *,
        api_key: str | None = None,
        username: str | None = None,
        password: str | None = None,
        base_url: str | None = None,
        token_prefix: str | None = None,
        allow_http: bool | None = None,
        env: str | None = None,
        trust_env_file: bool | None = None,
    ) -> Self:
        """The settings, with arguments first; a value that is None comes from the other places.

        Raises:
            ConfigError: as for the class; also if the file .env cannot be read, or a line of it.
        """
        given = {
            "api_key": api_key,
            "username": username,
            "password": password,
            "base_url": base_url,
            "token_prefix": token_prefix,
            "allow_http": allow_http,
            "env": env,
            "trust_env_file": trust_env_file,
        }
        arguments: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return _load_settings(cls, arguments)

    @field_validator("*", mode="after")
    @classmethod
    def _values_are_utf8(cls, value: Any, info: ValidationInfo) -> Any:
        return _require_utf8(value, info)

    @field_validator(*CREDENTIALS, mode="after")
    @classmethod
    def _credential_is_whole(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        text = value.get_secret_value()
        if text != text.strip() or any(sign in text for sign in "\r\n"):
            raise ConfigError(
                f"QUIVO_{(info.field_name or '').upper()} has a line break, or a blank at its beginning or end: set it "
                "again without. Nothing was sent."
            )
        return value

    @field_validator("api_key", mode="after")
    @classmethod
    def _api_key_fits_a_header(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value()
        if not (key.isascii() and (key.isprintable() or not key)):
            raise ConfigError("QUIVO_API_KEY has characters that no API key has: copy it again from the dashboard.")
        return value

    @field_validator("token_prefix", mode="after")
    @classmethod
    def _token_prefix_fits_a_header(cls, value: str) -> str:
        prefix = value.strip()
        if not (prefix.isascii() and (prefix.isprintable() or not prefix)):
            raise ConfigError("QUIVO_TOKEN_PREFIX must be a plain word such as Bearer.")
        return prefix

    @field_validator("base_url", mode="after")
    @classmethod
    def _base_url_is_safe(cls, value: str, info: ValidationInfo) -> str:
        try:
            url = urlsplit(value.strip())
            host, _ = url.hostname, url.port
        except ValueError:
            host = None
        if not host or url.scheme not in {"http", "https"}:
            raise ConfigError("QUIVO_BASE_URL must be an address such as https://api.quivo.co.")
        if url.username or url.password or url.query or url.fragment:
            raise ConfigError("QUIVO_BASE_URL must be an address alone, without a user, a query or a fragment.")
        if url.scheme == "http" and not is_loopback(host) and not info.data.get("allow_http"):
            raise ConfigError(
                "QUIVO_BASE_URL would send the credentials unencrypted to another machine: write https://. http:// is "
                "for this machine, and for a network of your own with QUIVO_ALLOW_HTTP=1."
            )
        return url.geturl().rstrip("/")

    @model_validator(mode="after")
    def _credentials_are_complete(self) -> Self:
        missing = [f"QUIVO_{name.upper()}" for name in CREDENTIALS if not getattr(self, name).get_secret_value()]
        if missing:
            raise ConfigError(
                f"Missing: {', '.join(missing)}. Set them in the environment or in a file .env in this folder, or "
                f"store them once with {KEYRING_CURE} (NAME: {', '.join(CREDENTIALS)}), or give them as arguments."
            )
        return self

    @property
    def service(self) -> str:
        """The service at the address, as archives record it: the address, or "stand-in" for any on this machine."""
        url = urlsplit(self.base_url)
        return STAND_IN if is_loopback(url.hostname or "") else f"{url.scheme}://{url.netloc.lower()}{url.path}"


def _require_utf8(value: Any, info: ValidationInfo) -> Any:
    """A setting as it is; an error that shows none of it, if it is text that cannot be sent."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str) and any("\ud800" <= sign <= "\udfff" for sign in text):
        name = f"QUIVO_{(info.field_name or '').upper()}"
        raise ConfigError(f"{name} is not UTF-8 text. Set it again, in a terminal or a file that uses UTF-8.")
    return value


def is_loopback(host: str) -> bool:
    """Whether a host name can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _load_settings(settings: type[S], arguments: Mapping[str, Any]) -> S:
    try:
        return explain_unreadable_file(lambda: settings(**arguments))
    except ValidationError as error:
        names = ", ".join(str(detail["loc"][0]) for detail in error.errors(include_input=False) if detail["loc"])
        raise ConfigError(f"These settings have the wrong type: {names}.") from None


class _PseudonymKeySettings(SourcedSettings):
    keyring_names: ClassVar = ("pseudonym_key",)

    pseudonym_key: SecretStr = SecretStr("")
    """The key that pseudonyms are made with, of at least 32 characters. The same key makes the same pseudonyms."""

    @field_validator("*", mode="after")
    @classmethod
    def _key_is_utf8(cls, value: Any, info: ValidationInfo) -> Any:
        return _require_utf8(value, info)


def read_pseudonym_key() -> bytes:
    """The key of pseudonyms: QUIVO_PSEUDONYM_KEY from the environment or .env, else from the keyring.

    Raises:
        ConfigError: there is none, or it is too short to be safe.
    """
    key = _load_settings(_PseudonymKeySettings, {}).pseudonym_key.get_secret_value().strip()
    if len(key) < MIN_KEY_LENGTH:
        problem = "is too short to be safe" if key else "is missing: pseudonyms are made with it"
        raise ConfigError(
            f"QUIVO_PSEUDONYM_KEY {problem}. Make one with `python -c 'import secrets; print(secrets.token_hex(32))'`, "
            "keep it apart from the tables, and set it in the environment, in a file .env in this folder, or with "
            f"{KEYRING_CURE.replace('NAME', 'pseudonym_key')}. Another key gives other pseudonyms."
        )
    return key.encode()
