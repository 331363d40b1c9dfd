"""Raw orders of files: .ndjson and .jsonl have one order per line, .json one order or a list; also as .gz or .zst.

Files are read as what they are: a list, values that span several lines, or several values on one line are recognised
whatever the suffix. Nothing is validated here: a broken line is a raw order like any other, and fails where it is
decoded.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import chain, islice
from pathlib import Path
from typing import IO, NamedTuple

from quivo_frames.builder.json_values import BOM, JsonValue, parse_end, read_elements, read_sequence, too_long
from quivo_frames.builder.line_index import VALUE_BEHIND_VALUE, LineIndex, index_lines
from quivo_frames.display.text import format_count
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.decode import OrderIdentity, read_identity, scan_identity
from quivo_frames.model.records import RawOrder
from quivo_frames.storage.bounded_lines import MAX_LINE_BYTES, LineBlock, read_line_blocks
from quivo_frames.storage.compressed import COMPRESSED_SUFFIXES, READ_ERRORS, open_decompressed
from quivo_frames.storage.path_names import check_path

LINE_SUFFIXES = (".ndjson", ".jsonl")
DOCUMENT_SUFFIXES = (".json",)
_HIDDEN_PREFIXES = (".", "~$")
"""How the names of files begin that other programs keep beside the user's: macOS, Jupyter, Office."""
_HEAD_BYTES = 2**16
"""Bytes at the beginning of a file that show how it is laid out."""
_LIST_OF_OBJECTS = re.compile(rb"\[[\s\[]{,99}[{\]]")
_COMMA_BEHIND_VALUE = re.compile(rb",\s*(\{|$)")


def find_order_files(path: Path) -> list[Path]:
    """The file itself, or all files of orders in a folder and its subfolders, sorted by name.

    In a folder, files without content are passed over, and what other programs keep there under hidden names.

    Raises:
        ConfigError: there is no file of orders, or nothing in it.
    """
    kinds = ", ".join((*LINE_SUFFIXES, *DOCUMENT_SUFFIXES))
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if _format_suffix(file) and file.is_file())
        found = [file for file in found if not _is_hidden(file.relative_to(path))]
        filled = [check_path(file) for file in found if not _is_empty(file)]
        if not filled:
            but_empty = f" but {format_count(len(found), 'empty one')}" if found else ""
            raise ConfigError(
                f"In the folder {path} is no file of orders{but_empty}. Give files that end in {kinds} (.gz, .zst)."
            )
        return filled
    if not path.exists():
        raise ConfigError(f"There is no file {path}. Check the name and the folder you are in.")
    if not path.is_file():
        raise ConfigError(f"{path} is no file that can be read twice, as a build does. Save its content as a file.")
    if not _format_suffix(path):
        raise ConfigError(f"{path} is neither an archive nor a file of orders: those end in {kinds} (.gz, .zst).")
    if _is_empty(path):
        raise ConfigError(f"The file {path} is empty: there is no order in it. Check how it was made.")
    return [path]


class LinePosition(NamedTuple):
    """Where a line begins: its number, and the bytes before it."""

    line: int
    offset: int


class UsualLines(NamedTuple):
    """Lines of a block, each of which begins with the id of an order, as Quivo writes it, and holds nothing else."""

    block: LineBlock
    line_index: LineIndex
    """Of the whole block."""
    first: int
    """The number of the first line of the block."""
    lines: slice
    """Which lines these are, counted from 0."""

    def read_orders(self, name: str) -> Iterator[RawOrder]:
        """The orders of a file with this name."""
        text, first = self.block.text, self.first + self.lines.start
        places = zip(self.line_index.begins[self.lines], self.line_index.sizes[self.lines], strict=True)
        for number, (begin, size) in enumerate(places, first):
            yield RawOrder(bytes(text[begin : begin + size]), None, None, name, f"line {number}")  # type: ignore[index]


_FIRST_LINE = LinePosition(1, 0)
PlacedOrder = tuple[LinePosition | None, RawOrder]
"""An order, and the position to start from if reading should begin with it; None where it cannot."""


class _Layout(Enum):
    LINES = "one order a line"
    LIST = "a list of orders"
    SEQUENCE = "orders of several lines each"


def read_orders(path: Path, start: LinePosition | None = None, max_bytes: int = MAX_LINE_BYTES) -> Iterator[RawOrder]:
    """The raw orders of one file, in their order, from `start` on.

    One that is longer than `max_bytes` is not read: it has a problem instead of a body.

    Raises:
        ConfigError: the file cannot be read or decompressed.
    """
    for found in read_in_runs(path, start, max_bytes):
        if isinstance(found, UsualLines):
            yield from found.read_orders(path.name)
        else:
            yield found[1]


class FileIndex:
    """What the first look tells of orders of one file, of which `first` others come before them.

    A closer look also tells times and sellers.
    """

    def __init__(self, path: Path, first: int, *, exact: bool) -> None:
        self.order_ids: list[int | None] = []
        self.identities: list[OrderIdentity] | None = [] if exact else None
        self.sizes: list[int] = []
        """Bytes of JSON of each."""
        self._name, self._first, self._can_start_within = path.name, first, _can_start_within(path)
        self._lines: list[int] = []
        self._offsets: list[int] = []
        """The bytes before each line; -1 where reading cannot start."""

    def add_orders(self, found: UsualLines | PlacedOrder) -> None:
        """Adds the next orders, or the next one."""
        if isinstance(found, UsualLines):
            block, index, first, lines = found
            self.order_ids.extend(index.order_ids[lines])
            self.sizes.extend(index.sizes[lines])
            self._lines.extend(range(first + lines.start, first + lines.stop))
            self._offsets.extend([block.offset + begin for begin in index.begins[lines]])
        else:
            position, raw = found
            line, offset = position or (0, -1)
            self._lines.append(line)
            self._offsets.append(offset)
            self.sizes.append(len(raw.body))
            self.order_ids.append(scan_identity(raw.body).order_id)
        if self.identities is not None:
            raws = found.read_orders(self._name) if isinstance(found, UsualLines) else [found[1]]
            self.identities.extend(read_identity(raw.body) for raw in raws)

    def position_of(self, number: int) -> LinePosition | int | None:
        """Where reading can start with an order: at a line, or, where all before it is read as well, its number."""
        if not self._can_start_within:
            return self._first + number
        offset = self._offsets[number]
        return LinePosition(self._lines[number], offset) if offset >= 0 else None


class ForwardReader:
    """The orders of a file that is read from its beginning, such as a compressed one.

    A read that begins behind the last one goes on there: so a file that is read part by part is unpacked once.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._orders: Iterator[RawOrder] = iter(())
        self._read: float = math.inf

    def read_from(self, first: int) -> Iterator[RawOrder]:
        """The orders from a number on, which counts from 0."""
        if first < self._read:
            self._orders, self._read = read_orders(self._path, None, self._max_bytes), 0
        for raw in self._orders:
            self._read += 1
            if self._read > first:
                yield raw


def read_in_runs(
    path: Path, start: LinePosition | None = None, max_bytes: int = MAX_LINE_BYTES
) -> Iterator[UsualLines | PlacedOrder]:
    """The same, usual lines together, and each other order with the position to start from."""
    is_document = _format_suffix(path) in DOCUMENT_SUFFIXES
    try:
        layout = _Layout.LINES if start else _find_layout(path, is_document=is_document)
        with open_decompressed(path) as file:
            if start:
                file.seek(start.offset)
            if layout is _Layout.LINES:
                line, offset = start or _FIRST_LINE
                runs = _read_blocks(path.name, read_line_blocks(file, max_bytes, offset), line, max_bytes)
            else:
                runs = _read_values(path.name, file, layout, max_bytes)
            yield from _name_whole_file(path.name, runs) if is_document else runs
    except READ_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is broken or not packed so"
        raise ConfigError(f"The file {path} cannot be read: {reason}. Nothing was built from it.") from error


def _can_start_within(path: Path) -> bool:
    """Whether reading can start at an order in the middle of a file."""
    return _format_suffix(path) in LINE_SUFFIXES and path.suffix.lower() not in COMPRESSED_SUFFIXES


def _format_suffix(path: Path) -> str | None:
    """The suffix that names the format, whatever the compression; None: no file of orders."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in LINE_SUFFIXES + DOCUMENT_SUFFIXES else None


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(_HIDDEN_PREFIXES) for part in path.parts)


def _read_head(path: Path) -> bytes:
    with open_decompressed(path) as file:
        return file.read(_HEAD_BYTES).removeprefix(BOM).lstrip()


def _is_empty(path: Path) -> bool:
    try:
        return not _read_head(path)
    except READ_ERRORS:  # whoever reads it says so
        return False


def _find_layout(path: Path, *, is_document: bool) -> _Layout:
    """How the orders of a file are laid out, by its first two lines.

    Where each order has a line of its own, the second one begins like the first, even if that is broken.
    """
    head = _read_head(path)
    first, _, rest = head.partition(b"\n")
    second = rest.lstrip().partition(b"\n")[0].strip()
    end, _ = parse_end(first)
    if head.startswith(b"[") and (is_document or _begins_list(head, first, second)):
        return _Layout.LIST
    if not head.startswith(b"{"):
        return _Layout.SEQUENCE if is_document else _Layout.LINES
    if end is not None:
        return _Layout.SEQUENCE if _COMMA_BEHIND_VALUE.match(first, end) else _Layout.LINES
    return _Layout.SEQUENCE if second and second[:1] not in b"{[" else _Layout.LINES


def _begins_list(head: bytes, first: bytes, second: bytes) -> bool:
    """Whether a list of orders begins, and not the first of many lines, a broken one."""
    is_order_behind = second.startswith(b"{") and parse_end(second).end == len(second)
    is_alone = first.strip() == b"[" or parse_end(first).end is not None
    return bool(_LIST_OF_OBJECTS.match(head)) and (is_alone or not is_order_behind)


def _read_blocks(
    name: str, blocks: Iterable[LineBlock], first: int, max_bytes: int
) -> Iterator[UsualLines | PlacedOrder]:
    """The orders of blocks of lines, of which the first one has a number."""
    for block in blocks:
        if block.text is None:
            problem = too_long(block.size, max_bytes)
            yield LinePosition(first, block.offset), RawOrder(b"", None, None, name, f"line {first}", problem)
            first += 1
            continue
        index = index_lines(block.text)
        stops = [*index.begins[1:], len(block.text)]
        done = 0
        for number in index.unusual:
            if number > done:
                yield UsualLines(block, index, first, slice(done, number))
            begin = index.begins[number]
            position = LinePosition(first + number, block.offset + begin)
            yield from _read_unusual_line(name, position, bytes(block.text[begin : stops[number]]), max_bytes)
            done = number + 1
        if done < len(stops):
            yield UsualLines(block, index, first, slice(done, len(stops)))
        first += len(stops)


def _read_unusual_line(name: str, position: LinePosition, text: bytes, max_bytes: int) -> Iterator[PlacedOrder]:
    """The orders of a line: none, one, or several."""
    place = f"line {position.line}"
    body = (text.removeprefix(BOM) if position.line == 1 else text).strip()
    if not VALUE_BEHIND_VALUE.search(body):
        if body:
            yield position, RawOrder(body, None, None, name, place)
        return
    values = [value.text for value in read_sequence(io.BytesIO(body), max_bytes)]
    for count, value in enumerate(values, 1):
        where = place if len(values) == 1 else f"{place}, value {count}"
        yield position if count == 1 else None, RawOrder(value, None, None, name, where)


def _read_values(name: str, file: IO[bytes], layout: _Layout, max_bytes: int) -> Iterator[PlacedOrder]:
    def name_place(number: int, value: JsonValue) -> str:
        return f"element {number}" if layout is _Layout.LIST else f"value {number}, from line {value.line} on"

    values = (read_elements if layout is _Layout.LIST else read_sequence)(file, max_bytes)
    for number, value in enumerate(values, 1):
        yield None, RawOrder(value.text, None, None, name, name_place(number, value), value.problem)


def _name_whole_file(name: str, runs: Iterable[UsualLines | PlacedOrder]) -> Iterator[PlacedOrder]:
    """The same one by one; a single order that is no element of a list is called the whole file."""
    orders = chain.from_iterable(
        found.read_orders(name) if isinstance(found, UsualLines) else [found[1]] for found in runs
    )
    begin = list(islice(orders, 2))
    if len(begin) == 1 and not begin[0].place.startswith("element"):
        begin = [begin[0]._replace(place="whole file")]
    return ((None, raw) for raw in chain(begin, orders))
