select
    cast(handling_unit_key as varchar) as handling_unit_key,
    cast(order_id as bigint) as order_id,
    cast(parent_handling_unit_key as varchar) as parent_handling_unit_key,
    cast(root_handling_unit_key as varchar) as root_handling_unit_key,
    cast(depth as bigint) as depth,
    cast(ordinal as bigint) as ordinal,
    cast(type as varchar) as type,
    cast(sscc as varchar) as sscc,
    cast(carrier as varchar) as carrier,
    cast(tracking as varchar) as tracking,
    cast(handling_unit_identifier as varchar) as handling_unit_identifier,
    cast(truck_handling_unit_identifier as varchar) as truck_handling_unit_identifier
from {{ source('quivo', 'handling_units') }}
