"""Verb: tables -> the same without their personal values, or with pseudonyms in their places. Floor 2.

Which columns are personal, `order.py` says. A pseudonym is made from the value and a key alone: the same value has the
same one in every column, table and export under one key, so that counts and joins come out as before; without the key
it leads nowhere. Postal code, city and country stay: many people share them.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec
import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.model.order import Kind, Order, Privacy, Record
from quivo_frames.model.tables import Column, RecordField, Table, fields_of

PSEUDONYM_PREFIX = "p_"
"""What a pseudonym begins with."""
_PSEUDONYM_DIGITS = 32
"""Hexadecimal digits of a pseudonym, half of the HMAC: 128 bits, so that no two values ever share one."""

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
    """Conceals personal and secret values. `key` is what pseudonyms are made with, b"" for the other levels.

    PSEUDONYM gives texts a pseudonym; what is not text (coordinates) becomes null, and an empty text stays empty. NONE
    makes all of them null. In both, columns stay where they are, with their types.
    """

    level: PrivacyLevel = PrivacyLevel.FULL
    key: bytes = b""

    def filtered_table(self, table: Table) -> Table:
        """The table as it is afterwards: what may have become null is not required any more."""
        return replace(table, columns=tuple(self._filtered_column(column) for column in table.columns))

    def _filtered_column(self, column: Column) -> Column:
        return replace(column, required=False) if self.level is PrivacyLevel.NONE and _is_personal(column) else column

    def column_expressions(self, table: Table) -> list[pl.Expr]:
        """The columns of a table, concealed: for `select` of a frame or a lazy frame."""
        return [
            self._filtered_value(column) if _is_personal(column) else pl.col(column.name) for column in table.columns
        ]

    def _filtered_value(self, column: Column) -> pl.Expr:
        value = pl.col(column.name)
        if self.level is PrivacyLevel.FULL:
            return value
        if self.level is PrivacyLevel.NONE or column.dtype != pl.String:
            return pl.lit(None, column.dtype).alias(column.name)
        quoted = '"' if column.kind is Kind.JSON else ""  # what was JSON stays JSON

        def pseudonyms(values: pl.Series) -> pl.Series:
            given = values.unique()
            return values.replace_strict(given, self._pseudonyms(given, quoted), return_dtype=pl.String)

        return value.map_batches(pseudonyms, return_dtype=pl.String, is_elementwise=True)

    def _pseudonyms(self, values: pl.Series, quoted: str) -> Sequence[str | None]:
        return [f"{quoted}{self.pseudonym_of(value)}{quoted}" if value else value for value in values]

    def pseudonym_of(self, value: str) -> str:
        """What stands for a value: HMAC-SHA256 under the key, cut to 128 bits."""
        return PSEUDONYM_PREFIX + hmac.digest(self.key, value.encode(), "sha256").hex()[:_PSEUDONYM_DIGITS]

    def manifest_entry(self) -> dict[str, str]:
        """What a manifest says of it: the level, and by what to tell the key from others."""
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


def _blank_record(raw: msgspec.Raw, record: type[Record]) -> msgspec.Raw:
    if bytes(raw) == b"null":
        return raw
    fields = {field.json_name: field for field in fields_of(record)}
    found = {name: _blank_value(value, fields.get(name)) for name, value in _OBJECT_DECODER.decode(raw).items()}
    return msgspec.Raw(msgspec.json.encode(found))


def _blank_value(raw: msgspec.Raw, field: RecordField | None) -> msgspec.Raw:
    if field is None or bytes(raw) == b"null":
        return _NULL
    if field.child_table is not None:
        entries = _LIST_DECODER.decode(raw)
        if field.record is not None:
            return msgspec.Raw(msgspec.json.encode([_blank_record(entry, field.record) for entry in entries]))
        blanks = msgspec.Raw(msgspec.json.encode([None] * len(entries)))
        return raw if field.child_table.privacy is Privacy.NONE else blanks
    if field.record is not None:
        return _blank_record(raw, field.record)
    assert field.field is not None
    return raw if field.field.privacy is Privacy.NONE else _NULL
