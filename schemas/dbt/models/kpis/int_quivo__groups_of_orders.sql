-- Each order once in each of its groups: all, its month, week and day of placing, seller, country, warehouses and carriers.
-- Its warehouses are those of its fulfillment orders that were not cancelled or that shipped, otherwise its own.
{%- set own = {'month': 'placed_month', 'week': 'placed_week', 'day': 'placed_day', 'seller': 'seller_group', 'country': 'country'} %}
with served as (
    select held.order_id, held.warehouse_id
    from {{ ref('stg_quivo__fulfillment_orders') }} as held
    where not coalesce(held.cancelled, false)
        or exists (
            select 1 from {{ ref('int_quivo__sent') }} as sent
            where sent.fulfillment_order_key = held.fulfillment_order_key
        )
),

warehouses as (
    select
        placed.order_id,
        coalesce(names.warehouse, cast(coalesce(served.warehouse_id, placed.warehouse_id) as {{ dbt.type_string() }})) as warehouse
    from {{ ref('int_quivo__placed') }} as placed
    left join served on served.order_id = placed.order_id
    left join {{ ref('int_quivo__warehouse_names') }} as names
        on names.warehouse_id = coalesce(served.warehouse_id, placed.warehouse_id)
),

found as (
    select order_id, 'all' as grouped_by, cast(null as {{ dbt.type_string() }}) as group_value from {{ ref('fct_quivo__orders') }}
    {%- for name, column in own.items() %}
    union all
    select order_id, '{{ name }}', {{ column }} from {{ ref('fct_quivo__orders') }}
    {%- endfor %}
    union all
    select distinct order_id, 'warehouse', warehouse from warehouses
    union all
    select distinct orders.order_id, 'carrier', sent.carrier
    from {{ ref('fct_quivo__orders') }} as orders
    left join {{ ref('int_quivo__sent') }} as sent on sent.order_id = orders.order_id
)

select order_id, grouped_by, group_value, grouped_by || ':' || coalesce(group_value, '') as group_key
from found
