"""Raw orders of files: .ndjson and .jsonl have one order per line, .json one order or a list; also as .gz or .zst.

Nothing is validated here: a broken line is a raw order like any other, and fails where it is decoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from quivo_frames.errors import ConfigError
from quivo_frames.model.records import RawOrder
from quivo_frames.storage.compressed import COMPRESSED_SUFFIXES, READ_ERRORS, open_decompressed

LINE_SUFFIXES = (".ndjson", ".jsonl")
DOCUMENT_SUFFIXES = (".json",)
_BOM = b"\xef\xbb\xbf"
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_value_decoder = msgspec.json.Decoder(msgspec.Raw)
_prefix_decoder = json.JSONDecoder()
_BETWEEN = re.compile(r"\s*[,\]]\s*")
_NEXT_OBJECT = re.compile(r",\s*(?=\{)")
_ORDER_START = re.compile(r'\{\s*"orderId"\s*:')


def find_order_files(path: Path) -> list[Path]:
    """The file itself, or all files of orders in a folder and its subfolders, sorted by name.

    Raises:
        ConfigError: there is no file of orders.
    """
    kinds = ", ".join((*LINE_SUFFIXES, *DOCUMENT_SUFFIXES))
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if _format_suffix(file) and file.is_file())
        if not found:
            raise ConfigError(f"In the folder {path} is no file of orders. Give files that end in {kinds} (.gz, .zst).")
        return found
    if not path.exists():
        raise ConfigError(f"There is no file {path}. Check the name and the folder you are in.")
    if not _format_suffix(path):
        raise ConfigError(f"{path} is neither an archive nor a file of orders: those end in {kinds} (.gz, .zst).")
    return [path]


class LinePosition(NamedTuple):
    """Where a line begins: its number, and the bytes before it."""

    line: int
    offset: int


_FIRST_LINE = LinePosition(1, 0)


def read_orders(path: Path, start: LinePosition | None = None) -> Iterator[RawOrder]:
    """The raw orders of one file, in their order, from `start` on.

    Raises:
        ConfigError: the file cannot be read or decompressed.
    """
    return (raw for _, raw in read_with_positions(path, start))


def read_with_positions(
    path: Path, start: LinePosition | None = None
) -> Iterator[tuple[LinePosition | None, RawOrder]]:
    """The same, each with the position to start from; None where reading can only start at the first order."""
    first = start or _FIRST_LINE
    try:
        with open_decompressed(path) as file:
            if _format_suffix(path) in LINE_SUFFIXES and path.suffix.lower() not in COMPRESSED_SUFFIXES:
                file.seek(first.offset)
                yield from _read_lines(path, file, first)
            elif _format_suffix(path) in LINE_SUFFIXES:
                yield from ((None, raw) for _, raw in _read_lines(path, file))
            else:
                yield from ((None, raw) for raw in _read_document(path, file.read()))
    except READ_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is broken or not packed so"
        raise ConfigError(f"The file {path} cannot be read: {reason}. Nothing was built from it.") from error


def _format_suffix(path: Path) -> str | None:
    """The suffix that names the format, whatever the compression; None: no file of orders."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in LINE_SUFFIXES + DOCUMENT_SUFFIXES else None


def _read_lines(
    path: Path, lines: Iterable[bytes], first: LinePosition = _FIRST_LINE
) -> Iterator[tuple[LinePosition, RawOrder]]:
    name, offset = path.name, first.offset
    for number, line in enumerate(lines, first.line):
        body = line.removeprefix(_BOM) if number == 1 else line
        if body := body.strip():
            yield LinePosition(number, offset), RawOrder(body, None, None, name, f"line {number}")
        offset += len(line)


def _read_document(path: Path, text: bytes) -> Iterator[RawOrder]:
    text = text.removeprefix(_BOM).strip()
    if not text.startswith(b"["):
        if _is_json(text) or not any(line[:1] == b"{" and _is_json(line) for line in text.split(b"\n")):
            yield RawOrder(text, None, None, path.name, "whole file")
        else:  # one order per line, in spite of the suffix
            yield from (raw for _, raw in _read_lines(path, text.split(b"\n")))
        return
    for number, element in enumerate(_list_elements(text), 1):
        yield RawOrder(element, None, None, path.name, f"element {number}")


def _is_json(text: bytes) -> bool:
    try:
        _value_decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def _list_elements(text: bytes) -> Iterator[bytes]:
    try:
        elements = _list_decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        yield from _split_broken_list(text)
    else:
        yield from (bytes(element) for element in elements)


def _split_broken_list(text: bytes) -> Iterator[bytes]:
    """The elements of a list that is broken somewhere: a broken one ends where the next order begins."""
    rest = text.decode("utf-8", "surrogateescape")
    start = len(rest) - len(rest[1:].lstrip())
    while start < len(rest):
        end = _element_end(rest, start)
        if element := rest[start:end].strip():
            yield element.encode("utf-8", "surrogateescape")
        between = _BETWEEN.match(rest, end)
        start = between.end() if between else len(rest)


def _element_end(rest: str, start: int) -> int:
    """Where the element ends that begins at `start`."""
    end = start
    with suppress(ValueError, RecursionError):
        end = _prefix_decoder.raw_decode(rest, start)[1]
        if _BETWEEN.match(rest, end):
            return end
    following = (found for found in _NEXT_OBJECT.finditer(rest, end) if _begins_order(rest, found.end()))
    return next((found.start() for found in following), len(rest.removesuffix("]")))


def _begins_order(rest: str, start: int) -> bool:
    if _ORDER_START.match(rest, start):
        return True
    try:
        return "orderId" in _prefix_decoder.raw_decode(rest, start)[0]
    except (ValueError, RecursionError):
        return False
