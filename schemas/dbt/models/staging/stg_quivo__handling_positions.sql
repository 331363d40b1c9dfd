select
    cast(handling_position_key as varchar) as handling_position_key,
    cast(order_id as bigint) as order_id,
    cast(handling_unit_key as varchar) as handling_unit_key,
    cast(ordinal as bigint) as ordinal,
    cast(sscc as varchar) as sscc,
    cast(position_identifier as varchar) as position_identifier,
    cast(sku as varchar) as sku,
    cast(warehouse_sku as varchar) as warehouse_sku,
    cast(quantity as bigint) as quantity
from {{ source('quivo', 'handling_positions') }}
