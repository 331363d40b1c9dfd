"""Exports to names with any character: each is written, or refused with the character as the cause."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

import quivo_frames as qf
from quivo_frames.export.formats import ExportFormat
from quivo_frames.standin.orders import write_ndjson

REFUSED = {ExportFormat.DELTA: "[]#?^|\\\t\n", ExportFormat.DUCKDB: "?\\"}
"""Characters that a library cannot take in a path."""
CHARACTERS = [*(set(string.punctuation) - {"/"}), " ", "é", "\t", "\n"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("tables")
    write_ndjson(folder / "orders.ndjson", 2)
    return qf.build(folder / "orders.ndjson", folder / "t", jobs=1, progress=False)


def try_export(tables: qf.Dataset, form: ExportFormat, character: str, folder: Path) -> None:
    for out in (folder / f"a{character}b", folder / f"c{character}d" / "e"):
        out.parent.mkdir(exist_ok=True)
        if character in REFUSED.get(form, ""):
            shown = character if character.isprintable() else "a control character"
            with pytest.raises(qf.ConfigError) as refused:
                tables.export(form, out)
            assert f"for {shown} in a path means something else there. Give another name." in str(refused.value)
        else:
            tables.export(form, out)
            assert out.exists()


@pytest.mark.parametrize("form", REFUSED)
def test_a_character_that_a_library_cannot_take_is_the_cause_that_is_said(
    form: ExportFormat, tables: qf.Dataset, tmp_path: Path
) -> None:
    for number, character in enumerate(REFUSED[form]):
        folder = tmp_path / str(number)
        folder.mkdir()
        try_export(tables, form, character, folder)


@pytest.mark.long
def test_duckdb_takes_a_name_that_looks_like_a_partition(tables: qf.Dataset, tmp_path: Path) -> None:
    try_export(tables, ExportFormat.DUCKDB, "=", tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("form", [form for form in ExportFormat if form is not ExportFormat.DUCKLAKE])  # tests/lake
def test_every_character_can_be_in_the_name_of_an_export_or_is_refused(
    form: ExportFormat, tables: qf.Dataset, tmp_path: Path
) -> None:
    for number, character in enumerate(CHARACTERS):
        folder = tmp_path / str(number)
        folder.mkdir()
        try_export(tables, form, character, folder)
