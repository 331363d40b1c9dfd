"""Exports the answers of an archive while others write to it or erase from it."""

from __future__ import annotations

from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

from quivo_frames.archive import erasures, responses
from quivo_frames.archive.database import open_for_reading
from quivo_frames.archive.raw_export.writer import (
    ArchiveState,
    RawExport,
    SegmentSizes,
    read_earlier_export,
    write_raw_export,
)
from quivo_frames.display.progress import open_progress_bar
from quivo_frames.storage.place import Place, open_place, refuse_output_place

if TYPE_CHECKING:
    import os
    from collections.abc import Generator
    from pathlib import Path
    from typing import Any

    from quivo_frames.archive.responses import ResponseRow
    from quivo_frames.storage.output_register import OutputRegister

RAW_EXPORT = "raw export"


def export_archive(
    path: Path,
    address: str | os.PathLike[str],
    outputs: OutputRegister[Any],
    sizes: SegmentSizes,
    progress: bool | None,
) -> RawExport:
    """Write all answers to a place, again as long as orders are erased meanwhile; `outputs` remembers the place.

    Raises:
        ConfigError: there is no archive, or the place holds something else.
        ArchiveError: a response is damaged, or another export to the place was completed first.
        ExportError: the place cannot be written.
    """
    refuse_output_place(address, RAW_EXPORT)
    place, first = open_place(address), erasures.last_erasure(path)
    read_earlier_export(place, path.name)  # refuses a place of something else, before it is remembered
    notices = outputs.record_saved_file(place.address, RAW_EXPORT)
    export_once = partial(_export_once, path, place, first, sizes, progress)
    for _ in range(erasures.ATTEMPTS - 1):
        with suppress(erasures.ErasedMeanwhile):
            return export_once()._replace(notices=tuple(notices))
    return export_once()._replace(notices=tuple(notices))


def _export_once(path: Path, place: Place, first_erasure: int, sizes: SegmentSizes, progress: bool | None) -> RawExport:
    """Write the raw export, unless orders are erased meanwhile; what was erased after `first_erasure` is counted.

    Raises:
        ErasedMeanwhile: orders were erased meanwhile; what can be read at the place is as it was.
    """
    state = ArchiveState(path.name, erasures.last_erasure(path), responses.last_response(path))
    publish = partial(erasures.publish_unless_erased, path, state.erasures)
    with open_progress_bar("export", state.last, progress) as bar, closing(read_responses(path, state.last)) as rows:
        done = write_raw_export(place, rows, state, bar.update, sizes, publish)
    return done._replace(erased=state.erasures - first_erasure)


def read_responses(path: Path, last: int) -> Generator[ResponseRow]:
    """All responses that have a body, up to a number, sorted by order and number."""
    with open_for_reading(path) as db:
        yield from responses.read_all(db, path, last)
