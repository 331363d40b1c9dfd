"""Verb: the texts of free-form objects -> rows of custom_attributes. Floor 3.

A free-form object stands in its own column as it was received; here its keys become rows too, so that they can be
searched and joined.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import repeat

import msgspec
import polars as pl

from quivo_frames.flattening.convert import pack_values, unpack_column
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import ORDER_ID, ORDINAL, TABLES, Table, primary_key_of

TABLE = TABLES["custom_attributes"]
_ORDER_ROW = "place"
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text_decoder = msgspec.json.Decoder(str)
_TYPE_BY_FIRST_CHARACTER = {'"': "string", "{": "object", "[": "array", "t": "boolean", "f": "boolean", "n": "null"}


def read_attribute(raw: str) -> tuple[str | None, str]:
    """Value and type of one attribute: a text as it is, anything else as JSON text."""
    kind = _TYPE_BY_FIRST_CHARACTER.get(raw[:1], "number")
    return (_text_decoder.decode(raw) if kind == "string" else None if kind == "null" else raw), kind


def make_attribute_rows(
    texts: pl.Series, table: Table, order_ids: pl.Series, keys: pl.Series
) -> tuple[pl.DataFrame, dict[str, list[int]]]:
    """A row an attribute of the free-form objects of one table, and the places that needed a decision, by kind.

    `texts` are the objects as received, `order_ids` and `keys` (as text) those of their rows.
    """
    places: list[int] = []
    ordinals: list[int] = []
    names: list[str] = []
    raws: list[msgspec.Raw] = []
    noted: dict[str, list[int]] = {"not_free_form": [], "repeated_attribute": []}
    filled = (texts.is_not_null() & (texts != "{}")).arg_true()
    for place, text in zip(filled.to_list(), texts.gather(filled).to_list(), strict=True):
        try:
            opened = text if text[0] != '"' else _text_decoder.decode(text)  # some write the object as JSON text
            attributes = _object_decoder.decode(opened)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            noted["not_free_form"].append(place)
            continue
        count = len(attributes)
        if opened.count(":") != count and _has_repeated_key(opened, count):  # no more colons than keys: most objects
            noted["repeated_attribute"].append(place)
        places += repeat(place, count)
        ordinals += range(count)
        names += attributes
        raws += attributes.values()
    noticed = {kind: ats for kind, ats in noted.items() if ats}
    if not raws:
        return TABLE.empty_frame(), noticed
    owners = pl.Series(places, dtype=pl.UInt32)
    owner_keys, numbers = keys.gather(owners), pl.Series(ordinals, dtype=ORDINAL.dtype)
    found = {
        ORDER_ID.name: order_ids.gather(owners),
        ORDINAL.name: numbers,
        TABLE.key: owner_keys + "/" + numbers.cast(pl.String),
        "key": pl.Series(names, dtype=pl.String),
        **_read_attributes(unpack_column(Kind.JSON, [pack_values(Kind.JSON, raws)])),
    }
    if table.parent is not None:
        found[primary_key_of(table.name)] = owner_keys
    return pl.DataFrame(found), noticed


def _read_attributes(raws: pl.Series) -> dict[str, pl.Series]:
    """Values and types of attributes, all at once: what `value` tells of each."""
    raw = pl.col("raw")
    text = raw.str.strip_prefix('"').str.strip_suffix('"')
    found = pl.DataFrame({"raw": raws}).select(
        value=pl.when(raw.str.starts_with('"')).then(text).when(raw != "null").then(raw),
        value_type=raw.str.slice(0, 1).replace_strict(_TYPE_BY_FIRST_CHARACTER, default="number", return_dtype=pl.String),
    )
    escaped = raws.str.contains(r'^".*\\').arg_true()
    decoded = [_text_decoder.decode(text) for text in raws.gather(escaped).to_list()]
    return found.to_dict() | {"value": found["value"].scatter(escaped, decoded)}


def merge_attribute_rows(found: Sequence[pl.DataFrame], orders: pl.Series) -> pl.DataFrame:
    """The rows of several tables together, in the order of the orders; an order's own come as they stand in `found`."""
    everything = pl.concat([TABLE.empty_frame(), *found], how="diagonal")
    places = pl.DataFrame({ORDER_ID.name: orders}).with_row_index(_ORDER_ROW)
    return (
        everything.join(places, on=ORDER_ID.name, maintain_order="left")
        .sort(_ORDER_ROW, maintain_order=True)
        .select(*TABLE.schema)
    )


def _has_repeated_key(text: str, count: int) -> bool:
    """Whether a key stands twice in an object of `count` different keys; the last value is the one that is taken."""
    try:
        return len(json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)) > count
    except RecursionError:  # nested about 1,000 deep; the text still has everything
        return False
