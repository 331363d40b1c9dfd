"""Runs the tests of both cores with a core that was compiled with sanitizers: `python run_sanitized.py FOLDER`."""

from __future__ import annotations

import sys

import pytest

import quivo_frames

if __name__ == "__main__":
    quivo_frames.__path__.insert(0, sys.argv[1])
    from quivo_frames import _core

    assert str(_core.__file__).startswith(sys.argv[1]), _core.__file__
    sys.exit(
        pytest.main(
            ["-q", "-p", "no:cacheprovider", "tests/flattening/test_cores.py", "tests/builder/test_line_index.py"]
        )
    )
