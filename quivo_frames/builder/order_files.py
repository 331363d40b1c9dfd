"""Noun: files of orders -> the raw orders in them. Floor 3.

.ndjson and .jsonl hold an order a line, .json holds one order or a list of them; each may be packed as .gz or .zst.
Nothing is judged here: a broken line is a raw order like any other, and fails where it is decoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from quivo_frames.errors import ConfigError
from quivo_frames.model.records import RawOrder
from quivo_frames.storage.compressed import PACKED, UNREADABLE, unpacked

if TYPE_CHECKING:
    pass

LINES = (".ndjson", ".jsonl")
WHOLE = (".json",)
_BOM = b"\xef\xbb\xbf"
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder(msgspec.Raw)
_element = json.JSONDecoder()
_BETWEEN = re.compile(r"\s*[,\]]\s*")
_NEXT_OBJECT = re.compile(r",\s*(?=\{)")
_ORDER = re.compile(r'\{\s*"orderId"\s*:')


def find(path: Path) -> list[Path]:
    """The files of orders that a path means: itself, or those in the folder, sorted by name.

    Raises:
        ConfigError: nothing is there, or nothing that can be read.
    """
    kinds = ", ".join((*LINES, *WHOLE))
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if _kind(file) and file.is_file())
        if not found:
            raise ConfigError(f"In the folder {path} is no file of orders. Give files that end in {kinds} (.gz, .zst).")
        return found
    if not path.exists():
        raise ConfigError(f"There is no file {path}. Check the name and the folder you are in.")
    if not _kind(path):
        raise ConfigError(f"{path} is neither an archive nor a file of orders: those end in {kinds} (.gz, .zst).")
    return [path]


class Spot(NamedTuple):
    """Where a line begins: its number, and the bytes before it."""

    line: int
    offset: int


_FIRST = Spot(1, 0)


def read(path: Path, start: Spot | None = None) -> Iterator[RawOrder]:
    """The raw orders of one file, in their order; from a spot on, if one is given.

    Raises:
        ConfigError: the file cannot be read or unpacked.
    """
    return (raw for _, raw in spots(path, start))


def spots(path: Path, start: Spot | None = None) -> Iterator[tuple[Spot | None, RawOrder]]:
    """The same with the spot of each; None where reading can begin at the first order only."""
    first = start or _FIRST
    try:
        with unpacked(path) as file:
            if _kind(path) in LINES and path.suffix.lower() not in PACKED:
                file.seek(first.offset)
                yield from _lines(path, file, first)
            elif _kind(path) in LINES:
                yield from ((None, raw) for _, raw in _lines(path, file))
            else:
                yield from ((None, raw) for raw in _whole(path, file.read()))
    except UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is broken or not packed so"
        raise ConfigError(f"The file {path} cannot be read: {reason}. Nothing was built from it.") from error


def _kind(path: Path) -> str | None:
    """The suffix that tells how orders stand in the file."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in LINES + WHOLE else None


def _lines(path: Path, lines: Iterable[bytes], first: Spot = _FIRST) -> Iterator[tuple[Spot, RawOrder]]:
    name, offset = path.name, first.offset
    for number, line in enumerate(lines, first.line):
        body = line.removeprefix(_BOM) if number == 1 else line
        if body := body.strip():
            yield Spot(number, offset), RawOrder(body, None, None, name, f"line {number}")
        offset += len(line)


def _whole(path: Path, text: bytes) -> Iterator[RawOrder]:
    text = text.removeprefix(_BOM).strip()
    if not text.startswith(b"["):
        if _is_json(text) or not any(line[:1] == b"{" and _is_json(line) for line in text.split(b"\n")):
            yield RawOrder(text, None, None, path.name, "whole file")
        else:  # a line of its own for each order, under the other suffix
            yield from (raw for _, raw in _lines(path, text.split(b"\n")))
        return
    for number, element in enumerate(_list(text), 1):
        yield RawOrder(element, None, None, path.name, f"element {number}")


def _is_json(text: bytes) -> bool:
    try:
        _any.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def _list(text: bytes) -> Iterator[bytes]:
    try:
        elements = _elements.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        yield from _split(text)
    else:
        yield from (bytes(element) for element in elements)


def _split(text: bytes) -> Iterator[bytes]:
    """The elements of a list that is broken somewhere: one bad order does not cost the others.

    A broken element goes on to where the next order begins.
    """
    rest = text.decode("utf-8", "surrogateescape")
    start = len(rest) - len(rest[1:].lstrip())
    while start < len(rest):
        end = _end(rest, start)
        if element := rest[start:end].strip():
            yield element.encode("utf-8", "surrogateescape")
        between = _BETWEEN.match(rest, end)
        start = between.end() if between else len(rest)


def _end(rest: str, start: int) -> int:
    """Where the element ends that begins at `start`."""
    end = start
    with suppress(ValueError, RecursionError):
        end = _element.raw_decode(rest, start)[1]
        if _BETWEEN.match(rest, end):
            return end
    following = (found for found in _NEXT_OBJECT.finditer(rest, end) if _is_order(rest, found.end()))
    return next((found.start() for found in following), len(rest.removesuffix("]")))


def _is_order(rest: str, start: int) -> bool:
    if _ORDER.match(rest, start):
        return True
    try:
        return "orderId" in _element.raw_decode(rest, start)[0]
    except (ValueError, RecursionError):
        return False
