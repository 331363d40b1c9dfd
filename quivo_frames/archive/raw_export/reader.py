"""Noun: the segments of a place, as they were when it was opened; orders are read from any spot on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import PurePath
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.archive.raw_export.index import (
    MARKER,
    NUMBERS,
    ROW_GROUP,
    Marker,
    Segment,
    decoded,
    digest,
    fetch,
    read,
)
from quivo_frames.errors import ArchiveError, ConfigError, QuivoError
from quivo_frames.model.records import RawOrder
from quivo_frames.storage.place import Place


class Spot(NamedTuple):
    """Where an answer stands: the number of its segment, and its row there, both from 0."""

    segment: int
    row: int


class Segments:
    """The segments that a place had when it was opened; small enough to be sent to another process."""

    def __init__(self, where: Place, seen: str) -> None:
        self.address = where.address
        self._place, self._seen = where, seen
        self._source = PurePath(where.address).name  # not the segment: an answer may come to stand in another one

    @classmethod
    def open(cls, where: Place) -> Segments:
        """The segments in a place.

        Raises:
            ConfigError: there are none, or a later version wrote them.
            ArchiveError: the place cannot be read.
        """
        with read(where.address):
            data = fetch(where)
        if data is None:
            raise ConfigError(
                f"In {where.address} are no answers that were exported from an archive: there is no {MARKER}. "
                "Check the address, or export there first: quivo-frames export-raw."
            )
        opened = cls(where, hashlib.sha256(data).hexdigest())
        opened.marker = decoded(data, where.address)
        return opened

    def __reduce__(self) -> tuple[Any, ...]:
        return Segments, (self._place, self._seen)  # a marker of many segments is large, and quickly read again

    @cached_property
    def marker(self) -> Marker:
        """What is there.

        Raises:
            ArchiveError: it is not any more what was opened.
        """
        with read(self.address):
            data = fetch(self._place)
        if data is None or hashlib.sha256(data).hexdigest() != self._seen:
            raise self._changed()
        return decoded(data, self.address)

    @property
    def size(self) -> int:
        """Bytes of JSON of all answers."""
        return sum(segment.json_bytes for segment in self.marker.segments)

    def index(self, as_of: datetime | None = None) -> Iterator[pl.DataFrame]:
        """The newest good answer of each order, in frames: order_id, fetched_at, size, fingerprint, segment, row.

        `as_of` leaves out answers that came later. The fingerprint is the first 8 bytes of the sha256 of the body, as
        an archive has it; segment and row are its spot. No body is read.

        Raises:
            ArchiveError: a segment is missing or damaged.
        """
        fingerprint = pl.col("sha256").bin.slice(0, 8).bin.reinterpret(dtype=pl.Int64, endianness="big")
        for number, segment in enumerate(self.marker.segments):
            spot = pl.lit(number, pl.Int64).alias("segment"), "row"
            columns = "order_id", "fetched_at", "size", fingerprint.alias("fingerprint")
            yield self._newest(segment, as_of).select(*columns, *spot)

    def read(self, start: Spot | None = None, as_of: datetime | None = None) -> Iterator[RawOrder]:
        """The newest good answers from a spot on, by order id, in flat memory; each is what was once received.

        Raises:
            ArchiveError: a segment is missing or damaged.
        """
        start = start or Spot(0, 0)
        for number, segment in enumerate(self.marker.segments[start.segment :], start.segment):
            first = start.row if number == start.segment else 0
            yield from self._orders(segment, self._newest(segment, as_of).filter(pl.col("row") >= first))

    def pick(self, order_ids: Sequence[int], as_of: datetime | None = None) -> Iterator[RawOrder]:
        """The newest good answers about some orders, by order id; little else is read.

        Raises:
            ArchiveError: a segment is missing or damaged.
        """
        wanted = pl.Series(order_ids, dtype=pl.Int64)
        for segment in self.marker.segments:
            here = wanted.filter(wanted.is_between(segment.first, segment.last))
            if len(here):
                newest = self._newest(segment, as_of)
                yield from self._orders(segment, newest.filter(pl.col("order_id").is_in(here.implode())))

    def _newest(self, segment: Segment, as_of: datetime | None) -> pl.DataFrame:
        """NUMBERS of the newest good answers in a segment, and their rows."""
        with self._explained(segment):
            numbers = self._scan(segment).select(list(NUMBERS)).collect()
            seen = digest(numbers)
        if seen != segment.numbers:
            raise self._damaged(segment, "is not what was exported")
        taken = pl.col("good") if as_of is None else pl.col("good") & (pl.col("fetched_at") <= as_of)
        found = numbers.with_columns(pl.int_range(pl.len()).alias("row")).filter(taken)
        return found.unique("order_id", keep="last", maintain_order=True)

    def _orders(self, segment: Segment, wanted: pl.DataFrame) -> Iterator[RawOrder]:
        """The orders of some rows; row groups without one are not read."""
        for _, rows in wanted.group_by(pl.col("row") // ROW_GROUP, maintain_order=True):
            first, last = rows["row"][0], rows["row"][-1]
            with self._explained(segment):
                found = self._scan(segment).select("body").slice(first, last - first + 1).collect()
                bodies = found["body"].gather(rows["row"] - first)
            facts = rows.select("order_id", "fetched_at", "response", "sha256").iter_rows()
            for (order_id, fetched_at, response, sha256), body in zip(facts, bodies, strict=True):
                if hashlib.sha256(body or b"").digest() != sha256:
                    raise self._damaged(segment, f"has not what was received (order {order_id}, response {response})")
                yield RawOrder(body, order_id, fetched_at.replace(tzinfo=UTC), self._source, f"response {response}")

    def _scan(self, segment: Segment) -> pl.LazyFrame:
        return pl.scan_parquet(self._place.uri(segment.name), glob=False)

    @contextmanager
    def _explained(self, segment: Segment) -> Iterator[None]:
        try:
            yield
        except QuivoError:
            raise
        except (Exception, pl.exceptions.PanicException) as error:  # polars panics at some files
            raise self._meaning(segment, error) from error

    def _meaning(self, segment: Segment, error: BaseException) -> ArchiveError:
        """Why a segment could not be read, by a look at the place: what polars says may hold rows."""
        with read(self.address):
            content, marker = self._place.read(segment.name), fetch(self._place)
        if marker is None or hashlib.sha256(marker).hexdigest() != self._seen:
            return self._changed()
        if content is None:
            return ArchiveError(f"{segment.name} in {self.address} is missing. {self._again('Export')}")
        if len(content) != segment.bytes:
            return self._damaged(segment, f"has {len(content):,} bytes, and {segment.bytes:,} were exported")
        if hashlib.sha256(content).hexdigest() != segment.sha256:
            return self._damaged(segment, "is not what was exported")
        kind = type(error).__name__
        return ArchiveError(f"{segment.name} in {self.address} cannot be read, though it is whole ({kind}). Try again.")

    def _changed(self) -> ArchiveError:
        return ArchiveError(f"Answers were exported anew to {self.address} while they were read. Do the same again.")

    def _damaged(self, segment: Segment, how: str) -> ArchiveError:
        return ArchiveError(f"{segment.name} in {self.address} {how}. {self._again('Delete it, and export')}")

    def _again(self, do: str) -> str:
        command = f"quivo-frames export-raw --archive {self.marker.archive} {self.address}"
        return f"{do} the archive there again: {command}"
