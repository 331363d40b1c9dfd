"""Builds made-up orders with both cores of the quivo_frames that is installed: they must make the same bytes.

    python tests/packaging/both_cores.py

It needs that package alone, so that it can try a wheel on any machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from quivo_frames.standin.orders import write_ndjson

ORDERS = 200


def build_with(core: str, folder: Path) -> dict[str, str]:
    """The digest of each file of tables that a core made."""
    words = ["-m", "quivo_frames.cli", "build", "orders.ndjson", "--out", core]
    subprocess.run([sys.executable, *words], cwd=folder, env=os.environ | {"QUIVO_FRAMES_CORE": core}, check=True)
    manifest = json.loads((folder / core / "manifest.json").read_text(encoding="utf-8"))
    if (manifest["core"], manifest["orders"]["in"]) != (core, ORDERS):
        sys.exit(f"Not {ORDERS} orders by the {core} core: {manifest['orders']} by {manifest['core']}")
    return {file["file"]: file["sha256"] for table in manifest["tables"].values() for file in table["files"]}


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        folder = Path(made)
        write_ndjson(folder / "orders.ndjson", ORDERS)
        compiled, python = build_with("compiled", folder), build_with("python", folder)
    if different := [name for name, digest in compiled.items() if python.get(name) != digest]:
        sys.exit(f"The cores differ in {', '.join(different)}")
    print(f"{len(compiled)} files are the same from both cores")
