"""What killed processes left: beside a path that they were to write, and in the folder for temporary files.

A process that writes holds a lock, which the system releases when the process dies: what is there without one is
nobody's any more, and may hold orders.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from quivo_frames.errors import ConfigError
from quivo_frames.storage.atomic import (
    LOCK_SECONDS,
    OWNER_ONLY_FOLDER,
    Workspace,
    acquire_lock,
    exclusive_workspace,
)

_TEMPORARY_PREFIX = "quivo-frames-"
_RANDOM_PART = re.compile(r"[a-z0-9_]{8}")
"""What earlier versions added to the names of temporary folders, which nobody removed after a kill."""
_CONTENT_OF_EARLIER_VERSIONS = ({".building"}, {"rows.parquet"})
_ABANDONED_SECONDS = 24 * 3600


def find_leftovers(path: Path) -> list[Path]:
    """What a killed process left beside a path that it was to write; nothing while a process is writing there."""
    path = _real_path(path)
    found = _existing_leftovers(path)
    return [] if found and is_locked(Workspace.of(path).lock) else found


def remove_leftovers(path: Path, *, lock_seconds: float = LOCK_SECONDS) -> list[Path]:
    """Remove what a killed process left beside a path, put back a folder that it moved away, and return what there was.

    Raises:
        ExportError: another process is writing there.
        OSError: the disk refuses.
    """
    path = _real_path(path)
    found = _existing_leftovers(path)
    if found:
        with exclusive_workspace(path, lock_seconds):  # which clears it
            for folder in _folders_of_earlier_versions(path):
                shutil.rmtree(folder, ignore_errors=True)
    return found


def _existing_leftovers(path: Path) -> list[Path]:
    workspace = Workspace.of(path)
    known = (workspace.new, workspace.before, workspace.temporary)
    return [*filter(os.path.lexists, known), *_folders_of_earlier_versions(path)]


def _folders_of_earlier_versions(path: Path) -> list[Path]:
    start = f"{Workspace.of(path).new.name}."
    entries = path.parent.iterdir() if path.parent.is_dir() else ()
    return [
        entry
        for entry in entries
        if entry.name.startswith(start) and _RANDOM_PART.fullmatch(entry.name.removeprefix(start)) and entry.is_dir()
    ]


def _real_path(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve fails at links in a circle, which may be there by now


def is_written_to(path: Path) -> bool:
    """Whether a process is writing to a path."""
    return is_locked(Workspace.of(_real_path(path)).lock)


def is_locked(lock: Path) -> bool:
    """Whether a process holds a lock, or nobody can tell."""
    if not lock.exists():
        return False
    try:
        acquire_lock(lock, ConfigError()).release()
    except (ConfigError, OSError):
        return True
    return False


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for temporary files, this user's alone; if this process is killed, the next one removes it.

    Raises:
        OSError: the disk refuses.
    """
    remove_temporary_leftovers()
    folder = Path(tempfile.gettempdir(), f"{_TEMPORARY_PREFIX}{token_hex(8)}")
    lock_file = _lock_of(folder)
    lock = acquire_lock(lock_file)  # before there is a folder, so that nobody takes it for a leftover
    try:
        folder.mkdir(mode=OWNER_ONLY_FOLDER)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock_file.unlink(missing_ok=True)
        lock.release()


def remove_temporary_leftovers() -> None:
    """Remove the temporary folders of this user whose processes are dead."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY_PREFIX}*"):
        if _is_own_folder(folder) and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _is_own_folder(folder: Path) -> bool:
    try:
        is_own = os.name != "posix" or folder.lstat().st_uid == os.geteuid()
        return is_own and folder.is_dir() and not folder.is_symlink()
    except OSError:  # removed meanwhile
        return False


def _is_abandoned(folder: Path) -> bool:
    """Whether the process that made a folder is dead; folders of earlier versions, without a lock, are after a day."""
    if _lock_of(folder).exists():
        return not is_locked(_lock_of(folder))
    if not _RANDOM_PART.fullmatch(folder.name.removeprefix(_TEMPORARY_PREFIX)):
        return False
    try:
        content, age = {entry.name for entry in folder.iterdir()}, time.time() - folder.stat().st_mtime
    except OSError:
        return False
    return content in _CONTENT_OF_EARLIER_VERSIONS and age > _ABANDONED_SECONDS
