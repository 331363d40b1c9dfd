select
    groups.grouped_by,
    groups.group_value,
    groups.group_key,
    {{ quivo_frames.count_if('facts.shipments > 0') }} as orders,
    {{ quivo_frames.count_if('facts.shipments > 1') }} as split,
    {{ quivo_frames.share_of(quivo_frames.count_if('facts.shipments > 1'), quivo_frames.count_if('facts.shipments > 0')) }} as rate,
    avg(case when facts.shipments > 0 then cast(facts.shipments as double precision) end) as shipments_per_order,
    avg(case when facts.shipments > 0 then cast(facts.shipping_warehouses as double precision) end) as warehouses_per_order
from {{ ref('int_quivo__groups_of_orders') }} as groups
join {{ ref('fct_quivo__orders') }} as facts on facts.order_id = groups.order_id
group by groups.grouped_by, groups.group_value, groups.group_key
