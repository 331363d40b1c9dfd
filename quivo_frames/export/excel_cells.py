"""How values become cells of a workbook: their number formats, and what Excel cannot hold as it is.

Excel keeps 15 digits of a number, milliseconds of a time, and days from 1900-03-01 (it takes 1900 for a leap year) to
9999-12-31. A batch of rows becomes XML at once, as expressions of polars: cell by cell, it took ten times as long.

Limits: https://support.microsoft.com/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

import polars as pl
from xlsxwriter.utility import xl_col_to_name

from quivo_frames.model.order import Kind
from quivo_frames.model.tables import Column

TEXT_FORMAT = "@"
MAX_CELL_UNITS = 32_767
"""UTF-16 code units of a cell."""
_MAX_DIGITS = 15
_MOST = 10**_MAX_DIGITS - 1
"""The largest number of so many digits."""
_SMALLEST, _LARGEST = 2.2251e-308, 9.99999999999999e307
_FIRST_DAY, _LAST_DAY = date(1900, 3, 1), date(9999, 12, 31)
_EPOCH_SERIAL = 25_569
"""1970-01-01 as a serial number of Excel."""
_DAY_MILLISECONDS = 86_400_000

CODED = "Texts hold characters as codes, because XML cannot: Excel shows the character, other readers show the code"
_ID = f"Ids of more than {_MAX_DIGITS} digits stand as text"
_NUMBER = f"Numbers of more than {_MAX_DIGITS} digits, or beyond Excel's range, stand as text"
_TIME = f"Times before {_FIRST_DAY} or after {_LAST_DAY} stand as text (ISO 8601)"
_DAY = f"Days before {_FIRST_DAY} or after {_LAST_DAY} stand as text (ISO 8601)"
_ROUNDED = "Times finer than a millisecond are rounded down to it"

_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_NO_XML = [*map(chr, [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x0D, 0xFFFE, 0xFFFF])]
_ESCAPES = {**_MARKUP, **{character: f"_x{ord(character):04X}_" for character in _NO_XML}}
_LOOKS_LIKE_A_CODE = "_x[0-9a-fA-F]{4}_"
_CODES = rf"[\x00-\x08\x0b-\x1f\x{{fffe}}\x{{ffff}}]|{_LOOKS_LIKE_A_CODE}"
_OUTER_SPACE = r"^\s|\s$"
_NEEDS_ESCAPES = rf"[&<>]|{_OUTER_SPACE}|{_CODES}"


class CellChange(NamedTuple):
    """What happens to some values of a column, and which."""

    what: str
    where: pl.Expr


class CellStyle(NamedTuple):
    """How the values of a column are written: `written` is what stands in the XML, a number unless it is text.

    Where a value does not fit, `text` stands in its place.
    """

    label: str
    """The name of the style in the sheet of columns."""
    written: pl.Expr
    number_format: str | None = None
    width: float | None = None
    is_flag: bool = False
    text: pl.Expr | None = None
    unfit: CellChange | None = None
    rounded: CellChange | None = None

    @property
    def is_text(self) -> bool:
        """Whether all values are texts."""
        return self.number_format == TEXT_FORMAT

    def changes(self) -> Iterator[CellChange]:
        """What is written otherwise than it is."""
        if self.is_text:
            yield CellChange(CODED, self.written.str.contains(_CODES))
        yield from (change for change in (self.unfit, self.rounded) if change)


def cell_style(column: Column) -> CellStyle:
    """How the values of a column are written."""
    value = pl.col(column.name)
    match column.kind:
        case Kind.FLAG:
            return CellStyle("true or false", value.cast(pl.Int8).cast(pl.String), width=8, is_flag=True)
        case Kind.TEXT | Kind.JSON:
            return CellStyle("text", value, TEXT_FORMAT)
        case Kind.INSTANT:
            serial = value.dt.epoch("ms") / _DAY_MILLISECONDS + _EPOCH_SERIAL
            beyond = ~value.dt.date().is_between(_FIRST_DAY, _LAST_DAY)
            return CellStyle(
                "date and time, UTC", serial.cast(pl.String), 'yyyy-mm-dd hh:mm:ss" UTC"', 24,
                text=value.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ"), unfit=CellChange(_TIME, beyond),
                rounded=CellChange(_ROUNDED, ~beyond & (value.dt.epoch("us") % 1_000 != 0)),
            )  # fmt: skip
        case Kind.DAY:
            serial = value.cast(pl.Int32) + _EPOCH_SERIAL
            unfit = CellChange(_DAY, ~value.is_between(_FIRST_DAY, _LAST_DAY))
            text = value.dt.strftime("%Y-%m-%d")
            return CellStyle("date", serial.cast(pl.String), "yyyy-mm-dd", 11, text=text, unfit=unfit)
        case Kind.INT64 if column.name.endswith("_id"):
            text = value.cast(pl.String)
            unfit = CellChange(_ID, ~value.is_between(-_MOST, _MOST))
            return CellStyle("id", text, "0", 12, text=text, unfit=unfit)
        case _:
            text = value.cast(pl.String)
            number_format = {Kind.MONEY: "#,##0.00##", Kind.MEASURE: None}.get(column.kind, "#,##0")
            unfit = CellChange(_NUMBER, _loses_digits(text))
            return CellStyle("number", text, number_format, 12, text=text, unfit=unfit)


def _loses_digits(text: pl.Expr) -> pl.Expr:
    digits = text.str.replace(r"e.*", "").str.replace_all(r"[-.]", "").str.strip_chars("0").str.len_bytes()
    number = text.cast(pl.Float64)
    return (digits > _MAX_DIGITS) | ~((number == 0) | number.abs().is_between(_SMALLEST, _LARGEST))


def rows_as_xml(batch: pl.DataFrame, styles: Sequence[CellStyle], formats: Sequence[int], first_row: int) -> bytes:
    """The rows of a batch as XML (ECMA-376, 18.3.1.73), the first with the number `first_row`.

    `formats` are the numbers of the formats of the columns; the last is that of text. Null is no cell.
    """
    checks = [style.written.str.contains(_NEEDS_ESCAPES).any() for style in styles if style.is_text]
    unfit = [style.unfit.where.any() for style in styles if style.unfit]
    found = iter(batch.select(fact.alias(str(n)) for n, fact in enumerate([*checks, *unfit])).row(0))
    escaped = [style.is_text and bool(next(found)) for style in styles]
    mixed = [style.unfit is not None and bool(next(found)) for style in styles]
    cells = []
    for place, style in enumerate(styles):
        begin = f'<c r="{xl_col_to_name(place)}'
        if style.is_text:
            cells.append(_text_cell(begin, style.written, formats[-1], escape=escaped[place]))
            continue
        kind = ' t="b"' if style.is_flag else ""
        cell = _cell(begin, f'" s="{formats[place]}"{kind}><v>', style.written, "</v></c>")
        if mixed[place] and style.unfit and style.text is not None:
            as_text = _text_cell(begin, style.text, formats[-1], escape=False)
            cell = pl.when(style.unfit.where).then(as_text).otherwise(cell)
        cells.append(cell)
    return _render_rows(batch, cells, first_row)


def header_as_xml(names: Sequence[str], number: int) -> bytes:
    """The first row, in a format of this number."""
    head = pl.DataFrame([names], [f"\0{place}" for place in range(len(names))], orient="row")
    cells = [
        _text_cell(f'<c r="{xl_col_to_name(place)}', pl.col(name), number, escape=True)
        for place, name in enumerate(head.columns)
    ]
    return _render_rows(head, cells, 1)


def _render_rows(batch: pl.DataFrame, cells: Sequence[pl.Expr], first_row: int) -> bytes:
    rows = batch.with_columns(pl.int_range(first_row, first_row + pl.len()).cast(pl.String).alias(_ROW))
    head, end = pl.concat_str(pl.lit('<row r="'), _ROW, pl.lit('">')), pl.lit("</row>")
    row = pl.concat_str(head, pl.concat_str(cells, ignore_nulls=True), end)
    xml: str = rows.select(row.str.join("")).item() or ""
    return xml.encode()


_ROW = "\0row"
"""The number of the row: no column is called so."""


def _text_cell(begin: str, text: pl.Expr, number: int, *, escape: bool) -> pl.Expr:
    """A cell in which text is never a formula, a link, a number or markup."""
    head = f'" s="{number}" t="inlineStr"><is><t'
    if not escape:
        return _cell(begin, f"{head}>", text, "</t></is></c>")
    coded = text.str.replace_all(f"({_LOOKS_LIKE_A_CODE})", "_x005F${1}")
    escaped = coded.str.replace_many(list(_ESCAPES), list(_ESCAPES.values()))
    space = pl.when(text.str.contains(_OUTER_SPACE)).then(pl.lit(' xml:space="preserve">')).otherwise(pl.lit(">"))
    return _cell(begin, head, pl.concat_str(space, escaped), "</t></is></c>")


def _cell(begin: str, head: str, content: pl.Expr, end: str) -> pl.Expr:
    return pl.concat_str(pl.lit(begin), _ROW, pl.lit(head), content, pl.lit(end))
