"""Text from outside is safe on a terminal, and nouns agree with their numbers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from quivo_frames.display.native_text import hidden_native_text
from quivo_frames.display.progress import open_progress_bar
from quivo_frames.display.text import (
    TerminalStream,
    format_count,
    noun_for,
    print_json,
    print_text,
    terminal_lines,
    terminal_text,
)
from quivo_frames.errors import OutputError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Łódź 7", "Łódź 7"),
        (12, "12"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),  # a right-to-left override
    ],
)
def test_text_for_a_terminal_is_one_line_that_controls_nothing(value: object, shown: str) -> None:
    assert terminal_text(value) == shown


HOSTILE = "\x1b[31m\x9b2J\x07\u202egnp\u200b\u2192\U0001f600\x7f\ud800 a\tb"


class Screen(io.TextIOWrapper):
    """A terminal of an encoding."""

    def __init__(self, encoding: str, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def shown(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1", "ascii", "utf-16"])
def test_printed_text_controls_nothing_and_keeps_its_lines(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(encoding)
    monkeypatch.setattr(sys, "stdout", screen)
    assert print_text(f"one {HOSTILE}\ntwo")
    first, second, end = screen.shown().replace("\ufeff", "").split("\n")
    assert first.startswith("one \\x1b[31m\\x9b2J\\x07\\u202egnp\\u200b")
    assert first.isprintable()
    assert (second, end) == ("two", "")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_printed_json_controls_nothing_and_reads_back_to_the_same_values(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(encoding)
    monkeypatch.setattr(sys, "stdout", screen)
    lines = [json.dumps({f"key {HOSTILE}": [HOSTILE, "ä"]}, ensure_ascii=False) for _ in range(2)]
    assert print_json("\n".join(lines).replace("\ud800", "\\ud800"))
    assert all(sign == "\n" or sign.isprintable() for sign in screen.shown())
    assert [json.loads(line) for line in screen.shown().splitlines()] == [json.loads(line) for line in lines]


def test_bold_text_is_bold_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, shown in ((True, "\x1b[1ma\x1b[0m\n"), (False, "a\n")):
        screen = Screen("utf-8", terminal=terminal)
        monkeypatch.setattr(sys, "stdout", screen)
        print_text("a", bold=True)
        assert screen.shown() == shown


def test_a_library_keeps_its_styles_and_passes_on_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("ascii", terminal=True)
    stream = TerminalStream(screen)
    text = "\r\x1b[1;31mred\x1b[0m\n\x1b[2J\x9b\u2192"
    assert stream.write(text) == len(text)
    assert screen.shown() == "\r\x1b[1;31mred\x1b[0m\n\\x1b[2J\\x9b\\u2192"
    assert (stream.isatty(), stream.encoding) == (True, "ascii")


@pytest.mark.skipif(os.name == "nt", reason="there is no /dev/full")
def test_a_progress_bar_on_a_full_disk_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", encoding="ascii") as full:
        monkeypatch.setattr(sys, "stderr", full)
        with open_progress_bar("refetch", 2, shown=True) as bar:
            bar.update()
            bar.refresh()


def test_what_cannot_be_written_is_an_error_on_stdout_and_dropped_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(sys, "stderr", Full())
    with pytest.raises(OutputError, match="could not be written to stdout: the disk is full"):
        print_text("a")
    with pytest.raises(OutputError):
        print_json("{}")
    assert not print_text("a", to_stderr=True)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
        assert not print_text("a", to_stderr=name == "stderr")


def test_lines_of_a_text_stay_lines() -> None:
    assert terminal_lines(["a\nb", 1]) == "a\\nb\n1"


def test_what_a_library_writes_past_python_is_hidden_unless_it_is_asked_for() -> None:
    code = """
import os, sys, threading
from quivo_frames.display.native_text import hidden_native_text
def hide():
    with hidden_native_text():
        barrier.wait(); os.write(2, b"panicked "); barrier.wait()
barrier = threading.Barrier(2)
print("before", file=sys.stderr)
threads = [threading.Thread(target=hide) for _ in range(2)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print("after", file=sys.stderr)
"""
    for debug, shown in (("", "before\nafter\n"), ("1", "before\npanicked panicked after\n")):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "QUIVO_DEBUG": debug}, capture_output=True, text=True
        )
        assert done.stderr == shown


def test_an_error_leaves_a_block_of_hidden_text_as_it_was_raised(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with hidden_native_text():
            os.write(2, b"hidden")
            raise ValueError("a")

    with pytest.raises(ValueError, match="a"):
        fail()
    os.write(2, b"shown")
    assert capfd.readouterr().err == "shown"


def test_a_noun_agrees_with_its_number() -> None:
    assert [format_count(count, "order") for count in (0, 1, 2, 1024)] == [
        "0 orders",
        "1 order",
        "2 orders",
        "1,024 orders",
    ]
    assert format_count(2, "entry", "entries") == "2 entries"
    assert (noun_for(1, "info", "info"), noun_for(3, "info", "info")) == ("info", "info")
