"""A place: a folder of named files, on this machine or in an object store, that many processes may write to.

A file appears as a whole, readable by its owner alone. Writing a file again replaces it and never changes its bytes in
place, so that a file that is being read stays what it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from quivo_frames.storage import urls
from quivo_frames.storage.atomic import OutputKind, refuse_output
from quivo_frames.storage.bucket import Bucket
from quivo_frames.storage.directory import Directory, Entry
from quivo_frames.storage.path_names import check_path


class Place(Protocol):
    """A folder of named files. Names have slashes. It can be pickled, in few bytes, and holds no credentials."""

    address: str

    def uri(self, name: str) -> str:
        """The path or address at which polars reads a file."""

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if it does not exist."""

    def file_digest(self, name: str) -> str | None:
        """The sha256 of a file in hex digits; None if it does not exist."""

    def write(self, name: str, data: bytes) -> None:
        """Create or replace a file."""

    def compare_and_swap(self, name: str, data: bytes, before: bytes | None) -> bool:
        """Write a file if its content is still `before` (None: it does not exist), and say whether it was.

        Of several that swap at the same time, exactly one succeeds.
        """

    def list_entries(self, under: str = "") -> Iterator[Entry]:
        """The files whose names begin with `under`, which ends in a slash; empty: all files."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that do not exist are passed over."""


def refuse_output_place(out: str | os.PathLike[str], noun: str) -> None:
    """Find out that nothing can be written to a place, whatever is in it; `noun` is what messages call it.

    Raises:
        ConfigError: as for `storage.atomic.refuse_output`.
    """
    if not urls.is_remote(os.fspath(out)):
        refuse_output(Path(out), OutputKind(noun, lambda _: True, is_folder=True))


def open_place(out: str | os.PathLike[str]) -> Place:
    """The place at a path or an address (s3://, gs://, az://).

    Raises:
        ConfigError: the address is of another kind, or the library for object stores is missing.
    """
    address = os.fspath(out)
    return Bucket(address) if urls.is_remote(address) else Directory(check_path(address))
