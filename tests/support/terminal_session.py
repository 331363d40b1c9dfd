"""Commands on a pseudo-terminal of their own, and commands of a session that has no terminal at all."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

CTRL_C = "\x03"
_TAKE_TERMINAL = "import os, sys; os.login_tty(int(sys.argv[1])); os.execvp(sys.argv[2], sys.argv[2:])"


class TerminalSession(NamedTuple):
    status: int
    shown: str
    """Everything on the screen: the question, the answer that was typed, and stdout and stderr if they lead there."""


def run_on_terminal(
    script: str, typed: str, *, folder: Path, environment: dict[str, str], question: str = "[y/N]: "
) -> TerminalSession:
    """Run a script of bash on a terminal where `typed` is typed as soon as the question is there."""
    ours, theirs = os.openpty()
    words = [sys.executable, "-c", _TAKE_TERMINAL, str(theirs), "bash", "-o", "pipefail", "-c", script]
    child = subprocess.Popen(words, cwd=folder, env=environment, pass_fds=(theirs,))
    os.close(theirs)
    shown, asked = b"", False
    while True:
        if asked and typed == CTRL_C and not select.select([ours], [], [], 1.0)[0]:
            os.write(ours, typed.encode())  # a signal right before the read began does not end it
            continue
        try:
            more = os.read(ours, 4096)
        except OSError:  # how Linux tells that nobody has the terminal open any more
            break
        if not more:
            break
        shown += more
        if not asked and question.encode() in shown:
            asked = True
            os.write(ours, typed.encode())
    os.close(ours)
    return TerminalSession(child.wait(60), shown.decode().replace("\r\n", "\n"))


def run_without_terminal(script: str, *, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script of bash in a session without a terminal, as cron does."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, start_new_session=True, timeout=60,
    )  # fmt: skip
