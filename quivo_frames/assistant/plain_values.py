"""Values of orders as an assistant gets them: plain JSON, in which no text controls anything, and of limited size.

A value is only ever a value in the structured content of an answer: never part of a sentence, of a name or of an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from quivo_frames.display.text import terminal_text
from quivo_frames.errors import QuivoError

if TYPE_CHECKING:
    import polars as pl

MOST_BYTES = 60_000
"""Of the JSON of an answer: what a model can read at once, and pay for."""
MOST_CHARACTERS = 2_000
"""Of a text; of a longer one the beginning is there, and an ellipsis."""
_CUT = "…"


class Refusal(QuivoError):
    """Why a tool does not answer, for the assistant: a sentence with the cure, without any value of an order."""


def plain_value(value: object) -> Any:
    """A value as JSON has it: numbers as they are, instants in UTC, texts without control characters and not too long.

    A decimal that a number of JSON would change is a text.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return f"{moment.isoformat()}{'' if value.tzinfo is None else 'Z'}"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {plain_text(name): plain_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(one) for one in value]
    return plain_text(value)


def _plain_decimal(value: Decimal) -> float | int | str:
    number = float(value)
    if Decimal(repr(number)) != value:
        return str(value)
    return int(number) if number.is_integer() else number


def plain_text(value: object) -> str:
    """A text without control characters; of a long one the beginning."""
    text = str(value)
    return terminal_text(text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}{_CUT}")


def plain_row(row: Mapping[str, object]) -> dict[str, Any]:
    """A row with the values that there are; what is empty is left out."""
    return {name: plain_value(value) for name, value in row.items() if value is not None and value != []}


def plain_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, each as `plain_row`."""
    return [plain_row(row) for row in rows.iter_rows(named=True)]


def fit_rows(rows: Iterable[Any], most_bytes: int = MOST_BYTES) -> tuple[list[Any], bool]:
    """The first rows whose JSON fits, and whether these are all."""
    kept: list[Any] = []
    size = 0
    for row in rows:
        size += len(msgspec.json.encode(row)) + 1
        if size > most_bytes:
            return kept, False
        kept.append(row)
    return kept, True
