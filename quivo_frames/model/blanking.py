"""Verb: the JSON of an order -> the same without its personal values. Floor 2.

Which fields are personal or secret, `order.py` says; what it does not know counts as personal, and so does what cannot
be read. Their values become null. All else stays as it was received, byte for byte but for spaces.
"""

from __future__ import annotations

import msgspec

from quivo_frames.model.order import Order, Privacy, Record, Rows, Says
from quivo_frames.model.tables import Annotation, described

_NULL = msgspec.Raw(b"null")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])


def blanked(body: bytes) -> bytes:
    """An order without its personal values; nothing at all of an answer that is no order."""
    try:
        return msgspec.json.encode(_record(msgspec.Raw(body), Order))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return b""


def _record(raw: msgspec.Raw, record: type[Record]) -> msgspec.Raw:
    if bytes(raw) == b"null":
        return raw
    fields = {field.json_name: field for field in described(record)}
    found = {name: _value(value, fields.get(name)) for name, value in _object.decode(raw).items()}
    return msgspec.Raw(msgspec.json.encode(found))


def _value(raw: msgspec.Raw, field: Annotation | None) -> msgspec.Raw:
    if field is None or bytes(raw) == b"null":
        return _NULL
    if isinstance(field.says, Rows):
        entries = _list.decode(raw)
        if field.record is not None:
            return msgspec.Raw(msgspec.json.encode([_record(entry, field.record) for entry in entries]))
        return raw if field.says.privacy is Privacy.NONE else msgspec.Raw(msgspec.json.encode([None] * len(entries)))
    if field.record is not None:
        return _record(raw, field.record)
    assert isinstance(field.says, Says)
    return raw if field.says.privacy is Privacy.NONE else _NULL
