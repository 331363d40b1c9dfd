"""Which core flattens orders: the compiled one where it is installed, else the one in Python; both give the same."""

from __future__ import annotations

import functools
import os
import struct
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from quivo_frames.errors import ConfigError

VARIABLE = "QUIVO_FRAMES_CORE"
"""`python` or `compiled`: which core flattens orders. Without it, the compiled one if it is installed."""
_MODULE = "quivo_frames._core"
COMPILED, PYTHON = "compiled", "python"
_SLOWER = "which makes the same tables in about twice the time"


@functools.cache
def compiled_core() -> ModuleType | None:
    """The compiled core; None where it is not installed, or where QUIVO_FRAMES_CORE is `python`.

    Raises:
        ConfigError: QUIVO_FRAMES_CORE is neither `python` nor `compiled`, or it is `compiled` and there is none.
    """
    wanted = os.environ.get(VARIABLE, "").strip()
    if wanted not in ("", COMPILED, PYTHON):
        raise ConfigError(
            f"{VARIABLE} must be {COMPILED} or {PYTHON}. Without it, the compiled core is used if there is one."
        )
    if wanted == PYTHON:
        return None
    try:
        return _load_core()
    except ImportError as error:
        if wanted == COMPILED:
            raise ConfigError(
                f"{VARIABLE} is {COMPILED}, but this installation has no compiled core. Install a wheel of "
                f"quivo-frames, or from source where there is a C++ compiler; or unset {VARIABLE}."
            ) from error
        return None


def _load_core() -> ModuleType:
    found = find_spec(_MODULE)
    if found and found.origin and _is_cut_off(Path(found.origin)):
        raise ImportError(f"{found.origin} is cut off")
    return import_module(_MODULE)


def _is_cut_off(library: Path) -> bool:
    """Whether a library of Linux lacks its end, where its table of sections is: loading it could kill the process."""
    with library.open("rb") as opened:
        header = opened.read(64)
    if len(header) < 64 or header[:6] != b"\x7fELF\2\1":  # of 64 bits, and little-endian
        return False
    (table,), (entry_size, entries) = struct.unpack_from("<Q", header, 40), struct.unpack_from("<HH", header, 58)
    return bool(library.stat().st_size < table + entry_size * entries)


def core_name() -> str:
    """`compiled` or `python`: which core flattens orders here."""
    return COMPILED if compiled_core() is not None else PYTHON


def describe_core() -> str:
    """Which core flattens orders here; if it is the one in Python: why, what that costs, and what to do."""
    if (name := core_name()) == COMPILED:
        return name
    if os.environ.get(VARIABLE, "").strip():
        return f"{name}, as {VARIABLE} says"
    if find_spec(_MODULE):
        return f"{name}, {_SLOWER}: the compiled core is there, but cannot be loaded; install quivo-frames again"
    return f"{name}, {_SLOWER}: install a wheel of quivo-frames, or install it again where there is a C++ compiler"
