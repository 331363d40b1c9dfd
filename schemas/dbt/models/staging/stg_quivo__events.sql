select
    cast(event_key as varchar) as event_key,
    cast(order_id as bigint) as order_id,
    cast(event as varchar) as event,
    cast({{ adapter.quote('at') }} as timestamp with time zone) as {{ adapter.quote('at') }},
    cast(precision as varchar) as precision,
    cast({{ adapter.quote('table') }} as varchar) as {{ adapter.quote('table') }},
    cast({{ adapter.quote('key') }} as varchar) as {{ adapter.quote('key') }},
    cast({{ adapter.quote('column') }} as varchar) as {{ adapter.quote('column') }},
    cast({{ adapter.quote('value') }} as varchar) as {{ adapter.quote('value') }}
from {{ source('quivo', 'events') }}
