-- By the clock of the warehouses, without a calendar and without a cut-off: nothing has a day by which it is due.
select
    groups.grouped_by,
    groups.group_value,
    groups.group_key,
    count(facts.shipped_within_24_hours) as judged,
    {{ quivo_frames.count_if('facts.shipped_within_24_hours') }} as within,
    {{ quivo_frames.share_of(
        quivo_frames.count_if('facts.shipped_within_24_hours'), 'count(facts.shipped_within_24_hours)'
    ) }} as within_rate,
    {{ quivo_frames.percentile(0.5, 'facts.hours_to_ship') }} as p50,
    {{ quivo_frames.percentile(0.9, 'facts.hours_to_ship') }} as p90,
    cast(0 as bigint) as due,
    cast(0 as bigint) as in_time,
    cast(null as double precision) as in_time_rate,
    {{ quivo_frames.count_if('facts.outstanding and facts.placed is not null') }} as {{ adapter.quote('open') }},
    {{ quivo_frames.count_if('facts.at_risk') }} as at_risk,
    {{ quivo_frames.share_of(
        quivo_frames.count_if('facts.at_risk'), quivo_frames.count_if('facts.outstanding and facts.placed is not null')
    ) }} as at_risk_rate
from {{ ref('int_quivo__groups_of_orders') }} as groups
join {{ ref('fct_quivo__orders') }} as facts on facts.order_id = groups.order_id
group by groups.grouped_by, groups.group_value, groups.group_key
