"""2,000 bits are flipped, one at a time, in every kind of file that is kept: no damage is silent, none ends in a traceback, and none
takes a gigabyte."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.errors import QuivoError
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, record_answers
from tests.support.memory import grows_by_less_than

FLIPS = 400
IDS = range(100_001, 100_013)

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive, its raw export, tables and the record of an export of them."""
    folder = tmp_path_factory.mktemp("kept")
    with Archive(folder / "orders.sqlite") as archive:
        record_answers(archive, {order_id: order_json(order_id) for order_id in IDS}, NOON)
        archive.export(folder / "raw")
    tables = qf.build(folder / "orders.sqlite", folder / "tables", progress=False)
    tables.export("csv", folder / "csv")
    return folder


def flip_bit(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place // 8] ^= 1 << place % 8
    file.write_bytes(data)


def places_to_flip(file: Path, seed: str) -> list[int]:
    draw = random.Random(seed)
    return [draw.randrange(file.stat().st_size * 8) for _ in range(FLIPS)]


def json_or_none(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError:
        return None


@pytest.mark.parametrize("name", ["manifest.json", "exports.json", "orders.parquet"])
def test_a_flipped_bit_of_a_dataset_is_found_or_changes_no_meaning(name: str, kept: Path, tmp_path: Path) -> None:
    silent = []
    before = json_or_none(kept / "tables" / name)
    for place in places_to_flip(kept / "tables" / name, name):
        damaged = shutil.copytree(kept / "tables", tmp_path / "tables", dirs_exist_ok=True)
        flip_bit(damaged / name, place)
        try:
            with grows_by_less_than(1000):
                found = qf.check(damaged).flaws
        except QuivoError:
            continue
        if found.is_empty() and (before is None or json_or_none(damaged / name) != before):
            silent.append(place)
    assert not silent


def test_a_flipped_bit_of_an_archive_is_found_or_changes_no_answer(kept: Path, tmp_path: Path) -> None:
    def answers(path: Path) -> tuple[Any, ...]:
        with Archive(path) as archive:
            rows = [(raw.order_id, raw.fetched_at, raw.body) for raw in archive.responses()]
            return rows, archive.attempts().rows(), archive.runs().rows()

    before, silent = answers(kept / "orders.sqlite"), []
    for place in places_to_flip(kept / "orders.sqlite", "archive"):
        damaged = tmp_path / "orders.sqlite"
        shutil.copy(kept / "orders.sqlite", damaged)
        flip_bit(damaged, place)
        try:
            with grows_by_less_than(1000):
                is_silent = qf.check(damaged).flaws.is_empty() and answers(damaged) != before
            silent += [place] * is_silent
        except QuivoError:
            continue
    assert not silent


def test_a_flipped_bit_of_a_raw_export_is_refused_or_changes_no_order(kept: Path, tmp_path: Path) -> None:
    before = qf.build(kept / "raw", tmp_path / "before", progress=False)
    files = sorted(file for file in (kept / "raw").rglob("*") if file.is_file())
    silent = []
    for number, place in enumerate(places_to_flip(max(files, key=lambda file: file.stat().st_size), "raw")):
        damaged = shutil.copytree(kept / "raw", tmp_path / "raw", dirs_exist_ok=True)
        file = damaged / files[number % len(files)].name
        flip_bit(file, place % (file.stat().st_size * 8))
        try:
            with grows_by_less_than(1000):
                built = qf.build(damaged, tmp_path / "after", full=True, jobs=1, progress=False)
        except QuivoError:
            continue
        if not all(
            before[name]
            .drop(pl.selectors.by_name("fetched_at", require_all=False))
            .equals(built[name].drop(pl.selectors.by_name("fetched_at", require_all=False)))
            for name in TABLES
        ):
            silent.append((file.name, place))
    assert not silent
