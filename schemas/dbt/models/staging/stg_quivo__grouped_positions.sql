select
    cast(grouped_position_key as varchar) as grouped_position_key,
    cast(order_id as bigint) as order_id,
    cast(shipment_key as varchar) as shipment_key,
    cast(fulfillment_order_id as bigint) as fulfillment_order_id,
    cast(shipment_id as bigint) as shipment_id,
    cast(ordinal as bigint) as ordinal,
    cast(warehouse_sku as varchar) as warehouse_sku,
    cast(seller_sku as varchar) as seller_sku,
    cast(quantity as bigint) as quantity,
    cast(lot as varchar) as lot,
    cast(expiration_date as timestamp with time zone) as expiration_date
from {{ source('quivo', 'grouped_positions') }}
