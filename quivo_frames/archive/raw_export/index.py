"""Noun: the marker, which says which segments are in a place, and what is in each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import polars as pl

from quivo_frames.errors import ArchiveError, ConfigError, ExportError
from quivo_frames.storage import urls
from quivo_frames.storage.place import Place

MARKER = "segments.json"
KIND, LAYOUT = "quivo_frames segments", 1
ROW_GROUP = 1_000
"""Answers that are written and read at a time."""
NUMBERS = {
    "order_id": pl.Int64(),
    "fetched_at": pl.Datetime("us", "UTC"),
    "response": pl.Int64(),
    "good": pl.Boolean(),
    "http_status": pl.Int32(),
    "size": pl.Int64(),
    "sha256": pl.Binary(),
}
"""All that is known of a body but itself, so small that it is read as a whole."""
COLUMNS = {**NUMBERS, "body": pl.Binary()}
"""Of a segment: `response` is the answer's number in the archive, `size` the bytes of `body`, which is as received."""


class Row(NamedTuple):
    """An answer as it leaves the archive: a row of COLUMNS."""

    order_id: int
    fetched_at: datetime
    response: int
    good: bool
    http_status: int | None
    size: int
    sha256: bytes
    body: bytes


class Segment(msgspec.Struct, frozen=True):
    """What the marker says of a segment.

    `bytes` and `sha256` are of the file, `json_bytes` of all bodies; `first` and `last` are order ids; `numbers` is a
    digest of NUMBERS.
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


class Marker(msgspec.Struct, frozen=True):
    """What is in a place: answers up to number `last` of an archive; `export` counts the exports that changed it."""

    kind: str
    layout: int
    archive: str
    export: int
    last: int
    segments: list[Segment]

    def encoded(self) -> bytes:
        """The marker as a file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)


def digest(numbers: pl.DataFrame) -> str:
    """A digest of the values of NUMBERS, in whatever way they are written in a file."""
    plain = numbers.with_columns(pl.col("fetched_at").to_physical(), pl.col("sha256").bin.encode("hex"))
    return hashlib.sha256(plain.write_csv().encode()).hexdigest()


def fetch(where: Place) -> bytes | None:
    """The marker of a place as it is there, None if there is none.

    Raises:
        ConfigError: the place is a file.
    """
    try:
        return where.read(MARKER)
    except NotADirectoryError as error:
        raise ConfigError(f"{where.address} is a file. Give a folder, or an address of an object store.") from error


def decoded(data: bytes, address: str) -> Marker:
    """What a marker says.

    Raises:
        ConfigError: it is damaged, of something else, or of a later version.
    """
    try:
        facts = msgspec.json.decode(data, type=dict[str, Any])
        if facts.get("kind") == KIND and facts.get("layout") != LAYOUT:
            raise ConfigError(f"{address} was exported by a newer quivo_frames: update this one to read it.")
        marker = msgspec.convert(facts, Marker)
        if marker.kind == KIND:
            return marker
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    raise ConfigError(
        f"{MARKER} in {address} is damaged, or of something else. Check the address; if it is right, delete that file, "
        "and export the archive there again: quivo-frames export-raw."
    )


@contextmanager
def written(address: str, after: str) -> Iterator[None]:
    """What goes wrong inside, as a sentence about writing; `after` says in what state it leaves the place.

    Raises:
        ConfigError: the address, the credentials or the rights are to be mended.
        ExportError: the place or the network failed.
    """
    what = f"The answers cannot be written to {address}"
    with urls.told(what, "export again", after, failing=ExportError):
        yield


@contextmanager
def read(address: str) -> Iterator[None]:
    """What goes wrong inside, as a sentence about reading.

    Raises:
        ConfigError: the address, the credentials or the rights are to be mended.
        ArchiveError: the place or the network failed.
    """
    with urls.told(f"The answers cannot be read from {address}", "do the same again", failing=ArchiveError):
        yield
