"""Canonical text of free-form JSON values, equal for equal values."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl


def canonical_json(texts: pl.Series) -> pl.Series:
    """JSON in a canonical form, independent of spaces, the order of fields, and notations of numbers and strings."""
    given = texts.drop_nulls().unique()
    return texts.replace_strict(given, [_canonical_text(text) for text in given], default=None, return_dtype=pl.String)


def is_fully_in_attributes(texts: pl.Series) -> pl.Series:
    """Whether the table `custom_attributes` holds all of a value: it is null, or an object without a key twice."""
    given = texts.drop_nulls().unique()
    opened = [_text_is_fully_in_attributes(text) for text in given]
    return texts.replace_strict(given, opened, default=None, return_dtype=pl.Boolean).fill_null(value=True)


def _canonical_text(text: str) -> str:
    try:
        return json.dumps(
            json.loads(
                text, parse_int=_canonical_number, parse_float=_canonical_number, object_pairs_hook=_sorted_object
            )
        )
    except RecursionError:  # nested about 1,000 deep: compared as text
        return text


def _text_is_fully_in_attributes(text: str) -> bool:
    try:
        pairs = json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=_ObjectPairs)
    except RecursionError:
        return False
    return isinstance(pairs, _ObjectPairs) and len(dict(pairs)) == len(pairs)


class _ObjectPairs(list[tuple[str, Any]]):
    """The pairs of an object, including repeated keys."""


def _sorted_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {"fields": sorted(pairs, key=lambda pair: pair[0])}


def _canonical_number(text: str) -> dict[str, str]:
    try:
        sign, digits, power = Decimal(text).as_tuple()
    except InvalidOperation:  # beyond the range of Decimal
        return {"number": text}
    shown = "".join(map(str, digits)).lstrip("0")
    kept = shown.rstrip("0")
    assert isinstance(power, int)  # JSON has neither NaN nor Infinity
    return {"number": f"{'-' * sign}{kept}E{power + len(shown) - len(kept)}" if kept else "0"}


EMPTY_OBJECT = _canonical_text("{}")
"""An object without fields, as `canonical_json` writes it."""
