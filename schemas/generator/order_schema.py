"""The JSON Schema of an order."""

from __future__ import annotations

from typing import Any

from quivo_frames.model.order import Kind, Order, Privacy, Record
from quivo_frames.model.tables import RecordField, fields_of

SOURCE = "https://api-docs.quivo.co/connector-api-reference/orders/refresh-data"
"""Where the fields of an order are documented."""
_JSON_TYPES: dict[Kind, dict[str, Any]] = {
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
    """An order as JSON Schema 2020-12."""
    definitions: dict[str, Any] = {}
    _define_record(Order, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Order",
        "$comment": f"Derived from {SOURCE}, which marks no field as required but orderId by its path.",
        "$ref": "#/$defs/Order",
        "$defs": definitions,
    }


def _define_record(record: type[Record], definitions: dict[str, Any]) -> dict[str, Any]:
    name = record.__name__
    if name not in definitions:
        definitions[name] = {}  # before its fields, which may refer to it
        properties = {field.json_name: _field_schema(field, definitions) for field in fields_of(record)}
        definitions[name] = {"description": record.__doc__, "type": "object", "properties": properties}
        if record is Order:
            properties["orderId"]["type"] = "integer"
            definitions[name]["required"] = ["orderId"]
    return {"$ref": f"#/$defs/{name}"}


def _field_schema(field: RecordField, definitions: dict[str, Any]) -> dict[str, Any]:
    if field.child_table is not None:
        entry = _define_record(field.record, definitions) if field.record else {"type": "string"}
        items = {"anyOf": [entry, {"type": "null"}]}
        return {"description": f"A row of {field.child_table.name} each.", "type": ["array", "null"], "items": items}
    if field.record is not None:
        return {"anyOf": [_define_record(field.record, definitions), {"type": "null"}]}
    assert field.field is not None
    assert field.kind is not None
    facts = {"description": field.field.sentence, **_JSON_TYPES[field.kind]}
    if field.field.unit:
        facts["x-unit"] = field.field.unit
    if field.field.privacy is not Privacy.NONE:
        facts["x-privacy"] = str(field.field.privacy)
    return facts
