with orders as (
    select
        groups.grouped_by,
        groups.group_value,
        groups.group_key,
        count(*) as orders,
        {{ quivo_frames.count_if('facts.called_off') }} as called_off,
        {{ quivo_frames.count_if('facts.shipments > 0') }} as shipped,
        count(facts.delivered_last) as delivered,
        count(facts.completed_at) as completed,
        cast(sum(facts.counted_lines) as bigint) as lines,
        cast(sum(facts.counted_pieces) as bigint) as pieces
    from {{ ref('int_quivo__groups_of_orders') }} as groups
    join {{ ref('fct_quivo__orders') }} as facts on facts.order_id = groups.order_id
    group by groups.grouped_by, groups.group_value, groups.group_key
),

shipments as (
    select group_key, count(*) as shipments
    from {{ ref('int_quivo__groups_of_shipments') }}
    group by group_key
)

select orders.*, coalesce(shipments.shipments, 0) as shipments
from orders
left join shipments on shipments.group_key = orders.group_key
