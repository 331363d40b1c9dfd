"""An erasure on a full disk: it says what was erased and what is left, and its receipt is not lost."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import quivo_frames as qf
from quivo_frames.archive import maintenance
from quivo_frames.cli import main
from tests.support.archived_orders import NOON, record_answers


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with qf.Archive(tmp_path / "orders.sqlite") as archive:
        record_answers(archive, {number: b'{"orderId":%d}' % number for number in (1, 2)}, NOON)
    qf.build(tmp_path / "orders.sqlite", tmp_path / "t", jobs=1, progress=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def forget() -> Result:
    return CliRunner().invoke(main, ["forget", "1", "--archive", "orders.sqlite", "--tables", "t", "--yes"])


def disk_full(*_: object) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    raise error


def receipts(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "orders.sqlite.forgotten.ndjson").read_text().splitlines()]


def test_a_disk_that_is_full_before_anything_is_erased(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "erase_orders", disk_full)
    done = forget()
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == (
        "quivo-frames: The disk is full, so nothing was erased from orders.sqlite. Make room, and do the same again.\n"
    )
    assert len(list(qf.Archive("orders.sqlite").newest())) == 2
    assert qf.open("t").orders["order_id"].to_list() == [1, 2]


def test_a_disk_that_is_full_when_the_bytes_are_overwritten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(maintenance, "compact_database", disk_full)
        done = forget()
    assert done.exit_code == 3
    assert "1 order: 1 answer erased in orders.sqlite" in done.stdout
    left = (
        "The disk is full, so the bytes of what was erased may still be in the file. Make room, and do the same again."
    )
    assert f"LEFT, to be erased by hand: orders.sqlite: {left}" in done.stdout
    assert [(receipt["responses"], receipt["left"]) for receipt in receipts(folder)] == [
        (1, [f"orders.sqlite: {left}"])
    ]
    assert qf.open("t").orders["order_id"].to_list() == [2]
    assert forget().exit_code == 0
    assert [receipt["left"] for receipt in receipts(folder)][1:] == [[]]


def test_a_disk_that_is_full_when_the_receipt_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_room)
    done = forget()
    assert done.exit_code == 3
    assert "the disk is full" in done.stderr
    assert "refetch" not in done.stderr
    receipt = json.loads(done.stderr[done.stderr.index("{") :])
    assert (receipt["order_ids"], receipt["responses"]) == ([1], 1)
