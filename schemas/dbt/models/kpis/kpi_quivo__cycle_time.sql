{%- set stages = [
    ('order to ship', 'placed', 'shipped_last'), ('ship to delivery', 'shipped_last', 'delivered_last'),
    ('order to delivery', 'placed', 'delivered_last'), ('order to completion', 'placed', 'completed_at'),
] %}
with taken as (
    {%- for stage, earlier, later in stages %}
    select
        order_id,
        '{{ stage }}' as stage,
        case when not called_off and not outstanding then {{ quivo_frames.days_between(earlier, later) }} end as days
    from {{ ref('fct_quivo__orders') }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    groups.grouped_by,
    groups.group_value,
    groups.group_key,
    taken.stage,
    count(taken.days) as orders,
    avg(taken.days) as mean,
    {{ quivo_frames.percentile(0.5, 'taken.days') }} as p50,
    {{ quivo_frames.percentile(0.9, 'taken.days') }} as p90,
    max(taken.days) as max
from {{ ref('int_quivo__groups_of_orders') }} as groups
join taken on taken.order_id = groups.order_id
group by groups.grouped_by, groups.group_value, groups.group_key, taken.stage
