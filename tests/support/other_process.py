"""What other tools read: code that runs in the environment `.venv-readers`, beside the one of the tests."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.support.paths import ROOT

PYTHON = ROOT / ".venv-readers" / "bin" / "python"


def elsewhere(code: str, *arguments: object) -> Any:
    """Runs code that prints JSON, with `arguments` in sys.argv[1:], and returns what it printed."""
    if not PYTHON.exists():
        pytest.skip("There is no .venv-readers: make .venv-readers/.made")
    done = subprocess.run([PYTHON, "-c", code, *map(str, arguments)], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
