"""A frame as a file that a command saves: parquet, CSV, NDJSON or an Excel workbook, as its name says."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.errors import ConfigError, DatasetError
from quivo_frames.export.csv import explain_guarded_texts, write_csv_file
from quivo_frames.export.formats import ExportFormat, load_writer_module
from quivo_frames.model.tables import Table
from quivo_frames.storage.atomic import OutputKind, explain_write_errors, new_file, refuse_output_file
from quivo_frames.storage.own_json import decode_own_json

_PARQUET_KEY = "quivo_frames"
"""The key in the metadata of a parquet file under which stands what it holds."""
_MAX_LINE = 2**20
"""Bytes of a first line that are read to recognise a file."""


def write_frame_file(frame: pl.DataFrame, file: str | os.PathLike[str], table: Table) -> list[str]:
    """Write a frame, which has the columns of `table`, to a .parquet, .csv, .ndjson or .xlsx file.

    The name of the table is what the file holds, as in `findings`; it replaces an earlier file of the same. Returns
    sentences that users should read: how many texts were changed so that no spreadsheet runs them.

    Raises:
        ConfigError: as for `refuse_frame_file`; or there are more rows than a sheet of Excel takes.
        ExportError: the disk refuses, or another process is writing to the file.
    """
    path = Path(file)
    refuse_frame_file(path, table)
    with explain_write_errors(path), new_file(path, _kind_of_file(path, table)) as new:
        return _FORMATS[path.suffix.lower()].write(frame, new, table) or []


def refuse_frame_file(path: Path, table: Table) -> None:
    """Find out, before there are any rows, that they cannot be written to a file.

    Raises:
        ConfigError: the name ends otherwise, something else is there, or a library is missing.
    """
    ending = path.suffix.lower()
    if ending not in _FORMATS:
        raise ConfigError(f"{path}: {table.name} are written as {', '.join(_FORMATS)}. Give a name that ends so.")
    if ending == ".xlsx":
        load_writer_module(ExportFormat.EXCEL)
    refuse_output_file(path, _kind_of_file(path, table))


def _kind_of_file(path: Path, table: Table) -> OutputKind:
    ending = path.suffix.lower()
    return OutputKind(f"{ending} file of {table.name}", lambda file: _FORMATS[ending].holds(file, table), (ending,))


class _FrameFormat(NamedTuple):
    """How a frame is written in a format, and whether a file holds rows of a table in that format."""

    write: Callable[[pl.DataFrame, Path, Table], list[str] | None]
    holds: Callable[[Path, Table], bool]


def _holds_parquet(file: Path, table: Table) -> bool:
    try:
        return pl.read_parquet_metadata(file).get(_PARQUET_KEY) == table.name
    except pl.exceptions.PolarsError:
        return False


def _holds_csv(file: Path, table: Table) -> bool:
    return _first_line(file).rstrip(b"\r\n") == ",".join(table.schema).encode()


def _holds_ndjson(file: Path, table: Table) -> bool:
    try:
        found = decode_own_json(_first_line(file), dict[str, Any], str(file), "")
    except DatasetError:
        return False
    return list(found) == list(table.schema)


def _holds_workbook(file: Path, table: Table) -> bool:
    return bool(load_writer_module(ExportFormat.EXCEL).written_as(file) == table.name)


def _first_line(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.readline(_MAX_LINE)


def _write_csv(frame: pl.DataFrame, file: Path, _: Table) -> list[str]:
    return explain_guarded_texts(write_csv_file(with_flat_lists(frame).lazy(), file)[1])


def with_flat_lists(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with lists of names and values as texts, such as `ordered=3, shipped=2`; null if there are none."""
    entry = pl.concat_str(pl.element().struct["name"], pl.lit("="), pl.element().struct["value"])
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    return frame.with_columns(
        pl.when(pl.col(name).list.len() > 0).then(pl.col(name).list.eval(entry).list.join(", ")) for name in lists
    )


def _write_workbook(frame: pl.DataFrame, file: Path, table: Table) -> None:
    load_writer_module(ExportFormat.EXCEL).write_frame(with_flat_lists(frame), file, table, version("quivo_frames"))


_FORMATS = {
    ".parquet": _FrameFormat(
        lambda frame, file, table: frame.write_parquet(file, metadata={_PARQUET_KEY: table.name}), _holds_parquet
    ),
    ".csv": _FrameFormat(_write_csv, _holds_csv),
    ".ndjson": _FrameFormat(lambda frame, file, _: frame.write_ndjson(file), _holds_ndjson),
    ".xlsx": _FrameFormat(_write_workbook, _holds_workbook),
}
