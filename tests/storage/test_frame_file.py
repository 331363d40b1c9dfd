"""Files that commands save: complete or as they were, and nobody else's where they are personal."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import polars as pl
import pytest

from quivo_frames.errors import ConfigError
from quivo_frames.storage import atomic
from quivo_frames.storage.atomic import write_file_atomically
from quivo_frames.storage.frame_file import write_frame_file

FRAME = pl.DataFrame({"order_id": [1, 2]})
READERS = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".ndjson": pl.read_ndjson}


def file_mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("personal", [True, False])
def test_a_frame_replaces_the_file_before_it_with_the_right_mode(tmp_path: Path, suffix: str, personal: bool) -> None:
    file = tmp_path / f"found{suffix}"
    file.write_text("before")
    umask = os.umask(0o022)
    try:
        write_frame_file(FRAME, file, "rows", personal=personal)
    finally:
        os.umask(umask)
    assert READERS[suffix](file).equals(FRAME)
    assert file_mode(file) == (0o600 if personal else 0o644)
    assert list(tmp_path.iterdir()) == [file]


def test_a_personal_file_is_its_owners_alone_while_it_is_written(tmp_path: Path) -> None:
    modes = []

    class Watched(pl.DataFrame):
        def write_csv(self, file: Path) -> None:  # type: ignore[override]
            modes.append(file_mode(file))

    write_frame_file(Watched(FRAME), tmp_path / "found.csv", "rows", personal=True)
    assert modes == [0o600]


def test_the_file_before_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "found.csv"
    file.write_text("before")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", refuse)
    with pytest.raises(ConfigError, match=r"found\.csv cannot be written: the disk is full\."):
        write_frame_file(FRAME, file, "rows", personal=False)
    with pytest.raises(OSError, match="No space left"):
        write_file_atomically(file, b"more", append=True)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_file_is_refused_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, message in (
        ("pipe.csv", "is a device or a pipe"),
        ("folder.csv", "is a folder"),
        ("no/x.csv", "there is no folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            write_frame_file(FRAME, tmp_path / name, "rows", personal=False)
    with pytest.raises(ConfigError, match="is a device or a pipe"):
        write_file_atomically(tmp_path / "pipe.csv", b"")
    assert stat.S_ISFIFO((tmp_path / "pipe.csv").stat().st_mode)
    assert {path.name for path in tmp_path.iterdir()} == {"pipe.csv", "folder.csv"}


def test_what_is_appended_stands_behind_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "receipts")
    for line in (b"one\n", b"two\n"):
        write_file_atomically(tmp_path / "link", line, append=True)
    assert (tmp_path / "receipts").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "link").is_symlink()
    assert file_mode(tmp_path / "receipts") == 0o600
