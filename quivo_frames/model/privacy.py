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

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import Column, Table

SIGN = "p_"
"""What a pseudonym begins with."""
_DIGITS = 32
"""Hexadecimal digits of a pseudonym, half of the HMAC: 128 bits, so that no two values ever share one."""


class Level(StrEnum):
    """How much of the personal values a table holds: all, a pseudonym for each text, or nothing."""

    FULL = "full"
    PSEUDONYM = "pseudonym"
    NONE = "none"


@dataclass(frozen=True)
class Concealer:
    """Conceals personal and secret values. `key` is what pseudonyms are made with, b"" for the other levels.

    PSEUDONYM gives texts a pseudonym; what is not text (coordinates) becomes null, and an empty text stays empty. NONE
    makes all of them null. In both, columns stay where they are, with their types.
    """

    level: Level = Level.FULL
    key: bytes = b""

    def described(self, table: Table) -> Table:
        """The table as it is afterwards: what may have become null is not required any more."""
        return replace(table, columns=tuple(self._described(column) for column in table.columns))

    def _described(self, column: Column) -> Column:
        return replace(column, required=False) if self.level is Level.NONE and _is_personal(column) else column

    def select(self, table: Table) -> list[pl.Expr]:
        """The columns of a table, concealed: for `select` of a frame or a lazy frame."""
        return [self._value(column) if _is_personal(column) else pl.col(column.name) for column in table.columns]

    def _value(self, column: Column) -> pl.Expr:
        value = pl.col(column.name)
        if self.level is Level.FULL:
            return value
        if self.level is Level.NONE or column.dtype != pl.String:
            return pl.lit(None, column.dtype).alias(column.name)
        quoted = '"' if column.kind is Kind.JSON else ""  # what was JSON stays JSON

        def pseudonyms(values: pl.Series) -> pl.Series:
            given = values.unique()
            return values.replace_strict(given, self._pseudonyms(given, quoted), return_dtype=pl.String)

        return value.map_batches(pseudonyms, return_dtype=pl.String, is_elementwise=True)

    def _pseudonyms(self, values: pl.Series, quoted: str) -> Sequence[str | None]:
        return [f"{quoted}{self.pseudonym(value)}{quoted}" if value else value for value in values]

    def pseudonym(self, value: str) -> str:
        """What stands for a value: HMAC-SHA256 under the key, cut to 128 bits."""
        return SIGN + hmac.digest(self.key, value.encode(), "sha256").hex()[:_DIGITS]

    def facts(self) -> dict[str, str]:
        """What a manifest says of it: the level, and by what to tell the key from others."""
        return {"level": str(self.level)} | ({"key": self.pseudonym("quivo_frames")[-8:]} if self.key else {})


def concealer(level: str) -> Concealer:
    """What conceals to a level; the key of pseudonyms comes from the settings.

    Raises:
        ConfigError: there is no such level, or no key.
    """
    if level not in list(Level):
        raise ConfigError(f"There is no level of privacy {level!r}. The levels are: {', '.join(Level)}.")
    if level != Level.PSEUDONYM:
        return Concealer(Level(level))
    from quivo_frames.settings import pseudonym_key  # late: pydantic takes its time

    return Concealer(Level.PSEUDONYM, pseudonym_key())


def _is_personal(column: Column) -> bool:
    return column.privacy is not Privacy.NONE
