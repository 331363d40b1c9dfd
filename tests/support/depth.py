"""How deep tests go: the share of what tests marked `drawn` draw or walk over.

`make test` takes a fifth, `make long` a half, which is another one with each commit, and `make deep` all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")
_DEPTH = os.environ.get("TEST_DEPTH", "")
_ONE_OF = {"": 5, "long": 2, "deep": 1}[_DEPTH]
_FIRST = int(os.environ.get("TEST_COMMITS", "0")) % _ONE_OF
IS_DEEP = _DEPTH != ""


def examples(deep: int) -> int:
    """How many examples a test draws, if it draws `deep` at full depth."""
    return -(-deep // _ONE_OF)


def sampled(cases: Iterable[T]) -> list[T]:
    """The cases that a test walks over: all at full depth, else one of so many."""
    walked = list(cases)
    return walked[_FIRST::_ONE_OF] or walked[:1]
