"""The index of a raw export, which names its segments and says what is in each, and the columns of a segment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import polars as pl

from quivo_frames.errors import ArchiveError, ConfigError, ExportError
from quivo_frames.storage import urls
from quivo_frames.storage.atomic import RAW_EXPORT_INDEX
from quivo_frames.storage.own_json import decode_own_json
from quivo_frames.storage.place import Place

INDEX_FILE = RAW_EXPORT_INDEX
INDEX_KIND, INDEX_LAYOUT = "quivo_frames segments", 1
ROW_GROUP_ROWS = 1_000
"""Answers that are written and read at once."""
METADATA_COLUMNS = {
    "order_id": pl.Int64(),
    "fetched_at": pl.Datetime("us", "UTC"),
    "response": pl.Int64(),
    "good": pl.Boolean(),
    "http_status": pl.Int32(),
    "size": pl.Int64(),
    "sha256": pl.Binary(),
}
"""The columns of a segment without the bodies: small enough to be read as a whole."""
SEGMENT_COLUMNS = {**METADATA_COLUMNS, "body": pl.Binary()}
"""The fields of a `ResponseRow`."""


class Segment(msgspec.Struct, frozen=True):
    """A segment in the index.

    `bytes` and `sha256` are of the file, `json_bytes` is the size of all bodies; `first` and `last` are order ids;
    `numbers` is the `metadata_digest`.
    """

    name: str
    rows: int
    orders: int
    bytes: int
    json_bytes: int
    first: int
    last: int
    sha256: str
    numbers: str


class ExportIndex(msgspec.Struct, frozen=True):
    """What a place holds: the responses of an archive up to number `last`, after `export` exports that changed it.

    `erasures` is the number of the archive's last erasure: what was erased until then is not in the segments. `digest`
    is of all other facts; it is empty in an index of an earlier version.
    """

    kind: str
    layout: int
    archive: str
    export: int
    last: int
    segments: list[Segment]
    erasures: int = 0
    digest: str = ""

    def to_json(self) -> bytes:
        """The content of the index file."""
        sealed = msgspec.structs.replace(self, digest=self.facts_digest())
        return msgspec.json.format(msgspec.json.encode(sealed), indent=1)

    def facts_digest(self) -> str:
        """A digest of all facts but the digest."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(self, digest=""))).hexdigest()


def metadata_digest(metadata: pl.DataFrame) -> str:
    """A digest of the values of METADATA_COLUMNS, however parquet encodes them."""
    plain = metadata.with_columns(pl.col("fetched_at").to_physical(), pl.col("sha256").bin.encode("hex"))
    return hashlib.sha256(plain.write_csv().encode()).hexdigest()


def read_index(where: Place) -> bytes | None:
    """The content of the index file of a place; None if it does not exist.

    Raises:
        ConfigError: the place is a file.
    """
    try:
        return where.read(INDEX_FILE)
    except NotADirectoryError as error:
        raise ConfigError(f"{where.address} is a file. Give a folder, or an address of an object store.") from error


def decode_index(data: bytes, address: str) -> ExportIndex:
    """The index from the content of its file.

    Raises:
        ConfigError: it is damaged, of something else, or of a later version.
    """
    file = f"{INDEX_FILE} in {address}"
    version = decode_own_json(data, _IndexVersion, file, _REMEDY, ConfigError)
    if version.kind != INDEX_KIND:
        raise ConfigError(f"{file} is damaged, or of something else. {_REMEDY}")
    if version.layout != INDEX_LAYOUT:
        raise ConfigError(f"{address} was exported by a newer quivo_frames: update this one to read it.")
    index = decode_own_json(data, ExportIndex, file, _REMEDY, ConfigError)
    if index.digest not in ("", index.facts_digest()):
        raise ConfigError(f"{file} is damaged: it is not as it was written. {_REMEDY}")
    return index


class _IndexVersion(msgspec.Struct):
    kind: str
    layout: int | None = None


_REMEDY = (
    "Check the address; if it is right, delete that file, and export the archive there again: quivo-frames export-raw."
)


@contextmanager
def explain_write_errors(address: str, aftermath: str) -> Iterator[None]:
    """Raise errors of the block as a sentence about writing; `aftermath` is the state that they leave.

    Raises:
        ConfigError: the address, the credentials or the rights have to be corrected.
        ExportError: the place or the network failed.
    """
    problem = f"The answers cannot be written to {address}"
    with urls.explain_storage_errors(problem, "export again", aftermath, error_class=ExportError):
        yield


@contextmanager
def explain_read_errors(address: str) -> Iterator[None]:
    """Raise errors of the block as a sentence about reading.

    Raises:
        ConfigError: the address, the credentials or the rights have to be corrected.
        ArchiveError: the place or the network failed.
    """
    with urls.explain_storage_errors(
        f"The answers cannot be read from {address}", "do the same again", error_class=ArchiveError
    ):
        yield
