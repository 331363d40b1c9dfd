"""How deep tests go: of what tests marked `drawn` draw or walk over, `make test` takes a fifth, `make long` all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")
IS_DEEP = os.environ.get("TEST_DEPTH") == "deep"
_SHARE = 5


def examples(deep: int) -> int:
    """How many examples a test draws, if it draws `deep` at full depth."""
    return deep if IS_DEEP else -(-deep // _SHARE)


def sampled(cases: Iterable[T]) -> list[T]:
    """The cases that a test walks over: all at full depth, else the first and every fifth after it."""
    return list(cases)[:: 1 if IS_DEEP else _SHARE]
