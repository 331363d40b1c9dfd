"""Which bytes of a body are its order: a byte order mark may stand before it, or an envelope around it.

Bodies are kept as received. All that decode one find its order here, and so agree on it.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import msgspec

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ENVELOPE_FIELDS = ("data", "order")
_MOST_LEVELS = 3
_FOUND_BY = 32
"""Bytes of a value by which its place is found."""
_NOTHING = msgspec.Raw()
_BEGINS_WITH_ID = re.compile(rb'\s*\{\s*"orderId"')


class OrderText(NamedTuple):
    """The JSON of an order, and its JSON path in the body: `$`, or for example `$.data` in an envelope."""

    text: bytes
    path: str


class _OpenedObject(msgspec.Struct, gc=False):
    orderId: msgspec.Raw = _NOTHING  # noqa: N815 - as the API writes it
    data: msgspec.Raw = _NOTHING
    order: msgspec.Raw = _NOTHING


_object_decoder = msgspec.json.Decoder(_OpenedObject)
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def find_order_text(body: bytes) -> OrderText:
    """The order in a body: the body itself without its byte order mark, unless it is an envelope.

    An envelope is an object without an orderId in which `data` or `order` is an order, a list of one, or both in each
    other. If two could be meant, it is none.
    """
    text = body.removeprefix(BYTE_ORDER_MARK)
    if _BEGINS_WITH_ID.match(text):  # as in all but a few
        return OrderText(text, "$")
    try:
        return _look_into(OrderText(text, "$"), _MOST_LEVELS) or OrderText(text, "$")
    except (msgspec.MsgspecError, ValueError, RecursionError):  # whoever decodes it says what is wrong
        return OrderText(text, "$")


def _look_into(value: OrderText, levels_left: int) -> OrderText | None:
    """The order that a value is, or is the envelope of; None if there is none."""
    text, path = value
    first = text.lstrip()[:1]
    if first == b"[" and levels_left:
        elements = _list_decoder.decode(text)
        return _look_into(OrderText(bytes(elements[0]), f"{path}[0]"), levels_left - 1) if len(elements) == 1 else None
    if first != b"{":
        return None
    found = _object_decoder.decode(text)
    if bytes(found.orderId):
        return value
    inner = {name: bytes(getattr(found, name)) for name in _ENVELOPE_FIELDS if bytes(getattr(found, name))}
    if len(inner) != 1 or not levels_left:
        return None
    ((name, raw),) = inner.items()
    if _is_repeated(text, name, raw):
        return None
    return _look_into(OrderText(raw, f"{path}.{name}"), levels_left - 1)


def _is_repeated(text: bytes, name: str, value: bytes) -> bool:
    """Whether a field of an object stands in it twice: the decoder takes the last one and says nothing."""
    start = text.find(value[:_FOUND_BY])  # the search for all of it takes five times as long as decoding it
    if not text.startswith(value, start):
        start = text.find(value)
    around = text[:start] + b"null" + text[start + len(value) :]
    fields: list[tuple[str, object]] = json.loads(around, object_pairs_hook=list)  # those of the outermost object
    return [found for found, _ in fields].count(name) != 1
