"""The column of order ids of a table: CSV, parquet, or the first sheet of an Excel workbook."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from quivo_frames.errors import ConfigError
from quivo_frames.fetch.event_ids import PlacedValues

if TYPE_CHECKING:
    import fastexcel
    import polars as pl

ID_COLUMN_NAMES = ("orderid", "quivoorderid", "id")
"""Normalised names of columns that mean the order id; the first one that a file has counts."""
EXACT_DIGITS = 15
"""A number of this many digits is exact in a spreadsheet, and wherever else it is kept as a float."""
MAX_WORKBOOK_BYTES = 2**30
"""Size of an unpacked workbook, which is read as a whole."""
_DELIMITERS = ",;\t|"
_MARKS = re.compile(r"[\W_]+")


def read_csv_column(
    lines: Iterator[str], name: str, column: str | None, left_out: Counter[str]
) -> tuple[str, PlacedValues]:
    """Where the ids are, in words, and each cell of the column with its line; `left_out` counts rows without an id."""
    delimiter, first, before = "", "", 0
    for line in lines:
        if line.lower().startswith("sep="):  # how Excel states the delimiter
            delimiter = line[4:5]
        elif line.strip(_DELIMITERS + " \t\r\n"):  # Excel writes ;;; for a blank row
            first = line
            break
        before += 1
    delimiter = delimiter or max(_DELIMITERS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), ())))
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    header = [cell.strip() for cell in next(reader, [])]
    at = _choose_column(header, column, name)

    def read_cells() -> PlacedValues:
        line = before + reader.line_num + 1
        for row in reader:
            if any(map(str.strip, row[len(header) :])):
                raise ConfigError(
                    f"{name}, line {line:,}: there are more cells than names of columns: which is the id?"
                )
            cell = row[at].strip() if at < len(row) else ""
            if cell:
                yield line, cell
            elif any(other.strip() for other in row):
                left_out["rows without an id"] += 1
            line = before + reader.line_num + 1

    return f"the column {header[at]} of {name}", read_cells()


def read_parquet_column(
    source: Path | io.BytesIO, name: str, column: str | None, left_out: Counter[str]
) -> tuple[str, PlacedValues]:  # fmt: skip
    """Where the ids are, in words, and each value of the column with its row; `left_out` counts rows without an id."""
    import polars as pl

    try:
        schema = pl.read_parquet_schema(source)
        chosen = list(schema)[_choose_column(list(schema), column, name)]
        _require_numbers_or_text(schema[chosen], f"column {chosen} of {name}")
        if isinstance(source, io.BytesIO):
            source.seek(0)
        values = pl.read_parquet(source, columns=[chosen])[chosen]
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigError(f"{name} cannot be read as parquet: {str(error).splitlines()[0]}.") from error
    return f"the column {chosen} of {name}", _place_values(values, left_out)


def read_workbook_column(
    source: Path | io.BytesIO, name: str, column: str | None, left_out: Counter[str]
) -> tuple[str, PlacedValues]:  # fmt: skip
    """The same of the first sheet of an Excel workbook, whose first row that is not blank has the names of columns."""
    import polars as pl

    try:
        import fastexcel
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{name} is an Excel workbook, and reading it needs {error.name}. Install it: "
            "pip install 'quivo-frames[export]', or save the workbook as CSV."
        ) from error
    try:
        with zipfile.ZipFile(source) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > MAX_WORKBOOK_BYTES:
            raise ConfigError(
                f"{name}: there is more than can be read at once ({MAX_WORKBOOK_BYTES // 2**20} MiB unpacked). Save "
                "the sheet as CSV."
            )
        book = fastexcel.read_excel(source if isinstance(source, Path) else source.getvalue())
        head = book.load_sheet(0, header_row=None, n_rows=1, dtypes="string")
        names = [str(cell or "").strip() for row in head.to_polars().iter_rows() for cell in row]
        at = _choose_column(names, column, name)
        where = f"column {names[at]} of the sheet {book.sheet_names[0]} of {name}"
        place = head.selected_columns[at].absolute_index
        values = book.load_sheet(0, use_columns=[place], schema_sample_rows=None).to_polars().to_series()
        _require_numbers_or_text(values.dtype, where)
        if values.dtype == pl.String and (values.str.len_chars() > EXACT_DIGITS).any():
            _refuse_numbers_among_texts(book, place, where)
        if values.dtype.is_float() and ((values % 1 == 0) & (values < 10**EXACT_DIGITS)).all():
            values = values.cast(pl.Int64)  # every number of a workbook is a float
    except (fastexcel.FastExcelError, zipfile.BadZipFile, OSError) as error:
        raise ConfigError(f"{name} cannot be read as an Excel workbook. Save it as CSV.") from error
    return f"the {where}", _place_values(values, left_out)


def _refuse_numbers_among_texts(book: fastexcel.ExcelReader, place: int, where: str) -> None:
    """Long ids are exact as text only; where some cells are numbers, nobody can tell which are."""
    import fastexcel

    try:
        book.load_sheet(0, use_columns=[place], schema_sample_rows=None, dtype_coercion="strict")
    except fastexcel.UnsupportedColumnTypeCombinationError as error:
        raise ConfigError(
            f"The {where} holds numbers among texts, and ids of more than {EXACT_DIGITS} digits, of which a number "
            "loses some. Format the whole column as text, and enter these ids again."
        ) from error


def _place_values(values: pl.Series, left_out: Counter[str]) -> PlacedValues:
    if values.null_count():
        left_out["rows without an id"] = values.null_count()
    return ((row, value) for row, value in enumerate(values, 1) if value is not None)


def _require_numbers_or_text(dtype: pl.DataType, where: str) -> None:
    if not (dtype.is_integer() or dtype.is_float() or str(dtype) in ("String", "Null")):
        raise ConfigError(
            f"The {where} holds {dtype}, not numbers or text: an id cannot be read from it for sure. "
            "Cast it to Int64 where the file is made, or name another one."
        )


def _choose_column(names: Sequence[str], wanted: str | None, file: str) -> int:
    """The position of the column of ids among the names."""
    if wanted is not None and names.count(wanted) == 1:
        return names.index(wanted)
    for meaning in (_normalise_name(wanted),) if wanted is not None else ID_COLUMN_NAMES:
        found = [at for at, name in enumerate(names) if _normalise_name(name) == meaning]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(names[at] for at in found)
            raise ConfigError(
                f"Several columns of {file} may hold the order ids: {several}. Name one: column, --column."
            )
    if not names:
        raise ConfigError(f"{file} is empty: not even the names of columns are in it.")
    if any(name.isdecimal() or "@" in name for name in names):
        raise ConfigError(
            f"The first line of {file} does not look like the names of columns. Put them there, or, "
            "if there is nothing but ids in it, save it as .txt."
        )
    missing = "no column means the order id" if wanted is None else f"there is no column {wanted}"
    listed = ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
    raise ConfigError(f"In {file} {missing}. Name one of its columns (column, --column): {listed}.")


def _normalise_name(name: str) -> str:
    return _MARKS.sub("", name).lower()
