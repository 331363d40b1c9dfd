"""Files that may be compressed (.gz, .zst), read as a stream, and single zstd frames in memory."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from pathlib import Path
from typing import IO, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSED_SUFFIXES = (".gz", ".zst")
READ_ERRORS = (OSError, EOFError, zlib.error, zstd.ZstdError)
"""What reading a file may raise that is damaged, compressed in another way, or not readable."""
_BUFFER_BYTES = 2**20


class BrokenFrame(Exception):
    """Bytes are no zstd frame with content of a given size; the text says in which way."""


def open_decompressed(path: Path) -> IO[bytes]:
    """The content of a file, decompressed if its name ends in .gz or .zst; reading it raises `READ_ERRORS`.

    However much a file claims to hold, no more is unpacked than is read.
    """
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix.lower() == ".zst" and path.stat().st_size:
        return cast("IO[bytes]", io.BufferedReader(zstd.ZstdFile(path), _BUFFER_BYTES))
    return path.open("rb", buffering=_BUFFER_BYTES)


def compress_frame(content: bytes) -> bytes:
    """Bytes as a zstd frame, which says how many they are."""
    return zstd.compress(content)


def decompress_frame(packed: bytes, size: int) -> bytes:
    """The content of a zstd frame, which must have `size` bytes: a frame that claims another size is not unpacked.

    Raises:
        BrokenFrame: it has another size, or is damaged.
    """
    try:
        if zstd.get_frame_info(packed).decompressed_size != size:
            raise BrokenFrame("is of another size")
        frame = zstd.ZstdDecompressor()
        content = frame.decompress(packed, size + 1)
    except zstd.ZstdError as error:
        raise BrokenFrame("cannot be decompressed") from error
    if not frame.eof:
        raise BrokenFrame("cannot be decompressed")
    return content
