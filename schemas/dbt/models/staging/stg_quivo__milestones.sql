select
    cast(order_id as bigint) as order_id,
    cast(known_at as timestamp with time zone) as known_at,
    cast(placed as timestamp with time zone) as placed,
    cast(exported_at as timestamp with time zone) as exported_at,
    cast(planned as timestamp with time zone) as planned,
    cast(shipped_first as timestamp with time zone) as shipped_first,
    cast(shipped_last as timestamp with time zone) as shipped_last,
    cast(delivered_first as timestamp with time zone) as delivered_first,
    cast(delivered_last as timestamp with time zone) as delivered_last,
    cast(proven_last as timestamp with time zone) as proven_last,
    cast(completed_at as timestamp with time zone) as completed_at,
    cast(cancel_requested_at as timestamp with time zone) as cancel_requested_at,
    cast(called_off as boolean) as called_off,
    cast(days_to_ship as double) as days_to_ship,
    cast(days_to_deliver as double) as days_to_deliver,
    cast(days_to_complete as double) as days_to_complete
from {{ source('quivo', 'milestones') }}
