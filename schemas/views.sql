-- Views over the tables of quivo_frames, schema version 1, for DuckDB.
-- All but order_overview need the derived tables, which a build with --no-derived leaves out.
-- Inside the folder of a dataset, these are views over its files:
--
--     CREATE VIEW "orders" AS FROM read_parquet('orders.parquet');
--     CREATE VIEW "address_identifiers" AS FROM read_parquet('address_identifiers.parquet');
--     CREATE VIEW "order_positions" AS FROM read_parquet('order_positions.parquet');
--     CREATE VIEW "fulfillment_orders" AS FROM read_parquet('fulfillment_orders.parquet');
--     CREATE VIEW "fulfillment_positions" AS FROM read_parquet('fulfillment_positions.parquet');
--     CREATE VIEW "shipments" AS FROM read_parquet('shipments.parquet');
--     CREATE VIEW "tracking_links" AS FROM read_parquet('tracking_links.parquet');
--     CREATE VIEW "tracking_numbers" AS FROM read_parquet('tracking_numbers.parquet');
--     CREATE VIEW "shipment_positions" AS FROM read_parquet('shipment_positions.parquet');
--     CREATE VIEW "serial_numbers" AS FROM read_parquet('serial_numbers.parquet');
--     CREATE VIEW "grouped_positions" AS FROM read_parquet('grouped_positions.parquet');
--     CREATE VIEW "grouped_serial_numbers" AS FROM read_parquet('grouped_serial_numbers.parquet');
--     CREATE VIEW "pod_documents" AS FROM read_parquet('pod_documents.parquet');
--     CREATE VIEW "handling_units" AS FROM read_parquet('handling_units.parquet');
--     CREATE VIEW "handling_positions" AS FROM read_parquet('handling_positions.parquet');
--     CREATE VIEW "order_tags" AS FROM read_parquet('order_tags.parquet');
--     CREATE VIEW "order_errors" AS FROM read_parquet('order_errors.parquet');
--     CREATE VIEW "custom_attributes" AS FROM read_parquet('custom_attributes.parquet');
--     CREATE VIEW "lines" AS FROM read_parquet('derived/lines.parquet');
--     CREATE VIEW "line_rows" AS FROM read_parquet('derived/line_rows.parquet');
--     CREATE VIEW "overview" AS FROM read_parquet('derived/overview.parquet');
--     CREATE VIEW "milestones" AS FROM read_parquet('derived/milestones.parquet');
--     CREATE VIEW "events" AS FROM read_parquet('derived/events.parquet');

-- One row per pair of a planned, shipped or packed line and the line of the order that it belongs to.
-- If several lines of the order cannot be told apart, they are taken together: all their rows belong to each of them, and
-- line_count is the number of these lines. Lines that match no line of the order are not here, nor is what cancelled
-- fulfillment orders plan and reversed shipments ship. line_rows, which this is taken from, says by which rule.
CREATE OR REPLACE VIEW "line_matches" AS
SELECT r.order_id, l.order_position_key, r.found_in, r.found_key,
       count(*) OVER (PARTITION BY r.line_row_key) AS line_count
FROM line_rows r JOIN lines l ON coalesce(l.pool_key, l.line_key) = r.line_key
WHERE r.states IN ('planned', 'shipped', 'packed') AND l.order_position_key IS NOT NULL;
COMMENT ON VIEW "line_matches" IS 'One row per pair of a planned, shipped or packed line and the line of the order that it belongs to. If several lines of the order cannot be told apart, they are taken together: all their rows belong to each of them, and line_count is the number of these lines. Lines that match no line of the order are not here, nor is what cancelled fulfillment orders plan and reversed shipments ship. line_rows, which this is taken from, says by which rule.';
COMMENT ON COLUMN "line_matches"."found_in" IS 'Table of the planned, shipped or packed line.';
COMMENT ON COLUMN "line_matches"."found_key" IS 'Its primary key there.';
COMMENT ON COLUMN "line_matches"."line_count" IS 'How many lines of the order it may belong to; 1 where it is certain.';

-- One row per shipped line, with its shipment, its fulfillment order, its order, and the line of the order that
-- it belongs to where that is certain (see line_matches). Reversed shipments are left out.
CREATE OR REPLACE VIEW "shipped_lines" AS
SELECT p.order_id, p.shipment_position_key, p.shipment_key, s.fulfillment_order_key, m.order_position_key,
       o.order_identifier, o.order_status, o.order_date, o.seller_id, o.seller_name, o.shop_id, o.shop_system_name,
       o.delivery_address_country, o.shipping_method_name, o.currency,
       f.fulfillment_order_id, f.fulfillment_order_identifier, f.warehouse_id, f.warehouse_name, f.fulfillment_status,
       f.fulfillment_order_created,
       s.shipment_id, s.shipment_identifier, s.provider, s.provider_name, s.ship_date, s.carrier_pick_up_date,
       s.expected_delivery_date, s.delivery_date, s.pod_date, s.tracking_number,
       p.position_identifier, p.sku, p.seller_sku, p.warehouse_sku, l.name, p.quantity, p.lot, p.expiration_date,
       l.quantity AS ordered_quantity
FROM shipment_positions p
JOIN shipments s USING (shipment_key)
JOIN fulfillment_orders f ON f.fulfillment_order_key = s.fulfillment_order_key
JOIN orders o ON o.order_id = p.order_id
LEFT JOIN line_matches m
    ON m.found_in = 'shipment_positions' AND m.found_key = p.shipment_position_key AND m.line_count = 1
LEFT JOIN order_positions l ON l.order_position_key = m.order_position_key
WHERE s.reversed IS DISTINCT FROM true;
COMMENT ON VIEW "shipped_lines" IS 'One row per shipped line, with its shipment, its fulfillment order, its order, and the line of the order that it belongs to where that is certain (see line_matches). Reversed shipments are left out.';
COMMENT ON COLUMN "shipped_lines"."ordered_quantity" IS 'Ordered quantity of the line that it belongs to; other shipped lines may share it.';

-- One row per ordered line: when it came how far (an accumulating snapshot), and the time between.
-- Rows find their line as in line_matches; lines of an SKU that cannot be told apart have the same milestones. A bundle
-- that is planned in parts has no milestones but those of its order, nor have the parts of one that is planned as such.
-- Cancelled fulfillment orders plan nothing, reversed shipments and lines of 0 pieces ship nothing. Lags are null where
-- one end is missing, and negative where the later thing happened first.
CREATE OR REPLACE VIEW "order_line_milestones" AS
WITH planned AS (
    SELECT order_position_key, min(fulfillment_order_created) AS first_fulfillment_order_created
    FROM line_matches m
    JOIN fulfillment_positions p ON p.fulfillment_position_key = m.found_key
    JOIN fulfillment_orders f USING (fulfillment_order_key)
    WHERE m.found_in = 'fulfillment_positions'
    GROUP BY order_position_key
),
shipped AS (
    SELECT order_position_key, min(ship_date) AS first_ship_date, max(ship_date) AS last_ship_date,
           min(carrier_pick_up_date) AS first_carrier_pick_up_date,
           CASE WHEN count(*) = count(delivery_date) THEN max(delivery_date) END AS last_delivery_date,
           CASE WHEN count(*) = count(pod_date) THEN max(pod_date) END AS last_pod_date
    FROM line_matches m
    JOIN shipment_positions p ON p.shipment_position_key = m.found_key
    JOIN shipments s USING (shipment_key)
    WHERE m.found_in = 'shipment_positions' AND p.quantity IS DISTINCT FROM 0
    GROUP BY order_position_key
)
SELECT o.order_id, l.order_position_key, l.position_identifier, l.sku, l.name, l.quantity,
       o.created, o.order_date, o.exported_at, first_fulfillment_order_created, first_ship_date, last_ship_date,
       first_carrier_pick_up_date, last_delivery_date, last_pod_date, o.completed_at, o.cancel_requested_at,
       (epoch_us(created) - epoch_us(order_date)) / 3600e6 AS hours_to_create,
       (epoch_us(exported_at) - epoch_us(created)) / 3600e6 AS hours_to_export,
       (epoch_us(first_fulfillment_order_created) - epoch_us(exported_at)) / 3600e6 AS hours_to_plan,
       (epoch_us(first_ship_date) - epoch_us(first_fulfillment_order_created)) / 3600e6 AS hours_to_ship,
       (epoch_us(first_carrier_pick_up_date) - epoch_us(first_ship_date)) / 3600e6 AS hours_to_pick_up,
       (epoch_us(last_delivery_date) - epoch_us(last_ship_date)) / 86400e6 AS days_to_deliver,
       (epoch_us(last_pod_date) - epoch_us(last_delivery_date)) / 86400e6 AS days_to_prove,
       (epoch_us(first_ship_date) - epoch_us(coalesce(order_date, created))) / 86400e6 AS days_from_order_to_ship,
       (epoch_us(last_delivery_date) - epoch_us(coalesce(order_date, created))) / 86400e6 AS days_from_order_to_delivery,
       (epoch_us(completed_at) - epoch_us(coalesce(order_date, created))) / 86400e6 AS days_from_order_to_completion
FROM order_positions l
JOIN orders o USING (order_id)
LEFT JOIN planned USING (order_position_key)
LEFT JOIN shipped USING (order_position_key);
COMMENT ON VIEW "order_line_milestones" IS 'One row per ordered line: when it came how far (an accumulating snapshot), and the time between. Rows find their line as in line_matches; lines of an SKU that cannot be told apart have the same milestones. A bundle that is planned in parts has no milestones but those of its order, nor have the parts of one that is planned as such. Cancelled fulfillment orders plan nothing, reversed shipments and lines of 0 pieces ship nothing. Lags are null where one end is missing, and negative where the later thing happened first.';
COMMENT ON COLUMN "order_line_milestones"."first_fulfillment_order_created" IS 'When the first fulfillment order that plans it was created. Unit: UTC.';
COMMENT ON COLUMN "order_line_milestones"."first_ship_date" IS 'When the first of it was shipped. Unit: UTC.';
COMMENT ON COLUMN "order_line_milestones"."last_ship_date" IS 'When the last of it that was shipped was shipped. Unit: UTC.';
COMMENT ON COLUMN "order_line_milestones"."first_carrier_pick_up_date" IS 'When the carrier first picked some of it up. Unit: UTC.';
COMMENT ON COLUMN "order_line_milestones"."last_delivery_date" IS 'When the last shipment of it was delivered; null while one is not. Unit: UTC.';
COMMENT ON COLUMN "order_line_milestones"."last_pod_date" IS 'When delivery of its last shipment was proven; null while one is not. Unit: UTC.';
COMMENT ON COLUMN "order_line_milestones"."hours_to_create" IS 'From order_date to created. Unit: hours.';
COMMENT ON COLUMN "order_line_milestones"."hours_to_export" IS 'From created to exported_at. Unit: hours.';
COMMENT ON COLUMN "order_line_milestones"."hours_to_plan" IS 'From exported_at to first_fulfillment_order_created. Unit: hours.';
COMMENT ON COLUMN "order_line_milestones"."hours_to_ship" IS 'From first_fulfillment_order_created to first_ship_date. Unit: hours.';
COMMENT ON COLUMN "order_line_milestones"."hours_to_pick_up" IS 'From first_ship_date to first_carrier_pick_up_date. Unit: hours.';
COMMENT ON COLUMN "order_line_milestones"."days_to_deliver" IS 'From last_ship_date to last_delivery_date. Unit: days.';
COMMENT ON COLUMN "order_line_milestones"."days_to_prove" IS 'From last_delivery_date to last_pod_date. Unit: days.';
COMMENT ON COLUMN "order_line_milestones"."days_from_order_to_ship" IS 'From order_date, else created to first_ship_date. Unit: days.';
COMMENT ON COLUMN "order_line_milestones"."days_from_order_to_delivery" IS 'From order_date, else created to last_delivery_date. Unit: days.';
COMMENT ON COLUMN "order_line_milestones"."days_from_order_to_completion" IS 'From order_date, else created to completed_at. Unit: days.';

-- One row per order: how many lines and pieces were ordered, planned, shipped and packed, and when.
-- Pieces are null where a line does not say how many. Ordered pieces count a bundle and its parts where the order lists
-- both. Cancelled fulfillment orders plan nothing, reversed shipments ship nothing.
CREATE OR REPLACE VIEW "order_overview" AS
WITH held AS (
    SELECT order_id, count(*) FILTER (cancelled IS DISTINCT FROM true) AS fulfillment_orders,
           count(*) FILTER (cancelled) AS cancelled_fulfillment_orders,
           min(fulfillment_order_created) AS first_fulfillment_order_created
    FROM fulfillment_orders GROUP BY order_id
),
sent AS (
    SELECT order_id, count(*) FILTER (reversed IS DISTINCT FROM true) AS shipments,
           count(*) FILTER (reversed) AS reversed_shipments,
           min(ship_date) FILTER (reversed IS DISTINCT FROM true) AS first_ship_date,
           max(ship_date) FILTER (reversed IS DISTINCT FROM true) AS last_ship_date,
           CASE WHEN count(*) FILTER (reversed IS DISTINCT FROM true AND delivery_date IS NULL) = 0
                THEN max(delivery_date) FILTER (reversed IS DISTINCT FROM true) END AS last_delivery_date
    FROM shipments GROUP BY order_id
),
units AS (
    SELECT order_id, count(*) AS handling_units, count(*) FILTER (depth = 0) AS outer_handling_units
    FROM handling_units GROUP BY order_id
),
ordered AS (SELECT order_id, count(*) AS lines,
           CASE WHEN count(*) = count(quantity) THEN TRY_CAST(sum(quantity) AS BIGINT) END AS pieces
    FROM order_positions
    GROUP BY order_id),
planned AS (SELECT order_id, count(*) AS lines,
           CASE WHEN count(*) = count(quantity) THEN TRY_CAST(sum(quantity) AS BIGINT) END AS pieces
    FROM fulfillment_positions JOIN fulfillment_orders f USING (order_id, fulfillment_order_key)
    WHERE f.cancelled IS DISTINCT FROM true
    GROUP BY order_id),
shipped AS (SELECT order_id, count(*) AS lines,
           CASE WHEN count(*) = count(quantity) THEN TRY_CAST(sum(quantity) AS BIGINT) END AS pieces
    FROM shipment_positions JOIN shipments s USING (order_id, shipment_key)
    WHERE s.reversed IS DISTINCT FROM true
    GROUP BY order_id),
packed AS (SELECT order_id, count(*) AS lines,
           CASE WHEN count(*) = count(quantity) THEN TRY_CAST(sum(quantity) AS BIGINT) END AS pieces
    FROM handling_positions
    GROUP BY order_id)
SELECT o.order_id, o.order_identifier, o.order_status, o.seller_id, o.seller_name, o.shop_id, o.warehouse_id,
       o.delivery_address_country, o.created, o.order_date, o.exported_at, first_fulfillment_order_created,
       first_ship_date, last_ship_date, last_delivery_date, o.completed_at, o.cancel_requested_at,
       coalesce(held.fulfillment_orders, 0) AS fulfillment_orders,
       coalesce(cancelled_fulfillment_orders, 0) AS cancelled_fulfillment_orders,
       coalesce(sent.shipments, 0) AS shipments, coalesce(reversed_shipments, 0) AS reversed_shipments,
       coalesce(units.handling_units, 0) AS handling_units,
       coalesce(outer_handling_units, 0) AS outer_handling_units,
       coalesce(ordered.lines, 0) AS ordered_lines,
       coalesce(planned.lines, 0) AS planned_lines,
       coalesce(shipped.lines, 0) AS shipped_lines,
       coalesce(packed.lines, 0) AS packed_lines,
       CASE WHEN ordered.lines IS NULL THEN 0 ELSE ordered.pieces END AS ordered_pieces,
       CASE WHEN planned.lines IS NULL THEN 0 ELSE planned.pieces END AS planned_pieces,
       CASE WHEN shipped.lines IS NULL THEN 0 ELSE shipped.pieces END AS shipped_pieces,
       CASE WHEN packed.lines IS NULL THEN 0 ELSE packed.pieces END AS packed_pieces
FROM orders o
LEFT JOIN held USING (order_id) LEFT JOIN sent USING (order_id) LEFT JOIN units USING (order_id)
LEFT JOIN ordered USING (order_id) LEFT JOIN planned USING (order_id) LEFT JOIN shipped USING (order_id) LEFT JOIN packed USING (order_id);
COMMENT ON VIEW "order_overview" IS 'One row per order: how many lines and pieces were ordered, planned, shipped and packed, and when. Pieces are null where a line does not say how many. Ordered pieces count a bundle and its parts where the order lists both. Cancelled fulfillment orders plan nothing, reversed shipments ship nothing.';
COMMENT ON COLUMN "order_overview"."first_fulfillment_order_created" IS 'When its first fulfillment order was created. Unit: UTC.';
COMMENT ON COLUMN "order_overview"."first_ship_date" IS 'When the first of it was shipped. Unit: UTC.';
COMMENT ON COLUMN "order_overview"."last_ship_date" IS 'When the last of it that was shipped was shipped. Unit: UTC.';
COMMENT ON COLUMN "order_overview"."last_delivery_date" IS 'When its last shipment was delivered; null while one is not. Unit: UTC.';
COMMENT ON COLUMN "order_overview"."fulfillment_orders" IS 'Fulfillment orders that are not cancelled.';
COMMENT ON COLUMN "order_overview"."cancelled_fulfillment_orders" IS 'Fulfillment orders that are cancelled.';
COMMENT ON COLUMN "order_overview"."shipments" IS 'Shipments that are not reversed.';
COMMENT ON COLUMN "order_overview"."reversed_shipments" IS 'Shipments that are reversed.';
COMMENT ON COLUMN "order_overview"."handling_units" IS 'Handling units, at any depth.';
COMMENT ON COLUMN "order_overview"."outer_handling_units" IS 'Handling units that are in no other.';
COMMENT ON COLUMN "order_overview"."ordered_lines" IS 'How many lines were ordered.';
COMMENT ON COLUMN "order_overview"."planned_lines" IS 'How many lines were planned.';
COMMENT ON COLUMN "order_overview"."shipped_lines" IS 'How many lines were shipped.';
COMMENT ON COLUMN "order_overview"."packed_lines" IS 'How many lines were packed.';
COMMENT ON COLUMN "order_overview"."ordered_pieces" IS 'How many pieces were ordered; null where not known. Unit: pieces.';
COMMENT ON COLUMN "order_overview"."planned_pieces" IS 'How many pieces were planned; null where not known. Unit: pieces.';
COMMENT ON COLUMN "order_overview"."shipped_pieces" IS 'How many pieces were shipped; null where not known. Unit: pieces.';
COMMENT ON COLUMN "order_overview"."packed_pieces" IS 'How many pieces were packed; null where not known. Unit: pieces.';

-- One row per content line of a handling unit, with its unit, the outermost unit around it, its order, and the
-- line of the order that it belongs to where that is certain (see line_matches).
CREATE OR REPLACE VIEW "packed_lines" AS
SELECT p.order_id, p.handling_position_key, u.handling_unit_key, u.root_handling_unit_key,
       m.order_position_key, o.order_identifier, o.order_status,
       r.type AS root_type, r.sscc AS root_sscc, r.handling_unit_identifier AS root_handling_unit_identifier,
       u.depth, u.type, u.sscc, u.handling_unit_identifier, u.truck_handling_unit_identifier, u.carrier, u.tracking,
       p.position_identifier, p.sku, p.warehouse_sku, l.name, p.quantity
FROM handling_positions p
JOIN handling_units u ON u.handling_unit_key = p.handling_unit_key
JOIN handling_units r ON r.handling_unit_key = u.root_handling_unit_key
JOIN orders o ON o.order_id = p.order_id
LEFT JOIN line_matches m
    ON m.found_in = 'handling_positions' AND m.found_key = p.handling_position_key AND m.line_count = 1
LEFT JOIN order_positions l ON l.order_position_key = m.order_position_key;
COMMENT ON VIEW "packed_lines" IS 'One row per content line of a handling unit, with its unit, the outermost unit around it, its order, and the line of the order that it belongs to where that is certain (see line_matches).';
COMMENT ON COLUMN "packed_lines"."root_type" IS 'What kind of unit the outermost one is.';
COMMENT ON COLUMN "packed_lines"."root_sscc" IS 'Serial shipping container code (GS1) of the outermost unit.';
COMMENT ON COLUMN "packed_lines"."root_handling_unit_identifier" IS 'Identifier of the outermost unit.';
