"""Noun: a bar on stderr, where somebody can see it. Only here: tqdm. Floor 1."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Silent:
    """A bar that nobody sees."""

    def update(self, count: int = 1) -> None:
        """Counts nothing."""

    def set_postfix(self, **_: object) -> None:
        """Says nothing."""


@contextmanager
def bar(what: str, total: int, shown: bool | None) -> Iterator[Any]:
    """A bar of `total` orders; `shown` None means: on a terminal and in a notebook."""
    if not (sys.stderr.isatty() or _in_notebook() if shown is None else shown):
        yield Silent()
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit=" orders", desc=what, file=sys.stderr) as progress:
        yield progress


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
