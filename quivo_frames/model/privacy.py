"""Removes personal values from tables and from the JSON of orders, or replaces them by pseudonyms.

`order.py` says which fields are personal. A pseudonym depends on the value and a key alone: the same value has the same
pseudonym in every column, table and export under one key, so counts and joins stay correct; without the key it cannot
be traced back. Postal code, city and country are not personal, as many people share them.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest

import msgspec
import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.model.order import Kind, Order, Privacy, Record
from quivo_frames.model.tables import Column, RecordField, Table, fields_of

PSEUDONYM_PREFIX = "p_"
_PSEUDONYM_DIGITS = 32
"""Hexadecimal digits of a pseudonym: 128 bits, half of the HMAC, enough to rule out collisions."""

_NULL = msgspec.Raw(b"null")
_OBJECT_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST_DECODER = msgspec.json.Decoder(list[msgspec.Raw])


class PrivacyLevel(StrEnum):
    """How much of the personal values a table holds: all, a pseudonym for each text, or nothing."""

    FULL = "full"
    PSEUDONYM = "pseudonym"
    NONE = "none"


@dataclass(frozen=True)
class PrivacyFilter:
    """Replaces personal and secret values; columns keep their names, places and dtypes.

    PSEUDONYM replaces texts by pseudonyms, made with `key`, and other values (coordinates) by null; an empty text stays
    empty. NONE replaces all of them by null. FULL replaces nothing. `key` is b"" for NONE and FULL.
    """

    level: PrivacyLevel = PrivacyLevel.FULL
    key: bytes = b""

    def filtered_table(self, table: Table) -> Table:
        """The description of a filtered table: columns that the filter makes null are no longer required."""
        return replace(table, columns=tuple(self._filtered_column(column) for column in table.columns))

    def _filtered_column(self, column: Column) -> Column:
        return replace(column, required=False) if self.level is PrivacyLevel.NONE and _is_personal(column) else column

    def column_expressions(self, table: Table) -> list[pl.Expr]:
        """The filtered columns of a table as expressions for `select`, of a frame or a lazy frame."""
        return [
            self._filtered_value(column) if _is_personal(column) else pl.col(column.name) for column in table.columns
        ]

    def _filtered_value(self, column: Column) -> pl.Expr:
        value = pl.col(column.name)
        if self.level is PrivacyLevel.FULL:
            return value
        if self.level is PrivacyLevel.NONE or column.dtype != pl.String:
            return pl.lit(None, column.dtype).alias(column.name)
        quoted = '"' if column.kind is Kind.JSON else ""  # a pseudonym in a JSON column is valid JSON

        def pseudonyms(values: pl.Series) -> pl.Series:
            distinct = values.unique()
            return values.replace_strict(distinct, self._pseudonyms(distinct, quoted), return_dtype=pl.String)

        return value.map_batches(pseudonyms, return_dtype=pl.String, is_elementwise=True)

    def _pseudonyms(self, values: pl.Series, quoted: str) -> Sequence[str | None]:
        return [f"{quoted}{self.pseudonym_of(value)}{quoted}" if value else value for value in values]

    def pseudonym_of(self, value: str) -> str:
        """The pseudonym of a value: HMAC-SHA256 under the key, cut to 128 bits, in hexadecimal digits after "p_"."""
        return PSEUDONYM_PREFIX + hmac.digest(self.key, value.encode(), "sha256").hex()[:_PSEUDONYM_DIGITS]

    def manifest_entry(self) -> dict[str, str]:
        """The privacy entry of a manifest: the level, and a fingerprint that tells the key from others."""
        return {"level": str(self.level)} | ({"key": self.pseudonym_of("quivo_frames")[-8:]} if self.key else {})


def privacy_level(name: str) -> PrivacyLevel:
    """The level of privacy of that name.

    Raises:
        ConfigError: there is no such level.
    """
    if name not in list(PrivacyLevel):
        raise ConfigError(f"There is no level of privacy {name!r}. The levels are: {', '.join(PrivacyLevel)}.")
    return PrivacyLevel(name)


def _is_personal(column: Column) -> bool:
    return column.privacy is not Privacy.NONE


def remove_personal_fields(body: bytes) -> bytes:
    """The JSON of an order without its personal values; b"" if it is not an order or cannot be read.

    Personal, secret and unknown fields become null. Everything else keeps its bytes, but for whitespace.
    """
    try:
        return msgspec.json.encode(_blank_record(msgspec.Raw(body), Order))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return b""


def find_personal_texts(body: bytes) -> set[str]:
    """The texts of an order that `remove_personal_fields` removes; none if it is not an order or cannot be read."""
    try:
        return set(_removed_texts(msgspec.json.decode(body), msgspec.json.decode(remove_personal_fields(body))))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return set()


def _removed_texts(before: object, after: object) -> Iterator[str]:
    if isinstance(before, dict):
        for name, value in before.items():
            yield from _removed_texts(value, after.get(name) if isinstance(after, dict) else None)
    elif isinstance(before, list):
        for value, other in zip_longest(before, after if isinstance(after, list) else ()):
            yield from _removed_texts(value, other)
    elif isinstance(before, str) and before != after:
        yield before


def _blank_record(raw: msgspec.Raw, record: type[Record]) -> msgspec.Raw:
    if bytes(raw) == b"null":
        return raw
    fields = {field.json_name: field for field in fields_of(record)}
    return _to_raw({name: _blank_value(value, fields.get(name)) for name, value in _OBJECT_DECODER.decode(raw).items()})


def _to_raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _blank_value(raw: msgspec.Raw, field: RecordField | None) -> msgspec.Raw:
    if field is None or bytes(raw) == b"null":
        return _NULL
    if field.child_table is not None:
        entries = _LIST_DECODER.decode(raw)
        if field.record is not None:
            return _to_raw([_blank_record(entry, field.record) for entry in entries])
        return raw if field.child_table.privacy is Privacy.NONE else _to_raw([None] * len(entries))
    if field.record is not None:
        return _blank_record(raw, field.record)
    assert field.field is not None
    return raw if field.field.privacy is Privacy.NONE else _NULL
