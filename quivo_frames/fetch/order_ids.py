"""Order ids from iterables, files, a pipe, or the failures of a run.

A value that cannot be an order id is an error, raised before the first request, that says where the value is. Files may
hold personal data beside the ids, so messages show only wrong values that consist of digits and punctuation.
"""

from __future__ import annotations

import csv
import io
import logging
import operator
import os
import re
import string
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast, overload

from quivo_frames.display.text import format_count, terminal_text
from quivo_frames.errors import ConfigError
from quivo_frames.fetch.event_ids import PlacedValues, begins_like_json, read_event_ids
from quivo_frames.fetch.id_columns import EXACT_DIGITS, read_csv_column, read_parquet_column, read_workbook_column
from quivo_frames.storage import compressed
from quivo_frames.storage.bounded_lines import MAX_LINE_BYTES, LineTooLong, read_text_lines
from quivo_frames.storage.path_names import check_path

if TYPE_CHECKING:
    from quivo_frames.archive.archive import Archive

logger = logging.getLogger(__name__)
LARGEST_ID = 2**63 - 1
SHOWN_IDS = 5  # wrong ids that a message shows
POINT_NOTE = "with a decimal point (100001.0)"

_TABLE_SUFFIXES = (".csv", ".tsv")
_PARQUET_SUFFIXES = (".parquet", ".pq")
EVENT_SUFFIXES = (".json", ".ndjson", ".jsonl")
"""How the names of files of webhook events end, also before .gz or .zst."""
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_WORKBOOK_SUFFIXES = (".xlsx", ".xlsm")
_WORD = re.compile(r"[^\s,;]+", re.ASCII)  # a blank that does not break is part of a number: French thousands
_WHOLE_FLOAT = re.compile(rf"([0-9]{{1,{EXACT_DIGITS}}})\.00?")  # .000 may be thousands
_SHORTENED = re.compile(r"[0-9][.,]?[0-9]*[eE]\+?[0-9]+")
_UNSEEN = frozenset({"Cf", "Zs", "Cc"})
"""Unicode categories of characters that nobody sees."""
LONGEST_SHOWN = 40  # characters of a wrong id
_HARMLESS = re.compile(rf"[-+0-9.,:/#%TZeE ]{{1,{LONGEST_SHOWN}}}")


def _count_reason(reason: str, count: int) -> str:
    """A number with its reason, which begins with a noun: 1 row without an id, 2 events of SHIPMENTS."""
    noun, *more = reason.split(" ", 1)
    return " ".join([format_count(count, noun.removesuffix("s") if noun in _NOUNS else noun, noun), *more])


_NOUNS = ("rows", "events")


class Ids(Sequence[int]):
    """The order ids of one source in its order, 8 bytes each.

    `source` is the name of the source, `left_out` counts by reason what it holds beside ids, `notes` ids that were
    written unusually. `pl.DataFrame({"order_id": ids})` makes a frame of them.
    """

    def __init__(
        self, order_ids: Iterable[int], source: str, left_out: Mapping[str, int] | None = None,
        notes: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self._numbers = array("q", order_ids)
        self.source = source
        self.left_out = dict(left_out or {})
        self.notes = dict(notes or {})

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        return self._numbers[index]

    def __str__(self) -> str:
        """The number of ids, the source, what was left out, and what was noted."""
        text = f"{format_count(len(self), 'order id')} from {self.source}"
        for title, counts in (("left out", self.left_out), ("noted", self.notes)):
            if counts:
                text += f"; {title}: " + ", ".join(_count_reason(*one) for one in counts.items())
        return terminal_text(text)

    def __repr__(self) -> str:
        return f"<Ids: {self}>"


def read_ids(source: str | os.PathLike[str] | IO[bytes], column: str | None = None) -> Ids:
    """The order ids in a file, or in a stream of bytes such as `sys.stdin.buffer`.

    The suffix of the file says how to read it; each kind may be compressed as .gz or .zst:

    - .csv, .tsv: a column, as Excel and others write it. `column` names it; without it, a column whose name means the
      order id is taken (order_id, orderId, Order ID, id).
    - .parquet: a column of numbers or text, chosen in the same way.
    - .xlsx: the same of the first sheet of a workbook; needs `pip install 'quivo-frames[export]'`.
    - .json, .ndjson, .jsonl: webhook events of Quivo, `{"events":[{"id":…,"entity":"ORDERS",…}]}`. Events of other
      entities are left out and counted, because their ids are no order ids. A folder is read as all such files in it.
    - anything else, and a stream: text with ids separated by line ends, blanks or commas, and comments that begin with
      #. If it begins like JSON, it is read as events; if `column` is given, as a table.

    Whole numbers with a decimal point, as spreadsheets write them (100001.0), are ids, and noted.

    Raises:
        ConfigError: the source cannot be read, has no such column, or something in it cannot be an order id.
    """
    if isinstance(source, (str, os.PathLike)):
        return _read_file(check_path(source), column)
    stream = getattr(source, "buffer", source)
    if not isinstance(stream, io.BufferedIOBase):
        raise ConfigError("The ids can be read from a file name or from a stream of bytes: open it with mode 'rb'.")
    name = getattr(stream, "name", None)
    known = name.strip("<>") if isinstance(name, str) else "the stream"
    if isinstance(stream, io.BufferedReader):
        return _read_stream(stream, known, "", column)
    buffered = io.BufferedReader(cast("io.RawIOBase", stream))
    try:
        return _read_stream(buffered, known, "", column)
    finally:
        buffered.detach()  # otherwise the stream would be closed with it


def read_failed_ids(archive: Archive, run: int) -> Ids:
    """The orders for which a run of the archive has no good answer.

    Raises:
        ConfigError: the archive has no such run.
    """
    runs = archive.runs()["run"]
    if run not in runs:
        known = f"its runs are {runs[0]} to {runs[-1]}" if len(runs) else "it has none yet"
        raise ConfigError(f"{archive.path} has no run {run}: {known}.")
    return Ids(archive.failures(run)["order_id"], f"the failures of run {run}")


def validate_ids(order_ids: Iterable[object]) -> Iterator[int]:
    """The ids as integers, one by one. Raises ConfigError after the last one if any cannot be an order id.

    Whole floats (100001.0) are ids, and logged.
    """
    if isinstance(order_ids, Ids):
        return iter(order_ids)
    if hasattr(type(order_ids), "columns"):
        raise ConfigError('The order ids must be one column, not a whole table: give table["order_id"].')
    if isinstance(order_ids, (str, bytes)) or not hasattr(order_ids, "__iter__"):
        raise ConfigError(
            "The order ids must be a list or another iterable of ids, even for a single one. "
            "Ids in a file: read_ids(path)."
        )
    return _validate_given(order_ids)


def _validate_given(order_ids: Iterable[object]) -> Iterator[int]:
    notes: Counter[str] = Counter()
    yield from _validate_values(enumerate(order_ids, 1), "", "no.", lambda value: repr(value)[:40], notes=notes)
    for reason, count in notes.items():
        logger.warning("Of the order ids, %d came %s.", count, reason)


def _validate_values(
    given: Iterable[tuple[int, object]], where: str, unit: str, show: Callable[[object], str], hint: str = "", *,
    notes: Counter[str],
) -> Iterator[int]:  # fmt: skip
    """The ids; `notes` counts those that were whole floats."""
    wrong = 0
    shown: list[str] = []
    for place, value in given:
        order_id = _parse_order_id(value)
        if order_id is None and (order_id := _parse_whole_float(value)) is not None:
            notes[POINT_NOTE] += 1
        if order_id is not None:
            yield order_id
        else:
            wrong += 1
            if len(shown) < SHOWN_IDS:
                shown.append(f"{show(value)} ({unit} {place:,})")
    if wrong:
        more = f" and {wrong - SHOWN_IDS:,} more" if wrong > SHOWN_IDS else ""
        if any(map(_SHORTENED.search, shown)):
            hint = f" A spreadsheet has shortened numbers: format the column as text, and enter longer ids again.{hint}"
        raise ConfigError(
            f"{wrong:,} of the ids{where} cannot be order ids: {', '.join(shown)}{more}. "
            f"An order id is a whole number from 1 to {LARGEST_ID}.{hint} Nothing was done."
        )


def _parse_order_id(given: object) -> int | None:
    if isinstance(given, str):
        digits = given.strip()
        order_id = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 40 else 0
    elif isinstance(given, bool) or not hasattr(given, "__index__"):
        return None
    else:
        order_id = operator.index(given)
    return order_id if 1 <= order_id <= LARGEST_ID else None


def _parse_whole_float(given: object) -> int | None:
    if isinstance(given, str):
        found = _WHOLE_FLOAT.fullmatch(given.strip())
        return _parse_order_id(found[1]) if found else None
    whole = isinstance(given, float) and given.is_integer() and given < 10**EXACT_DIGITS
    return _parse_order_id(int(cast("float", given))) if whole else None


def _show_harmless(value: object) -> str:
    """A value of a file as a message may show it: personal data is replaced by its length."""
    text = str(value)
    if _HARMLESS.fullmatch(text):
        return repr(text)
    return _show_unseen(text) or f"a text of {len(text)} characters, not shown"


def _show_unseen(text: str) -> str:
    """A number, and the characters among its digits that nobody sees, by code and place; "" for other texts."""
    digits = [at for at, sign in enumerate(text) if sign in string.digits]
    unseen = [at for at, sign in enumerate(text) if unicodedata.category(sign) in _UNSEEN]
    if not digits or not unseen or len(digits) + len(unseen) < len(text) or len(text) > LONGEST_SHOWN:
        return ""
    places = ["before" if at < digits[0] else "after" if at > digits[-1] else "within" for at in unseen]
    named = dict.fromkeys(f"U+{ord(text[at]):04X} {place} the number" for at, place in zip(unseen, places, strict=True))
    return f"'{''.join(text[at] for at in digits)}' with {' and '.join(named)}"


def _read_file(path: Path, column: str | None) -> Ids:
    if not path.exists():
        raise ConfigError(f"There is no file {path}. Check the name and the folder you are in.")
    if path.is_dir():
        return _read_event_folder(path, column)
    packed = path.suffix.lower() in compressed.COMPRESSED_SUFFIXES
    suffix = Path(path.stem if packed else path.name).suffix.lower()
    try:
        with cast("io.BufferedReader[Any]", compressed.open_decompressed(path)) as stream:
            return _read_stream(stream, str(path), suffix, column, None if packed else path)
    except compressed.READ_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is broken or not packed so"
        raise ConfigError(f"The file {path} cannot be read: {reason}.") from error


def list_event_files(folder: Path) -> list[Path]:
    """The files of webhook events in a folder, by name: those whose names end as such files do."""

    def is_event_file(file: Path) -> bool:
        name = Path(file.stem) if file.suffix.lower() in compressed.COMPRESSED_SUFFIXES else file
        return name.suffix.lower() in EVENT_SUFFIXES and not file.name.startswith(".") and file.is_file()

    return sorted(filter(is_event_file, folder.iterdir()))


def _read_event_folder(folder: Path, column: str | None) -> Ids:
    try:
        files = list_event_files(folder)
    except OSError as error:
        raise ConfigError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    if not files:
        endings = ", ".join(EVENT_SUFFIXES)
        raise ConfigError(
            f"There are no files of webhook events ({endings}) in the folder {folder}: name a file of ids."
        )
    read = [_read_file(file, column) for file in files]
    left_out: Counter[str] = sum((Counter(ids.left_out) for ids in read), Counter())
    notes: Counter[str] = sum((Counter(ids.notes) for ids in read), Counter())
    return Ids(chain.from_iterable(read), f"{format_count(len(files), 'file')} in {folder}", left_out, notes)


def _read_stream(
    stream: io.BufferedReader[Any], name: str, suffix: str, column: str | None, path: Path | None = None
) -> Ids:  # fmt: skip
    head = stream.peek(64)[:64]
    left_out: Counter[str] = Counter()
    notes: Counter[str] = Counter()

    def take_ids(values: PlacedValues, where: str, unit: str, hint: str = "") -> Ids:
        ids = _validate_values(values, f" in {where}", unit, _show_harmless, hint, notes=notes)
        return Ids(ids, where, left_out, notes)

    if suffix in _PARQUET_SUFFIXES or head.startswith(b"PAR1"):
        where, values = read_parquet_column(path or _read_whole(stream, name), name, column, left_out)
        return take_ids(values, where, "row")
    if suffix in _WORKBOOK_SUFFIXES or head.startswith(b"PK\x03\x04"):
        where, values = read_workbook_column(path or _read_whole(stream, name), name, column, left_out)
        return take_ids(values, where, "row below the names")
    encoding = next((encoding for bom, encoding in _BOMS.items() if head.startswith(bom)), "utf-8")
    if encoding != "utf-16" and (b"\0" in head or head.startswith(b"\x1f\x8b")):
        raise ConfigError(
            f"{name} is neither text nor one of the files that ids can be read from (.csv, .tsv, .xlsx, .parquet, "
            ".json, .ndjson, .jsonl, also as .gz or .zst)."
        )
    text = io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")
    lines = read_text_lines(text, MAX_LINE_BYTES)
    try:
        if suffix in EVENT_SUFFIXES or (suffix not in _TABLE_SUFFIXES and column is None and begins_like_json(head)):
            return take_ids(read_event_ids(lines, name, column, left_out), name, "line")
        if suffix in _TABLE_SUFFIXES or column is not None:
            where, values = read_csv_column(lines, name, column, left_out)
            return take_ids(values, where, "line")
        hint = " If this is a table, tell the column of the ids: column, --column."
        return take_ids(_split_words(lines), name, "line", hint)
    except csv.Error as error:
        raise ConfigError(f"{name} cannot be read as CSV ({error}).") from error
    except LineTooLong as error:
        raise _too_large(name, f", line {error.number:,}") from error
    finally:
        text.detach()  # the stream of the caller stays open


def _read_whole(stream: IO[bytes], name: str) -> io.BytesIO:
    content = stream.read(MAX_LINE_BYTES + 1)
    if len(content) > MAX_LINE_BYTES:
        raise _too_large(name)
    return io.BytesIO(content)


def _too_large(name: str, line: str = "") -> ConfigError:
    return ConfigError(
        f"{name}{line}: there is more than can be read at once ({MAX_LINE_BYTES // 2**20} MiB unpacked). Put each id, "
        "or each event, into a line of its own."
    )


def _split_words(lines: Iterable[str]) -> PlacedValues:
    for number, line in enumerate(lines, 1):
        yield from ((number, word[0]) for word in _WORD.finditer(line.partition("#")[0]))
