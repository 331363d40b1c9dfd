"""The answer about an order as lines of indented JSON, each value with its place, its cell, and numbers as written.

Of an answer of any size only so much is laid out that a browser copes with it: what is left out has an address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from quivo_frames.display.text import format_count
from quivo_frames.explorer.order_places import (
    ATTRIBUTES,
    Cell,
    JsonPlace,
    Steps,
    answer_address,
    place_anchor,
    place_at,
)

MOST_LINES, MOST_ENTRIES, MOST_LEVELS = 3_000, 200, 30
"""About so many lines are laid out, of a list or an object so many entries, and so many levels."""
MOST_CHARACTERS = 500
"""Of a text so many characters are shown."""
NOT_ADDRESSED = -1
"""The step to a field that has no address."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+")
_WORDS = {True: "true", False: "false", None: "null"}


class JsonNumber(str):
    """A number as it is written."""

    __slots__ = ()


class JsonObject(list[tuple[str, Any]]):
    """The fields of an object in their order, also those of the same name."""

    def field_steps(self, *, by_place: bool = False) -> list[str | int]:
        """How each field is addressed: by its name, else by its place; NOT_ADDRESSED if a later one has its name.

        The place is that among the names, as attributes of free-form objects are counted.
        """
        places: dict[str, int] = {}
        for name, _ in self:
            places.setdefault(name, len(places))
        last = {name: number for number, (name, _) in enumerate(self)}
        return [
            NOT_ADDRESSED if last[name] != number
            else places[name] if by_place or not _PLAIN_NAME.fullmatch(name) else name
            for number, (name, _) in enumerate(self)
        ]  # fmt: skip

    def value_at(self, step: str | int) -> Any:
        """The value of the field that a name or a place addresses.

        Raises:
            LookupError: there is none.
        """
        values = dict(self)
        return values[step] if isinstance(step, str) else list(values.values())[step]


class JsonLine(NamedTuple):
    """A line: the beginning or the end of an object or a list, a value, or how much is left out."""

    role: str
    """open, row (which row or cell it is), close, value or more."""
    name: str = ""
    """The name of the field as JSON text; empty in lists."""
    text: str = ""
    kind: str = ""
    """What stands there: text, number, word, list, object, hidden."""
    anchor: str = ""
    link: str = ""
    """Where its cell or row is; of what is left out, where it is shown."""
    note: str = ""
    """How many entries there are, which row it is, or how much of a text is not shown."""
    comma: str = ""
    is_open: bool = False
    is_here: bool = False


class JsonView(NamedTuple):
    """The lines that are shown of an answer, and the ids that they have."""

    lines: list[JsonLine]
    anchors: set[str]
    root: Steps
    """Where the lines begin."""


def parse_answer(body: bytes) -> Any:
    """The JSON of an answer: numbers as they are written, fields as they come.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(
            body, parse_int=JsonNumber, parse_float=JsonNumber, parse_constant=JsonNumber, object_pairs_hook=JsonObject
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def json_text(text: str) -> str:
    """A text as JSON in one line, without characters that nobody sees or that change the direction."""
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if quoted.isprintable() else "".join(map(_visible_character, quoted))


def _visible_character(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def existing_steps(value: Any, steps: Sequence[str | int]) -> Steps:
    """As many of the steps as lead to something."""
    found: list[str | int] = []
    for step in steps:
        try:
            value = _enter(value, step)
        except LookupError:
            break
        found.append(step)
    return tuple(found)


def _enter(value: Any, step: str | int) -> Any:
    if isinstance(value, JsonObject):
        return value.value_at(step)
    if isinstance(value, list) and isinstance(step, int):
        return value[step]
    raise LookupError


def lay_out_answer(
    value: Any, order_id: int, link_of: Callable[[Cell], str], *, at: Steps = (), personal: bool
) -> JsonView:  # fmt: skip
    """The lines of an answer around a place; `link_of` says where a cell is shown, "" if it is nowhere."""
    at = existing_steps(value, at)
    root = at[: max(len(at) - MOST_LEVELS // 2, 0)]
    for step in root:
        value = _enter(value, step)
    writer = _LineWriter(order_id, link_of, at, personal=personal)
    place = place_at(order_id, root)
    writer.write(value, place, "", "", len(root))
    return JsonView(writer.lines, writer.anchors, root)


class _LineWriter:
    """Writes the lines of one view."""

    def __init__(self, order_id: int, link_of: Callable[[Cell], str], at: Steps, *, personal: bool) -> None:
        self.lines: list[JsonLine] = []
        self.anchors: set[str] = set()
        self._order_id, self._link_of, self._at, self._personal = order_id, link_of, at, personal
        self._top = max(len(at) - MOST_LEVELS // 2, 0)

    def write(self, value: Any, place: JsonPlace, name: str, comma: str, level: int) -> None:
        """Write what stands at a place."""
        if isinstance(value, list) and value:
            self._write_entries(value, place, name, comma, level)
            return
        text, kind, note = self._describe_value(value, place)
        link = self._link_to_cell(value, place)
        self.lines.append(JsonLine("value", name, text, kind, self._anchor(place), link, note, comma,
                                   is_here=self._is_here(place)))  # fmt: skip

    def _link_to_cell(self, value: Any, place: JsonPlace) -> str:
        """Where the cell of a value is shown; of an attribute without a value, where its row is."""
        cell = place.cell
        if cell is None or (value is None and cell.table != ATTRIBUTES):
            return ""
        return self._link_of(cell) or (self._link_of(Cell(cell.table, cell.key)) if cell.table == ATTRIBUTES else "")

    def _describe_value(self, value: Any, place: JsonPlace) -> tuple[str, str, str]:
        if value is None and not self._personal and place.is_hidden:
            return "not shown", "hidden", ""
        if isinstance(value, JsonNumber):
            return str(value[:MOST_CHARACTERS]), "number", _count_hidden(value)
        if isinstance(value, str):
            return json_text(value[:MOST_CHARACTERS]), "text", _count_hidden(value)
        if isinstance(value, list):
            return "{}" if isinstance(value, JsonObject) else "[]", "word", ""
        return _WORDS[value], "word", ""

    def _write_entries(self, value: list[Any], place: JsonPlace, name: str, comma: str, level: int) -> None:
        is_object = isinstance(value, JsonObject)
        begin, end, noun = ("{", "}", "field") if is_object else ("[", "]", "entry")
        count = format_count(len(value), noun, "entries" if noun == "entry" else None)
        kind = "object" if is_object else "list"
        is_on_way = self._at[: len(place.steps)] == place.steps
        is_full = len(self.lines) >= MOST_LINES or level - self._top >= MOST_LEVELS
        if is_full and not is_on_way:
            link = (
                answer_address(self._order_id, place.steps) if place.steps and NOT_ADDRESSED not in place.steps else ""
            )
            self.lines.append(JsonLine("more", name, f"{begin} … {end}", kind, "", link, count, comma))
            return
        row = place.cell
        is_open = level < 1 or (is_on_way and (bool(self._at) or level == self._top))
        anchor = self._anchor(place)
        is_here = self._is_here(place)
        self.lines.append(JsonLine("open", name, begin, kind, "" if row else anchor, "", count, f"{end}{comma}",
                                   is_open, is_here))  # fmt: skip
        if row:
            words = " ".join(filter(None, row))
            kind = "cell" if row.column else "row"
            self.lines.append(JsonLine("row", "", words, kind, anchor, self._link_of(row)))
        for line in self._entries(value, place, level):
            self.lines.append(line)
        self.lines.append(JsonLine("close", "", end, comma=comma))

    def _entries(self, value: list[Any], place: JsonPlace, level: int) -> Iterator[JsonLine]:
        """Writes the entries that are shown; yields what is left out before and after them."""
        is_free = place.column is not None
        steps: list[str | int] = (
            value.field_steps(by_place=is_free) if isinstance(value, JsonObject) else [*range(len(value))]
        )
        first = self._first_entry(steps, place)
        last = min(first + MOST_ENTRIES, len(steps))
        if first:
            yield self._left_out(place, first, steps[max(first - MOST_ENTRIES, 0)], "earlier")
        for number in range(first, last):
            name, entry = value[number] if isinstance(value, JsonObject) else (None, value[number])
            comma = "," if number < len(steps) - 1 else ""
            here = place.entry_inside(steps[number])
            self.write(entry, here, "" if name is None else json_text(name), comma, level + 1)
        if last < len(steps):
            yield self._left_out(place, len(steps) - last, steps[last], "more")

    def _first_entry(self, steps: list[str | int], place: JsonPlace) -> int:
        """The first entry that is shown: that of the window that has the place to be shown."""
        depth = len(place.steps)
        if self._at[:depth] != place.steps or len(self._at) == depth or len(steps) <= MOST_ENTRIES:
            return 0
        wanted = self._at[depth]
        return steps.index(wanted) // MOST_ENTRIES * MOST_ENTRIES if wanted in steps else 0

    def _left_out(self, place: JsonPlace, count: int, step: str | int, which: str) -> JsonLine:
        link = (
            ""
            if step == NOT_ADDRESSED or NOT_ADDRESSED in place.steps
            else answer_address(self._order_id, (*place.steps, step))
        )
        return JsonLine("more", "", "…", "list", "", link, format_count(count, f"{which} entry", f"{which} entries"))

    def _anchor(self, place: JsonPlace) -> str:
        if place.table is None and place.steps != self._at:
            return ""
        anchor = place_anchor(place.steps)
        if NOT_ADDRESSED in place.steps or anchor in self.anchors:  # one of several fields of the same name
            return ""
        self.anchors.add(anchor)
        return anchor

    def _is_here(self, place: JsonPlace) -> bool:
        return bool(self._at) and place.steps == self._at


def _count_hidden(text: str) -> str:
    hidden = len(text) - MOST_CHARACTERS
    return f"{format_count(hidden, 'more character')}" if hidden > 0 else ""
