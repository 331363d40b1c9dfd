"""Verb: a frame -> a file of the form that its name tells. Floor 2."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.storage.atomic import OWNER, reason


def save(frame: pl.DataFrame, file: str | os.PathLike[str], what: str, *, personal: bool) -> None:
    """Writes a frame to a .parquet, .csv or .ndjson file, for its owner alone if personal values are in it.

    `what` is what messages call the rows.

    Raises:
        ConfigError: the name ends otherwise, or the disk refuses.
    """
    path = Path(file)
    ways: dict[str, Callable[[Path], None]] = {
        ".parquet": frame.write_parquet, ".csv": frame.write_csv, ".ndjson": frame.write_ndjson,
    }  # fmt: skip
    if path.suffix not in ways:
        raise ConfigError(f"{path}: {what} are written as {', '.join(ways)}. Give a name that ends so.")
    try:
        if personal:
            path.touch(mode=OWNER)
            path.chmod(OWNER)
        ways[path.suffix](path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(f"{path} cannot be written: {reason(error)}.") from error
