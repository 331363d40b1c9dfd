"""How deep tests of drawn orders go: `make test` draws a fifth of what `make long` draws."""

from __future__ import annotations

import os

IS_DEEP = os.environ.get("TEST_DEPTH") == "deep"


def examples(deep: int) -> int:
    """How many examples a test draws, if it draws `deep` at full depth."""
    return deep if IS_DEEP else -(-deep // 5)
