"""Writes the sheets of a workbook: what it is about, what its columns mean, and a sheet per table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from quivo_frames.display.text import format_count
from quivo_frames.export.excel_cells import (
    MAX_CELL_UNITS,
    TEXT_FORMAT,
    CellStyle,
    cell_style,
    header_as_xml,
    rows_as_xml,
)
from quivo_frames.export.excel_formulas import FORMULAS_SHEET, write_formulas
from quivo_frames.export.excel_sheets import RowSheet
from quivo_frames.export.formats import KPI_TABLES, ExportJob
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import Column, Table

BATCH_ROWS = 1_000
"""Rows in memory at a time."""
ABOUT_SHEET, COLUMNS_SHEET, LONG_TEXTS_SHEET = "about", "columns", "long_texts"
"""The sheets that are not tables of the export."""
_WIDEST, _NARROWEST = 48, 9
_CUT = f"Texts longer than a cell are split over rows of the sheet {LONG_TEXTS_SHEET}"
_STEP = MAX_CELL_UNITS // 2
"""Characters that surely fit into a cell: each is at most two UTF-16 code units."""

_LONG_TEXTS = Table(
    LONG_TEXTS_SHEET, "part of a text that is longer than a cell", "", "", None, None,
    (
        Column("table", Kind.TEXT, "The sheet of the cell."),
        Column("row", Kind.INT64, "Its row there."),
        Column("column", Kind.TEXT, "Its column there."),
        Column("part", Kind.INT64, "The parts make the text, put together in this order."),
        Column("text", Kind.TEXT, "The part."),
    ),
)  # fmt: skip


class _TableSheet:
    """A sheet that grows by batches of rows."""

    def __init__(self, workbook: Workbook, table: Table, formats: _Formats) -> None:
        self.sheet: RowSheet = workbook.add_worksheet(table.name, worksheet_class=RowSheet)
        self.columns = table.columns
        self.styles = [cell_style(column) for column in table.columns]
        self.count = 0
        self._numbers = [*(formats.number_of(style.number_format) for style in self.styles), formats.text]
        names = [column.name for column in table.columns]
        self.sheet.begin(workbook.tmpdir, names)
        self.sheet.rows.write(header_as_xml(names, formats.bold))

    def append(self, batch: pl.DataFrame) -> None:
        """Add rows below those that are there."""
        if not self.count:
            self._set_widths(batch)
        self.sheet.rows.write(rows_as_xml(batch, self.styles, self._numbers, self.count + 2))
        self.count += batch.height

    def _set_widths(self, batch: pl.DataFrame) -> None:
        for place, (column, style) in enumerate(zip(self.columns, self.styles, strict=True)):
            width = style.width or (batch.select(style.written.str.len_chars().max()).item() or 0) + 1
            header = len(column.name) + 4  # room for the arrow of the filter
            self.sheet.set_column(place, place, min(max(width, header, _NARROWEST), _WIDEST))


class _Formats:
    """The formats of cells, and their numbers in the file."""

    def __init__(self, workbook: Workbook) -> None:
        self._workbook = workbook
        self._numbers: dict[str | None, int] = {None: 0}
        self.heading = workbook.add_format({"bold": True, "bottom": 1})
        self.bold: int = self.heading._get_xf_index()
        self.text = self.number_of(TEXT_FORMAT)

    def number_of(self, number_format: str | None) -> int:
        """The number of a format with this number format."""
        if number_format not in self._numbers:
            self._numbers[number_format] = self._workbook.add_format({"num_format": number_format})._get_xf_index()
        return self._numbers[number_format]


class WorkbookWriter:
    """Writes the sheets of one file, and counts the values that are not written as they are."""

    def __init__(self, workbook: Workbook, job: ExportJob) -> None:
        self._workbook = workbook
        self._job = job
        self._rows: dict[str, int] = {}
        self._changes: Counter[tuple[str, str, str]] = Counter()
        """Number of changed values by what was changed, table and column."""
        self._long_texts: _TableSheet | None = None
        self._formats = _Formats(workbook)

    def write_sheets(self, facts: Sequence[str]) -> Mapping[str, int]:
        """Write all sheets; `facts` begin the sheet `about`. Returns the number of rows of each table."""
        about, columns = (self._workbook.add_worksheet(name) for name in (ABOUT_SHEET, COLUMNS_SHEET))
        has_formulas = {sheet.table.name for sheet in self._job.sheets if sheet.measures} >= set(KPI_TABLES[:2])
        if has_formulas:
            self._workbook.add_worksheet(FORMULAS_SHEET)
        for given in self._job.sheets:
            self._write_table(given.table, given.rows.lazy())
        for name, frame in self._job.tables.items():
            self._write_table(self._job.definitions[name], frame)
        if self._long_texts:
            self._long_texts.sheet.end(self._long_texts.count)
        if has_formulas:
            write_formulas(self._workbook, self._job.sheets)
        self._write_about(about, facts)
        self._write_columns(columns)
        return self._rows

    def explain_changes(self) -> list[str]:
        """A sentence per kind of change."""
        found: dict[str, list[int]] = {}
        for (what, _, _), count in sorted(self._changes.items()):
            found.setdefault(what, []).append(count)
        return [
            f"{what}: {sum(counts):,} in {format_count(len(counts), 'column')}, listed in the sheet {ABOUT_SHEET}."
            for what, counts in found.items()
        ]

    def _write_table(self, table: Table, frame: pl.LazyFrame) -> None:
        sheet = _TableSheet(self._workbook, table, self._formats)
        for batch in frame.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True):
            self._count_changes(table, batch, sheet.styles)
            sheet.append(self._with_short_texts(table, batch, sheet))
        sheet.sheet.end(sheet.count)
        self._rows[table.name] = sheet.count

    def _count_changes(self, table: Table, batch: pl.DataFrame, styles: Sequence[CellStyle]) -> None:
        changes = [
            ((change.what, table.name, column.name), change.where)
            for column, style in zip(table.columns, styles, strict=True)
            for change in style.changes()
        ]
        counts = batch.select(where.sum().alias(str(n)) for n, (_, where) in enumerate(changes))
        for (change, _), count in zip(changes, counts.row(0) if changes else (), strict=True):
            if count:
                self._changes[change] += count

    def _with_short_texts(self, table: Table, batch: pl.DataFrame, sheet: _TableSheet) -> pl.DataFrame:
        """The batch with a reference in place of each text that is longer than a cell, and their parts written."""
        texts = [column.name for column, style in zip(table.columns, sheet.styles, strict=True) if style.is_text]
        longest = batch.select(pl.col(texts).str.len_chars().max().fill_null(0)).row(0, named=True) if texts else {}
        for name in (name for name, length in longest.items() if length > _STEP):
            cells = [
                self._move_long_text(table, name, row, text)
                if text and _count_utf16_units(text) > MAX_CELL_UNITS
                else text
                for row, text in enumerate(batch[name], sheet.count + 2)
            ]
            batch = batch.with_columns(pl.Series(name, cells, pl.String))
        return batch

    def _move_long_text(self, table: Table, column: str, row: int, text: str) -> str:
        """Write a text in parts to the sheet of long texts; returns the reference for its own cell."""
        if self._long_texts is None:
            self._long_texts = _TableSheet(self._workbook, _LONG_TEXTS, self._formats)
        parts = [text[at : at + _STEP] for at in range(0, len(text), _STEP)]
        rows = [(table.name, row, column, number, part) for number, part in enumerate(parts, 1)]
        first = self._long_texts.count + 2
        self._long_texts.append(pl.DataFrame(rows, _LONG_TEXTS.schema, orient="row"))
        self._changes[_CUT, table.name, column] += 1
        return f"[{len(text):,} characters: sheet {LONG_TEXTS_SHEET}, from row {first}, {len(parts)} parts]"

    @property
    def _tables(self) -> list[Table]:
        return [*(given.table for given in self._job.sheets), *self._job.definitions.values()]

    def _write_about(self, sheet: Worksheet, facts: Sequence[str]) -> None:
        tables = [(table.name, table.grain, self._rows[table.name]) for table in self._tables]
        changes = [(f"{table}.{column}", what, n) for (what, table, column), n in sorted(self._changes.items())]
        for row, fact in enumerate(facts):
            sheet.write_string(row, 0, fact)
        row = len(facts)
        parts: list[tuple[Sequence[str], Sequence[tuple[str, str, int]]]] = [
            (("sheet", "one row per", "rows"), tables),
            (("column", "what was changed", "values"), changes or [("none", "", 0)]),
        ]
        for head, lines in parts:
            for line, format_ in [(head, self._formats.heading), *((line, None) for line in lines)]:
                row += 1
                sheet.write_row(row, 0, line, format_)
            row += 1
        for place, width in enumerate((44, 90, 12)):
            sheet.set_column(place, place, width)

    def _write_columns(self, sheet: Worksheet) -> None:
        lines = [
            (table.name, column.name, column.sentence, column.unit or "", cell_style(column).label, str(column.privacy))
            for table in self._tables
            for column in table.columns
        ]
        names = ("table", "column", "meaning", "unit", "written as", "privacy")
        sheet.freeze_panes(1, 1)
        options: dict[str, Any] = {
            "name": "column_meanings",
            "style": "Table Style Light 1",
            "data": lines,
            "columns": [{"header": name, "header_format": self._formats.heading} for name in names],
        }
        sheet.add_table(0, 0, len(lines), len(names) - 1, options)
        for place, width in enumerate((24, 36, 72, 30, 20, 12)):
            sheet.set_column(place, place, width)


def _count_utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
