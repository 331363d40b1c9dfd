select
    cast(custom_attribute_key as varchar) as custom_attribute_key,
    cast(order_id as bigint) as order_id,
    cast(order_position_key as varchar) as order_position_key,
    cast(ordinal as bigint) as ordinal,
    cast({{ adapter.quote('key') }} as varchar) as {{ adapter.quote('key') }},
    cast({{ adapter.quote('value') }} as varchar) as {{ adapter.quote('value') }},
    cast(value_type as varchar) as value_type
from {{ source('quivo', 'custom_attributes') }}
