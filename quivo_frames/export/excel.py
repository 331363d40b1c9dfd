"""Excel export: one file with a sheet per table, written in flat memory.

Values that Excel would change are written as text and counted: it keeps 15 digits of a number, milliseconds of a time,
and no day before 1900. Ids and keys are always text. No text becomes a formula, a link or a number.

Limits: https://support.microsoft.com/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.utility import xl_range
from xlsxwriter.worksheet import Worksheet

from quivo_frames.display.text import format_count
from quivo_frames.errors import ConfigError
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import SCHEMA_VERSION, Column, Table
from quivo_frames.storage.atomic import OutputKind, new_file, temporary_folder_of

MAX_ROWS = 1_048_575
"""Rows of a sheet below its header."""
MAX_CELL_UNITS = 32_767
"""UTF-16 code units of a cell."""
BATCH_ROWS = 1_000
"""Rows in memory at a time."""
ABOUT_SHEET, COLUMNS_SHEET, LONG_TEXTS_SHEET = "about", "columns", "long_texts"
"""The sheets that are not tables."""
_WRITER_PROPERTY, _PROPERTIES_FILE = "quivo_frames", "docProps/custom.xml"
_SNAPSHOT_NAME = re.compile(r"[0-9a-f]{16}")

_MAX_DIGITS = 15
_SMALLEST, _LARGEST = 2.2251e-308, 9.99999999999999e307
_FIRST_DAY = date(1900, 3, 1)
"""Earlier days are off by one in Excel, which takes 1900 for a leap year."""
_EPOCH_SERIAL = 25_569
"""1970-01-01 as a serial number of Excel."""
_DAY_MILLISECONDS = 86_400_000
_WIDEST, _NARROWEST = 48, 9

_NUMBER = f"Numbers of more than {_MAX_DIGITS} digits, or beyond Excel's range, stand as text"
_TIME = "Times finer than a millisecond, or before 1900-03-01, stand as text (ISO 8601)"
_EARLY = "Days before 1900-03-01 stand as text (ISO 8601)"
_CODED = "Texts hold characters as codes, because XML cannot: Excel shows the character, other readers show the code"
_CUT = f"Texts longer than a cell are split over rows of the sheet {LONG_TEXTS_SHEET}"
_CODES = r"[\x00-\x08\x0b-\x1f\x{fffe}\x{ffff}]|_x[0-9a-fA-F]{4}_"

_MEANING = (
    "All times and dates are UTC.",
    "Ids, keys and codes are text, so that no digit is lost. An empty cell means no value.",
    "Keys are addresses: 1001/0/2 is order 1001, fulfillment order 0, shipment 2, counted from 0.",
    f"The sheet {COLUMNS_SHEET} says what each column means.",
)
_RELATION = "Rows of two sheets belong together where a key column that they share has the same value."


class _CellStyle(NamedTuple):
    """How the values of a column are written: as `cell`, or as `text_instead` where Excel would change one."""

    cell: pl.Expr
    label: str
    """The name of the style in the sheet of columns."""
    number_format: str | None = None
    width: float | None = None
    text_instead: pl.Expr | None = None
    reason: str = ""


def _cell_style(column: Column) -> _CellStyle:
    value = pl.col(column.name)
    match column.kind:
        case Kind.FLAG:
            return _CellStyle(value, "true or false", width=8)
        case Kind.INSTANT:
            fits = (value.dt.date() >= _FIRST_DAY) & (value.dt.epoch("us") % 1_000 == 0)
            serial = value.dt.epoch("ms") / _DAY_MILLISECONDS + _EPOCH_SERIAL
            iso = value.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
            label = "date and time, UTC"
            return _value_or_text(fits, serial, iso, label, 'yyyy-mm-dd hh:mm:ss" UTC"', 24, _TIME)
        case Kind.DAY:
            serial = (value.cast(pl.Int32) + _EPOCH_SERIAL).cast(pl.Float64)
            return _value_or_text(
                value >= _FIRST_DAY, serial, value.dt.strftime("%Y-%m-%d"), "date", "yyyy-mm-dd", 11, _EARLY
            )
        case Kind.TEXT | Kind.JSON:
            return _CellStyle(value, "text", "@")
        case Kind.INT64 if column.name.endswith("_id"):
            return _CellStyle(value.cast(pl.String), "id, as text", "@")
        case _:
            text = value.cast(pl.String)
            digits = text.str.replace(r"e.*", "").str.replace_all(r"[-.]", "").str.strip_chars("0").str.len_bytes()
            number = text.cast(pl.Float64)
            in_range = (number == 0) | number.abs().is_between(_SMALLEST, _LARGEST)
            number_format = "#,##0.00##" if column.kind is Kind.MONEY else None
            return _value_or_text(
                (digits <= _MAX_DIGITS) & in_range, number, text, "number", number_format, 12, _NUMBER
            )


def _value_or_text(
    fits: pl.Expr, cell: pl.Expr, text: pl.Expr, label: str, number_format: str | None, width: float, reason: str
) -> _CellStyle:
    return _CellStyle(pl.when(fits).then(cell), label, number_format, width, pl.when(~fits).then(text), reason)


def write_tables(job: ExportJob, out: str, *, max_rows: int = MAX_ROWS) -> ExportResult:
    """Write one file: the sheets `about` and `columns`, then a sheet per table; but of derived tables only what fits.

    Raises:
        ConfigError: a table has more than `max_rows` rows, or the file was not written by quivo_frames.
        OSError: the disk refuses.
    """
    rows = {name: _count_rows(frame) for name, frame in job.tables.items()}
    left_out = [name for name in DERIVED_TABLES if rows.get(name, 0) > max_rows]
    sentences = [f"{name} has {rows.pop(name):,} rows, more than a sheet takes: it is left out." for name in left_out]
    job = job.without_tables(left_out)
    for name, count in rows.items():
        if count > max_rows:
            raise ConfigError(
                f"{name} has {count:,} rows, and a sheet of Excel takes {max_rows:,}. Nothing was written. Export to "
                "duckdb, parquet or csv, or build tables of fewer orders."
            )
    facts = (
        f"Orders of Quivo as tables, written by quivo_frames {job.version}, schema version {SCHEMA_VERSION}.",
        f"Name of these tables: {job.snapshot_name}. The same tables have the same name.",
        *_MEANING,
        _RELATION,
    )
    with new_file(Path(out), KIND) as file, _open_workbook(file, job.snapshot_name) as workbook:
        writer = _WorkbookWriter(workbook, job, rows)
        writer.write_sheets(facts)
        job.refuse_outdated()
    return ExportResult(ExportFormat.EXCEL, out, rows, [*sentences, *writer.explain_changes()])


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
    with _open_workbook(file, table.name) as workbook:
        facts = (f"{table.name.capitalize()}, written by quivo_frames {version}.", *_MEANING)
        _WorkbookWriter(workbook, job, {table.name: frame.height}).write_sheets(facts)


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
    found = re.search(rf'name="{_WRITER_PROPERTY}"[^>]*><vt:lpwstr>(\w+)</vt:lpwstr>', text)
    return found and found[1]


KIND = OutputKind(
    "workbook with tables", lambda file: bool(_SNAPSHOT_NAME.fullmatch(written_as(file) or "")), (".xlsx",)
)


class _PlainTextSheet(Worksheet):  # type: ignore[misc]  # xlsxwriter has no types
    """A sheet in which text is never markup: xlsxwriter would write a text like <r>…</r> as is."""

    def _xml_rich_inline_string(self, string: str, attributes: Any = ()) -> None:
        self._xml_inline_string(string, True, attributes)


class _WorkbookWriter:
    """Writes the sheets of one file, and counts the values that are not written as they are."""

    def __init__(self, workbook: Workbook, job: ExportJob, rows: Mapping[str, int]) -> None:
        self._workbook = workbook
        self._job = job
        self._rows = rows
        self._changes: Counter[tuple[str, str, str]] = Counter()
        """Number of changed values by reason, table and column."""
        self._long_texts: tuple[Worksheet, int] | None = None
        self._formats: dict[str | None, Any] = {None: None}
        self._bold = workbook.add_format({"bold": True, "bottom": 1})

    def write_sheets(self, facts: Sequence[str]) -> None:
        """Write all sheets; `facts` begin the sheet `about`."""
        about, columns = self._add_sheet(ABOUT_SHEET), self._add_sheet(COLUMNS_SHEET)
        for name, frame in self._job.tables.items():
            self._write_table(self._job.definitions[name], frame)
        self._write_about(about, facts)
        self._write_columns(columns)

    def explain_changes(self) -> list[str]:
        """A sentence per kind of change."""
        found: dict[str, list[int]] = {}
        for (reason, _, _), count in sorted(self._changes.items()):
            found.setdefault(reason, []).append(count)
        return [
            f"{reason}: {sum(counts):,} in {format_count(len(counts), 'column')}, listed in the sheet {ABOUT_SHEET}."
            for reason, counts in found.items()
        ]

    def _add_sheet(self, name: str) -> Worksheet:
        return self._workbook.add_worksheet(name, worksheet_class=_PlainTextSheet)

    def _cell_format(self, number_format: str | None) -> Any:
        if number_format not in self._formats:
            self._formats[number_format] = self._workbook.add_format({"num_format": number_format})
        return self._formats[number_format]

    def _write_table(self, table: Table, frame: pl.LazyFrame) -> None:
        sheet = self._add_sheet(table.name)
        styles = [_cell_style(column) for column in table.columns]
        last_row, last_column = self._rows[table.name], len(styles) - 1
        self._write_header(sheet, [column.name for column in table.columns], last_row)
        sheet.ignore_errors({"number_stored_as_text": xl_range(0, 0, last_row, last_column)})
        writers = [self._cell_writer(sheet, table, index, style) for index, style in enumerate(styles)]
        at = 1
        for batch in frame.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True):
            columns = [
                self._cell_values(table, batch, column, style)
                for column, style in zip(table.columns, styles, strict=True)
            ]
            if at == 1:
                self._set_widths(sheet, table, styles, columns)
            for row, cells in enumerate(zip(*columns, strict=True), at):
                for write, cell in zip(writers, cells, strict=True):
                    if cell is not None:
                        write(row, cell)
            at += batch.height

    def _cell_values(self, table: Table, batch: pl.DataFrame, column: Column, style: _CellStyle) -> list[Any]:
        """The values of a column for their cells; counts those that are changed."""
        cells = batch.select(style.cell).to_series()
        if style.number_format == "@":
            self._count_changes(_CODED, table, column, int(cells.str.contains(_CODES).sum()))
        if style.text_instead is None:
            return cells.to_list()
        texts = batch.select(style.text_instead).to_series()
        others = len(texts) - texts.null_count()
        self._count_changes(style.reason, table, column, others)
        if not others:
            return cells.to_list()
        return [text if cell is None else cell for cell, text in zip(cells, texts, strict=True)]

    def _count_changes(self, reason: str, table: Table, column: Column, count: int) -> None:
        if count:
            self._changes[reason, table.name, column.name] += count

    def _cell_writer(self, sheet: Worksheet, table: Table, index: int, style: _CellStyle) -> Callable[[int, Any], None]:
        """A function that writes one cell of a column."""
        format_, as_text = self._cell_format(style.number_format), self._cell_format("@")
        column = table.columns[index]

        def text(row: int, value: str) -> None:
            if len(value) > MAX_CELL_UNITS // 2 and len(value.encode("utf-16-le")) // 2 > MAX_CELL_UNITS:
                value = self._move_long_text(table, column, row, value)
            sheet.write_string(row, index, value, as_text)

        if style.number_format == "@":
            return text
        if column.kind is Kind.FLAG:
            return lambda row, value: sheet.write_boolean(row, index, value)

        def number(row: int, value: float | str) -> None:
            if isinstance(value, str):
                text(row, value)
            else:
                sheet.write_number(row, index, value, format_)

        return number

    def _move_long_text(self, table: Table, column: Column, row: int, value: str) -> str:
        """Write a text in parts to the sheet of long texts; returns the reference for its own cell."""
        if self._long_texts is None:
            self._long_texts = (self._add_sheet(LONG_TEXTS_SHEET), 1)
            self._write_header(self._long_texts[0], ["table", "row", "column", "part", "text"], MAX_ROWS)
        sheet, first = self._long_texts
        step = MAX_CELL_UNITS // 2  # a character is at most two UTF-16 code units
        parts = [value[at : at + step] for at in range(0, len(value), step)]
        for at, part in enumerate(parts):
            self._write_row(sheet, first + at, (table.name, row + 1, column.name, at + 1, part), self._cell_format("@"))
        self._long_texts = (sheet, first + len(parts))
        self._count_changes(_CUT, table, column, 1)
        return f"[{len(value):,} characters: sheet {LONG_TEXTS_SHEET}, from row {first + 1}, {len(parts)} parts]"

    def _write_header(self, sheet: Worksheet, names: Sequence[str], rows: int) -> None:
        self._write_row(sheet, 0, names, self._bold)
        sheet.autofilter(0, 0, rows, len(names) - 1)
        sheet.freeze_panes(1, 1)

    def _write_row(self, sheet: Worksheet, row: int, cells: Sequence[str | int], format_: Any = None) -> None:
        for index, cell in enumerate(cells):
            if isinstance(cell, int):
                sheet.write_number(row, index, cell, format_)
            else:
                sheet.write_string(row, index, cell, format_)

    def _set_widths(self, sheet: Worksheet, table: Table, styles: list[_CellStyle], columns: list[list[Any]]) -> None:
        for index, (column, style, cells) in enumerate(zip(table.columns, styles, columns, strict=True)):
            longest = style.width or max((len(cell) for cell in cells if cell is not None), default=0) + 1
            header = len(column.name) + 4  # room for the arrow of the filter
            sheet.set_column(index, index, min(max(longest, header, _NARROWEST), _WIDEST))

    def _write_about(self, sheet: Worksheet, facts: Sequence[str]) -> None:
        tables = [(name, table.grain, self._rows[name]) for name, table in self._job.definitions.items()]
        changes = [(f"{table}.{column}", reason, n) for (reason, table, column), n in sorted(self._changes.items())]
        row = 0
        for fact in facts:
            sheet.write_string(row, 0, fact)
            row += 1
        parts: list[tuple[Sequence[str], Sequence[tuple[str, str, int]]]] = [
            (("sheet", "one row per", "rows"), tables),
            (("column", "what was changed", "values"), changes or [("none", "", 0)]),
        ]
        for head, lines in parts:
            for line, format_ in [(head, self._bold), *((line, None) for line in lines)]:
                row += 1
                self._write_row(sheet, row, line, format_)
            row += 1
        for index, width in enumerate((44, 90, 12)):
            sheet.set_column(index, index, width)

    def _write_columns(self, sheet: Worksheet) -> None:
        lines = [
            (name, column.name, column.sentence, column.unit or "", _cell_style(column).label, str(column.privacy))
            for name, table in self._job.definitions.items()
            for column in table.columns
        ]
        self._write_header(sheet, ("table", "column", "meaning", "unit", "written as", "privacy"), len(lines))
        for row, line in enumerate(lines, 1):
            self._write_row(sheet, row, line)
        for index, width in enumerate((24, 36, 72, 30, 20, 12)):
            sheet.set_column(index, index, width)


class _FailOnceFile(io.FileIO):
    """A file that raises one OSError: xlsxwriter leaves its archive open after one, and closing it writes again."""

    _refused = False

    def write(self, data: Any) -> int:
        if self._refused:
            return len(data)
        try:
            return super().write(data)
        except OSError:
            self._refused = True
            raise


@contextmanager
def _open_workbook(file: Path, name: str) -> Iterator[Workbook]:
    """A workbook, written when the block succeeds; temporary files hold its sheets. It names no author or time."""
    with temporary_folder_of(file) as temporary, io.BufferedWriter(_FailOnceFile(file, "w")) as stream:
        options = {
            "constant_memory": True, "tmpdir": str(temporary), "use_zip64": True,
            "strings_to_numbers": False, "strings_to_formulas": False, "strings_to_urls": False,
        }  # fmt: skip
        workbook = Workbook(stream, options)
        workbook.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC)})
        workbook.set_custom_property(_WRITER_PROPERTY, name)
        refused = None
        try:
            yield workbook
            workbook.close()
        except FileCreateError as error:
            refused = error.args[0].with_traceback(None)
        finally:
            for sheet in workbook.worksheets():
                with suppress(OSError):
                    sheet.row_data_fh.close()
        if refused:
            raise refused
