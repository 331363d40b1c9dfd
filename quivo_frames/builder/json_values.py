"""JSON values of a stream that stand one behind the other: the elements of a list, or values without a list.

Only what is being read is in memory. A broken value ends where the next order begins, so it costs no other order. The
time grows in proportion to the stream, however many values are broken.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import IO, NamedTuple

import msgspec

from quivo_frames.model.records import ReadProblem

BOM = b"\xef\xbb\xbf"
_CHUNK_BYTES = 4 * 2**20
_ORDERS_WITHIN = 16
"""Where values are broken, one that does not end is read until so many more orders began, no further."""
_OVERLAP_BYTES = 64
"""What may have to be read again with what follows it: the blanks between two values."""
_ORDER_ID = re.compile(rb'"orderId"')
_ORDER_START = re.compile(rb'\{\s*"orderId"\s*:')
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_TRUNCATED = "truncated"
_value_decoder = msgspec.json.Decoder(msgspec.Raw)
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class JsonValue(NamedTuple):
    """A value as it was written, whole or broken, the line in which it begins, and why it was not read."""

    text: bytes
    line: int
    problem: ReadProblem | None = None


class ParsedEnd(NamedTuple):
    """Where a value ends, blanks behind it included; None if it is not whole."""

    end: int | None
    needs_more: bool
    """The text stops within the value, and nothing in it is wrong so far."""


class _Form(NamedTuple):
    """How values follow each other."""

    between: re.Pattern[bytes]
    """What may stand before, between and behind the values."""
    behind: re.Pattern[bytes]
    """What follows a value that is whole."""
    next_object: re.Pattern[bytes]
    """Where, behind a broken value, another one may begin."""
    kept: int
    """Characters of `next_object` that belong to the broken value."""


_LIST = _Form(re.compile(rb"[\s,\[\]]*"), re.compile(rb"[,\]]"), re.compile(rb",\s*(?=\{)"), 0)
_SEQUENCE = _Form(re.compile(rb"[\s,]*"), re.compile(rb"[{\[,]|(?<=\n)"), re.compile(rb"\}[\s,]*(?=\{)|\n(?=\{)"), 1)


def too_long(size: int, max_bytes: int) -> ReadProblem:
    """Why a text of `size` bytes is not read."""
    return ReadProblem("too_long", f"{max_bytes:,} bytes", f"{size:,}")


def parse_end(text: bytes, start: int = 0, stop: int | None = None) -> ParsedEnd:
    """Where the value ends that begins at `start`, if only the text before `stop` is looked at."""
    stop = len(text) if stop is None else stop
    try:
        _value_decoder.decode(memoryview(text)[start:stop])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        trailing = _TRAILING.search(str(error))
        return ParsedEnd(start + int(trailing[1]) - 1 if trailing else None, _TRUNCATED in str(error))
    return ParsedEnd(stop, needs_more=False)


def read_elements(stream: IO[bytes], max_bytes: int) -> Iterator[JsonValue]:
    """The elements of a list, or of several lists one behind the other."""
    reader = _ValueReader(stream, _LIST, max_bytes)
    yield from reader.read_values()
    if reader.ends_within_list:
        yield JsonValue(b"", reader.line, ReadProblem("cut_off"))


def read_sequence(stream: IO[bytes], max_bytes: int) -> Iterator[JsonValue]:
    """Values with nothing but blanks, line ends and commas between them; each may span several lines."""
    return _ValueReader(stream, _SEQUENCE, max_bytes).read_values()


class _ValueReader:
    """Reads values through a window of the stream, which grows only as long as a value does not fit into it."""

    def __init__(self, stream: IO[bytes], form: _Form, max_bytes: int) -> None:
        self.line = 1
        """Where in the stream the reader is."""
        self.ends_within_list = False
        """The stream ended before the list did, behind an element that is whole."""
        self._stream, self._form, self._max_bytes = stream, form, max_bytes
        self._text = b""
        """The window: what was read and is still needed."""
        self._start = 0
        """Where in the window the next value begins."""
        self._at_end = self._in_list = self._found_broken = False
        self._id_positions: list[int] | None = None
        """Where in the window orders tell their ids, once that was asked for."""

    def read_values(self) -> Iterator[JsonValue]:
        """All values."""
        self._read_more()
        self._start = len(BOM) if self._text.startswith(BOM) else 0
        self.ends_within_list = True
        while self._skip_to_value():
            line, end = self.line, self._find_whole_value()
            self.ends_within_list = end is not None
            if end is None:
                self._found_broken = True
                text, size = self._take_broken_value()
            else:
                text = self._take(end)
                size = len(text)
            if size > self._max_bytes:
                yield JsonValue(b"", line, too_long(size, self._max_bytes))
            elif text:
                yield JsonValue(text, line)
        self.ends_within_list &= self._in_list

    def _read_more(self) -> None:
        """Adds at least a chunk to the window, as much as it holds if it holds more, and drops what was taken."""
        rest = self._text[self._start :]
        more = self._stream.read(max(_CHUNK_BYTES, min(len(rest), self._max_bytes - len(rest))))
        self._text, self._start, self._at_end = rest + more, 0, not more
        self._id_positions = None

    def _take(self, end: int) -> bytes:
        """The window from the start of the value to `end`, where the next value is looked for."""
        text = self._text[self._start : end].strip()
        self._move_to(end)
        return text

    def _move_to(self, position: int) -> None:
        self.line += self._text.count(b"\n", self._start, position)
        self._start = position

    def _skip_to_value(self) -> bool:
        """Whether there is another value; the start is at it then."""
        while True:
            found = self._form.between.match(self._text, self._start)
            if found and (brackets := found[0].translate(None, b" \t\r\n\v\f,")):
                self._in_list = brackets.endswith(b"[")
            self._move_to(found.end() if found else self._start)
            if self._start < len(self._text):
                return True
            if self._at_end:
                return False
            self._read_more()

    def _find_whole_value(self) -> int | None:
        """Where the value ends that begins at the start; None if it is broken."""
        while True:
            stop = self._stop_of_value(self._start) if self._found_broken else len(self._text)
            end, needs_more = parse_end(self._text, self._start, stop)
            if end is not None and end < len(self._text):
                return end if self._form.behind.match(self._text, end) else None
            if self._at_end:
                return end
            is_too_long = len(self._text) - self._start > self._max_bytes
            if end is None and (not needs_more or stop < len(self._text) or is_too_long):
                return None
            self._read_more()

    def _stop_of_value(self, start: int) -> int:
        """Where a value that begins at `start` has certainly ended."""
        if self._id_positions is None:
            self._id_positions = [found.start() for found in _ORDER_ID.finditer(self._text)]
        place = bisect_right(self._id_positions, start) + _ORDERS_WITHIN
        return self._id_positions[place] if place < len(self._id_positions) else len(self._text)

    def _take_broken_value(self) -> tuple[bytes, int]:
        """The text up to where the next order begins, and its size; of one that is too long only the end."""
        dropped, searched = 0, self._start + 1
        while True:
            found, searched = self._find_next_order(searched)
            if found is not None or self._at_end:
                break
            if len(self._text) - self._start > self._max_bytes:
                dropped += searched - self._start
                self._move_to(searched)
            searched -= self._start
            self._read_more()
        end = len(self._text) if found is None else found
        size = dropped + end - self._start
        text = self._take(end)
        return (text.removesuffix(b"]").strip() if found is None and self._form is _LIST else text), size

    def _find_next_order(self, searched: int) -> tuple[int | None, int]:
        """Where the value ends before the next order, None if the window has no other; and what was searched so far."""
        for found in self._form.next_object.finditer(self._text, searched):
            begin, stop = found.end(), self._stop_of_value(found.end())
            if _ORDER_START.match(self._text, begin):
                return found.start() + self._form.kept, found.start()
            end, needs_more = parse_end(self._text, begin, stop)
            if end is not None and _has_order_id(self._text[begin:end]):
                return found.start() + self._form.kept, found.start()
            undecided = needs_more and stop == len(self._text) and not self._at_end
            if undecided and len(self._text) - begin <= self._max_bytes:
                return None, found.start()
        return None, max(searched, len(self._text) - _OVERLAP_BYTES)


def _has_order_id(text: bytes) -> bool:
    try:
        return "orderId" in _object_decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
