-- The tables of quivo_frames, schema version 1.
-- Foreign keys stand in CREATE TABLE, where DuckDB alone takes them: fill parents before children.
-- Those of handling_units to itself are left out: DuckDB looks for the other row before it is there.

CREATE TABLE "orders" (
    "order_id" BIGINT NOT NULL,
    "created" TIMESTAMP WITH TIME ZONE,
    "last_modified" TIMESTAMP WITH TIME ZONE,
    "order_identifier" VARCHAR,
    "order_reference" VARCHAR,
    "order_status" VARCHAR,
    "order_date" TIMESTAMP WITH TIME ZONE,
    "exported_at" TIMESTAMP WITH TIME ZONE,
    "cancel_requested_at" TIMESTAMP WITH TIME ZONE,
    "completed_at" TIMESTAMP WITH TIME ZONE,
    "customer_identifier" VARCHAR,
    "customer_purchase_order_number" VARCHAR,
    "sscc_label" BOOLEAN,
    "seller_id" BIGINT,
    "warehouse_id" BIGINT,
    "seller_name" VARCHAR,
    "shop_available_at" VARCHAR,
    "shop_active" BOOLEAN,
    "shop_id" BIGINT,
    "shop_system" VARCHAR,
    "shop_system_name" VARCHAR,
    "delivery_address_name1" VARCHAR,
    "delivery_address_name2" VARCHAR,
    "delivery_address_company" VARCHAR,
    "delivery_address_address1" VARCHAR,
    "delivery_address_address2" VARCHAR,
    "delivery_address_address3" VARCHAR,
    "delivery_address_zip" VARCHAR,
    "delivery_address_city" VARCHAR,
    "delivery_address_state" VARCHAR,
    "delivery_address_country" VARCHAR,
    "delivery_address_phone" VARCHAR,
    "delivery_address_email" VARCHAR,
    "delivery_address_address_identifier" VARCHAR,
    "delivery_address_latitude" DOUBLE,
    "delivery_address_longitude" DOUBLE,
    "invoice_address_name1" VARCHAR,
    "invoice_address_name2" VARCHAR,
    "invoice_address_company" VARCHAR,
    "invoice_address_address1" VARCHAR,
    "invoice_address_address2" VARCHAR,
    "invoice_address_address3" VARCHAR,
    "invoice_address_zip" VARCHAR,
    "invoice_address_city" VARCHAR,
    "invoice_address_state" VARCHAR,
    "invoice_address_country" VARCHAR,
    "invoice_address_phone" VARCHAR,
    "invoice_address_email" VARCHAR,
    "currency" VARCHAR,
    "earliest_delivery_date" DATE,
    "latest_delivery_date" DATE,
    "comment" VARCHAR,
    "transport_insurance_amount" DECIMAL(18,4),
    "cash_on_delivery_amount" DECIMAL(18,4),
    "cash_on_delivery_currency" VARCHAR,
    "delivery_instruction" VARCHAR,
    "shipping_method_identifier" VARCHAR,
    "shipping_method_name" VARCHAR,
    "earliest_ship_date" DATE,
    "latest_ship_date" DATE,
    "pii_data_removed" BOOLEAN,
    "payment_type" VARCHAR,
    "tracking_enabled" BOOLEAN,
    "order_priority" INTEGER,
    "fulfillment_confirmed" BOOLEAN,
    "custom_attributes" VARCHAR,
    "fetched_at" TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY ("order_id")
);

COMMENT ON TABLE "orders" IS 'One row per order. quivo_frames, schema version 1.';
COMMENT ON COLUMN "orders"."order_id" IS 'Quivo''s number of the order.';
COMMENT ON COLUMN "orders"."created" IS 'When the order was created at Quivo. Unit: UTC.';
COMMENT ON COLUMN "orders"."last_modified" IS 'When the order was last modified. Unit: UTC.';
COMMENT ON COLUMN "orders"."order_identifier" IS 'Identifier of the order, presumably the shop''s.';
COMMENT ON COLUMN "orders"."order_reference" IS 'Reference number of the order.';
COMMENT ON COLUMN "orders"."order_status" IS 'Status of the order; a full list of values is not documented, PROCESSING is one.';
COMMENT ON COLUMN "orders"."order_date" IS 'When the customer ordered. Unit: UTC.';
COMMENT ON COLUMN "orders"."exported_at" IS 'When the order was exported. Unit: UTC.';
COMMENT ON COLUMN "orders"."cancel_requested_at" IS 'When cancellation was requested. Unit: UTC.';
COMMENT ON COLUMN "orders"."completed_at" IS 'When the order was completed. Unit: UTC.';
COMMENT ON COLUMN "orders"."customer_identifier" IS 'Identifier of the customer. Privacy: personal.';
COMMENT ON COLUMN "orders"."customer_purchase_order_number" IS 'The customer''s own purchase order number. Privacy: personal.';
COMMENT ON COLUMN "orders"."sscc_label" IS 'Whether SSCC labels are wanted.';
COMMENT ON COLUMN "orders"."seller_id" IS 'Quivo''s number of the seller.';
COMMENT ON COLUMN "orders"."warehouse_id" IS 'Quivo''s number of the warehouse.';
COMMENT ON COLUMN "orders"."seller_name" IS 'Name of the seller.';
COMMENT ON COLUMN "orders"."shop_available_at" IS 'Since when the shop is available; a text of no documented form.';
COMMENT ON COLUMN "orders"."shop_active" IS 'Whether the shop is active.';
COMMENT ON COLUMN "orders"."shop_id" IS 'Quivo''s number of the shop.';
COMMENT ON COLUMN "orders"."shop_system" IS 'The shop''s system.';
COMMENT ON COLUMN "orders"."shop_system_name" IS 'Name of the shop''s system.';
COMMENT ON COLUMN "orders"."delivery_address_name1" IS 'Delivery address: first line of the name. Privacy: personal.';
COMMENT ON COLUMN "orders"."delivery_address_name2" IS 'Delivery address: second line of the name. Privacy: personal.';
COMMENT ON COLUMN "orders"."delivery_address_company" IS 'Delivery address: company. Privacy: personal.';
COMMENT ON COLUMN "orders"."delivery_address_address1" IS 'Delivery address: first line of the street address. Privacy: personal.';
COMMENT ON COLUMN "orders"."delivery_address_address2" IS 'Delivery address: second line of the street address. Privacy: personal.';
COMMENT ON COLUMN "orders"."delivery_address_address3" IS 'Delivery address: third line of the street address. Privacy: personal.';
COMMENT ON COLUMN "orders"."delivery_address_zip" IS 'Delivery address: postal code.';
COMMENT ON COLUMN "orders"."delivery_address_city" IS 'Delivery address: city.';
COMMENT ON COLUMN "orders"."delivery_address_state" IS 'Delivery address: state, province or region.';
COMMENT ON COLUMN "orders"."delivery_address_country" IS 'Delivery address: country, presumably as ISO 3166-1 alpha-2.';
COMMENT ON COLUMN "orders"."delivery_address_phone" IS 'Delivery address: phone number. Privacy: personal.';
COMMENT ON COLUMN "orders"."delivery_address_email" IS 'Delivery address: e-mail address. Privacy: personal.';
COMMENT ON COLUMN "orders"."delivery_address_address_identifier" IS 'Delivery address: identifier of the address. Privacy: personal.';
COMMENT ON COLUMN "orders"."delivery_address_latitude" IS 'Delivery address: latitude. Unit: degrees. Privacy: personal.';
COMMENT ON COLUMN "orders"."delivery_address_longitude" IS 'Delivery address: longitude. Unit: degrees. Privacy: personal.';
COMMENT ON COLUMN "orders"."invoice_address_name1" IS 'Invoice address: first line of the name. Privacy: personal.';
COMMENT ON COLUMN "orders"."invoice_address_name2" IS 'Invoice address: second line of the name. Privacy: personal.';
COMMENT ON COLUMN "orders"."invoice_address_company" IS 'Invoice address: company. Privacy: personal.';
COMMENT ON COLUMN "orders"."invoice_address_address1" IS 'Invoice address: first line of the street address. Privacy: personal.';
COMMENT ON COLUMN "orders"."invoice_address_address2" IS 'Invoice address: second line of the street address. Privacy: personal.';
COMMENT ON COLUMN "orders"."invoice_address_address3" IS 'Invoice address: third line of the street address. Privacy: personal.';
COMMENT ON COLUMN "orders"."invoice_address_zip" IS 'Invoice address: postal code.';
COMMENT ON COLUMN "orders"."invoice_address_city" IS 'Invoice address: city.';
COMMENT ON COLUMN "orders"."invoice_address_state" IS 'Invoice address: state, province or region.';
COMMENT ON COLUMN "orders"."invoice_address_country" IS 'Invoice address: country, presumably as ISO 3166-1 alpha-2.';
COMMENT ON COLUMN "orders"."invoice_address_phone" IS 'Invoice address: phone number. Privacy: personal.';
COMMENT ON COLUMN "orders"."invoice_address_email" IS 'Invoice address: e-mail address. Privacy: personal.';
COMMENT ON COLUMN "orders"."currency" IS 'Currency of the order''s money, presumably ISO 4217.';
COMMENT ON COLUMN "orders"."earliest_delivery_date" IS 'First day on which it may be delivered.';
COMMENT ON COLUMN "orders"."latest_delivery_date" IS 'Last day on which it may be delivered.';
COMMENT ON COLUMN "orders"."comment" IS 'Comment on the order. Privacy: personal.';
COMMENT ON COLUMN "orders"."transport_insurance_amount" IS 'Amount insured in transport. Unit: currency of the order.';
COMMENT ON COLUMN "orders"."cash_on_delivery_amount" IS 'Amount to be collected on delivery. Unit: cash_on_delivery_currency.';
COMMENT ON COLUMN "orders"."cash_on_delivery_currency" IS 'Currency of the amount to be collected, presumably ISO 4217.';
COMMENT ON COLUMN "orders"."delivery_instruction" IS 'Instruction for the delivery. Privacy: personal.';
COMMENT ON COLUMN "orders"."shipping_method_identifier" IS 'Identifier of the shipping method.';
COMMENT ON COLUMN "orders"."shipping_method_name" IS 'Name of the shipping method.';
COMMENT ON COLUMN "orders"."earliest_ship_date" IS 'First day on which it may be shipped.';
COMMENT ON COLUMN "orders"."latest_ship_date" IS 'Last day on which it may be shipped.';
COMMENT ON COLUMN "orders"."pii_data_removed" IS 'Whether personal data was removed from the order.';
COMMENT ON COLUMN "orders"."payment_type" IS 'Type of payment; its values are not documented.';
COMMENT ON COLUMN "orders"."tracking_enabled" IS 'Whether tracking is enabled.';
COMMENT ON COLUMN "orders"."order_priority" IS 'Priority of the order; which end is urgent is not stated.';
COMMENT ON COLUMN "orders"."fulfillment_confirmed" IS 'Whether the fulfillment is confirmed.';
COMMENT ON COLUMN "orders"."custom_attributes" IS 'Free-form attributes of the order, JSON as received. Privacy: personal.';
COMMENT ON COLUMN "orders"."fetched_at" IS 'When Quivo''s answer arrived; null for files that do not say. Unit: UTC.';

CREATE TABLE "address_identifiers" (
    "address_identifier_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "ordinal" BIGINT NOT NULL,
    "identifier" VARCHAR,
    "type" VARCHAR,
    PRIMARY KEY ("address_identifier_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id")
);

COMMENT ON TABLE "address_identifiers" IS 'One row per extra identifier of a delivery address. quivo_frames, schema version 1.';
COMMENT ON COLUMN "address_identifiers"."address_identifier_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "address_identifiers"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "address_identifiers"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "address_identifiers"."identifier" IS 'The identifier. Privacy: personal.';
COMMENT ON COLUMN "address_identifiers"."type" IS 'What kind of identifier it is.';

CREATE TABLE "order_positions" (
    "order_position_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "ordinal" BIGINT NOT NULL,
    "position_id" BIGINT,
    "position_identifier" VARCHAR,
    "name" VARCHAR,
    "sku" VARCHAR,
    "custom_attributes" VARCHAR,
    "product_identifier" VARCHAR,
    "variant_identifier" VARCHAR,
    "quantity" BIGINT,
    "lot" VARCHAR,
    "location" VARCHAR,
    "bundled_by" VARCHAR,
    "unit_weight" DOUBLE,
    "unit_net_price" DECIMAL(18,4),
    "unit_gross_price" DECIMAL(18,4),
    "total_weight" DOUBLE,
    "total_net_amount" DECIMAL(18,4),
    "total_gross_amount" DECIMAL(18,4),
    "expiration_date" TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY ("order_position_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id")
);

COMMENT ON TABLE "order_positions" IS 'One row per ordered line. quivo_frames, schema version 1.';
COMMENT ON COLUMN "order_positions"."order_position_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "order_positions"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "order_positions"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "order_positions"."position_id" IS 'Quivo''s number of the line.';
COMMENT ON COLUMN "order_positions"."position_identifier" IS 'Identifier of the line; presumably the one that shipment and handling positions refer to.';
COMMENT ON COLUMN "order_positions"."name" IS 'Name of the article.';
COMMENT ON COLUMN "order_positions"."sku" IS 'Stock keeping unit that was ordered.';
COMMENT ON COLUMN "order_positions"."custom_attributes" IS 'Free-form attributes of the line, JSON as received. Privacy: personal.';
COMMENT ON COLUMN "order_positions"."product_identifier" IS 'Identifier of the product in the shop.';
COMMENT ON COLUMN "order_positions"."variant_identifier" IS 'Identifier of the product''s variant in the shop.';
COMMENT ON COLUMN "order_positions"."quantity" IS 'Ordered quantity. Unit: pieces.';
COMMENT ON COLUMN "order_positions"."lot" IS 'Lot (batch) asked for.';
COMMENT ON COLUMN "order_positions"."location" IS 'Storage location.';
COMMENT ON COLUMN "order_positions"."bundled_by" IS 'The bundle that brought this line into the order.';
COMMENT ON COLUMN "order_positions"."unit_weight" IS 'Weight of one piece. Unit: not stated by the API, presumably kg.';
COMMENT ON COLUMN "order_positions"."unit_net_price" IS 'Net price of one piece. Unit: currency of the order.';
COMMENT ON COLUMN "order_positions"."unit_gross_price" IS 'Gross price of one piece. Unit: currency of the order.';
COMMENT ON COLUMN "order_positions"."total_weight" IS 'Weight of the line. Unit: not stated by the API, presumably kg.';
COMMENT ON COLUMN "order_positions"."total_net_amount" IS 'Net amount of the line. Unit: currency of the order.';
COMMENT ON COLUMN "order_positions"."total_gross_amount" IS 'Gross amount of the line. Unit: currency of the order.';
COMMENT ON COLUMN "order_positions"."expiration_date" IS 'Expiration date asked for. Unit: UTC.';

CREATE TABLE "fulfillment_orders" (
    "fulfillment_order_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "ordinal" BIGINT NOT NULL,
    "warehouse_id" BIGINT,
    "warehouse_name" VARCHAR,
    "fulfillment_order_id" BIGINT,
    "fulfillment_order_identifier" VARCHAR,
    "fulfillment_status" VARCHAR,
    "fulfillment_connector_status" VARCHAR,
    "fulfillment_in_stock" BOOLEAN,
    "cancelled" BOOLEAN,
    "fulfillment_order_created" TIMESTAMP WITH TIME ZONE,
    "in_picking" BOOLEAN,
    PRIMARY KEY ("fulfillment_order_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id")
);

COMMENT ON TABLE "fulfillment_orders" IS 'One row per fulfillment order. quivo_frames, schema version 1.';
COMMENT ON COLUMN "fulfillment_orders"."fulfillment_order_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "fulfillment_orders"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "fulfillment_orders"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "fulfillment_orders"."warehouse_id" IS 'Quivo''s number of the warehouse.';
COMMENT ON COLUMN "fulfillment_orders"."warehouse_name" IS 'Name of the warehouse.';
COMMENT ON COLUMN "fulfillment_orders"."fulfillment_order_id" IS 'Quivo''s number of the fulfillment order.';
COMMENT ON COLUMN "fulfillment_orders"."fulfillment_order_identifier" IS 'Identifier of the fulfillment order.';
COMMENT ON COLUMN "fulfillment_orders"."fulfillment_status" IS 'Status of the fulfillment; its values are not documented.';
COMMENT ON COLUMN "fulfillment_orders"."fulfillment_connector_status" IS 'Status in the connection to the warehouse; its values are not documented.';
COMMENT ON COLUMN "fulfillment_orders"."fulfillment_in_stock" IS 'Whether everything is in stock.';
COMMENT ON COLUMN "fulfillment_orders"."cancelled" IS 'Whether the fulfillment order was cancelled.';
COMMENT ON COLUMN "fulfillment_orders"."fulfillment_order_created" IS 'When the fulfillment order was created. Unit: UTC.';
COMMENT ON COLUMN "fulfillment_orders"."in_picking" IS 'Whether it is being picked.';

CREATE TABLE "fulfillment_positions" (
    "fulfillment_position_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "fulfillment_order_key" VARCHAR NOT NULL,
    "fulfillment_order_id" BIGINT,
    "ordinal" BIGINT NOT NULL,
    "fulfillment_order_position_id" BIGINT,
    "ordered_sku" VARCHAR,
    "sku" VARCHAR,
    "warehouse_sku" VARCHAR,
    "quantity" BIGINT,
    "lot" VARCHAR,
    "location" VARCHAR,
    "customs_value" DECIMAL(18,4),
    "expiration_date" TIMESTAMP WITH TIME ZONE,
    "fulfillment_order_position_identifier" VARCHAR,
    "bundle_sku" VARCHAR,
    PRIMARY KEY ("fulfillment_position_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("fulfillment_order_key") REFERENCES "fulfillment_orders" ("fulfillment_order_key")
);

COMMENT ON TABLE "fulfillment_positions" IS 'One row per line of a fulfillment order. quivo_frames, schema version 1.';
COMMENT ON COLUMN "fulfillment_positions"."fulfillment_position_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "fulfillment_positions"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "fulfillment_positions"."fulfillment_order_key" IS 'Key of the fulfillment order that the row belongs to.';
COMMENT ON COLUMN "fulfillment_positions"."fulfillment_order_id" IS 'Fulfillment order that the row belongs to.';
COMMENT ON COLUMN "fulfillment_positions"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "fulfillment_positions"."fulfillment_order_position_id" IS 'Quivo''s number of the line.';
COMMENT ON COLUMN "fulfillment_positions"."ordered_sku" IS 'SKU that the customer ordered.';
COMMENT ON COLUMN "fulfillment_positions"."sku" IS 'SKU that is to be shipped.';
COMMENT ON COLUMN "fulfillment_positions"."warehouse_sku" IS 'SKU in the warehouse''s own system.';
COMMENT ON COLUMN "fulfillment_positions"."quantity" IS 'Planned quantity. Unit: pieces.';
COMMENT ON COLUMN "fulfillment_positions"."lot" IS 'Lot (batch).';
COMMENT ON COLUMN "fulfillment_positions"."location" IS 'Storage location.';
COMMENT ON COLUMN "fulfillment_positions"."customs_value" IS 'Value for customs; whether of one piece or the line is not stated. Unit: currency of the order.';
COMMENT ON COLUMN "fulfillment_positions"."expiration_date" IS 'Expiration date. Unit: UTC.';
COMMENT ON COLUMN "fulfillment_positions"."fulfillment_order_position_identifier" IS 'Identifier of the line.';
COMMENT ON COLUMN "fulfillment_positions"."bundle_sku" IS 'SKU of the bundle that the line is part of.';

CREATE TABLE "shipments" (
    "shipment_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "fulfillment_order_key" VARCHAR NOT NULL,
    "fulfillment_order_id" BIGINT,
    "ordinal" BIGINT NOT NULL,
    "shipment_id" BIGINT,
    "shipment_identifier" VARCHAR,
    "provider" VARCHAR,
    "tracking_link" VARCHAR,
    "tracking_number" VARCHAR,
    "ship_date" TIMESTAMP WITH TIME ZONE,
    "is_untracked" BOOLEAN,
    "sscc" VARCHAR,
    "predated_shipment" DATE,
    "carrier_pick_up_date" TIMESTAMP WITH TIME ZONE,
    "delivery_window_start_time" TIMESTAMP WITH TIME ZONE,
    "delivery_window_end_time" TIMESTAMP WITH TIME ZONE,
    "provider_name" VARCHAR,
    "number_of_pallets" BIGINT,
    "number_of_parcels" BIGINT,
    "gross_weight" DOUBLE,
    "width_value" DOUBLE,
    "width_unit" VARCHAR,
    "length_value" DOUBLE,
    "length_unit" VARCHAR,
    "height_value" DOUBLE,
    "height_unit" VARCHAR,
    "reversed" BOOLEAN,
    "booked_shipment_id" BIGINT,
    "expected_delivery_date" TIMESTAMP WITH TIME ZONE,
    "delivery_date" TIMESTAMP WITH TIME ZONE,
    "pod_date" TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY ("shipment_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("fulfillment_order_key") REFERENCES "fulfillment_orders" ("fulfillment_order_key")
);

COMMENT ON TABLE "shipments" IS 'One row per shipment of a fulfillment order. quivo_frames, schema version 1.';
COMMENT ON COLUMN "shipments"."shipment_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "shipments"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "shipments"."fulfillment_order_key" IS 'Key of the fulfillment order that the row belongs to.';
COMMENT ON COLUMN "shipments"."fulfillment_order_id" IS 'Fulfillment order that the row belongs to.';
COMMENT ON COLUMN "shipments"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "shipments"."shipment_id" IS 'Quivo''s number of the shipment.';
COMMENT ON COLUMN "shipments"."shipment_identifier" IS 'Identifier of the shipment.';
COMMENT ON COLUMN "shipments"."provider" IS 'Carrier.';
COMMENT ON COLUMN "shipments"."tracking_link" IS 'Link to the carrier''s tracking page. Privacy: personal.';
COMMENT ON COLUMN "shipments"."tracking_number" IS 'The carrier''s tracking number. Privacy: personal.';
COMMENT ON COLUMN "shipments"."ship_date" IS 'When it was shipped. Unit: UTC.';
COMMENT ON COLUMN "shipments"."is_untracked" IS 'Whether it travels without tracking.';
COMMENT ON COLUMN "shipments"."sscc" IS 'Serial shipping container code (GS1).';
COMMENT ON COLUMN "shipments"."predated_shipment" IS 'The day that the shipment is predated to.';
COMMENT ON COLUMN "shipments"."carrier_pick_up_date" IS 'When the carrier picks it up. Unit: UTC.';
COMMENT ON COLUMN "shipments"."delivery_window_start_time" IS 'Start of the delivery window. Unit: UTC.';
COMMENT ON COLUMN "shipments"."delivery_window_end_time" IS 'End of the delivery window. Unit: UTC.';
COMMENT ON COLUMN "shipments"."provider_name" IS 'Name of the carrier.';
COMMENT ON COLUMN "shipments"."number_of_pallets" IS 'Declared number of pallets. Unit: pallets.';
COMMENT ON COLUMN "shipments"."number_of_parcels" IS 'Declared number of parcels. Unit: parcels.';
COMMENT ON COLUMN "shipments"."gross_weight" IS 'Gross weight. Unit: not stated by the API, presumably kg.';
COMMENT ON COLUMN "shipments"."width_value" IS 'Width: the number. Unit: the unit beside it.';
COMMENT ON COLUMN "shipments"."width_unit" IS 'Width: unit of length; the page shows M, other members are not listed.';
COMMENT ON COLUMN "shipments"."length_value" IS 'Length: the number. Unit: the unit beside it.';
COMMENT ON COLUMN "shipments"."length_unit" IS 'Length: unit of length; the page shows M, other members are not listed.';
COMMENT ON COLUMN "shipments"."height_value" IS 'Height: the number. Unit: the unit beside it.';
COMMENT ON COLUMN "shipments"."height_unit" IS 'Height: unit of length; the page shows M, other members are not listed.';
COMMENT ON COLUMN "shipments"."reversed" IS 'Whether the shipment was reversed.';
COMMENT ON COLUMN "shipments"."booked_shipment_id" IS 'Quivo''s number of the booked shipment (the label).';
COMMENT ON COLUMN "shipments"."expected_delivery_date" IS 'When delivery is expected. Unit: UTC.';
COMMENT ON COLUMN "shipments"."delivery_date" IS 'When it was delivered. Unit: UTC.';
COMMENT ON COLUMN "shipments"."pod_date" IS 'When delivery was proven. Unit: UTC.';

CREATE TABLE "tracking_links" (
    "tracking_link_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "shipment_key" VARCHAR NOT NULL,
    "fulfillment_order_id" BIGINT,
    "shipment_id" BIGINT,
    "ordinal" BIGINT NOT NULL,
    "tracking_link" VARCHAR NOT NULL,
    PRIMARY KEY ("tracking_link_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("shipment_key") REFERENCES "shipments" ("shipment_key")
);

COMMENT ON TABLE "tracking_links" IS 'One row per tracking link of a shipment. quivo_frames, schema version 1.';
COMMENT ON COLUMN "tracking_links"."tracking_link_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "tracking_links"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "tracking_links"."shipment_key" IS 'Key of the shipment that the row belongs to.';
COMMENT ON COLUMN "tracking_links"."fulfillment_order_id" IS 'Fulfillment order that the row belongs to.';
COMMENT ON COLUMN "tracking_links"."shipment_id" IS 'Shipment that the row belongs to.';
COMMENT ON COLUMN "tracking_links"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "tracking_links"."tracking_link" IS 'The tracking link. Privacy: personal.';

CREATE TABLE "tracking_numbers" (
    "tracking_number_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "shipment_key" VARCHAR NOT NULL,
    "fulfillment_order_id" BIGINT,
    "shipment_id" BIGINT,
    "ordinal" BIGINT NOT NULL,
    "tracking_number" VARCHAR NOT NULL,
    PRIMARY KEY ("tracking_number_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("shipment_key") REFERENCES "shipments" ("shipment_key")
);

COMMENT ON TABLE "tracking_numbers" IS 'One row per tracking number of a shipment. quivo_frames, schema version 1.';
COMMENT ON COLUMN "tracking_numbers"."tracking_number_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "tracking_numbers"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "tracking_numbers"."shipment_key" IS 'Key of the shipment that the row belongs to.';
COMMENT ON COLUMN "tracking_numbers"."fulfillment_order_id" IS 'Fulfillment order that the row belongs to.';
COMMENT ON COLUMN "tracking_numbers"."shipment_id" IS 'Shipment that the row belongs to.';
COMMENT ON COLUMN "tracking_numbers"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "tracking_numbers"."tracking_number" IS 'The tracking number. Privacy: personal.';

CREATE TABLE "shipment_positions" (
    "shipment_position_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "shipment_key" VARCHAR NOT NULL,
    "fulfillment_order_id" BIGINT,
    "shipment_id" BIGINT,
    "ordinal" BIGINT NOT NULL,
    "shipment_position_id" BIGINT,
    "sku" VARCHAR,
    "warehouse_sku" VARCHAR,
    "seller_sku" VARCHAR,
    "quantity" BIGINT,
    "lot" VARCHAR,
    "location" VARCHAR,
    "expiration_date" TIMESTAMP WITH TIME ZONE,
    "position_identifier" VARCHAR,
    PRIMARY KEY ("shipment_position_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("shipment_key") REFERENCES "shipments" ("shipment_key")
);

COMMENT ON TABLE "shipment_positions" IS 'One row per shipped line of a shipment. quivo_frames, schema version 1.';
COMMENT ON COLUMN "shipment_positions"."shipment_position_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "shipment_positions"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "shipment_positions"."shipment_key" IS 'Key of the shipment that the row belongs to.';
COMMENT ON COLUMN "shipment_positions"."fulfillment_order_id" IS 'Fulfillment order that the row belongs to.';
COMMENT ON COLUMN "shipment_positions"."shipment_id" IS 'Shipment that the row belongs to.';
COMMENT ON COLUMN "shipment_positions"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "shipment_positions"."shipment_position_id" IS 'Quivo''s number of the line.';
COMMENT ON COLUMN "shipment_positions"."sku" IS 'SKU that was shipped.';
COMMENT ON COLUMN "shipment_positions"."warehouse_sku" IS 'SKU in the warehouse''s own system.';
COMMENT ON COLUMN "shipment_positions"."seller_sku" IS 'SKU in the seller''s own system.';
COMMENT ON COLUMN "shipment_positions"."quantity" IS 'Shipped quantity. Unit: pieces.';
COMMENT ON COLUMN "shipment_positions"."lot" IS 'Lot (batch) that was shipped.';
COMMENT ON COLUMN "shipment_positions"."location" IS 'Storage location that it was taken from.';
COMMENT ON COLUMN "shipment_positions"."expiration_date" IS 'Expiration date of the lot. Unit: UTC.';
COMMENT ON COLUMN "shipment_positions"."position_identifier" IS 'The line of the order that this belongs to, presumably its position_identifier.';

CREATE TABLE "serial_numbers" (
    "serial_number_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "shipment_position_key" VARCHAR NOT NULL,
    "fulfillment_order_id" BIGINT,
    "shipment_id" BIGINT,
    "shipment_position_id" BIGINT,
    "ordinal" BIGINT NOT NULL,
    "serial_number" VARCHAR NOT NULL,
    PRIMARY KEY ("serial_number_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("shipment_position_key") REFERENCES "shipment_positions" ("shipment_position_key")
);

COMMENT ON TABLE "serial_numbers" IS 'One row per serial number of a shipped line. quivo_frames, schema version 1.';
COMMENT ON COLUMN "serial_numbers"."serial_number_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "serial_numbers"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "serial_numbers"."shipment_position_key" IS 'Key of the shipment position that the row belongs to.';
COMMENT ON COLUMN "serial_numbers"."fulfillment_order_id" IS 'Fulfillment order that the row belongs to.';
COMMENT ON COLUMN "serial_numbers"."shipment_id" IS 'Shipment that the row belongs to.';
COMMENT ON COLUMN "serial_numbers"."shipment_position_id" IS 'Shipment position that the row belongs to.';
COMMENT ON COLUMN "serial_numbers"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "serial_numbers"."serial_number" IS 'The serial number.';

CREATE TABLE "grouped_positions" (
    "grouped_position_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "shipment_key" VARCHAR NOT NULL,
    "fulfillment_order_id" BIGINT,
    "shipment_id" BIGINT,
    "ordinal" BIGINT NOT NULL,
    "warehouse_sku" VARCHAR,
    "seller_sku" VARCHAR,
    "quantity" BIGINT,
    "lot" VARCHAR,
    "expiration_date" TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY ("grouped_position_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("shipment_key") REFERENCES "shipments" ("shipment_key")
);

COMMENT ON TABLE "grouped_positions" IS 'One row per grouped shipped line of a shipment. quivo_frames, schema version 1.';
COMMENT ON COLUMN "grouped_positions"."grouped_position_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "grouped_positions"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "grouped_positions"."shipment_key" IS 'Key of the shipment that the row belongs to.';
COMMENT ON COLUMN "grouped_positions"."fulfillment_order_id" IS 'Fulfillment order that the row belongs to.';
COMMENT ON COLUMN "grouped_positions"."shipment_id" IS 'Shipment that the row belongs to.';
COMMENT ON COLUMN "grouped_positions"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "grouped_positions"."warehouse_sku" IS 'SKU in the warehouse''s own system.';
COMMENT ON COLUMN "grouped_positions"."seller_sku" IS 'SKU in the seller''s own system.';
COMMENT ON COLUMN "grouped_positions"."quantity" IS 'Shipped quantity. Unit: pieces.';
COMMENT ON COLUMN "grouped_positions"."lot" IS 'Lot (batch) that was shipped.';
COMMENT ON COLUMN "grouped_positions"."expiration_date" IS 'Expiration date of the lot. Unit: UTC.';

CREATE TABLE "grouped_serial_numbers" (
    "grouped_serial_number_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "grouped_position_key" VARCHAR NOT NULL,
    "fulfillment_order_id" BIGINT,
    "shipment_id" BIGINT,
    "ordinal" BIGINT NOT NULL,
    "serial_number" VARCHAR NOT NULL,
    PRIMARY KEY ("grouped_serial_number_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("grouped_position_key") REFERENCES "grouped_positions" ("grouped_position_key")
);

COMMENT ON TABLE "grouped_serial_numbers" IS 'One row per serial number of a grouped line. quivo_frames, schema version 1.';
COMMENT ON COLUMN "grouped_serial_numbers"."grouped_serial_number_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "grouped_serial_numbers"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "grouped_serial_numbers"."grouped_position_key" IS 'Key of the grouped position that the row belongs to.';
COMMENT ON COLUMN "grouped_serial_numbers"."fulfillment_order_id" IS 'Fulfillment order that the row belongs to.';
COMMENT ON COLUMN "grouped_serial_numbers"."shipment_id" IS 'Shipment that the row belongs to.';
COMMENT ON COLUMN "grouped_serial_numbers"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "grouped_serial_numbers"."serial_number" IS 'The grouped serial number.';

CREATE TABLE "pod_documents" (
    "pod_document_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "shipment_key" VARCHAR NOT NULL,
    "fulfillment_order_id" BIGINT,
    "shipment_id" BIGINT,
    "ordinal" BIGINT NOT NULL,
    "file_name" VARCHAR,
    "file_key" VARCHAR,
    "url_link" VARCHAR,
    "mime_type" VARCHAR,
    PRIMARY KEY ("pod_document_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("shipment_key") REFERENCES "shipments" ("shipment_key")
);

COMMENT ON TABLE "pod_documents" IS 'One row per proof-of-delivery document of a shipment. quivo_frames, schema version 1.';
COMMENT ON COLUMN "pod_documents"."pod_document_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "pod_documents"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "pod_documents"."shipment_key" IS 'Key of the shipment that the row belongs to.';
COMMENT ON COLUMN "pod_documents"."fulfillment_order_id" IS 'Fulfillment order that the row belongs to.';
COMMENT ON COLUMN "pod_documents"."shipment_id" IS 'Shipment that the row belongs to.';
COMMENT ON COLUMN "pod_documents"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "pod_documents"."file_name" IS 'Name of the file. Privacy: personal.';
COMMENT ON COLUMN "pod_documents"."file_key" IS 'Key of the file in Quivo''s storage. Privacy: secret.';
COMMENT ON COLUMN "pod_documents"."url_link" IS 'Url: link to the document, presumably valid for a short time. Privacy: secret.';
COMMENT ON COLUMN "pod_documents"."mime_type" IS 'Media type of the file.';

CREATE TABLE "handling_units" (
    "handling_unit_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "parent_handling_unit_key" VARCHAR,
    "root_handling_unit_key" VARCHAR NOT NULL,
    "depth" BIGINT NOT NULL,
    "ordinal" BIGINT NOT NULL,
    "type" VARCHAR,
    "sscc" VARCHAR,
    "carrier" VARCHAR,
    "tracking" VARCHAR,
    "handling_unit_identifier" VARCHAR,
    "truck_handling_unit_identifier" VARCHAR,
    PRIMARY KEY ("handling_unit_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id")
);

COMMENT ON TABLE "handling_units" IS 'One row per handling unit, at any depth. quivo_frames, schema version 1.';
COMMENT ON COLUMN "handling_units"."handling_unit_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "handling_units"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "handling_units"."parent_handling_unit_key" IS 'Key of the unit that holds this one; null at the top.';
COMMENT ON COLUMN "handling_units"."root_handling_unit_key" IS 'Key of the outermost unit around this one.';
COMMENT ON COLUMN "handling_units"."depth" IS 'How many units are around this one. Unit: units.';
COMMENT ON COLUMN "handling_units"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "handling_units"."type" IS 'What kind of unit it is; the page shows PALLET, other members are not listed.';
COMMENT ON COLUMN "handling_units"."sscc" IS 'Serial shipping container code (GS1).';
COMMENT ON COLUMN "handling_units"."carrier" IS 'Carrier.';
COMMENT ON COLUMN "handling_units"."tracking" IS 'The carrier''s tracking number. Privacy: personal.';
COMMENT ON COLUMN "handling_units"."handling_unit_identifier" IS 'Identifier of the unit.';
COMMENT ON COLUMN "handling_units"."truck_handling_unit_identifier" IS 'Identifier of the truck''s unit that it travels in.';

CREATE TABLE "handling_positions" (
    "handling_position_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "handling_unit_key" VARCHAR NOT NULL,
    "ordinal" BIGINT NOT NULL,
    "sscc" VARCHAR,
    "position_identifier" VARCHAR,
    "sku" VARCHAR,
    "warehouse_sku" VARCHAR,
    "quantity" BIGINT,
    PRIMARY KEY ("handling_position_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("handling_unit_key") REFERENCES "handling_units" ("handling_unit_key")
);

COMMENT ON TABLE "handling_positions" IS 'One row per content line of a handling unit. quivo_frames, schema version 1.';
COMMENT ON COLUMN "handling_positions"."handling_position_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "handling_positions"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "handling_positions"."handling_unit_key" IS 'Key of the handling unit that the row belongs to.';
COMMENT ON COLUMN "handling_positions"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "handling_positions"."sscc" IS 'Serial shipping container code (GS1) of the unit that holds the line.';
COMMENT ON COLUMN "handling_positions"."position_identifier" IS 'The line of the order that this belongs to, presumably its position_identifier.';
COMMENT ON COLUMN "handling_positions"."sku" IS 'SKU that was packed.';
COMMENT ON COLUMN "handling_positions"."warehouse_sku" IS 'SKU in the warehouse''s own system.';
COMMENT ON COLUMN "handling_positions"."quantity" IS 'Packed quantity. Unit: pieces.';

CREATE TABLE "order_tags" (
    "order_tag_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "ordinal" BIGINT NOT NULL,
    "tag" VARCHAR NOT NULL,
    PRIMARY KEY ("order_tag_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id")
);

COMMENT ON TABLE "order_tags" IS 'One row per tag of an order. quivo_frames, schema version 1.';
COMMENT ON COLUMN "order_tags"."order_tag_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "order_tags"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "order_tags"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "order_tags"."tag" IS 'The order tag.';

CREATE TABLE "order_errors" (
    "order_error_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "ordinal" BIGINT NOT NULL,
    "error_code" VARCHAR,
    "error_message" VARCHAR,
    PRIMARY KEY ("order_error_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id")
);

COMMENT ON TABLE "order_errors" IS 'One row per error attached to an order. quivo_frames, schema version 1.';
COMMENT ON COLUMN "order_errors"."order_error_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "order_errors"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "order_errors"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "order_errors"."error_code" IS 'Code of the error; the codes are not documented.';
COMMENT ON COLUMN "order_errors"."error_message" IS 'Text of the error. Privacy: personal.';

CREATE TABLE "custom_attributes" (
    "custom_attribute_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "order_position_key" VARCHAR,
    "ordinal" BIGINT NOT NULL,
    "key" VARCHAR NOT NULL,
    "value" VARCHAR,
    "value_type" VARCHAR NOT NULL,
    PRIMARY KEY ("custom_attribute_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("order_position_key") REFERENCES "order_positions" ("order_position_key")
);

COMMENT ON TABLE "custom_attributes" IS 'One row per key of a free-form object. quivo_frames, schema version 1.';
COMMENT ON COLUMN "custom_attributes"."custom_attribute_key" IS 'Address of the row: the order, then the places in the lists that lead to it, from 0.';
COMMENT ON COLUMN "custom_attributes"."order_id" IS 'The order that the row belongs to.';
COMMENT ON COLUMN "custom_attributes"."order_position_key" IS 'Key of the order position that it belongs to; null for the order''s own.';
COMMENT ON COLUMN "custom_attributes"."ordinal" IS 'Place in its list, from 0.';
COMMENT ON COLUMN "custom_attributes"."key" IS 'Name of the attribute.';
COMMENT ON COLUMN "custom_attributes"."value" IS 'Its value: a text as it is, anything else as JSON text. Privacy: personal.';
COMMENT ON COLUMN "custom_attributes"."value_type" IS 'JSON type: string, number, boolean, null, object, array.';

CREATE TABLE "lines" (
    "line_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "order_position_key" VARCHAR,
    "pool_key" VARCHAR,
    "position_identifier" VARCHAR,
    "sku" VARCHAR,
    "name" VARCHAR,
    "lot" VARCHAR,
    "seller" VARCHAR,
    "warehouse" VARCHAR,
    "carrier" VARCHAR,
    "carrier_name" VARCHAR,
    "listed" BIGINT NOT NULL,
    "ordered" BIGINT NOT NULL,
    "planned" BIGINT NOT NULL,
    "shipped" BIGINT NOT NULL,
    "packed" BIGINT NOT NULL,
    "reversed" BIGINT NOT NULL,
    "open" BIGINT,
    "is_bundle" BOOLEAN NOT NULL,
    "counted_by" VARCHAR,
    "matched_by" VARCHAR,
    "certain" BOOLEAN NOT NULL,
    "currency" VARCHAR,
    "value" DECIMAL(18,4),
    "open_value" DECIMAL(18,4),
    PRIMARY KEY ("line_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("order_position_key") REFERENCES "order_positions" ("order_position_key")
);

COMMENT ON TABLE "lines" IS 'One row per ordered line, and per SKU of an order that no line asks for. quivo_frames, schema version 1.';
COMMENT ON COLUMN "lines"."line_key" IS 'The line: its order_position_key; what belongs to no ordered line has a key of its own.';
COMMENT ON COLUMN "lines"."order_id" IS 'The order.';
COMMENT ON COLUMN "lines"."order_position_key" IS 'The ordered line; null for what belongs to none.';
COMMENT ON COLUMN "lines"."pool_key" IS 'The first of the lines that it cannot be told apart from: only their sums are certain.';
COMMENT ON COLUMN "lines"."position_identifier" IS 'Identifier of the ordered line.';
COMMENT ON COLUMN "lines"."sku" IS 'SKU that was ordered; of what belongs to no ordered line, its own.';
COMMENT ON COLUMN "lines"."name" IS 'Name of the article.';
COMMENT ON COLUMN "lines"."lot" IS 'Lot that was asked for.';
COMMENT ON COLUMN "lines"."seller" IS 'Name of the seller, else the number.';
COMMENT ON COLUMN "lines"."warehouse" IS 'Name of the first warehouse that plans it, else that of the order''s number.';
COMMENT ON COLUMN "lines"."carrier" IS 'Carrier of its first shipment; null while nothing of it was shipped.';
COMMENT ON COLUMN "lines"."carrier_name" IS 'Name of the carrier as the shipment has it (provider_name).';
COMMENT ON COLUMN "lines"."listed" IS 'Quantity in the order''s list; 0 for what belongs to no ordered line. Unit: pieces.';
COMMENT ON COLUMN "lines"."ordered" IS 'Pieces that the line asks for: as listed, but 0 if they are counted by parts or bundle. Unit: pieces.';
COMMENT ON COLUMN "lines"."planned" IS 'Pieces in fulfillment orders that are not cancelled. Unit: pieces.';
COMMENT ON COLUMN "lines"."shipped" IS 'Pieces in shipments that were not reversed. Unit: pieces.';
COMMENT ON COLUMN "lines"."packed" IS 'Pieces in handling units. Unit: pieces.';
COMMENT ON COLUMN "lines"."reversed" IS 'Pieces in reversed shipments. Unit: pieces.';
COMMENT ON COLUMN "lines"."open" IS 'Pieces that were ordered and not shipped; 0 if the order was called off; null if one is not known. Unit: pieces.';
COMMENT ON COLUMN "lines"."is_bundle" IS 'Whether the line is a bundle, of which the order or the plan lists the parts.';
COMMENT ON COLUMN "lines"."counted_by" IS 'parts: a bundle whose parts are counted; bundle: a part of one that is counted as one piece.';
COMMENT ON COLUMN "lines"."matched_by" IS 'The rule by which its rows were found: the least strict one, as in line_rows; null if it has none.';
COMMENT ON COLUMN "lines"."certain" IS 'Whether all quantities are known, and are those of this very line; more than 10^12 pieces count as not known.';
COMMENT ON COLUMN "lines"."currency" IS 'Currency of the order.';
COMMENT ON COLUMN "lines"."value" IS 'Net amount of the line, else net price times pieces. Unit: currency of the order.';
COMMENT ON COLUMN "lines"."open_value" IS 'The share of the open pieces in it. Unit: currency of the order.';

CREATE TABLE "line_rows" (
    "line_row_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "line_key" VARCHAR NOT NULL,
    "states" VARCHAR NOT NULL,
    "found_in" VARCHAR NOT NULL,
    "found_key" VARCHAR NOT NULL,
    "quantity" BIGINT,
    "matched_by" VARCHAR,
    "certain" BOOLEAN NOT NULL,
    PRIMARY KEY ("line_row_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id"),
    FOREIGN KEY ("line_key") REFERENCES "lines" ("line_key")
);

COMMENT ON TABLE "line_rows" IS 'One row per ordered, planned, shipped, reversed or packed row. quivo_frames, schema version 1.';
COMMENT ON COLUMN "line_rows"."line_row_key" IS 'The row: what it states, and its key.';
COMMENT ON COLUMN "line_rows"."order_id" IS 'The order.';
COMMENT ON COLUMN "line_rows"."line_key" IS 'The line that it belongs to; of lines that cannot be told apart, the first.';
COMMENT ON COLUMN "line_rows"."states" IS 'What its quantity is: ordered, planned, shipped, reversed or packed.';
COMMENT ON COLUMN "line_rows"."found_in" IS 'The table of the row.';
COMMENT ON COLUMN "line_rows"."found_key" IS 'Its primary key there.';
COMMENT ON COLUMN "line_rows"."quantity" IS 'Its quantity. Unit: pieces.';
COMMENT ON COLUMN "line_rows"."matched_by" IS 'The rule: position_identifier, sku, sku+lot, planned_for (a substitute, a part of a bundle), warehouse_sku, each perhaps followed by '', normalized'' (written differently), or pool; null for ordered rows, and for those that belong to no ordered line.';
COMMENT ON COLUMN "line_rows"."certain" IS 'Whether it belongs to that very line; false in a pool, and where it may be of another.';

CREATE TABLE "overview" (
    "order_id" BIGINT NOT NULL,
    "order_identifier" VARCHAR,
    "order_status" VARCHAR,
    "stage" VARCHAR NOT NULL,
    "seller" VARCHAR,
    "warehouse" VARCHAR,
    "carrier" VARCHAR,
    "country" VARCHAR,
    "currency" VARCHAR,
    "value" DECIMAL(18,4),
    "open_value" DECIMAL(18,4),
    "lines" BIGINT NOT NULL,
    "ordered" BIGINT NOT NULL,
    "planned" BIGINT NOT NULL,
    "shipped" BIGINT NOT NULL,
    "packed" BIGINT NOT NULL,
    "reversed" BIGINT NOT NULL,
    "open" BIGINT,
    "certain" BOOLEAN NOT NULL,
    "fulfillment_orders" BIGINT NOT NULL,
    "shipments" BIGINT NOT NULL,
    "handling_units" BIGINT NOT NULL,
    "placed" TIMESTAMP WITH TIME ZONE,
    "latest_ship_date" DATE,
    "shipped_last" TIMESTAMP WITH TIME ZONE,
    "latest_delivery_date" DATE,
    "delivered_last" TIMESTAMP WITH TIME ZONE,
    "completed_at" TIMESTAMP WITH TIME ZONE,
    "days_late" BIGINT,
    PRIMARY KEY ("order_id"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id")
);

COMMENT ON TABLE "overview" IS 'One row per order. quivo_frames, schema version 1.';
COMMENT ON COLUMN "overview"."order_id" IS 'The order.';
COMMENT ON COLUMN "overview"."order_identifier" IS 'Identifier of the order, presumably the shop''s.';
COMMENT ON COLUMN "overview"."order_status" IS 'Status of the order, as Quivo has it.';
COMMENT ON COLUMN "overview"."stage" IS 'How far it came: called off, completed, delivered, shipped, shipped in part, planned, or open.';
COMMENT ON COLUMN "overview"."seller" IS 'Name of the seller, else the number.';
COMMENT ON COLUMN "overview"."warehouse" IS 'Names of its warehouses, in alphabetical order.';
COMMENT ON COLUMN "overview"."carrier" IS 'Carriers of its shipments, in alphabetical order; null if nothing was shipped.';
COMMENT ON COLUMN "overview"."country" IS 'Country of delivery.';
COMMENT ON COLUMN "overview"."currency" IS 'Currency of the order.';
COMMENT ON COLUMN "overview"."value" IS 'Net amounts of its lines; null if a line states none, or if they have over 14 digits. Unit: currency of the order.';
COMMENT ON COLUMN "overview"."open_value" IS 'Net amount of what is open. Unit: currency of the order.';
COMMENT ON COLUMN "overview"."lines" IS 'Ordered lines; a bundle counts as its parts if these are counted. Unit: lines.';
COMMENT ON COLUMN "overview"."ordered" IS 'Pieces that were ordered. Unit: pieces.';
COMMENT ON COLUMN "overview"."planned" IS 'Pieces in fulfillment orders that are not cancelled. Unit: pieces.';
COMMENT ON COLUMN "overview"."shipped" IS 'Pieces in shipments that were not reversed. Unit: pieces.';
COMMENT ON COLUMN "overview"."packed" IS 'Pieces in handling units. Unit: pieces.';
COMMENT ON COLUMN "overview"."reversed" IS 'Pieces in reversed shipments. Unit: pieces.';
COMMENT ON COLUMN "overview"."open" IS 'Pieces that were ordered and not shipped; null if that is not certain. Unit: pieces.';
COMMENT ON COLUMN "overview"."certain" IS 'Whether all quantities are known.';
COMMENT ON COLUMN "overview"."fulfillment_orders" IS 'Fulfillment orders that are not cancelled. Unit: fulfillment orders.';
COMMENT ON COLUMN "overview"."shipments" IS 'Shipments that were not reversed. Unit: shipments.';
COMMENT ON COLUMN "overview"."handling_units" IS 'Handling units that are in no other. Unit: handling units.';
COMMENT ON COLUMN "overview"."placed" IS 'When the customer ordered, else when the order was created. Unit: UTC.';
COMMENT ON COLUMN "overview"."latest_ship_date" IS 'Last day on which it may be shipped.';
COMMENT ON COLUMN "overview"."shipped_last" IS 'When the last shipment left. Unit: UTC.';
COMMENT ON COLUMN "overview"."latest_delivery_date" IS 'Last day on which it may be delivered.';
COMMENT ON COLUMN "overview"."delivered_last" IS 'When the last shipment was delivered; null while one is not. Unit: UTC.';
COMMENT ON COLUMN "overview"."completed_at" IS 'When the order was completed. Unit: UTC.';
COMMENT ON COLUMN "overview"."days_late" IS 'Days of UTC from the last day for delivery, else for shipping, to when it was, else to the answer; 0 if that is in time, null without such a day or if the order was called off. Unit: days.';

CREATE TABLE "milestones" (
    "order_id" BIGINT NOT NULL,
    "known_at" TIMESTAMP WITH TIME ZONE,
    "placed" TIMESTAMP WITH TIME ZONE,
    "exported_at" TIMESTAMP WITH TIME ZONE,
    "planned" TIMESTAMP WITH TIME ZONE,
    "shipped_first" TIMESTAMP WITH TIME ZONE,
    "shipped_last" TIMESTAMP WITH TIME ZONE,
    "delivered_first" TIMESTAMP WITH TIME ZONE,
    "delivered_last" TIMESTAMP WITH TIME ZONE,
    "proven_last" TIMESTAMP WITH TIME ZONE,
    "completed_at" TIMESTAMP WITH TIME ZONE,
    "cancel_requested_at" TIMESTAMP WITH TIME ZONE,
    "called_off" BOOLEAN NOT NULL,
    "days_to_ship" DOUBLE,
    "days_to_deliver" DOUBLE,
    "days_to_complete" DOUBLE,
    PRIMARY KEY ("order_id"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id")
);

COMMENT ON TABLE "milestones" IS 'One row per order. quivo_frames, schema version 1.';
COMMENT ON COLUMN "milestones"."order_id" IS 'The order.';
COMMENT ON COLUMN "milestones"."known_at" IS 'When Quivo''s answer arrived: nothing later is known. Unit: UTC.';
COMMENT ON COLUMN "milestones"."placed" IS 'When the customer ordered, else when the order was created. Unit: UTC.';
COMMENT ON COLUMN "milestones"."exported_at" IS 'When the order was exported. Unit: UTC.';
COMMENT ON COLUMN "milestones"."planned" IS 'When its first fulfillment order was created. Unit: UTC.';
COMMENT ON COLUMN "milestones"."shipped_first" IS 'When its first shipment left. Unit: UTC.';
COMMENT ON COLUMN "milestones"."shipped_last" IS 'When its last shipment left. Unit: UTC.';
COMMENT ON COLUMN "milestones"."delivered_first" IS 'When its first shipment was delivered. Unit: UTC.';
COMMENT ON COLUMN "milestones"."delivered_last" IS 'When its last shipment was delivered; null while one is not. Unit: UTC.';
COMMENT ON COLUMN "milestones"."proven_last" IS 'When its last delivery was proven; null while one is not. Unit: UTC.';
COMMENT ON COLUMN "milestones"."completed_at" IS 'When the order was completed. Unit: UTC.';
COMMENT ON COLUMN "milestones"."cancel_requested_at" IS 'When cancellation was requested. Unit: UTC.';
COMMENT ON COLUMN "milestones"."called_off" IS 'Whether all its fulfillment orders are cancelled, or cancelling was requested and nothing was shipped.';
COMMENT ON COLUMN "milestones"."days_to_ship" IS 'From placed to shipped_last; null if one is missing or earlier. Unit: days.';
COMMENT ON COLUMN "milestones"."days_to_deliver" IS 'From shipped_last to delivered_last; null if one is missing or earlier. Unit: days.';
COMMENT ON COLUMN "milestones"."days_to_complete" IS 'From placed to completed_at; null if one is missing or earlier. Unit: days.';

CREATE TABLE "events" (
    "event_key" VARCHAR NOT NULL,
    "order_id" BIGINT NOT NULL,
    "event" VARCHAR NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    "precision" VARCHAR NOT NULL,
    "table" VARCHAR NOT NULL,
    "key" VARCHAR NOT NULL,
    "column" VARCHAR NOT NULL,
    "value" VARCHAR,
    PRIMARY KEY ("event_key"),
    FOREIGN KEY ("order_id") REFERENCES "orders" ("order_id")
);

COMMENT ON TABLE "events" IS 'One row per event of an order. quivo_frames, schema version 1.';
COMMENT ON COLUMN "events"."event_key" IS 'The event: what happened, and the key of its row.';
COMMENT ON COLUMN "events"."order_id" IS 'The order.';
COMMENT ON COLUMN "events"."event" IS 'What happened: ordered, created, exported, cancellation requested, planned, shipped, picked up, delivered, proven or completed; for reversed shipments, with ''reversed: '' before it.';
COMMENT ON COLUMN "events"."at" IS 'When; of a day, its midnight. Unit: UTC.';
COMMENT ON COLUMN "events"."precision" IS 'day if only the day is known (the value is a midnight), else instant.';
COMMENT ON COLUMN "events"."table" IS 'The table that has it.';
COMMENT ON COLUMN "events"."key" IS 'The key of its row there; of orders, the order''s number.';
COMMENT ON COLUMN "events"."column" IS 'The column that has it.';
COMMENT ON COLUMN "events"."value" IS 'Of shipments the carrier, of fulfillment orders the warehouse, else null.';
