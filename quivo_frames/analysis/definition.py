"""Verb: a function -> what its docstring defines: title, definition, and `Limits:` what it cannot see. Floor 0."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple


class DocstringParts(NamedTuple):
    """What a docstring defines."""

    title: str
    text: str
    limits: str


def parse_docstring(function: Callable[..., Any]) -> DocstringParts:
    """The first paragraph, the others, and those that begin with `Limits: `; each paragraph on a line of its own."""
    title, *others = (re.sub(r"\s+", " ", text) for text in (inspect.getdoc(function) or "").split("\n\n"))
    limits = [text.removeprefix("Limits: ") for text in others if text.startswith("Limits: ")]
    text = [text for text in others if not text.startswith("Limits: ")]
    return DocstringParts(title, "\n\n".join(text), "\n\n".join(limits))
