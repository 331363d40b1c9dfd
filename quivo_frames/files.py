"""Noun: files of orders -> the raw orders in them. Floor 3.

.ndjson and .jsonl hold an order a line, .json holds one order or a list of them; each may be packed as .gz or .zst.
Nothing is judged here: a broken line is a raw order like any other, and fails where it is decoded.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import msgspec
import zstandard

from quivo_frames.errors import ConfigError
from quivo_frames.response import RawOrder

LINES = (".ndjson", ".jsonl")
WHOLE = (".json",)
PACKED = (".gz", ".zst")
_BOM = b"\xef\xbb\xbf"
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder(msgspec.Raw)
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


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


def read(path: Path) -> Iterator[RawOrder]:
    """The raw orders of one file, in their order.

    Raises:
        ConfigError: the file cannot be read or unpacked.
    """
    try:
        with _open(path) as file:
            if _kind(path) in LINES:
                yield from _lines(path, file)
            else:
                yield from _whole(path, file.read())
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is broken or not packed so"
        raise ConfigError(f"The file {path} cannot be read: {reason}. Nothing was built from it.") from error


def _kind(path: Path) -> str | None:
    """The suffix that tells how orders stand in the file."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in LINES + WHOLE else None


def _open(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix.lower() == ".zst":
        return cast("IO[bytes]", zstandard.open(path, "rb"))
    return path.open("rb")


def _lines(path: Path, lines: IO[bytes]) -> Iterator[RawOrder]:
    for number, line in enumerate(lines, 1):
        body = line.removeprefix(_BOM) if number == 1 else line
        if body := body.strip():
            yield RawOrder(body, None, None, path.name, f"line {number}")


def _whole(path: Path, text: bytes) -> Iterator[RawOrder]:
    text = text.removeprefix(_BOM).strip()
    if not text.startswith(b"["):
        if _is_json(text) or not _is_json(text.split(b"\n", 1)[0]):
            yield RawOrder(text, None, None, path.name, "whole file")
        else:  # a line of its own for each order, under the other suffix
            for number, line in enumerate(text.split(b"\n"), 1):
                if body := line.strip():
                    yield RawOrder(body, None, None, path.name, f"line {number}")
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
    """The elements of a list that is broken somewhere, by its brackets: one bad order does not cost the others."""
    depth, start = 0, 1
    for token in _TOKENS.finditer(text):
        mark = token.group()
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
        if (mark == b"," and depth == 1) or (mark == b"]" and depth == 0):
            if element := text[start : token.start()].strip():
                yield element
            start = token.end()
            if depth == 0:
                break
    if rest := text[start:].strip():
        yield rest
