{%- for promise in quivo_frames.promises() %}
{%- set on_time = 'facts.on_time_' ~ promise.name %}
select
    groups.grouped_by,
    groups.group_value,
    groups.group_key,
    '{{ promise.name }}' as reference,
    {{ quivo_frames.count_if('not facts.called_off and ' ~ on_time ~ ' is not null') }} as judged,
    {{ quivo_frames.count_if('not facts.called_off and ' ~ on_time) }} as on_time,
    {{ quivo_frames.count_if('not facts.called_off and not ' ~ on_time) }} as late,
    {{ quivo_frames.count_if('not facts.called_off and ' ~ on_time ~ ' is null') }} as unknown,
    {{ quivo_frames.share_of(
        quivo_frames.count_if('not facts.called_off and ' ~ on_time),
        quivo_frames.count_if('not facts.called_off and ' ~ on_time ~ ' is not null')
    ) }} as rate
from {{ ref('int_quivo__groups_of_orders') }} as groups
join {{ ref('fct_quivo__orders') }} as facts on facts.order_id = groups.order_id
group by groups.grouped_by, groups.group_value, groups.group_key
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
