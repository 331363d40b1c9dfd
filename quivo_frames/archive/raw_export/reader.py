"""Reads a raw export as it was when it was opened, from any position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from itertools import repeat
from pathlib import PurePath
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.archive.raw_export.index import (
    INDEX_FILE,
    METADATA_COLUMNS,
    ROW_GROUP_ROWS,
    ExportIndex,
    Segment,
    decode_index,
    explain_read_errors,
    metadata_digest,
    read_index,
)
from quivo_frames.errors import ArchiveError, ConfigError, QuivoError
from quivo_frames.model.records import RawOrder
from quivo_frames.storage.place import Place

SEGMENTS_AT_A_TIME = 8
"""Segments whose metadata are read at a time: an object store answers several requests in the time of one."""


class SegmentPosition(NamedTuple):
    """Where an answer is: the number of its segment, and its row there, both from 0."""

    segment: int
    row: int


class RawExportReader:
    """The raw export in a place whose index has the sha256 `index_sha256`; it can be pickled, in few bytes."""

    def __init__(self, where: Place, index_sha256: str, row_group_rows: int = ROW_GROUP_ROWS) -> None:
        self.address = where.address
        self._place, self._index_sha256, self._row_group_rows = where, index_sha256, row_group_rows
        self._source = PurePath(where.address).name  # not the segment: a later export may move an answer to another one
        self._last_looked_at: tuple[str, datetime | None, pl.DataFrame] = ("", None, pl.DataFrame())

    @classmethod
    def open(cls, where: Place, row_group_rows: int = ROW_GROUP_ROWS) -> RawExportReader:
        """The raw export that a place holds now; `row_group_rows` is how many rows are read at once.

        Raises:
            ConfigError: there is none, or a later version wrote it.
            ArchiveError: the place cannot be read.
        """
        with explain_read_errors(where.address):
            data = read_index(where)
        if data is None:
            raise ConfigError(
                f"In {where.address} are no answers that were exported from an archive: there is no {INDEX_FILE}. "
                "Check the address, or export there first: quivo-frames export-raw."
            )
        opened = cls(where, hashlib.sha256(data).hexdigest(), row_group_rows)
        opened.export_index = decode_index(data, where.address)
        return opened

    def __reduce__(self) -> tuple[Any, ...]:
        # without the index, which may be large, and is quickly read again
        return RawExportReader, (self._place, self._index_sha256, self._row_group_rows)

    @cached_property
    def export_index(self) -> ExportIndex:
        """The index of the export.

        Raises:
            ArchiveError: another export has replaced it since it was opened.
        """
        with explain_read_errors(self.address):
            data = read_index(self._place)
        if data is None or hashlib.sha256(data).hexdigest() != self._index_sha256:
            raise self._replaced_error()
        return decode_index(data, self.address)

    @property
    def json_bytes(self) -> int:
        """The size of all answers as JSON."""
        return sum(segment.json_bytes for segment in self.export_index.segments)

    def count_erased(self) -> int:
        """How many orders were erased from the archive since this export, as far as a later export there knows.

        Raises:
            ArchiveError: the place cannot be read.
        """
        with explain_read_errors(self.address):
            data = read_index(self._place)
        if data is None or hashlib.sha256(data).hexdigest() == self._index_sha256:
            return 0
        return max(decode_index(data, self.address).erasures - self.export_index.erasures, 0)

    def index_newest(self, as_of: datetime | None = None) -> Iterator[pl.DataFrame]:
        """The newest good answer of each order, in frames, with the columns of `Archive.index_newest`, segment and row.

        `as_of` leaves out answers that came later, by their times. Segment and row are a `SegmentPosition`. No body is
        read.

        Raises:
            ArchiveError: a segment is missing or damaged.
        """
        fingerprint = pl.col("sha256").bin.slice(0, 8).bin.reinterpret(dtype=pl.Int64, endianness="big")
        columns = "order_id", "fetched_at", "size", fingerprint.alias("fingerprint"), "clock_ran_backwards"
        segments = self.export_index.segments
        with ThreadPoolExecutor(SEGMENTS_AT_A_TIME) as pool:
            for start in range(0, len(segments), SEGMENTS_AT_A_TIME):
                rows = pool.map(self._read_newest_rows, segments[start : start + SEGMENTS_AT_A_TIME], repeat(as_of))
                for number, newest in enumerate(rows, start):
                    self._last_looked_at = segments[number].name, as_of, newest
                    yield newest.select(*columns, pl.lit(number, pl.Int64).alias("segment"), "row")

    def read_from(self, start: SegmentPosition | None = None, as_of: datetime | None = None) -> Iterator[RawOrder]:
        """The newest good answers from a position on, by order id, in flat memory; each is verified.

        Raises:
            ArchiveError: a segment is missing or damaged.
        """
        start = start or SegmentPosition(0, 0)
        for number, segment in enumerate(self.export_index.segments[start.segment :], start.segment):
            first = start.row if number == start.segment else 0
            yield from self._read_bodies(segment, self._newest_rows(segment, as_of).filter(pl.col("row") >= first))

    def read_orders(self, order_ids: Sequence[int], as_of: datetime | None = None) -> Iterator[RawOrder]:
        """The newest good answers of some orders, by order id; only their row groups are read.

        Raises:
            ArchiveError: a segment is missing or damaged.
        """
        wanted = pl.Series(order_ids, dtype=pl.Int64)
        for segment in self.export_index.segments:
            here = wanted.filter(wanted.is_between(segment.first, segment.last))
            if len(here):
                newest = self._newest_rows(segment, as_of)
                yield from self._read_bodies(segment, newest.filter(pl.col("order_id").is_in(here.implode())))

    def _newest_rows(self, segment: Segment, as_of: datetime | None) -> pl.DataFrame:
        """METADATA_COLUMNS of the newest good answers in a segment, their `row` in it, and clock_ran_backwards.

        Those of the last segment are kept: several partitions begin in one.
        """
        name, moment, newest = self._last_looked_at
        if (name, moment) != (segment.name, as_of):
            newest = self._read_newest_rows(segment, as_of)
            self._last_looked_at = segment.name, as_of, newest
        return newest

    def _read_newest_rows(self, segment: Segment, as_of: datetime | None) -> pl.DataFrame:
        with self._explain_segment_errors(segment):
            metadata = self._scan_segment(segment).select(list(METADATA_COLUMNS)).collect()
            digest = metadata_digest(metadata)
        if digest != segment.numbers:
            raise self._damaged_error(segment, "is not what was exported")
        is_good = pl.col("good") if as_of is None else pl.col("good") & (pl.col("fetched_at") <= as_of)
        good = metadata.with_columns(pl.int_range(pl.len()).alias("row")).filter(is_good)
        latest = pl.col("fetched_at").max().over("order_id")
        by_number = good.with_columns((latest > pl.col("fetched_at")).alias("clock_ran_backwards")).sort(
            "order_id",
            "response",  # earlier versions sorted the answers of an order by time
        )
        return by_number.unique("order_id", keep="last", maintain_order=True)

    def _read_bodies(self, segment: Segment, wanted: pl.DataFrame) -> Iterator[RawOrder]:
        """The orders in some rows of a segment; row groups without one are not read."""
        for _, rows in wanted.group_by(pl.col("row") // self._row_group_rows, maintain_order=True):
            first, last = rows["row"][0], rows["row"][-1]
            with self._explain_segment_errors(segment):
                found = self._scan_segment(segment).select("body").slice(first, last - first + 1).collect()
                bodies = found["body"].gather(rows["row"] - first)
            facts = rows.select("order_id", "fetched_at", "response", "sha256").iter_rows()
            for (order_id, fetched_at, response, sha256), body in zip(facts, bodies, strict=True):
                if hashlib.sha256(body or b"").digest() != sha256:
                    raise self._damaged_error(
                        segment, f"has not what was received (order {order_id}, response {response})"
                    )
                yield RawOrder(body, order_id, fetched_at.replace(tzinfo=UTC), self._source, f"response {response}")

    def _scan_segment(self, segment: Segment) -> pl.LazyFrame:
        return pl.scan_parquet(self._place.uri(segment.name), glob=False)

    @contextmanager
    def _explain_segment_errors(self, segment: Segment) -> Iterator[None]:
        try:
            yield
        except QuivoError:
            raise
        except (Exception, pl.exceptions.PanicException) as error:  # polars panics on some damaged files
            raise self._diagnose_segment_error(segment, error) from error

    def _diagnose_segment_error(self, segment: Segment, error: BaseException) -> ArchiveError:
        """Why a segment could not be read, found by reading its file: the text of polars' error may quote rows."""
        with explain_read_errors(self.address):
            content, index = self._place.read(segment.name), read_index(self._place)
        if index is None or hashlib.sha256(index).hexdigest() != self._index_sha256:
            return self._replaced_error()
        if content is None:
            return ArchiveError(f"{segment.name} in {self.address} is missing. {self._export_again('Export')}")
        if len(content) != segment.bytes:
            return self._damaged_error(segment, f"has {len(content):,} bytes, and {segment.bytes:,} were exported")
        if hashlib.sha256(content).hexdigest() != segment.sha256:
            return self._damaged_error(segment, "is not what was exported")
        kind = type(error).__name__
        return ArchiveError(f"{segment.name} in {self.address} cannot be read, though it is whole ({kind}). Try again.")

    def _replaced_error(self) -> ArchiveError:
        return ArchiveError(f"Answers were exported again to {self.address} while they were read. Do the same again.")

    def _damaged_error(self, segment: Segment, how: str) -> ArchiveError:
        return ArchiveError(f"{segment.name} in {self.address} {how}. {self._export_again('Delete it, and export')}")

    def _export_again(self, do: str) -> str:
        command = f"quivo-frames export-raw --archive {self.export_index.archive} {self.address}"
        return f"{do} the archive there again: {command}"
