"""Contracts that other tools validate: Frictionless Data Package, Open Data Contract."""

from __future__ import annotations

from typing import Any

from quivo_frames.model.derived import DERIVED_TABLES, dataset_tables
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import SCHEMA_VERSION, TABLES, Column, Reference, Table
from schemas.generator.order_schema import SOURCE

_FRICTIONLESS_TYPES = {
    Kind.TEXT: "string",
    Kind.INT64: "integer",
    Kind.INT32: "integer",
    Kind.FLAG: "boolean",
    Kind.INSTANT: "datetime",
    Kind.DAY: "date",
    Kind.MONEY: "number",
    Kind.MEASURE: "number",
    Kind.JSON: "string",
}
_LOGICAL_TYPES = _FRICTIONLESS_TYPES | {Kind.INSTANT: "timestamp"}
_PHYSICAL_TYPES = {
    Kind.TEXT: "string",
    Kind.INT64: "int64",
    Kind.INT32: "int32",
    Kind.FLAG: "boolean",
    Kind.INSTANT: "timestamp_tz",
    Kind.DAY: "date",
    Kind.MONEY: "decimal(18,4)",
    Kind.MEASURE: "double",
    Kind.JSON: "string",
}
"""The types in the parquet files, by the names that datacontract-cli knows."""
_NAME = "quivo-orders"
_TITLE = "Quivo orders"
_ABOUT = (
    f"Orders that were refetched from Quivo, as the {len(TABLES)} tables of quivo_frames, and {len(DERIVED_TABLES)} "
    "derived tables, which were worked out from these. Instants are UTC."
)
_DERIVED = "derived"
"""How derived tables are marked, as they may be left out of a dataset and of its exports."""
_ALL_TABLES = dataset_tables(derived=True)


def table_contract(table: Table) -> dict[str, Any]:
    """The contract of a table: a Frictionless Table Schema with dtype, unit, privacy class and JSON path."""
    keys = {"primaryKey": table.key} if table.key else {}
    references = [
        {"fields": column, "reference": {"resource": "" if to == table.name else to, "fields": to_column}}
        for column, to, to_column in table.references
    ]
    return {
        "$schema": "https://datapackage.org/profiles/2.0/tableschema.json",
        "name": table.name,
        "description": f"One row per {table.grain}.",
        "schemaVersion": SCHEMA_VERSION,
        "source": table.source,
        "fields": [_frictionless_field(table, column) for column in table.columns],
        **keys,
        **({"foreignKeys": references} if references else {}),
    }


def _frictionless_field(table: Table, column: Column) -> dict[str, Any]:
    constraints = {"required": True} if column.required else {}
    if column.name == table.key:
        constraints["unique"] = True
    facts = {
        "name": column.name,
        "type": _FRICTIONLESS_TYPES[column.kind],
        "description": column.sentence,
        "dtype": str(column.dtype),
        "unit": column.unit,
        "privacy": str(column.privacy),
        "jsonPath": _json_path(table, column),
        "constraints": constraints,
        "missingValues": _missing_values(table, column),
    }
    return {name: fact for name, fact in facts.items() if fact is not None and fact != {}}


def _missing_values(table: Table, column: Column) -> list[str] | None:
    """No missing values for texts that are never null: there, an empty field of a CSV file is an empty text."""
    keys = {table.key, *(reference.column for reference in table.references)}
    is_text = bool(table.key) and column.kind is Kind.TEXT and column.name not in keys
    return [] if is_text and column.required else None


def _json_path(table: Table, column: Column) -> str | None:
    return table.json_path(column) if column.json_path else None


def data_package() -> dict[str, Any]:
    """The tables as a Data Package 2.0 of CSV files, which refers to the Table Schemas."""
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": _NAME,
        "title": _TITLE,
        "description": f"{_ABOUT} Put this file and the folder tables/ beside the CSV files of an export, and take the "
        "resources of derived tables out of it if that has none.",
        "version": str(SCHEMA_VERSION),
        "sources": [{"title": "Quivo Connector API", "path": SOURCE}],
        "resources": [
            {
                "name": name,
                "title": f"One row per {table.grain}.",
                "path": f"{name}.csv",
                "type": "table",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": f"tables/{name}.json",
                **({"keywords": [_DERIVED]} if name in DERIVED_TABLES else {}),
            }
            for name, table in _ALL_TABLES.items()
        ],
    }


def data_contract() -> dict[str, Any]:
    """The tables as an Open Data Contract 3.1, over the parquet files of a dataset.

    Units, dtypes and JSON paths are custom properties: the standard has no fields for them.
    """
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": _NAME,
        "name": _TITLE,
        "version": str(SCHEMA_VERSION),
        "status": "active",
        "description": {
            "purpose": _ABOUT,
            "usage": "Join tables on the key columns that they share: their values are addresses in the order's JSON.",
            "limitations": "The API marks no field but the order's id as required: any other may be null.",
        },
        "authoritativeDefinitions": [{"type": "implementation", "url": SOURCE}],
        "servers": [
            {
                "server": "dataset",
                "type": "local",
                "description": "The folder of a dataset, which the contract is put into.",
                "path": "./{model}.parquet",
                "format": "parquet",
            },
            {
                "server": "derived",
                "type": "local",
                "description": f"The folder of its derived tables, which have the tag {_DERIVED}.",
                "path": "./derived/{model}.parquet",
                "format": "parquet",
            },
        ],
        "schema": [_contract_table(table) for table in _ALL_TABLES.values()],
    }


def _contract_table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "physicalName": table.name,
        "physicalType": "table",
        "logicalType": "object",
        "description": f"One row per {table.grain}.",
        "dataGranularityDescription": f"One row per {table.grain}",
        **({"tags": [_DERIVED]} if table.name in DERIVED_TABLES else {}),
        "properties": [_contract_property(table, column) for column in table.columns],
    }


def _contract_property(table: Table, column: Column) -> dict[str, Any]:
    is_key = column.name == table.key
    more = {"unit": column.unit, "dtype": str(column.dtype), "jsonPath": _json_path(table, column)}
    facts = {
        "name": column.name,
        "description": column.sentence,
        "logicalType": _LOGICAL_TYPES[column.kind],
        "physicalType": _PHYSICAL_TYPES[column.kind],
        "required": column.required or is_key,
        "unique": is_key,
        "primaryKey": is_key,
        "primaryKeyPosition": 1 if is_key else None,
        "classification": str(column.privacy),
        "relationships": [{"type": "foreignKey", "to": f"{reference.to_table}.{reference.to_column}"}
                          for reference in _references_of_column(table, column)],
        "customProperties": [{"property": name, "value": value} for name, value in more.items() if value],
    }  # fmt: skip
    return {name: fact for name, fact in facts.items() if fact}


def _references_of_column(table: Table, column: Column) -> list[Reference]:
    return [reference for reference in table.references if reference.column == column.name]
