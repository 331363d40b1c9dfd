"""Noun: one Excel file with a sheet a table, in flat memory. Only here: xlsxwriter.

What Excel would change stands as text, and is counted: it keeps 15 digits of a number, milliseconds of a time, and no
day before 1900. Ids and keys are text from the beginning. No text is ever a formula, a link or a number.

Limits: https://support.microsoft.com/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import polars as pl
from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.utility import xl_range
from xlsxwriter.worksheet import Worksheet

from quivo_frames.errors import ConfigError
from quivo_frames.export.formats import Exported, Form, Outgoing
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import SCHEMA_VERSION, Column, Table
from quivo_frames.storage.atomic import new_file

ROWS = 1_048_575
"""Rows that a sheet takes below its header."""
LONGEST = 32_767
"""UTF-16 units that a cell takes."""
BATCH = 1_000
"""Rows in memory at a time."""
ABOUT, COLUMNS, LONG = "about", "columns", "long_texts"
"""The sheets beside those of the tables."""
_OURS, _PROPERTIES = "quivo_frames", "docProps/custom.xml"

_DIGITS = 15
_SMALLEST, _LARGEST = 2.2251e-308, 9.99999999999999e307
_FIRST_DAY = date(1900, 3, 1)
"""The first that Excel counts right: it holds 1900 for a leap year."""
_DAY_0 = 25_569
"""1970-01-01 as Excel counts days."""
_DAY = 86_400_000
_WIDEST, _NARROWEST = 48, 9

_NUMBER = f"Numbers of more than {_DIGITS} digits, or beyond Excel's range, stand as text"
_TIME = "Times finer than a millisecond, or before 1900-03-01, stand as text (ISO 8601)"
_EARLY = "Days before 1900-03-01 stand as text (ISO 8601)"
_CODED = "Texts hold characters as codes, for XML has no place for them: Excel shows the character, others the code"
_CUT = f"Texts longer than a cell takes stand in parts in the sheet {LONG}"
_CODES = r"[\x00-\x08\x0b-\x1f\x{fffe}\x{ffff}]|_x[0-9a-fA-F]{4}_"

_MEANING = (
    "All times and dates are UTC.",
    "Ids, keys and codes are text, so that no digit is lost. An empty cell is no value.",
    "Keys are addresses: 1001/0/2 is order 1001, fulfillment order 0, shipment 2, counted from 0.",
    "Rows of two sheets belong together where a key column that they share has the same value.",
    f"The sheet {COLUMNS} tells what each column means.",
)


class _Form(NamedTuple):
    """How the values of a column stand in cells: as `cell`, or as `text` where that would change one of them."""

    cell: pl.Expr
    named: str
    """What the dictionary calls it."""
    format: str | None = None
    width: float | None = None
    text: pl.Expr | None = None
    why: str = ""


def _form(column: Column) -> _Form:
    value = pl.col(column.name)
    match column.kind:
        case Kind.FLAG:
            return _Form(value, "true or false", width=8)
        case Kind.INSTANT:
            fits = (value.dt.date() >= _FIRST_DAY) & (value.dt.epoch("us") % 1_000 == 0)
            serial = value.dt.epoch("ms") / _DAY + _DAY_0
            iso = value.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
            return _either(fits, serial, iso, "date and time, UTC", 'yyyy-mm-dd hh:mm:ss" UTC"', 24, _TIME)
        case Kind.DAY:
            serial = (value.cast(pl.Int32) + _DAY_0).cast(pl.Float64)
            return _either(value >= _FIRST_DAY, serial, value.dt.strftime("%Y-%m-%d"), "date", "yyyy-mm-dd", 11, _EARLY)
        case Kind.TEXT | Kind.JSON:
            return _Form(value, "text", "@")
        case Kind.INT64 if column.name.endswith("_id"):
            return _Form(value.cast(pl.String), "id, as text", "@")
        case _:
            text = value.cast(pl.String)
            digits = text.str.replace(r"e.*", "").str.replace_all(r"[-.]", "").str.strip_chars("0").str.len_bytes()
            number = text.cast(pl.Float64)
            reach = (number == 0) | number.abs().is_between(_SMALLEST, _LARGEST)
            shown = "#,##0.00##" if column.kind is Kind.MONEY else None
            return _either((digits <= _DIGITS) & reach, number, text, "number", shown, 12, _NUMBER)


def _either(
    fits: pl.Expr, cell: pl.Expr, text: pl.Expr, named: str, format_: str | None, width: float, why: str
) -> _Form:
    return _Form(pl.when(fits).then(cell), named, format_, width, pl.when(~fits).then(text), why)


def write(outgoing: Outgoing, out: str) -> Exported:
    """The tables as the sheets of one file, after the sheets `about` and `columns`.

    Raises:
        ConfigError: a table has more rows than a sheet takes, or the file was not written by quivo_frames.
        OSError: the disk refused.
    """
    rows = {name: _rows(frame) for name, frame in outgoing.tables.items()}
    for name, count in rows.items():
        if count > ROWS:
            raise ConfigError(
                f"{name} has {count:,} rows, and a sheet of Excel takes {ROWS:,}. Nothing was written. Export to "
                "duckdb, parquet or csv, or build tables of fewer orders."
            )
    with new_file(Path(out), _is_ours) as file, _workbook(file, outgoing.name) as workbook:
        book = _Book(workbook, outgoing, rows)
        book.write()
    return Exported(Form.EXCEL, out, rows, book.told())


def _rows(frame: pl.LazyFrame) -> int:
    counted: int = frame.select(pl.len()).collect().item()
    return counted


def _is_ours(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return f'name="{_OURS}"'.encode() in archive.read(_PROPERTIES)
    except (zipfile.BadZipFile, KeyError):
        return False


class _Sheet(Worksheet):  # type: ignore[misc]  # has no types
    """A sheet in which text is never markup: xlsxwriter takes one that looks like <r>…</r> for its own."""

    def _xml_rich_inline_string(self, string: str, attributes: Any = ()) -> None:
        self._xml_inline_string(string, True, attributes)


class _Book:
    """The sheets of one file, and what in them is not as it was."""

    def __init__(self, workbook: Workbook, outgoing: Outgoing, rows: Mapping[str, int]) -> None:
        self._workbook = workbook
        self._outgoing = outgoing
        self._rows = rows
        self._changes: Counter[tuple[str, str, str]] = Counter()
        """How many values of a table and a column stand otherwise, and why."""
        self._long: tuple[Worksheet, int] | None = None
        self._formats: dict[str | None, Any] = {None: None}
        self._bold = workbook.add_format({"bold": True, "bottom": 1})

    def write(self) -> None:
        about, columns = self._sheet(ABOUT), self._sheet(COLUMNS)
        for name, frame in self._outgoing.tables.items():
            self._write_table(self._outgoing.described[name], frame)
        self._write_about(about)
        self._write_columns(columns)

    def told(self) -> list[str]:
        """A sentence for each kind of change."""
        found: dict[str, list[int]] = {}
        for (why, _, _), count in sorted(self._changes.items()):
            found.setdefault(why, []).append(count)
        return [
            f"{why}: {sum(counts):,} in {len(counts)} column{'s' * (len(counts) > 1)}, told in the sheet {ABOUT}."
            for why, counts in found.items()
        ]

    def _sheet(self, name: str) -> Worksheet:
        return self._workbook.add_worksheet(name, worksheet_class=_Sheet)

    def _format(self, shown: str | None) -> Any:
        if shown not in self._formats:
            self._formats[shown] = self._workbook.add_format({"num_format": shown})
        return self._formats[shown]

    def _write_table(self, table: Table, frame: pl.LazyFrame) -> None:
        sheet = self._sheet(table.name)
        forms = [_form(column) for column in table.columns]
        last_row, last_column = self._rows[table.name], len(forms) - 1
        self._header(sheet, [column.name for column in table.columns], last_row)
        sheet.ignore_errors({"number_stored_as_text": xl_range(0, 0, last_row, last_column)})
        writers = [self._writer(sheet, table, place, form) for place, form in enumerate(forms)]
        at = 1
        for batch in frame.collect_batches(chunk_size=BATCH, maintain_order=True):
            columns = [
                self._cells(table, batch, column, form) for column, form in zip(table.columns, forms, strict=True)
            ]
            if at == 1:
                self._widths(sheet, table, forms, columns)
            for row, cells in enumerate(zip(*columns, strict=True), at):
                for write, cell in zip(writers, cells, strict=True):
                    if cell is not None:
                        write(row, cell)
            at += batch.height

    def _cells(self, table: Table, batch: pl.DataFrame, column: Column, form: _Form) -> list[Any]:
        """The values of a column as they go to cells; counts those that stand otherwise."""
        cells = batch.select(form.cell).to_series()
        if form.format == "@":
            self._count(_CODED, table, column, int(cells.str.contains(_CODES).sum()))
        if form.text is None:
            return cells.to_list()
        texts = batch.select(form.text).to_series()
        others = len(texts) - texts.null_count()
        self._count(form.why, table, column, others)
        if not others:
            return cells.to_list()
        return [text if cell is None else cell for cell, text in zip(cells, texts, strict=True)]

    def _count(self, why: str, table: Table, column: Column, count: int) -> None:
        if count:
            self._changes[why, table.name, column.name] += count

    def _writer(self, sheet: Worksheet, table: Table, place: int, form: _Form) -> Callable[[int, Any], None]:
        """Writes one cell of a column."""
        format_, as_text = self._format(form.format), self._format("@")
        column = table.columns[place]

        def text(row: int, value: str) -> None:
            if len(value) > LONGEST // 2 and len(value.encode("utf-16-le")) // 2 > LONGEST:
                value = self._keep_long(table, column, row, value)
            sheet.write_string(row, place, value, as_text)

        if form.format == "@":
            return text
        if column.kind is Kind.FLAG:
            return lambda row, value: sheet.write_boolean(row, place, value)

        def number(row: int, value: float | str) -> None:
            if isinstance(value, str):
                text(row, value)
            else:
                sheet.write_number(row, place, value, format_)

        return number

    def _keep_long(self, table: Table, column: Column, row: int, value: str) -> str:
        """Writes a text in parts, and returns what stands in its own cell."""
        if self._long is None:
            self._long = (self._sheet(LONG), 1)
            self._header(self._long[0], ["table", "row", "column", "part", "text"], ROWS)
        sheet, first = self._long
        step = LONGEST // 2  # characters, which are two UTF-16 units at the most
        parts = [value[at : at + step] for at in range(0, len(value), step)]
        for at, part in enumerate(parts):
            self._write_line(sheet, first + at, (table.name, row + 1, column.name, at + 1, part), self._format("@"))
        self._long = (sheet, first + len(parts))
        self._count(_CUT, table, column, 1)
        return f"[{len(value):,} characters: sheet {LONG}, from row {first + 1}, {len(parts)} parts]"

    def _header(self, sheet: Worksheet, names: Sequence[str], rows: int) -> None:
        self._write_line(sheet, 0, names, self._bold)
        sheet.autofilter(0, 0, rows, len(names) - 1)
        sheet.freeze_panes(1, 1)

    def _write_line(self, sheet: Worksheet, row: int, cells: Sequence[str | int], format_: Any = None) -> None:
        for place, cell in enumerate(cells):
            if isinstance(cell, int):
                sheet.write_number(row, place, cell, format_)
            else:
                sheet.write_string(row, place, cell, format_)

    def _widths(self, sheet: Worksheet, table: Table, forms: list[_Form], columns: list[list[Any]]) -> None:
        for place, (column, form, cells) in enumerate(zip(table.columns, forms, columns, strict=True)):
            longest = form.width or max((len(cell) for cell in cells if cell is not None), default=0) + 1
            header = len(column.name) + 4  # and the arrow of the filter
            sheet.set_column(place, place, min(max(longest, header, _NARROWEST), _WIDEST))

    def _write_about(self, sheet: Worksheet) -> None:
        version, name = self._outgoing.version, self._outgoing.name
        facts = (
            f"Orders of Quivo as tables, written by quivo_frames {version}, schema version {SCHEMA_VERSION}.",
            f"Name of these tables: {name}. The same tables have the same name.",
            *_MEANING,
        )
        tables = [(name, table.grain, self._rows[name]) for name, table in self._outgoing.described.items()]
        changes = [(f"{table}.{column}", why, n) for (why, table, column), n in sorted(self._changes.items())]
        row = 0
        for fact in facts:
            sheet.write_string(row, 0, fact)
            row += 1
        parts: list[tuple[Sequence[str], Sequence[tuple[str, str, int]]]] = [
            (("sheet", "one row per", "rows"), tables),
            (("column", "what is not as it was", "values"), changes or [("none", "", 0)]),
        ]
        for head, lines in parts:
            for line, format_ in [(head, self._bold), *((line, None) for line in lines)]:
                row += 1
                self._write_line(sheet, row, line, format_)
            row += 1
        for place, width in enumerate((44, 90, 12)):
            sheet.set_column(place, place, width)

    def _write_columns(self, sheet: Worksheet) -> None:
        lines = [
            (name, column.name, column.sentence, column.unit or "", _form(column).named, str(column.privacy))
            for name, table in self._outgoing.described.items()
            for column in table.columns
        ]
        self._header(sheet, ("table", "column", "meaning", "unit", "stands as", "privacy"), len(lines))
        for row, line in enumerate(lines, 1):
            self._write_line(sheet, row, line)
        for place, width in enumerate((24, 36, 72, 30, 20, 12)):
            sheet.set_column(place, place, width)


class _Stream(io.FileIO):
    """A file that complains once: xlsxwriter leaves its archive open when the disk refuses, which would try again."""

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
def _workbook(file: Path, name: str) -> Iterator[Workbook]:
    """A workbook whose sheets wait in files beside it, written when the block ends well; it tells no person or time."""
    with (
        TemporaryDirectory(prefix=f"{file.name}.", dir=file.parent) as beside,
        io.BufferedWriter(_Stream(file, "w")) as stream,
    ):
        options = {
            "constant_memory": True, "tmpdir": beside, "use_zip64": True,
            "strings_to_numbers": False, "strings_to_formulas": False, "strings_to_urls": False,
        }  # fmt: skip
        workbook = Workbook(stream, options)
        workbook.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC)})
        workbook.set_custom_property(_OURS, name)
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
