"""Rows as a file that a browser downloads: written through the guards of exports, and removed when it was sent."""

from __future__ import annotations

import weakref
from contextlib import ExitStack

import polars as pl
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from quivo_frames.export.frame_file import write_frame_file
from quivo_frames.model.tables import Table
from quivo_frames.storage.leftovers import temporary_folder

_MEDIA_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def send_rows(rows: pl.DataFrame, table: Table, ending: str) -> FileResponse:
    """Rows of a table as a file with an ending, which is removed when it is sent, or nobody wants it."""
    with ExitStack() as stack:
        file = stack.enter_context(temporary_folder()) / f"{table.name}{ending}"
        write_frame_file(rows, file, table)
        removal = stack.pop_all()
    response = FileResponse(
        file, filename=file.name, media_type=_MEDIA_TYPES[ending], background=BackgroundTask(removal.close)
    )
    weakref.finalize(response, removal.close)
    return response
