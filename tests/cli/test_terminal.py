"""What reaches a terminal: for every command, whatever its data say, and whatever stdout is."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import pytest

from quivo_frames.cli import main
from quivo_frames.explorer.explore import Explorer
from quivo_frames.standin.server import StandIn
from tests.support.depth import sampled
from tests.support.working_commands import (
    HOSTILE,
    SERVING,
    WORKING_COMMANDS,
    WorkingCommand,
    environment_of,
    fill_folder,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ENCODINGS = ("utf-8", "cp1252", "latin-1", "ascii")
CASES = [(name, case) for name, cases in WORKING_COMMANDS.items() for case in cases]
each_case = pytest.mark.parametrize(
    ("name", "case"), sampled(pytest.param(*case, id=f"{case[0]}-{at}") for at, case in enumerate(CASES))
)
each_command = pytest.mark.parametrize("name", sampled(WORKING_COMMANDS))
each_encoding = pytest.mark.parametrize(
    "encoding", ["utf-8", "cp1252", *(pytest.param(name, marks=pytest.mark.long) for name in ("latin-1", "ascii"))]
)
pytestmark = pytest.mark.skipif(os.name == "nt", reason="file names on Windows cannot have control characters")


class Ended(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def run_here(hostile_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Runs a command in this process, with streams of an encoding; `stdout` takes the place of a file."""
    folder = tmp_path / "work"

    def run_here(
        name: str | None, case: WorkingCommand, encoding: str = "utf-8", *,
        stdout: IO[str] | bool | None = True, stderr: IO[str] | bool | None = True,
    ) -> Ended:  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)
        fill_folder(folder, hostile_folder, name)
        out, err = tmp_path / "out", tmp_path / "err"
        with environment_of(case) as environment, monkeypatch.context() as patch:
            patch.chdir(folder)
            for variable, value in environment.items():
                patch.setenv(variable, value)  # for libraries that hold the mapping itself, as rich does for COLUMNS
            patch.setattr(os, "environ", {**os.environ})
            patch.setattr(StandIn, "wait", lambda self: None)
            patch.setattr(Explorer, "wait", lambda self: None)
            with out.open("w", encoding=encoding) as to_file, err.open("w", encoding=encoding) as errors:
                patch.setattr(sys, "stdout", to_file if stdout is True else stdout)
                patch.setattr(sys, "stderr", errors if stderr is True else stderr)
                with pytest.raises(SystemExit) as end:
                    main([*filter(None, (name,)), *case.arguments], prog_name="quivo-frames")
                for stream in (sys.stdout, sys.stderr):  # as at the end of a process
                    stream.flush()
                    if stream.name == os.devnull:  # in place of a closed one
                        stream.close()
        assert isinstance(end.value.code, int)
        return Ended(end.value.code, out.read_text(encoding=encoding), err.read_text(encoding=encoding))

    return run_here


def unescape(text: str) -> str:
    """The text with the characters that its escapes stand for."""
    return re.sub(
        r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})",
        lambda found: chr(int(found[1] or found[2], 16)),
        text.replace("\\\\", "\\"),
    )


def test_every_command_has_arguments_that_work() -> None:
    assert sorted(WORKING_COMMANDS) == sorted(main.commands)
    for name, command in main.commands.items():
        if any(parameter.name == "as_json" for parameter in command.params):
            assert any("--json" in case.arguments for case in WORKING_COMMANDS[name]), name


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.long
@pytest.mark.drawn
@each_case
@each_encoding
def test_no_text_controls_the_terminal_or_is_lost(
    name: str, case: WorkingCommand, encoding: str, run_here: Callable[..., Ended]
) -> None:
    ended = run_here(name, case, encoding)
    shown = ended.out + ended.err
    assert ended.status == case.status, shown
    assert all(sign == "\n" or sign.isprintable() for sign in shown)
    assert (HOSTILE in unescape(shown)) is case.shows_hostile, shown
    if "--json" in case.arguments:
        assert [json.loads(line) for line in ended.out.splitlines()] if name != "show" else json.loads(ended.out)


@pytest.mark.long
@pytest.mark.drawn
@each_command
def test_a_full_disk_behind_stdout_is_status_3_and_a_sentence(
    name: str, run_here: Callable[..., Ended], tmp_path: Path
) -> None:
    case = WORKING_COMMANDS[name][0]
    usual = run_here(name, case)
    files = files_of(tmp_path / "work")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = run_here(name, case, stdout=full)
    if usual.out:
        said = [line for line in ended.err.splitlines() if line not in usual.err]
        assert (ended.status, len(said)) == (3, 1), ended.err
        assert said[0].startswith("quivo-frames: The output could not be written to stdout: the disk is full.")
    else:
        assert ended == usual
    if name != "demo":  # it prints before it works
        assert files_of(tmp_path / "work") == files


@pytest.mark.long
@pytest.mark.drawn
@each_command
def test_a_reader_that_left_changes_nothing(name: str, run_here: Callable[..., Ended], tmp_path: Path) -> None:
    case = WORKING_COMMANDS[name][0]
    usual = run_here(name, case)
    files = files_of(tmp_path / "work")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        ended = run_here(name, case, stdout=pipe)
    assert (ended.status, ended.out) == (usual.status, "")
    assert port_free(ended.err) == port_free(usual.err)
    assert files_of(tmp_path / "work") == files


def port_free(text: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)


@pytest.mark.drawn
@each_command
def test_a_closed_stdout_is_status_3_before_anything_is_done(
    name: str, run_here: Callable[..., Ended], hostile_folder: Path, tmp_path: Path
) -> None:
    case = WORKING_COMMANDS[name][0]
    ended = run_here(name, case, stdout=None)
    assert ended.status == 3
    assert ended.err.startswith("quivo-frames: stdout is closed, and nothing was done.")
    assert files_of(tmp_path / "work") == files_of(hostile_folder)


@pytest.mark.long
@pytest.mark.drawn
@each_command
@pytest.mark.parametrize("device", [None, "/dev/full"], ids=["closed", "full"])
def test_without_stderr_the_result_is_the_same(name: str, device: str | None, run_here: Callable[..., Ended]) -> None:
    case = WORKING_COMMANDS[name][0]
    usual = run_here(name, case)
    with Path(device or os.devnull).open("w", encoding="utf-8") as stream:
        ended = run_here(name, case, stderr=stream if device else None)
    assert (ended.status, bool(ended.out)) == (usual.status, bool(usual.out))


@pytest.mark.drawn
@pytest.mark.parametrize("name", sampled([*WORKING_COMMANDS, None]))
@each_encoding
def test_the_help_is_readable_in_every_encoding(
    name: str | None, encoding: str, run_here: Callable[..., Ended]
) -> None:
    ended = run_here(name, WorkingCommand(("--help",)), encoding)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("Usage: quivo-frames")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        assert run_here(name, WorkingCommand(("--help",)), encoding, stdout=full).status == 3
    assert run_here(name, WorkingCommand((f"--{HOSTILE}",)), encoding).status == 2


START = {
    "usual": 'exec "$@"',
    "full": 'exec "$@" > /dev/full',
    "closed": 'exec "$@" >&-',
    "read only": 'exec "$@" 1< /dev/null',
    "no reader": '"$@" | true; exit "${PIPESTATUS[0]}"',
}
"""How a shell starts a command."""


def run_in_shell(
    name: str, case: WorkingCommand, how: str, folder: Path, encoding: str
) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "quivo_frames.cli", name, *case.arguments]
    with environment_of(case) as environment:
        child = subprocess.Popen(
            ["bash", "-c", START[how], "bash", *words], cwd=folder, env={**environment, "PYTHONIOENCODING": encoding},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        first = b""
        if name in SERVING and how in ("usual", "no reader"):  # else it ends by itself
            assert child.stderr
            first = child.stderr.readline()
            time.sleep(1)
            os.killpg(child.pid, signal.SIGINT)
        out, err = child.communicate(timeout=100)
    return subprocess.CompletedProcess(words, child.returncode, out, first + err)


def check_in_shell(name: str, case: WorkingCommand, how: str, folder: Path, encoding: str) -> None:
    ended = run_in_shell(name, case, how, folder, encoding)
    out, err = ended.stdout.decode(encoding), ended.stderr.decode(encoding)
    prints = name != "mcp" and (case.status < 2 or "--json" in case.arguments)  # that one answers only who asks
    fails = how == "closed" or (how in ("full", "read only") and prints)
    assert ended.returncode == (3 if fails else case.status), err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert all(sign == "\n" or sign.isprintable() for sign in out + err)


@pytest.mark.long
@pytest.mark.parametrize("how", START)
def test_a_process_ends_as_documented_whatever_its_stdout_is(how: str, hostile_folder: Path) -> None:
    check_in_shell("status", WORKING_COMMANDS["status"][0], how, hostile_folder, "ascii")


@pytest.mark.drawn
@pytest.mark.long
@each_command
@pytest.mark.parametrize("how", START)
def test_every_command_ends_as_documented_whatever_its_stdout_is(
    name: str, how: str, hostile_folder: Path, tmp_path: Path
) -> None:
    # One encoding: what the others make of texts is looked at above, without a process for each.
    encoding = "ascii" if how == "usual" else "cp1252"
    fill_folder(tmp_path / encoding, hostile_folder, name)
    check_in_shell(name, WORKING_COMMANDS[name][0], how, tmp_path / encoding, encoding)
