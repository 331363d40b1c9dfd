"""Lines of a stream, of which none takes more memory than a limit, however long it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

MAX_LINE_BYTES = 256 * 2**20
"""Bytes of one line that are read by default: more than any order has, and less than the memory of any machine."""
_CHUNK_BYTES = 2**20


class Line(NamedTuple):
    """A line with its end, and where it is."""

    number: int
    offset: int
    """Bytes before it."""
    size: int
    text: bytes | None
    """None: it is longer than the limit, and was passed over."""


def read_lines(stream: IO[bytes], max_bytes: int, first: int = 1, offset: int = 0) -> Iterator[Line]:
    """The lines of a stream from here on; the next one has the number `first` and `offset` bytes before it."""
    number = first
    while text := stream.readline(_CHUNK_BYTES):
        line = Line(number, offset, len(text), text)
        if line.size == _CHUNK_BYTES and not text.endswith(b"\n"):
            line = _read_rest(stream, line, max_bytes)
        elif line.size > max_bytes:
            line = line._replace(text=None)
        yield line
        number, offset = number + 1, offset + line.size


class LineTooLong(Exception):
    """A line of text has more characters than the limit."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def read_text_lines(stream: IO[str], max_characters: int) -> Iterator[str]:
    """The lines of a text with their ends.

    Raises:
        LineTooLong: a line is longer than that.
    """
    number = 1
    while text := stream.readline(max_characters + 1):
        if len(text) > max_characters:
            raise LineTooLong(number)
        yield text
        number += 1


def _read_rest(stream: IO[bytes], line: Line, max_bytes: int) -> Line:
    """A line of which more than one chunk is to be read; beyond the limit its chunks are dropped."""
    chunks, size = [line.text or b""], line.size
    while chunk := stream.readline(_CHUNK_BYTES):
        size += len(chunk)
        if size <= max_bytes:
            chunks.append(chunk)
        else:
            chunks.clear()
        if chunk.endswith(b"\n"):
            break
    return line._replace(size=size, text=b"".join(chunks) if size <= max_bytes else None)
