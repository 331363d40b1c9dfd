with judged as (
    select order_id, in_full, {{ quivo_frames.on_time_column() }} as on_time
    from {{ ref('fct_quivo__orders') }}
    where done and not called_off and in_full is not null and {{ quivo_frames.on_time_column() }} is not null
)

select
    groups.grouped_by,
    groups.group_value,
    groups.group_key,
    count(judged.order_id) as orders,
    {{ quivo_frames.count_if('judged.in_full') }} as in_full,
    {{ quivo_frames.count_if('judged.on_time') }} as on_time,
    {{ quivo_frames.count_if('judged.in_full and judged.on_time') }} as perfect,
    {{ quivo_frames.share_of(quivo_frames.count_if('judged.in_full and judged.on_time'), 'count(judged.order_id)') }} as rate
from {{ ref('int_quivo__groups_of_orders') }} as groups
left join judged on judged.order_id = groups.order_id
group by groups.grouped_by, groups.group_value, groups.group_key
