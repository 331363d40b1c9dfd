select
    cast(fulfillment_position_key as varchar) as fulfillment_position_key,
    cast(order_id as bigint) as order_id,
    cast(fulfillment_order_key as varchar) as fulfillment_order_key,
    cast(fulfillment_order_id as bigint) as fulfillment_order_id,
    cast(ordinal as bigint) as ordinal,
    cast(fulfillment_order_position_id as bigint) as fulfillment_order_position_id,
    cast(ordered_sku as varchar) as ordered_sku,
    cast(sku as varchar) as sku,
    cast(warehouse_sku as varchar) as warehouse_sku,
    cast(quantity as bigint) as quantity,
    cast(lot as varchar) as lot,
    cast(location as varchar) as location,
    cast(customs_value as decimal(18,4)) as customs_value,
    cast(expiration_date as timestamp with time zone) as expiration_date,
    cast(fulfillment_order_position_identifier as varchar) as fulfillment_order_position_identifier,
    cast(bundle_sku as varchar) as bundle_sku
from {{ source('quivo', 'fulfillment_positions') }}
