"""The catalogue: 18 tables by one rule, with the keys, columns and dtypes that users were promised."""

from __future__ import annotations

import json

import polars as pl
import pytest

from quivo_frames.errors import ConfigError
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.records import Failure, Note
from quivo_frames.model.tables import REPORT_TABLES, TABLES, Column, primary_key_of, singular_name, table_named

KEYS = {
    "orders": "order_id",
    "address_identifiers": "address_identifier_key",
    "order_positions": "order_position_key",
    "fulfillment_orders": "fulfillment_order_key",
    "fulfillment_positions": "fulfillment_position_key",
    "shipments": "shipment_key",
    "tracking_links": "tracking_link_key",
    "tracking_numbers": "tracking_number_key",
    "shipment_positions": "shipment_position_key",
    "serial_numbers": "serial_number_key",
    "grouped_positions": "grouped_position_key",
    "grouped_serial_numbers": "grouped_serial_number_key",
    "pod_documents": "pod_document_key",
    "handling_units": "handling_unit_key",
    "handling_positions": "handling_position_key",
    "order_tags": "order_tag_key",
    "order_errors": "order_error_key",
    "custom_attributes": "custom_attribute_key",
}
PARENT_KEYS = {
    "fulfillment_positions": {"fulfillment_order_key"},
    "shipments": {"fulfillment_order_key"},
    "tracking_links": {"shipment_key"},
    "tracking_numbers": {"shipment_key"},
    "shipment_positions": {"shipment_key"},
    "serial_numbers": {"shipment_position_key"},
    "grouped_positions": {"shipment_key"},
    "grouped_serial_numbers": {"grouped_position_key"},
    "pod_documents": {"shipment_key"},
    "handling_units": {"parent_handling_unit_key", "root_handling_unit_key"},
    "handling_positions": {"handling_unit_key"},
    "custom_attributes": {"order_position_key"},
}


def test_there_are_the_18_promised_tables_with_their_keys() -> None:
    assert {name: table.key for name, table in TABLES.items()} == KEYS
    assert {name: primary_key_of(name) for name in TABLES} == KEYS


def test_parents_come_before_their_children() -> None:
    names = list(TABLES)
    for table in TABLES.values():
        for _, to_table, _ in table.references:
            assert names.index(to_table) <= names.index(table.name)


@pytest.mark.parametrize("name", [name for name in KEYS if name != "orders"])
def test_every_table_has_its_key_the_order_the_parent_and_the_ordinal(name: str) -> None:
    table = TABLES[name]
    assert list(table.schema)[:2] == [KEYS[name], "order_id"]
    assert table.schema[KEYS[name]] == pl.String
    assert table.schema["ordinal"] == pl.Int64
    expected = {(column, table_of_key(column), referenced_column(column)) for column in PARENT_KEYS.get(name, set())}
    assert set(table.references) == expected | {("order_id", "orders", "order_id")}


def table_of_key(column: str) -> str:
    return f"{referenced_column(column).removesuffix('_key')}s"


def referenced_column(column: str) -> str:
    return column.removeprefix("parent_").removeprefix("root_")


def test_dtypes_are_those_of_the_kinds() -> None:
    orders, shipments = TABLES["orders"].schema, TABLES["shipments"].schema
    assert orders["order_id"] == pl.Int64
    assert orders["order_priority"] == pl.Int32
    assert orders["cash_on_delivery_amount"] == pl.Decimal(18, 4)
    assert orders["delivery_address_latitude"] == pl.Float64
    assert orders["created"] == pl.Datetime("us", "UTC")
    assert orders["fetched_at"] == pl.Datetime("us", "UTC")
    assert orders["earliest_ship_date"] == pl.Date
    assert orders["shop_active"] == pl.Boolean
    assert orders["custom_attributes"] == pl.String
    assert orders["shop_available_at"] == pl.String  # documented without a format
    assert shipments["width_value"] == pl.Float64
    assert TABLES["order_positions"].schema["quantity"] == pl.Int64
    assert TABLES["pod_documents"].schema["url_link"] == pl.String


def test_child_tables_hold_the_ids_of_their_ancestors() -> None:
    for name in ("tracking_numbers", "shipment_positions", "serial_numbers", "grouped_serial_numbers", "pod_documents"):
        assert {"fulfillment_order_id", "shipment_id"} <= set(TABLES[name].schema), name


def test_a_list_of_plain_values_has_one_column_for_them() -> None:
    columns = {name: TABLES[name].columns[-1] for name in TABLES if TABLES[name].record is None}
    columns.pop("custom_attributes")
    assert {name: column.name for name, column in columns.items()} == {
        "order_tags": "tag",
        "tracking_numbers": "tracking_number",
        "tracking_links": "tracking_link",
        "serial_numbers": "serial_number",
        "grouped_serial_numbers": "serial_number",
    }
    assert columns["tracking_links"].privacy is Privacy.PERSONAL


def test_column_names_are_unique_and_every_column_is_described() -> None:
    for table in (TABLES | REPORT_TABLES).values():
        names = [column.name for column in table.columns]
        assert len(names) == len(set(names)), table.name
        for column in table.columns:
            assert column.sentence.endswith("."), (table.name, column.name)


def test_a_nested_object_becomes_prefixed_columns() -> None:
    column = TABLES["orders"].column("delivery_address_name1")
    assert column.sentence == "Delivery address: first line of the name."
    assert (column.json_path, column.privacy) == ("deliveryAddress.name1", Privacy.PERSONAL)
    assert TABLES["shipments"].column("height_unit").json_path == "height.unit"


@pytest.mark.parametrize(
    ("name", "column", "key", "path"),
    [
        ("orders", "comment", None, "$.comment"),
        ("orders", "comment", 1001, "$.comment"),
        ("shipments", "width_value", None, "$.fulfillmentOrders[].shipments[].width.value"),
        ("shipments", "width_value", "1001/0/2", "$.fulfillmentOrders[0].shipments[2].width.value"),
        ("order_tags", "tag", "1001/3", "$.tags[3]"),
        ("address_identifiers", "type", "1001/10", "$.deliveryAddress.additionalIdentifiers[10].type"),
        (
            "handling_positions",
            "sku",
            "1001/0.2.1/4",
            "$.handlingUnits[0].childHandlingUnits[2].childHandlingUnits[1].handlingPositions[4].sku",
        ),
        ("custom_attributes", "value", "1001/4", "$.customAttributes"),
        ("custom_attributes", "value", "1001/2/4", "$.positions[2].customAttributes"),
    ],
)
def test_a_key_is_the_address_of_a_row(name: str, column: str, key: object, path: str) -> None:
    table = TABLES[name]
    assert table.json_path(table.column(column), key) == path


def test_an_empty_table_has_all_columns() -> None:
    for table in TABLES.values():
        assert table.empty_frame().schema == pl.Schema(table.schema)


def test_an_unknown_table_is_refused_with_the_existing_names() -> None:
    with pytest.raises(ConfigError, match=r"no table 'shipment'.*shipments"):
        table_named("shipment")
    assert table_named("shipments") is TABLES["shipments"]


def test_reports_have_a_column_for_each_field_of_their_rows() -> None:
    assert list(REPORT_TABLES["failures"].schema) == list(Failure._fields)
    assert list(REPORT_TABLES["notes"].schema) == list(Note._fields)
    assert REPORT_TABLES["failures"].schema["order_id"] == pl.Int64
    assert not REPORT_TABLES["failures"].column("order_id").required
    assert REPORT_TABLES["failures"].column("message").required


def test_table_names_have_a_singular() -> None:
    assert (singular_name("shipments"), singular_name("pod_documents")) == ("shipment", "pod_document")


def test_a_column_knows_its_dtype() -> None:
    assert Column("x", Kind.MONEY, "X.").dtype == pl.Decimal(18, 4)
    assert json.loads(json.dumps(Kind.MONEY)) == "money"
