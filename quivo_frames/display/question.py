"""A question on the terminal itself: stdin may be a pipe of ids, stdout and stderr files."""

from __future__ import annotations

import os
from pathlib import Path

from quivo_frames.display.text import TerminalStream

_TERMINAL_IN, _TERMINAL_OUT = ("CONIN$", "CONOUT$") if os.name == "nt" else ("/dev/tty", "/dev/tty")


def ask_on_terminal(question: str) -> bool | None:
    """Whether the user says yes; None if this process has no terminal, or runs in its background."""
    answer = _read_answer(f"{question} [y/N]: ")
    return None if answer is None else answer.lower() in ("y", "yes")


def ask_text_on_terminal(question: str, default: str) -> str:
    """What the user writes; the default for an empty answer, and where nobody can be asked."""
    return _read_answer(f"{question} [{default}]: ") or default


def _read_answer(prompt: str) -> str | None:
    try:
        with (
            Path(_TERMINAL_IN).open(encoding="utf-8", errors="replace") as answers,
            Path(_TERMINAL_OUT).open("w", encoding="utf-8", errors="replace") as terminal,
        ):
            if os.name != "nt" and os.tcgetpgrp(answers.fileno()) != os.getpgrp():
                return None  # in the background, where reading would stop the process
            TerminalStream(terminal).write(prompt)
            return answers.readline().strip()
    except OSError:
        return None
