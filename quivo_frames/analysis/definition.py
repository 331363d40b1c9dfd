"""Reads the definition of a check or a KPI from the docstring of its function."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple


class DocstringParts(NamedTuple):
    """Title, definition and limits, as a docstring states them."""

    title: str
    text: str
    limits: str


def parse_docstring(function: Callable[..., Any]) -> DocstringParts:
    """The title is the first paragraph, the limits are those that begin with `Limits: `, the text is the rest.

    Lines within a paragraph are joined.
    """
    title, *others = (re.sub(r"\s+", " ", text) for text in read_docstring(function).split("\n\n"))
    limits = [text.removeprefix("Limits: ") for text in others if text.startswith("Limits: ")]
    text = [text for text in others if not text.startswith("Limits: ")]
    return DocstringParts(title, "\n\n".join(text), "\n\n".join(limits))


def read_docstring(function: Callable[..., Any]) -> str:
    """The docstring of a function, from its source where Python has left it out (-OO, PYTHONOPTIMIZE=2)."""
    if text := inspect.getdoc(function):
        return text
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    return ast.get_docstring(definition) or "" if isinstance(definition, ast.FunctionDef) else ""
