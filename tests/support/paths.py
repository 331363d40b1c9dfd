"""Where the files lie that tests share."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTED_ORDER = Path(__file__).parent / "documented_order.json"
"""The order of Quivo's documentation."""
