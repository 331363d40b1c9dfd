select
    cast(serial_number_key as varchar) as serial_number_key,
    cast(order_id as bigint) as order_id,
    cast(shipment_position_key as varchar) as shipment_position_key,
    cast(fulfillment_order_id as bigint) as fulfillment_order_id,
    cast(shipment_id as bigint) as shipment_id,
    cast(shipment_position_id as bigint) as shipment_position_id,
    cast(ordinal as bigint) as ordinal,
    cast(serial_number as varchar) as serial_number
from {{ source('quivo', 'serial_numbers') }}
