"""quivo_frames.build: decoding, 18 tables, pandera, foreign keys, parquet, manifest."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from quivo_frames import build
from tests.benchmarks.candidates import a_file_each
from tests.benchmarks.measure import Unavailable
from tests.benchmarks.orders import ALL

LEAVES_OUT = "nothing"


def run(file: Path, out: Path, **options: Any) -> None:
    absent = options.keys() - inspect.signature(build).parameters
    if absent:
        raise Unavailable(f"build has no option {', '.join(sorted(absent))} yet")
    build(file, out, progress=False, **options)


def tables(out: Path) -> dict[str, list[Path]]:
    return {name: sorted(out.glob(f"{name}/*.parquet")) or files for name, files in a_file_each(out, ALL).items()}
