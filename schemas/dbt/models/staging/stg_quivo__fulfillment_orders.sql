select
    cast(fulfillment_order_key as varchar) as fulfillment_order_key,
    cast(order_id as bigint) as order_id,
    cast(ordinal as bigint) as ordinal,
    cast(warehouse_id as bigint) as warehouse_id,
    cast(warehouse_name as varchar) as warehouse_name,
    cast(fulfillment_order_id as bigint) as fulfillment_order_id,
    cast(fulfillment_order_identifier as varchar) as fulfillment_order_identifier,
    cast(fulfillment_status as varchar) as fulfillment_status,
    cast(fulfillment_connector_status as varchar) as fulfillment_connector_status,
    cast(fulfillment_in_stock as boolean) as fulfillment_in_stock,
    cast(cancelled as boolean) as cancelled,
    cast(fulfillment_order_created as timestamp with time zone) as fulfillment_order_created,
    cast(in_picking as boolean) as in_picking
from {{ source('quivo', 'fulfillment_orders') }}
