"""Which core flattens orders, and what is said where it is the one in Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quivo_frames.flattening.core_choice import compiled_core

ASK = """
import sys, quivo_frames
quivo_frames.__path__[:] = [folder for folder in (sys.argv[1], *quivo_frames.__path__) if folder]
from quivo_frames.flattening.core_choice import core_name, describe_core
print(core_name(), describe_core(), sep="\\n")
"""
"""Prints what is chosen where a folder comes first in which modules of the package are looked for."""

needs_core = pytest.mark.skipif(compiled_core() is None, reason="There is no compiled core here")


def ask(folder: Path | str = "", wanted: str = "") -> tuple[int, list[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(folder)],
        env=os.environ | {"QUIVO_FRAMES_CORE": wanted},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@needs_core
def test_the_compiled_core_is_taken_where_it_is() -> None:
    assert ask() == ask(wanted="compiled") == (0, ["compiled", "compiled"], "")
    assert ask(wanted="python") == (0, ["python", "python, as QUIVO_FRAMES_CORE says"], "")


def cut(share: float):
    return lambda library: library[: int(len(library) * share)]


@needs_core
@pytest.mark.skipif(sys.platform != "linux", reason="Libraries of Linux")
@pytest.mark.parametrize(
    "damage",
    [
        *(pytest.param(cut(share), id=f"{share:.0%}") for share in (0, 0.001, 0.01, 0.3, 0.6, 0.95, 0.999)),
        pytest.param(lambda _: b"no library", id="no library"),
        pytest.param(lambda library: library[:18] + b"\xf3\0" + library[20:], id="of another processor"),
        pytest.param(lambda library: library.replace(b"PyInit__core", b"PyInit__cure"), id="another module"),
        pytest.param(lambda library: library.replace(b"PyModuleDef_Init", b"PyModuleDef_Unit"), id="of no Python"),
    ],
)
def test_a_damaged_core_is_as_good_as_none(damage, tmp_path: Path) -> None:
    """Also where loading it would end the process by a signal."""
    library = Path(compiled_core().__file__)
    (tmp_path / library.name).write_bytes(damage(library.read_bytes()))
    status, (name, description), stderr = ask(tmp_path)
    assert (status, name, stderr) == (0, "python", "")
    assert description.startswith("python, ")
    assert description.endswith("cannot be loaded; install quivo-frames again")
    status, _, stderr = ask(tmp_path, "compiled")
    assert (status, "has no compiled core" in stderr) == (1, True)


def test_no_core_is_told_with_what_it_costs_and_what_to_do() -> None:
    code = ASK.replace("from", "sys.modules['quivo_frames._core'] = None\nfrom", 1)
    done = subprocess.run(
        [sys.executable, "-c", code, ""], env=os.environ | {"QUIVO_FRAMES_CORE": ""}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    description = (
        "about twice the time: install a wheel of quivo-frames, or install it again where there is a C++ compiler"
    )
    assert done.stdout.splitlines() == ["python", f"python, which makes the same tables in {description}"]


def test_another_word_is_refused() -> None:
    status, _, stderr = ask(wanted="fast")
    assert (status, "QUIVO_FRAMES_CORE must be compiled or python." in stderr) == (1, True)
