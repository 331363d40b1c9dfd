"""A folder of an object store (S3, Google Cloud Storage, Azure) as a place of named files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from secrets import token_hex
from types import ModuleType
from typing import TYPE_CHECKING, Any

from quivo_frames.errors import ConfigError
from quivo_frames.storage import urls
from quivo_frames.storage.directory import Entry

if TYPE_CHECKING:
    from obstore import GetResult, PutMode, UpdateVersion
    from obstore.store import ObjectStore

REQUEST_TIMEOUT = timedelta(minutes=5)
"""For a request to a store, with all that it sends or fetches."""
BATCH_SIZE = 1_000
"""Files listed or removed in one request."""
_STORE_CLASSES = {
    "s3": ("S3Store", "AWS"),
    "gs": ("GCSStore", "GOOGLE"),
    "az": ("AzureStore", "AZURE"),
    "abfss": ("AzureStore", "AZURE"),
}
_SWAP_ATTRIBUTE = "swap"
"""The attribute of an object that says which compare-and-swap wrote it."""
_IMPOSSIBLE_VERSION: UpdateVersion = {"e_tag": f'"{"0" * 32}"'}
"""A version that no object has."""


class Bucket:
    """The place at s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or az://CONTAINER/FOLDER; see `storage.place.Place`.

    Azure is also abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER, and with it OneLake.

    It holds its address only: each process that it is sent to takes credentials, region and endpoint from its own
    environment, when it first asks the store. Errors of a store are raised as obstore words them, for
    `urls.explain_storage_errors`.
    """

    def __init__(self, address: str, *, batch_size: int = BATCH_SIZE) -> None:
        self.address, self.batch_size = urls.check_address(address), batch_size
        self._import_library()

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address, "batch_size": self.batch_size}  # without the client, and what it knows

    def uri(self, name: str) -> str:
        """The address of a file."""
        return f"{self.address}/{name}"

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if it does not exist."""
        found = self._get_object(name)
        return None if found is None else bytes(found.bytes())

    def file_digest(self, name: str) -> str | None:
        """The sha256 of a file in hex digits; None if it does not exist."""
        found = self._get_object(name)
        if found is None:
            return None
        digest = hashlib.sha256()
        for chunk in found.stream():
            digest.update(chunk)
        return digest.hexdigest()

    def write(self, name: str, data: bytes) -> None:
        """Create or replace a file in one request: a multipart upload that is cut off would leave invisible parts."""
        self._object_store.put(name, data, use_multipart=False)

    def compare_and_swap(self, name: str, data: bytes, before: bytes | None) -> bool:
        """Write a file if its content is still `before`, and say whether it was.

        Raises:
            ConfigError: the store has no conditional writes, or ignores the condition. The file is as it was.
        """
        found = self._get_object(name)
        if (None if found is None else bytes(found.bytes())) != before:
            return False
        if data == before:
            return True
        if not self._honours_conditions:
            raise self._no_conditional_writes_error()
        token = token_hex(8)
        if self._put_on_condition(name, data, "create" if found is None else _object_version(found), token):
            return True
        # A request whose response was lost is repeated, and refused if the first one had arrived.
        now = self._get_object(name)
        return now is not None and now.attributes.get(_SWAP_ATTRIBUTE) == token

    def list_entries(self, under: str = "") -> Iterator[Entry]:
        """The files whose names begin with `under`."""
        for found in self._object_store.list(under or None, chunk_size=self.batch_size):
            for entry in found:
                if entry["path"]:  # a folder that was created in a console of the store is an object without a name
                    yield Entry(entry["path"], entry["size"], entry["last_modified"])

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, many in one request where the store can do that."""
        names = list(names)
        for batch in (names[start : start + self.batch_size] for start in range(0, len(names), self.batch_size)):
            try:
                self._object_store.delete(batch)
            except FileNotFoundError:  # only S3 passes over a missing one
                for name in batch:
                    with _ignore_missing_file():
                        self._object_store.delete(name)

    @cached_property
    def _object_store(self) -> ObjectStore:
        library = self._import_library()
        scheme, _, rest = self.address.partition("://")
        bucket, _, folder = rest.partition("/")
        kind, environment = _STORE_CLASSES[scheme]
        options: dict[str, Any] = {"timeout": REQUEST_TIMEOUT}
        if http := os.environ.get(f"{environment}_ALLOW_HTTP"):  # obstore ignores it where there are options
            options["allow_http"] = http
        store_class = getattr(library, kind)
        store: ObjectStore
        if "@" in bucket:  # the address has the account, and is read by the library
            store = store_class.from_url(self.address, client_options=options)
        else:
            store = store_class(bucket, prefix=folder or None, client_options=options)
        return store

    def _import_library(self) -> ModuleType:
        try:
            from obstore import store
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{self.address} needs {error.name} wherever the work is done. "
                "Install it: pip install 'quivo-frames[stores]'."
            ) from error
        return store

    def _get_object(self, name: str) -> GetResult | None:
        with _ignore_missing_file():
            return self._object_store.get(name)
        return None

    @cached_property
    def _honours_conditions(self) -> bool:
        """Whether the store refuses what it should: some that speak S3 ignore the condition of a write."""
        if not self.address.startswith("s3:"):
            return True
        probe = f".probe-{token_hex(8)}"
        self.write(probe, b"")
        try:
            return not any(self._put_on_condition(probe, b"", mode, probe) for mode in ("create", _IMPOSSIBLE_VERSION))
        finally:
            self.remove([probe])

    def _put_on_condition(self, name: str, data: bytes, mode: PutMode, token: str) -> bool:
        """Write a file on a condition, and say whether the condition held."""
        from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError

        try:
            self._object_store.put(name, data, mode=mode, attributes={_SWAP_ATTRIBUTE: token})
        except (AlreadyExistsError, PreconditionError):
            return False
        except (NotImplementedError, GenericError) as error:
            if re.search(urls.NO_CONDITIONAL_WRITES, f"{type(error).__name__}: {error}"):
                raise self._no_conditional_writes_error() from error
            raise
        return True

    def _no_conditional_writes_error(self) -> ConfigError:
        return ConfigError(
            f"The store of {self.address} cannot write a file on a condition, and so cannot keep two processes "
            "apart that write there at the same time. Give a place in a store with conditional writes, as S3, Google's "
            "and Azure's have them."
        )


@contextmanager
def _ignore_missing_file() -> Iterator[None]:
    """Pass over a missing file, but not over a missing bucket."""
    try:
        yield
    except FileNotFoundError as error:
        if re.search(urls.MISSING_BUCKET, str(error)):
            raise


def _object_version(found: GetResult) -> UpdateVersion:
    """What identifies this version of an object: an etag, a version, or both, as the store has them."""
    version: UpdateVersion = {"e_tag": found.meta["e_tag"]}
    if found.meta["version"] is not None:  # obstore (0.12) takes no None
        version["version"] = found.meta["version"]
    return version
