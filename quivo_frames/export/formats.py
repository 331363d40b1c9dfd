"""Exports tables to parquet, Delta Lake, DuckDB, DuckLake, Excel, CSV, as an event log or as a Power BI project.

Each format has a module with `write_tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import NamedTuple, Protocol

import msgspec
import polars as pl

from quivo_frames.display.text import format_count, terminal_lines
from quivo_frames.errors import ConfigError, DatasetError, ExportError, QuivoError
from quivo_frames.export.bi_measures import Measure
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.model.tables import TABLES, Table
from quivo_frames.storage.atomic import EXPORT_MARKER, OutputKind, explain_disk_error, is_disk_error, refuse_output
from quivo_frames.storage.own_json import decode_own_json
from quivo_frames.storage.path_names import check_path
from quivo_frames.storage.urls import refuse_password

LEFT_BY_SYSTEMS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that a file manager leaves in a folder that somebody looked at."""


KPI_TABLES = ("kpi_orders", "kpi_shipments", "kpi_groups")
"""The facts of the key figures, which a Power BI export has if it was given them."""


class ExportFormat(StrEnum):
    """The formats of an export; each is the name of the module that writes it."""

    PARQUET = "parquet"
    DELTA = "delta"
    DUCKDB = "duckdb"
    EXCEL = "excel"
    CSV = "csv"
    OCEL = "ocel"
    DUCKLAKE = "ducklake"
    POWERBI = "powerbi"


class WorkbookSheet(NamedTuple):
    """A further sheet of an Excel export, such as the findings; `personal` says whether it shows personal values.

    A Power BI export takes the facts of the key figures in this form, with the `measures` that show them.
    """

    table: Table
    rows: pl.DataFrame
    personal: bool = False
    measures: Mapping[str, Measure] = MappingProxyType({})

    def as_sheet(self) -> WorkbookSheet:
        """Itself."""
        return self


class SheetSource(Protocol):
    """What can be a sheet of an Excel export: findings and key figures."""

    def as_sheet(self) -> WorkbookSheet:
        """The sheet."""


class ExportJob(NamedTuple):
    """The tables to export, and what the export records about them.

    `tables` has the columns of `definitions`, in the same order. `snapshot_name` identifies the state of a dataset:
    equal tables have equal names. No data of `erased_order_ids` may remain at the target. `privacy` is the privacy
    level; for pseudonyms also the fingerprint of their key. `refuse_outdated` is called before the target is replaced,
    and raises an error if the tables are no longer those of the dataset. `complete_folder` adds to a folder of parquet
    files, before it replaces the target, what makes it a dataset again. `sheets` (excel; facts in
    powerbi) are further sheets, `facts` are sentences about the tables for readers.
    """

    tables: Mapping[str, pl.LazyFrame]
    definitions: Mapping[str, Table]
    snapshot_name: str
    version: str
    erased_order_ids: Sequence[int] = ()
    privacy: str = "full"
    refuse_outdated: Callable[[], object] = lambda: None
    complete_folder: Callable[[Path], object] = lambda _: None
    sheets: Sequence[WorkbookSheet] = ()
    facts: Sequence[str] = ()

    def without_tables(self, names: Collection[str]) -> ExportJob:
        """The same without some tables and sheets."""
        tables = {name: rows for name, rows in self.tables.items() if name not in names}
        sheets = [sheet for sheet in self.sheets if sheet.table.name not in names]
        return self._replace(
            tables=tables, definitions={name: self.definitions[name] for name in tables}, sheets=sheets
        )

    def emptying(self, is_at_target: Callable[[str], bool]) -> ExportJob:
        """The same, and without rows the derived tables that an earlier export left at the target and this one lacks.

        So they hold no orders that are erased, and none as they were before.
        """
        left = {name: table for name, table in DERIVED_TABLES.items() if name not in self.tables and is_at_target(name)}
        no_rows = {name: table.empty_frame().lazy() for name, table in left.items()}
        return self._replace(tables={**self.tables, **no_rows}, definitions={**self.definitions, **left})


class ExportResult(NamedTuple):
    """What an export wrote: format, target, rows per table, and sentences that users should read (`notices`)."""

    form: ExportFormat
    out: str
    rows: Mapping[str, int]
    notices: Sequence[str] = ()

    def __str__(self) -> str:
        lines = [f"{format_count(sum(self.rows.values()), 'row')} of {len(self.rows)} tables written to {self.out}."]
        return terminal_lines([*lines, *(f"  {sentence}" for sentence in self.notices)])


def parse_export_format(name: str) -> ExportFormat:
    """The export format of that name.

    Raises:
        ConfigError: no format has that name.
    """
    if name not in list(ExportFormat):
        raise ConfigError(f"There is no export format {name!r}. The formats are: {', '.join(ExportFormat)}.")
    return ExportFormat(name)


def read_sheets(sources: Sequence[SheetSource], form: ExportFormat, level: PrivacyLevel) -> list[WorkbookSheet]:
    """The further sheets of an export.

    Raises:
        ConfigError: the format has no sheets, or one shows personal values that the export must not have.
    """
    sheets = [source.as_sheet() for source in sources]
    are_facts = form is ExportFormat.POWERBI and all(sheet.table.name in KPI_TABLES for sheet in sheets)
    if sheets and form is not ExportFormat.EXCEL and not are_facts:
        raise ConfigError(f"Further sheets are for excel only. Leave them out of the export to {form}.")
    for sheet in sheets:
        if sheet.personal and level is not PrivacyLevel.FULL:
            raise ConfigError(
                f"The {sheet.table.name} show personal values, and the export is one with privacy {level}. Leave out "
                "personal=True."
            )
    return sheets


def load_writer_module(form: ExportFormat) -> ModuleType:
    """The module that writes a format.

    Raises:
        ConfigError: the library that it needs is not installed.
    """
    try:
        return import_module(f"{__package__}.{form}")
    except ModuleNotFoundError as error:
        raise ConfigError(f"{form} needs {error.name}. Install it: pip install 'quivo-frames[export]'.") from error


def refuse_export_target(form: ExportFormat, out: str) -> None:
    """Find out, before anything is done, that a format cannot be exported to a target.

    Raises:
        ConfigError: something else is there than an earlier export, a library is missing, or the address holds a
            password.
    """
    refuse_password(out)
    writer = load_writer_module(form)
    if form is ExportFormat.DUCKLAKE:
        writer.refuse_target(out)
    elif "://" not in out:
        refuse_output(check_path(out), writer.KIND)


def export_tables(job: ExportJob, form: ExportFormat, out: str, *, by_month: bool = False) -> ExportResult:
    """Write tables to a target: either all of them, or the target stays as it was.

    `out` is a file or a folder; for parquet and Delta also an address of an object store, for ducklake of Postgres.
    `by_month` (parquet only) writes a folder per month of the order date.

    Raises:
        ConfigError: the target holds something else, the format cannot be written there, or its library is missing.
        ExportError: the target cannot be written.
    """
    if by_month and form is not ExportFormat.PARQUET:
        raise ConfigError("Only parquet exports can be written by month. Leave it out, or export to parquet.")
    if "://" in out and form not in (ExportFormat.PARQUET, ExportFormat.DELTA, ExportFormat.DUCKLAKE):
        raise ConfigError(f"{form} is written to a disk of this machine only. For {out}, export to parquet or delta.")
    writer = load_writer_module(form)
    options = {"by_month": True} if by_month else {}
    try:
        result: ExportResult = writer.write_tables(job, out, **options)
    except QuivoError:
        raise
    except OSError as error:
        raise ExportError(
            f"The tables cannot be written to {out}: {explain_disk_error(error)}. What was there before is untouched. "
            "Make room or give another place, and export again."
        ) from error
    except pl.exceptions.PolarsError as error:  # its message may contain a value of an order
        refused = f"they cannot be read or written ({type(error).__name__})"
        cause = explain_disk_error(error) if is_disk_error(error) else refused
        raise ExportError(
            f"The tables were not exported to {out}: {cause}. What was there before is untouched. Make room, or look "
            "with `quivo-frames check` whether the tables are damaged, and export again."
        ) from error
    return result


def kind_of_folder(noun: str, marked: str, ending: str, more: Collection[str] = ()) -> OutputKind:
    """The kind of a folder with a file `<table><ending>` for each table, `more` files, and a marker: `marked`."""
    return OutputKind(noun, partial(_is_export_folder, marked=marked, ending=ending, more=more), is_folder=True)


class _ExportMarker(msgspec.Struct):
    export: str
    rows: dict[str, int] | None = None


def _is_export_folder(folder: Path, marked: str, ending: str, more: Collection[str]) -> bool:
    """Whether a folder has the marker of an export of this kind.

    Raises:
        ConfigError: it does, but also files that no export wrote.
    """
    try:
        marker = decode_own_json((folder / EXPORT_MARKER).read_bytes(), _ExportMarker, EXPORT_MARKER, "")
    except (OSError, DatasetError):
        return False
    if marker.export != marked:
        return False
    tables = {*TABLES, *(marker.rows or ())}  # an earlier version had other tables
    ours = {EXPORT_MARKER, *more, *LEFT_BY_SYSTEMS, *(f"{name}{ending}" for name in tables)}
    for file in folder.rglob("*"):
        if file.name not in ours and not file.is_dir():
            raise ConfigError(
                f"{folder} holds an export, and also {file.relative_to(folder)}, which no export wrote. Nothing was "
                "overwritten. Move it to another place, or give another folder."
            )
    return True
