"""The first look at lines of orders, one a line: where each begins, how long it is, and its id, without decoding it.

The id is read where a line begins as Quivo writes it. Every other line is unusual, and for others to read: one that is
blank, that begins in another way, or that may hold several values.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from quivo_frames.flattening.compiled import USUAL_BEGINNING
from quivo_frames.flattening.core_choice import compiled_core

_USUAL_LINE = re.compile(re.escape(USUAL_BEGINNING) + rb"(-?[1-9]\d{0,18}|0)[,}]")
VALUE_BEHIND_VALUE = re.compile(rb"\}[ \t\r]*\{")
"""Where a value may follow another on its line."""
_BLANKS = frozenset(b" \t\r\n\v\f")
_LIMIT = 2**63


class LineIndex(NamedTuple):
    """All lines of a text."""

    order_ids: Sequence[int]
    """0 where a line is unusual."""
    sizes: Sequence[int]
    """Bytes of each, without its end and blanks before that."""
    begins: Sequence[int]
    """Bytes before each."""
    unusual: Sequence[int]
    """Which lines are unusual, counted from 0."""


def index_lines(text: bytes | memoryview) -> LineIndex:
    """The index of some lines, of which the last one may have no end."""
    core = compiled_core()
    if core is None:
        return _index_lines_in_python(text)
    return LineIndex(*(memoryview(found).cast("q") for found in core.index_lines(text, USUAL_BEGINNING)))


def _index_lines_in_python(text: bytes | memoryview) -> LineIndex:
    text = bytes(text)
    order_ids: list[int] = []
    sizes: list[int] = []
    begins: list[int] = []
    unusual: set[int] = set()
    begin = 0
    while begin < len(text):
        line_end = text.find(b"\n", begin)
        end = stop = line_end if line_end >= 0 else len(text)
        while end > begin and text[end - 1] in _BLANKS:
            end -= 1
        found = _USUAL_LINE.match(text, begin)
        order_id = int(found[1]) if found else _LIMIT
        if abs(order_id) >= _LIMIT:
            order_id = 0
            unusual.add(len(begins))
        order_ids.append(order_id)
        sizes.append(end - begin)
        begins.append(begin)
        begin = stop + 1
    for behind in VALUE_BEHIND_VALUE.finditer(text):
        number = bisect_right(begins, behind.start()) - 1
        order_ids[number] = 0
        unusual.add(number)
    return LineIndex(order_ids, sizes, begins, sorted(unusual))
