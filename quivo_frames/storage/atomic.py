"""How a file or a folder of this machine is replaced: as a whole or not at all, and for its owner alone.

New content is written beside its place, synced to the disk, and renamed over what it replaces, so that a crash leaves
the earlier state. A lock lets one process at a time write to a path; the next one removes what a killed process left
beside it, and puts back a folder that it had moved away.

    .new.NAME      what is being written
    .before.NAME   the folder that is being replaced
    .lock.NAME     held by the process that writes
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from quivo_frames.errors import ConfigError, ExportError, QuivoError, is_disk_full

OWNER_ONLY = 0o600
"""Mode of a file that its owner alone can read and write."""
OWNER_ONLY_FOLDER = 0o700
LOCK_SECONDS = 1.0
"""How long to wait for another process that writes to the same path; a small file is written in less."""


def explain_disk_error(error: Exception) -> str:
    """Why the disk refused, in plain words."""
    if is_disk_full(error):
        return "the disk is full"
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


@contextmanager
def new_file(
    path: Path, is_ours: Callable[[Path], bool] | None = None, *,
    owner_only: bool = True, lock_seconds: float = LOCK_SECONDS,
) -> Iterator[Path]:  # fmt: skip
    """An empty file to write to, which replaces `path` if the block succeeds; else `path` stays as it was.

    `is_ours` says whether an existing file may be replaced, None: any. A link stays; the file it points to is replaced.

    Raises:
        ConfigError: `path` is a folder, a device, or a file that is not ours to replace.
        ExportError: another process is writing to it.
    """
    path = path.resolve()
    _refuse_foreign(path, is_ours, to_folder=False)
    with _exclusive_workspace(path, lock_seconds) as (new, _), renamed_when_complete(new, path, owner_only=owner_only):
        new.touch(mode=OWNER_ONLY if owner_only else 0o666)
        yield new


@contextmanager
def new_folder(path: Path, is_ours: Callable[[Path], bool], *, lock_seconds: float = LOCK_SECONDS) -> Iterator[Path]:
    """A folder to fill, which replaces `path` if the block succeeds; else `path` stays as it was.

    `is_ours` says whether an existing folder may be replaced, if it is not empty. A link stays; the folder it points to
    is replaced.

    Raises:
        ConfigError: `path` is a file, or a folder with content that is not ours to replace.
        ExportError: another process is writing to it.
    """
    path = path.resolve()
    _refuse_foreign(path, is_ours, to_folder=True)
    with _exclusive_workspace(path, lock_seconds) as (new, before):
        new.mkdir(mode=OWNER_ONLY_FOLDER)
        yield new
        for file in filter(Path.is_file, new.rglob("*")):
            sync_file(file)
        if path.exists():
            path.rename(before)
        new.rename(path)


def write_file_atomically(path: Path, data: bytes, *, owner_only: bool = True, append: bool = False) -> None:
    """Replace the content of a file, or add to it with `append`; a crash leaves the earlier content.

    Raises:
        ConfigError, ExportError: as for `new_file`.
        OSError: the disk refuses.
    """
    with new_file(path, owner_only=owner_only) as new:
        earlier = path.read_bytes() if append and path.exists() else b""
        new.write_bytes(earlier + data)


def refuse_unwritable_path(path: Path, example: str) -> None:
    """Find out, before any work is done, that no file can be saved at a path.

    Raises:
        ConfigError: it is a folder, a device, or in a folder that does not exist. The message names a file `example`.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder. Give the name of a file, such as {path / example}.")
    if not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}. Make it, or give another.")
    _refuse_foreign(path.resolve(), None, to_folder=False)


def _refuse_foreign(path: Path, is_ours: Callable[[Path], bool] | None, *, to_folder: bool) -> None:
    """The one rule about what may be replaced."""
    if not path.exists():
        return
    if not (path.is_dir() or path.is_file()):
        raise ConfigError(f"{path} is a device or a pipe, not a file. Give another name.")
    if to_folder:
        may_be_replaced = path.is_dir() and (not any(path.iterdir()) or is_ours is None or is_ours(path))
    else:
        may_be_replaced = path.is_file() and (is_ours is None or is_ours(path))
    if not may_be_replaced:
        remedy = "Give an empty or new folder." if to_folder else "Give another name."
        raise ConfigError(f"{path} is there already, and is no earlier export of this form. {remedy}")


@contextmanager
def renamed_when_complete(new: Path, path: Path, *, owner_only: bool = True) -> Iterator[None]:
    """Sync the file that the block writes to `new`, and rename it to `path`; if anything fails, `new` is removed."""
    try:
        yield
        sync_file(new, owner_only=owner_only)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def _exclusive_workspace(path: Path, lock_seconds: float) -> Iterator[tuple[Path, Path]]:
    """Where the new content is written, and where the old is moved, under a lock: cleared before and after."""
    new, before, lock = (path.with_name(f".{purpose}.{path.name}") for purpose in ("new", "before", "lock"))
    path.parent.mkdir(parents=True, exist_ok=True)
    busy = ExportError(f"Another process is writing to {path}. Wait until it has ended.")
    with hold_lock(lock, busy, lock_seconds):
        _clear_workspace(path, new, before)
        try:
            yield new, before
        finally:
            _clear_workspace(path, new, before)


def _clear_workspace(path: Path, new: Path, before: Path) -> None:
    """Put back the folder that was moved away, unless it was replaced; remove what was not completed."""
    if before.exists() and not path.exists():
        before.rename(path)
    for leftover in (new, before):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        with suppress(OSError):
            leftover.unlink(missing_ok=True)


def acquire_lock(file: Path, busy: QuivoError | None = None, seconds: float = 0.0) -> FileLock:
    """A lock among processes and threads, held until its `release` is called; the lock file is the owner's alone.

    Raises:
        QuivoError: `busy`, if another holds it for longer than `seconds`; with None, wait as long as it takes.
        OSError: the disk refuses.
    """
    lock = FileLock(file, mode=OWNER_ONLY, thread_local=False)
    try:
        lock.acquire(timeout=-1 if busy is None else seconds)
    except Timeout as error:
        raise busy or error from error
    return lock


@contextmanager
def hold_lock(file: Path, busy: QuivoError | None = None, seconds: float = 0.0) -> Iterator[None]:
    """As `acquire_lock`, for a block; then the lock file is removed."""
    lock = acquire_lock(file, busy, seconds)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        lock.release()


def open_private_file(path: Path) -> int:
    """The descriptor of a file to read and write, created for its owner alone if it does not exist."""
    return os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ONLY)


def sync_file(file: Path, *, owner_only: bool = True) -> None:
    """Make sure that all of a file is on the disk; with `owner_only`, also that nobody else can read it."""
    if owner_only:
        file.chmod(OWNER_ONLY)
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make sure that the entries of a folder are on the disk: else a new file may be gone after a power failure."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
