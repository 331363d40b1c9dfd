"""Run code in `.venv-readers`, the environment of the tools that read exports."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.support.paths import ROOT

PYTHON = ROOT / ".venv-readers" / "bin" / "python"


def run_in_reader_environment(code: str, *arguments: object) -> Any:
    """Run code that prints JSON, with `arguments` in sys.argv[1:]; returns what it printed."""
    if not PYTHON.exists():
        pytest.skip("There is no .venv-readers: make .venv-readers/.made")
    done = subprocess.run([PYTHON, "-c", code, *map(str, arguments)], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
