"""Compiles quivo_frames._core: into the wheel, or into the checkout where the installation is editable.

Where that cannot be done (no C++ compiler, no headers of Python), the package is installed without it, and the core in
Python does its work. The environment variable QUIVO_FRAMES_CORE says otherwise: `compiled` makes this an error, and
`python` compiles nothing.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

SOURCES = Path("quivo_frames", "flattening", "core")  # a build runs in the folder of pyproject.toml
STABLE = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
"""One file for this Python and all later ones: the stable ABI."""
FLAGS = ["/std:c++20", "/O2", "/EHsc"] if os.name == "nt" else ["-std=c++20", "-O3", "-g0", "-fvisibility=hidden"]


class CompiledCore(BuildHookInterface):
    """The part of a build that compiles."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tag the wheel with what it is for."""
        wanted = os.environ.get("QUIVO_FRAMES_CORE", "").strip()
        if self.target_name != "wheel" or wanted == "python":
            return
        editable = version == "editable"
        self._folder = tempfile.TemporaryDirectory()  # until hatch has packed what is in it
        command = _prepare_command(Path() if editable else Path(self._folder.name), self._folder.name)
        [file] = map(Path, command.get_outputs())
        try:
            command.run()
        except (BaseError, CCompilerError) as error:
            file.unlink(missing_ok=True)  # of older sources
            if wanted == "compiled":
                raise
            self.app.display_warning(f"quivo_frames is installed without its compiled core: {error}")
            return
        if not editable:
            build_data["force_include"][str(file)] = f"quivo_frames/{file.name}"
            build_data["pure_python"] = False
            tag = self.build_config.builder.get_best_matching_tag()
            build_data["tag"] = f"cp311-abi3-{tag.split('-')[2]}" if STABLE else tag

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was only for this build."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def _prepare_command(target: Path, objects: str) -> build_ext:
    """The command of setuptools that compiles what is newer than the file in `target`."""
    extension = Extension(
        "quivo_frames._core",
        [str(file) for file in sorted(SOURCES.glob("*.cpp"))],
        depends=["hatch_build.py", *(str(file) for file in sorted(SOURCES.glob("*.hpp")))],
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE else [],
        extra_compile_args=FLAGS,
        extra_link_args=["-Wl,-s"] if sys.platform == "linux" else [],
        language="c++",
        py_limited_api=STABLE,
    )
    command = build_ext(Distribution({"name": "quivo-frames", "ext_modules": [extension]}))
    command.build_lib, command.build_temp = str(target), objects
    command.ensure_finalized()
    return command
