"""Which names of files and folders can be used: those that the system and every library understand."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from quivo_frames.errors import ConfigError

_SHOWN_LENGTH = 80
_UNUSABLE = frozenset({errno.ENAMETOOLONG, errno.EILSEQ})


def check_path(given: str | os.PathLike[str]) -> Path:
    """A path as it was given, checked to be one that can be used. Nothing needs to be there.

    Raises:
        ConfigError: it is empty; a name in it is not UTF-8, is too long, or holds a null byte; or the working folder is
            gone.
    """
    if not os.fspath(given):  # which would mean the working folder
        raise ConfigError("The name of a file or folder is empty. Name it; the folder that you are in is called `.`")
    path = Path(given)
    shown = str(path)
    if len(shown) > _SHOWN_LENGTH:
        shown = f"{shown[:_SHOWN_LENGTH]}… ({len(shown):,} characters)"
    try:
        absolute = path.absolute()
    except FileNotFoundError as error:
        raise ConfigError("The folder that you are in does not exist any more. Change to another one.") from error
    try:
        str(absolute).encode()
        absolute.stat()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{shown} cannot be used: a name in this path is not UTF-8. Rename the file or the folder."
        ) from error
    except ValueError as error:  # a null byte
        raise ConfigError(f"{shown} cannot be used: there can be no such name. Give another one.") from error
    except OSError as error:
        if error.errno in _UNUSABLE:
            raise ConfigError(f"{shown} cannot be used: {error.strerror}. Give a shorter name.") from error
    return path


def refuse_unsafe_path(path: Path, pattern: str, library: str) -> None:
    """Refuse a path in which a library gives characters another meaning, or fails at them.

    Raises:
        ConfigError: a part of the path matches the pattern.
    """
    if found := re.search(pattern, path.as_posix()):
        sign = found[0] if found[0].isprintable() else "a control character"
        raise ConfigError(
            f"{library} cannot write to {path}, for {sign} in a path means something else there. Give another name."
        )
