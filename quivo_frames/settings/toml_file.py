"""The one way in which a TOML file that people write is read: messages name the file and the place in it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from quivo_frames.errors import ConfigError

T = TypeVar("T")


def read_toml_file(file: str | os.PathLike[str], kind: type[T], example: str, known: str = "") -> T:
    """The content of a TOML file as `kind`, a Struct.

    `example` says how to write one, `known` what may be in it; both are sentences.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or does not fit.
    """
    try:
        content = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is no TOML: it is not UTF-8 text. {example}") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from error
    return parse_toml(content, str(file), kind, example, known)


def parse_toml(content: str, file: str, kind: type[T], example: str, known: str = "") -> T:
    """The same, of a text that was read from `file`."""
    try:
        return msgspec.convert(msgspec.to_builtins(tomllib.loads(content)), kind)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {error}. {known or example}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is no TOML: {error}. {example}") from error
    except (ValueError, RecursionError) as error:  # as Python says it, in words that help nobody
        excess = "lists in lists too deep" if isinstance(error, RecursionError) else "a number of too many digits"
        raise ConfigError(f"{file} holds {excess}. {example}") from error
