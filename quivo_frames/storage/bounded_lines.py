"""Lines of a stream, of which none takes more memory than a limit, however long it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

MAX_LINE_BYTES = 256 * 2**20
"""Bytes of one line that are read by default: more than any order has, and less than the memory of any machine."""
_CHUNK_BYTES = 2**20


class Line(NamedTuple):
    """A line without its end, and where it is."""

    number: int
    offset: int
    """Bytes before it."""
    size: int
    """Bytes of it, with its end."""
    text: bytes | None
    """None: it is longer than the limit, and was passed over."""


def read_lines(stream: IO[bytes], max_bytes: int, first: int = 1, offset: int = 0) -> Iterator[Line]:
    """The lines of a stream from here on; the next one has the number `first` and `offset` bytes before it."""
    number, size = first, 0
    begin: list[bytes] = []  # pieces of the line under way, unless it is too long; `size` is that of all its pieces
    while block := stream.read(_CHUNK_BYTES):  # splitting blocks takes a third of the time of `readline` with a limit
        *ended, rest = block.split(b"\n")
        for end in ended:
            size += len(end) + 1
            text = None if size > max_bytes else b"".join([*begin, end]) if begin else end
            yield Line(number, offset, size, text)
            number, offset, begin, size = number + 1, offset + size, [], 0
        size += len(rest)
        begin = [*begin, rest] if 0 < size <= max_bytes else []
    if size:
        yield Line(number, offset, size, b"".join(begin) if size <= max_bytes else None)


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
