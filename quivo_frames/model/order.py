"""An order as the API documents it: one Struct for each JSON object, one sentence for each field.

This is the only place where a field's name, type, meaning, unit and privacy class are written. The decoder, the tables,
their polars dtypes, the pandera schemas, the parquet metadata and `schemas/` are derived from it.

Source of all fields: https://api-docs.quivo.co/connector-api-reference/orders/refresh-data. The page marks no field as
required and says nothing about null, so every field but `order_id` may be missing. It states no units for weights and
no lists of values for statuses; where a sentence below goes beyond the page, it says "presumably".

Fields are in the API's order; their names are the API's own in snake_case.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, NamedTuple, TypeVar

import msgspec


class Kind(StrEnum):
    """How a JSON value is read, and with it the dtype of its column."""

    TEXT = "text"
    INT64 = "int64"
    INT32 = "int32"
    FLAG = "flag"
    INSTANT = "instant"
    DAY = "day"
    MONEY = "money"
    MEASURE = "measure"
    JSON = "json"


class Privacy(StrEnum):
    """Who may see a value: anyone with the data, only those who may see personal data, or no one without need."""

    NONE = "none"
    PERSONAL = "personal"
    SECRET = "secret"


class Field(NamedTuple):
    """The description of a field: a sentence, its unit and its privacy class."""

    sentence: str
    unit: str | None = None
    privacy: Privacy = Privacy.NONE
    categorical: bool = False
    """Whether its values presumably come from a short list, such as a status: a build notes new ones."""


class ChildTable(NamedTuple):
    """The table that holds the entries of a list, and what one row of it is (`grain`)."""

    name: str
    grain: str
    value_column: str | None = None
    """Name of the value column, for lists of plain values."""
    unit: str | None = None
    privacy: Privacy = Privacy.NONE


T = TypeVar("T")
PERSONAL, SECRET = Privacy.PERSONAL, Privacy.SECRET

Text = Annotated[str | None, Kind.TEXT]
Id = Annotated[int | None, Kind.INT64]
Count = Annotated[int | None, Kind.INT64]
Rank = Annotated[int | None, Kind.INT32]
Flag = Annotated[bool | None, Kind.FLAG]
Instant = Annotated[datetime | None, Kind.INSTANT]
Day = Annotated[date | None, Kind.DAY]
Money = Annotated[Decimal | None, Kind.MONEY]
Measure = Annotated[float | None, Kind.MEASURE]
Json = Annotated[msgspec.Raw, Kind.JSON]
ListOf = list[T | None] | None

_WEIGHT_UNIT = "not stated by the API, presumably kg"
_CURRENCY_UNIT = "currency of the order"
_NO_JSON = msgspec.Raw()


class Record(msgspec.Struct, rename="camel"):
    """A JSON object of an order."""


class AddressIdentifier(Record):
    """An extra identifier of a delivery address."""

    identifier: Annotated[Text, Field("The identifier.", privacy=PERSONAL)] = None
    type: Annotated[Text, Field("What kind of identifier it is.", categorical=True)] = None


class InvoiceAddress(Record):
    """The address that the invoice goes to."""

    name1: Annotated[Text, Field("First line of the name.", privacy=PERSONAL)] = None
    name2: Annotated[Text, Field("Second line of the name.", privacy=PERSONAL)] = None
    company: Annotated[Text, Field("Company.", privacy=PERSONAL)] = None
    address1: Annotated[Text, Field("First line of the street address.", privacy=PERSONAL)] = None
    address2: Annotated[Text, Field("Second line of the street address.", privacy=PERSONAL)] = None
    address3: Annotated[Text, Field("Third line of the street address.", privacy=PERSONAL)] = None
    zip: Annotated[Text, Field("Postal code.")] = None
    city: Annotated[Text, Field("City.")] = None
    state: Annotated[Text, Field("State, province or region.")] = None
    country: Annotated[Text, Field("Country, presumably as ISO 3166-1 alpha-2.")] = None
    phone: Annotated[Text, Field("Phone number.", privacy=PERSONAL)] = None
    email: Annotated[Text, Field("E-mail address.", privacy=PERSONAL)] = None


class DeliveryAddress(InvoiceAddress):
    """The address that the order is delivered to."""

    address_identifier: Annotated[Text, Field("Identifier of the address.", privacy=PERSONAL)] = None
    additional_identifiers: Annotated[
        ListOf[AddressIdentifier], ChildTable("address_identifiers", "extra identifier of a delivery address")
    ] = None
    latitude: Annotated[Measure, Field("Latitude.", unit="degrees", privacy=PERSONAL)] = None
    longitude: Annotated[Measure, Field("Longitude.", unit="degrees", privacy=PERSONAL)] = None


class Position(Record):
    """A line of the order as the customer placed it."""

    position_id: Annotated[Id, Field("Quivo's number of the line.")] = None
    position_identifier: Annotated[
        Text, Field("Identifier of the line; presumably the one that shipment and handling positions refer to.")
    ] = None
    name: Annotated[Text, Field("Name of the article.")] = None
    sku: Annotated[Text, Field("Stock keeping unit that was ordered.")] = None
    custom_attributes: Annotated[
        Json, Field("Free-form attributes of the line, JSON as received.", privacy=PERSONAL)
    ] = _NO_JSON
    product_identifier: Annotated[Text, Field("Identifier of the product in the shop.")] = None
    variant_identifier: Annotated[Text, Field("Identifier of the product's variant in the shop.")] = None
    quantity: Annotated[Count, Field("Ordered quantity.", unit="pieces")] = None
    lot: Annotated[Text, Field("Lot (batch) asked for.")] = None
    location: Annotated[Text, Field("Storage location.")] = None
    bundled_by: Annotated[Text, Field("The bundle that brought this line into the order.")] = None
    unit_weight: Annotated[Measure, Field("Weight of one piece.", unit=_WEIGHT_UNIT)] = None
    unit_net_price: Annotated[Money, Field("Net price of one piece.", unit=_CURRENCY_UNIT)] = None
    unit_gross_price: Annotated[Money, Field("Gross price of one piece.", unit=_CURRENCY_UNIT)] = None
    total_weight: Annotated[Measure, Field("Weight of the line.", unit=_WEIGHT_UNIT)] = None
    total_net_amount: Annotated[Money, Field("Net amount of the line.", unit=_CURRENCY_UNIT)] = None
    total_gross_amount: Annotated[Money, Field("Gross amount of the line.", unit=_CURRENCY_UNIT)] = None
    expiration_date: Annotated[Instant, Field("Expiration date asked for.", unit="UTC")] = None


class FulfillmentPosition(Record):
    """A line of a fulfillment order: what a warehouse was asked to ship."""

    fulfillment_order_position_id: Annotated[Id, Field("Quivo's number of the line.")] = None
    ordered_sku: Annotated[Text, Field("SKU that the customer ordered.")] = None
    sku: Annotated[Text, Field("SKU that is to be shipped.")] = None
    warehouse_sku: Annotated[Text, Field("SKU in the warehouse's own system.")] = None
    quantity: Annotated[Count, Field("Planned quantity.", unit="pieces")] = None
    lot: Annotated[Text, Field("Lot (batch).")] = None
    location: Annotated[Text, Field("Storage location.")] = None
    customs_value: Annotated[
        Money, Field("Value for customs; whether of one piece or the line is not stated.", unit=_CURRENCY_UNIT)
    ] = None
    expiration_date: Annotated[Instant, Field("Expiration date.", unit="UTC")] = None
    fulfillment_order_position_identifier: Annotated[Text, Field("Identifier of the line.")] = None
    bundle_sku: Annotated[Text, Field("SKU of the bundle that the line is part of.")] = None


class ShipmentPosition(Record):
    """A line of a shipment: what was shipped."""

    shipment_position_id: Annotated[Id, Field("Quivo's number of the line.")] = None
    sku: Annotated[Text, Field("SKU that was shipped.")] = None
    warehouse_sku: Annotated[Text, Field("SKU in the warehouse's own system.")] = None
    seller_sku: Annotated[Text, Field("SKU in the seller's own system.")] = None
    quantity: Annotated[Count, Field("Shipped quantity.", unit="pieces")] = None
    lot: Annotated[Text, Field("Lot (batch) that was shipped.")] = None
    location: Annotated[Text, Field("Storage location that it was taken from.")] = None
    expiration_date: Annotated[Instant, Field("Expiration date of the lot.", unit="UTC")] = None
    serial_numbers: Annotated[
        ListOf[str], ChildTable("serial_numbers", "serial number of a shipped line", "serial_number")
    ] = None
    position_identifier: Annotated[
        Text, Field("The line of the order that this belongs to, presumably its position_identifier.")
    ] = None


class GroupedPosition(Record):
    """Shipped lines of one SKU and lot, taken together. The API gives it no identifier."""

    warehouse_sku: Annotated[Text, Field("SKU in the warehouse's own system.")] = None
    seller_sku: Annotated[Text, Field("SKU in the seller's own system.")] = None
    quantity: Annotated[Count, Field("Shipped quantity.", unit="pieces")] = None
    lot: Annotated[Text, Field("Lot (batch) that was shipped.")] = None
    expiration_date: Annotated[Instant, Field("Expiration date of the lot.", unit="UTC")] = None
    serial_numbers: Annotated[
        ListOf[str], ChildTable("grouped_serial_numbers", "serial number of a grouped line", "serial_number")
    ] = None


class Url(Record):
    """A link to a document."""

    link: Annotated[Text, Field("Link to the document, presumably valid for a short time.", privacy=SECRET)] = None


class PodDocument(Record):
    """A proof-of-delivery document of a shipment."""

    file_name: Annotated[Text, Field("Name of the file.", privacy=PERSONAL)] = None
    file_key: Annotated[Text, Field("Key of the file in Quivo's storage.", privacy=SECRET)] = None
    url: Url | None = None
    mime_type: Annotated[Text, Field("Media type of the file.", categorical=True)] = None


class Dimension(Record):
    """A length with its unit."""

    value: Annotated[Measure, Field("The number.", unit="the unit beside it")] = None
    unit: Annotated[
        Text, Field("Unit of length; the page shows M, other members are not listed.", categorical=True)
    ] = None


class Shipment(Record):
    """A shipment of a fulfillment order."""

    shipment_id: Annotated[Id, Field("Quivo's number of the shipment.")] = None
    shipment_identifier: Annotated[Text, Field("Identifier of the shipment.")] = None
    provider: Annotated[Text, Field("Carrier.")] = None
    tracking_link: Annotated[Text, Field("Link to the carrier's tracking page.", privacy=PERSONAL)] = None
    tracking_links: Annotated[
        ListOf[str], ChildTable("tracking_links", "tracking link of a shipment", "tracking_link", privacy=PERSONAL)
    ] = None
    tracking_number: Annotated[Text, Field("The carrier's tracking number.", privacy=PERSONAL)] = None
    tracking_numbers: Annotated[
        ListOf[str],
        ChildTable("tracking_numbers", "tracking number of a shipment", "tracking_number", privacy=PERSONAL),
    ] = None
    ship_date: Annotated[Instant, Field("When it was shipped.", unit="UTC")] = None
    is_untracked: Annotated[Flag, Field("Whether it travels without tracking.")] = None
    sscc: Annotated[Text, Field("Serial shipping container code (GS1).")] = None
    predated_shipment: Annotated[Day, Field("The day that the shipment is predated to.")] = None
    carrier_pick_up_date: Annotated[Instant, Field("When the carrier picks it up.", unit="UTC")] = None
    delivery_window_start_time: Annotated[Instant, Field("Start of the delivery window.", unit="UTC")] = None
    delivery_window_end_time: Annotated[Instant, Field("End of the delivery window.", unit="UTC")] = None
    provider_name: Annotated[Text, Field("Name of the carrier.")] = None
    number_of_pallets: Annotated[Count, Field("Declared number of pallets.", unit="pallets")] = None
    number_of_parcels: Annotated[Count, Field("Declared number of parcels.", unit="parcels")] = None
    gross_weight: Annotated[Measure, Field("Gross weight.", unit=_WEIGHT_UNIT)] = None
    width: Dimension | None = None
    length: Dimension | None = None
    height: Dimension | None = None
    positions: Annotated[ListOf[ShipmentPosition], ChildTable("shipment_positions", "shipped line of a shipment")] = (
        None
    )
    reversed: Annotated[Flag, Field("Whether the shipment was reversed.")] = None
    booked_shipment_id: Annotated[Id, Field("Quivo's number of the booked shipment (the label).")] = None
    expected_delivery_date: Annotated[Instant, Field("When delivery is expected.", unit="UTC")] = None
    delivery_date: Annotated[Instant, Field("When it was delivered.", unit="UTC")] = None
    pod_date: Annotated[Instant, Field("When delivery was proven.", unit="UTC")] = None
    grouped_positions: Annotated[
        ListOf[GroupedPosition], ChildTable("grouped_positions", "grouped shipped line of a shipment")
    ] = None
    pod_documents: Annotated[
        ListOf[PodDocument], ChildTable("pod_documents", "proof-of-delivery document of a shipment")
    ] = None


class FulfillmentOrder(Record):
    """What one warehouse was asked to ship for an order."""

    warehouse_id: Annotated[Id, Field("Quivo's number of the warehouse.")] = None
    warehouse_name: Annotated[Text, Field("Name of the warehouse.")] = None
    fulfillment_order_id: Annotated[Id, Field("Quivo's number of the fulfillment order.")] = None
    fulfillment_order_identifier: Annotated[Text, Field("Identifier of the fulfillment order.")] = None
    fulfillment_status: Annotated[
        Text, Field("Status of the fulfillment; its values are not documented.", categorical=True)
    ] = None
    fulfillment_connector_status: Annotated[
        Text, Field("Status in the connection to the warehouse; its values are not documented.", categorical=True)
    ] = None
    fulfillment_in_stock: Annotated[Flag, Field("Whether everything is in stock.")] = None
    cancelled: Annotated[Flag, Field("Whether the fulfillment order was cancelled.")] = None
    positions: Annotated[
        ListOf[FulfillmentPosition], ChildTable("fulfillment_positions", "line of a fulfillment order")
    ] = None
    shipments: Annotated[ListOf[Shipment], ChildTable("shipments", "shipment of a fulfillment order")] = None
    fulfillment_order_created: Annotated[Instant, Field("When the fulfillment order was created.", unit="UTC")] = None
    in_picking: Annotated[Flag, Field("Whether it is being picked.")] = None


class HandlingPosition(Record):
    """A content line of a handling unit."""

    sscc: Annotated[Text, Field("Serial shipping container code (GS1) of the unit that holds the line.")] = None
    position_identifier: Annotated[
        Text, Field("The line of the order that this belongs to, presumably its position_identifier.")
    ] = None
    sku: Annotated[Text, Field("SKU that was packed.")] = None
    warehouse_sku: Annotated[Text, Field("SKU in the warehouse's own system.")] = None
    quantity: Annotated[Count, Field("Packed quantity.", unit="pieces")] = None


class HandlingUnit(Record):
    """A pallet, carton or other unit of packing; units hold units, to any depth."""

    type: Annotated[
        Text, Field("What kind of unit it is; the page shows PALLET, other members are not listed.", categorical=True)
    ] = None
    sscc: Annotated[Text, Field("Serial shipping container code (GS1).")] = None
    carrier: Annotated[Text, Field("Carrier.")] = None
    tracking: Annotated[Text, Field("The carrier's tracking number.", privacy=PERSONAL)] = None
    handling_unit_identifier: Annotated[Text, Field("Identifier of the unit.")] = None
    truck_handling_unit_identifier: Annotated[Text, Field("Identifier of the truck's unit that it travels in.")] = None
    handling_positions: Annotated[
        ListOf[HandlingPosition], ChildTable("handling_positions", "content line of a handling unit")
    ] = None
    child_handling_units: Annotated[
        ListOf[HandlingUnit], ChildTable("handling_units", "handling unit, at any depth")
    ] = None


class EntityError(Record):
    """An error attached to the order."""

    error_code: Annotated[Text, Field("Code of the error; the codes are not documented.", categorical=True)] = None
    error_message: Annotated[Text, Field("Text of the error.", privacy=PERSONAL)] = None


class Order(Record):
    """One order, complete, as `POST /orders/{orderId}/refetch` answers it."""

    order_id: Annotated[int, Kind.INT64, Field("Quivo's number of the order.")]
    created: Annotated[Instant, Field("When the order was created at Quivo.", unit="UTC")] = None
    last_modified: Annotated[Instant, Field("When the order was last modified.", unit="UTC")] = None
    order_identifier: Annotated[Text, Field("Identifier of the order, presumably the shop's.")] = None
    order_reference: Annotated[Text, Field("Reference number of the order.")] = None
    order_status: Annotated[
        Text,
        Field("Status of the order; a full list of values is not documented, PROCESSING is one.", categorical=True),
    ] = None
    order_date: Annotated[Instant, Field("When the customer ordered.", unit="UTC")] = None
    exported_at: Annotated[Instant, Field("When the order was exported.", unit="UTC")] = None
    cancel_requested_at: Annotated[Instant, Field("When cancellation was requested.", unit="UTC")] = None
    completed_at: Annotated[Instant, Field("When the order was completed.", unit="UTC")] = None
    customer_identifier: Annotated[Text, Field("Identifier of the customer.", privacy=PERSONAL)] = None
    customer_purchase_order_number: Annotated[
        Text, Field("The customer's own purchase order number.", privacy=PERSONAL)
    ] = None
    sscc_label: Annotated[Flag, Field("Whether SSCC labels are wanted.")] = None
    seller_id: Annotated[Id, Field("Quivo's number of the seller.")] = None
    warehouse_id: Annotated[Id, Field("Quivo's number of the warehouse.")] = None
    seller_name: Annotated[Text, Field("Name of the seller.")] = None
    shop_available_at: Annotated[Text, Field("Since when the shop is available; a text of no documented form.")] = None
    shop_active: Annotated[Flag, Field("Whether the shop is active.")] = None
    shop_id: Annotated[Id, Field("Quivo's number of the shop.")] = None
    shop_system: Annotated[Text, Field("The shop's system.", categorical=True)] = None
    shop_system_name: Annotated[Text, Field("Name of the shop's system.")] = None
    delivery_address: DeliveryAddress | None = None
    invoice_address: InvoiceAddress | None = None
    currency: Annotated[Text, Field("Currency of the order's money, presumably ISO 4217.", categorical=True)] = None
    positions: Annotated[ListOf[Position], ChildTable("order_positions", "ordered line")] = None
    fulfillment_orders: Annotated[ListOf[FulfillmentOrder], ChildTable("fulfillment_orders", "fulfillment order")] = (
        None
    )
    handling_units: Annotated[ListOf[HandlingUnit], ChildTable("handling_units", "handling unit, at any depth")] = None
    earliest_delivery_date: Annotated[Day, Field("First day on which it may be delivered.")] = None
    latest_delivery_date: Annotated[Day, Field("Last day on which it may be delivered.")] = None
    comment: Annotated[Text, Field("Comment on the order.", privacy=PERSONAL)] = None
    transport_insurance_amount: Annotated[Money, Field("Amount insured in transport.", unit=_CURRENCY_UNIT)] = None
    cash_on_delivery_amount: Annotated[
        Money, Field("Amount to be collected on delivery.", unit="cash_on_delivery_currency")
    ] = None
    cash_on_delivery_currency: Annotated[
        Text, Field("Currency of the amount to be collected, presumably ISO 4217.", categorical=True)
    ] = None
    delivery_instruction: Annotated[Text, Field("Instruction for the delivery.", privacy=PERSONAL)] = None
    shipping_method_identifier: Annotated[Text, Field("Identifier of the shipping method.")] = None
    shipping_method_name: Annotated[Text, Field("Name of the shipping method.")] = None
    tags: Annotated[ListOf[str], ChildTable("order_tags", "tag of an order", "tag")] = None
    earliest_ship_date: Annotated[Day, Field("First day on which it may be shipped.")] = None
    latest_ship_date: Annotated[Day, Field("Last day on which it may be shipped.")] = None
    pii_data_removed: Annotated[Flag, Field("Whether personal data was removed from the order.")] = None
    payment_type: Annotated[Text, Field("Type of payment; its values are not documented.", categorical=True)] = None
    tracking_enabled: Annotated[Flag, Field("Whether tracking is enabled.")] = None
    order_priority: Annotated[Rank, Field("Priority of the order; which end is urgent is not stated.")] = None
    fulfillment_confirmed: Annotated[Flag, Field("Whether the fulfillment is confirmed.")] = None
    entity_errors: Annotated[ListOf[EntityError], ChildTable("order_errors", "error attached to an order")] = None
    custom_attributes: Annotated[
        Json, Field("Free-form attributes of the order, JSON as received.", privacy=PERSONAL)
    ] = _NO_JSON
