select
    cast(order_tag_key as varchar) as order_tag_key,
    cast(order_id as bigint) as order_id,
    cast(ordinal as bigint) as ordinal,
    cast(tag as varchar) as tag
from {{ source('quivo', 'order_tags') }}
