"""Runs a command that may be killed after some seconds, with all that it had started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def run_or_kill(
    words: list[str], folder: Path, kill_after: float | None = None, settings: Mapping[str, str] | None = None
) -> int:
    """The exit status of a command, with `settings` in its environment; below 0 if it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "quivo_frames.cli", *words],
        cwd=folder,
        env={**os.environ, **(settings or {})},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        _, errors = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return process.returncode
    assert b"Traceback" not in errors, errors.decode()
    return process.returncode
