"""Writes the answers of an archive as segments to a place, and the index that names them."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import msgspec
import polars as pl

from quivo_frames.archive.raw_export.index import (
    INDEX_FILE,
    INDEX_KIND,
    INDEX_LAYOUT,
    METADATA_COLUMNS,
    ROW_GROUP_ROWS,
    SEGMENT_COLUMNS,
    ExportIndex,
    Segment,
    decode_index,
    explain_write_errors,
    metadata_digest,
    read_index,
)
from quivo_frames.archive.responses import ResponseRow
from quivo_frames.display.text import format_count, noun_for, terminal_text
from quivo_frames.errors import ArchiveError, ConfigError
from quivo_frames.storage.place import Place

_SEGMENT_NAME = re.compile(r"(\.\S+-)?segment-\d+-[0-9a-f]{16}\.parquet")


class SegmentSizes(NamedTuple):
    """A segment ends with the order that brings it to `rows` answers or `json_bytes` of JSON."""

    rows: int = 50_000
    json_bytes: int = 256 * 2**20
    row_group_rows: int = ROW_GROUP_ROWS


DEFAULT_SIZES = SegmentSizes()
_EARLIER_IS_READABLE = "What was exported earlier can be read as before."


class ArchiveState(NamedTuple):
    """What of an archive is exported: its name, and the numbers of its last erasure and of its last response."""

    archive: str
    erasures: int
    last: int


class RawExport(NamedTuple):
    """What a place holds after an export, and how many segments were `written` and files `removed`.

    `erased` counts the orders that were erased from the archive meanwhile: they are left out. `notices` are sentences
    that users should read.
    """

    address: str
    archive: str
    answers: int
    orders: int
    segments: int
    bytes: int
    written: int
    removed: int
    erased: int = 0
    notices: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """The values as a dict, for JSON."""
        return self._asdict()

    def __str__(self) -> str:
        what = f"{format_count(self.answers, 'answer')} about {format_count(self.orders, 'order')} of {self.archive}"
        size = f"{format_count(self.segments, 'segment')}, {self.bytes / 1e6:,.1f} MB"
        held = f"{what} {noun_for(self.answers, 'is', 'are')} in {self.address}: {size}"
        there = self.segments - self.written
        were = noun_for(there, "was", "were")
        done = (
            f"{self.written:,} written, {there:,} {were} there already" if self.written else "nothing was to be written"
        )
        removed = f", {format_count(self.removed, 'older one')} removed" if self.removed else ""
        erased = f" {format_count(self.erased, 'order')} erased meanwhile: left out." if self.erased else ""
        return terminal_text(" ".join([f"{held} ({done}{removed}).{erased}", *self.notices]))


def write_raw_export(
    where: Place, rows: Iterable[ResponseRow], state: ArchiveState, on_rows: Callable[[int], object] = int,
    sizes: SegmentSizes = DEFAULT_SIZES, publish: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> RawExport:  # fmt: skip
    """Write responses to a place, where they replace an earlier export of the archive; holds one segment in memory.

    `rows` are sorted by order_id and response. `on_rows` gets the number of rows read since its last call. Readers see
    the earlier export until the index is swapped, at the end, in a block of `publish`.

    Raises:
        ConfigError: the place holds something else, or another archive.
        ArchiveError: another export was completed meanwhile.
        ExportError: the place cannot be written.
    """
    explain_errors = partial(explain_write_errors, where.address, _EARLIER_IS_READABLE)
    data, earlier, existing = read_earlier_export(where, state.archive)
    segments, written = [], 0
    for number, frame in enumerate(_split_into_segments(rows, on_rows, sizes)):
        segment, content = _encode_segment(number, frame, sizes.row_group_rows)
        segments.append(segment)
        if existing.get(segment.name) != segment.bytes:
            with explain_errors():
                where.write(segment.name, content)
            written += 1
    index = ExportIndex(
        INDEX_KIND, INDEX_LAYOUT, state.archive, earlier.export if earlier else 0, state.last, segments, state.erasures
    )
    unneeded = {name for name in existing if is_segment_name(name)} - {segment.name for segment in segments}
    # Unneeded files may belong to an export that is running: the index changes, so that its swap fails.
    is_changed = bool(unneeded) or earlier is None or index != msgspec.structs.replace(earlier, digest="")
    changed = msgspec.structs.replace(index, export=index.export + 1).to_json()
    with publish(), explain_errors():
        is_swapped = not is_changed or where.compare_and_swap(INDEX_FILE, changed, data)
    if not is_swapped:
        raise ArchiveError(
            f"Another export to {where.address} was completed meanwhile, and is what can be read there. "
            "Export again, so that the newest answers are there."
        )
    with explain_write_errors(where.address, "What was exported now is complete; older segments are still there."):
        where.remove(sorted(unneeded))
    answers, orders, size = (
        sum(getattr(segment, name) for segment in segments) for name in ("rows", "orders", "bytes")
    )
    return RawExport(where.address, state.archive, answers, orders, len(segments), size, written, len(unneeded))


class EarlierExport(NamedTuple):
    """What is at a place: the content of its index, the index, and the sizes of its files by name."""

    data: bytes | None
    earlier: ExportIndex | None
    sizes: dict[str, int]


def read_earlier_export(where: Place, archive: str) -> EarlierExport:
    """What is at a place of an export of an archive, by its name.

    Raises:
        ConfigError: the place holds something else, or another archive.
        ExportError: the place cannot be read.
    """
    with explain_write_errors(where.address, _EARLIER_IS_READABLE):
        data, sizes = read_index(where), {entry.name: entry.size for entry in where.list_entries()}
    index = None if data is None else decode_index(data, where.address)
    _refuse_foreign_place(where.address, index, sizes, archive)
    return EarlierExport(data, index, sizes)


def is_segment_name(name: str) -> bool:
    """Whether a file is a segment, by its name, or what a process that was killed left of one."""
    return _SEGMENT_NAME.fullmatch(name) is not None


def _refuse_foreign_place(address: str, earlier: ExportIndex | None, names: Iterable[str], archive: str) -> None:
    if earlier is not None and earlier.archive != archive:
        raise ConfigError(
            f"{address} holds the answers of another archive, {earlier.archive}. Nothing was written. "
            "Give each archive a place of its own."
        )
    foreign = (name for name in names if not (name.startswith(".") or is_segment_name(name)))
    if earlier is None and (name := next(foreign, None)):
        raise ConfigError(
            f"{address} holds something else, such as {name}. Nothing was written. Give an empty or new place."
        )


def _split_into_segments(
    rows: Iterable[ResponseRow], on_rows: Callable[[int], object], sizes: SegmentSizes
) -> Iterator[pl.DataFrame]:
    """One frame of rows per segment; all rows of an order are in one segment."""
    frames: list[pl.DataFrame] = []
    chunk: list[ResponseRow] = []
    count = size = 0
    order_id = None
    for row in rows:
        is_full = (count >= sizes.rows or size >= sizes.json_bytes) and row.order_id != order_id
        if is_full or len(chunk) == sizes.row_group_rows:
            frames.append(_frame_of_rows(chunk, on_rows))  # a frame takes less memory than rows as Python objects
            chunk = []
        if is_full:
            yield pl.concat(frames)
            frames, count, size = [], 0, 0
        chunk.append(row)
        count, size, order_id = count + 1, size + row.size, row.order_id
    if chunk:
        yield pl.concat([*frames, _frame_of_rows(chunk, on_rows)])


def _frame_of_rows(chunk: list[ResponseRow], on_rows: Callable[[int], object]) -> pl.DataFrame:
    on_rows(len(chunk))
    return pl.DataFrame(chunk, schema=SEGMENT_COLUMNS, orient="row")


def _encode_segment(number: int, frame: pl.DataFrame, row_group_rows: int) -> tuple[Segment, bytes]:
    """A segment as the index describes it, and the content of its file."""
    file = io.BytesIO()
    frame.write_parquet(file, compression="zstd", statistics=True, row_group_size=row_group_rows)
    content = file.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    ids = frame["order_id"]
    segment = Segment(
        name=f"segment-{number:05}-{sha256[:16]}.parquet",
        rows=frame.height,
        orders=ids.n_unique(),
        bytes=len(content),
        json_bytes=int(frame["size"].sum()),
        first=ids[0],
        last=ids[-1],
        sha256=sha256,
        numbers=metadata_digest(frame.select(list(METADATA_COLUMNS))),
    )
    return segment, content
