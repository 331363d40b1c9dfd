"""A folder of this machine, or one that several machines share, as a place of named files."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from quivo_frames.storage.atomic import (
    OWNER_ONLY,
    OWNER_ONLY_FOLDER,
    create_private_folder,
    hold_lock,
    renamed_when_complete,
)

CREATE_ATTEMPTS = 100
"""How often to create a file whose folder another process removes at the same moment, because it was empty."""
_UNFINISHED_PREFIX, _LOCK_PREFIX = ".new-", ".lock."


class Entry(NamedTuple):
    """A file of a place: its name in the place, its size in bytes, and when it was written, by the place's clock."""

    name: str
    size: int
    modified: datetime


class Directory:
    """The place at a path; see `storage.place.Place` for what its methods promise."""

    def __init__(self, path: Path) -> None:
        self.path, self.address = path.absolute(), str(path)

    def uri(self, name: str) -> str:
        """The absolute path of a file."""
        return str(self.path / name)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if it does not exist."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def file_digest(self, name: str) -> str | None:
        """The sha256 of a file in hex digits; None if it does not exist."""
        try:
            with (self.path / name).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Create or replace a file; of several that write it at the same time, the last one stays."""
        self._write(name, data, token_hex(4))

    def _write(self, name: str, data: bytes, writer: str) -> None:
        """Create or replace a file by way of a file that no other `writer` writes to at the same time."""
        file = self.path / name
        new = file.with_name(f"{_UNFINISHED_PREFIX}{writer}-{file.name}")
        with renamed_when_complete(new, file):
            self._create_private_file(new)
            new.write_bytes(data)

    def compare_and_swap(self, name: str, data: bytes, before: bytes | None) -> bool:
        """Write a file if its content is still `before`, and say whether it was."""
        file = self.path / name
        self._create_folders(file.parent)
        with hold_lock(file.with_name(f"{_LOCK_PREFIX}{file.name}")):
            if is_unchanged := self.read(name) == before:
                self._write(name, data, "swap")  # what a killed process left is written over
        return is_unchanged

    def list_entries(self, under: str = "") -> Iterator[Entry]:
        """The files whose names begin with `under`, also those that a killed process left unfinished."""
        for folder, _, names in os.walk(self.path / under):
            for file in (Path(folder, name) for name in sorted(names) if not name.startswith(_LOCK_PREFIX)):
                with suppress(FileNotFoundError):  # moved or removed meanwhile
                    found = file.stat()
                    name = file.relative_to(self.path).as_posix()
                    yield Entry(name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, and the folders that this leaves empty."""
        for name in names:
            file = self.path / name
            file.unlink(missing_ok=True)
            for folder in file.relative_to(self.path).parents[:-1]:
                try:
                    (self.path / folder).rmdir()
                except OSError:
                    break

    def _create_private_file(self, new: Path) -> None:
        """Create an empty file that its owner alone can read, before anything is written to it."""
        for _ in range(CREATE_ATTEMPTS):
            with suppress(FileNotFoundError):
                self._create_folders(new.parent)
                return new.touch(mode=OWNER_ONLY)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(new.parent))

    def _create_folders(self, folder: Path) -> None:
        """Create a folder and its parents one by one: `mkdir(parents=True)` would let others read the parents."""
        create_private_folder(self.path)
        for part in (*reversed(folder.relative_to(self.path).parents), folder):
            with suppress(FileExistsError):  # mkdir's exist_ok fails where a folder is gone again when it looks
                (self.path / part).mkdir(mode=OWNER_ONLY_FOLDER)
