"""Files of findings, changes and the like: complete or as they were, their owner's alone, and never over something else."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple
from xml.etree import ElementTree

import polars as pl
import pytest

from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export import frame_file
from quivo_frames.export.frame_file import refuse_frame_file, write_frame_file
from quivo_frames.model.tables import table_of_named_tuple
from quivo_frames.storage import atomic
from quivo_frames.storage.atomic import OutputKind, write_file_atomically


class Row(NamedTuple):
    order_id: Annotated[int, "The order."]
    sku: Annotated[str | None, "Its SKU."]


FOUND = table_of_named_tuple("found", "thing", Row)
OTHERS = table_of_named_tuple("others", "thing", Row)
FRAME = pl.DataFrame({"order_id": [1, 2], "sku": ["=1+1", None]}, schema=FOUND.schema)


ABOUT, COLUMNS, ROWS = 1, 2, 3
"""The sheets of a workbook."""


def read_sheet(file: Path, number: int) -> list[list[str]]:
    """The cells of a sheet, row by row; those without a value at the end of a row are missing."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(file) as archive:
        sheet = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))
        shared = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
    texts = ["".join(text.itertext()) for text in shared]
    return [
        [texts[int(value)] if cell.get("t") == "s" else value for cell in row for value in ["".join(cell.itertext())]]
        for row in sheet.iter(f"{space}row")
    ]


def read_workbook(file: Path) -> pl.DataFrame:
    names, *rows = read_sheet(file, ROWS)
    assert names == list(FOUND.schema)
    return pl.DataFrame([(int(row[0]), (*row, None)[1]) for row in rows], schema=FOUND.schema, orient="row")


def read_csv(file: Path) -> pl.DataFrame:
    return pl.read_csv(file, schema=FOUND.schema).with_columns(pl.col("sku").str.strip_prefix("'"))


READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".parquet": pl.read_parquet,
    ".csv": read_csv,
    ".ndjson": lambda file: pl.read_ndjson(file, schema=FOUND.schema),
    ".xlsx": read_workbook,
}


def file_mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.parametrize("suffix", [*READERS, ".CSV"])
def test_a_frame_replaces_the_earlier_one_and_is_its_owners_alone(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"found{suffix}"
    umask = os.umask(0o022)
    try:
        for rows in (FRAME.clear(), FRAME.head(1), FRAME):
            write_frame_file(rows, file, FOUND)
            assert file_mode(file) == 0o600
    finally:
        os.umask(umask)
    assert READERS[suffix.lower()](file).equals(FRAME)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("suffix", READERS)
def test_lists_of_names_and_values_are_texts_in_flat_files_and_stay_lists_in_the_others(
    tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"found{suffix}"
    lists = pl.List(pl.Struct({"name": pl.String, "value": pl.String}))
    values = [[{"name": "ordered", "value": "3"}, {"name": "shipped", "value": "2"}], []]
    rows = FRAME.with_columns(sku=pl.Series(values, dtype=lists))
    write_frame_file(rows, file, FOUND)
    if suffix in (".csv", ".xlsx"):
        assert READERS[suffix](file)["sku"].to_list() == ["ordered=3, shipped=2", None]
    else:
        read = pl.read_parquet if suffix == ".parquet" else pl.read_ndjson
        assert read(file)["sku"].to_list() == values


def test_it_is_its_owners_alone_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []

    def note_mode(_: pl.LazyFrame, file: Path) -> tuple[int, int]:
        modes.append(file_mode(file))
        return 0, 0

    monkeypatch.setattr(frame_file, "write_csv_file", note_mode)
    write_frame_file(FRAME, tmp_path / "found.csv", FOUND)
    assert modes == [0o600]


def test_a_workbook_says_what_its_columns_mean(tmp_path: Path) -> None:
    write_frame_file(FRAME, tmp_path / "found.xlsx", FOUND)
    assert [row[2] for row in read_sheet(tmp_path / "found.xlsx", COLUMNS)] == ["meaning", "The order.", "Its SKU."]
    assert read_sheet(tmp_path / "found.xlsx", ABOUT)[0][0].startswith("Found, written by quivo_frames")


@pytest.mark.parametrize("suffix", READERS)
def test_the_earlier_file_stays_when_the_disk_is_full(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"found{suffix}"
    write_frame_file(FRAME, file, FOUND)
    before = file.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", refuse)
    for write in (
        lambda: write_frame_file(FRAME.head(1), file, FOUND),
        lambda: write_file_atomically(file, b"more", OutputKind("thing", lambda _: True, (suffix,)), append=True),
    ):
        with pytest.raises(
            ExportError, match=r"found\.\w+ cannot be written: the disk is full\. What was there before"
        ):
            write()
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def encoded(rows: pl.DataFrame, suffix: str) -> bytes:
    """What another program writes of the same rows."""
    buffer = io.BytesIO()
    {".parquet": rows.write_parquet, ".csv": rows.write_csv, ".ndjson": rows.write_ndjson, ".xlsx": rows.write_excel}[
        suffix
    ](buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", READERS)
def test_what_holds_something_else_is_not_replaced(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"found{suffix}"
    write_frame_file(FRAME, file, FOUND)
    right = file.read_bytes()
    foreign = [b"mine", b"{}", b"[]", b"null", b"{", b'{"order_id":1}\n', b"order_id,sku,price\n1,a,2\n", b"PAR1" * 9]
    foreign += [b"PK\x03\x04", right[: len(right) // 3], bytes(100), "Jürgen".encode("latin-1")]
    foreign += [encoded(FRAME.select("sku", "order_id"), suffix)]
    if suffix in (".parquet", ".xlsx"):  # the same columns, written by another program or as other rows
        write_frame_file(FRAME, tmp_path / f"others{suffix}", OTHERS)
        foreign += [encoded(FRAME, suffix), (tmp_path / f"others{suffix}").read_bytes()]
    for content in foreign if suffix != ".ndjson" else [one for one in foreign if one != right[: len(right) // 3]]:
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"is no earlier {suffix} file of found of quivo_frames"):
            write_frame_file(FRAME, file, FOUND)
        assert file.read_bytes() == content


def test_what_is_no_file_is_refused_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "circle.csv").symlink_to("circle.csv")
    (tmp_path / "astray.csv").symlink_to("no/x.csv")
    names = {path.name for path in tmp_path.iterdir()}
    for name, message in (
        ("pipe.csv", "is a device or a pipe"),
        ("folder.csv", "is a folder"),
        ("no/x.csv", "there is no folder"),
        ("file/x.csv", "file is a file, not a folder"),
        ("circle.csv", "circle.csv cannot be written"),
        ("astray.csv", "there is no folder"),
        (f"{'x' * 5000}.csv", "File name too long"),
        ("a\0b.csv", "there can be no such name"),
        ("x.pdf", "found are written as .parquet, .csv, .ndjson, .xlsx. Give a name that ends so"),
        ("x", "found are written as"),
    ):
        for attempt in (lambda path: refuse_frame_file(path, FOUND), lambda path: write_frame_file(FRAME, path, FOUND)):
            with pytest.raises(ConfigError, match=message):
                attempt(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe.csv").stat().st_mode)
    assert {path.name for path in tmp_path.iterdir()} == names


def test_what_is_appended_stands_behind_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "receipts")
    for line in (b"one\n", b"two\n"):
        write_file_atomically(tmp_path / "link", line, OutputKind("thing", lambda _: True), append=True)
    assert (tmp_path / "receipts").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "link").is_symlink()
    assert file_mode(tmp_path / "receipts") == 0o600
