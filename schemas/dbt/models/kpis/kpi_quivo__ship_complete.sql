select
    groups.grouped_by,
    groups.group_value,
    groups.group_key,
    {{ quivo_frames.count_if('facts.done and not facts.called_off and facts.in_full is not null') }} as orders,
    {{ quivo_frames.count_if('facts.done and not facts.called_off and facts.in_full') }} as complete,
    {{ quivo_frames.share_of(
        quivo_frames.count_if('facts.done and not facts.called_off and facts.in_full'),
        quivo_frames.count_if('facts.done and not facts.called_off and facts.in_full is not null')
    ) }} as rate
from {{ ref('int_quivo__groups_of_orders') }} as groups
join {{ ref('fct_quivo__orders') }} as facts on facts.order_id = groups.order_id
group by groups.grouped_by, groups.group_value, groups.group_key
