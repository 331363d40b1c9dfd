"""A workbook that is written in flat memory: the rows of its sheets are XML that others made.

xlsxwriter writes all around them. It names no author and no time, so that equal tables give equal bytes.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.utility import xl_range
from xlsxwriter.worksheet import Worksheet

from quivo_frames.storage.atomic import temporary_folder_of

WRITER_PROPERTY = "quivo_frames"
"""The property of a workbook that says what it holds."""
_TABLE_STYLE = "Table Style Light 1"
_COPIED_BYTES = 2**20


class RowSheet(Worksheet):  # type: ignore[misc]  # xlsxwriter has no types
    """A sheet that is one Excel table: its rows, with the header, come as XML, and lie in a file until the end."""

    rows: IO[bytes]

    def begin(self, folder: str, names: Sequence[str]) -> None:
        """Begin a table of the sheet's name with these columns. Excel has no table without a row: an empty one is."""
        self.rows = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open until the workbook is written
        self.freeze_panes(1, 1)
        options = {"name": self.name, "style": _TABLE_STYLE, "columns": [{"header": name} for name in names]}
        self.add_table(0, 0, 1, len(names) - 1, options)

    def end(self, count: int) -> None:
        """Say how many rows there are below the header. With them, add_table would remember each cell."""
        last_column = len(self.tables[-1]["columns"]) - 1
        whole = xl_range(0, 0, max(count, 1), last_column)
        self.tables[-1] |= {"range": whole, "a_range": whole, "autofilter": whole}
        self._check_dimensions(count, last_column)
        self.ignore_errors({"number_stored_as_text": whole})

    def _write_sheet_data(self) -> None:
        self._xml_start_tag("sheetData")
        self.fh.flush()
        self.rows.seek(0)
        shutil.copyfileobj(self.rows, self.fh.buffer, _COPIED_BYTES)
        self._xml_end_tag("sheetData")


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
def open_workbook(file: Path, name: str) -> Iterator[Workbook]:
    """A workbook, written when the block succeeds; temporary files hold its sheets."""
    with temporary_folder_of(file) as temporary, io.BufferedWriter(_FailOnceFile(file, "w")) as stream:
        options = {
            "tmpdir": str(temporary), "use_zip64": True,
            "strings_to_numbers": False, "strings_to_formulas": False, "strings_to_urls": False,
        }  # fmt: skip
        workbook = Workbook(stream, options)
        workbook.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC)})
        workbook.set_custom_property(WRITER_PROPERTY, name)
        refused = None
        try:
            yield workbook
            workbook.close()
        except FileCreateError as error:
            refused = error.args[0].with_traceback(None)
        finally:
            for sheet in workbook.worksheets():
                if isinstance(sheet, RowSheet):
                    sheet.rows.close()
        if refused:
            raise refused
