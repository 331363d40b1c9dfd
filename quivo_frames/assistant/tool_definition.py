"""What a tool is: its arguments, what it answers, and the function that works it out.

All that a client learns of a tool is written in the code: no value of an order is in it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import msgspec

from quivo_frames.assistant.table_state import TableState

_DEFINITIONS = "#/$defs/{name}"


class Arguments(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base class of the arguments of tools: the docstring of each says what the tool is for."""


Day = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$", description="A day, 2026-06-30, UTC.")]
Name = Annotated[str, msgspec.Meta(max_length=200)]


def rows_up_to(most: int) -> msgspec.Meta:
    """What the argument that says how many rows are wanted may be."""
    return msgspec.Meta(ge=1, le=most, description=f"Rows at most, up to {most:,}.")


class Tool(NamedTuple):
    """A tool that only reads."""

    name: str
    title: str
    arguments: type[Arguments]
    answer: type[msgspec.Struct]
    work: Callable[[TableState, Any], msgspec.Struct]

    @property
    def description(self) -> str:
        """What it does, for the model that chooses among tools."""
        return inspect.cleandoc(self.arguments.__doc__ or "")

    def input_schema(self) -> dict[str, Any]:
        """The arguments as JSON Schema."""
        return _schema_of(self.arguments)

    def output_schema(self) -> dict[str, Any]:
        """What it answers as JSON Schema."""
        return _schema_of(self.answer)


def _schema_of(record: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a record, an object at its root, as clients want it."""
    (_,), found = msgspec.json.schema_components([record], ref_template=_DEFINITIONS)
    root = {**found.pop(record.__name__)}
    root.pop("title", None)
    return root | ({"$defs": found} if found else {})
