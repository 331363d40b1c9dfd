"""Verb: the texts of free-form objects -> rows of custom_attributes. Floor 2.

A free-form object stands in its own column as it was received; here its keys become rows too, so that they can be
searched and joined.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
import polars as pl

from quivo_frames.tables import ORDER_ID, ORDINAL, TABLES, Table, key_of

TABLE = TABLES["custom_attributes"]
_OWNER = "owner"
_PLACE = "place"
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_TYPES = {b'"': "string", b"{": "object", b"[": "array", b"t": "boolean", b"f": "boolean", b"n": "null"}


def value(raw: bytes) -> tuple[str | None, str]:
    """Value and type of one attribute: a text as it is, anything else as JSON text."""
    kind = _TYPES.get(raw[:1], "number")
    if kind == "string":
        return (_text.decode(raw) if b"\\" in raw else raw[1:-1].decode()), kind
    return (None if kind == "null" else raw.decode()), kind


def rows(
    texts: pl.Series, table: Table, order_ids: pl.Series, keys: pl.Series
) -> tuple[pl.DataFrame, dict[str, list[int]]]:
    """A row an attribute of the free-form objects of one table, and the places that needed a decision, by kind.

    `texts` are the objects as received, `order_ids` and `keys` (as text) those of their rows.
    """
    places: list[int] = []
    ordinals: list[int] = []
    names: list[str] = []
    values: list[tuple[str | None, str]] = []
    noted: dict[str, list[int]] = {"not_free_form": [], "repeated_attribute": []}
    filled = (texts.is_not_null() & (texts != "{}")).arg_true()
    for place, text in zip(filled.to_list(), texts.gather(filled).to_list(), strict=True):
        attributes = _attributes(text)
        if attributes is None:
            noted["not_free_form"].append(place)
            continue
        if _repeats(text, attributes):
            noted["repeated_attribute"].append(place)
        places += [place] * len(attributes)
        ordinals += range(len(attributes))
        names += attributes
        values += [value(bytes(raw)) for raw in attributes.values()]
    owners = pl.Series(places, dtype=pl.UInt32)
    owner_keys, numbers = keys.gather(owners), pl.Series(ordinals, dtype=ORDINAL.dtype)
    found = {
        ORDER_ID.name: order_ids.gather(owners),
        ORDINAL.name: numbers,
        TABLE.key: owner_keys + "/" + numbers.cast(pl.String),
        "key": pl.Series(names, dtype=pl.String),
        "value": pl.Series([text for text, _ in values], dtype=pl.String),
        "value_type": pl.Series([kind for _, kind in values], dtype=pl.String),
    }
    if table.parent is not None:
        found[key_of(table.name)] = owner_keys
    return pl.DataFrame(found), {kind: ats for kind, ats in noted.items() if ats}


def merged(found: Sequence[pl.DataFrame], orders: pl.Series) -> pl.DataFrame:
    """The rows of several tables together, in the order of the orders; an order's own come as they stand in `found`."""
    everything = pl.concat([TABLE.empty(), *found], how="diagonal")
    places = pl.DataFrame({ORDER_ID.name: orders}).with_row_index(_PLACE)
    return (
        everything.join(places, on=ORDER_ID.name, maintain_order="left")
        .sort(_PLACE, maintain_order=True)
        .select(*TABLE.schema)
    )


def _attributes(text: str) -> dict[str, msgspec.Raw] | None:
    """The keys of a free-form object, or of an object written as JSON text; None for anything else."""
    try:
        return _object.decode(_text.decode(text) if text[:1] == '"' else text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _repeats(text: str, attributes: dict[str, msgspec.Raw]) -> bool:
    """Whether a key stands twice in a free-form object; its last value is the one in `attributes`."""
    opened = _text.decode(text) if text[:1] == '"' else text
    if opened.count(":") == len(attributes):  # no more colons than keys: most objects
        return False
    try:
        return len(json.loads(opened, object_pairs_hook=list, parse_int=str, parse_float=str)) > len(attributes)
    except RecursionError:  # nested about 1,000 deep; the text still has everything
        return False
