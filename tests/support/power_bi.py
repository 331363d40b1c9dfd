"""Reads the files of a Power BI project, without the code that writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_OBJECT = re.compile(
    r"^(table|column|measure|partition|relationship|expression) (?:'((?:[^']|'')+)'|([\w-]+))(?: = (.*))?$"
)
_END = re.compile(r"^(?:'((?:[^']|'')+)'|(\w+))\.(?:'((?:[^']|'')+)'|(\w+))$")


class ModelObject(NamedTuple):
    """An object of a model: its kind, its name, what stands after `=`, its description and its properties."""

    kind: str
    name: str
    value: str
    description: str
    properties: dict[str, str]
    children: list[ModelObject]

    def of_kind(self, kind: str) -> dict[str, ModelObject]:
        """Its children of a kind, by name."""
        return {child.name: child for child in self.children if child.kind == kind}


def read_objects(text: str) -> list[ModelObject]:
    """The objects of a file in TMDL: what is one tab deeper belongs to what is above it."""
    open_objects: list[tuple[int, ModelObject]] = []
    found, described, source = [], [], -1
    for line in text.splitlines():
        content = line.lstrip("\t")
        depth = len(line) - len(content)
        assert not content.startswith(" ") or source >= 0, f"a line is indented by spaces: {line!r}"
        if not content or (0 <= source < depth):
            continue
        source = -1
        if content.startswith("///"):
            described.append(content.removeprefix("/// "))
        elif match := _OBJECT.match(content):
            kind, quoted, plain, value = match.groups()
            name = quoted.replace("''", "'") if quoted else plain
            made = ModelObject(kind, name, value or "", "\n".join(described), {}, [])
            described = []
            while open_objects and open_objects[-1][0] >= depth:
                open_objects.pop()
            (open_objects[-1][1].children if open_objects else found).append(made)
            open_objects.append((depth, made))
        elif content.startswith("source ="):
            source = depth
        elif not content.startswith(("annotation ", "ref ")) and open_objects:
            key, _, value = content.partition(": ")
            open_objects[-1][1].properties[key] = value or "true"
    return found


def read_model(definition: Path) -> dict[str, ModelObject]:
    """The tables of a model by name."""
    found = {}
    for file in sorted((definition / "tables").glob("*.tmdl")):
        (table,) = read_objects(file.read_text(encoding="utf-8"))
        assert table.name == file.stem
        found[table.name] = table
    return found


def column_of(end: str) -> tuple[str, str]:
    """The table and the column of an end of a relationship: overview.order_id."""
    match = _END.match(end)
    assert match, end
    table, plain_table, column, plain_column = match.groups()
    return table or plain_table, column or plain_column
