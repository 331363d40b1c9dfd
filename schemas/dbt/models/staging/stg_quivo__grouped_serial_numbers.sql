select
    cast(grouped_serial_number_key as varchar) as grouped_serial_number_key,
    cast(order_id as bigint) as order_id,
    cast(grouped_position_key as varchar) as grouped_position_key,
    cast(fulfillment_order_id as bigint) as fulfillment_order_id,
    cast(shipment_id as bigint) as shipment_id,
    cast(ordinal as bigint) as ordinal,
    cast(serial_number as varchar) as serial_number
from {{ source('quivo', 'grouped_serial_numbers') }}
