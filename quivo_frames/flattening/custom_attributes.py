"""The free-form objects of orders -> rows of custom_attributes.

A free-form object also stands in its own column, as received. Here each of its keys becomes a row that can be filtered
and joined.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import repeat

import msgspec
import polars as pl

from quivo_frames.flattening.convert import RowsByName, drop_empty_names, pack_values, unpack_column
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import ORDER_ID, ORDINAL, TABLES, Table, primary_key_of

TABLE = TABLES["custom_attributes"]
_ORDER_ROW = "order_row"
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text_decoder = msgspec.json.Decoder(str)
_TYPE_BY_FIRST_CHARACTER = {'"': "string", "{": "object", "[": "array", "t": "boolean", "f": "boolean", "n": "null"}


def read_attribute(raw: str) -> tuple[str | None, str]:
    """Value and JSON type of one attribute: a string as its text, null as None, anything else as JSON text."""
    json_type = _TYPE_BY_FIRST_CHARACTER.get(raw[:1], "number")
    return (_text_decoder.decode(raw) if json_type == "string" else None if json_type == "null" else raw), json_type


def make_attribute_rows(
    texts: pl.Series, table: Table, order_ids: pl.Series, keys: pl.Series
) -> tuple[pl.DataFrame, RowsByName]:
    """One row for each key of the free-form objects of a table, and the rows of the table that need a note, by kind.

    `texts` are the objects as received, `order_ids` and `keys` (as text) those of their rows.
    """
    owner_rows: list[int] = []
    ordinals: list[int] = []
    names: list[str] = []
    raws: list[msgspec.Raw] = []
    noted: RowsByName = {"not_free_form": [], "repeated_attribute": []}
    filled = (texts.is_not_null() & (texts != "{}")).arg_true()
    for row, text in zip(filled.to_list(), texts.gather(filled).to_list(), strict=True):
        try:
            json_object = text if text[0] != '"' else _text_decoder.decode(text)  # some shops write it as JSON text
            attributes = _object_decoder.decode(json_object)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            noted["not_free_form"].append(row)
            continue
        count = len(attributes)
        if json_object.count(":") != count and _has_repeated_key(json_object, count):  # most have a colon a key
            noted["repeated_attribute"].append(row)
        owner_rows += repeat(row, count)
        ordinals += range(count)
        names += attributes
        raws += attributes.values()
    noted = drop_empty_names(noted)
    if not raws:
        return TABLE.empty_frame(), noted
    owners = pl.Series(owner_rows, dtype=pl.UInt32)
    owner_keys, ordinal = keys.gather(owners), pl.Series(ordinals, dtype=ORDINAL.dtype)
    columns = {
        ORDER_ID.name: order_ids.gather(owners),
        ORDINAL.name: ordinal,
        TABLE.key: owner_keys + "/" + ordinal.cast(pl.String),
        "key": pl.Series(names, dtype=pl.String),
        **_read_attributes(unpack_column(Kind.JSON, [pack_values(Kind.JSON, raws)])),
    }
    if table.parent is not None:
        columns[primary_key_of(table.name)] = owner_keys
    return pl.DataFrame(columns), noted


def _read_attributes(raws: pl.Series) -> dict[str, pl.Series]:
    """What `read_attribute` gives for each attribute, by whole columns: value and value_type."""
    raw = pl.col("raw")
    text = raw.str.strip_prefix('"').str.strip_suffix('"')
    found = pl.DataFrame({"raw": raws}).select(
        value=pl.when(raw.str.starts_with('"')).then(text).when(raw != "null").then(raw),
        value_type=raw.str.slice(0, 1).replace_strict(
            _TYPE_BY_FIRST_CHARACTER, default="number", return_dtype=pl.String
        ),
    )
    escaped = raws.str.contains(r'^".*\\').arg_true()
    decoded = [_text_decoder.decode(text) for text in raws.gather(escaped).to_list()]
    return found.to_dict() | {"value": found["value"].scatter(escaped, decoded)}


def merge_attribute_rows(found: Sequence[pl.DataFrame], order_ids: pl.Series) -> pl.DataFrame:
    """The rows from several tables as one table, sorted as `order_ids`; within an order they stay as in `found`."""
    everything = pl.concat([TABLE.empty_frame(), *found], how="diagonal")
    order_rows = pl.DataFrame({ORDER_ID.name: order_ids}).with_row_index(_ORDER_ROW)
    joined = everything.join(order_rows, on=ORDER_ID.name, maintain_order="left")
    return joined.sort(_ORDER_ROW, maintain_order=True).select(*TABLE.schema)


def _has_repeated_key(text: str, count: int) -> bool:
    """Whether a key stands twice in an object with `count` different keys; the decoder took the last one."""
    try:
        return len(json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)) > count
    except RecursionError:  # nested about 1,000 levels deep; its text is kept in any case
        return False
