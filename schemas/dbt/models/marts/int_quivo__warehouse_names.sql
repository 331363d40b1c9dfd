-- The name of each warehouse, with its number where two share one.
with names as (
    select warehouse_id, max({{ quivo_frames.visible('warehouse_name') }}) as name
    from {{ ref('stg_quivo__fulfillment_orders') }}
    where warehouse_id is not null
    group by warehouse_id
)

select
    warehouse_id,
    case
        when name is null then cast(warehouse_id as {{ dbt.type_string() }})
        when count(*) over (partition by name) > 1
            then name || ' (' || cast(warehouse_id as {{ dbt.type_string() }}) || ')'
        else name
    end as warehouse
from names
