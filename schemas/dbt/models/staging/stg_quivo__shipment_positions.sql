select
    cast(shipment_position_key as varchar) as shipment_position_key,
    cast(order_id as bigint) as order_id,
    cast(shipment_key as varchar) as shipment_key,
    cast(fulfillment_order_id as bigint) as fulfillment_order_id,
    cast(shipment_id as bigint) as shipment_id,
    cast(ordinal as bigint) as ordinal,
    cast(shipment_position_id as bigint) as shipment_position_id,
    cast(sku as varchar) as sku,
    cast(warehouse_sku as varchar) as warehouse_sku,
    cast(seller_sku as varchar) as seller_sku,
    cast(quantity as bigint) as quantity,
    cast(lot as varchar) as lot,
    cast(location as varchar) as location,
    cast(expiration_date as timestamp with time zone) as expiration_date,
    cast(position_identifier as varchar) as position_identifier
from {{ source('quivo', 'shipment_positions') }}
