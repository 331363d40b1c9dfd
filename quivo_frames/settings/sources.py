"""Where settings come from, and which of these places go together.

Anyone can put a file .env into a folder. So an address from it gets no credentials from elsewhere, nor the reverse.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from dotenv.parser import parse_stream
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from quivo_frames.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic.fields import FieldInfo

T = TypeVar("T")

KEYRING_SERVICE = "quivo_frames"
CREDENTIALS = ("api_key", "username", "password")
ADDRESSES = {"production": "https://api.quivo.co", "sandbox": "https://api-sandbox.quivo.co"}
"""The addresses of Quivo, by the value of QUIVO_ENV."""
_SETTING_LINE = re.compile(r"^\s*(export\s+)?QUIVO_\w+\s*=", re.MULTILINE | re.IGNORECASE)


class Origin(StrEnum):
    """A place that settings come from, in the order in which they are searched."""

    ARGUMENT = "an argument"
    ENVIRONMENT = "the environment"
    FILE = "the file .env in this folder"
    KEYRING = "the keyring"


class SourcedSettings(BaseSettings):
    """Settings of QUIVO_ variables: each value comes from the first place that has it, in the order of `Origin`."""

    model_config = SettingsConfigDict(
        env_prefix="QUIVO_", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )
    keyring_names: ClassVar[tuple[str, ...]] = ()
    """The fields that the keyring may hold."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The places that are searched for a value; the first that has it wins."""
        own = (_EnvFileSource(settings_cls), _KeyringSource(settings_cls), _AddressSource(settings_cls))
        return init_settings, env_settings, *own


class _OwnSource(PydanticBaseSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False


class _EnvFileSource(_OwnSource):
    """The values of the file .env in the working folder."""

    def __call__(self) -> dict[str, Any]:
        found = read_env_file()
        return {name: value for name in self.settings_cls.model_fields if (value := found.get(f"QUIVO_{name.upper()}"))}


class _KeyringSource(_OwnSource):
    """The values that no earlier place had, from the keyring of the system."""

    def __call__(self) -> dict[str, Any]:
        names: tuple[str, ...] = getattr(self.settings_cls, "keyring_names", ())
        missing = [name for name in names if not self.current_state.get(name)]
        return {name: value for name in missing if (value := read_keyring(name))}


class _AddressSource(_OwnSource):
    """The address that `env` stands for. Refuses two addresses, and a file .env that would get credentials."""

    def __call__(self) -> dict[str, Any]:
        if "base_url" not in self.settings_cls.model_fields:
            return {}
        origins: dict[str, Origin] = {}
        for source, origin in _ORIGINS.items():
            origins = dict.fromkeys(self.settings_sources_data[source], origin) | origins
        address = _choose_address(self.current_state, origins)
        is_trusted = self.settings_sources_data["InitSettingsSource"].get("trust_env_file")
        if address not in ADDRESSES.values() and not is_trusted:
            _refuse_mixed_origins(origins)
        return {} if "base_url" in origins else {"base_url": address}


_ORIGINS = {
    "InitSettingsSource": Origin.ARGUMENT,
    "EnvSettingsSource": Origin.ENVIRONMENT,
    "_EnvFileSource": Origin.FILE,
    "_KeyringSource": Origin.KEYRING,
}
"""The origin of what a source gives, by the name of its class."""


def _choose_address(found: Mapping[str, Any], origins: Mapping[str, Origin]) -> str:
    """The address of the settings that were found: `base_url`, or the one that `env` stands for.

    Raises:
        ConfigError: `env` is unknown, or both are given and differ. An argument `base_url` overrules any other `env`.
    """
    env, address = found.get("env"), str(found.get("base_url", "")).strip().rstrip("/")
    if not env or (address and origins["base_url"] is Origin.ARGUMENT is not origins["env"]):
        return address or ADDRESSES["production"]
    if env not in ADDRESSES:
        raise ConfigError(f"QUIVO_ENV must be {' or '.join(ADDRESSES)}; for any other address, set QUIVO_BASE_URL.")
    if address not in ("", ADDRESSES[env]):
        asked = "--sandbox" if origins["env"] is Origin.ARGUMENT else f"QUIVO_ENV (from {origins['env']})"
        raise ConfigError(
            f"{asked} means the {env} of Quivo, and QUIVO_BASE_URL (from {origins['base_url']}) is another address. "
            "Nothing was sent: leave one of them out."
        )
    return ADDRESSES[env]


def _refuse_mixed_origins(origins: Mapping[str, Origin]) -> None:
    address_origin = origins["base_url"]
    for name in CREDENTIALS:
        if name in origins and (origins[name] is Origin.FILE) != (address_origin is Origin.FILE):
            raise ConfigError(
                f"QUIVO_BASE_URL comes from {address_origin}, but QUIVO_{name.upper()} from {origins[name]}. Nothing "
                "was sent: anyone can put a file .env into a folder, to get credentials at an address of their own. "
                "Set address and credentials in one place, or say that you know the file: --trust-env-file (in "
                "Python, trust_env_file=True)."
            )


def find_origins(settings: type[SourcedSettings], arguments: Mapping[str, object]) -> dict[str, Origin]:
    """Where each setting comes from that is set, by the name of its field; whether it can be used is not looked at.

    Raises:
        ConfigError: the file .env cannot be read.
    """
    origins = dict.fromkeys(arguments, Origin.ARGUMENT)
    for origin, source in ((Origin.ENVIRONMENT, EnvSettingsSource), (Origin.FILE, _EnvFileSource)):
        origins = dict.fromkeys(explain_unreadable_file(source(settings)), origin) | origins
    in_keyring = [name for name in settings.keyring_names if name not in origins and read_keyring(name)]
    return origins | dict.fromkeys(in_keyring, Origin.KEYRING)


def read_env_file() -> dict[str, str]:
    """The values of the file .env in the working folder, by their names in capitals; ${NAME} in a value stays as it is.

    Raises:
        ConfigError: a line cannot be read. What it says is not shown: it may be a secret.
        OSError, UnicodeDecodeError: the file cannot be read.
    """
    path, found = Path(".env"), dict[str, str]()
    if path.is_dir() or not path.exists():
        return {}
    with path.open(encoding="utf-8-sig") as file:  # Windows editors put a byte order mark before the first name
        for binding in parse_stream(file):
            name, value, text = (binding.key or "").upper(), binding.value, binding.original.string
            has_no_value = value is None and name.startswith("QUIVO_")
            if binding.error or has_no_value or _SETTING_LINE.search(value or ""):  # a quote that a later line closes
                line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
                raise ConfigError(
                    f"Line {line} of the file .env in this folder cannot be read. Nothing was sent: write NAME=value, "
                    "and close every quote on its own line."
                )
            found[name] = value or ""
    return found


def explain_unreadable_file(read: Callable[[], T]) -> T:
    """What `read` returns; an error of the file .env becomes a sentence without its content.

    Raises:
        ConfigError: the file .env cannot be read.
    """
    try:
        return read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The file .env cannot be read ({type(error).__name__}): save it as UTF-8 text."
        ) from None  # the original error would show part of the file


def has_keyring() -> bool:
    """Whether the library that reads the keyring of the system is installed."""
    try:
        import keyring  # noqa: F401 - late: importing it searches for backends
    except ImportError:
        return False
    return True


def read_keyring(name: str) -> str | None:
    """A value of the keyring of the system; None if it has none, or cannot be read."""
    if not has_keyring():
        return None
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(KEYRING_SERVICE, name)
    except (KeyringError, RuntimeError):  # no backend, or locked: the same as empty
        return None
