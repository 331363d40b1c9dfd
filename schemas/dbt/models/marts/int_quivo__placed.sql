-- One row an order: when it was placed, and the groups of which it has one each.
with orders as (
    select
        orders.order_id,
        orders.seller_id,
        orders.warehouse_id,
        overview.country,
        case when overview.seller <> cast(orders.seller_id as {{ dbt.type_string() }}) or orders.seller_id is null
            then overview.seller end as own_seller,
        milestones.placed,
        case when milestones.known_at < clock.as_of then milestones.known_at else clock.as_of end as known_at,
        {{ quivo_frames.local_time('milestones.placed', 'clock.time_zone') }} as placed_local
    from {{ ref('stg_quivo__orders') }} as orders
    join {{ ref('stg_quivo__overview') }} as overview on overview.order_id = orders.order_id
    join {{ ref('stg_quivo__milestones') }} as milestones on milestones.order_id = orders.order_id
    cross join {{ ref('int_quivo__clock') }} as clock
)

select
    orders.order_id,
    orders.seller_id,
    coalesce(seller_names.seller, orders.own_seller) as seller,
    orders.warehouse_id,
    orders.country,
    orders.placed,
    orders.known_at,
    {{ quivo_frames.calendar_text('orders.placed_local', 'month') }} as placed_month,
    {{ quivo_frames.calendar_text('orders.placed_local', 'week') }} as placed_week,
    {{ quivo_frames.calendar_text('orders.placed_local', 'day') }} as placed_day
from orders
left join {{ ref('int_quivo__seller_names') }} as seller_names on seller_names.seller_id = orders.seller_id
