"""The manifest of a dataset, and the names of what stands beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
EXPORTS = "exports.json"
LINEAGE = ".lineage"
BUILDING = ".building"
LOCK = ".lock"


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder; None if there is none of ours."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("dataset") == "quivo_frames" else None
