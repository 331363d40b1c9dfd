"""Nouns: the places where tables land: folders of parquet or CSV, Delta Lake, DuckDB, Excel. Floor 3.

Its rooms: parquet, delta, duckdb, excel and csv, each of which writes all tables to one place, whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import polars as pl

from quivo_frames.errors import ConfigError, ExportError, QuivoError
from quivo_frames.model.tables import Table
from quivo_frames.storage.atomic import explain_disk_error

_EXTRA = "export"


class ExportFormat(StrEnum):
    """What an export is written as; each is a room."""

    PARQUET = "parquet"
    DELTA = "delta"
    DUCKDB = "duckdb"
    EXCEL = "excel"
    CSV = "csv"


class ExportJob(NamedTuple):
    """The tables on their way: their rows, their descriptions, and what they are called.

    `tables` has the columns of `described`, in its order. `name` tells one state of a dataset from another: the same
    tables have the same name. `erased` are orders of which nothing may stay behind at the place that is written to.
    `privacy` tells how personal values were concealed: the level, and of pseudonyms what tells their key from others.
    """

    tables: Mapping[str, pl.LazyFrame]
    definitions: Mapping[str, Table]
    snapshot_name: str
    version: str
    erased_order_ids: Sequence[int] = ()
    privacy: str = "full"


class ExportResult(NamedTuple):
    """What was written: where to, the rows of each table, and what its reader should know, a sentence each."""

    form: ExportFormat
    out: str
    rows: Mapping[str, int]
    told: Sequence[str] = ()

    def __str__(self) -> str:
        lines = [f"{sum(self.rows.values()):,} rows of {len(self.rows)} tables written to {self.out}."]
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.told)])


def parse_export_format(name: str) -> ExportFormat:
    """The form of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in list(ExportFormat):
        raise ConfigError(f"There is no form of export {name!r}. The forms are: {', '.join(ExportFormat)}.")
    return ExportFormat(name)


def load_writer_module(form: ExportFormat) -> ModuleType:
    """The module that writes a form.

    Raises:
        ConfigError: its library is missing.
    """
    try:
        return import_module(f"{__package__}.{form}")
    except ModuleNotFoundError as error:
        raise ConfigError(f"{form} needs {error.name}. Install it: pip install 'quivo-frames[{_EXTRA}]'.") from error


def export_tables(outgoing: ExportJob, form: ExportFormat, out: str, *, by_month: bool = False) -> ExportResult:
    """Writes tables to a place, which then holds them whole, or is as it was before.

    `out` is a file or a folder; for parquet and Delta also an address of an object store (s3://, gs://, az://).
    `by_month` (parquet alone) gives each month of the order date a folder of its own.

    Raises:
        ConfigError: the place holds something else, the form does not fit the place, or its library is missing.
        ExportError: the place cannot be written.
    """
    if by_month and form is not ExportFormat.PARQUET:
        raise ConfigError("By month is a way of parquet exports. Leave it out, or export to parquet.")
    if "://" in out and form not in (ExportFormat.PARQUET, ExportFormat.DELTA):
        raise ConfigError(f"{form} is written to this machine's disk alone. For {out}, export to parquet or delta.")
    room = load_writer_module(form)
    options = {"by_month": True} if by_month else {}
    try:
        exported: ExportResult = room.write_tables(outgoing, out, **options)
    except QuivoError:
        raise
    except OSError as error:
        raise ExportError(
            f"The tables cannot be written to {out}: {explain_disk_error(error)}. What was there before is untouched. "
            "Make room or give another place, and export again."
        ) from error
    except pl.exceptions.PolarsError as error:  # its text may hold a value
        full = "No space left" in str(error)
        told = explain_disk_error(error) if full else f"they cannot be read or written ({type(error).__name__})"
        raise ExportError(
            f"The tables were not exported to {out}: {told}. What was there before is untouched. Make room, or look "
            "with `quivo-frames check` whether the tables are damaged, and export again."
        ) from error
    return exported
