"""No argument, setting or mode of Python ends a command with a traceback, and no failure is left without a sentence."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import polars as pl
import pytest
from click.testing import CliRunner, Result

from quivo_frames.cli import main
from quivo_frames.explorer.explore import Explorer
from quivo_frames.settings.settings import Settings
from quivo_frames.standin.server import StandIn
from tests.support.depth import sampled
from tests.support.working_commands import (
    ARCHIVE,
    SERVING,
    WORKING_COMMANDS,
    WorkingCommand,
    environment_of,
    fill_folder,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_UTF8 = os.fsdecode(b"b\xff")
VALUES = {
    "not UTF-8": NOT_UTF8,
    "not UTF-8 with an ending": f"{NOT_UTF8}.csv",
    "5,000 characters": "x" * 5000,
    "a long way": "x/" * 2500 + "x.csv",
    "a name of 256": "x" * 252 + ".csv",
    "the end of the calendar": "9999-12-31T23:59:59-14:00",
    "the start of the calendar": "0001-01-01T00:00:00+14:00",
    "the last day": "9999-12-31",
    "5,000 digits": "9" * 5000,
    "nothing": "",
    "a blank": " ",
    "a dash": "-",
    "not a number": "nan",
    "infinite": "inf",
    "negative": "-1",
}
FAULT = "This is a fault of quivo_frames"
each_command = pytest.mark.parametrize("name", sampled(WORKING_COMMANDS))
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no names that are not UTF-8")


@pytest.fixture
def run(hostile_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in a copy of the folder."""
    monkeypatch.setattr(StandIn, "wait", lambda self: None)
    monkeypatch.setattr(Explorer, "wait", lambda self: None)
    monkeypatch.chdir(shutil.copytree(hostile_folder, tmp_path / "work"))

    def run(words: list[str], case: WorkingCommand, **settings: str) -> Result:
        with environment_of(case) as environment:
            done = CliRunner().invoke(main, words, env={**environment, **settings})
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return done

    return run


def words_with(name: str, case: WorkingCommand, changed: click.Parameter, value: str) -> list[str]:
    """The words of a command, with another value for one of its parameters."""
    command = main.commands[name]
    given = command.make_context(name, list(case.arguments)).params
    words, arguments = [name], []
    for parameter in command.params:
        found = value if parameter is changed else given.get(parameter.name or "", False)
        values = list(found) if isinstance(found, tuple) else [] if found is None or found is False else [found]
        if isinstance(parameter, click.Argument):
            arguments += map(str, values)
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            words += [parameter.opts[0]] * len(values)
        elif parameter is changed or found != parameter.get_default(click.Context(command)):
            words += [word for one in values for word in (parameter.opts[0], str(one))]
    return [*words, "--", *arguments]


def valued_parameters(name: str) -> Iterator[click.Parameter]:
    for parameter in main.commands[name].params:
        if not (isinstance(parameter, click.Option) and parameter.is_flag):
            yield parameter


@pytest.mark.long
@pytest.mark.drawn
@each_command
def test_no_value_of_any_parameter_ends_in_a_fault(name: str, run: Callable[..., Result]) -> None:
    case = next(case for case in WORKING_COMMANDS[name] if "--html" not in case.arguments)
    for parameter in valued_parameters(name):
        for what, value in VALUES.items():
            if name == "demo" and len(value) < 256 and NOT_UTF8 not in value:
                continue  # a folder that it would fill
            done = run(words_with(name, case, parameter, value), case)
            assert done.exit_code in (0, 1, 2, 3), (parameter.name, what, done.output)
            assert FAULT not in done.stderr, (parameter.name, what, done.stderr)


@pytest.mark.parametrize("folder", [NOT_UTF8, "gone"])
def test_a_working_folder_that_cannot_be_used_is_named(
    folder: str, hostile_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(hostile_folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path / folder)
    if folder == "gone":
        shutil.rmtree(tmp_path / folder)
    for name, (case, *_) in WORKING_COMMANDS.items():
        if not case.api and name not in ("serve", "completion"):
            done = CliRunner().invoke(
                main, [name, *case.arguments], env={"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
            )
            assert done.exit_code == 2, (name, done.output, done.exception)
            assert re.search("not UTF-8|does not exist any more", done.stderr)


@pytest.mark.parametrize("field", Settings.model_fields)
def test_no_setting_that_is_not_utf8_is_shown(field: str, run: Callable[..., Result]) -> None:
    case = WorkingCommand((), api={"orders": 3})
    done = run(["find"], case, **{f"QUIVO_{field.upper()}": f"geheim{NOT_UTF8}"})
    assert done.exit_code == 2
    assert FAULT not in done.stderr
    for shown in ("geheim", "udcff", "xff", "\udcff", "\ufffd"):
        assert shown not in done.output
    assert field in done.stderr.lower()


def test_a_key_of_pseudonyms_that_is_not_utf8_is_not_shown(run: Callable[..., Result]) -> None:
    case = WORKING_COMMANDS["build"][1]
    done = run(["build", *case.arguments, "--privacy", "pseudonym"], case, QUIVO_PSEUDONYM_KEY=f"geheim{NOT_UTF8}" * 9)
    assert done.exit_code == 2
    assert "QUIVO_PSEUDONYM_KEY is not UTF-8 text" in done.stderr
    assert "geheim" not in done.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"late_hours = {'9' * 5000}", "holds a number of too many digits"),
        (f"countries = {'[' * 50_000}", "holds lists in lists too deep"),
        (b"# \xff", "is no TOML"),
    ],
)
def test_thresholds_that_cannot_be_read_are_refused(text: str | bytes, said: str, run: Callable[..., Result]) -> None:
    Path("limits.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    case = WORKING_COMMANDS["audit"][0]
    done = run(["audit", *case.arguments, "--limits", "limits.toml"], case)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "sys." not in done.stderr


def test_a_file_of_orders_in_a_folder_whose_name_is_not_utf8_is_named(run: Callable[..., Result]) -> None:
    Path("folder").mkdir()
    Path("folder", f"{NOT_UTF8}.ndjson").write_text('{"orderId":1}')
    done = run(["build", "folder", "--out", "t"], WorkingCommand(()))
    assert done.exit_code == 2
    assert "folder/b\\udcff.ndjson cannot be used: a name in this path is not UTF-8." in done.stderr


# Python without docstrings


def run_optimized(words: list[str], case: WorkingCommand, folder: Path) -> subprocess.CompletedProcess[str]:
    with environment_of(case) as environment:
        return subprocess.run(
            [sys.executable, "-OO", "-m", "quivo_frames.cli", *words],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=100,
        )  # fmt: skip


def test_help_is_complete_without_docstrings(tmp_path: Path) -> None:
    for words in (["--help"], ["build", "--help"]):
        usual = " ".join(CliRunner().invoke(main, words, prog_name="quivo-frames").stdout.split())
        described = usual.partition("Options:")[0]
        assert described in " ".join(run_optimized(words, WorkingCommand(()), tmp_path).stdout.split())


@pytest.mark.long
def test_a_report_is_refused_without_docstrings(hostile_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(hostile_folder, tmp_path / "work")
    for command in ("audit", "report"):
        done = run_optimized([command, *WORKING_COMMANDS[command][0].arguments], WorkingCommand(()), folder)
        assert done.returncode == 2
        assert "Unset PYTHONOPTIMIZE" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [name for name in WORKING_COMMANDS if name not in (*SERVING, "demo", "audit", "report")]
)
def test_every_command_works_without_docstrings(name: str, hostile_folder: Path, tmp_path: Path) -> None:
    for number, case in enumerate(WORKING_COMMANDS[name]):
        folder = tmp_path / str(number)
        fill_folder(folder, hostile_folder, name)
        assert run_optimized([name, *case.arguments], case, folder).returncode == case.status


# The last line of defence


class Panic(BaseException):
    """As a library in Rust raises it."""


@pytest.mark.drawn
@each_command
def test_a_failure_that_nobody_foresaw_is_our_fault_and_shows_no_value(
    name: str, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(main.commands[name], "callback", fail)
    case = WORKING_COMMANDS[name][0]
    for error in (ValueError("canary"), Panic("canary"), RecursionError("canary"), AssertionError("canary")):
        done = run([name, *case.arguments], case)
        assert done.exit_code == 3
        (line,) = done.stderr.splitlines()
        version = re.escape(CliRunner().invoke(main, ["--version"]).stdout.split()[2])
        assert re.match(
            rf"quivo-frames: {FAULT}, not of your orders: `{name}` ended with {type(error).__name__} in "
            rf"quivo_frames/cli/\w+\.py, line \d+ \(version {version}\)\. Please report this message",
            line,
        )
        assert "canary" not in done.output
        shown = run([name, *case.arguments], case, QUIVO_DEBUG="1").stderr
        assert "Traceback" in shown
        assert "canary" in shown


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "canary"), "The disk is full."),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "The disk is full."),
        (MemoryError("canary"), "There is not enough memory."),
        (PermissionError(errno.EACCES, "Permission denied", "orders.sqlite"), "orders.sqlite cannot be used: Permission denied."),
        (pl.exceptions.ComputeError("canary"), "The tables cannot be read (ComputeError)."),
    ],
)  # fmt: skip
def test_a_failure_of_the_machine_is_said_in_a_sentence(
    error: Exception, said: str, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(main.commands["status"], "callback", fail)
    done = run(["status", "--archive", ARCHIVE], WorkingCommand(()))
    assert done.exit_code == 3
    assert done.stderr.startswith(f"quivo-frames: {said}")
    assert "canary" not in done.stderr
