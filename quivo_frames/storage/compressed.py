"""Files that may be compressed (.gz, .zst), read as a stream."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import zstandard

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

COMPRESSED_SUFFIXES = (".gz", ".zst")
READ_ERRORS = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""What reading a file may raise that is damaged, compressed in another way, or not readable."""
_CHUNK_BYTES = 2**10
"""Compressed bytes that are unpacked at a time: zstd makes at most 32,768 times as many of them, 32 MiB."""


def open_decompressed(path: Path) -> IO[bytes]:
    """The content of a file, decompressed if its name ends in .gz or .zst; reading it raises `READ_ERRORS`."""
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix.lower() == ".zst":
        return cast("IO[bytes]", io.BufferedReader(_ZstdStream(path.open("rb")), buffer_size=2**20))
    return path.open("rb", buffering=2**20)


class _ZstdStream(io.RawIOBase):
    """The content of a .zst file, frame after frame. Unlike zstandard's own reader, it notices a truncated file."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._ready:
            packed = self._frame.unused_data or self._packed.read(_CHUNK_BYTES)
            if not packed:
                if self._begun and not self._frame.eof:
                    raise EOFError
                return 0
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._begun = True
            self._ready = memoryview(self._frame.decompress(packed))
        with memoryview(buffer) as wanted:
            count = min(len(wanted), len(self._ready))
            wanted[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._packed.close()
        super().close()
