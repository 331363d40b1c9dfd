"""Verb: the answers of an archive -> segments in a place, and the marker that names them."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator
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
    ResponseRow,
    Segment,
    decode_index,
    explain_write_errors,
    metadata_digest,
    read_index,
)
from quivo_frames.display.text import format_count
from quivo_frames.errors import ArchiveError, ConfigError
from quivo_frames.storage.place import Place

SEGMENT_BYTES, SEGMENT_ROWS = 256 * 2**20, 50_000
"""Bytes of JSON, or answers, after which a segment ends with the order."""
_SEGMENT_NAME = re.compile(r"(\.\S+-)?segment-\d+-[0-9a-f]{16}\.parquet")
"""The name of a segment, and of one that was not finished."""


class RawExport(NamedTuple):
    """What an export did: what the place holds now, and how many segments were `written` and files `removed`."""

    address: str
    archive: str
    answers: int
    orders: int
    segments: int
    bytes: int
    written: int
    removed: int

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return self._asdict()

    def __str__(self) -> str:
        what = f"{self.answers:,} answers about {self.orders:,} orders of {self.archive}"
        held = f"{what} are in {self.address}: {format_count(self.segments, 'segment')}, {self.bytes / 1e6:,.1f} MB"
        there = self.segments - self.written
        done = (
            f"{self.written:,} written, {there:,} were there already" if self.written else "nothing was to be written"
        )
        removed = f", {self.removed:,} older ones removed" if self.removed else ""
        return f"{held} ({done}{removed})."


def write_raw_export(
    where: Place, rows: Iterable[ResponseRow], archive: str, last: int, on_rows: Callable[[int], object] = int
) -> RawExport:
    """Writes answers to a place, where they replace what an earlier export of the archive left; in flat memory.

    `rows` come sorted by order_id, fetched_at and response; `archive` is its name, `last` the number of the last
    response that was looked at. `shown` is told how many answers were read. Until the last moment the earlier export is
    what is read.

    Raises:
        ConfigError: the place holds something else, or another archive.
        ArchiveError: another export was first.
        ExportError: the place cannot be written.
    """
    unchanged = partial(explain_write_errors, where.address, "What was exported earlier can be read as before.")
    with unchanged():
        data, there = read_index(where), {entry.name: entry.size for entry in where.list_entries()}
    before = None if data is None else decode_index(data, where.address)
    _refuse_foreign_place(where.address, before, there, archive)
    segments, new = [], 0
    for number, frame in enumerate(_split_into_segments(rows, on_rows)):
        segment, content = _encode_segment(number, frame)
        segments.append(segment)
        if there.get(segment.name) != segment.bytes:
            with unchanged():
                where.write(segment.name, content)
            new += 1
    now = ExportIndex(INDEX_KIND, INDEX_LAYOUT, archive, before.export if before else 0, last, segments)
    left = {name for name in there if _SEGMENT_NAME.fullmatch(name)} - {segment.name for segment in segments}
    if now != before or left:  # what is left may be of an export under way: it must find another marker, and give up
        with unchanged():
            won = where.compare_and_swap(
                INDEX_FILE, msgspec.structs.replace(now, export=now.export + 1).to_json(), data
            )
        if not won:
            raise ArchiveError(
                f"Another export to {where.address} was completed meanwhile, and is what can be read there. "
                "Export again, so that the newest answers are there."
            )
    with explain_write_errors(where.address, "What was exported now is complete; older segments are still there."):
        where.remove(sorted(left))
    rows_, orders, size = (sum(getattr(of, name) for of in segments) for name in ("rows", "orders", "bytes"))
    return RawExport(where.address, archive, rows_, orders, len(segments), size, new, len(left))


def _refuse_foreign_place(address: str, before: ExportIndex | None, there: Iterable[str], archive: str) -> None:
    if before is not None and before.archive != archive:
        raise ConfigError(
            f"{address} holds the answers of another archive, {before.archive}. Nothing was written. "
            "Give each archive a place of its own."
        )
    others = (name for name in there if not (name.startswith(".") or _SEGMENT_NAME.fullmatch(name)))
    if before is None and (other := next(others, None)):
        raise ConfigError(
            f"{address} holds something else, such as {other}. Nothing was written. Give an empty or new place."
        )


def _split_into_segments(rows: Iterable[ResponseRow], on_rows: Callable[[int], object]) -> Iterator[pl.DataFrame]:
    """The answers of a segment each; all about an order are in one."""
    frames: list[pl.DataFrame] = []
    chunk: list[ResponseRow] = []
    count = size = 0
    order_id = None
    for row in rows:
        full = (count >= SEGMENT_ROWS or size >= SEGMENT_BYTES) and row.order_id != order_id
        if full or len(chunk) == ROW_GROUP_ROWS:
            frames.append(_frame_of_rows(chunk, on_rows))  # takes no more memory than the bytes themselves
            chunk = []
        if full:
            yield pl.concat(frames)
            frames, count, size = [], 0, 0
        chunk.append(row)
        count, size, order_id = count + 1, size + row.size, row.order_id
    if chunk:
        yield pl.concat([*frames, _frame_of_rows(chunk, on_rows)])


def _frame_of_rows(chunk: list[ResponseRow], on_rows: Callable[[int], object]) -> pl.DataFrame:
    on_rows(len(chunk))
    return pl.DataFrame(chunk, schema=SEGMENT_COLUMNS, orient="row")


def _encode_segment(number: int, frame: pl.DataFrame) -> tuple[Segment, bytes]:
    """A segment as a file, and what the marker says of it."""
    file = io.BytesIO()
    frame.write_parquet(file, compression="zstd", statistics=True, row_group_size=ROW_GROUP_ROWS)
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
