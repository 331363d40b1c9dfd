"""A frame as a file that a command saves: parquet, CSV or NDJSON, as its name says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.storage.atomic import explain_disk_error, new_file, refuse_unwritable_path


def write_frame_file(frame: pl.DataFrame, file: str | os.PathLike[str], rows_name: str, *, personal: bool) -> None:
    """Write a frame to a .parquet, .csv or .ndjson file, for its owner alone if it holds personal values.

    `rows_name` is what messages call the rows. A file that is there is replaced when the new one is complete.

    Raises:
        ConfigError: the name ends otherwise, no file can be there, or the disk refuses.
        ExportError: another process is writing to the file.
    """
    path = Path(file)
    writers: dict[str, Callable[[Path], None]] = {
        ".parquet": frame.write_parquet, ".csv": frame.write_csv, ".ndjson": frame.write_ndjson,
    }  # fmt: skip
    if path.suffix not in writers:
        raise ConfigError(f"{path}: {rows_name} are written as {', '.join(writers)}. Give a name that ends so.")
    refuse_unwritable_path(path, f"{rows_name}.csv")
    try:
        with new_file(path, owner_only=personal) as new:
            writers[path.suffix](new)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(f"{path} cannot be written: {explain_disk_error(error)}.") from error
