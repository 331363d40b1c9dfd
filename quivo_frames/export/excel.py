"""Excel export: one file with a sheet per table, each an Excel table of that name, written in flat memory.

Values that Excel cannot hold are rounded or written as text, and counted in the sheet `about`. No text becomes a
formula, a link or a number.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.export.excel_cells import MAX_CELL_UNITS
from quivo_frames.export.excel_sheets import WRITER_PROPERTY, open_workbook
from quivo_frames.export.excel_workbook import COLUMNS_SHEET, WorkbookWriter
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.tables import SCHEMA_VERSION, Table
from quivo_frames.storage.atomic import OutputKind, new_file

MAX_ROWS = 1_048_575
"""Rows of a sheet below its header."""
_PROPERTIES_FILE = "docProps/custom.xml"
_SNAPSHOT_NAME = re.compile(r"[0-9a-f]{16}")
_PRIVACY = {
    "full": "Privacy: full, personal data as in the orders.",
    "pseudonym": "Privacy: pseudonym, personal texts are replaced by pseudonyms.",
    "none": "Privacy: none, personal values are left out.",
}
_MEANING = (
    "All times and dates are UTC. An empty cell means no value.",
    "Ids are numbers, as far as Excel keeps all their digits; keys, codes and SSCCs are text.",
    "Keys are addresses: 1001/0/2 is order 1001, fulfillment order 0, shipment 2, counted from 0.",
    f"The sheet {COLUMNS_SHEET} says what each column means.",
)
_RELATION = (
    "Each sheet is an Excel table of the same name. Rows of two sheets belong together where a key column that they "
    "share has the same value."
)


def write_tables(job: ExportJob, out: str, *, max_rows: int = MAX_ROWS) -> ExportResult:
    """Write one file: the sheets `about` and `columns`, those given by the job, then a sheet per table.

    Of the derived tables and the given sheets only what fits is written.

    Raises:
        ConfigError: a table has more than `max_rows` rows, or the file was not written by quivo_frames.
        OSError: the disk refuses.
    """
    rows = {name: _count_rows(frame) for name, frame in job.tables.items()}
    given = {sheet.table.name: sheet.rows.height for sheet in job.sheets}
    left_out = [
        name for name, count in (given | rows).items() if count > max_rows and name not in _required_sheets(job)
    ]
    for name, count in rows.items():
        if count > max_rows and name not in left_out:
            raise ConfigError(
                f"{name} has {count:,} rows, and a sheet of Excel takes {max_rows:,}. Nothing was written. Export to "
                "duckdb, parquet or csv, or build tables of fewer orders."
            )
    sentences = [
        f"{name} has {(given | rows)[name]:,} rows, more than a sheet takes: it is left out." for name in left_out
    ]
    job = job.without_tables(left_out)
    with new_file(Path(out), KIND) as file, open_workbook(file, job.snapshot_name) as workbook:
        writer = WorkbookWriter(workbook, job)
        written = writer.write_sheets([*_describe(job), *_MEANING, _RELATION, *sentences])
        job.refuse_outdated()
    return ExportResult(ExportFormat.EXCEL, out, written, [*sentences, *writer.explain_changes()])


def _required_sheets(job: ExportJob) -> set[str]:
    return job.tables.keys() - DERIVED_TABLES


def _describe(job: ExportJob) -> list[str]:
    level = job.privacy.partition(" ")[0]
    return [
        f"Orders of Quivo as tables, written by quivo_frames {job.version}, schema version {SCHEMA_VERSION}.",
        *job.facts,
        _PRIVACY.get(level, f"Privacy: {job.privacy}."),
        f"Name of these tables: {job.snapshot_name}. The same tables have the same name.",
    ]


def write_frame(frame: pl.DataFrame, file: Path, table: Table, version: str, *, max_rows: int = MAX_ROWS) -> None:
    """Write one frame as a workbook with the sheets `about`, `columns`, and one of the name of its table.

    Raises:
        ConfigError: the frame has more than `max_rows` rows.
        OSError: the disk refuses.
    """
    if frame.height > max_rows:
        raise ConfigError(
            f"There are {frame.height:,} {table.name}, and a sheet of Excel takes {max_rows:,}. Nothing was written. "
            "Write them as .parquet, .csv or .ndjson."
        )
    job = ExportJob({table.name: frame.lazy()}, {table.name: table}, table.name, version)
    with open_workbook(file, table.name) as workbook:
        facts = (f"{table.name.capitalize()}, written by quivo_frames {version}.", *_MEANING)
        WorkbookWriter(workbook, job).write_sheets(facts)


def _count_rows(frame: pl.LazyFrame) -> int:
    counted: int = frame.select(pl.len()).collect().item()
    return counted


def written_as(file: Path) -> str | None:
    """What a workbook of ours holds: the name of a frame, or of the exported tables; None for any other file."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(_PROPERTIES_FILE) as properties:
            text = properties.read(MAX_CELL_UNITS).decode(errors="replace")
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, zlib.error, EOFError):
        return None
    found = re.search(rf'name="{WRITER_PROPERTY}"[^>]*><vt:lpwstr>(\w+)</vt:lpwstr>', text)
    return found and found[1]


KIND = OutputKind(
    "workbook with tables", lambda file: bool(_SNAPSHOT_NAME.fullmatch(written_as(file) or "")), (".xlsx",)
)
