"""Archives that earlier code wrote are read as they are, and brought to the current format by the first write, or not at all."""

from __future__ import annotations

import json
import lzma
import sqlite3
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import zstandard

from quivo_frames.archive.archive import Archive
from quivo_frames.archive.database import FORMAT_VERSION
from quivo_frames.builder.build import build
from quivo_frames.maintenance.integrity import check
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, record_answers
from tests.support.paths import ROOT

EARLIER = ROOT / "tests" / "archive" / "earlier"
FORMATS = range(1, FORMAT_VERSION + 1)
NEW_ORDER = 100_020
KILLED = """
import os, sys
from quivo_frames.archive import database
database.row_seal = lambda *values: os._exit(9)
database.ERASURES = "SELECT row_seal(1);" + database.ERASURES
from quivo_frames.archive.archive import Archive
with Archive(sys.argv[1]) as archive:
    archive.begin([1])
"""
"""Ends in the middle of a migration."""


@pytest.fixture(params=FORMATS)
def archive_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    packed = EARLIER / f"format-{request.param}.sqlite.xz"
    (tmp_path / "orders.sqlite").write_bytes(lzma.decompress(packed.read_bytes()))
    return tmp_path / "orders.sqlite"


def read_rows(file: Path, table: str, columns: str = "*") -> list[dict[str, Any]]:
    """The rows of a table, without the package."""
    with closing(sqlite3.connect(file)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT {columns} FROM {table} ORDER BY 1")]


def read_version(file: Path) -> int:
    with closing(sqlite3.connect(file)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def built_digests(file: Path, out: Path) -> dict[str, str]:
    """The digests of the tables that are built from an archive."""
    build(file, out)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return {found["file"]: found["sha256"] for table in manifest["tables"].values() for found in table["files"]}


def test_there_is_a_file_of_every_format() -> None:
    assert {file.name for file in EARLIER.glob("*.xz")} == {f"format-{number}.sqlite.xz" for number in FORMATS}


def test_an_archive_that_earlier_code_wrote_is_read_without_a_change(archive_file: Path) -> None:
    before, answers = archive_file.read_bytes(), read_rows(archive_file, "responses")
    newest = {row["order_id"]: zstandard.ZstdDecompressor().decompress(row["body"]) for row in answers if row["good"]}
    assert len(newest) == 4
    archive = Archive(archive_file)
    assert {raw.order_id: raw.body for raw in archive.newest()} == newest
    attempts = read_rows(archive_file, "attempts", "order_id, outcome, tries")
    assert archive.attempts().select("order_id", "outcome", "tries").sort("order_id", "tries").to_dicts() == sorted(
        attempts, key=lambda row: (row["order_id"], row["tries"])
    )
    assert sorted(archive.failures()["order_id"]) == sorted(
        row["order_id"] for row in attempts if row["outcome"] != "fetched"
    )
    assert (archive.runs().height, archive.service) == (2, None)
    assert list(archive.find_flaws()) == []
    assert archive_file.read_bytes() == before


def test_the_first_write_migrates_and_keeps_every_answer_and_the_ledger(archive_file: Path, tmp_path: Path) -> None:
    tables = ("responses", "attempts", "runs", "asked")
    before = {table: read_rows(archive_file, table) for table in tables}
    digests = built_digests(archive_file, tmp_path / "before")
    with Archive(archive_file) as archive:
        archive.begin([1])
    assert read_version(archive_file) == FORMAT_VERSION
    for table, rows in before.items():
        for row, migrated in zip(rows, read_rows(archive_file, table), strict=False):
            assert row.items() <= migrated.items(), table
    assert built_digests(archive_file, tmp_path / "after") == digests
    assert list(Archive(archive_file).find_flaws()) == []
    with Archive(archive_file) as archive:
        record_answers(archive, {NEW_ORDER: order_json(NEW_ORDER)}, NOON)
        archive.erase([100_001])
    assert [raw.order_id for raw in Archive(archive_file).newest()] == [100_002, 100_003, 100_004, NEW_ORDER]
    assert check(archive_file).flaws.is_empty()


def test_a_second_migration_changes_nothing(archive_file: Path) -> None:
    with Archive(archive_file) as archive:
        archive.begin([1])
    with Archive(archive_file) as archive:
        archive.finish(99)  # opens it for writing, there is no such run
    digest = sha256(archive_file.read_bytes()).hexdigest()
    with Archive(archive_file) as archive:
        archive.finish(99)
    assert sha256(archive_file.read_bytes()).hexdigest() == digest


@pytest.mark.long
@pytest.mark.parametrize("archive_file", FORMATS[:-1], indirect=True)
def test_a_migration_that_is_cut_off_leaves_the_archive_as_it_was(archive_file: Path) -> None:
    version, rows = read_version(archive_file), read_rows(archive_file, "responses")
    done = subprocess.run([sys.executable, "-c", KILLED, archive_file], cwd=ROOT)
    assert done.returncode == 9
    assert read_version(archive_file) == version
    assert read_rows(archive_file, "responses") == rows
    with Archive(archive_file) as archive:
        archive.begin([1])
    assert read_version(archive_file) == FORMAT_VERSION
    assert list(Archive(archive_file).find_flaws()) == []
