"""How a file or a folder of this machine is replaced: as a whole or not at all, and for its owner alone.

New content is written beside its place, synced to the disk, and renamed over what it replaces, so that a crash leaves
the earlier state. Only what the same command wrote earlier is replaced, never an archive, a table, a device or somebody
else's file. A lock lets one process at a time write to a path; the next one removes what a killed process left beside
it, and puts back a folder that it had moved away.

    .new.NAME         what is being written
    .temporary.NAME   files that a library needs while it writes
    .before.NAME      the folder that is being replaced
    .lock.NAME        held by the process that writes
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from filelock import FileLock, Timeout

from quivo_frames.errors import ConfigError, ExportError, QuivoError, is_disk_full
from quivo_frames.storage.path_names import check_path

OWNER_ONLY = 0o600
"""Mode of a file that its owner alone can read and write."""
OWNER_ONLY_FOLDER = 0o700
_NEW, _BEFORE, _TEMPORARY, _LOCK = ".new.", ".before.", ".temporary.", ".lock."
LOCK_SECONDS = 1.0
"""How long to wait for another process that writes to the same path; a small file is written in less."""
EXPORT_MARKER, RAW_EXPORT_INDEX, DELTA_LOG = "export.json", "segments.json", "_delta_log"
"""What marks a folder as an export, a raw export, or a Delta table."""
MARKED_LEVELS = 3
"""How deep the files of an export lie below its marker: OUT/<table>/month=2026-06/<table>.parquet."""
_SYSTEM_ERROR = re.compile(r"([^:\n]+) \(os error \d+\)")
"""How libraries in Rust pass on an error of the system."""
_OUR_MARKER = re.compile(rb'\s*{\s*"(?:export|kind)":\s*"quivo_frames ')
_KNOWN_ENDINGS = frozenset({
    ".arrow", ".avro", ".csv", ".db", ".ddb", ".docx", ".duckdb", ".feather", ".gz", ".htm", ".html", ".ipynb", ".json",
    ".jsonl", ".log", ".md", ".ndjson", ".ods", ".orc", ".parquet", ".pdf", ".png", ".pptx", ".py", ".sqlite",
    ".sqlite3", ".svg", ".toml", ".tsv", ".txt", ".xls", ".xlsm", ".xlsx", ".xml", ".yaml", ".yml", ".zip", ".zst",
})  # fmt: skip
"""Endings that say what a file is. Any other ending is part of a name, such as .06 of orders-2026.06."""


class OutputKind(NamedTuple):
    """A kind of file, or of folder, that is written: what may be replaced by it, and how it is named.

    `noun` is what messages call it. `is_ours` says whether a file (a folder) that is not empty is an earlier one of
    this kind. A name may end in one of `endings`, in none, or in one that says nothing.
    """

    noun: str
    is_ours: Callable[[Path], bool]
    endings: tuple[str, ...] = ()
    is_folder: bool = False


def is_disk_error(error: BaseException) -> bool:
    """Whether the disk refused, as the system or a library for it says."""
    return isinstance(error, OSError) or is_disk_full(error) or _SYSTEM_ERROR.search(str(error)) is not None


def explain_disk_error(error: Exception) -> str:
    """Why the disk refused, in plain words."""
    if is_disk_full(error):
        return "the disk is full"
    if found := _SYSTEM_ERROR.search(str(error)):
        return found[1].strip()
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Raise what the disk, or a library for it, refuses in the block as a sentence.

    Raises:
        ExportError: the disk is full, or refuses.
    """
    try:
        yield
    except Exception as error:
        if not is_disk_error(error):
            raise
        raise ExportError(
            f"{path} cannot be written: {explain_disk_error(error)}. What was there before is untouched. Make room or "
            "give another place, and do the same again."
        ) from error


@contextmanager
def new_file(path: Path, kind: OutputKind, *, lock_seconds: float = LOCK_SECONDS) -> Iterator[Path]:
    """An empty file to write to, which replaces `path` if the block succeeds; else `path` stays as it was.

    A link stays; the file it points to is replaced.

    Raises:
        ConfigError: as for `refuse_output`.
        ExportError: another process is writing to it.
        OSError: the disk refuses.
    """
    path = refuse_output(path, kind)
    with exclusive_workspace(path, lock_seconds) as workspace, renamed_when_complete(workspace.new, path):
        workspace.new.touch(mode=OWNER_ONLY)
        yield workspace.new


@contextmanager
def temporary_folder_of(new: Path) -> Iterator[Path]:
    """A folder for the temporary files of a library that writes to `new`, a path of `new_file`; removed afterwards.

    If this process is killed, the next one that writes to the same path removes it.
    """
    folder = new.with_name(new.name.replace(_NEW, _TEMPORARY, 1))
    folder.mkdir(mode=OWNER_ONLY_FOLDER)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_folder(path: Path, kind: OutputKind, *, lock_seconds: float = LOCK_SECONDS) -> Iterator[Path]:
    """A folder to fill, which replaces `path` if the block succeeds; else `path` stays as it was.

    A link stays; the folder it points to is replaced.

    Raises:
        ConfigError: as for `refuse_output`.
        ExportError: another process is writing to it.
        OSError: the disk refuses.
    """
    path = refuse_output(path, kind)
    with exclusive_workspace(path, lock_seconds) as workspace:
        new = workspace.new
        new.mkdir(mode=OWNER_ONLY_FOLDER)
        yield new
        make_owner_only(new)
        for file in filter(Path.is_file, new.rglob("*")):
            sync_file(file)
        if path.exists():
            path.rename(workspace.before)
        new.rename(path)


def write_file_atomically(path: Path, data: bytes, kind: OutputKind, *, append: bool = False) -> None:
    """Replace the content of a file, or add to it with `append`; a crash leaves the earlier content.

    Raises:
        ConfigError: as for `refuse_output`.
        ExportError: another process is writing to it, or the disk refuses.
    """
    with explain_write_errors(path), new_file(path, kind) as new:
        earlier = path.read_bytes() if append and path.exists() else b""
        new.write_bytes(earlier + data)


def refuse_output_file(path: Path, kind: OutputKind) -> None:
    """Find out, before any work is done, that no file of a kind can be saved at a path.

    Raises:
        ConfigError: as for `refuse_output`, or the folder of the file does not exist.
    """
    target = refuse_output(path, kind)
    if not target.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}. Make it, or give another.")


def refuse_output(path: Path, kind: OutputKind) -> Path:
    """The one rule about what may be replaced: what the same command wrote, an empty file or folder.

    Returns:
        The path, or the one that it leads to, if it is a link.

    Raises:
        ConfigError: `path` is something else, as for `find_target`, or its name says that it is something else.
    """
    target = find_target(path, to_folder=kind.is_folder)
    ending = path.suffix.lower()
    if ending in _KNOWN_ENDINGS and ending not in kind.endings:
        fitting = f"ends in {' or '.join(kind.endings)}" if kind.endings else f"does not end in {ending}"
        raise ConfigError(f"{path}: the name of a {kind.noun} {fitting}. Give another name.")
    if target.exists() and not _may_be_replaced(target, kind):
        remedy = "Give an empty or new folder." if kind.is_folder else "Give another name."
        raise ConfigError(
            f"{path} is there already, and is no earlier {kind.noun} of quivo_frames. Nothing was overwritten. {remedy}"
        )
    return target


def _may_be_replaced(target: Path, kind: OutputKind) -> bool:
    try:
        is_empty = not any(target.iterdir()) if target.is_dir() else not target.stat().st_size
        return is_empty or kind.is_ours(target)
    except OSError:  # what cannot be read is nobody's to replace
        return False


def find_target(path: Path, *, to_folder: bool) -> Path:
    """The path to write to: `path`, or what it leads to if it is a link. It may not exist yet.

    Raises:
        ConfigError: it is a device or a pipe, a file instead of a folder or the reverse, below a file, or in a folder
            that an export replaces as a whole; or there can be no such path.
    """
    try:
        target = check_path(path).resolve()
        is_there, is_file, is_folder = target.exists(), target.is_file(), target.is_dir()
        above = next(folder for folder in target.parents if folder.exists())
        export = next(filter(_is_export, target.parents[:MARKED_LEVELS]), None)
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, links in a circle, a null byte
        raise ConfigError(f"{path} cannot be written: {explain_disk_error(error)}. Give another name.") from error
    if not above.is_dir():
        raise ConfigError(f"{path} cannot be written: {above} is a file, not a folder. Give another name.")
    if is_there and not (is_file or is_folder):
        raise ConfigError(f"{path} is a device or a pipe, not a file. Give another name.")
    if is_file and to_folder:
        raise ConfigError(f"{path} is a file. Give the name of a folder.")
    if is_folder and not to_folder:
        raise ConfigError(f"{path} is a folder. Give the name of a file.")
    if export:
        raise ConfigError(f"{path} is in {export}, which holds an export and nothing else. Give another folder.")
    return target


def _is_export(folder: Path) -> bool:
    """Whether a folder was exported, so that the next export or its erasure removes other files in it."""
    if (folder / DELTA_LOG).is_dir():
        return True
    for marker in (folder / name for name in (EXPORT_MARKER, RAW_EXPORT_INDEX)):
        if marker.is_file():
            with marker.open("rb") as stream:
                if _OUR_MARKER.match(stream.read(200)):
                    return True
    return False


@contextmanager
def renamed_when_complete(new: Path, path: Path) -> Iterator[None]:
    """Sync the file that the block writes to `new`, and rename it to `path`; if anything fails, `new` is removed."""
    try:
        yield
        sync_file(new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


class Workspace(NamedTuple):
    """The hidden paths beside a path that is written to."""

    new: Path
    before: Path
    temporary: Path
    lock: Path

    @classmethod
    def of(cls, path: Path) -> Self:
        """The workspace of a path."""
        return cls(*(path.with_name(f"{prefix}{path.name}") for prefix in (_NEW, _BEFORE, _TEMPORARY, _LOCK)))


@contextmanager
def exclusive_workspace(path: Path, lock_seconds: float = LOCK_SECONDS) -> Iterator[Workspace]:
    """Where the new content is written, and where the old is moved, under a lock: cleared before and after.

    Raises:
        ExportError: another process is writing to the path.
    """
    workspace = Workspace.of(path)
    create_private_folder(path.parent)
    busy = ExportError(f"Another process is writing to {path}. Wait until it has ended.")
    with hold_lock(workspace.lock, busy, lock_seconds):
        _clear_workspace(path, workspace)
        try:
            yield workspace
        finally:
            _clear_workspace(path, workspace)


def _clear_workspace(path: Path, workspace: Workspace) -> None:
    """Put back the folder that was moved away, unless it was replaced; remove what was not completed."""
    if workspace.before.exists() and not path.exists():
        workspace.before.rename(path)
    for leftover in (workspace.new, workspace.before, workspace.temporary):
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


def create_private_folder(folder: Path) -> None:
    """Create a folder, and those above it that do not exist, for their owner alone; others stay as they are.

    Raises:
        OSError: the disk refuses, or there is a file.
    """
    folder = folder.resolve()
    for missing in reversed([above for above in (folder, *folder.parents) if not above.exists()]):
        missing.mkdir(mode=OWNER_ONLY_FOLDER, exist_ok=True)
    folder.mkdir(exist_ok=True)  # fails where there is a file


@contextmanager
def owner_only_folders(folders: Sequence[Path]) -> Iterator[None]:
    """Create folders that a library writes to in the block, so that nobody else can read what it writes.

    Raises:
        OSError: the disk refuses.
    """
    for folder in folders:
        create_private_folder(folder)
        with suppress(PermissionError):
            folder.chmod(OWNER_ONLY_FOLDER)
    try:
        yield
    finally:
        for folder in folders:
            make_owner_only(folder)


def make_owner_only(folder: Path) -> None:
    """Make a folder, and all that is in it, its owner's alone: some libraries write files that everybody can read.

    Files that belong to another user of this machine, who wrote to the same folder, stay as they are.
    """
    for path in (folder, *folder.rglob("*")):
        with suppress(PermissionError, FileNotFoundError):
            if not path.is_symlink():
                path.chmod(OWNER_ONLY_FOLDER if path.is_dir() else OWNER_ONLY)


def sync_file(file: Path) -> None:
    """Make sure that all of a file is on the disk, and that its owner alone can read it."""
    file.chmod(OWNER_ONLY)
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make sure that the entries of a folder are on the disk: else a new file may be gone after a power failure."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
