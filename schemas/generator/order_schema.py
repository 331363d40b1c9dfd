"""What an order looks like, as JSON Schema."""

from __future__ import annotations

from typing import Any

from quivo_frames.model.order import Kind, Order, Privacy, Record, Rows, Says
from quivo_frames.model.tables import described

SOURCE = "https://api-docs.quivo.co/connector-api-reference/orders/refresh-data"
"""Where the fields of an order are documented."""
_JSON: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: {"type": ["string", "null"]},
    Kind.INT64: {"type": ["integer", "null"], "minimum": -(2**63), "maximum": 2**63 - 1},
    Kind.INT32: {"type": ["integer", "null"], "minimum": -(2**31), "maximum": 2**31 - 1},
    Kind.FLAG: {"type": ["boolean", "null"]},
    Kind.INSTANT: {"type": ["string", "null"], "format": "date-time"},
    Kind.DAY: {"type": ["string", "null"], "format": "date"},
    Kind.MONEY: {"type": ["number", "null"]},
    Kind.MEASURE: {"type": ["number", "null"]},
    Kind.JSON: {},
}


def order_schema() -> dict[str, Any]:
    """What an order looks like, as JSON Schema 2020-12."""
    found: dict[str, Any] = {}
    _define(Order, found)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Order",
        "$comment": f"Derived from {SOURCE}, which marks no field as required but orderId by its path.",
        "$ref": "#/$defs/Order",
        "$defs": found,
    }


def _define(record: type[Record], found: dict[str, Any]) -> dict[str, Any]:
    name = record.__name__
    if name not in found:
        found[name] = {}  # a place for recursion
        properties = {json_name: _property(inner, kind, says, found)
                      for _, json_name, inner, kind, says in described(record)}  # fmt: skip
        found[name] = {"description": record.__doc__, "type": "object", "properties": properties}
        if record is Order:
            properties["orderId"]["type"] = "integer"
            found[name]["required"] = ["orderId"]
    return {"$ref": f"#/$defs/{name}"}


def _property(
    inner: type[Record] | None, kind: Kind | None, says: Says | Rows | None, found: dict[str, Any]
) -> dict[str, Any]:
    if isinstance(says, Rows):
        entry = _define(inner, found) if inner else {"type": "string"}
        items = {"anyOf": [entry, {"type": "null"}]}
        return {"description": f"A row of {says.table} each.", "type": ["array", "null"], "items": items}
    if inner is not None:
        return {"anyOf": [_define(inner, found), {"type": "null"}]}
    assert isinstance(says, Says)
    assert kind is not None
    facts = {"description": says.sentence, **_JSON[kind]}
    if says.unit:
        facts["x-unit"] = says.unit
    if says.privacy is not Privacy.NONE:
        facts["x-privacy"] = str(says.privacy)
    return facts
