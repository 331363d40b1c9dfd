"""Runs a command that stops once, where a test wants it to, until the test lets it go on.

    python -m tests.support.paused_command MODULE CLASS.METHOD FOLDER ARGUMENT...

The first call of the method creates FOLDER/reached, and waits until there is FOLDER/go.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

WAIT_SECONDS = 120


@dataclass
class PausedCommand:
    """How a command ended that was paused, once it has."""

    returncode: int | None = None
    stdout: str = ""
    stderr: str = ""


@contextmanager
def paused_command(where: str, folder: Path, *arguments: object) -> Iterator[PausedCommand]:
    """A command that has reached a method ("MODULE CLASS.METHOD") in its process; after the block it goes on and ends."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.support.paused_command", *where.split(), str(folder), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    ended = PausedCommand()
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while not (folder / "reached").exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (folder / "reached").exists(), running.communicate(timeout=WAIT_SECONDS)
        yield ended
    finally:
        (folder / "go").touch()
        ended.stdout, ended.stderr = running.communicate(timeout=WAIT_SECONDS)
        ended.returncode = running.returncode


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, in a process of its own."""
    command = [sys.executable, "-m", "quivo_frames.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)


def _pause_once(owner: type, method: str, folder: Path) -> None:
    original = getattr(owner, method)

    def paused(*given: Any, **options: Any) -> Any:
        if not (folder / "reached").exists():
            (folder / "reached").touch()
            while not (folder / "go").exists():
                time.sleep(0.02)
        return original(*given, **options)

    setattr(owner, method, paused)


def main() -> None:
    """Patches the method, and runs the command."""
    module, place, folder, *arguments = sys.argv[1:]
    owner, method = place.split(".")
    _pause_once(getattr(importlib.import_module(module), owner), method, Path(folder))
    from quivo_frames.cli import main as run_main

    run_main(arguments)


if __name__ == "__main__":
    main()
