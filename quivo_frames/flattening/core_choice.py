"""Which core flattens orders: the compiled one where it is installed, else the one in Python; both give the same."""

from __future__ import annotations

import functools
import os
from importlib import import_module
from types import ModuleType

from quivo_frames.errors import ConfigError

VARIABLE = "QUIVO_FRAMES_CORE"
COMPILED, PYTHON = "compiled", "python"


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
        return import_module("quivo_frames._core")
    except ImportError as error:
        if wanted == COMPILED:
            raise ConfigError(
                f"{VARIABLE} is {COMPILED}, but this installation has no compiled core. Install a wheel of "
                f"quivo-frames, or from source where there is a C++ compiler; or unset {VARIABLE}."
            ) from error
        return None


def core_name() -> str:
    """`compiled` or `python`: which core flattens orders here."""
    return COMPILED if compiled_core() is not None else PYTHON
