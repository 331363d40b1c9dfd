"""Noun: a folder of named files, of this machine or of an object store, that many processes write to. Floor 2.

A file appears as a whole, readable by its owner alone, and a file that is read stays what it was: what is written anew
takes the place of the file, not of its bytes. Only here: obstore.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from filelock import FileLock

from quivo_frames.errors import ConfigError
from quivo_frames.storage import urls
from quivo_frames.storage.atomic import OWNER, settle

if TYPE_CHECKING:
    from obstore import GetResult, PutMode, UpdateVersion
    from obstore.store import ObjectStore

PATIENCE = timedelta(minutes=5)
"""For a request to a store, with all that it sends or fetches."""
BATCH = 1_000
"""Files removed at a time."""
TRIES = 100
"""How often a folder is made before a file is in it: who removes the last file of a folder takes the folder along."""
_UNFINISHED, _LOCK = ".new-", ".lock."
_KINDS = {"s3": ("S3Store", "AWS"), "gs": ("GCSStore", "GOOGLE"), "az": ("AzureStore", "AZURE")}
_SWAP = "swap"
"""The attribute of a file that tells which swap wrote it."""
_NEVER: UpdateVersion = {"e_tag": f'"{"0" * 32}"'}
"""A version that no file has."""


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

    def digest(self, name: str) -> str | None:
        """The sha256 of a file; None if there is none."""

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
        self.path, self.address = path.absolute(), str(path)

    def uri(self, name: str) -> str:
        """The path of a file."""
        return str(self.path / name)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if there is none."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def digest(self, name: str) -> str | None:
        """The sha256 of a file; None if there is none."""
        try:
            with (self.path / name).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Writes a file beside its place, sees to it that it is on the disk, and moves it there."""
        file = self.path / name
        new = file.with_name(f"{_UNFINISHED}{token_hex(4)}-{file.name}")
        try:
            self._begin(new)
            new.write_bytes(data)
            settle(new)
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)

    def swap(self, name: str, data: bytes, before: bytes | None) -> bool:
        """Writes a file if what is there is still `before`."""
        file = self.path / name
        self._make(file.parent)
        locked = file.with_name(f"{_LOCK}{file.name}")
        with FileLock(locked, mode=OWNER):
            if same := self.read(name) == before:
                self.write(name, data)
            locked.unlink()
        return same

    def entries(self, under: str = "") -> Iterator[Entry]:
        """The files below a name, those too that a killed process left unfinished."""
        for folder, _, names in os.walk(self.path / under):
            for file in (Path(folder, name) for name in sorted(names) if not name.startswith(_LOCK)):
                with suppress(FileNotFoundError):  # moved or removed meanwhile
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

    def _begin(self, new: Path) -> None:
        """Makes an empty file, its owner's alone before anything is in it."""
        for _ in range(TRIES):
            with suppress(FileNotFoundError):
                self._make(new.parent)
                return new.touch(OWNER)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(new.parent))

    def _make(self, folder: Path) -> None:
        """Makes a folder and those above it: what makes parents by itself lets others look into them."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in (*reversed(folder.relative_to(self.path).parents), folder):
            with suppress(FileExistsError):  # mkdir's exist_ok fails where a folder is gone again when it looks
                (self.path / part).mkdir(mode=0o700)


class Bucket:
    """A folder of an object store: s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or az://CONTAINER/FOLDER.

    It has nothing but its address: every process that it is sent to takes credentials, region and endpoint from its own
    environment, when it first asks the store. What a store refuses is raised as obstore says it, for `stores.told`.
    """

    def __init__(self, address: str) -> None:
        self.address = urls.address(address)
        self._library()

    def __getstate__(self) -> dict[str, str]:
        return {"address": self.address}

    def uri(self, name: str) -> str:
        """The address of a file."""
        return f"{self.address}/{name}"

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if there is none."""
        found = self._get(name)
        return None if found is None else bytes(found.bytes())

    def digest(self, name: str) -> str | None:
        """The sha256 of a file; None if there is none."""
        found = self._get(name)
        if found is None:
            return None
        digest = hashlib.sha256()
        for chunk in found.stream():
            digest.update(chunk)
        return digest.hexdigest()

    def write(self, name: str, data: bytes) -> None:
        """Writes a file in one request: of one in pieces, which was cut off, the pieces would stay there unseen."""
        self._store.put(name, data, use_multipart=False)

    def swap(self, name: str, data: bytes, before: bytes | None) -> bool:
        """Writes a file if what is there is still `before`.

        Raises:
            ConfigError: the store cannot write on a condition, or overlooks it. The file is as it was.
        """
        found = self._get(name)
        if (None if found is None else bytes(found.bytes())) != before:
            return False
        if data == before:
            return True
        if not self._keeps_conditions:
            raise self._careless()
        token = token_hex(8)
        if self._put_if(name, data, "create" if found is None else _version(found), token):
            return True
        # A request whose answer was lost is repeated, and refused if it had been heard.
        now = self._get(name)
        return now is not None and now.attributes.get(_SWAP) == token

    def entries(self, under: str = "") -> Iterator[Entry]:
        """The files below a name."""
        for found in self._store.list(under or None, chunk_size=BATCH):
            for entry in found:
                if entry["path"]:  # what consoles of stores make so that a folder is seen has no name
                    yield Entry(entry["path"], entry["size"], entry["last_modified"])

    def remove(self, names: Iterable[str]) -> None:
        """Removes files, many in one request where the store can."""
        names = list(names)
        for batch in (names[start : start + BATCH] for start in range(0, len(names), BATCH)):
            try:
                self._store.delete(batch)
            except FileNotFoundError:  # S3 alone does not mind
                for name in batch:
                    with _if_there():
                        self._store.delete(name)

    @cached_property
    def _store(self) -> ObjectStore:
        library = self._library()
        scheme, _, rest = self.address.partition("://")
        bucket, _, folder = rest.partition("/")
        kind, environment = _KINDS[scheme]
        options: dict[str, Any] = {"timeout": PATIENCE}
        if http := os.environ.get(f"{environment}_ALLOW_HTTP"):  # obstore forgets it where there are options
            options["allow_http"] = http
        made: ObjectStore = getattr(library, kind)(bucket, prefix=folder or None, client_options=options)
        return made

    def _library(self) -> ModuleType:
        try:
            from obstore import store
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{self.address} needs {error.name} wherever the work is done. "
                "Install it: pip install 'quivo-frames[stores]'."
            ) from error
        return store

    def _get(self, name: str) -> GetResult | None:
        with _if_there():
            return self._store.get(name)
        return None

    @cached_property
    def _keeps_conditions(self) -> bool:
        """Whether the store refuses what it should. Of those that speak S3, some overlook conditions."""
        if not self.address.startswith("s3:"):
            return True
        probe = f".probe-{token_hex(8)}"
        self.write(probe, b"")
        try:
            return not any(self._put_if(probe, b"", mode, probe) for mode in ("create", _NEVER))
        finally:
            self.remove([probe])

    def _put_if(self, name: str, data: bytes, mode: PutMode, token: str) -> bool:
        """Writes a file on a condition; whether it held."""
        from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError

        try:
            self._store.put(name, data, mode=mode, attributes={_SWAP: token})
        except (AlreadyExistsError, PreconditionError):
            return False
        except (NotImplementedError, GenericError) as error:
            if re.search(urls.NO_CONDITIONS, f"{type(error).__name__}: {error}"):
                raise self._careless() from error
            raise
        return True

    def _careless(self) -> ConfigError:
        return ConfigError(
            f"The store of {self.address} cannot write a file on a condition, and so cannot tell two that write there "
            "at a time apart. Give a place in a store with conditional writes, as S3, Google's and Azure's have them."
        )


@contextmanager
def _if_there() -> Iterator[None]:
    """Passes over a file that is not there, but not over a bucket."""
    try:
        yield
    except FileNotFoundError as error:
        if re.search(urls.NO_BUCKET, str(error)):
            raise


def _version(found: GetResult) -> UpdateVersion:
    """What tells this state of a file from others: stores have one of the two, or both."""
    version: UpdateVersion = {"e_tag": found.meta["e_tag"]}
    if found.meta["version"] is not None:  # obstore (0.12) takes no None
        version["version"] = found.meta["version"]
    return version


def place(out: str | os.PathLike[str]) -> Place:
    """The place that a path or an address names.

    Raises:
        ConfigError: it is an address of another kind, or the library for object stores is missing.
    """
    address = os.fspath(out)
    return Bucket(address) if urls.is_remote(address) else Folder(Path(address))
