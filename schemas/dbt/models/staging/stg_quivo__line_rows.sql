select
    cast(line_row_key as varchar) as line_row_key,
    cast(order_id as bigint) as order_id,
    cast(line_key as varchar) as line_key,
    cast(states as varchar) as states,
    cast(found_in as varchar) as found_in,
    cast(found_key as varchar) as found_key,
    cast(quantity as bigint) as quantity,
    cast(matched_by as varchar) as matched_by,
    cast(certain as boolean) as certain
from {{ source('quivo', 'line_rows') }}
