"""`--version`, `completion` and `--quiet`: what a shell and a terminal get."""

from __future__ import annotations

import os
import platform
import pty
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from quivo_frames.cli import main
from quivo_frames.cli.shell_command import SHELLS
from quivo_frames.display.progress import open_progress_bar, progress_hidden
from quivo_frames.flattening.core_choice import core_name
from quivo_frames.standin.orders import write_ndjson

PROGRAM = Path(sys.executable).parent / "quivo-frames"


def test_the_version_is_the_first_line_and_what_it_runs_on_the_second() -> None:
    done = CliRunner().invoke(main, ["--version"])
    first, second = done.stdout.splitlines()
    assert (done.exit_code, first) == (0, f"quivo-frames, version {version('quivo_frames')}")
    for part in (f"Python {platform.python_version()}", f"polars {version('polars')}", f"pandera {version('pandera')}"):
        assert part in second


@pytest.mark.parametrize("words", [["--version", "-v"], ["-v", "--version"]])
def test_with_v_the_version_says_which_core_builds_and_each_fact_in_a_line(words: list[str]) -> None:
    done = CliRunner().invoke(main, words)
    plain, lines = CliRunner().invoke(main, ["--version"]).stdout, done.stdout.splitlines()
    assert (done.exit_code, lines[0]) == (0, plain.splitlines()[0])
    assert lines[1].split(", ")[0] == f"core {core_name()}"
    assert lines[2] == f"Python {platform.python_version()}"
    assert {f"polars {version('polars')}", platform.platform()} <= set(lines)
    assert "core" not in plain


def test_v_is_only_for_the_version() -> None:
    done = CliRunner().invoke(main, ["-v", "columns"])
    assert (done.exit_code, "-v goes with --version" in done.stderr) == (2, True)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_the_script_without_a_fault(shell: str, tmp_path: Path) -> None:
    script = CliRunner().invoke(main, ["completion", shell])
    assert script.exit_code == 0
    assert f"_QUIVO_FRAMES_COMPLETE={shell}_complete" in script.stdout
    if shutil.which(shell):
        (tmp_path / "script").write_text(script.stdout)
        assert subprocess.run([shell, "-n", tmp_path / "script"], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("words", "place", "offered"),
    [
        ("quivo-frames co", "1", {"columns", "completion"}),
        ("quivo-frames kpis --by c", "3", {"carrier", "country"}),
        ("quivo-frames audit --qu", "2", {"--quiet"}),
    ],
)
def test_bash_is_offered_commands_options_and_choices(
    words: str, place: str, offered: set[str], tmp_path: Path
) -> None:
    """As the script calls the program."""
    asked = {**os.environ, "COMP_WORDS": words, "COMP_CWORD": place, "_QUIVO_FRAMES_COMPLETE": "bash_complete"}
    done = subprocess.run([PROGRAM], env=asked, cwd=tmp_path, capture_output=True, text=True)
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == offered


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_works_in_bash(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(CliRunner().invoke(main, ["completion", "bash"]).stdout)
    code = """. ./script; COMP_WORDS=(quivo-frames col); COMP_CWORD=1; _quivo_frames_completion "$1"; echo "${COMPREPLY[@]}" """
    done = subprocess.run(["bash", "-c", code, "bash", PROGRAM], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["columns"], done.stderr


# Progress


def run_on_terminal(folder: Path, *words: str) -> str:
    """What a command prints to stderr on a terminal."""
    reader, terminal = pty.openpty()
    done = subprocess.run([PROGRAM, *words], cwd=folder, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    assert done.returncode in (0, 1)
    shown = b""
    try:
        while chunk := os.read(reader, 65_536):
            shown += chunk
    except OSError:  # at its end, on Linux
        pass
    os.close(reader)
    return shown.decode()


@pytest.mark.long
def test_the_report_and_the_build_show_a_bar_and_quiet_ones_none(tmp_path: Path) -> None:
    write_ndjson(tmp_path / "orders.ndjson", 30)
    build = ("build", "orders.ndjson", "--jobs", "1", "--full")
    assert re.search(r"build: 100%.* 30/30", run_on_terminal(tmp_path, *build))
    assert re.search(r"report: 100%.* 4/4", run_on_terminal(tmp_path, "report"))
    for words in (
        ("-q", *build),
        (*build, "--quiet"),
        ("--quiet", "report"),
        ("report", "-q"),
        ("audit", "-q", "--html", "a.html"),
    ):
        assert run_on_terminal(tmp_path, *words) == "", words


def test_a_bar_that_was_asked_for_is_shown_even_in_a_quiet_block(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_hidden():
        with open_progress_bar("work", 2, True) as bar:
            bar.update(2)
        assert "work: 100%" in capsys.readouterr().err
        with open_progress_bar("work", 2, None) as bar:
            bar.update(2)
        assert capsys.readouterr().err == ""


def test_quiet_ends_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from quivo_frames.display.progress import is_progress_hidden

    monkeypatch.chdir(tmp_path)
    write_ndjson(tmp_path / "orders.ndjson", 3)
    assert CliRunner().invoke(main, ["-q", "build", "orders.ndjson", "--jobs", "1", "--quiet"]).exit_code == 0
    assert not is_progress_hidden()


def test_long_commands_have_the_option_of_their_own() -> None:
    for name in ("refetch", "build", "audit", "report", "export-raw", "demo"):
        assert any("--quiet" in parameter.opts for parameter in main.commands[name].params), name
