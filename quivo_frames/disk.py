"""Noun: files and folders that appear as a whole or not at all. Floor 1.

What is written stands beside its place until it is complete, readable by its owner alone, and is moved over what it
replaces.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from quivo_frames.errors import ConfigError

OWNER = 0o600
"""Readable and writable by the owner alone."""


def reason(error: Exception) -> str:
    """Why the disk refused, in plain words."""
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
        return "the disk is full"
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


@contextmanager
def new_file(path: Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A file to be written, which takes its place when the block ends well; if not, what was there is untouched.

    Raises:
        ConfigError: there is a file or a folder that is not ours to replace.
    """
    if path.is_dir() or (path.exists() and not is_ours(path)):
        raise ConfigError(f"{path} is there already, and was not written by quivo_frames. Give another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{token_hex(4)}.{path.name}")
    try:
        yield beside
        beside.chmod(OWNER)
        _sync(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A folder to be filled, which takes its place when the block ends well; if not, what was there is untouched.

    Raises:
        ConfigError: there is a file, or a folder with something in it that is not ours to replace.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not is_ours(path)):
        raise ConfigError(f"{path} is there already, and was not written by quivo_frames. Give an empty or new folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside, before = (path.with_name(f".{token_hex(4)}.{path.name}") for _ in range(2))
    try:
        beside.mkdir(mode=0o700)
        yield beside
        for file in filter(Path.is_file, beside.rglob("*")):
            file.chmod(OWNER)
            _sync(file)
        if path.exists():
            path.rename(before)
        beside.rename(path)
    finally:
        if before.exists() and not path.exists():
            before.rename(path)
        for left in (beside, before):
            shutil.rmtree(left, ignore_errors=True)


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
