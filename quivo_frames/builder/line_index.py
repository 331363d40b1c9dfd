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

_LINE_BEGINNING = b"(?:" + re.escape(USUAL_BEGINNING) + rb"(-?[1-9]\d{0,18}|0)[,}])?"
_FIRST_LINE, _NEXT_LINE = re.compile(_LINE_BEGINNING), re.compile(rb"\n" + _LINE_BEGINNING)
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
    first = _FIRST_LINE.match(text)
    ids, begins, ends = [first and first[1]], [0], []
    for line in _NEXT_LINE.finditer(text):
        ends.append(line.start())
        begins.append(line.start() + 1)
        ids.append(line[1])
    if begins[-1] < len(text):
        ends.append(len(text))
    order_ids, sizes, unusual = [], [], set()
    for number, (written, begin, end) in enumerate(
        zip(ids, begins, ends, strict=False)
    ):  # behind the last end is nothing
        order_id = int(written or 0)
        if written is None or abs(order_id) >= _LIMIT:
            order_id = 0
            unusual.add(number)
        while end > begin and text[end - 1] in _BLANKS:
            end -= 1
        order_ids.append(order_id)
        sizes.append(end - begin)
    for behind in VALUE_BEHIND_VALUE.finditer(text):
        number = bisect_right(begins, behind.start()) - 1
        order_ids[number] = 0
        unusual.add(number)
    return LineIndex(order_ids, sizes, begins[: len(ends)], sorted(unusual))
