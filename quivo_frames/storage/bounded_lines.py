"""Lines of a stream, of which none takes more memory than a limit, however long it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

MAX_LINE_BYTES = 256 * 2**20
"""Bytes of one line that are read by default: more than any order has, and less than the memory of any machine."""
_CHUNK_BYTES = 2**20


class LineBlock(NamedTuple):
    """Lines one after the other, and where they are."""

    offset: int
    """Bytes before them."""
    size: int
    text: bytes | memoryview | None
    """The lines with their ends; the last line of a stream may have none. None: it is a single line, longer than the
    limit, and was passed over."""


def read_line_blocks(stream: IO[bytes], max_bytes: int, offset: int = 0) -> Iterator[LineBlock]:
    """The lines of a stream from here on, in blocks as they are read; there are `offset` bytes before it."""
    size = 0
    begin: list[bytes] = []  # pieces of the line under way, unless it is too long; `size` is that of all its pieces
    while block := stream.read(min(_CHUNK_BYTES, max_bytes)):  # so that only a line of several blocks can be too long
        if head := block.find(b"\n") + 1:
            size += head
            yield LineBlock(offset, size, b"".join([*begin, block[:head]]) if size <= max_bytes else None)
            offset += size
            if (tail := block.rfind(b"\n") + 1) > head:
                yield LineBlock(offset, tail - head, memoryview(block)[head:tail])
                offset += tail - head
            block, size, begin = block[tail:], 0, []
        size += len(block)
        begin = [*begin, block] if 0 < size <= max_bytes else []
    if size:
        yield LineBlock(offset, size, b"".join(begin) if size <= max_bytes else None)


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
