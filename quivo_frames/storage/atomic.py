"""Noun: files and folders that appear as a whole or not at all. Floor 1.

What is written stands beside its place until it is complete, readable by its owner alone, and is moved over what it
replaces. One writes to a place at a time. What a killed process left beside it, the next one clears away; what it had
just moved out of its place, the next one puts back.

    .new.NAME      what is being written
    .before.NAME   a folder that is being replaced
    .lock.NAME     held by who writes
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from quivo_frames.errors import ConfigError, ExportError

OWNER = 0o600
"""Readable and writable by the owner alone."""
PATIENCE = 1.0
"""Seconds to wait for another that writes to the same place: a small file takes it no longer."""

FULL = "No space left"
"""What every library says somewhere of a full disk."""


def reason(error: Exception) -> str:
    """Why the disk refused, in plain words."""
    if getattr(error, "errno", None) == errno.ENOSPC or FULL in str(error):
        return "the disk is full"
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


@contextmanager
def new_file(path: Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A file to be written, which takes its place when the block ends well; if not, what was there is untouched.

    A link stays one: what it leads to is replaced.

    Raises:
        ConfigError: there is a file or a folder that is not ours to replace.
        ExportError: another process writes to it.
    """
    path = path.resolve()
    if path.is_dir() or (path.exists() and not is_ours(path)):
        raise ConfigError(f"{path} is there already, and is no earlier export of this form. Give another name.")
    with _beside(path) as (new, _):
        yield new
        settle(new)
        new.replace(path)


@contextmanager
def new_folder(path: Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A folder to be filled, which takes its place when the block ends well; if not, what was there is untouched.

    A link stays one: what it leads to is replaced.

    Raises:
        ConfigError: there is a file, or a folder with something in it that is not ours to replace.
        ExportError: another process writes to it.
    """
    path = path.resolve()
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not is_ours(path)):
        raise ConfigError(
            f"{path} is there already, and is no earlier export of this form. Give an empty or new folder."
        )
    with _beside(path) as (new, before):
        new.mkdir(mode=0o700)
        yield new
        for file in filter(Path.is_file, new.rglob("*")):
            settle(file)
        if path.exists():
            path.rename(before)
        try:
            new.rename(path)
        except BaseException:
            if before.exists():
                before.rename(path)
            raise


@contextmanager
def _beside(path: Path) -> Iterator[tuple[Path, Path]]:
    """Where the new stands until it takes its place, and where that which was there goes: cleared before and after."""
    new, before, locked = (path.with_name(f".{what}.{path.name}") for what in ("new", "before", "lock"))
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locked, mode=OWNER)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout as error:
        raise ExportError(f"Another process is writing to {path}. Wait until it has ended.") from error
    try:
        if before.exists() and not path.exists():
            before.rename(path)
        _clear(new, before)
        yield new, before
    finally:
        _clear(new, before)
        locked.unlink(missing_ok=True)
        lock.release()


def _clear(*left: Path) -> None:
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            path.unlink(missing_ok=True)


def settle(file: Path) -> None:
    """Gives a file to its owner alone, and sees to it that all of it is on the disk."""
    file.chmod(OWNER)
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
