select
    cast(order_error_key as varchar) as order_error_key,
    cast(order_id as bigint) as order_id,
    cast(ordinal as bigint) as ordinal,
    cast(error_code as varchar) as error_code,
    cast(error_message as varchar) as error_message
from {{ source('quivo', 'order_errors') }}
