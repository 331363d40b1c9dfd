"""The wording of failures and notes.

A failure names the order, the column, the JSON path, what was expected and what to do. A value is shown only where it
cannot be personal data.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from quivo_frames.model.order import Privacy
from quivo_frames.model.records import Failure, Note, RawOrder
from quivo_frames.model.tables import TABLES, Column, Table


class Rule(NamedTuple):
    """The message for a broken rule, and the cure; of a file another one may help than of an answer of the API."""

    message: str
    cure: str
    file_cure: str = ""

    def cure_for(self, raw: RawOrder) -> str:
        """The cure that fits where the order comes from."""
        return self.file_cure if self.file_cure and not raw.is_answer else self.cure


_REFETCH = "Refetch the order."
_GET_AGAIN = "Get it again from where it comes from, or correct it there."
_PROXY = "A proxy or a login page may have been in the way."
_CHANGED = "Look at the raw order; if many orders have it, the API has changed and quivo_frames needs a new version."
_CORRECT_SOURCE = "Look at the raw order, and have the value corrected at its source."
_ONE_ORDER_A_LINE = "Put each order into a line of its own, or all of them into one list."
_RAISE_LIMIT = f"{_ONE_ORDER_A_LINE} If it is one order, set QUIVO_MAX_ORDER_MIB in the environment to more MiB."

RULES: dict[str, Rule] = {
    "empty": Rule("The {text} is empty", _REFETCH, _GET_AGAIN),
    "html": Rule("The {text} is a web page, not an order", f"{_REFETCH} {_PROXY}", f"{_GET_AGAIN} {_PROXY}"),
    "broken_json": Rule("The JSON is broken at {got}", _REFETCH, _GET_AGAIN),
    "not_utf8": Rule("The text is not UTF-8 at {got}", _REFETCH, "Save it as UTF-8."),
    "too_long": Rule("It has {got} bytes, more than the {expected} that are read as one order", _RAISE_LIMIT),
    "cut_off": Rule("The list of orders does not end: the file is cut off, and orders may be missing", _GET_AGAIN),
    "lone_surrogate": Rule("The text holds half a character (a lone surrogate)", _CORRECT_SOURCE),
    "too_deep": Rule("The JSON is nested too deeply", _CORRECT_SOURCE),
    "not_an_object": Rule("The {text} is not one order: {got} instead of an object", _REFETCH, _ONE_ORDER_A_LINE),
    "no_order_id": Rule("There is no orderId", "Look at the raw order; it may not be an order of this API."),
    "repeated_field": Rule("{column} occurs twice in one object", _CORRECT_SOURCE),
    "wrong_type": Rule("{column} must be {expected}, but is {got}", _CHANGED),
    "not_whole": Rule("{column} must be a whole number, but is {got}", _CORRECT_SOURCE),
    "out_of_range": Rule("{column} is a number that its column cannot hold exactly: {got}", _CORRECT_SOURCE),
    "not_an_instant": Rule("{column} must be a time such as 2026-03-05T14:48:12Z, but is {got}", _CORRECT_SOURCE),
    "not_a_day": Rule("{column} must be a day such as 2026-03-05, but is {got}", _CORRECT_SOURCE),
    "required": Rule("{column} must not be empty", _CHANGED),
    "unique": Rule("{column} must be unique, but {got} occurs twice", "Build from each order once."),
    "allowed": Rule("{column} must be {expected}, but is {got}", _CHANGED),
    "reference": Rule("{column} refers to a row of {expected} that does not exist: {got}", _CHANGED),
}

NOTES: dict[str, str] = {
    "unknown_field": "The API sent a field that quivo_frames does not know{got}. It is kept in the raw order only.",
    "more_unknown_fields": "An order has so many more unknown fields here. They are kept in the raw order only.",
    "envelope": (
        "The order stands inside another object or a list, at this path of the answer. What stands beside it is kept "
        "in the raw order only."
    ),
    "rounded_money": "More than four decimals were rounded half to even.",
    "digits_past_microseconds": "Digits past the microsecond were cut off.",
    "no_time_zone": "A time without a zone was taken as UTC.",
    "day_for_instant": "A day without a time was taken as midnight UTC.",
    "instant_for_day": "Only the date of a full timestamp was kept.",
    "placeholder_date": (
        "A date that stands for no date (such as 0001-01-01) was kept; audit and KPIs take it as unknown."
    ),
    "empty_text": "An empty text was read as no value.",
    "not_free_form": (
        "A free-form value is not an object: it is kept as JSON text and has no rows in custom_attributes."
    ),
    "repeated_attribute": "A key occurs twice in a free-form object: the table has its last value, the JSON text both.",
    "repeated_order": "An order came more than once: the newest answer was taken.",
    "repeated_order_of_two_sellers": (
        "An order came more than once, with different sellers: the newest answer was taken, but they may be two orders "
        "of two accounts that share a number."
    ),
    "clock_ran_backwards": (
        "An answer has an earlier time than one that the archive had before it, because a clock was wrong: the answer "
        "that was recorded last was taken."
    ),
    "erased_meanwhile": "Orders were erased from an input while the tables were built: they are left out.",
    "vanished_field": "Every row had a value in the previous dataset, and none has one now.",
    "new_value": "The previous dataset did not have this value{got}.",
}

_TYPE_BY_FIRST_BYTE = {b'"': "a text", b"{": "an object", b"[": "a list", b"t": "true or false", b"f": "true or false"}

_JSON_TYPES = {
    "int | float | null": "a whole number",
    "int | float": "a whole number",
    "float | null": "a number",
    "str | null": "a text",
    "bool | null": "true or false",
    "array | null": "a list",
    "object | null": "an object",
    "int": "a number",
    "float": "a number",
    "str": "a text",
    "string": "a text",
    "bool": "true or false",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "number out of range": "a number of too many digits",
}


def describe_failure(
    raw: RawOrder, stage: str, rule: str, path: str = "$", *,
    order_id: int | None = None, column: tuple[Table, Column] | None = None, expected: str = "", got: object = None,
) -> Failure:  # fmt: skip
    """The failure of one order, with its message.

    `column` defaults to the column at `path`; `got` is masked where it may be personal data.
    """
    cure = RULES[rule].cure_for(raw)
    table, field = column or column_at_path(path) or (None, None)
    number = order_id if order_id is not None else raw.order_id
    what = RULES[rule].message.format(
        text="answer" if raw.is_answer else "text",
        column=f"{field.name} of {table.name}" if table and field else path,
        expected=_JSON_TYPES.get(expected, expected),
        got=_JSON_TYPES.get(str(got)) or (mask_personal(got, field.privacy) if field else str(got)[:60]),
    )
    who = f"Order {number}" if number is not None else "An order without a readable id"
    message = f"{who} ({raw.source}, {raw.place}): {what}, at {path}. It is left out of all tables. {cure}"
    names = (table.name if table else None, field.name if field else None)
    return Failure(stage, number, raw.source, raw.place, *names, path, rule, message)


def describe_note(kind: str, path: str, count: int, order_id: int | None, got: str = "") -> Note:
    """The note about one kind of decision, with its message; `got` is the value in question, if it may be shown."""
    return Note(kind, path, count, order_id, NOTES[kind].format(got=f": {got}" if got else ""))


def json_type_of(raw: bytes) -> str:
    """The JSON type of an unknown field, in words: its value may be personal data and is not shown."""
    return _TYPE_BY_FIRST_BYTE.get(raw[:1], "a number")


def mask_personal(value: object, privacy: Privacy) -> str:
    """A value as a message may show it: at most 60 characters, and masked where it may be personal data."""
    text = str(value)
    if privacy is not Privacy.NONE or not _NUMERIC_TEXT.fullmatch(text):
        return f"a value of {len(text)} characters (not shown: it may be personal data)"
    return text if len(text) <= 60 else f"{text[:57]}..."


def column_at_path(path: str) -> tuple[Table, Column] | None:
    """The table and column of the value at a JSON path, None if no column holds it."""
    return _COLUMN_BY_PATH.get(re.sub(r"(\.childHandlingUnits\[\])+", "", re.sub(r"\[\d+\]", "[]", path)))


_NUMERIC_TEXT = re.compile(r"[-+0-9.,:/ TZeE]*")
"""The characters of numbers, times and keys; names and addresses have others."""

_COLUMN_BY_PATH = {
    table.json_path(column): (table, column) for table in TABLES.values() for column in table.value_columns
}
