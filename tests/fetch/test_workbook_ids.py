"""Order ids in Excel workbooks, written by xlsxwriter, which shares no code with what reads them."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from quivo_frames.errors import ConfigError
from quivo_frames.fetch.order_ids import read_ids

LONG_ID = 2**63 - 1


def write_workbook(path: Path, rows: list[list[Any]], *, row: int = 0, column: int = 0) -> Path:
    """A workbook with these rows in its first sheet from a cell on, and a second sheet with other ids."""
    book = xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd"})
    for name, content in (("Orders", rows), ("Returns", [["Order ID"], [5]])):
        sheet = book.add_worksheet(name)
        for at, cells in enumerate(content):
            for place, cell in enumerate(cells):
                write = sheet.write_string if isinstance(cell, str) else sheet.write
                write(row + at, column + place, cell)
    book.close()
    return path


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    rows = [["name", "Order ID"], ["x", 100_001], ["y", None], [None, 100_002], ["z", 100_001]]
    return write_workbook(tmp_path / "ids.xlsx", rows, row=2, column=3)


def test_the_first_sheet_gives_its_ids_wherever_it_begins(workbook: Path) -> None:
    ids = read_ids(workbook)
    assert list(ids) == [100_001, 100_002, 100_001]
    assert (ids.left_out, ids.notes) == ({"rows without an id": 1}, {})
    assert ids.source == f"the column Order ID of the sheet Orders of {workbook}"


def test_a_workbook_is_known_by_its_content_and_may_be_packed(workbook: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.xlsx.gz").write_bytes(gzip.compress(workbook.read_bytes()))
    (tmp_path / "download").write_bytes(workbook.read_bytes())
    for source in (tmp_path / "ids.xlsx.gz", tmp_path / "download", io.BytesIO(workbook.read_bytes())):
        assert list(read_ids(source)) == [100_001, 100_002, 100_001]


def test_long_ids_are_exact_as_text_and_refused_as_numbers(tmp_path: Path) -> None:
    as_text = write_workbook(tmp_path / "text.xlsx", [["id"], [str(LONG_ID)], ["100001"]])
    assert list(read_ids(as_text)) == [LONG_ID, 100_001]
    as_number = write_workbook(tmp_path / "number.xlsx", [["id"], [LONG_ID], [100_001]])
    with pytest.raises(ConfigError, match=r"'9\.22\d*e\+18' \(row below the names 1\)\..* has shortened numbers"):
        read_ids(as_number)
    mixed = write_workbook(tmp_path / "mixed.xlsx", [["id"], [1234567890123456789], ["100001"]])
    with pytest.raises(ConfigError, match="holds numbers among texts, and ids of more than 15 digits"):
        read_ids(mixed)
    short = write_workbook(tmp_path / "short.xlsx", [["id"], [123456789012345], ["100001"]])
    assert list(read_ids(short)) == [123456789012345, 100_001]


def test_a_text_after_many_numbers_is_found(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "ids.xlsx", [["id"], *([number] for number in range(1, 3001)), ["canary"]])
    with pytest.raises(
        ConfigError, match=r"1 of the ids .* a text of 6 characters, not shown \(row below the names 3,001\)"
    ):
        read_ids(path)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "is empty"),
        ([[100_001], [100_002]], "does not look like the names of columns"),
        ([["id", "Id"], [1, 2]], "Several columns"),
        ([["number"], [1]], r"no column means the order id\. Name one of its columns \(column, --column\): number\."),
        ([["id"], [1.5]], r"'1\.5' \(row below the names 1\)"),
        ([["id"], ["100001\u200b"]], r"U\+200B after the number"),
        ([["id"], [datetime(2026, 6, 1)]], "holds Datetime.* not numbers or text"),  # noqa: DTZ001 - as a workbook has it
        ([["id"], [True]], "holds Boolean, not numbers or text"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(rows: list[list[Any]], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        read_ids(write_workbook(tmp_path / "ids.xlsx", rows))


def test_a_sheet_of_names_only_has_no_ids(tmp_path: Path) -> None:
    assert list(read_ids(write_workbook(tmp_path / "ids.xlsx", [["id"]]))) == []


def test_a_workbook_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "ids.xlsx", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", " " * 2**20)
    monkeypatch.setattr("quivo_frames.fetch.id_columns.MAX_WORKBOOK_BYTES", 2**20 - 1)
    with pytest.raises(ConfigError, match="there is more than can be read at once"):
        read_ids(tmp_path / "ids.xlsx")


def test_any_damage_to_a_workbook_is_a_sentence(workbook: Path, tmp_path: Path) -> None:
    content = workbook.read_bytes()
    for at in range(0, len(content), 97):
        for damaged in (content[:at], content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]):
            (tmp_path / "damaged.xlsx").write_bytes(damaged)
            try:
                read_ids(tmp_path / "damaged.xlsx")  # some bytes matter to nobody
            except ConfigError as error:
                assert "damaged.xlsx" in str(error)  # noqa: PT017


def test_without_the_extra_the_cure_is_named(workbook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    with pytest.raises(ConfigError, match=r"needs fastexcel\. Install it: pip install 'quivo-frames\[export\]'"):
        read_ids(workbook)
