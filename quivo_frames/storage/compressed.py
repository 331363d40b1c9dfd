"""Files that may be compressed, read as a stream: .gz and .zst. Only here: zstandard, beside the archive."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import zstandard

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PACKED = (".gz", ".zst")
UNREADABLE = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""What reading a file may raise that is damaged, packed otherwise, or not allowed."""
_CHUNK = 2**16


def unpacked(path: Path) -> IO[bytes]:
    """The content of the file, unpacked while it is read if it ends in .gz or .zst; reading raises `UNREADABLE`."""
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix.lower() == ".zst":
        return cast("IO[bytes]", io.BufferedReader(_Unpacked(path.open("rb")), buffer_size=2**20))
    return path.open("rb", buffering=2**20)


class _Unpacked(io.RawIOBase):
    """The content of a .zst file, frame after frame; unlike zstandard's own reader it tells that a file was cut off."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._ready:
            packed = self._frame.unused_data or self._packed.read(_CHUNK)
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
