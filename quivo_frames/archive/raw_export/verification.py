"""Verification of a raw export: whatever in it is not as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import polars as pl

from quivo_frames.archive.raw_export.index import (
    METADATA_COLUMNS,
    Segment,
    explain_read_errors,
    metadata_digest,
)
from quivo_frames.archive.raw_export.reader import RawExportReader
from quivo_frames.archive.raw_export.writer import is_segment_name
from quivo_frames.storage.place import Place


class RawExportCheck(NamedTuple):
    """How many segments, orders and answers a raw export has, and by name of a file what is wrong with it."""

    looked: Mapping[str, int]
    flaws: Mapping[str, str]


def check_raw_export(where: Place) -> RawExportCheck:
    """Compare each segment of a raw export with its index.

    Raises:
        ConfigError: there is no raw export, or its index is damaged.
        ArchiveError: the place cannot be read.
    """
    index = RawExportReader.open(where).export_index
    with explain_read_errors(where.address):
        found = {entry.name: entry.size for entry in where.list_entries()}
        flaws = dict(_flaws_of_segments(where, index.segments, found))
    named = {segment.name for segment in index.segments}
    for name in sorted(name for name in found if is_segment_name(name) and name not in named):
        flaws[name] = "is left of an export that is under way or was cut off, and may hold orders that were erased"
    looked = {
        "segments": len(named),
        **{name: sum(getattr(one, name) for one in index.segments) for name in ("orders", "rows")},
    }
    return RawExportCheck(looked, flaws)


def _flaws_of_segments(where: Place, segments: list[Segment], found: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for segment in segments:
        if segment.name not in found:
            yield segment.name, "is missing"
        elif found[segment.name] != segment.bytes or where.file_digest(segment.name) != segment.sha256:
            yield segment.name, "is not what was exported"
        elif segment != _describe_again(where, segment):  # the file is as it was written, so it can be read
            yield segment.name, "is described otherwise in the index"


def _describe_again(where: Place, segment: Segment) -> Segment:
    """A segment as its file describes it."""
    metadata = pl.scan_parquet(where.uri(segment.name), glob=False).select(list(METADATA_COLUMNS)).collect()
    ids = metadata["order_id"]
    return Segment(
        segment.name, metadata.height, ids.n_unique(), segment.bytes, int(metadata["size"].sum()), ids[0], ids[-1],
        segment.sha256, metadata_digest(metadata),
    )  # fmt: skip
