select
    cast(tracking_number_key as varchar) as tracking_number_key,
    cast(order_id as bigint) as order_id,
    cast(shipment_key as varchar) as shipment_key,
    cast(fulfillment_order_id as bigint) as fulfillment_order_id,
    cast(shipment_id as bigint) as shipment_id,
    cast(ordinal as bigint) as ordinal,
    cast(tracking_number as varchar) as tracking_number
from {{ source('quivo', 'tracking_numbers') }}
