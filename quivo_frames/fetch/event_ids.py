"""Order ids from webhook events of Quivo: `{"events":[{"id":…,"entity":"ORDERS",…}]}`, alone, in lists or in lines."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from quivo_frames.errors import ConfigError
from quivo_frames.storage.bounded_lines import MAX_LINE_BYTES, LineTooLong

ORDERS_ENTITY = "ORDERS"
"""The entity of events about orders; events of others have ids of something else."""
PlacedValues = Iterator[tuple[int, object]]
"""Line or row, and value that should be an id."""
_ENTITY_NAME = re.compile(r"[A-Z_]{1,30}")
_BLANKS = re.compile(r"\s*")
_JSON_DECODER = json.JSONDecoder()


def read_event_ids(lines: Iterator[str], name: str, column: str | None, left_out: Counter[str]) -> PlacedValues:
    """The ids of the orders that events are about; `left_out` counts the events about something else.

    Raises:
        ConfigError: there is something else than events.
        LineTooLong: a value that spans several lines is too long.
    """
    if column is not None:
        raise ConfigError(f"{name} holds events, not a table: it has no column {column}.")
    for line, value in _read_json_values(lines, name):
        for event in _unwrap_events(value, f"{name}, line {line:,}"):
            entity = event["entity"]
            if entity == ORDERS_ENTITY:
                yield line, event.get("id")
            else:
                known = isinstance(entity, str) and _ENTITY_NAME.fullmatch(entity)
                left_out[f"events of {entity if known else 'an unknown entity'} (no ids of orders)"] += 1


def _unwrap_events(value: Any, where: str) -> Iterator[Mapping[str, Any]]:
    for body in value if isinstance(value, list) else [value]:
        wrapped = isinstance(body, dict) and isinstance(body.get("events"), list)
        for event in body["events"] if wrapped else [body]:
            if not (isinstance(event, dict) and "entity" in event):
                event_of_orders = f'{{"events": [{{"id": …, "entity": "{ORDERS_ENTITY}", …}}]}}'
                raise ConfigError(f"{where}: this is no webhook event of Quivo, which looks like {event_of_orders}.")
            yield event


def _read_json_values(lines: Iterator[str], name: str) -> Iterator[tuple[int, Any]]:
    """The JSON values of a text with their lines, line by line until a value spans several, then the rest at once."""
    for number, line in enumerate(lines, 1):
        at = _skip_blanks(line, 0)
        while at < len(line):
            try:
                value, end = _JSON_DECODER.raw_decode(line, at)
            except (ValueError, RecursionError):
                yield from _read_multiline_values(_join_lines(line[at:], lines, number), number, name)
                return
            yield number, value
            at = _skip_blanks(line, end)


def _join_lines(first: str, lines: Iterator[str], number: int) -> str:
    """The rest of a text from one of its lines on."""
    parts, size = [first], len(first)
    for line in lines:
        size += len(line)
        if size > MAX_LINE_BYTES:
            raise LineTooLong(number)
        parts.append(line)
    return "".join(parts)


def _read_multiline_values(text: str, line: int, name: str) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(text):
        try:
            value, end = _JSON_DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if isinstance(error, json.JSONDecodeError):
                line += text.count("\n", at, error.pos)
            reason = getattr(error, "msg", "nested too deep, or a number of too many digits")
            raise ConfigError(f"{name}, line {line:,}: this cannot be read as JSON ({reason}).") from error
        yield line, value
        end = _skip_blanks(text, end)
        line += text.count("\n", at, end)
        at = end


def _skip_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def begins_like_json(head: bytes) -> bool:
    """Whether a text that begins like this is JSON."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}
