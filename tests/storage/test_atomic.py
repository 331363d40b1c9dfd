"""Files and folders appear as a whole or not at all, whatever goes wrong, and nothing is left beside them."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.storage import atomic
from quivo_frames.storage.atomic import OutputKind, explain_disk_error, new_file, new_folder

ContextManagerOf = Callable[..., AbstractContextManager[Path]]


def make_file(path: Path, *, ours: bool = True, **options: float) -> AbstractContextManager[Path]:
    return new_file(path, OutputKind("thing", lambda _: ours), **options)


def make_folder(path: Path, *, ours: bool = True, **options: float) -> AbstractContextManager[Path]:
    return new_folder(path, OutputKind("thing", lambda _: ours, is_folder=True), **options)


CONTEXT_MANAGERS = {"file": make_file, "folder": make_folder}


def write_text_into(new: Path, kind: str, text: str) -> None:
    place = new if kind == "file" else new / "inner" / "one.txt"
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)


def read_text_of(path: Path, kind: str) -> str:
    return (path if kind == "file" else path / "inner" / "one.txt").read_text()


@pytest.fixture(params=CONTEXT_MANAGERS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def new(kind: str) -> ContextManagerOf:
    return CONTEXT_MANAGERS[kind]


def test_new_content_replaces_the_old(tmp_path: Path, kind: str, new: ContextManagerOf) -> None:
    for text in ("first", "second"):
        with new(tmp_path / "deep" / "out") as unfinished:
            write_text_into(unfinished, kind, text)
        assert read_text_of(tmp_path / "deep" / "out", kind) == text
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_folder_keeps_nothing_of_the_earlier_one(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with make_folder(tmp_path / "out") as unfinished:
            (unfinished / name).touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["second"]


def test_the_owner_alone_can_read_it(tmp_path: Path, kind: str, new: ContextManagerOf) -> None:
    with new(tmp_path / "out") as unfinished:
        write_text_into(unfinished, kind, "text")
    file = tmp_path / "out" if kind == "file" else tmp_path / "out" / "inner" / "one.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    if kind == "folder":
        assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("when", ["written", "synced", "moved"])
def test_a_full_or_read_only_disk_leaves_what_was_there(
    tmp_path: Path, kind: str, new: ContextManagerOf, code: int, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new(tmp_path / "out") as unfinished:
        write_text_into(unfinished, kind, "before")

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    if when == "synced":
        monkeypatch.setattr(atomic.os, "fsync", refuse)
    if when == "moved":
        move = "replace" if kind == "file" else "rename"
        plain = getattr(Path, move)
        monkeypatch.setattr(Path, move, lambda path, to: refuse() if path.name.startswith(".new.") else plain(path, to))

    def write() -> None:
        with new(tmp_path / "out") as unfinished:
            write_text_into(unfinished, kind, "half")
            if when == "written":
                refuse()

    with pytest.raises(OSError, match=os.strerror(code)):
        write()
    assert read_text_of(tmp_path / "out", kind) == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_reason_of_the_disk_is_given_in_words() -> None:
    assert explain_disk_error(OSError(errno.ENOSPC, "No space left on device")) == "the disk is full"
    assert explain_disk_error(PermissionError(errno.EACCES, "Permission denied")) == "Permission denied"
    assert explain_disk_error(ValueError("first\nsecond")) == "first"


def test_there_is_nothing_below_a_file(tmp_path: Path, new: ContextManagerOf) -> None:
    (tmp_path / "parent").touch()
    for path in (tmp_path / "parent" / "out", tmp_path / "parent" / "deep" / "out"):
        with pytest.raises(ConfigError, match=r"out cannot be written: .*parent is a file"):
            new(path).__enter__()


def test_foreign_content_is_not_replaced(tmp_path: Path, kind: str, new: ContextManagerOf) -> None:
    write_text_into(tmp_path / "out", kind, "theirs") if kind == "file" else (tmp_path / "out").mkdir()
    (tmp_path / "out" / "stranger").touch() if kind == "folder" else None
    with pytest.raises(
        ConfigError, match=r"out is there already, and is no earlier thing of quivo_frames\. Nothing was overw"
    ):
        new(tmp_path / "out", ours=False).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_does_not_replace_a_folder_nor_a_folder_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for new, name in ((make_file, "folder"), (make_folder, "file")):
        with pytest.raises(ConfigError, match=f"{name} is a {name}. Give the name of a"):
            new(tmp_path / name).__enter__()


def test_an_empty_folder_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with make_folder(tmp_path / "out", ours=False) as unfinished:
        (unfinished / "one").touch()
    assert (tmp_path / "out" / "one").exists()


def test_a_slash_at_the_end_changes_nothing(tmp_path: Path) -> None:
    with make_folder(Path(f"{tmp_path}/out/")) as unfinished:
        (unfinished / "one").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_stays_a_link_and_what_it_leads_to_is_replaced(tmp_path: Path, kind: str, new: ContextManagerOf) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "out"
    link.symlink_to(tmp_path / "real")
    for text in ("first", "second"):  # at first it leads to nothing
        with new(link) as unfinished:
            write_text_into(unfinished, kind, text)
        assert link.is_symlink()
        assert read_text_of(tmp_path / "real", kind) == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["links", "real"]
    assert [path.name for path in (tmp_path / "links").iterdir()] == ["out"]


def test_a_second_writer_to_the_same_path_gets_an_error(
    tmp_path: Path, kind: str, new: ContextManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new(tmp_path / "out") as unfinished:
        write_text_into(unfinished, kind, "first")
        with pytest.raises(ExportError, match="Another process is writing"):
            new(tmp_path / "out", lock_seconds=0.01).__enter__()
    assert read_text_of(tmp_path / "out", kind) == "first"
    with new(tmp_path / "out") as unfinished:
        write_text_into(unfinished, kind, "later")


KILLED_PROGRAM = """
import os, signal, sys
from pathlib import Path
from quivo_frames.storage.atomic import OutputKind, new_file, new_folder
kind, out, when = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with {"file": new_file, "folder": new_folder}[kind](Path(out), OutputKind("thing", lambda _: True, is_folder=kind == "folder")) as new:
    place = new if kind == "file" else new / "inner" / "one.txt"
    place.parent.mkdir(exist_ok=True)
    place.write_text("half")
    if when == "written":
        die()
    rename = Path.rename
    Path.rename = lambda path, to: die() if path.name.startswith(".new.") else rename(path, to)
    Path.replace = die
"""


@pytest.mark.parametrize("when", ["written", "moved"])
def test_leftovers_of_a_killed_process_are_removed_and_the_folder_it_moved_is_put_back(
    tmp_path: Path, kind: str, new: ContextManagerOf, when: str
) -> None:
    with new(tmp_path / "out") as unfinished:
        write_text_into(unfinished, kind, "before")
    killed = subprocess.run([sys.executable, "-c", KILLED_PROGRAM, kind, tmp_path / "out", when])
    assert killed.returncode == -signal.SIGKILL
    moved = kind == "folder" and when == "moved"
    assert (tmp_path / "out").exists() is not moved
    with pytest.raises(RuntimeError, match="again"), new(tmp_path / "out"):
        raise RuntimeError("again")
    assert read_text_of(tmp_path / "out", kind) == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
