"""Noun: a folder of named files, of this machine or of an object store, that many processes write to. Floor 2.

A file appears as a whole, readable by its owner alone, and a file that is read stays what it was: what is written anew
takes the place of the file, not of its bytes. Only here: obstore.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple, Protocol

from filelock import FileLock

from quivo_frames.disk import OWNER, settle
from quivo_frames.stores import is_remote

_UNFINISHED = ".new-"


class Entry(NamedTuple):
    """A file of a place: its name from there on, its bytes, and when it was written, by the clock of the place."""

    name: str
    size: int
    modified: datetime


class Place(Protocol):
    """A folder of named files; names have slashes. Small enough to be sent to another process."""

    address: str

    def uri(self, name: str) -> str:
        """Where polars finds a file."""

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, in the place of what is there under this name."""

    def swap(self, name: str, data: bytes, before: bytes | None) -> bool:
        """Writes a file if what is there is still `before` (None: nothing); whether it was. One at a time succeeds."""

    def entries(self, under: str = "") -> Iterator[Entry]:
        """The files below a name that ends in a slash; all for an empty one."""

    def remove(self, names: Iterable[str]) -> None:
        """Removes files, as far as they are there."""


class Folder:
    """A folder of this machine, or one that several machines share."""

    def __init__(self, path: Path) -> None:
        self.path, self.address = path, str(path)

    def uri(self, name: str) -> str:
        """The path of a file."""
        return str(self.path / name)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if there is none."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Writes a file beside its place, sees to it that it is on the disk, and moves it there."""
        file = self.path / name
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_name(f"{_UNFINISHED}{token_hex(4)}-{file.name}")
        try:
            new.write_bytes(data)
            settle(new)
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)

    def swap(self, name: str, data: bytes, before: bytes | None) -> bool:
        """Writes a file if what is there is still `before`."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(self.path / f".lock.{name}", mode=OWNER):
            if self.read(name) != before:
                return False
            self.write(name, data)
        return True

    def entries(self, under: str = "") -> Iterator[Entry]:
        """The files below a name, those too that a killed process left unfinished."""
        for folder, _, names in os.walk(self.path / under):
            for file in (Path(folder, name) for name in sorted(names)):
                found = file.stat()
                name = file.relative_to(self.path).as_posix()
                yield Entry(name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def remove(self, names: Iterable[str]) -> None:
        """Removes files, and folders that are empty then."""
        for name in names:
            file = self.path / name
            file.unlink(missing_ok=True)
            for folder in file.relative_to(self.path).parents[:-1]:
                try:
                    (self.path / folder).rmdir()
                except OSError:
                    break


def place(out: str | os.PathLike[str]) -> Place:
    """The place that a path or an address names.

    Raises:
        ConfigError: it is an address of another kind, or the library for object stores is missing.
    """
    address = os.fspath(out)
    if is_remote(address):
        raise NotImplementedError
    return Folder(Path(address))
